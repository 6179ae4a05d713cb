//! Where a file is written, and writing it whole: a temporary file beside it, then a rename, both beneath a
//! directory handle that was reached without ever following a link blindly. A reader sees the old text or the new
//! one, and a file that has other names (hard links) keeps its text under those.

use crate::refusal::{failed, protected, quoted, unwritable};
use crate::root::{COMPONENTS_MAX, DIRECTORY, LINKS_MAX, Root, Stop, open_entry, special};
use loopwright_types::Failure;
use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, Stat, accessat, fchmod, fsync, mkdirat, openat,
    readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a program's text decides for later runs, by its path from the root in lower case.
const PROTECTED: &[(&[&str], &str)] = &[
    (&["loopwright.toml"], "it grants what later runs may do"),
    (&[".loopwright", "settings.toml"], "it grants what later runs may do"),
    (&[".loopwright", "agents"], "it defines what later runs start"),
    (&[".claude", "agents"], "it defines what later runs start"),
    (&[".claude", "settings.json"], "it grants what later runs may do"),
    (&[".claude", "settings.local.json"], "it grants what later runs may do"),
    (&[".mcp.json"], "it names commands that later runs start"),
];

/// A place for a file beneath the root.
pub(crate) struct Place<'a> {
    written: &'a str,
    directory: OwnedFd,
    name: Vec<u8>,
    /// What stands there: a regular file, or nothing.
    pub(crate) existing: Option<Stat>,
}

impl<'a> Place<'a> {
    /// Finds the place of a path as a program wrote it. A link is followed where it stays inside. With `create`,
    /// directories that are missing on the way are made.
    ///
    /// # Errors
    /// When it leads out, is protected, is a directory or special, or a directory on the way is missing or not to be made.
    pub(crate) fn find(root: &Root, written: &'a str, create: bool) -> Result<Self, Failure> {
        let parts = root.parts(written)?;
        let directory = || failed(format!("`{}` is a directory, not a file", quoted(written)));
        if parts.is_empty() || written.ends_with('/') {
            return Err(directory());
        }
        // By its text alone first, so that no directory is made on the way to what is refused.
        guard(written, parts.iter().map(String::as_bytes))?;
        let mut steps = Steps::new(root, &parts, create);
        let name = steps.run(written)?.ok_or_else(directory)?;
        guard(written, steps.above.iter().map(|(_, name)| name.as_slice()).chain([&name[..]]))?;
        let here = steps.here();
        let existing = match statat(here, OsStr::from_bytes(&name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => Some(status),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(unwritable(written, &error.into())),
        };
        if let Some(status) = &existing {
            match FileType::from_raw_mode(status.st_mode) {
                FileType::RegularFile => {}
                FileType::Directory => return Err(directory()),
                other => return Err(special(written, other)),
            }
            // A rename would also replace what its owner marked as not to be written.
            accessat(here, OsStr::from_bytes(&name), Access::WRITE_OK, AtFlags::empty())
                .map_err(|error| unwritable(written, &error.into()))?;
        }
        let directory = here.try_clone_to_owned().map_err(|error| unwritable(written, &error))?;
        Ok(Self { written, directory, name, existing })
    }

    /// Opens what stands there.
    ///
    /// # Errors
    /// When nothing does, or it changed into a link meanwhile.
    pub(crate) fn open(&self) -> Result<File, Failure> {
        open_entry(self.directory.as_fd(), &self.name, false)
            .map(File::from)
            .map_err(|error| crate::refusal::system(self.written, &error.into()))
    }

    /// Puts these bytes there, all or nothing. What stood there keeps its permissions.
    ///
    /// # Errors
    /// When it cannot be written, or what stood there is not what [`Place::find`] saw.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<(), Failure> {
        let system = |error: Errno| unwritable(self.written, &error.into());
        let (temporary, file) = self.temporary().map_err(system)?;
        let written = self.fill(file, bytes).and_then(|()| {
            if self.is_changed() {
                let message =
                    format!("`{}` was changed by another meanwhile", quoted(self.written));
                return Err(failed(message).hint("read it again, then decide anew"));
            }
            let (from, to) = (OsStr::from_bytes(&temporary), OsStr::from_bytes(&self.name));
            renameat(&self.directory, from, &self.directory, to).map_err(system)
        });
        if written.is_err() {
            let _ = unlinkat(&self.directory, OsStr::from_bytes(&temporary), AtFlags::empty());
            return written;
        }
        // The file is in its place; that some filesystems cannot sync a directory changes nothing about it.
        let _ = fsync(&self.directory);
        Ok(())
    }

