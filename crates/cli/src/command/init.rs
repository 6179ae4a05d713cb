//! `init`: a small project to start from, whose next command works.

use crate::args::Init;
use crate::failure::Failure;
use crate::terminal::Terminal;
use loopwright::types::{Code, Diagnostic};
use loopwright::view::escape;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// The files, by their paths in the project.
const FILES: [(&str, &str); 4] = [
    ("main.ts", include_str!("../../template/main.ts")),
    (".loopwright/agents/word-counter.md", include_str!("../../template/word-counter.md")),
    (".loopwright/word_counter.py", include_str!("../../template/word_counter.py")),
    (".loopwright/settings.toml", include_str!("../../template/settings.toml")),
];
const GITIGNORE: &str = include_str!("../../template/gitignore");
/// Given where the directory has no text of its own to count.
const README: (&str, &str) = ("README.md", include_str!("../../template/README.md"));

/// Writes the project and prints the next command.
///
/// # Errors
/// `LW0905` before anything is written when a file is in the way; others when writing fails.
pub fn init(terminal: &Terminal, args: &Init) -> Result<u8, Failure> {
    let root = &args.dir;
    let in_way: Vec<&str> = FILES
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| root.join(path).symlink_metadata().is_ok())
        .collect();
    if !in_way.is_empty() {
        let message = format!("`{}` is already there", in_way.join("`, `"));
        let hint =
            "nothing was written; move it away, or name another directory: `loopwright init demo`";
        return Err(Diagnostic::new(Code::FILE_EXISTS, message).hint(hint).into());
    }
    for (path, text) in FILES {
        write(root, path, text)?;
        terminal.tell(&format!("wrote {path}"));
    }
    if root.join(README.0).symlink_metadata().is_err() {
        write(root, README.0, README.1)?;
        terminal.tell(&format!("wrote {}", README.0));
    }
    if ignore(root)? {
        terminal.tell("added a line to .gitignore");
    }
    if !has_python() {
        terminal.tell("note: the example's subagent needs `python3`, which is not on the PATH");
    }
    let shown = root.display().to_string();
    let enter = if shown == "." { String::new() } else { format!("cd {} && ", quoted(&shown)) };
    terminal.tell("next:");
    terminal.out(&format!("{enter}loopwright run main.ts\n")).map(|()| 0)
}

/// Makes a new file; never over one that came up meanwhile.
fn write(root: &Path, path: &str, text: &str) -> Result<(), Diagnostic> {
    let whole = root.join(path);
    let fail = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::AlreadyExists => Code::FILE_EXISTS,
            std::io::ErrorKind::StorageFull => Code::DISK_FULL,
            _ => Code::USAGE,
        };
        Diagnostic::new(code, format!("cannot write `{}`: {error}", whole.display()))
    };
    if let Some(parent) = whole.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&whole).map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)
}

/// Adds our lines to `.gitignore`, which may be there with lines of its own. Whether there was anything to add.
fn ignore(root: &Path) -> Result<bool, Diagnostic> {
    let path = root.join(".gitignore");
    let there = fs::read_to_string(&path).unwrap_or_default();
    let rule = GITIGNORE.lines().last().unwrap_or_default();
    if there.lines().any(|line| line.trim() == rule) {
        return Ok(false);
    }
    let gap = if there.is_empty() || there.ends_with('\n') { "" } else { "\n" };
    let add = || {
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        file.write_all(format!("{gap}{GITIGNORE}").as_bytes())
    };
    add().map(|()| true).map_err(|error| {
        Diagnostic::new(Code::USAGE, format!("cannot write `{}`: {error}", path.display()))
    })
}

fn has_python() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join("python3").is_file())
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./~".contains(c);
    let path = escape(path);
    if path.chars().all(plain) {
        path.into_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
