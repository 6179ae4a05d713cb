//! Why a schema is refused, or no value could be made for it.

use loopwright_types::{Code, Diagnostic, Failure, Reason};

/// Longest piece of a schema or answer quoted in an error, in characters.
pub(crate) const EXCERPT_CHARS_MAX: usize = 80;

/// A schema that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// [`Code::SCHEMA_INVALID`], [`Code::SCHEMA_CONTRADICTS`], [`Code::SCHEMA_TOO_LARGE`], or
    /// [`Code::ANSWER_INVALID`] when no value could be generated.
    pub code: Code,
    /// One line, lower-case, values in backticks.
    pub message: String,
    /// What the author can do about it.
    pub hint: Option<String>,
}

impl Error {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { code: Code::SCHEMA_INVALID, message: message.into(), hint: None }
    }

    pub(crate) fn contradicts(message: impl Into<String>) -> Self {
        Self { code: Code::SCHEMA_CONTRADICTS, message: message.into(), hint: None }
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self { code: Code::SCHEMA_TOO_LARGE, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Error> for Failure {
    /// A failure with reason `schema`; nothing was sent.
    fn from(error: Error) -> Self {
        let failure = Self::new(Reason::Schema, error.code, error.message).not_sent();
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        let diagnostic = Self::new(error.code, error.message);
        match error.hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        }
    }
}

/// The start of a value's JSON, at most [`EXCERPT_CHARS_MAX`] characters, on one line.
pub(crate) fn excerpt(value: &serde_json::Value) -> String {
    use std::fmt::Write as _;
    let mut clip = Clip { text: String::new(), left: EXCERPT_CHARS_MAX };
    // An error means that the limit was reached: the text so far is what is wanted.
    if write!(clip, "{value}").is_err() {
        clip.text.push('…');
    }
    clip.text
}

/// The start of a text, in the same measure.
pub(crate) fn excerpt_text(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Takes the first characters written to it and refuses the rest, so that a huge value is not formatted whole.
pub(crate) struct Clip {
    pub(crate) text: String,
    pub(crate) left: usize,
}

impl std::fmt::Write for Clip {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            if self.left == 0 {
                return Err(std::fmt::Error);
            }
            self.left -= 1;
            self.text.push(if character.is_control() { ' ' } else { character });
        }
        Ok(())
    }
}
