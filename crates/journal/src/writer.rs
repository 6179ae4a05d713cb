//! A run's way into the journal, and the one thread of a store that writes.

use crate::commit::Committer;
use crate::control::{Control, Listener, Receipt};
use crate::error::Error;
use crate::options::Options;
use crate::owner::Owner;
use crate::place::Place;
use crate::store::Shared;
use crate::tail::TailFile;
use loopwright_protocol::{Entry, RunStart};
use loopwright_types::RunId;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;

/// Told how many entries of a run are durable, those of before a resume included, after each commit that
/// added some, or once why there will be no more. Called on the writer thread: it must neither wait nor
/// panic.
pub type Synced = Box<dyn FnMut(Result<u64, Error>) + Send>;

pub(crate) type Reply<T> = SyncSender<Result<T, Error>>;

/// A run that may be written now.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    pub handle: u64,
    pub entries: u64,
    pub epoch: u64,
}

/// Which runs a resume continues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumeHow {
    Unended,
    Ended,
}

/// What the writer thread is asked.
pub(crate) enum Message {
    Create { start: Box<RunStart>, synced: Synced, reply: Reply<Begun> },
    Resume { run: RunId, how: ResumeHow, synced: Synced, reply: Reply<Begun> },
    Append { handle: u64, entries: Vec<Entry> },
    Close { handle: u64, reply: Option<Reply<()>> },
    Listen { handle: u64, listener: Listener },
    Acknowledge { handle: u64, number: u64 },
    Request { run: RunId, control: Control, reply: Reply<Receipt> },
    Delete { run: RunId, force: bool, reply: Reply<u64> },
    Sweep { number: u64, reply: Reply<bool> },
}

impl Message {
    /// Tells whoever waits that nothing is written any more.
    pub fn refuse(self, error: &Error) {
        let error = Err(error.clone());
        match self {
            Self::Create { reply, .. } | Self::Resume { reply, .. } => {
                drop(reply.send(error.map(|()| unreachable!())));
            }
            Self::Close { reply: Some(reply), .. } => drop(reply.send(error)),
            Self::Request { reply, .. } => drop(reply.send(error.map(|()| unreachable!()))),
            Self::Delete { reply, .. } => drop(reply.send(error.map(|()| unreachable!()))),
            Self::Sweep { reply, .. } => drop(reply.send(error.map(|()| unreachable!()))),
            Self::Append { .. }
            | Self::Listen { .. }
            | Self::Acknowledge { .. }
            | Self::Close { reply: None, .. } => {}
        }
    }
}

/// Appends to one run. Dropping it gives the run up without waiting.
pub struct Writer {
    begun: Begun,
    shared: Arc<Shared>,
    closed: bool,
}

impl Writer {
    pub(crate) fn new(begun: Begun, shared: Arc<Shared>) -> Self {
        Self { begun, shared, closed: false }
    }

    /// The entries that the run had when this writer began; the next one gets this number.
    pub fn entries(&self) -> u64 {
        self.begun.entries
    }

    /// How often the run has changed hands, from 1.
    pub fn epoch(&self) -> u64 {
        self.begun.epoch
    }

    /// Hands entries over, to become durable in this order; never waits for the disk. The callback given
    /// to [`crate::Store::create`] tells when they are durable. After an error nothing is written.
    pub fn append(&self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            // The thread outlives this writer; had it panicked, `close` would say so.
            self.shared.send(Message::Append { handle: self.begun.handle, entries });
        }
    }

    /// Gives the requests that wait for the run, and those to come, to this callback.
    pub fn listen(&self, listener: Listener) {
        self.shared.send(Message::Listen { handle: self.begun.handle, listener });
    }

    /// Takes a request away that is done. It goes with the entries appended before or after those, never
    /// without them: after a crash it is there again unless they are.
    pub fn acknowledge(&self, request: u64) {
        self.shared.send(Message::Acknowledge { handle: self.begun.handle, number: request });
    }

    /// Waits until everything appended is durable and gives the run up.
    ///
    /// # Errors
    /// When an entry of this run could not be made durable, [`Error::Fenced`] among the reasons.
    pub fn close(mut self) -> Result<(), Error> {
        self.closed = true;
        let handle = self.begun.handle;
        self.shared.ask(|reply| Message::Close { handle, reply: Some(reply) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.closed {
            self.shared.send(Message::Close { handle: self.begun.handle, reply: None });
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
    /// Nothing is written any more.
    pub has_failed: AtomicBool,
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

/// Everything that whoever writes owns.
pub(crate) struct Parts {
    pub place: Place,
    pub options: Options,
    pub database: Connection,
    pub owner: Owner,
    pub tail: Option<TailFile>,
    pub counters: Arc<Counters>,
}

/// Starts the thread; it ends when every sender is gone.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(parts: Parts) -> Result<(Sender<Message>, JoinHandle<()>), Error> {
    let (sender, inbox) = mpsc::channel();
    let path = parts.place.directory.clone();
    std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || write(Committer::new(parts), &inbox))
        .map(|thread| (sender, thread))
        .map_err(|error| Error::Failed { path, cause: error.to_string() })
}

fn write(mut committer: Committer, inbox: &Receiver<Message>) {
    loop {
        let message = match committer.pause() {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(pause) => inbox.recv_timeout(pause),
        };
        match message {
            Ok(message) => committer.round(message, &mut || inbox.try_recv().ok()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        committer.tend();
    }
    committer.finish();
}
