//! A bound on recursion before the parser starts.

use crate::report::Report;
use crate::text::Text;

/// Placeholder bound.
pub const NESTING_MAX: usize = 1000;

/// Runs `work`.
pub(crate) fn with_stack_for<T>(_text: &Text<'_>, work: impl FnOnce() -> T) -> Result<T, Report> {
    Ok(work())
}
