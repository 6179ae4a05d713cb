//! What is known of a worktree, in a file beside it: `<data>/worktrees/<run>/<slot>.json`.

use crate::failures::system;
use crate::names::Name;
use loopwright_types::Failure;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The file's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The repository: its common directory.
    pub(crate) repository: String,
    /// The commit it began at.
    pub(crate) base: String,
    /// The attempt it was made for.
    pub(crate) attempt: u32,
    /// When, in seconds since 1970.
    pub(crate) created: u64,
    /// Whether all files were checked out: before that no subagent saw it.
    pub(crate) ready: bool,
    /// Whether it was finished and kept.
    pub(crate) finished: bool,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

impl Record {
    /// The record of this name; `None` where there is none or it cannot be read.
    pub(crate) fn load(home: &Path, name: &Name) -> Option<Self> {
        serde_json::from_slice(&fs::read(name.record(home)).ok()?).ok()
    }

    /// Writes it whole or not at all.
    pub(crate) fn save(&self, home: &Path, name: &Name) -> Result<(), Failure> {
        let path = name.record(home);
        let draft = path.with_extension("tmp");
        let bytes =
            serde_json::to_vec(self).map_err(|error| crate::failures::failed(error.to_string()))?;
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(&draft, bytes));
        let written = written.and_then(|()| fs::rename(&draft, &path));
        written.map_err(|error| system("write", &path, &error))
    }

    /// Removes it, and the run's directory when nothing else is in it.
    pub(crate) fn remove(home: &Path, name: &Name) {
        let _ = fs::remove_file(name.record(home));
        let _ = fs::remove_dir(home.join(name.run.as_str()));
    }
}
