//! Why a command ends without doing its work.

use crate::EXIT_USAGE;
use crate::hint::placed;
use crate::terminal::Terminal;
use loopwright::PrepareError;
use loopwright::program::Report;
use loopwright::program::frame::{Frame, Severity};
use loopwright::types::{Code, Diagnostic};

/// One error or more, with the text they point into.
#[derive(Debug)]
pub struct Failure {
    /// Never empty.
    pub diagnostics: Vec<Diagnostic>,
    /// The author's text, for code frames.
    pub source: Option<String>,
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostics: vec![diagnostic], source: None }
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        let source = Some(report.source).filter(|source| !source.is_empty());
        Self { diagnostics: report.diagnostics, source }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Program(report) => report.into(),
            PrepareError::Setup(diagnostic) => diagnostic.into(),
        }
    }
}

impl Failure {
    /// 2 when what was typed or set is wrong, else 1.
    pub fn exit_code(&self) -> u8 {
        const TYPED: [Code; 8] = [
            Code::USAGE,
            Code::SETTING_UNKNOWN,
            Code::SETTING_INVALID,
            Code::SETTINGS_FILE,
            Code::ARGS_INVALID,
            Code::PROGRAM_UNREADABLE,
            Code::FORK_AT_UNKNOWN,
            Code::FORK_EFFECTS,
        ];
        let typed = self.diagnostics.iter().any(|diagnostic| TYPED.contains(&diagnostic.code));
        if typed { EXIT_USAGE } else { 1 }
    }

    /// Every error with its code frame, on stderr.
    pub fn print(&self, terminal: &Terminal) {
        for diagnostic in &self.diagnostics {
            let source = self.source.as_deref();
            terminal.tell(&draw(terminal, diagnostic, source, Severity::Error));
        }
    }
}

/// A diagnostic as people see it; the commands in its hint can be pasted.
pub fn draw(
    terminal: &Terminal,
    diagnostic: &Diagnostic,
    source: Option<&str>,
    severity: Severity,
) -> String {
    let width = terminal.columns().unwrap_or(100);
    let frame = Frame { width, colour: terminal.paint_err().colour, severity };
    frame.render(&placed(diagnostic, terminal.data_dir()), source)
}
