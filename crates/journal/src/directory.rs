//! The data directory: made private, synced when made, and what its files are called.

use crate::error::Error;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The database; SQLite puts `-wal` and `-shm` beside it.
pub(crate) const DATABASE: &str = "journal.db";
/// The tail mark.
pub(crate) const TAIL: &str = "journal.tail";
/// The directory of the locks that live processes hold.
pub(crate) const OWNERS: &str = "owners";

/// Makes the directory, mode 0700, and the missing ones above it, and syncs every directory that got a
/// new name: without that a power failure could take the whole journal with it.
///
/// # Errors
/// When something else is in the way or it cannot be made.
pub(crate) fn prepare(directory: &Path) -> Result<(), Error> {
    let fail = |error: io::Error| Error::from_io(directory, &error);
    match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(Error::NotADirectory { path: directory.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    let new: Vec<PathBuf> = directory
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .map(Path::to_owned)
        .collect();
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        // A file where a directory above should be is said as `exists` on some systems.
        let in_the_way = error.kind() == io::ErrorKind::AlreadyExists;
        if in_the_way { Error::NotADirectory { path: directory.to_owned() } } else { fail(error) }
    })?;
    new.iter().try_for_each(|path| sync(parent(path))).map_err(fail)
}

/// Syncs a directory's names.
///
/// # Errors
/// When the system cannot.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory that holds the path.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// How files of the journal are opened: they hold prompts and answers, so nobody else may read them,
/// whatever the mode of a directory that was there before.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Makes an empty private file for SQLite to fill, if there is none. An existing one is not opened:
/// closing any handle on it would drop the locks that this process holds on it.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn prepare_database(directory: &Path) -> Result<(), Error> {
    let path = directory.join(DATABASE);
    match private_file().create_new(true).open(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::from_io(&path, &error))
        }
        _ => Ok(()),
    }
}

/// The database's size in bytes; 0 when there is none.
pub(crate) fn database_bytes(directory: &Path) -> u64 {
    std::fs::metadata(directory.join(DATABASE)).map_or(0, |found| found.len())
}

/// What tells the database's file from one that takes its place: device and inode; nothing when there is none.
pub(crate) fn database_file(directory: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(directory.join(DATABASE)).ok()?;
    Some((found.dev(), found.ino()))
}
