//! One open journal for all runs that a process records in a directory: one thread that writes, one commit for what
//! many runs append at a time.

use crate::directory;
use crate::error::Error;
use crate::options::Options;
use crate::store::{Shared, Store};
use loopwright_types::Settings;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Those that are open and may be shared.
static OPEN: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

impl Store {
    /// The journal of a directory as these settings want it, shared with whoever in this process has it open so; opened
    /// if nobody has.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_shared(directory: &Path, settings: &Settings) -> Result<Self, Error> {
        let options = Options::of(settings);
        // Held while one is opened: whoever comes meanwhile waits and shares it.
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|shared| shared.strong_count() > 0);
        let shared =
            open.iter().filter_map(Weak::upgrade).find(|it| it.serves(directory, &options));
        if let Some(shared) = shared {
            return Ok(Self(shared));
        }
        let store = Self::open_as(directory, options)?;
        open.push(Arc::downgrade(&store.0));
        Ok(store)
    }
}

impl Shared {
    /// Whether it writes, in this way, the database that is in the directory now.
    fn serves(&self, directory: &Path, options: &Options) -> bool {
        self.options.lease == options.lease
            && self.options.inline_bytes_max == options.inline_bytes_max
            && !self.counters.has_failed.load(Ordering::Relaxed)
            && self.file.is_some()
            && self.file == directory::database_file(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_process_share_a_journal_unless_it_is_opened_otherwise_has_failed_or_has_gone() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let settings = Settings::default();
        let mut other = Settings::default();
        other.set("journal.lease_ms", "5000").unwrap();
        let is_shared = |one: &Store, path: &Path, settings: &Settings| {
            Arc::ptr_eq(&one.0, &Store::open_shared(path, settings).unwrap().0)
        };
        let first = Store::open_shared(&data, &settings).unwrap();
        assert!(is_shared(&first, &data, &settings));
        assert!(is_shared(&first, &data.join("../data"), &settings), "by another path");
        assert!(!is_shared(&first, &data, &other), "with another lease");
        assert!(!is_shared(&first, &directory.path().join("other"), &settings));
        first.0.counters.has_failed.store(true, Ordering::Relaxed);
        assert!(!is_shared(&first, &data, &settings), "it has failed");
        drop(first);

        let second = Store::open_shared(&data, &settings).unwrap();
        std::fs::remove_dir_all(&data).unwrap();
        assert!(!is_shared(&second, &data, &settings), "what it writes has gone");
    }
}
