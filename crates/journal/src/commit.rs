//! Group commit: everything that waits, of all runs, in one transaction with one sync.

use crate::control::Listener;
use crate::error::Error;
use crate::lease::{self, CheckFailure, Lease};
use crate::list::{self, List};
use crate::options::Options;
use crate::owner::{Owner, Owners};
use crate::place::Place;
use crate::run::{Stored, Tasks};
use crate::tail::{Tail, TailFile};
use crate::watch::Watch;
use crate::writer::{Counters, Message, Parts, Synced};
use loopwright_types::Bug;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Entries after which a transaction is committed although more are waiting: bounds how long the first
/// of them waits.
const COMMIT_ENTRIES_MAX: usize = 8192;

/// The same in bytes of their bodies.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// How long a commit waits for a process that holds the write lock before the run is given up.
pub(crate) const WAIT_LONG: Duration = Duration::from_secs(60);

/// How long a run that is about to start waits for it.
pub(crate) const WAIT_SHORT: Duration = Duration::from_secs(2);

/// A run that is being written.
pub(crate) struct Live {
    pub stored: Stored,
    /// Compared with the stored one before anything is added.
    pub epoch: u64,
    pub tasks: Tasks,
    pub synced: Synced,
    pub listener: Option<Listener>,
    /// Requests that the listener has and that are not acknowledged.
    pub delivered: BTreeSet<u64>,
    /// Why nothing more is written to it; it has been told.
    pub failure: Option<Error>,
}

/// Somebody who waits for the transaction.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What one transaction did and whom to tell.
#[derive(Default)]
pub(crate) struct Batch {
    pub begun: bool,
    pub entries: usize,
    pub bytes: usize,
    /// Runs that hold their lease in this transaction and whose row is written, by handle, and whether
    /// entries were added.
    pub touched: BTreeMap<u64, bool>,
    /// Handles that are of no use if the transaction fails.
    pub begun_runs: Vec<u64>,
    pub answers: Vec<Answer>,
    pub closed: Vec<u64>,
}

/// The state of whoever writes: the store's thread, or its caller. Fields are dropped in this order: the
/// last connection to close moves the log into the database and removes it, and only then is the
/// directory free for others.
pub(crate) struct Committer {
    pub database: Connection,
    pub tail: Option<TailFile>,
    pub owner: Owner,
    pub owners: Owners,
    pub place: Place,
    pub options: Options,
    pub runs: BTreeMap<u64, Live>,
    pub next_handle: u64,
    pub watch: Watch,
    counters: Arc<Counters>,
    /// Bytes in the log since the last checkpoint, roughly.
    logged: usize,
    failure: Option<Error>,
}

impl Committer {
    pub fn new(parts: Parts) -> Self {
        let Parts { place, options, database, owner, tail, counters } = parts;
        let owners = Owners::new(&place, &options);
        Self {
            database,
            tail,
            owner,
            owners,
            place,
            options,
            runs: BTreeMap::new(),
            next_handle: 0,
            watch: Watch::default(),
            counters,
            logged: 0,
            failure: None,
        }
    }

    /// Writes this message and all that wait behind it, then tells everyone.
    pub fn round(&mut self, first: Message, next: &mut dyn FnMut() -> Option<Message>) {
        if let Some(error) = self.failure.clone() {
            return first.refuse(&error);
        }
        let mut batch = Batch::default();
        match self.write(first, next, &mut batch) {
            Ok(()) => self.report(batch),
            Err(error) => self.fail(error, batch),
        }
    }

