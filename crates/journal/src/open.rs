//! The ways to open a journal.

use crate::commit::Committer;
use crate::database;
use crate::directory;
use crate::error::{Error, GONE};
use crate::list::List;
use crate::options::Options;
use crate::owner::{Owner, Owners};
use crate::place::Place;
use crate::record;
use crate::store::{Shared, Store, Way};
use crate::tail::{Tail, TailFile};
use crate::writer::{self, Counters, Parts};
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex};

impl Store {
    /// Opens the journal for writing and reading; makes the directory (mode 0700) and the database if
    /// they are not there.
    ///
    /// # Errors
    /// When the directory cannot be made, written or is something else; when the disk is full; when the
    /// database is foreign, of another version, damaged, or locked by another process; when durable
    /// records are gone from it ([`Store::loss`]).
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Self::open_as(directory, Options::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_as(directory: &Path, options: Options) -> Result<Self, Error> {
        let place = Place::on_disk(directory);
        directory::prepare(directory)?;
        let owner = Owner::take(directory)?;
        // Before the database is touched: SQLite removes the log of an empty one.
        let mark = Tail::read(directory)?;
        if let Some(mark) = mark.as_ref().filter(|_| place.is_empty()) {
            return Err(gone(mark, 0));
        }
        let database = options.open(&place)?;
        if let Some(mark) = mark {
            check(List { database: &database, place: &place }, &mark)?;
        }
        let tail = Some(TailFile::open(directory)?);
        let counters = Arc::default();
        Self::threaded(Parts { place, options, database, owner, tail, counters })
    }

    /// Opens a journal that lives wholly in a VFS registered with SQLite, at this path inside it, with a
    /// thread that writes. No other file is touched: no tail mark, no locks of live processes
    /// ([`Options::gone`] stands in for those).
    ///
    /// # Errors
    /// When there is no such VFS, or as [`Store::open`].
    pub fn open_with(vfs: &str, path: &Path, options: Options) -> Result<Self, Error> {
        Self::threaded(Parts::in_vfs(vfs, path, options)?)
    }

    /// The same without a thread: what is appended waits until [`Store::commit`], or until something is
    /// asked that needs an answer, and is written on the caller's thread. Callbacks are called there too
    /// and must not call back into the store, but for [`crate::Writer::append`].
    ///
    /// # Errors
    /// As [`Store::open_with`].
    pub fn open_inline(vfs: &str, path: &Path, options: Options) -> Result<Self, Error> {
        let parts = Parts::in_vfs(vfs, path, options)?;
        let (place, options, counters) =
            (parts.place.clone(), parts.options.clone(), parts.counters.clone());
        let committer = Box::new(Mutex::new(Committer::new(parts)));
        let way = Way::Inline { queue: Mutex::default(), committer };
        Ok(Self::shared(place, options, way, counters, None, None))
    }

    fn threaded(parts: Parts) -> Result<Self, Error> {
        let (place, options, counters) =
            (parts.place.clone(), parts.options.clone(), parts.counters.clone());
        let (sender, thread) = writer::start(parts)?;
        let way = Way::Thread { sender: Some(sender), thread: Some(thread) };
        Ok(Self::shared(place, options, way, counters, None, None))
    }

    fn shared(
        place: Place,
        options: Options,
        way: Way,
        counters: Arc<Counters>,
        database: Option<Connection>,
        loss: Option<Error>,
    ) -> Self {
        let owners = Owners::new(&place, &options);
        let idle = Mutex::new(database.into_iter().collect());
        let file = directory::database_file(&place.directory).filter(|_| place.is_on_disk());
        Self(Arc::new(Shared { place, owners, options, file, idle, way, counters, loss }))
    }

    /// Opens the journal to look at it, also while another process writes. Where there is none yet, the
    /// store is empty.
    ///
    /// # Errors
    /// When the database cannot be read, is foreign, of another version or damaged as a whole.
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
        let place = Place::on_disk(directory);
        // The mark first: what it vouches for was in the database before.
        let mark = Tail::read(directory);
        let database = {
            let _alone = database::opening();
            database::open_to_read(&place)?
        };
        let loss = match (mark, &database) {
            (Ok(Some(mark)), Some(database)) => {
                check(List { database, place: &place }, &mark).err()
            }
            (Ok(Some(mark)), None) => Some(gone(&mark, 0)),
            (Ok(None), _) => None,
            // Whoever may not look into the directory cannot know that nothing is there.
            (Err(Error::ReadOnly { cause, .. }), None) => {
                return Err(Error::Directory { path: directory.to_owned(), cause });
            }
            (Err(error), _) => Some(error),
        };
        let (options, counters) = (Options::default(), Arc::default());
        Ok(Self::shared(place, options, Way::Read, counters, database, loss))
    }
}

impl Parts {
    fn in_vfs(vfs: &str, path: &Path, options: Options) -> Result<Self, Error> {
        let place = Place::in_vfs(vfs, path);
        let database = options.open(&place)?;
        let owner = Owner::named(&options);
        Ok(Self { place, options, database, owner, tail: None, counters: Arc::default() })
    }
}

/// Whether the database has everything that the mark vouches for.
fn check(list: List<'_>, mark: &Tail) -> Result<(), Error> {
    let stored = match list.by_id(&mark.run) {
        Err(Error::RunUnknown { .. }) => return Err(gone(mark, 0)),
        other => other?.stored,
    };
    if stored.row.entries < mark.entries {
        return Err(gone(mark, stored.row.entries));
    }
    let Some(last) = mark.entries.checked_sub(1) else { return Ok(()) };
    if record::chain_at(list.database, stored.number, last).is_ok_and(|chain| chain == mark.head) {
        return Ok(());
    }
    let what = "it is not the one that was reported durable".to_owned();
    Err(Error::Damaged { run: mark.run.clone(), first: last, last, what })
}

fn gone(mark: &Tail, have: u64) -> Error {
    let last = mark.entries.saturating_sub(1).max(have);
    Error::Damaged { run: mark.run.clone(), first: have, last, what: GONE.to_owned() }
}
