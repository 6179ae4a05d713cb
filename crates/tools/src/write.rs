//! `write_file`: a file with this content, made or replaced whole.

use crate::argument::{Argument, Arguments, Kind};
use crate::context::Context;
use crate::place::Place;
use crate::refusal::{cancelled, quoted};
use loopwright_types::Failure;
use std::sync::PoisonError;

/// The tool's own name.
pub(crate) const NAME: &str = "write_file";
/// What it does.
pub(crate) const DOC: &str = "Writes a text file, new or in place of the one that is there, whole or not at all. \
    Directories that are missing on the way are made. Change part of a file with `edit_file` instead.";
/// What it takes.
pub(crate) const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "path",
        aliases: &["filepath", "file", "filename", "absolutepath", "targetfile"],
        kind: Kind::Text,
        doc: "the file",
    },
    Argument {
        name: "content",
        aliases: &["contents", "text", "data", "filetext", "filecontent"],
        kind: Kind::Text,
        doc: "all of its text, as it is to stand there",
    },
];

/// Writes the file.
pub(crate) fn call(context: &Context<'_>, arguments: &Arguments) -> Result<String, Failure> {
    let (path, content) = (arguments.required("path")?, arguments.given("content")?);
    if (context.cancelled)() {
        return Err(cancelled(NAME));
    }
    let _one_at_a_time = context.writing.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::find(context.root, path, true)?;
    place.put(content.as_bytes())?;
    let (bytes, path) = (content.len(), quoted(path));
    let lines = match content.lines().count() {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    };
    Ok(match place.existing {
        None => format!("created `{path}`: {lines}, {bytes} bytes"),
        Some(before) => {
            format!("replaced `{path}`: {lines}, {bytes} bytes ({} before)", before.st_size)
        }
    })
}
