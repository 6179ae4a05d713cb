//! `read_file`: the text of one file, or some of its lines.

use crate::argument::{Argument, Arguments, Kind};
use crate::refusal::{cancelled, failed, quoted, system};
use crate::root::{Opened, Root};
use loopwright_types::Failure;
use std::fs::File;
use std::io::Read;

/// The tool's own name.
pub(crate) const NAME: &str = "read_file";
/// What it does.
pub(crate) const DOC: &str = "Reads a text file, or some of its lines, as plain text. A binary file is an error; a \
    text over the size limit is cut at a line and says where to go on.";
/// What it takes.
pub(crate) const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "path",
        aliases: &["filepath", "file", "filename", "absolutepath", "targetfile"],
        kind: Kind::Text,
        doc: "the file",
    },
    Argument {
        name: "offset",
        aliases: &["startline", "line", "from"],
        kind: Kind::Count(0),
        doc: "the line to start with, counted from 1",
    },
    Argument {
        name: "limit",
        aliases: &["lines", "maxlines", "linecount", "count"],
        kind: Kind::Count(1),
        doc: "the most lines to read",
    },
];

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Room kept for the line that says that the text was cut.
const NOTICE_BYTES: usize = 200;

/// Reads the file.
pub(crate) fn call(
    root: &Root,
    arguments: &Arguments,
    bytes_max: usize,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<String, Failure> {
    let path = arguments.required("path")?;
    let Opened::File(file) = root.open_path(path, &root.parts(path)?)? else {
        let failure = failed(format!("`{}` is a directory, not a file", quoted(path)));
        return Err(failure.hint("list it with `ls`"));
    };
    let first = arguments.count("offset").unwrap_or(1).max(1);
    let last = arguments.count("limit").map_or(u64::MAX, |limit| first.saturating_add(limit - 1));
    let room = bytes_max.saturating_sub(NOTICE_BYTES);
    let mut lines = Lines { line: 1, first, last, room, kept: Vec::new(), overflow: false };
    read(file, path, &mut lines, is_cancelled)?;
    Ok(lines.finish(arguments.count("offset").is_some()))
}

fn read(
    mut file: File,
    path: &str,
    lines: &mut Lines,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut start = true;
    loop {
        if is_cancelled() {
            return Err(cancelled(NAME));
        }
        let count = match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(system(path, &error)),
        };
        let mut bytes = &chunk[..count];
        if bytes.contains(&0) {
            let failure = failed(format!("`{}` is a binary file", quoted(path)));
            return Err(failure.hint("only text is read; UTF-16 counts as binary"));
        }
        if std::mem::take(&mut start) {
            bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        }
        if !lines.take(bytes) {
            return Ok(());
        }
    }
}

/// The wanted lines, collected as the file goes by.
struct Lines {
    /// The line that the next byte belongs to.
    line: u64,
    first: u64,
    last: u64,
    room: usize,
    kept: Vec<u8>,
    /// More was wanted than there was room for.
    overflow: bool,
}

impl Lines {
    /// Takes what is wanted of the bytes; `false` when no more is.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line > self.last {
                return false;
            }
            if self.line >= self.first {
                self.kept.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.line += 1;
            }
            if self.kept.len() > self.room {
                self.overflow = true;
                return false;
            }
        }
        true
    }

    fn finish(self, from_offset: bool) -> String {
        if self.kept.is_empty() && from_offset && self.line < self.first {
            // An empty result would look like an empty file.
            return format!("[the file has fewer than {} lines]", self.first);
        }
        let (first, room) = (self.first, self.room);
        let mut text = text(self.kept);
        if text.len() <= room && !self.overflow {
            return text;
        }
        text.truncate(text.floor_char_boundary(room));
        let Some(end) = text.rfind('\n') else {
            text.push_str(&format!(
                "\n[cut inside line {first}: it is longer than a result may be]"
            ));
            return text;
        };
        text.truncate(end + 1);
        let next = first + text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        text.push_str(&format!("[cut before line {next}: read on with `offset` {next}]"));
        text
    }
}

/// Text of any encoding: what is not UTF-8 becomes U+FFFD.
fn text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}
