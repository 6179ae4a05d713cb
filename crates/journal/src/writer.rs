//! A run's way into the journal, and the one thread of a store that writes.

use crate::commit::Committer;
use crate::error::Error;
use crate::owner::Owner;
use crate::store::Shared;
use crate::tail::TailFile;
use loopwright_protocol::{Entry, RunStart};
use loopwright_types::RunId;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::JoinHandle;

/// Told how many entries of a run are durable after each commit that added some, or once why there will
/// be no more. Called on the writer thread: it must neither wait nor panic.
pub type Synced = Box<dyn FnMut(Result<u64, Error>) + Send>;

pub(crate) type Reply<T> = SyncSender<Result<T, Error>>;

/// What the writer thread is asked.
pub(crate) enum Message {
    Create { start: Box<RunStart>, synced: Synced, reply: Reply<u64> },
    Append { run: u64, entries: Vec<Entry> },
    Close { run: u64, reply: Option<Reply<()>> },
    Delete { run: RunId, reply: Reply<()> },
}

/// Appends to one run. Dropping it closes the run without waiting.
pub struct Writer {
    run: u64,
    sender: Sender<Message>,
    // Keeps the thread: it ends when the store and all its writers are gone.
    shared: Arc<Shared>,
    closed: bool,
}

impl Writer {
    pub(crate) fn new(run: u64, sender: Sender<Message>, shared: Arc<Shared>) -> Self {
        Self { run, sender, shared, closed: false }
    }

    /// Hands entries over, to become durable in this order; never waits for the disk. The callback given
    /// to [`crate::Store::create`] tells when they are durable. After an error nothing is written.
    pub fn append(&self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            // The thread outlives this writer; had it panicked, `close` would say so.
            let _ = self.sender.send(Message::Append { run: self.run, entries });
        }
    }

    /// Waits until everything appended is durable and gives the run up.
    ///
    /// # Errors
    /// When an entry of this run could not be made durable.
    pub fn close(mut self) -> Result<(), Error> {
        self.closed = true;
        let (reply, answer) = mpsc::sync_channel(1);
        let _ = self.sender.send(Message::Close { run: self.run, reply: Some(reply) });
        answer.recv().unwrap_or_else(|_| Err(self.shared.gone()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.closed {
            let _ = self.sender.send(Message::Close { run: self.run, reply: None });
        }
    }
}

/// What the writer thread has done since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits, each with one sync of the log.
    pub commits: u64,
    /// Entries in them.
    pub entries: u64,
    /// Checkpoints, each with at most two more syncs.
    pub checkpoints: u64,
}

/// The same as counters that the thread bumps.
#[derive(Default)]
pub(crate) struct Counters {
    pub commits: AtomicU64,
    pub entries: AtomicU64,
    pub checkpoints: AtomicU64,
}

impl Counters {
    pub fn read(&self) -> Stats {
        Stats {
            commits: self.commits.load(Ordering::Relaxed),
            entries: self.entries.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
        }
    }
}

/// Everything the thread owns.
pub(crate) struct Parts {
    pub directory: PathBuf,
    pub database: Connection,
    pub owner: Owner,
    pub tail: TailFile,
    pub counters: Arc<Counters>,
}

/// Starts the thread; it ends when every sender is gone.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(parts: Parts) -> Result<(Sender<Message>, JoinHandle<()>), Error> {
    let (sender, inbox) = mpsc::channel();
    let directory = parts.directory.clone();
    std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || write(parts, &inbox))
        .map(|thread| (sender, thread))
        .map_err(|error| Error::Failed { path: directory, cause: error.to_string() })
}

fn write(parts: Parts, inbox: &Receiver<Message>) {
    let Parts { directory, database, owner, tail, counters } = parts;
    let mut committer = Committer::new(&directory, &database, &owner, &tail, &counters);
    while let Ok(message) = inbox.recv() {
        committer.round(message, inbox);
    }
    committer.finish();
    drop(committer);
    // The last connection to close moves the log into the database and removes it; only then is the
    // directory free for others.
    drop(database);
    drop(owner);
}
