//! Group commit: everything that waits, of all runs, in one transaction with one sync.

use crate::error::Error;
use crate::list;
use crate::owner::Owner;
use crate::record;
use crate::run::{Stored, Tasks};
use crate::statements::Statements;
use crate::tail::{Tail, TailFile};
use crate::writer::{Counters, Message, Reply, Synced};
use loopwright_protocol::{Entry, FORMAT_VERSION, RunStart};
use loopwright_types::RunId;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Entries after which a transaction is committed although more are waiting: bounds how long the first
/// of them waits.
const COMMIT_ENTRIES_MAX: usize = 8192;

/// The same in bytes of their bodies.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// Bytes written to the log, roughly, after which it is moved into the database. Large enough that the
/// two syncs of a checkpoint hardly count and that pages written again and again are moved once; small
/// enough that it does not hold the runs up for long.
const CHECKPOINT_BYTES: usize = 16 << 20;

/// How long a commit waits for a process that holds the write lock before the run is given up.
const WAIT_LONG: Duration = Duration::from_secs(60);

/// How long a run that is about to start waits for it.
const WAIT_SHORT: Duration = Duration::from_secs(2);

/// A run that is being written.
struct Live {
    stored: Stored,
    tasks: Tasks,
    synced: Synced,
}

/// What one transaction did and whom to tell.
#[derive(Default)]
struct Batch {
    begun: bool,
    entries: usize,
    bytes: usize,
    /// Runs whose row changed, and whether by entries.
    touched: BTreeMap<u64, bool>,
    created: Vec<(u64, Reply<u64>)>,
    answers: Vec<Reply<()>>,
    closed: Vec<u64>,
}

/// The writer thread's state.
pub(crate) struct Committer<'a> {
    directory: &'a Path,
    database: &'a Connection,
    owner: &'a Owner,
    tail: &'a TailFile,
    counters: &'a Counters,
    /// Made with the first transaction.
    statements: Option<Statements<'a>>,
    runs: BTreeMap<u64, Live>,
    /// Bytes in the log since the last checkpoint, roughly.
    logged: usize,
    failure: Option<Error>,
}

impl<'a> Committer<'a> {
    pub fn new(
        directory: &'a Path,
        database: &'a Connection,
        owner: &'a Owner,
        tail: &'a TailFile,
        counters: &'a Counters,
    ) -> Self {
        let (statements, runs) = (None, BTreeMap::new());
        let (logged, failure) = (0, None);
        Self { directory, database, owner, tail, counters, statements, runs, logged, failure }
    }

    /// Writes this message and all that wait behind it, then tells everyone.
    pub fn round(&mut self, first: Message, inbox: &Receiver<Message>) {
        if let Some(error) = self.failure.clone() {
            return self.refuse(first, &error);
        }
        let mut batch = Batch::default();
        match self.write(first, inbox, &mut batch) {
            Ok(()) => self.report(batch),
            Err(error) => self.fail(error, batch),
        }
    }

    /// Moves the log into the database before the thread ends.
    pub fn finish(&mut self) {
        if self.failure.is_none() && self.logged > 0 {
            let _ = self.checkpoint();
        }
    }

    fn write(
        &mut self,
        first: Message,
        inbox: &Receiver<Message>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let mut next = Some(first);
        while let Some(message) = next {
            self.stage(message, batch)?;
            if batch.entries >= COMMIT_ENTRIES_MAX || batch.bytes >= COMMIT_BYTES_MAX {
                break;
            }
            next = inbox.try_recv().ok();
        }
        if !batch.begun {
            return Ok(());
        }
        let statements = self.statements.as_mut().expect("a transaction was begun with them");
        for run in batch.touched.keys() {
            if let Some(live) = self.runs.get(run) {
                let updated = statements.update(&live.stored);
                updated.map_err(|error| Error::from_sqlite(self.directory, &error))?;
            }
        }
        self.execute("COMMIT")?;
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.entries.fetch_add(batch.entries as u64, Ordering::Relaxed);
        self.logged += 2 * batch.bytes + 8192 * (1 + batch.touched.len());
        Ok(())
    }

    fn stage(&mut self, message: Message, batch: &mut Batch) -> Result<(), Error> {
        match message {
            Message::Create { start, synced, reply } => self.create(&start, synced, reply, batch),
            Message::Append { run, entries } => self.append(run, &entries, batch),
            Message::Close { run, reply } => self.close(run, reply, batch),
            Message::Delete { run, reply } => self.delete(&run, reply, batch),
        }
    }

