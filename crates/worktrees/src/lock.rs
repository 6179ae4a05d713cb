//! One at a time per data directory, between threads and processes. The kernel frees it when its holder dies.

use crate::failures::{cancelled as gave_up, system};
use loopwright_types::Failure;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for it.
    pub(crate) fn take(home: &Path, cancelled: &dyn Fn() -> bool) -> Result<Self, Failure> {
        let path = home.join(".lock");
        let open = File::options().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(|error| system("open", &path, &error))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if cancelled() => return Err(gave_up()),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Error(error)) => return Err(system("lock", &path, &error)),
            }
        }
    }
}
