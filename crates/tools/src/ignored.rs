//! Which entries a walk leaves out: hidden ones, `.git`, and what `.gitignore` and `.ignore` files name.

use crate::root::open_file;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes read of one ignore file.
const IGNORE_BYTES_MAX: u64 = 1 << 20;
/// Ignore files of one directory, the weaker first.
const NAMES: [&[u8]; 2] = [b".gitignore", b".ignore"];

/// The rules on the way from the root to a directory.
#[derive(Default)]
pub(crate) struct Rules {
    /// Each with the length of its directory's path, trailing slash included.
    levels: Vec<(usize, Gitignore)>,
}

impl Rules {
    /// Adds the rules of a directory; gives back how many levels to take away when it is left.
    pub(crate) fn enter(&mut self, directory: BorrowedFd<'_>, path: &[u8]) -> usize {
        let before = self.levels.len();
        for name in NAMES {
            let Some(rules) = read(directory, name) else { continue };
            let start = if path.is_empty() { 0 } else { path.len() + 1 };
            self.levels.push((start, rules));
        }
        self.levels.len() - before
    }

    pub(crate) fn leave(&mut self, levels: usize) {
        self.levels.truncate(self.levels.len() - levels);
    }

    /// Whether the entry at `path` is left out: the innermost rule that speaks of it decides.
    pub(crate) fn ignores(&self, path: &[u8], is_directory: bool) -> bool {
        for (start, rules) in self.levels.iter().rev() {
            let relative = Path::new(std::ffi::OsStr::from_bytes(&path[*start..]));
            let verdict = rules.matched(relative, is_directory);
            if !verdict.is_none() {
                return verdict.is_ignore();
            }
        }
        false
    }
}

fn read(directory: BorrowedFd<'_>, name: &[u8]) -> Option<Gitignore> {
    let mut text = Vec::new();
    open_file(directory, name)?.take(IGNORE_BYTES_MAX).read_to_end(&mut text).ok()?;
    let mut builder = GitignoreBuilder::new("");
    for line in String::from_utf8_lossy(&text).lines() {
        // As git does, a line that is no pattern is passed over.
        let _ = builder.add_line(None, line);
    }
    builder.build().ok().filter(|rules| !rules.is_empty())
}
