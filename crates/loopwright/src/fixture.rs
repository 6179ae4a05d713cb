//! Recordings of runs as tests of their programs.

mod forgive; // what may differ

pub(crate) use forgive::{Forgiving, rename};

use loopwright_journal::{Error, Store};
use loopwright_protocol::{Entry, ProgramText, RunStart};
use loopwright_types::RunId;
use std::path::Path;

/// A run's entries, in memory.
#[derive(Clone, Debug)]
pub struct Recording {
    /// In their order; never empty.
    pub(crate) entries: Vec<Entry>,
}

impl Recording {
    /// Reads an exported run.
    ///
    /// # Errors
    /// When the file is damaged, of a newer version or cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let mut entries = Vec::new();
        loopwright_journal::read_export(path, |entry| entries.push(entry))?;
        Ok(Self { entries })
    }

    /// Reads a recorded run.
    ///
    /// # Errors
    /// When there is no such run or it is damaged.
    pub fn of_run(store: &Store, run: &RunId) -> Result<Self, Error> {
        let entries = store.read(run)?.map(|entry| Ok(entry?.1)).collect::<Result<_, Error>>()?;
        Ok(Self { entries })
    }

    /// What the run was started with; nothing in a recording without entries.
    pub fn start(&self) -> Option<&RunStart> {
        match self.entries.first() {
            Some(Entry::RunStarted(start)) => Some(start),
            _ => None,
        }
    }
}

/// A program's text as a run pins it, its libraries with it. `name` is the file as the author named it.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn program_text(
    workspace: &Path,
    path: &Path,
    name: &str,
) -> Result<ProgramText, loopwright_program::Report> {
    crate::modules::load(workspace, path, name).map(|(_, text)| text)
}
