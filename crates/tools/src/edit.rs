//! `edit_file`: one text of a file replaced by another.

use crate::argument::{Argument, Arguments, Kind};
use crate::context::Context;
use crate::nearest::nearest;
use crate::place::Place;
use crate::refusal::{argument, cancelled, failed, quoted, system};
use loopwright_protocol::{Found, Json};
use loopwright_types::{Code, Failure, Reason};
use std::borrow::Cow;
use std::io::Read;
use std::sync::PoisonError;

/// The tool's own name.
pub(crate) const NAME: &str = "edit_file";
/// What it does.
pub(crate) const DOC: &str = "Replaces a text of a file by another, whole or not at all. The old text must be in the \
    file exactly once, white space included; with `replaceAll` as often as it likes. Line endings stay what they are.";
/// What it takes.
pub(crate) const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "path",
        aliases: &["filepath", "file", "filename", "absolutepath", "targetfile"],
        kind: Kind::Text,
        doc: "the file",
    },
    Argument {
        name: "oldText",
        aliases: &["oldstring", "oldstr", "old", "search"],
        kind: Kind::Text,
        doc: "the text to replace, as it stands in the file, with enough around it to be unique",
    },
    Argument {
        name: "newText",
        aliases: &["newstring", "newstr", "new", "replacement", "replace"],
        kind: Kind::Text,
        doc: "what is to stand there instead; empty takes the old text away",
    },
    Argument {
        name: "replaceAll",
        aliases: &["all", "allowmultiple"],
        kind: Kind::Flag,
        doc: "replaces every one, not just the only one",
    },
];

/// Bytes of a file that is edited.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Lines named in an error.
const LINES_NAMED_MAX: usize = 10;

/// Edits the file.
pub(crate) fn call(context: &Context<'_>, arguments: &Arguments) -> Result<String, Failure> {
    let path = arguments.required("path")?;
    let (old, new) = (arguments.given("oldText")?, arguments.given("newText")?);
    if old.is_empty() {
        return Err(argument("`oldText` of `edit_file` is empty")
            .hint("a new file, or all of one, is written with `write_file`"));
    }
    if old == new {
        return Err(argument("`oldText` and `newText` of `edit_file` are the same"));
    }
    if (context.cancelled)() {
        return Err(cancelled(NAME));
    }
    let _one_at_a_time = context.writing.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::find(context.root, path, false)?;
    let bytes = read(&place, path)?;
    let edited = edit(&bytes, old, new, arguments.flag("replaceAll"))
        .map_err(|mismatch| mismatch.refusal(path, &bytes, old))?;
    if edited.bytes == bytes {
        return Err(argument("`oldText` and `newText` of `edit_file` differ only in line endings"));
    }
    place.put(&edited.bytes)?;
    let (path, times) = (quoted(path), edited.lines.len());
    let places = if times == 1 { "place" } else { "places" };
    Ok(format!("edited `{path}`: {times} {places}, {}", named(&edited.lines)))
}

/// Whether the old text is still there and the new one is not, or the other way round. Where the one is part of the other,
/// or neither is there, the file does not tell.
pub(crate) fn look_up(context: &Context<'_>, arguments: &Arguments) -> Result<Found, Failure> {
    let path = arguments.required("path")?;
    let (old, new) = (arguments.given("oldText")?, arguments.given("newText")?);
    let shown = quoted(path);
    let place = Place::find(context.root, path, false)?;
    let bytes = read(&place, path)?;
    Ok(match state(&bytes, old, new) {
        Some(true) => Found::Done(Json::of(&format!("edited `{shown}`"))),
        Some(false) => Found::NotDone,
        None => {
            Found::Unknown(format!("the text of `{shown}` does not tell whether it was edited"))
        }
    })
}

/// Whether the edit was made, as far as the file tells.
fn state(bytes: &[u8], old: &str, new: &str) -> Option<bool> {
    let (old, new) = fit(bytes, old, new);
    if old.is_empty() || new.is_empty() {
        return None; // a text that was taken away may never have been there
    }
    match (find(bytes, &old).is_empty(), find(bytes, &new).is_empty()) {
        (false, true) => Some(false),
        (true, false) => Some(true),
        _ => None,
    }
}

fn read(place: &Place<'_>, path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = place.open()?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| system(path, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("`{}` is larger than {FILE_BYTES_MAX} bytes", quoted(path));
        return Err(failed(message).hint("change it with a command"));
    }
    if bytes.contains(&0) {
        return Err(failed(format!("`{}` is a binary file", quoted(path))));
    }
    Ok(bytes)
}

/// A file's new bytes and the lines at which it was changed, counted from 1 in the old text.
#[derive(Debug, PartialEq, Eq)]
struct Edited {
    bytes: Vec<u8>,
    lines: Vec<usize>,
}

/// The old text is not there exactly once.
#[derive(Debug, PartialEq, Eq)]
struct Mismatch {
    /// The lines at which it is.
    lines: Vec<usize>,
}

fn edit(bytes: &[u8], old: &str, new: &str, all: bool) -> Result<Edited, Mismatch> {
    let (old, new) = fit(bytes, old, new);
    let places = find(bytes, &old);
    let (old, new) = (old.as_bytes(), new.as_bytes());
    let mut lines = Vec::with_capacity(places.len());
    let (mut line, mut counted) = (1, 0);
    for place in &places {
        line += bytes[counted..*place].iter().filter(|byte| **byte == b'\n').count();
        counted = *place;
        lines.push(line);
    }
    if places.is_empty() || (places.len() > 1 && !all) {
        return Err(Mismatch { lines });
    }
    let mut edited = Vec::with_capacity(bytes.len() + new.len());
    let mut copied = 0;
    for place in places {
        edited.extend_from_slice(&bytes[copied..place]);
        edited.extend_from_slice(new);
        copied = place + old.len();
    }
    edited.extend_from_slice(&bytes[copied..]);
    Ok(Edited { bytes: edited, lines })
}

