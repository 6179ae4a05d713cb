//! What is wrong with a program.

use crate::frame;
use loopwright_types::Diagnostic;
use std::fmt;

/// Why a text is not a program: one error or more, in the order of their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The author's text, for code frames.
    pub source: String,
    /// Never empty.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for Report {
    /// Every error with its code frame, without colour, an empty line between two.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = frame::Frame::default();
        for (n, diagnostic) in self.diagnostics.iter().enumerate() {
            let gap = if n == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{}", frame.render(diagnostic, Some(&self.source)))?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
