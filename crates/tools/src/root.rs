//! Opens files beneath the workspace, never beyond.
//!
//! The workspace is one directory handle. A path is resolved beneath it by the kernel (`openat2` with
//! `RESOLVE_BENEATH`), or, where that is not to be had or a link names an absolute path, one component at a
//! time with every link followed by hand. Both refuse what leads out, whatever changes meanwhile.

use crate::refusal::{failed, outside, quoted, system};
use loopwright_types::Failure;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Links followed on the way to one file, as the kernel does.
pub(crate) const LINKS_MAX: u32 = 40;
/// Components of one path.
pub(crate) const COMPONENTS_MAX: usize = 512;
/// Bytes of one path.
const PATH_BYTES_MAX: usize = 4096;

/// Opening never blocks on a named pipe and never takes a terminal.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The workspace.
#[derive(Debug)]
pub(crate) struct Root {
    handle: OwnedFd,
    /// Its path as given and as resolved: absolute paths inside either are understood.
    paths: [PathBuf; 2],
}

/// What a path leads to.
pub(crate) enum Opened {
    File(File),
    Directory(OwnedFd),
}

/// Why resolving failed.
pub(crate) enum Stop {
    Outside,
    Special(FileType),
    System(Errno),
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        match error {
            Errno::XDEV => Self::Outside,
            other => Self::System(other),
        }
    }
}

impl Stop {
    /// In the tools' words; `system` words what the operating system said.
    pub(crate) fn refusal(
        self,
        written: &str,
        system: fn(&str, &std::io::Error) -> Failure,
    ) -> Failure {
        match self {
            Self::Outside => outside(written),
            Self::System(Errno::LOOP) => {
                failed(format!("`{}` is a circle of links", quoted(written)))
            }
            Self::Special(kind) => special(written, kind),
            Self::System(error) => system(written, &error.into()),
        }
    }
}

impl Root {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let resolved = path.canonicalize()?;
        let handle = rustix::fs::open(&resolved, DIRECTORY, Mode::empty())?;
        Ok(Self { handle, paths: [path.to_path_buf(), resolved] })
    }

    /// Whether the directory at `path` is the one that was opened.
    pub(crate) fn is_still(&self, path: &Path) -> bool {
        let (Ok(now), Ok(opened)) = (rustix::fs::stat(path), rustix::fs::fstat(&self.handle))
        else {
            return false;
        };
        (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)
    }

    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Its path with every link resolved.
    pub(crate) fn path(&self) -> &Path {
        &self.paths[1]
    }

    /// The parts of a path that was written by a program, seen from the root.
    ///
    /// # Errors
    /// When it leads out by its text alone.
    pub(crate) fn parts(&self, written: &str) -> Result<Vec<String>, Failure> {
        if written.contains('\0') {
            return Err(outside(written));
        }
        if written.len() > PATH_BYTES_MAX {
            return Err(failed(format!("`{}` is too long for a path", quoted(written))));
        }
        let relative = self.relative(written).ok_or_else(|| outside(written))?;
        let mut parts: Vec<String> = Vec::new();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(|| outside(written))?;
                }
                name => parts.push(name.to_owned()),
            }
        }
        Ok(parts)
    }

    /// A written path without the root in front of it; `None` when it is absolute and elsewhere.
    pub(crate) fn relative<'a>(&self, written: &'a str) -> Option<&'a str> {
        if !written.starts_with('/') {
            return Some(written);
        }
        let inside = |root: &PathBuf| Path::new(written).strip_prefix(root).ok()?.to_str();
        self.paths.iter().filter(|root| root.is_absolute()).find_map(inside)
    }

    /// Opens a path.
    ///
    /// # Errors
    /// When it leads out, does not exist, may not be read, or is neither a file nor a directory.
    pub(crate) fn open_path(&self, written: &str, parts: &[String]) -> Result<Opened, Failure> {
        if parts.is_empty() {
            return self.handle.try_clone().map(Opened::Directory).map_err(|e| system(written, &e));
        }
        let found = match self.open_beneath(&parts.join("/")) {
            // A link with an absolute path may still lead inside; the slow way tells.
            Err(Stop::Outside | Stop::System(Errno::NOSYS | Errno::PERM | Errno::AGAIN)) => {
                self.open_by_hand(parts)
            }
            other => other,
        };
        let handle = found.map_err(|stop| stop.refusal(written, system))?;
        classify(written, handle)
    }

    /// Resolves in the kernel.
    #[cfg(target_os = "linux")]
    fn open_beneath(&self, path: &str) -> Result<OwnedFd, Stop> {
        use rustix::fs::{ResolveFlags, openat2};
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // First without opening: a device is never opened, not even to look at it.
        let place =
            openat2(&self.handle, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        if !is_readable(FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode)) {
            return Ok(place);
        }
        Ok(openat2(&self.handle, path, READ, Mode::empty(), resolve)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn open_beneath(&self, _path: &str) -> Result<OwnedFd, Stop> {
        Err(Stop::System(Errno::NOSYS))
    }

    /// Resolves one component at a time; no call here ever follows a link or goes up by itself.
    fn open_by_hand(&self, parts: &[String]) -> Result<OwnedFd, Stop> {
        let mut ahead: VecDeque<Vec<u8>> =
            parts.iter().map(|part| part.as_bytes().to_vec()).collect();
        let mut above: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == b".." {
                above.pop().ok_or(Stop::Outside)?;
                continue;
            }
            let here = above.last().map_or(self.handle.as_fd(), AsFd::as_fd);
            let name = Path::new(std::ffi::OsStr::from_bytes(&part));
            let kind =
                FileType::from_raw_mode(statat(here, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
            if kind == FileType::Symlink {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Stop::System(Errno::LOOP));
                }
                let target = readlinkat(here, name, Vec::new())?.into_bytes();
                let inner = self.link_target(&target)?;
                if target.starts_with(b"/") {
                    above.clear();
                }
                for part in inner
                    .split(|byte| *byte == b'/')
                    .rev()
                    .filter(|part| !matches!(*part, b"" | b"."))
                {
                    ahead.push_front(part.to_vec());
                }
                if ahead.len() > COMPONENTS_MAX {
                    return Err(Stop::System(Errno::NAMETOOLONG));
                }
                continue;
            }
            if ahead.is_empty() && !is_readable(kind) {
                return Err(Stop::Special(kind));
            }
            let flags = if ahead.is_empty() { READ } else { DIRECTORY };
            above.push(openat(here, name, flags | OFlags::NOFOLLOW, Mode::empty())?);
        }
        match above.pop() {
            Some(handle) => Ok(handle),
            None => self.handle.try_clone().map_err(|_| Stop::System(Errno::MFILE)),
        }
    }

    /// A link's target seen from the link's directory, or from the root when it is absolute and inside.
    pub(crate) fn link_target<'a>(&self, target: &'a [u8]) -> Result<&'a [u8], Stop> {
        if !target.starts_with(b"/") {
            return Ok(target);
        }
        let inside = |root: &PathBuf| {
            let rest = target.strip_prefix(root.as_os_str().as_bytes())?;
            let whole = rest.is_empty() || rest.starts_with(b"/") || root.as_os_str() == "/";
            whole.then_some(rest)
        };
        self.paths.iter().filter(|root| root.is_absolute()).find_map(inside).ok_or(Stop::Outside)
    }
}