/// The two texts in the file's own line endings. A model reads `\n` whatever the file has: in a file whose lines
/// all end in `\r\n` both get that; in one without any, both get `\n`; in one that has both kinds, the text as
/// given is looked for first.
fn fit<'t>(bytes: &[u8], old: &'t str, new: &'t str) -> (Cow<'t, str>, Cow<'t, str>) {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    let returns = bytes.windows(2).filter(|pair| pair == b"\r\n").count();
    let (unix, dos) = (
        |text: &str| text.replace("\r\n", "\n"),
        |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n"),
    );
    if ends == 0 {
        return (old.into(), new.into());
    }
    if returns == 0 {
        return (unix(old).into(), unix(new).into());
    }
    if returns == ends {
        return (dos(old).into(), dos(new).into());
    }
    let exact = !find(bytes, old).is_empty();
    let other = dos(old);
    if exact || find(bytes, &other).is_empty() {
        (old.into(), new.into())
    } else {
        (other.into(), dos(new).into())
    }
}

/// Where a text is, without overlaps.
fn find(bytes: &[u8], wanted: &str) -> Vec<usize> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        // In linear time, whatever a model looks for.
        return text.match_indices(wanted).map(|(at, _)| at).collect();
    }
    let wanted = wanted.as_bytes();
    let Some(first) = wanted.first() else { return Vec::new() };
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first).map(|at| from + at) {
        if bytes[at..].starts_with(wanted) {
            found.push(at);
            from = at + wanted.len();
        } else {
            from = at + 1;
        }
    }
    found
}

impl Mismatch {
    fn refusal(&self, path: &str, bytes: &[u8], old: &str) -> Failure {
        let path = quoted(path);
        let (message, hint) = match self.lines.len() {
            0 => {
                let hint = nearest(&String::from_utf8_lossy(bytes), old);
                let message = format!("`oldText` is not in `{path}`");
                (message, hint.unwrap_or_else(|| "read the file and copy the text".to_owned()))
            }
            times => {
                let lines = named(&self.lines);
                let message = format!("`oldText` is in `{path}` {times} times, {lines}");
                let hint = "give more of the text around it, or `replaceAll: true`".to_owned();
                (message, hint)
            }
        };
        Failure::new(Reason::Provider, Code::EDIT_MISMATCH, message).hint(hint).not_sent()
    }
}

/// `at line 3`, `at lines 3, 5 and 9`, with no more than a few of them.
fn named(lines: &[usize]) -> String {
    let shown: Vec<String> = lines.iter().take(LINES_NAMED_MAX).map(ToString::to_string).collect();
    match (lines.len(), shown.as_slice()) {
        (1, [only]) => format!("at line {only}"),
        (all, shown) if all > shown.len() => {
            format!("at lines {} and {} more", shown.join(", "), all - shown.len())
        }
        (_, [start @ .., last]) => format!("at lines {} and {last}", start.join(", ")),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Before, old text, new text, all of them, after or the lines at which the old text is.
    type Case =
        (&'static str, &'static str, &'static str, bool, Result<&'static str, &'static [usize]>);

    const CASES: &[Case] = &[
        ("a\nb\nc\n", "b", "x", false, Ok("a\nx\nc\n")),
        ("a\nb\nc\n", "b\n", "", false, Ok("a\nc\n")),
        ("a\nb\nb\n", "b", "x", false, Err(&[2, 3])),
        ("a\nb\nb\n", "b", "x", true, Ok("a\nx\nx\n")),
        ("aaa", "aa", "b", true, Ok("ba")),
        ("aaa", "a", "aa", true, Ok("aaaaaa")),
        ("a\n", "z", "x", true, Err(&[])),
        ("", "z", "x", false, Err(&[])),
        ("a\n b\n", "b", "  b", false, Ok("a\n   b\n")),
        // Windows line endings: what is found and what is put there both have them.
        ("a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz", false, Ok("x\r\ny\r\nz\r\nc\r\n")),
        ("a\r\nb\r\n", "a\r\nb", "x\r\ny", false, Ok("x\r\ny\r\n")),
        ("a\r\nb\r\n", "b", "x\ny", false, Ok("a\r\nx\r\ny\r\n")),
        ("a\nb\n", "a\r\nb", "x\r\ny", false, Ok("x\ny\n")),
        // Both kinds in one file: only what is replaced changes.
        ("a\r\nb\nc\r\n", "a\nb", "x\ny", false, Ok("x\r\ny\nc\r\n")),
        ("a\r\nb\nc\r\nd\n", "c\nd", "x\ny", false, Ok("a\r\nb\nx\r\ny\n")),
        ("a\r\nb\nc\n", "b\nc", "x\ny", false, Ok("a\r\nx\ny\n")),
        // No line end at all: nothing to go by, so the text is as given.
        ("ab", "b", "x\r\ny", false, Ok("ax\r\ny")),
        ("\u{feff}a\n", "a", "b", false, Ok("\u{feff}b\n")),
        ("é\nü\n", "ü", "ö", false, Ok("é\nö\n")),
    ];

    #[test]
    fn an_edit_replaces_exactly_what_it_names_and_keeps_line_endings() {
        for (before, old, new, all, expected) in CASES {
            let edited = edit(before.as_bytes(), old, new, *all);
            let seen = edited.map(|edited| String::from_utf8(edited.bytes).unwrap());
            let seen = seen.map_err(|mismatch| mismatch.lines);
            assert_eq!(
                seen.as_deref().map_err(Vec::as_slice),
                *expected,
                "{before:?} {old:?} {new:?} {all}"
            );
        }
    }
}
