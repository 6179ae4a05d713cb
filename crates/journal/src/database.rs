//! The database: its tables, its format's number, and how connections to it are opened.

use crate::directory;
use crate::ends::Ends;
use crate::error::Error;
use crate::place::Place;
use loopwright_types::Bug;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Says in the file's header that it is a journal of ours: `LWJL`.
const APPLICATION_ID: i32 = 0x4c57_4a4c;

/// The number of the tables' form, in `user_version`; a larger one is refused.
const SCHEMA_VERSION: u32 = 2;

/// What `sqlite_schema` holds, word for word: the tables of this version.
const TABLES: [&str; 8] = [
    // `newest` is the last link of the list of runs, `next` the number of the next run, `asked` that of the
    // last request, `waiting` the count of requests.
    "CREATE TABLE list(one INTEGER PRIMARY KEY, newest INTEGER NOT NULL, next INTEGER NOT NULL, \
     asked INTEGER NOT NULL, waiting INTEGER NOT NULL, checksum INTEGER NOT NULL)",
    // `previous` links each run to the one before it, so that a row that is lost is noticed. It has a
    // checksum of its own, `link`: it changes when a neighbour is deleted, whoever writes the run.
    "CREATE TABLE runs(number INTEGER PRIMARY KEY, previous INTEGER NOT NULL, \
     link INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, \
     program TEXT NOT NULL, status TEXT NOT NULL, created INTEGER NOT NULL, ended INTEGER, \
     tasks INTEGER NOT NULL, done INTEGER NOT NULL, failed INTEGER NOT NULL, \
     input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, \
     cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, \
     usd_micros INTEGER NOT NULL, result TEXT, error TEXT, entries INTEGER NOT NULL, \
     head BLOB NOT NULL, checksum INTEGER NOT NULL)",
    // `row` is run number << 40 | place: one b-tree, each run in one stretch of it, no second index.
    // `task` lets a run be continued without reading it: call + 1 where a task was called, its negative
    // where a task was settled. `refs` says where in `body` values stand that `blobs` holds.
    "CREATE TABLE entries(row INTEGER PRIMARY KEY, version INTEGER NOT NULL, checksum INTEGER NOT NULL, \
     task INTEGER, chain BLOB NOT NULL, refs BLOB, body TEXT NOT NULL)",
    // Who may write a run and until when it need not ask. Not deleted when nobody does: the epoch stays.
    "CREATE TABLE leases(run INTEGER PRIMARY KEY, owner TEXT, epoch INTEGER NOT NULL, \
     until INTEGER NOT NULL, beat INTEGER NOT NULL, checksum INTEGER NOT NULL)",
    // What other processes ask of a run, until whoever records it has done it.
    "CREATE TABLE controls(number INTEGER PRIMARY KEY, run INTEGER NOT NULL, at INTEGER NOT NULL, \
     kind TEXT NOT NULL, payload TEXT, checksum INTEGER NOT NULL)",
    // Large values, each once, by SHA-256.
    "CREATE TABLE blobs(number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL)",
    // Which runs need which of them.
    "CREATE TABLE uses(run INTEGER NOT NULL, blob INTEGER NOT NULL, PRIMARY KEY(run, blob)) \
     WITHOUT ROWID",
    "CREATE INDEX uses_by_blob ON uses(blob)",
];

/// How long statements that SQLite itself retries wait for another process: opening, recovery.
const WAIT_SHORT: Duration = Duration::from_secs(2);

/// Bytes of a page. A commit of one record writes two pages, the run's row and its last stretch, so larger
/// pages would double what small commits write; large commits cost about the same with either.
const PAGE_BYTES: u32 = 4096;

