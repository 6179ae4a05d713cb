//! The list of runs: newest first, each linked to the one before it, so that no hole goes unnoticed.

use crate::error::Error;
use crate::owner;
use crate::record::{self, RUN_NUMBER_MAX};
use crate::run::{COLUMNS, Stored, list_checksum};
use loopwright_protocol::RunStart;
use loopwright_types::RunId;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest pause between two tries for the write lock. SQLite's own waiting goes up to 100 ms, which
/// starves a process beside one that commits without a pause.
const PAUSE_MAX: Duration = Duration::from_millis(4);

/// Begins a transaction that writes, waiting for other processes.
pub(crate) fn begin(database: &Connection, wait: Duration) -> rusqlite::Result<()> {
    let deadline = Instant::now() + wait;
    let mut pause = Duration::from_micros(100);
    database.busy_timeout(Duration::ZERO)?;
    loop {
        match database.execute_batch("BEGIN IMMEDIATE") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
            other => return other,
        }
    }
}

/// A place in `directory` for errors.
struct At<'a> {
    database: &'a Connection,
    directory: &'a Path,
}

impl At<'_> {
    fn fail(&self, error: &rusqlite::Error) -> Error {
        Error::from_sqlite(self.directory, error)
    }

    /// The newest run's number and the next one to give.
    fn ends(&self) -> Result<(u64, u64), Error> {
        let query = "SELECT newest, next, checksum FROM list WHERE one = 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: Option<(i64, i64, i64)> =
            self.database.query_row(query, [], read).optional().map_err(|e| self.fail(&e))?;
        let damaged = |what: &str| Error::DamagedList { number: 0, what: what.to_owned() };
        let (newest, next, sum) = found.ok_or_else(|| damaged("its first row is gone"))?;
        let (newest, next) = (newest.cast_unsigned(), next.cast_unsigned());
        if list_checksum(newest, next) != sum {
            return Err(damaged("its first row does not match its checksum"));
        }
        Ok((newest, next))
    }

    fn set_ends(&self, newest: u64, next: u64) -> Result<(), Error> {
        let update = "UPDATE list SET newest = ?1, next = ?2, checksum = ?3 WHERE one = 1";
        let sum = list_checksum(newest, next);
        self.database
            .execute(update, params![newest.cast_signed(), next.cast_signed(), sum])
            .map(drop)
            .map_err(|error| self.fail(&error))
    }

    fn one(&self, condition: &str, value: &dyn rusqlite::ToSql) -> Result<Option<Stored>, Error> {
        let query = format!("SELECT {COLUMNS} FROM runs WHERE {condition}");
        let read = || {
            let mut statement = self.database.prepare(&query)?;
            let mut rows = statement.query([value])?;
            rows.next()?.map(|row| Ok(Stored::read(row))).transpose()
        };
        read().map_err(|error| self.fail(&error))?.transpose()
    }
}

/// Adds a run that begins; inside a transaction.
///
/// # Errors
/// [`Error::RunExists`] before anything is changed; others when writing fails.
pub(crate) fn insert(
    database: &Connection,
    directory: &Path,
    start: &RunStart,
    owner: &str,
) -> Result<Stored, Error> {
    let at = At { database, directory };
    if at.one("id = ?1", &start.run.as_str())?.is_some() {
        return Err(Error::RunExists { run: start.run.clone() });
    }
    let (newest, number) = at.ends()?;
    if number > RUN_NUMBER_MAX {
        let cause = "this data directory has seen too many runs".to_owned();
        return Err(Error::Failed { path: directory.to_owned(), cause });
    }
    let stored = Stored::begin(number, newest, owner, start);
    let row = &stored.row;
    let insert = format!(
        "INSERT INTO runs({COLUMNS}) \
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, ?8, ?9)"
    );
    let values = params![
        number.cast_signed(),
        newest.cast_signed(),
        row.id.as_str(),
        row.program,
        owner,
        row.status.as_str(),
        row.created.0.cast_signed(),
        row.head.0.as_slice(),
        stored.checksum(),
    ];
    database.execute(&insert, values).map_err(|error| at.fail(&error))?;
    at.set_ends(number, number + 1)?;
    Ok(stored)
}

