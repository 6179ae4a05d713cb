//! Failures in the tools' words. A tool refuses before it changes anything, so these count as not sent; the one
//! that can fail after its effect began, `bash`, says so itself.

use loopwright_types::{Code, Failure, Reason};
use std::io;

/// Longest name quoted in a message, in characters.
const QUOTED_CHARS_MAX: usize = 200;

/// A path that would lead out of the workspace.
pub(crate) fn outside(path: &str) -> Failure {
    let message = format!("`{}` leaves the workspace", quoted(path));
    let hint = "use a path inside the workspace, relative to its root";
    Failure::new(Reason::Policy, Code::PATH_OUTSIDE, message).hint(hint).not_sent()
}

/// An argument that is missing, unknown or of the wrong type.
pub(crate) fn argument(message: impl Into<String>) -> Failure {
    Failure::new(Reason::Program, Code::TOOL_ARGUMENT, message).not_sent()
}

/// A path that no tool writes, because what stands there decides what later runs may do.
pub(crate) fn protected(path: &str, why: &str) -> Failure {
    let message = format!("`{}` is not written by tools: {why}", quoted(path));
    Failure::new(Reason::Policy, Code::PATH_PROTECTED, message)
        .hint("leave it to a person, or say in the answer what should change")
        .not_sent()
}

/// The tool was called well and could not do it.
pub(crate) fn failed(message: impl Into<String>) -> Failure {
    Failure::new(Reason::Provider, Code::TOOL_FAILED, message).not_sent()
}

/// The call was given up.
pub(crate) fn cancelled(tool: &str) -> Failure {
    Failure::new(Reason::Cancelled, Code::CANCELLED, format!("`{tool}` was cancelled")).not_sent()
}

/// What the operating system said about a path.
pub(crate) fn system(path: &str, error: &io::Error) -> Failure {
    let path = quoted(path);
    match error.kind() {
        io::ErrorKind::NotFound => failed(format!("`{path}` does not exist")),
        io::ErrorKind::PermissionDenied => failed(format!("`{path}` may not be read by this user")),
        io::ErrorKind::NotADirectory => failed(format!("`{path}` is not a directory")),
        io::ErrorKind::InvalidFilename => failed(format!("`{path}` is too long for a path")),
        _ => failed(format!("`{path}` cannot be read: {error}")),
    }
}

/// What the operating system said about writing a path.
pub(crate) fn unwritable(path: &str, error: &io::Error) -> Failure {
    let path = quoted(path);
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            failed(format!("`{path}` may not be written by this user"))
        }
        io::ErrorKind::StorageFull => {
            failed(format!("`{path}` cannot be written: the disk is full"))
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            system(&path, error)
        }
        _ => failed(format!("`{path}` cannot be written: {error}")),
    }
}

/// A text as a message quotes it: one line, bounded.
pub(crate) fn quoted(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut quoted: String = text.chars().take(QUOTED_CHARS_MAX).map(clean).collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        quoted.push('…');
    }
    quoted
}
