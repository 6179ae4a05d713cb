//! Where the database is: a directory of files, or a path inside a VFS that somebody registered with SQLite.

use crate::directory::{self, DATABASE};
use crate::error::Error;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// Everything that opening a connection needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// What errors name: the data directory, or the path inside the VFS.
    pub directory: PathBuf,
    database: PathBuf,
    /// None for SQLite's own, with our files beside the database.
    vfs: Option<String>,
}

impl Place {
    pub fn on_disk(directory: &Path) -> Self {
        let database = directory.join(DATABASE);
        Self { directory: directory.to_owned(), database, vfs: None }
    }

    pub fn in_vfs(vfs: &str, path: &Path) -> Self {
        Self { directory: path.to_owned(), database: path.to_owned(), vfs: Some(vfs.to_owned()) }
    }

    /// Whether it is a directory of the file system, with files of ours beside the database.
    pub fn is_on_disk(&self) -> bool {
        self.vfs.is_none()
    }

    /// Whether SQLite can keep a write-ahead log: its own VFS of memory has none, and nothing there is durable.
    pub fn has_log(&self) -> bool {
        self.vfs.as_deref() != Some("memdb")
    }

    /// The database's path.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Whether there is nothing that a reader could open. A VFS is asked when it is opened.
    pub fn is_empty(&self) -> bool {
        self.is_on_disk() && directory::database_bytes(&self.directory) == 0
    }

    /// A new connection.
    ///
    /// # Errors
    /// When there is no such VFS, or SQLite cannot open the file.
    pub fn open(&self, flags: OpenFlags) -> Result<Connection, Error> {
        let opened = match &self.vfs {
            None => Connection::open_with_flags(&self.database, flags),
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.database, flags, vfs.as_str()),
        };
        opened.map_err(|error| match error.sqlite_error() {
            // Nothing was read yet that could be damaged: there is no such VFS.
            Some(failure) if failure.extended_code == rusqlite::ffi::SQLITE_ERROR => {
                Error::Failed { path: self.directory.clone(), cause: error.to_string() }
            }
            _ => Error::from_sqlite(&self.directory, &error),
        })
    }
}
