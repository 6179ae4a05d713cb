//! An error an author can act on: code, cause, place and hint. Rendering with a code frame is `program`'s.

use crate::{Code, Position};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file as the author named it.
    pub file: String,
    /// Line and column.
    pub position: Position,
    /// How many characters the marked text is long (at least 1).
    pub length: u32,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The stable code; `docs/errors/<code>.md` explains it.
    pub code: Code,
    /// One-line cause: lower-case, no full stop, values in backticks.
    pub message: String,
    /// Where, if it has a place in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// What the author can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without place or hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), location: None, hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, file: impl Into<String>, position: Position, length: u32) -> Self {
        self.location = Some(Location { file: file.into(), position, length: length.max(1) });
        self
    }
}

impl fmt::Display for Diagnostic {
    /// Without a code frame: `error[LW0101]: cause` and, if there are, place and hint on lines of their own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        if let Some(at) = &self.location {
            write!(f, "\n  --> {}:{}:{}", at.file, at.position.line, at.position.column)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