    fn temporary(&self) -> Result<(Vec<u8>, OwnedFd), Errno> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!(".loopwright-{}-{number}.tmp", std::process::id()).into_bytes();
            match openat(
                &self.directory,
                OsStr::from_bytes(&name),
                flags,
                Mode::from_raw_mode(0o666),
            ) {
                Ok(handle) => return Ok((name, handle)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&self, handle: OwnedFd, bytes: &[u8]) -> Result<(), Failure> {
        let mut file = File::from(handle);
        let mut write = || {
            file.write_all(bytes)?;
            if let Some(status) = &self.existing {
                fchmod(&file, Mode::from_raw_mode(status.st_mode & 0o7777))?;
            }
            file.sync_all()
        };
        write().map_err(|error| unwritable(self.written, &error))
    }

    fn is_changed(&self) -> bool {
        let name = OsStr::from_bytes(&self.name);
        let now = statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let seen = |status: &Stat| {
            (status.st_dev, status.st_ino, status.st_size, status.st_mtime, status.st_mtime_nsec)
        };
        now.as_ref().map(seen) != self.existing.as_ref().map(seen)
    }
}

/// Refuses what later runs are decided by.
fn guard<'p>(written: &str, parts: impl Iterator<Item = &'p [u8]>) -> Result<(), Failure> {
    let parts: Vec<String> =
        parts.map(|part| String::from_utf8_lossy(part).to_lowercase()).collect();
    if parts.iter().any(|part| part == ".git") {
        return Err(protected(written, "git runs what is configured there"));
    }
    let found = PROTECTED.iter().find(|(path, _)| {
        path.len() <= parts.len() && path.iter().zip(&parts).all(|(a, b)| a == b)
    });
    found.map_or(Ok(()), |(_, why)| Err(protected(written, why)))
}

/// The way down to a file, one component at a time; no call here follows a link or goes up by itself.
struct Steps<'r> {
    root: &'r Root,
    ahead: VecDeque<Vec<u8>>,
    /// The directories entered, each with its name.
    above: Vec<(OwnedFd, Vec<u8>)>,
    links: u32,
    create: bool,
}

impl<'r> Steps<'r> {
    fn new(root: &'r Root, parts: &[String], create: bool) -> Self {
        let ahead = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
        Self { root, ahead, above: Vec::new(), links: 0, create }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.above.last().map_or(self.root.handle(), |(handle, _)| handle.as_fd())
    }

    /// Goes down; the name of the last component, which is no link, or `None` when the way ends at a directory.
    fn run(&mut self, written: &str) -> Result<Option<Vec<u8>>, Failure> {
        while let Some(part) = self.ahead.pop_front() {
            match self.step(&part) {
                Ok(true) => return Ok(Some(part)),
                Ok(false) => {}
                Err(stop) => return Err(stop.refusal(written, unwritable)),
            }
        }
        Ok(None)
    }

    /// Takes one component; `true` when it is the last.
    fn step(&mut self, part: &[u8]) -> Result<bool, Stop> {
        if part == b".." {
            self.above.pop().ok_or(Stop::Outside)?;
            return Ok(false);
        }
        let name = OsStr::from_bytes(part);
        let is_last = self.ahead.is_empty();
        let kind = match statat(self.here(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => FileType::from_raw_mode(status.st_mode),
            Err(Errno::NOENT) if is_last => return Ok(true),
            Err(Errno::NOENT) if self.create => {
                match mkdirat(self.here(), name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => FileType::Directory,
                    Err(error) => return Err(Stop::System(error)),
                }
            }
            Err(error) => return Err(Stop::System(error)),
        };
        if kind == FileType::Symlink {
            return self.follow(name).map(|()| false);
        }
        if is_last && kind != FileType::Directory {
            return Ok(true);
        }
        let entered = openat(self.here(), name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        self.above.push((entered, part.to_vec()));
        Ok(false)
    }

    fn follow(&mut self, name: &OsStr) -> Result<(), Stop> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Stop::System(Errno::LOOP));
        }
        let target = readlinkat(self.here(), name, Vec::new())?.into_bytes();
        let inner = self.root.link_target(&target)?;
        if target.starts_with(b"/") {
            self.above.clear();
        }
        let parts = inner.split(|byte| *byte == b'/');
        for part in parts.rev().filter(|part| !matches!(*part, b"" | b".")) {
            self.ahead.push_front(part.to_vec());
        }
        if self.ahead.len() > COMPONENTS_MAX {
            return Err(Stop::System(Errno::NAMETOOLONG));
        }
        Ok(())
    }
}
