//! What a store is told when it is opened.

use crate::database;
use crate::directory;
use crate::error::Error;
use crate::place::Place;
use loopwright_types::{Bug, Micros, Settings};
use rusqlite::Connection;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Heartbeats in one length of a lease: two may be late before it runs out.
const BEATS_PER_LEASE: u64 = 3;

/// Large enough that the two syncs of a checkpoint hardly count and that pages written again and again are moved
/// once; small enough that it does not hold the runs up for long.
const CHECKPOINT_BYTES: usize = 16 << 20;

type Clock = Arc<dyn Fn() -> Micros + Send + Sync>;
type SyncNames = Arc<dyn Fn() -> std::io::Result<()> + Send + Sync>;
type Gone = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How a store behaves; the default is that of the settings.
#[derive(Clone)]
pub struct Options {
    /// How long a run belongs to the store that records it without a sign of life from it.
    pub lease: Micros,
    /// Bytes of a value's JSON text above which it is stored once for all equal ones, by its SHA-256.
    pub inline_bytes_max: usize,
    /// Bytes written to the log, roughly, after which it is moved into the database.
    pub checkpoint_bytes: usize,
    /// The time, for leases and requests: comparable between all processes that share the directory.
    pub clock: Clock,
    /// What a store in a VFS calls itself; each open store needs a name of its own.
    pub owner: String,
    /// Whether the store of this name is known to be gone, for a store in a VFS; one in a directory finds
    /// out by itself. A store that is not known to be gone keeps its runs until its leases run out.
    pub gone: Gone,
    /// Syncs the names of the files in a VFS, as this room does itself with a directory: SQLite syncs the name of a
    /// new log only with the connection that made it, which need not be the first one that writes.
    pub sync_names: SyncNames,
}

impl Default for Options {
    fn default() -> Self {
        Self::of(&Settings::default())
    }
}

impl Options {
    /// What the settings say.
    pub fn of(settings: &Settings) -> Self {
        let bytes = settings.integer("journal.inline_bytes_max");
        Self {
            lease: Micros::from_millis(settings.integer("journal.lease_ms")),
            inline_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
            checkpoint_bytes: CHECKPOINT_BYTES,
            clock: Arc::new(wall_clock),
            owner: "owner".to_owned(),
            gone: Arc::new(|_| false),
            sync_names: Arc::new(|| Ok(())),
        }
    }

    /// The time between two signs of life.
    pub fn heartbeat(&self) -> Micros {
        Micros(self.lease.0 / BEATS_PER_LEASE)
    }

    /// Opens the database of a place to write and makes its files' names durable.
    ///
    /// # Errors
    /// As [`database::open_to_write`]; when the names cannot be synced.
    pub(crate) fn open(&self, place: &Place) -> Result<Connection, Error> {
        let _alone = database::opening();
        let database = database::open_to_write(place)?;
        let synced = match place.is_on_disk() {
            _ if Bug::NoDirectorySync.is_on() => Ok(()),
            true => directory::sync(&place.directory),
            false => (self.sync_names)(),
        };
        synced.map_err(|error| Error::from_io(&place.directory, &error))?;
        Ok(database)
    }

    pub(crate) fn now(&self) -> Micros {
        (self.clock)()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("lease", &self.lease)
            .field("inline_bytes_max", &self.inline_bytes_max)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// Leases outlive a restart of the machine, which no monotonic clock does. A clock that jumps can only
/// make a lease end early or late; who may write is decided by its epoch.
fn wall_clock() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
