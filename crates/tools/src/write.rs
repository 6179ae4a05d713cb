//! `write_file`: a file with this content, made or replaced whole.

use crate::argument::{Argument, Arguments, Kind};
use crate::context::Context;
use crate::place::Place;
use crate::refusal::{cancelled, quoted, system};
use loopwright_protocol::{Found, Json};
use loopwright_types::Failure;
use std::io::Read;
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
    let (bytes, lines, path) = (content.len(), lines(content), quoted(path));
    Ok(match place.existing {
        None => format!("created `{path}`: {lines}, {bytes} bytes"),
        Some(before) => {
            format!("replaced `{path}`: {lines}, {bytes} bytes ({} before)", before.st_size)
        }
    })
}

/// Whether the file has the text that was to be written. One that has another may have had it before, or since.
pub(crate) fn look_up(context: &Context<'_>, arguments: &Arguments) -> Result<Found, Failure> {
    let (path, content) = (arguments.required("path")?, arguments.given("content")?);
    let place = Place::find(context.root, path, false)?;
    let path = quoted(path);
    if place.existing.as_ref().is_none_or(|it| it.st_size as u64 != content.len() as u64) {
        return Ok(match place.existing {
            None => Found::NotDone,
            Some(_) => Found::Unknown(format!("`{path}` has another text")),
        });
    }
    let mut bytes = Vec::with_capacity(content.len());
    let read = place.open()?.take(content.len() as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| system(&path, &error))?;
    if bytes != content.as_bytes() {
        return Ok(Found::Unknown(format!("`{path}` has another text")));
    }
    let text = format!("wrote `{path}`: {}, {} bytes", lines(content), content.len());
    Ok(Found::Done(Json::of(&text)))
}

fn lines(content: &str) -> String {
    match content.lines().count() {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    }
}