fn is_readable(kind: FileType) -> bool {
    matches!(kind, FileType::RegularFile | FileType::Directory)
}

/// A file or a directory; anything else is refused by name.
fn classify(written: &str, handle: OwnedFd) -> Result<Opened, Failure> {
    let status = rustix::fs::fstat(&handle).map_err(|error| system(written, &error.into()))?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => Ok(Opened::File(File::from(handle))),
        FileType::Directory => Ok(Opened::Directory(handle)),
        other => Err(special(written, other)),
    }
}

pub(crate) fn special(written: &str, kind: FileType) -> Failure {
    let what = match kind {
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something special",
    };
    failed(format!("`{}` is {what}, not a file", quoted(written)))
}

/// Opens a directory's own entry, which must be no link.
pub(crate) fn open_entry(
    directory: BorrowedFd<'_>,
    name: &[u8],
    is_directory: bool,
) -> Result<OwnedFd, Errno> {
    let flags = if is_directory { DIRECTORY } else { READ };
    openat(directory, std::ffi::OsStr::from_bytes(name), flags | OFlags::NOFOLLOW, Mode::empty())
}

/// Opens a directory's own entry for reading, if it is a regular file.
pub(crate) fn open_file(directory: BorrowedFd<'_>, name: &[u8]) -> Option<File> {
    let handle = open_entry(directory, name, false).ok()?;
    let status = rustix::fs::fstat(&handle).ok()?;
    let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    regular.then(|| File::from(handle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// What a way of resolving says of a path: the inode it leads to, or that it leads out, or another error.
    fn verdict(found: Result<OwnedFd, Stop>) -> Result<u64, String> {
        match found {
            Ok(handle) => Ok(rustix::fs::fstat(handle).unwrap().st_ino),
            Err(Stop::Outside) => Err("outside".to_owned()),
            Err(Stop::Special(_)) => Err("special".to_owned()),
            Err(Stop::System(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_kernel_and_the_slow_way_agree_on_relative_links() {
        let place = tempfile::TempDir::new().unwrap();
        let inside = place.path().join("inside");
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::write(inside.join("a/b/file"), "").unwrap();
        std::fs::write(place.path().join("secret"), "").unwrap();
        let links = [
            ("../secret", "out"),
            ("a/b", "b"),
            ("../../a/b/file", "a/b/up"),
            ("b/up", "chain"),
            (".", "self"),
            ("a/../../secret", "over"),
            ("x", "y"),
            ("y", "x"),
            ("absent", "dangling"),
            ("a/b/file/", "slash"),
        ];
        for (target, name) in links {
            symlink(target, inside.join(name)).unwrap();
        }
        let root = Root::open(&inside).unwrap();
        let paths = [
            "out",
            "b",
            "b/file",
            "b/up",
            "a/b/up",
            "chain",
            "self/self/chain",
            "over",
            "x",
            "dangling",
            "absent",
            "a/b/file/more",
            "b/file",
            "a",
            "self",
        ];
        for path in paths {
            let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
            let by_kernel = match root.open_beneath(path) {
                Err(Stop::System(Errno::NOSYS | Errno::PERM)) => return, // no such call here: nothing to compare
                other => verdict(other),
            };
            assert_eq!(by_kernel, verdict(root.open_by_hand(&parts)), "{path}");
        }
        assert_eq!(verdict(root.open_beneath("out")), Err("outside".to_owned()));
    }
}
