//! `ls`: the entries of one directory.

use crate::argument::{Argument, Arguments, Kind};
use crate::output::{Output, shown};
use crate::refusal::{cancelled, failed, quoted, system};
use crate::root::{Opened, Root};
use crate::walk::known_type;
use loopwright_types::Failure;
use rustix::fs::{Dir, FileType};
use std::os::fd::AsFd;

/// The tool's own name.
pub(crate) const NAME: &str = "ls";
/// What it does.
pub(crate) const DOC: &str = "Lists the entries of one directory, one per line, sorted; directories end in `/`. Hidden \
    and ignored entries are listed too; links are not followed.";
/// What it takes.
pub(crate) const ARGUMENTS: &[Argument] = &[Argument {
    name: "path",
    aliases: &["directory", "dir", "dirpath", "directorypath", "filepath", "targetdirectory"],
    kind: Kind::Text,
    doc: "the directory; the workspace when absent",
}];

/// Lists the entries.
pub(crate) fn call(
    root: &Root,
    arguments: &Arguments,
    bytes_max: usize,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<String, Failure> {
    let path = arguments.text("path").filter(|path| !path.is_empty()).unwrap_or(".");
    let Opened::Directory(handle) = root.open_path(path, &root.parts(path)?)? else {
        return Err(failed(format!("`{}` is not a directory", quoted(path))));
    };
    let mut names: Vec<(Vec<u8>, bool)> = Vec::new();
    for entry in Dir::read_from(&handle).map_err(|error| system(path, &error.into()))? {
        let entry = entry.map_err(|error| system(path, &error.into()))?;
        let name = entry.file_name().to_bytes();
        if names.len() % 256 == 255 && is_cancelled() {
            return Err(cancelled(NAME));
        }
        if !matches!(name, b"." | b"..") {
            let kind = known_type(handle.as_fd(), name, entry.file_type());
            names.push((name.to_vec(), kind == FileType::Directory));
        }
    }
    names.sort_unstable();
    let mut output = Output::new(bytes_max);
    for (name, is_directory) in names {
        let slash = if is_directory { "/" } else { "" };
        if !output.line(&format!("{}{slash}", shown(&name))) {
            break;
        }
    }
    Ok(output.finish("the directory has more entries: use `glob` with a pattern"))
}
