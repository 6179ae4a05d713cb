//! A program looked at without running it.

use loopwright_program::{Program, Report};
use std::path::Path;

/// Reads and parses a program and the libraries it imports. `name` is the file as the author named it.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn load_program(workspace: &Path, path: &Path, name: &str) -> Result<Program, Report> {
    crate::modules::load(workspace, path, name).map(|(program, _)| program)
}