/// Opens a connection that writes; makes the tables if the file is new. The files' names are not durable yet:
/// see [`crate::Options`].
///
/// # Errors
/// When the file is foreign, newer, damaged, locked or cannot be written.
pub(crate) fn open_to_write(place: &Place) -> Result<Connection, Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if place.is_on_disk() {
        directory::prepare_database(&place.directory)?;
    } else {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let fail = |error| Error::from_sqlite(&place.directory, &error);
    let mut database = place.open(flags)?;
    if database.is_readonly("main").map_err(fail)? {
        let path = place.database().to_owned();
        return Err(Error::ReadOnly { path, cause: "the file is write-protected".to_owned() });
    }
    // Two processes that make the same database at once meet at steps where SQLite does not wait.
    let deadline = Instant::now() + WAIT_SHORT;
    while let Err(error) = set_up(&mut database, place) {
        if !matches!(error, Error::Locked { .. }) || Instant::now() > deadline {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(database)
}

fn set_up(database: &mut Connection, place: &Place) -> Result<(), Error> {
    let fail = |error| Error::from_sqlite(&place.directory, &error);
    database.busy_timeout(WAIT_SHORT).map_err(fail)?;
    let new = is_new(database, place)?;
    if !new {
        // Before anything is set: what is not ours, or of another version, stays as it is.
        check_identity(database, place)?;
    }
    if new {
        database.pragma_update(None, "page_size", PAGE_BYTES).map_err(fail)?;
    }
    // In this order: the log mode first, because it cannot change inside a transaction.
    // `synchronous=FULL` syncs the log at every commit; with NORMAL a commit could be lost again.
    // Checkpoints are made by the writer thread after it has reported, not inside a commit.
    let mode = keep_log(database).map_err(fail)?;
    // Without the log a commit is not durable when it is reported.
    if mode != "wal" && place.has_log() {
        let cause = format!("SQLite keeps no write-ahead log there (its journal mode is `{mode}`)");
        return Err(Error::Failed { path: place.directory.clone(), cause });
    }
    let pragmas = "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; \
                   PRAGMA journal_size_limit=67108864; PRAGMA foreign_keys=OFF; \
                   PRAGMA trusted_schema=OFF; PRAGMA cache_size=-4096;";
    database.execute_batch(pragmas).map_err(fail)?;
    if Bug::SynchronousNormal.is_on() {
        database.execute_batch("PRAGMA synchronous=NORMAL").map_err(fail)?;
    }
    if new {
        let transaction = Transaction::new(database, TransactionBehavior::Immediate);
        let transaction = transaction.map_err(fail)?;
        // Another process may have been faster.
        if is_new(&transaction, place)? {
            make_tables(&transaction).map_err(fail)?;
        }
        transaction.commit().map_err(fail)?;
        check_identity(database, place)?;
    }
    Ok(())
}

/// Switches the log on; returns the mode that SQLite is in then.
fn keep_log(database: &Connection) -> rusqlite::Result<String> {
    let mut statement = database.prepare("PRAGMA journal_mode=WAL")?;
    let mut rows = statement.query([])?;
    let mode = rows.next()?.map_or_else(|| Ok(String::new()), |row| row.get(0))?;
    // To its end: the change is committed behind the row, and only then does SQLite say if that failed.
    while rows.next()?.is_some() {}
    Ok(mode)
}

fn make_tables(database: &Connection) -> rusqlite::Result<()> {
    for table in TABLES {
        database.execute_batch(table)?;
    }
    Ends::NEW.write(database)?;
    database.pragma_update(None, "application_id", APPLICATION_ID)?;
    database.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Opens a connection that only reads; `None` when there is no journal yet.
///
/// # Errors
/// When the file is foreign, newer, damaged, locked or cannot be read.
pub(crate) fn open_to_read(place: &Place) -> Result<Option<Connection>, Error> {
    if place.is_empty() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let directory = &place.directory;
    let open = || prepare_to_read(place.open(flags)?, place);
    match open() {
        // On a read-only disk SQLite cannot make the file that shares the log's index. Without a log
        // there is nothing to share and nobody who writes.
        Err(error @ (Error::Directory { .. } | Error::ReadOnly { .. })) => {
            if !place.is_on_disk() {
                return Err(error);
            }
            if !is_quiet(directory) {
                let path = directory.clone();
                let cause = "it has a log, which can be read only where the directory can be written: look at a copy";
                return Err(Error::Directory { path, cause: cause.to_owned() });
            }
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            let database = Connection::open_with_flags(quiet_uri(place.database()), flags)
                .map_err(|error| Error::from_sqlite(directory, &error))?;
            prepare_to_read(database, place)
        }
        other => other,
    }
}

fn prepare_to_read(database: Connection, place: &Place) -> Result<Option<Connection>, Error> {
    let fail = |error| Error::from_sqlite(&place.directory, &error);
    database.busy_timeout(WAIT_SHORT).map_err(fail)?;
    let pragmas = "PRAGMA query_only=ON; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF; \
                   PRAGMA cache_size=-1024;";
    database.execute_batch(pragmas).map_err(fail)?;
    if is_new(&database, place)? {
        return Ok(None);
    }
    check_identity(&database, place)?;
    Ok(Some(database))
}

fn is_quiet(directory: &Path) -> bool {
    let log = directory.join(format!("{}-wal", directory::DATABASE));
    std::fs::metadata(log).map_or(true, |found| found.len() == 0)
}

fn quiet_uri(database: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::absolute(database).unwrap_or_default();
    let bytes = path.as_os_str().as_bytes().iter();
    let escaped = bytes.map(|b| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
            char::from(*b).to_string()
        }
        other => format!("%{other:02X}"),
    });
    format!("file://{}?immutable=1", escaped.collect::<String>())
}

/// Whether the database holds nothing at all: no tables, no format, no application.
fn is_new(database: &Connection, place: &Place) -> Result<bool, Error> {
    let fail = |error| Error::from_sqlite(&place.directory, &error);
    let tables: i64 = database
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fail)?;
    Ok(tables == 0 && number(database, "user_version", place)? == 0)
}

fn check_identity(database: &Connection, place: &Place) -> Result<(), Error> {
    let path = place.database().to_owned();
    if number(database, "application_id", place)? != i64::from(APPLICATION_ID) {
        return Err(Error::Foreign { path });
    }
    let found = number(database, "user_version", place)?;
    if found > i64::from(SCHEMA_VERSION) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        return Err(Error::Newer { path, found, known: SCHEMA_VERSION });
    }
    let damaged = |what: &str| Error::DamagedDatabase { path: path.clone(), what: what.to_owned() };
    if found < 1 {
        return Err(damaged("its format has no number"));
    }
    if found < i64::from(SCHEMA_VERSION) {
        let found = u32::try_from(found).unwrap_or_default();
        return Err(Error::Older { path, found, known: SCHEMA_VERSION });
    }
    if tables(database).map_err(|error| Error::from_sqlite(&place.directory, &error))? != TABLES {
        return Err(damaged("its tables are not those of its format"));
    }
    Ok(())
}

fn tables(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid";
    database.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}

/// A pragma's number.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn number(database: &Connection, pragma: &str, place: &Place) -> Result<i64, Error> {
    database
        .pragma_query_value(None, pragma, |row| row.get(0))
        .map_err(|error| Error::from_sqlite(&place.directory, &error))
}

/// Held while a connection is opened. Making the file and closing it would otherwise drop the locks
/// that another thread's connection took in between: such locks belong to the process.
pub(crate) fn opening() -> MutexGuard<'static, ()> {
    static OPENING: Mutex<()> = Mutex::new(());
    OPENING.lock().unwrap_or_else(PoisonError::into_inner)
}