/// A run that may be deleted and what must change beside it.
pub(crate) struct Deletion {
    run: Stored,
    /// The run after it, already linked past it.
    after: Option<Stored>,
    newest: u64,
    next: u64,
}

/// Looks whether a run may be deleted; inside a transaction, changes nothing.
///
/// # Errors
/// When there is no such run, it is still running, or its row or its neighbour's is damaged.
pub(crate) fn plan_deletion(
    database: &Connection,
    directory: &Path,
    run: &RunId,
) -> Result<Deletion, Error> {
    let at = At { database, directory };
    let run = by_id(database, directory, run)?;
    if run.owner.as_ref().is_some_and(|owner| owner::is_live(directory, owner)) {
        return Err(Error::RunLive { run: run.row.id });
    }
    let after = at.one("previous = ?1", &run.number.cast_signed())?;
    let after = after.map(|after| Stored { previous: run.previous, ..after });
    let (newest, next) = at.ends()?;
    let newest = if newest == run.number { run.previous } else { newest };
    Ok(Deletion { run, after, newest, next })
}

/// Carries the plan out, in the same transaction.
///
/// # Errors
/// When writing fails.
pub(crate) fn delete(
    database: &Connection,
    directory: &Path,
    plan: &Deletion,
) -> Result<(), Error> {
    let at = At { database, directory };
    let number = plan.run.number;
    let (first, end) = (record::row_number(number, 0), record::row_number(number + 1, 0));
    let change = || {
        database.execute("DELETE FROM entries WHERE row >= ?1 AND row < ?2", [first, end])?;
        database.execute("DELETE FROM runs WHERE number = ?1", [number.cast_signed()])?;
        if let Some(after) = &plan.after {
            let update = "UPDATE runs SET previous = ?2, checksum = ?3 WHERE number = ?1";
            let (number, previous) = (after.number.cast_signed(), after.previous.cast_signed());
            database.execute(update, params![number, previous, after.checksum()])?;
        }
        Ok(())
    };
    change().map_err(|error| at.fail(&error))?;
    at.set_ends(plan.newest, plan.next)
}

/// The run of this id.
///
/// # Errors
/// [`Error::RunUnknown`] when there is none.
pub(crate) fn by_id(database: &Connection, directory: &Path, run: &RunId) -> Result<Stored, Error> {
    let found = At { database, directory }.one("id = ?1", &run.as_str())?;
    let found = found.filter(|stored| stored.row.id == *run);
    found.ok_or_else(|| Error::RunUnknown { name: run.to_string() })
}

/// Goes through the runs, newest first, until `visit` says `false`.
///
/// # Errors
/// When the list is damaged.
pub(crate) fn walk(
    database: &Connection,
    directory: &Path,
    mut visit: impl FnMut(Stored) -> bool,
) -> Result<(), Error> {
    let at = At { database, directory };
    // One transaction: the first link and the rows belong together.
    let transaction = database.unchecked_transaction().map_err(|error| at.fail(&error))?;
    let (mut expected, _) = at.ends()?;
    let query = format!("SELECT {COLUMNS} FROM runs ORDER BY number DESC");
    let mut statement = transaction.prepare(&query).map_err(|error| at.fail(&error))?;
    let mut rows = statement.query([]).map_err(|error| at.fail(&error))?;
    let hole = |number| Error::DamagedList { number, what: "its row is gone".to_owned() };
    while let Some(row) = rows.next().map_err(|error| at.fail(&error))? {
        let stored = Stored::read(row)?;
        if stored.number != expected {
            return Err(hole(expected.max(stored.number)));
        }
        expected = stored.previous;
        if !visit(stored) {
            return Ok(());
        }
    }
    if expected == 0 { Ok(()) } else { Err(hole(expected)) }
}
