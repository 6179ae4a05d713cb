//! Failures in this room's words.

use crate::git::{GitError, GitOutput};
use loopwright_types::{Code, Failure, Reason};
use std::path::Path;

/// The workspace cannot give worktrees.
pub(crate) fn unfit(cause: impl Into<String>, hint: &str) -> Failure {
    Failure::new(Reason::Policy, Code::REPOSITORY_UNFIT, cause).hint(hint).not_sent()
}

/// Git could not be asked.
pub(crate) fn unavailable(error: &GitError, doing: &str) -> Failure {
    match error {
        GitError::Missing => {
            Failure::new(Reason::Provider, Code::GIT_UNAVAILABLE, "`git` was not found in `PATH`")
                .hint("install git 2.31 or newer, or leave out `isolation: \"worktree\"`")
                .not_sent()
        }
        GitError::Failed(cause) => {
            let message = format!("`git` could not be run to {doing}: {cause}");
            Failure::new(Reason::Provider, Code::GIT_UNAVAILABLE, message).not_sent()
        }
        GitError::TooLarge => {
            failed(format!("could not {doing}: git's answer is longer than its limit"))
                .hint("raise `worktrees.git_output_bytes_max`")
        }
        GitError::Cancelled => cancelled(),
    }
}

/// Git was asked and said no.
pub(crate) fn refused(output: &GitOutput, doing: &str) -> Failure {
    let failure = failed(format!("could not {doing}: git says `{}`", output.complaint()));
    if output.is_contention() { failure.retryable() } else { failure }
}

/// A worktree could not be made or finished.
pub(crate) fn failed(message: impl Into<String>) -> Failure {
    Failure::new(Reason::Provider, Code::WORKTREE_FAILED, message)
}

/// The same because of a file.
pub(crate) fn system(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    failed(format!("could not {doing} `{}`: {error}", shown(path)))
}

/// The operator or the program gave up.
pub(crate) fn cancelled() -> Failure {
    Failure::new(Reason::Cancelled, Code::CANCELLED, "the work on a worktree was cancelled")
}

/// A worktree that this data directory does not hold.
pub(crate) fn unknown(cause: impl Into<String>) -> Failure {
    Failure::new(Reason::Policy, Code::WORKTREE_UNKNOWN, cause)
        .hint("`loopwright worktrees` lists those there are")
}

/// A branch that is not to be touched.
pub(crate) fn branch(cause: impl Into<String>) -> Failure {
    Failure::new(Reason::Policy, Code::BRANCH_REFUSED, cause)
        .hint("give the `branch` of a task's report: `loopwright/<run>/<call>`")
        .not_sent()
}

/// A path for people: no control characters, no backticks.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Text for people: no control characters, no backticks, at most 300 characters.
pub(crate) fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() || c == '`' { '\u{fffd}' } else { c };
    text.chars().map(clean).take(300).collect()
}