    fn append(&mut self, run: u64, entries: &[Entry], batch: &mut Batch) -> Result<(), Error> {
        self.begin(WAIT_LONG, batch)?;
        let Some(live) = self.runs.get_mut(&run) else { return Ok(()) };
        let statements = self.statements.as_mut().expect("a transaction was begun with them");
        for entry in entries {
            let body = entry.encode();
            let row = &mut live.stored.row;
            if row.entries == record::PLACES_MAX {
                let cause = format!("run `{}` has too many entries", row.id);
                return Err(Error::Failed { path: self.directory.to_owned(), cause });
            }
            row.head = record::chain(&row.head, row.entries, FORMAT_VERSION, &body);
            statements
                .insert_entry(
                    record::row_number(run, row.entries),
                    FORMAT_VERSION,
                    &row.head,
                    &body,
                )
                .map_err(|error| Error::from_sqlite(self.directory, &error))?;
            row.entries += 1;
            batch.bytes += body.len();
            live.tasks.apply(&mut live.stored, entry);
        }
        batch.entries += entries.len();
        batch.touched.insert(run, true);
        Ok(())
    }

    fn create(
        &mut self,
        start: &RunStart,
        synced: Synced,
        reply: Reply<u64>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let staged = self
            .begin(WAIT_SHORT, batch)
            .and_then(|()| list::insert(self.database, self.directory, start, self.owner.name()));
        match staged {
            Ok(stored) => {
                let number = stored.number;
                self.runs.insert(number, Live { stored, tasks: Tasks::default(), synced });
                batch.created.push((number, reply));
                // Its row is in the database already; here it counts as a change to be marked.
                batch.touched.entry(number).or_insert(false);
                Ok(())
            }
            // These concern this run alone, and nothing was written for it.
            Err(error @ (Error::Locked { .. } | Error::RunExists { .. })) => {
                let _ = reply.send(Err(error));
                Ok(())
            }
            Err(error) => {
                let _ = reply.send(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn close(
        &mut self,
        run: u64,
        reply: Option<Reply<()>>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        batch.answers.extend(reply);
        batch.closed.push(run);
        // A run that has not ended loses its owner, so that it is not shown as running for ever.
        if self.runs.get(&run).is_some_and(|live| live.stored.owner.is_some()) {
            self.begin(WAIT_LONG, batch)?;
            if let Some(live) = self.runs.get_mut(&run) {
                live.stored.owner = None;
            }
            batch.touched.entry(run).or_insert(false);
        }
        Ok(())
    }

    fn delete(&mut self, run: &RunId, reply: Reply<()>, batch: &mut Batch) -> Result<(), Error> {
        let planned = self
            .begin(WAIT_SHORT, batch)
            .and_then(|()| list::plan_deletion(self.database, self.directory, run));
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => {
                let _ = reply.send(Err(error));
                return Ok(());
            }
        };
        batch.answers.push(reply);
        if !matches!(Tail::read(self.directory), Ok(Some(tail)) if tail.run != *run) {
            self.tail.clear();
        }
        list::delete(self.database, self.directory, &plan)
    }

    fn begin(&mut self, wait: Duration, batch: &mut Batch) -> Result<(), Error> {
        if batch.begun {
            return Ok(());
        }
        if self.statements.is_none() {
            let statements = Statements::prepare(self.database).map_err(|e| self.fault(&e))?;
            self.statements = Some(statements);
        }
        list::begin(self.database, wait).map_err(|e| self.fault(&e))?;
        batch.begun = true;
        Ok(())
    }

    /// After a commit: the mark first, so that it can vouch for what is reported next.
    fn report(&mut self, batch: Batch) {
        if let Some(live) = batch.touched.keys().next_back().and_then(|run| self.runs.get(run)) {
            let row = &live.stored.row;
            self.tail.mark(&Tail { run: row.id.clone(), entries: row.entries, head: row.head });
        }
        for (number, reply) in batch.created {
            let _ = reply.send(Ok(number));
        }
        for run in batch.touched.into_iter().filter_map(|(run, added)| added.then_some(run)) {
            if let Some(live) = self.runs.get_mut(&run) {
                (live.synced)(Ok(live.stored.row.entries));
            }
        }
        for run in batch.closed {
            self.runs.remove(&run);
        }
        for reply in batch.answers {
            let _ = reply.send(Ok(()));
        }
        if self.logged >= CHECKPOINT_BYTES
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
    fn fail(&mut self, error: Error, batch: Batch) {
        let _ = self.database.execute_batch("ROLLBACK");
        for (number, reply) in batch.created {
            self.runs.remove(&number);
            let _ = reply.send(Err(error.clone()));
        }
        for live in self.runs.values_mut() {
            (live.synced)(Err(error.clone()));
        }
        for reply in batch.answers {
            let _ = reply.send(Err(error.clone()));
        }
        self.runs.clear();
        self.failure = Some(error);
    }

    fn refuse(&mut self, message: Message, error: &Error) {
        match message {
            Message::Create { reply, .. } => drop(reply.send(Err(error.clone()))),
            Message::Close { reply: Some(reply), .. } | Message::Delete { reply, .. } => {
                drop(reply.send(Err(error.clone())));
            }
            Message::Append { .. } | Message::Close { reply: None, .. } => {}
        }
    }

    fn execute(&self, statement: &str) -> Result<(), Error> {
        self.database.execute_batch(statement).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &rusqlite::Error) -> Error {
        Error::from_sqlite(self.directory, error)
    }
}
