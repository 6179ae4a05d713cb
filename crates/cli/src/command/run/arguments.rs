//! `--args`: JSON as typed, or from a file.

use loopwright::protocol::Json;
use loopwright::types::{Code, Diagnostic};
use std::io::Read as _;

/// Reads the arguments: JSON, `@file`, or `@-` for standard input.
///
/// # Errors
/// `LW0109` when a file cannot be read or the text is not JSON.
pub fn read(typed: &str) -> Result<Json, Diagnostic> {
    let (text, from) = match typed.strip_prefix('@') {
        None => (typed.to_owned(), "`--args`".to_owned()),
        Some("-") => (standard_input()?, "standard input".to_owned()),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Diagnostic::new(Code::ARGS_INVALID, format!("cannot read `{path}`: {error}"))
                    .hint("`--args @file.json` reads a file, `--args '{\"name\": \"value\"}'` is JSON as typed")
            })?;
            (text, format!("`{path}`"))
        }
    };
    let text = text.trim_start_matches('\u{feff}').trim().to_owned();
    Json::parse(text).map_err(|error| {
        Diagnostic::new(Code::ARGS_INVALID, format!("{from} is not JSON: {error}"))
            .hint("quote it for the shell: `--args '{\"name\": \"value\"}'`, `--args '\"text\"'`, or `--args @file.json`")
    })
}

fn standard_input() -> Result<String, Diagnostic> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| {
        Diagnostic::new(Code::ARGS_INVALID, format!("cannot read standard input: {error}"))
    })?;
    Ok(text)
}
