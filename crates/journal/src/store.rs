//! The journal of one data directory.

use crate::commit::Committer;
use crate::control::{self, Control, Receipt, Request};
use crate::error::{Error, GONE, LATEST, SHORT_OF_HEAD, UNLIKE_HEAD};
use crate::lease::Found;
use crate::list::{List, Listed};
use crate::options::Options;
use crate::owner::Owners;
use crate::place::Place;
use crate::reader::{Entries, Reader, Verified, verify};
use crate::record;
use crate::run::{RunOwner, RunRow};
use crate::writer::{Begun, Counters, Message, Reply, ResumeHow, Stats, Synced, Writer};
use loopwright_protocol::RunStart;
use loopwright_types::{RunId, RunStatus};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The journal of one data directory; cheap to clone, usable from any thread.
///
/// All runs of a store share one writer thread; reading uses connections of its own and never waits for
/// writing. Several processes may have the same directory open.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Shared>);

/// The newest runs, and what of the list is damaged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Newest first.
    pub rows: Vec<RunRow>,
    /// What could not be read among them: worth a warning.
    pub damage: Vec<Error>,
}

/// Runs that an ambiguous prefix is answered with.
const CANDIDATES_MAX: usize = 4;

/// Who writes.
pub(crate) enum Way {
    /// Nobody: the store only reads.
    Read,
    /// A thread.
    Thread { sender: Option<Sender<Message>>, thread: Option<JoinHandle<()>> },
    /// Whoever calls [`Store::commit`], or asks for something that must be answered.
    Inline { queue: Mutex<VecDeque<Message>>, committer: Box<Mutex<Committer>> },
}

/// What a store, its writers and its readers share.
pub(crate) struct Shared {
    pub place: Place,
    pub owners: Owners,
    pub options: Options,
    /// The database's file, if it has one.
    pub file: Option<(u64, u64)>,
    /// Connections that read and are not on loan.
    pub idle: Mutex<Vec<Connection>>,
    pub way: Way,
    pub counters: Arc<Counters>,
    pub loss: Option<Error>,
}

impl Shared {
    /// Hands a message over; whoever waits for an answer hears of it when nobody takes it.
    pub fn send(&self, message: Message) {
        match &self.way {
            Way::Read => {}
            Way::Thread { sender, .. } => {
                if let Some(sender) = sender {
                    let _ = sender.send(message);
                }
            }
            Way::Inline { queue, .. } => {
                queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(message);
            }
        }
    }

    /// Asks and waits.
    pub fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Error> {
        if matches!(self.way, Way::Read) {
            return Err(Error::OpenedToRead);
        }
        let (reply, answer) = mpsc::sync_channel(1);
        self.send(message(reply));
        self.commit();
        answer.recv().unwrap_or_else(|_| Err(self.gone()))
    }

    /// Writes what waits, where no thread does.
    fn commit(&self) {
        let Way::Inline { queue, committer } = &self.way else { return };
        let mut committer = committer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(message) = next() {
            committer.round(message, &mut next);
        }
        committer.tend();
    }

    /// The writer thread ended although somebody needs it.
    fn gone(&self) -> Error {
        let cause = "the thread that writes has ended".to_owned();
        Error::Failed { path: self.place.directory.clone(), cause }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The connections that read first: the log is removed only by a last connection that writes.
        if let Ok(idle) = self.idle.get_mut() {
            idle.clear();
        }
        self.commit();
        match &mut self.way {
            Way::Read => {}
            Way::Inline { committer, .. } => {
                committer.get_mut().unwrap_or_else(PoisonError::into_inner).finish();
            }
            Way::Thread { sender, thread } => {
                drop(sender.take());
                // A callback may hold the last handle, on the thread itself.
                if let Some(thread) = thread.take()
                    && thread.thread().id() != std::thread::current().id()
                {
                    let _ = thread.join();
                }
            }
        }
    }
}

impl Store {
    /// Records that were durable and are gone, if the tail mark shows some or is itself
    /// damaged: worth a warning wherever runs
    /// are listed. Only a store that was opened to read can have a loss; the other kind does not open.
    pub fn loss(&self) -> Option<&Error> {
        self.0.loss.as_ref()
    }

    /// Begins a run: adds its row and returns when that is durable. The run's entries, the first one
    /// included, come by [`Writer::append`]. The run belongs to this store until the writer is closed or
    /// dropped.
    ///
    /// # Errors
    /// When the run's id is taken, the store only reads, or the journal cannot be written.
    pub fn create(&self, start: &RunStart, synced: Synced) -> Result<Writer, Error> {
        let start = Box::new(start.clone());
        self.begun(|reply| Message::Create { start, synced, reply })
    }

