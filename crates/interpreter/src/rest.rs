//! A guest put to rest: its snapshot is in a file without a name, its instance is dropped. A run that waits for days
//! keeps only that file, which goes with the process; a later process replays the journal instead.

use crate::{Error, Guest, Interpreter, Limits};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

/// A resting guest.
pub(crate) struct Resting {
    file: File,
    length: usize,
}

impl Resting {
    /// Writes the guest's snapshot into a file in `dir` that nobody else can open.
    ///
    /// # Errors
    /// When the guest was stopped or the file cannot be written; the guest is as it was.
    pub(crate) fn keep(guest: &mut Guest, dir: &Path) -> std::io::Result<Self> {
        let bytes = guest.snapshot().map_err(|stop| std::io::Error::other(stop.to_string()))?;
        let mut file = tempfile::tempfile_in(dir)?;
        file.write_all(&bytes)?;
        Ok(Self { file, length: bytes.len() })
    }

    /// The guest as it was.
    ///
    /// # Errors
    /// When the file cannot be read back as it was written, or there is no room for the guest.
    pub(crate) fn wake(
        mut self,
        interpreter: &Interpreter,
        limits: &Limits,
    ) -> Result<Guest, Error> {
        let mut bytes = Vec::with_capacity(self.length);
        let read = self.file.rewind().and_then(|()| self.file.read_to_end(&mut bytes));
        read.map_err(|error| Error::setup(format!("a resting guest cannot be read: {error}")))?;
        interpreter.restore(&bytes, limits)
    }
}
