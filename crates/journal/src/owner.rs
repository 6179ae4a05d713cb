//! Which processes live, so that the runs of one that crashed need not wait for their leases to run out.
//!
//! Each process that writes holds a lock on a file of its own in `owners/`, and its leases name that file.
//! The system drops the lock when the process ends, however it ends: no process id that could have been
//! given to another process, nothing to compare after a restart of the machine, and it holds across
//! containers that share the directory.

use crate::directory::{self, OWNERS};
use crate::error::Error;
use crate::lease::Lease;
use crate::options::Options;
use crate::place::Place;
use loopwright_types::Micros;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name that a store's leases carry and, in a directory, the lock that proves that its process lives;
/// dropping it ends the ownership.
pub(crate) struct Owner {
    name: String,
    lock: Option<(PathBuf, File)>,
}

/// How a store finds out whether another one is gone.
#[derive(Clone)]
pub(crate) struct Owners {
    place: Place,
    options: Options,
}

impl Owners {
    pub fn new(place: &Place, options: &Options) -> Self {
        Self { place: place.clone(), options: options.clone() }
    }

    /// Whether the store of this name is known to be gone.
    pub fn is_gone(&self, name: &str) -> bool {
        if self.place.is_on_disk() {
            !is_live(&self.place.directory, name)
        } else {
            (self.options.gone)(name)
        }
    }

    /// Whether somebody records the run: the lease has not run out, and its owner is not known to be gone.
    pub fn is_held(&self, lease: &Lease, now: Micros) -> bool {
        lease.until > now && lease.owner.as_deref().is_some_and(|owner| !self.is_gone(owner))
    }
}

impl Owner {
    /// A name that the options give, for a store without files.
    pub fn named(options: &Options) -> Self {
        Self { name: options.owner.clone(), lock: None }
    }

    /// Takes a new lock and clears away those that dead processes left.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let owners = directory.join(OWNERS);
        let make = || {
            directory::prepare(&owners)?;
            sweep(&owners);
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{:x}-{count}", std::process::id(), since.as_nanos());
            let path = owners.join(&name);
            let unborn = owners.join(format!("{name}.new"));
            // Locked first and named then: a file of this name that is not locked has no owner any more.
            let lock = || {
                let file = directory::private_file().create_new(true).open(&unborn)?;
                if let Err(TryLockError::Error(error)) = file.try_lock() {
                    // No locks here: the run is shown as it was recorded.
                    if error.kind() != io::ErrorKind::Unsupported {
                        return Err(error);
                    }
                }
                std::fs::rename(&unborn, &path)?;
                Ok(file)
            };
            let lock = lock().map_err(|error| Error::from_io(&owners, &error))?;
            Ok(Self { name, lock: Some((path, lock)) })
        };
        make().map_err(|error| blame(error, directory))
    }

    /// The name that leases carry.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The person chose the data directory, not the one inside it.
fn blame(error: Error, directory: &Path) -> Error {
    match error {
        Error::ReadOnly { cause, .. } => Error::ReadOnly { path: directory.to_owned(), cause },
        Error::DiskFull { .. } => Error::DiskFull { path: directory.to_owned() },
        other => other,
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.lock {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether the process that took this lock still lives. A place without locks says yes.
fn is_live(directory: &Path, name: &str) -> bool {
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fits && is_locked(&directory.join(OWNERS).join(name))
}

fn is_locked(path: &Path) -> bool {
    match OpenOptions::new().read(true).open(path) {
        Ok(file) => file.try_lock_shared().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Removes the files of dead processes. Nothing depends on it, so errors are ignored.
fn sweep(owners: &Path) {
    let Ok(files) = std::fs::read_dir(owners) else { return };
    for path in files.flatten().map(|file| file.path()) {
        let unborn = path.extension().is_some_and(|extension| extension == "new");
        if !unborn && !is_locked(&path) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_until_it_is_dropped_and_its_file_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::take(directory.path()).unwrap();
        let other = Owner::take(directory.path()).unwrap();
        let name = owner.name().to_owned();
        assert!(is_live(directory.path(), &name) && is_live(directory.path(), other.name()));
        drop(owner);
        assert!(!is_live(directory.path(), &name));
        assert!(is_live(directory.path(), other.name()), "taking a lock must not sweep a live one");
        assert!(!is_live(directory.path(), "../x") && !is_live(directory.path(), ""));
    }
}
