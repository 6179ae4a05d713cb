//! What is in the workspace at a path, seen without following a link.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Absent,
    /// A file or a symbolic link.
    File(Stamp),
    Directory,
    /// Something else than a directory is where a directory would be: its path.
    Blocked(Vec<u8>),
    /// A socket, a device, or what may not be looked at.
    Special,
}

/// Tells whether a file was replaced or changed meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A path of the repository as a path of the system.
pub(crate) fn place(top: &Path, path: &[u8]) -> PathBuf {
    top.join(OsStr::from_bytes(path))
}

/// Looks at a path, component by component.
pub(crate) fn look(top: &Path, path: &[u8]) -> Disk {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in slashes {
        match fs::symlink_metadata(place(top, &path[..end])) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Disk::Blocked(path[..end].to_vec()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Disk::Absent,
            Err(_) => return Disk::Special,
        }
    }
    match fs::symlink_metadata(place(top, path)) {
        Ok(metadata) if metadata.is_dir() => Disk::Directory,
        Ok(metadata) if metadata.is_file() || metadata.is_symlink() => {
            Disk::File(Stamp::of(&metadata))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Disk::Absent,
        _ => Disk::Special,
    }
}

/// Whether files can be put where this path is, or where its directories would be made.
pub(crate) fn is_writable(top: &Path, path: &[u8]) -> bool {
    use rustix::fs::{Access, access};
    let path = place(top, path);
    let mut above = path.ancestors().skip(1).filter(|above| above.starts_with(top));
    let nearest = above.find(|above| above.is_dir());
    nearest.is_some_and(|nearest| access(nearest, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

/// Everything below a directory that is no directory, as paths of the repository; `None` when it cannot be read.
pub(crate) fn below(top: &Path, path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut found, mut next) = (Vec::new(), vec![path.to_vec()]);
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(place(top, &directory)).ok()? {
            let entry = entry.ok()?;
            let mut inner = directory.clone();
            inner.push(b'/');
            inner.extend_from_slice(entry.file_name().as_bytes());
            if entry.file_type().ok()?.is_dir() { next.push(inner) } else { found.push(inner) }
        }
    }
    Some(found)
}
