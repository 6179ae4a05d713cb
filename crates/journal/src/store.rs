//! The journal of one data directory.

use crate::database;
use crate::directory;
use crate::error::{Error, GONE};
use crate::list;
use crate::owner::{self, Owner};
use crate::reader::{Entries, Reader, Verified, verify};
use crate::record;
use crate::run::{RunRow, Stored};
use crate::tail::{Tail, TailFile};
use crate::writer::{self, Counters, Message, Parts, Reply, Stats, Synced, Writer};
use loopwright_protocol::RunStart;
use loopwright_types::{RunId, RunStatus};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The journal of one data directory; cheap to clone, usable from any thread.
///
/// All runs of a store share one writer thread; reading uses connections of its own and never waits for
/// writing. Several processes may have the same directory open.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

/// What a store, its writers and its readers share.
pub(crate) struct Shared {
    pub directory: PathBuf,
    /// Connections that read and are not on loan.
    pub idle: Mutex<Vec<Connection>>,
    /// None in a store that only reads.
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
    loss: Option<Error>,
}

impl Shared {
    /// The writer thread ended although somebody needs it.
    pub fn gone(&self) -> Error {
        let cause = "the thread that writes has ended".to_owned();
        Error::Failed { path: self.directory.clone(), cause }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The connections that read first: the log is removed only by a last connection that writes.
        if let Ok(idle) = self.idle.get_mut() {
            idle.clear();
        }
        drop(self.sender.take());
        // A callback may hold the last handle, on the thread itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Store {
    /// Opens the journal for writing and reading; makes the directory (mode 0700) and the database if
    /// they are not there.
    ///
    /// # Errors
    /// When the directory cannot be made, written or is something else; when the disk is full; when the
    /// database is foreign, of a newer version, damaged, or locked by another process; when durable
    /// records are gone from it ([`Store::loss`]).
    pub fn open(directory: &Path) -> Result<Self, Error> {
        directory::prepare(directory)?;
        let owner = Owner::take(directory)?;
        // Before the database is touched: SQLite removes the log of an empty one.
        let mark = Tail::read(directory)?;
        if let Some(mark) = mark.as_ref().filter(|_| directory::database_bytes(directory) == 0) {
            return Err(gone(mark, 0));
        }
        let database = {
            let _alone = database::opening();
            database::open_to_write(directory)?
        };
        if let Some(mark) = mark {
            check(&database, directory, &mark)?;
        }
        let tail = TailFile::open(directory)?;
        let counters = Arc::new(Counters::default());
        let (directory, shared_counters) = (directory.to_owned(), counters.clone());
        let parts = Parts { directory: directory.clone(), database, owner, tail, counters };
        let (sender, thread) = writer::start(parts)?;
        Ok(Self(Arc::new(Shared {
            directory,
            idle: Mutex::new(Vec::new()),
            sender: Some(sender),
            thread: Some(thread),
            counters: shared_counters,
            loss: None,
        })))
    }

    /// Opens the journal to look at it, also while another process writes. Where there is none yet, the
    /// store is empty.
    ///
    /// # Errors
    /// When the database cannot be read, is foreign, of a newer version or damaged as a whole.
    pub fn open_read_only(directory: &Path) -> Result<Self, Error> {
        match std::fs::metadata(directory) {
            Ok(found) if !found.is_dir() => {
                return Err(Error::NotADirectory { path: directory.to_owned() });
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::from_io(directory, &error));
            }
            _ => {}
        }
        // The mark first: what it vouches for was in the database before.
        let mark = Tail::read(directory);
        let mut shared = Shared {
            directory: directory.to_owned(),
            idle: Mutex::new(Vec::new()),
            sender: None,
            thread: None,
            counters: Arc::default(),
            loss: None,
        };
        let database = {
            let _alone = database::opening();
            database::open_to_read(directory)?
        };
        shared.loss = match (mark, &database) {
            (Ok(Some(mark)), Some(database)) => check(database, directory, &mark).err(),
            (Ok(Some(mark)), None) => Some(gone(&mark, 0)),
            (Ok(None), _) => None,
            (Err(error), _) => Some(error),
        };
        shared.idle = Mutex::new(database.into_iter().collect());
        Ok(Self(Arc::new(shared)))
    }

    /// Records that were durable and are gone, if the tail mark shows some or is itself
    /// damaged: worth a warning wherever runs
    /// are listed. Only a store that was opened to read can have a loss; the other kind does not open.
    pub fn loss(&self) -> Option<&Error> {
        self.0.loss.as_ref()
    }

    /// Begins a run: adds its row and returns when that is durable. The run's entries, the first one
    /// included, come by [`Writer::append`].
    ///
    /// # Errors
    /// When the run's id is taken, the store only reads, or the journal cannot be written.
    pub fn create(&self, start: &RunStart, synced: Synced) -> Result<Writer, Error> {
        let start = Box::new(start.clone());
        let run = self.ask(|reply| Message::Create { start, synced, reply })?;
        let sender = self.sender()?.clone();
        Ok(Writer::new(run, sender, self.0.clone()))
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// When the list of runs is damaged or cannot be read.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRow>, Error> {
        let mut found = Vec::new();
        if limit > 0 {
            self.walk(|stored| {
                found.push(stored);
                found.len() < limit
            })?;
        }
        let mut live = BTreeMap::new();
        Ok(found.into_iter().map(|stored| self.shown(stored, &mut live)).collect())
    }