    /// Goes on with a run that has not ended (running, parked, cancelled) behind its last entry: takes its
    /// lease, under a new epoch, and returns when that is durable. A process that is known to be gone loses
    /// the run at once, one that is not when its lease has run out. The run is running again from here on.
    ///
    /// # Errors
    /// [`Error::RunLive`], [`Error::RunEnded`] or [`Error::RunUnknown`]; damage, when its entries do not
    /// end where its row says, or its lease cannot be read.
    pub fn resume(&self, run: &RunId, synced: Synced) -> Result<Writer, Error> {
        let (run, how) = (run.clone(), ResumeHow::Unended);
        self.begun(|reply| Message::Resume { run, how, synced, reply })
    }

    /// The same with a run that may also have ended: for one that failed for a reason that has gone since.
    ///
    /// # Errors
    /// As [`Store::resume`], but for [`Error::RunEnded`].
    pub fn resume_ended(&self, run: &RunId, synced: Synced) -> Result<Writer, Error> {
        let (run, how) = (run.clone(), ResumeHow::Ended);
        self.begun(|reply| Message::Resume { run, how, synced, reply })
    }

    fn begun(&self, message: impl FnOnce(Reply<Begun>) -> Message) -> Result<Writer, Error> {
        let begun = self.0.ask(message)?;
        Ok(Writer::new(begun, self.0.clone()))
    }

    /// Asks something of a run that any process may be recording; returns when the request is durable.
    /// Whoever records the run gets it within half a second; if nobody does, whoever resumes it.
    ///
    /// # Errors
    /// [`Error::RunUnknown`], [`Error::RunEnded`]; when the store only reads or cannot be written.
    pub fn request(&self, run: &RunId, control: Control) -> Result<Receipt, Error> {
        let run = run.clone();
        self.0.ask(|reply| Message::Request { run, control, reply })
    }

    /// The requests that wait for the run, in the order in which they were made.
    ///
    /// # Errors
    /// When there is no such run, or a request is damaged.
    pub fn requests(&self, run: &RunId) -> Result<Vec<Request>, Error> {
        let reader = self.reader(run)?;
        let number = self.listed(&reader, run)?.stored.number;
        control::of(List { database: reader.database(), place: &self.0.place }, number)
    }

    /// Writes everything that waits, in a store opened by [`Store::open_inline`], and does what is due:
    /// signs of life, requests. In another store it does nothing: the thread does it.
    pub fn commit(&self) {
        self.0.commit();
    }

