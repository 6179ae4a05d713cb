//! Files under a directory in a fixed order: by name within each directory, links never followed.

use crate::ignored::Rules;
use crate::root::{Opened, Root, open_entry};
use loopwright_types::Failure;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Levels of directories that a walk goes down; each holds one handle.
const DEPTH_MAX: usize = 128;
/// Entries between two looks at whether the call was cancelled.
const CANCEL_EVERY: u64 = 256;

/// How a walk goes.
pub(crate) struct Walk<'a> {
    /// Whether names that start with a dot are visited.
    pub(crate) hidden: bool,
    /// Whether what ignore files name is visited.
    pub(crate) ignored: bool,
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

/// Whether a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    More,
    Stop,
}

/// A file that a walk came to.
pub(crate) struct Found<'a> {
    /// From the root, with `/`.
    pub(crate) path: &'a [u8],
    pub(crate) directory: BorrowedFd<'a>,
    pub(crate) name: &'a [u8],
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Stopped,
    Cancelled,
}

type Visit<'v> = &'v mut dyn FnMut(&Found<'_>) -> Next;

impl Walk<'_> {
    /// Visits every regular file under the directory that `parts` name, which was opened as `start`.
    ///
    /// # Errors
    /// None for what cannot be read on the way: it is passed over, as `git` and `ripgrep` do.
    pub(crate) fn run(
        &self,
        root: &Root,
        parts: &[String],
        start: &OwnedFd,
        visit: Visit<'_>,
    ) -> Result<End, Failure> {
        let mut state = State { rules: Rules::default(), entries: 0, path: Vec::new() };
        // Rules of the directories above the start hold inside it too.
        for depth in 0..parts.len() {
            if let Ok(Opened::Directory(above)) = root.open_path("", &parts[..depth]) {
                state.rules.enter(above.as_fd(), &state.path);
            }
            state.push(parts[depth].as_bytes());
        }
        Ok(self.directory(start, &mut state, 0, visit))
    }

    fn directory(
        &self,
        handle: &OwnedFd,
        state: &mut State,
        depth: usize,
        visit: Visit<'_>,
    ) -> End {
        let levels = if self.ignored { 0 } else { state.rules.enter(handle.as_fd(), &state.path) };
        let end = self.entries(handle, state, depth, visit);
        state.rules.leave(levels);
        end
    }

    fn entries(&self, handle: &OwnedFd, state: &mut State, depth: usize, visit: Visit<'_>) -> End {
        let Some(entries) = self.read(handle, state) else { return End::Cancelled };
        for (name, kind) in entries {
            let is_directory = kind == FileType::Directory;
            let length = state.path.len();
            state.push(&name);
            let mut end = End::Done;
            if self.ignored || !state.rules.ignores(&state.path, is_directory) {
                if kind == FileType::RegularFile {
                    let found = Found { path: &state.path, directory: handle.as_fd(), name: &name };
                    end = if visit(&found) == Next::Stop { End::Stopped } else { End::Done };
                } else if is_directory
                    && depth < DEPTH_MAX
                    && let Ok(inner) = open_entry(handle.as_fd(), &name, true)
                {
                    end = self.directory(&inner, state, depth + 1, visit);
                }
            }
            state.path.truncate(length);
            if end != End::Done {
                return end;
            }
        }
        if (self.cancelled)() { End::Cancelled } else { End::Done }
    }

    /// The entries to visit, by name; `None` when cancelled meanwhile.
    fn read(&self, handle: &OwnedFd, state: &mut State) -> Option<Vec<(Vec<u8>, FileType)>> {
        let mut entries = Vec::new();
        let Ok(directory) = Dir::read_from(handle) else { return Some(entries) };
        for entry in directory.flatten() {
            state.entries += 1;
            if state.entries.is_multiple_of(CANCEL_EVERY) && (self.cancelled)() {
                return None;
            }
            let name = entry.file_name().to_bytes();
            let skipped =
                matches!(name, b"." | b".." | b".git") || (!self.hidden && name.starts_with(b"."));
            if skipped {
                continue;
            }
            let kind = known_type(handle.as_fd(), name, entry.file_type());
            if matches!(kind, FileType::RegularFile | FileType::Directory) {
                entries.push((name.to_vec(), kind));
            }
        }
        entries.sort_unstable_by(|a: &(Vec<u8>, FileType), b| a.0.cmp(&b.0));
        Some(entries)
    }
}

/// Some filesystems do not tell the type with the name.
pub(crate) fn known_type(directory: BorrowedFd<'_>, name: &[u8], told: FileType) -> FileType {
    if told != FileType::Unknown {
        return told;
    }
    let status = statat(directory, std::ffi::OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW);
    status.map_or(FileType::Unknown, |status| FileType::from_raw_mode(status.st_mode))
}

struct State {
    rules: Rules,
    entries: u64,
    path: Vec<u8>,
}

impl State {
    fn push(&mut self, name: &[u8]) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }
}