    /// Moves the log into the database before the store ends.
    pub fn finish(&mut self) {
        if self.failure.is_none() && self.logged > 0 {
            let _ = self.checkpoint();
        }
    }

    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub fn list(&self) -> List<'_> {
        List { database: &self.database, place: &self.place }
    }

    fn write(
        &mut self,
        first: Message,
        next: &mut dyn FnMut() -> Option<Message>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let mut message = Some(first);
        while let Some(staged) = message {
            self.stage(staged, batch)?;
            if batch.entries >= COMMIT_ENTRIES_MAX || batch.bytes >= COMMIT_BYTES_MAX {
                break;
            }
            message = next();
        }
        self.commit(batch)
    }

    /// Ends the transaction, if one was begun.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), Error> {
        if !batch.begun {
            return Ok(());
        }
        // The row of a run that was closed is written: somebody may have gone on with it since.
        for handle in batch.touched.keys().filter(|handle| !batch.closed.contains(handle)) {
            if let Some(live) = self.runs.get(handle)
                && !Bug::ForgetRow.is_on()
            {
                live.stored.update(&self.database).map_err(|error| self.fault(&error))?;
            }
        }
        self.execute("COMMIT")?;
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.entries.fetch_add(batch.entries as u64, Ordering::Relaxed);
        self.logged += 2 * batch.bytes + 8192 * (1 + batch.touched.len());
        Ok(())
    }

    /// Begins the transaction unless it is begun.
    pub fn begin(&self, wait: Duration, batch: &mut Batch) -> Result<(), Error> {
        if !batch.begun {
            list::begin(&self.database, wait).map_err(|e| self.fault(&e))?;
            batch.begun = true;
        }
        Ok(())
    }

    /// Whether the run may be written in this transaction, which is begun; one that may not is told why.
    pub fn hold(&mut self, handle: u64, batch: &mut Batch) -> Result<bool, Error> {
        match self.runs.get(&handle) {
            Some(live) if live.failure.is_none() => {}
            _ => return Ok(false),
        }
        self.begin(WAIT_LONG, batch)?;
        if batch.touched.contains_key(&handle) {
            return Ok(true);
        }
        let live = self.runs.get_mut(&handle).expect("it was there");
        match lease::check(&self.database, &live.stored, live.epoch) {
            Ok(()) => {
                batch.touched.insert(handle, false);
                Ok(true)
            }
            Err(CheckFailure::Lost(error)) => {
                live.fail(&error);
                Ok(false)
            }
            Err(CheckFailure::Sqlite(error)) => Err(self.fault(&error)),
        }
    }

    /// Gives this store's runs a lease that begins now.
    pub fn lease(&self, epoch: u64) -> Lease {
        Lease::new(self.owner.name(), epoch, self.options.now(), self.options.lease)
    }

    /// After a commit: the mark first, so that it can vouch for what is reported next.
    fn report(&mut self, batch: Batch) {
        let last = batch.touched.keys().next_back().and_then(|handle| self.runs.get(handle));
        if let (Some(live), Some(tail)) = (last, &self.tail) {
            let row = &live.stored.row;
            tail.mark(&Tail { run: row.id.clone(), entries: row.entries, head: row.head });
        }
        // Whoever began a run hears of that before the run hears anything.
        for answer in batch.answers {
            answer(Ok(()));
        }
        for handle in batch.touched.into_iter().filter_map(|(run, added)| added.then_some(run)) {
            if let Some(live) = self.runs.get_mut(&handle) {
                let more = u64::from(Bug::ReportOneMore.is_on());
                (live.synced)(Ok(live.stored.row.entries + more));
            }
        }
        for handle in batch.closed {
            self.runs.remove(&handle);
        }
        if self.logged >= self.options.checkpoint_bytes
            && let Err(error) = self.checkpoint()
        {
            self.fail(error, Batch::default());
        }
    }

    /// Moves what it can of the log into the database.
    fn checkpoint(&mut self) -> Result<(), Error> {
        self.logged = 0;
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        let moved = self.database.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        match moved.map_err(|error| self.fault(&error)) {
            // What is committed stays in the log; the next commit says if there is no room at all.
            Ok(()) | Err(Error::Locked { .. } | Error::DiskFull { .. }) => Ok(()),
            // A failed sync must never be tried again: the second one may say yes and mean nothing.
            Err(error) => Err(error),
        }
    }

    /// Nothing more is written. Every run is told once.
    pub fn fail(&mut self, error: Error, batch: Batch) {
        let _ = self.database.execute_batch("ROLLBACK");
        for handle in &batch.begun_runs {
            self.runs.remove(handle);
        }
        for live in self.runs.values_mut() {
            live.fail(&error);
        }
        for answer in batch.answers {
            answer(Err(error.clone()));
        }
        self.runs.clear();
        self.counters.has_failed.store(true, Ordering::Relaxed);
        self.failure = Some(error);
    }

    fn execute(&self, statement: &str) -> Result<(), Error> {
        self.database
            .prepare_cached(statement)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(|error| self.fault(&error))
    }

    pub fn fault(&self, error: &rusqlite::Error) -> Error {
        Error::from_sqlite(&self.place.directory, error)
    }
}

impl Live {
    /// Nothing more is written to it; it is told once.
    pub fn fail(&mut self, error: &Error) {
        if self.failure.is_none() {
            self.failure = Some(error.clone());
            (self.synced)(Err(error.clone()));
        }
    }
}