    /// The newest runs, newest first. Damaged ones are left out: [`Store::list`] also names those.
    ///
    /// # Errors
    /// When the list of runs cannot be read.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRow>, Error> {
        self.list(limit).map(|listing| listing.rows)
    }

    /// The newest runs, newest first, and what of that part of the list is damaged.
    ///
    /// # Errors
    /// When the list of runs cannot be read.
    pub fn list(&self, limit: usize) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        if limit == 0 {
            return Ok(listing);
        }
        let mut found = Vec::new();
        listing.damage = self.walk(|listed| {
            found.push(listed);
            found.len() < limit
        })?;
        listing.rows = found.into_iter().map(|listed| self.shown(listed)).collect();
        Ok(listing)
    }

    /// The run of this id, the only one whose id begins so, or the newest one for `latest`.
    ///
    /// # Errors
    /// When there is none or more than one; when none is found and the list of runs is damaged.
    pub fn find(&self, prefix_or_id: &str) -> Result<RunRow, Error> {
        let unknown = || Error::RunUnknown { name: prefix_or_id.to_owned() };
        let exact = RunId::parse(prefix_or_id);
        let Some(reader) = Reader::borrow(&self.0)? else { return Err(unknown()) };
        let list = List { database: reader.database(), place: &self.0.place };
        if let Some(Ok(Some(listed))) = exact.as_ref().map(|id| list.by_index(id)) {
            return Ok(self.shown(listed));
        }
        let mut found = Vec::new();
        let damage = list.walk(|listed| {
            let latest = prefix_or_id == LATEST;
            let id = &listed.stored.row.id;
            if exact.as_ref() == Some(id) {
                found = vec![listed];
                return false;
            }
            let fits = latest || id.as_str().starts_with(prefix_or_id);
            if fits && found.len() < CANDIDATES_MAX {
                found.push(listed);
            }
            // An id that is whole beats those that only begin so, wherever it is.
            !latest && (found.len() < CANDIDATES_MAX || exact.is_some())
        })?;
        if found.len() > 1 {
            let candidates = found.into_iter().map(|listed| listed.stored.row.id).collect();
            return Err(Error::RunAmbiguous { prefix: prefix_or_id.to_owned(), candidates });
        }
        let missing = || damage.into_iter().next().unwrap_or_else(unknown);
        found.pop().map(|listed| self.shown(listed)).ok_or_else(missing)
    }

    /// Reads the entries that are durable now, checking each record on the way; memory stays bounded
    /// however long the run is.
    ///
    /// # Errors
    /// When there is no such run or its row is damaged. Damaged records are the iterator's errors.
    pub fn read(&self, run: &RunId) -> Result<Entries, Error> {
        self.read_from(run, 0)
    }

    /// The same from the entry of this number on.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_from(&self, run: &RunId, first: u64) -> Result<Entries, Error> {
        // Reading on would stop at the row's count without an error.
        if let Some(error @ Error::Damaged { run: lost, what, .. }) = self.loss()
            && (lost, what.as_str()) == (run, GONE)
        {
            return Err(error.clone());
        }
        let reader = self.reader(run)?;
        let stored = self.listed(&reader, run)?.stored;
        Entries::new(reader, stored, first)
    }

    /// How many entries the run has and what its hash chain ends with, as its row says: kept elsewhere, it
    /// proves to [`Store::verify_against`] that nothing was changed or cut off.
    ///
    /// # Errors
    /// When there is no such run or its row is damaged.
    pub fn head(&self, run: &RunId) -> Result<Verified, Error> {
        let reader = self.reader(run)?;
        let row = self.listed(&reader, run)?.stored.row;
        Ok(Verified { count: row.entries, head: row.head })
    }

    /// Reads the whole run and says how many records it has and what its hash chain ends with.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first stretch of damaged records.
    pub fn verify(&self, run: &RunId) -> Result<Verified, Error> {
        verify(self.read(run)?)
    }

    /// The same, and whether the run still has everything that it had when this head was taken.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first stretch of damaged records, or those that are gone.
    pub fn verify_against(&self, run: &RunId, kept: &Verified) -> Result<Verified, Error> {
        let now = self.verify(run)?;
        let damaged = |first, last, what: &str| {
            Err(Error::Damaged { run: run.clone(), first, last, what: what.to_owned() })
        };
        if now.count < kept.count {
            return damaged(now.count, kept.count - 1, SHORT_OF_HEAD);
        }
        let reader = self.reader(run)?;
        let number = self.listed(&reader, run)?.stored.number;
        let chain = match kept.count.checked_sub(1) {
            None => Ok(record::chain_start(run)),
            Some(last) => record::chain_at(reader.database(), number, last),
        };
        if chain.is_ok_and(|chain| chain == kept.head) {
            return Ok(now);
        }
        damaged(0, kept.count.saturating_sub(1), UNLIKE_HEAD)
    }

    /// Deletes a run that no live process records. Its room is used again; the file does not shrink.
    ///
    /// # Errors
    /// When there is no such run, it is still running, or the store only reads.
    pub fn delete(&self, run: &RunId) -> Result<(), Error> {
        self.remove(run, false)
    }

    /// Deletes a run; `force` also one that is being recorded. It is out of the list at once; what it holds
    /// goes a piece at a time.
    pub(crate) fn remove(&self, run: &RunId, force: bool) -> Result<(), Error> {
        let run = run.clone();
        let number = self.0.ask(|reply| Message::Delete { run, force, reply })?;
        self.sweep(number)
    }

    /// Deletes what a run that is not in the list has left.
    pub(crate) fn sweep(&self, number: u64) -> Result<(), Error> {
        while !self.0.ask(|reply| Message::Sweep { number, reply })? {}
        Ok(())
    }

    pub(crate) fn only_reads(&self) -> bool {
        matches!(self.0.way, Way::Read)
    }

    /// What the writer thread has done so far.
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    /// A connection to read this run, which must be there.
    pub(crate) fn reader(&self, run: &RunId) -> Result<Reader, Error> {
        Reader::borrow(&self.0)?.ok_or_else(|| Error::RunUnknown { name: run.to_string() })
    }

    pub(crate) fn listed(&self, reader: &Reader, run: &RunId) -> Result<Listed, Error> {
        List { database: reader.database(), place: &self.0.place }.by_id(run)
    }

    pub(crate) fn walk(&self, visit: impl FnMut(Listed) -> bool) -> Result<Vec<Error>, Error> {
        match Reader::borrow(&self.0)? {
            Some(reader) => List { database: reader.database(), place: &self.0.place }.walk(visit),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn shown(&self, listed: Listed) -> RunRow {
        let Listed { stored, lease } = listed;
        let now = self.0.options.now();
        let mut row = stored.row;
        row.live = matches!(&lease, Found::Lease(lease) if self.0.owners.is_held(lease, now));
        if let (true, Found::Lease(lease)) = (row.live, &lease) {
            row.owner = lease.owner.as_deref().and_then(RunOwner::of);
        }
        row.interrupted = row.status == RunStatus::Running && !row.live;
        row
    }
}