    /// The run of this id, the only one whose id begins so, or the newest one for `latest`.
    ///
    /// # Errors
    /// When there is none or more than one; when the list of runs is damaged.
    pub fn find(&self, prefix_or_id: &str) -> Result<RunRow, Error> {
        let show = |stored| self.shown(stored, &mut BTreeMap::new());
        let exact = RunId::parse(prefix_or_id).map(|id| self.stored(&id));
        match exact {
            Some(Ok(stored)) => return Ok(show(stored)),
            Some(Err(error)) if !matches!(error, Error::RunUnknown { .. }) => return Err(error),
            _ => {}
        }
        let mut found = Vec::new();
        self.walk(|stored| {
            let latest = prefix_or_id == "latest";
            if latest || stored.row.id.as_str().starts_with(prefix_or_id) {
                found.push(stored);
            }
            !latest && found.len() < 4
        })?;
        if found.len() > 1 {
            let candidates = found.into_iter().map(|stored| stored.row.id).collect();
            return Err(Error::RunAmbiguous { prefix: prefix_or_id.to_owned(), candidates });
        }
        let unknown = || Error::RunUnknown { name: prefix_or_id.to_owned() };
        found.pop().map(show).ok_or_else(unknown)
    }

    /// Reads the entries that are durable now, checking each record on the way; memory stays bounded
    /// however long the run is.
    ///
    /// # Errors
    /// When there is no such run or its row is damaged. Damaged records are the iterator's errors.
    pub fn read(&self, run: &RunId) -> Result<Entries, Error> {
        // Reading on would stop at the row's count without an error.
        if let Some(error @ Error::Damaged { run: lost, what, .. }) = self.loss()
            && (lost, what.as_str()) == (run, GONE)
        {
            return Err(error.clone());
        }
        let reader = Reader::borrow(&self.0)?;
        let stored = match &reader {
            Some(reader) => list::by_id(reader.database(), &self.0.directory, run)?,
            None => return Err(Error::RunUnknown { name: run.to_string() }),
        };
        Ok(Entries::new(reader, stored))
    }

    /// Reads the whole run and says how many records it has and what its hash chain ends with.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first stretch of damaged records.
    pub fn verify(&self, run: &RunId) -> Result<Verified, Error> {
        verify(self.read(run)?)
    }

    /// Deletes a run that no live process records. Its room is used again; the file does not shrink.
    ///
    /// # Errors
    /// When there is no such run, it is still running, or the store only reads.
    pub fn delete(&self, run: &RunId) -> Result<(), Error> {
        let run = run.clone();
        self.ask(|reply| Message::Delete { run, reply })
    }

    /// What the writer thread has done so far.
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    fn sender(&self) -> Result<&Sender<Message>, Error> {
        self.0.sender.as_ref().ok_or(Error::OpenedToRead)
    }

    fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Error> {
        let (reply, answer) = mpsc::sync_channel(1);
        let _ = self.sender()?.send(message(reply));
        answer.recv().unwrap_or_else(|_| Err(self.0.gone()))
    }

    fn stored(&self, run: &RunId) -> Result<Stored, Error> {
        match Reader::borrow(&self.0)? {
            Some(reader) => list::by_id(reader.database(), &self.0.directory, run),
            None => Err(Error::RunUnknown { name: run.to_string() }),
        }
    }

    fn walk(&self, visit: impl FnMut(Stored) -> bool) -> Result<(), Error> {
        match Reader::borrow(&self.0)? {
            Some(reader) => list::walk(reader.database(), &self.0.directory, visit),
            None => Ok(()),
        }
    }

    fn shown(&self, stored: Stored, live: &mut BTreeMap<String, bool>) -> RunRow {
        let Stored { owner, mut row, .. } = stored;
        row.interrupted = row.status == RunStatus::Running
            && !owner.is_some_and(|owner| {
                let look = || owner::is_live(&self.0.directory, &owner);
                *live.entry(owner.clone()).or_insert_with(look)
            });
        row
    }
}

/// Whether the database has everything that the mark vouches for.
fn check(database: &Connection, directory: &Path, mark: &Tail) -> Result<(), Error> {
    let stored = match list::by_id(database, directory, &mark.run) {
        Err(Error::RunUnknown { .. }) => return Err(gone(mark, 0)),
        other => other?,
    };
    if stored.row.entries < mark.entries {
        return Err(gone(mark, stored.row.entries));
    }
    let Some(last) = mark.entries.checked_sub(1) else { return Ok(()) };
    let query = "SELECT chain FROM entries WHERE row = ?1";
    let chain = database.query_row(query, [record::row_number(stored.number, last)], |row| {
        row.get::<_, [u8; 32]>(0)
    });
    if chain.is_ok_and(|chain| chain == mark.head.0) {
        return Ok(());
    }
    let what = "it is not the one that was reported durable".to_owned();
    Err(Error::Damaged { run: mark.run.clone(), first: last, last, what })
}

fn gone(mark: &Tail, have: u64) -> Error {
    let last = mark.entries.saturating_sub(1).max(have);
    Error::Damaged { run: mark.run.clone(), first: have, last, what: GONE.to_owned() }
}
