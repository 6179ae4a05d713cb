//! What is wrong with an answer, in words that a model can act on.

use crate::error::{Clip, excerpt};
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;
use std::fmt::Write as _;

/// Violations reported for one answer, at most.
pub(crate) const VIOLATIONS_MAX: usize = 20;
/// Errors of the closest branch reported with an `anyOf` or `oneOf` that none fits.
const BRANCH_ERRORS_MAX: usize = 3;
/// Length of one message, in characters.
const MESSAGE_CHARS_MAX: usize = 400;
/// Length of one path, in characters.
const PATH_CHARS_MAX: usize = 160;

/// One thing that is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where in the answer, such as `items[3].name`; empty for the answer itself. At most 160 characters.
    pub path: String,
    /// What is wrong there, on one line of at most 400 characters.
    pub message: String,
}

impl Violation {
    pub(crate) fn of_answer(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    fn from_error(error: &ValidationError<'_>) -> Self {
        let path = path(error.instance_path());
        let mut message = Clip { text: String::new(), left: MESSAGE_CHARS_MAX };
        if write_message(&mut message, error).is_err() {
            message.text.push('…');
        }
        Self { path, message: message.text }
    }
}

/// All violations of an answer, up to a limit; a last entry says when some were left out.
pub(crate) fn violations(validator: &Validator, value: &Value) -> Vec<Violation> {
    let mut errors = validator.iter_errors(value);
    let mut found: Vec<Violation> =
        errors.by_ref().take(VIOLATIONS_MAX).map(|error| Violation::from_error(&error)).collect();
    let more = errors.count();
    if more > 0 {
        found.push(Violation::of_answer(format!("and {more} more errors like these")));
    }
    found
}

/// The first violation only: for answers so large that a list of all errors would be larger still.
pub(crate) fn first_violation(validator: &Validator, value: &Value) -> Vec<Violation> {
    let found = validator.validate(value).err().map(|error| Violation::from_error(&error));
    found
        .into_iter()
        .chain([Violation::of_answer("there may be more errors like this one")])
        .collect()
}

/// The text that goes back to a subagent: one violation per line.
pub fn describe(violations: &[Violation]) -> String {
    let line = |violation: &Violation| {
        let Violation { path, message } = violation;
        if path.is_empty() { message.clone() } else { format!("{path}: {message}") }
    };
    violations.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `items[3].name`: names that are no identifiers stand in quotes.
fn path(location: &Location) -> String {
    let mut text = Clip { text: String::new(), left: PATH_CHARS_MAX };
    let mut write = || -> std::fmt::Result {
        for (i, segment) in location.iter().enumerate() {
            match segment {
                LocationSegment::Index(index) => write!(text, "[{index}]")?,
                LocationSegment::Property(name) if is_plain(&name) => {
                    write!(text, "{}{name}", if i == 0 { "" } else { "." })?;
                }
                LocationSegment::Property(name) => write!(text, "[{}]", Value::from(&*name))?,
            }
        }
        Ok(())
    };
    if write().is_err() {
        text.text.push('…');
    }
    text.text
}

fn is_plain(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$');
    starts && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-'))
}

fn write_message(out: &mut Clip, error: &ValidationError<'_>) -> std::fmt::Result {
    match error.kind() {
        ValidationErrorKind::AnyOf { context } => write_branches(out, error, context, "anyOf"),
        ValidationErrorKind::OneOfNotValid { context } => {
            write_branches(out, error, context, "oneOf")
        }
        ValidationErrorKind::FalseSchema => out.write_str("is not allowed here"),
        ValidationErrorKind::AdditionalItems { limit } => {
            write!(out, "has more than the {limit} items that are allowed (`additionalItems`)")
        }
        ValidationErrorKind::PropertyNames { error } => {
            out.write_str("has a member whose name does not fit: ")?;
            write_message(out, error)
        }
        ValidationErrorKind::Not { schema } => {
            write!(
                out,
                "`{}` fits the schema it must not fit: `{}`",
                excerpt(error.instance()),
                excerpt(schema)
            )
        }
        _ => write!(out, "{}", error.masked_with(format!("`{}`", excerpt(error.instance())))),
    }
}

/// Names the branch that comes closest and what is wrong with it.
fn write_branches(
    out: &mut Clip,
    error: &ValidationError<'_>,
    branches: &[Vec<ValidationError<'static>>],
    keyword: &str,
) -> std::fmt::Result {
    let shown = excerpt(error.instance());
    write!(out, "`{shown}` fits none of the {} forms in `{keyword}`", branches.len())?;
    // Closest: not of the wrong type altogether, then the fewest errors.
    let depth = error.instance_path().iter().count();
    let wrong_type = |errors: &[ValidationError<'static>]| {
        let at_top = |e: &ValidationError<'static>| e.instance_path().iter().count() == depth;
        errors.iter().any(|e| matches!(e.kind(), ValidationErrorKind::Type { .. }) && at_top(e))
    };
    let closest =
        branches.iter().enumerate().min_by_key(|(_, errors)| (wrong_type(errors), errors.len()));
    let Some((at, errors)) = closest else { return Ok(()) };
    write!(out, "; closest is form {}: ", at + 1)?;
    for (i, inner) in errors.iter().take(BRANCH_ERRORS_MAX).enumerate() {
        out.write_str(if i == 0 { "" } else { "; " })?;
        let place = path(inner.instance_path());
        if !place.is_empty() {
            write!(out, "{place}: ")?;
        }
        write_message(out, inner)?;
    }
    Ok(())
}
