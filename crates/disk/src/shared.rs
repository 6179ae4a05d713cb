//! Memory that connections share: the index of SQLite's write-ahead log.

use std::ffi::c_void;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

/// Regions that stay where they are for as long as anybody holds this. Atomic words, because SQLite reads and
/// writes them through pointers of its own while others hold references.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Vec<Box<[AtomicU64]>>>);

impl Shared {
    /// Where the region begins; `None` when it is not there and not to be made.
    pub fn region(&self, number: usize, bytes: usize, extend: bool) -> Option<*mut c_void> {
        let mut regions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while regions.len() <= number && extend {
            regions.push((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect());
        }
        regions.get(number).map(|region| region.as_ptr().cast_mut().cast())
    }
}
