//! What can go wrong outside a program.

use loopwright_types::{Code, Diagnostic};

/// A guest could not be made. What a program does wrong is a [`crate::Stop`] or a record instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The code generator or the allocator of guests refused.
    #[error("the sandbox could not be set up: {0}")]
    Setup(String),
    /// The prelude threw at image time: a mistake of ours.
    #[error("the prelude does not run: {0}")]
    Prelude(String),
    /// The bytes are no snapshot of this guest.
    #[error("the snapshot cannot be used: {0}")]
    Snapshot(&'static str),
}

impl Error {
    /// As an error for a person.
    pub fn diagnostic(&self) -> Diagnostic {
        match self {
            Self::Setup(_) => Diagnostic::new(Code::SANDBOX_SETUP, self.to_string())
                .hint("close other runs, or raise the limits on memory, processes and the size of files (`ulimit`)"),
            Self::Prelude(_) => Diagnostic::new(Code::SANDBOX_SETUP, self.to_string())
                .hint("this is a defect of this build, please report it"),
            Self::Snapshot(_) => Diagnostic::new(Code::SNAPSHOT_MISMATCH, self.to_string())
                .hint("resume from the journal instead; it needs no snapshot"),
        }
    }

    pub(crate) fn setup(error: impl std::fmt::Display) -> Self {
        Self::Setup(format!("{error:#}"))
    }
}
