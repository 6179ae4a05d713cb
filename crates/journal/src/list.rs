//! The list of runs: newest first, each linked to the one before it, so that no hole goes unnoticed.

use crate::ends::Ends;
use crate::error::Error;
use crate::lease::{Found, Lease};
use crate::place::Place;
use crate::record::RUN_NUMBER_MAX;
use crate::run::{COLUMNS, Stored};
use loopwright_protocol::RunStart;
use loopwright_types::{RunId, RunStatus};
use rusqlite::{Connection, ErrorCode, Row, Transaction, params};
use std::time::{Duration, Instant};

/// Longest pause between two tries for the write lock. SQLite's own waiting goes up to 100 ms, which
/// starves a process beside one that commits without a pause.
const PAUSE_MAX: Duration = Duration::from_millis(4);

/// Numbers that are looked up one by one to get past a stretch of the list that cannot be read.
const LOOKUPS_MAX: u64 = 4096;

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

/// A run's row and who records it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub stored: Stored,
    pub lease: Found,
}

fn query(condition: &str) -> String {
    format!("SELECT {COLUMNS} FROM runs WHERE {condition}")
}

/// The tables of runs, through one connection.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    pub database: &'a Connection,
    pub place: &'a Place,
}

impl List<'_> {
    fn fail(&self, error: &rusqlite::Error) -> Error {
        Error::from_sqlite(&self.place.directory, error)
    }

    /// Where the list begins.
    ///
    /// # Errors
    /// When that is damaged or cannot be read.
    pub fn ends(&self) -> Result<Ends, Error> {
        Ends::read(self.database, self.place)
    }

    fn set_ends(&self, ends: Ends) -> Result<(), Error> {
        ends.write(self.database).map_err(|error| self.fail(&error))
    }

    fn one(&self, condition: &str, value: &dyn rusqlite::ToSql) -> Result<Option<Listed>, Error> {
        let read = || {
            let mut statement = self.database.prepare_cached(&query(condition))?;
            let mut rows = statement.query([value])?;
            rows.next()?.map(|row| self.listed(row)).transpose()
        };
        read().map_err(|error| self.fail(&error))?.transpose()
    }

    /// A run's row with its lease: one that cannot be read is damaged, and hides no run.
    fn listed(&self, row: &Row<'_>) -> rusqlite::Result<Result<Listed, Error>> {
        let stored = match Stored::read(row) {
            Ok(stored) => stored,
            Err(error) => return Ok(Err(error)),
        };
        let lease = match Lease::find(self.database, stored.number) {
            Err(error) if self.fail(&error).is_damage() => Found::Damaged,
            other => other?,
        };
        Ok(Ok(Listed { stored, lease }))
    }

    /// Gives out the next run's number; inside a transaction.
    ///
    /// # Errors
    /// When there are no more, or writing fails.
    pub fn next_number(&self) -> Result<u64, Error> {
        let ends = self.ends()?;
        let number = ends.next;
        if number > RUN_NUMBER_MAX {
            let cause = "this data directory has seen too many runs".to_owned();
            return Err(Error::Failed { path: self.place.directory.clone(), cause });
        }
        self.set_ends(Ends { next: number + 1, ..ends })?;
        Ok(number)
    }

    /// Adds a run that begins; inside a transaction.
    ///
    /// # Errors
    /// [`Error::RunExists`] before anything is changed; others when writing fails.
    pub fn insert(&self, start: &RunStart) -> Result<Stored, Error> {
        if self.one("id = ?1", &start.run.as_str())?.is_some() {
            return Err(Error::RunExists { run: start.run.clone() });
        }
        let number = self.next_number()?;
        let stored = Stored::begin(number, self.ends()?.newest, start);
        self.link(&stored)?;
        Ok(stored)
    }

    /// Adds the row of a run as the newest one; inside a transaction.
    ///
    /// # Errors
    /// When writing fails.
    pub fn link(&self, stored: &Stored) -> Result<(), Error> {
        stored.insert(self.database).map_err(|error| self.fail(&error))?;
        self.set_ends(Ends { newest: stored.number, ..self.ends()? })
    }

    /// Takes a run out of the list, and its lease and requests with it; inside a transaction. Returns its
    /// number: its entries are still there.
    ///
    /// # Errors
    /// When there is no such run, somebody records it (unless `force`), or its row or its
    /// neighbour's is damaged; nothing is changed then. Others when writing fails.
    pub fn unlink(
        &self,
        run: &RunId,
        force: bool,
        is_held: impl Fn(&Lease) -> bool,
    ) -> Result<u64, Error> {
        let Listed { stored: run, lease } = self.by_id(run)?;
        match lease {
            _ if force => {}
            Found::Lease(lease) if is_held(&lease) => {
                return Err(Error::RunLive { run: run.row.id });
            }
            // Without a lease there is nobody to take it from.
            Found::Lease(_) | Found::Missing => {}
            found @ Found::Damaged => return found.damage(&run).map_or(Ok(run.number), Err),
        }
        let after = self.one("previous = ?1", &run.number.cast_signed())?;
        let mut ends = self.ends()?;
        if ends.newest == run.number {
            ends.newest = run.previous;
        }
        let number = run.number.cast_signed();
        let change = || {
            self.database.execute("DELETE FROM runs WHERE number = ?1", [number])?;
            self.database.execute("DELETE FROM leases WHERE run = ?1", [number])?;
            let asked = self.database.execute("DELETE FROM controls WHERE run = ?1", [number])?;
            ends.waiting = ends.waiting.saturating_sub(asked as u64);
            if let Some(Listed { stored: after, .. }) = after {
                let after = Stored { previous: run.previous, ..after };
                let update = "UPDATE runs SET previous = ?2, link = ?3 WHERE number = ?1";
                let (number, previous) = (after.number.cast_signed(), after.previous.cast_signed());
                self.database.execute(update, params![number, previous, after.link()])?;
            }
            Ok(())
        };
        change().map_err(|error| self.fail(&error))?;
        self.set_ends(ends)?;
        Ok(run.number)
    }

    /// The run of this id, if the index of ids has it.
    ///
    /// # Errors
    /// When its row is damaged or the index cannot be read.
    pub fn by_index(&self, run: &RunId) -> Result<Option<Listed>, Error> {
        let found = self.one("id = ?1", &run.as_str())?;
        Ok(found.filter(|listed| listed.stored.row.id == *run))
    }

    /// The run of this id.
    ///
    /// # Errors
    /// [`Error::RunUnknown`] when there is none. Where the list is damaged, that is said instead: the run
    /// may be the one whose row cannot be read.
    pub fn by_id(&self, run: &RunId) -> Result<Listed, Error> {
        match self.by_index(run) {
            Ok(Some(listed)) => return Ok(listed),
            Err(error) if !error.is_damage() => return Err(error),
            // A damaged index may leave a run out that is in the list.
            Ok(None) | Err(_) => {}
        }
        let mut found = None;
        let damage = self.walk(|listed| {
            if listed.stored.row.id == *run {
                found = Some(listed);
            }
            found.is_none()
        })?;
        let unknown = Error::RunUnknown { name: run.to_string() };
        found.ok_or_else(|| damage.into_iter().next().unwrap_or(unknown))
    }

    /// Goes through the runs, newest first, until `visit` says `false`; returns what is damaged of the part
    /// that was gone through.
    ///
    /// # Errors
    /// When the database cannot be read for another reason than damage.
    pub fn walk(&self, visit: impl FnMut(Listed) -> bool) -> Result<Vec<Error>, Error> {
        // One transaction: the first link and the rows belong together.
        let transaction = self.transaction()?;
        let mut walk = Walk { list: self, visit, expected: None, damage: Vec::new() };
        match self.ends() {
            Ok(ends) => walk.expected = Some(ends.newest),
            Err(error) if error.is_damage() => walk.damage.push(error),
            Err(error) => return Err(error),
        }
        walk.run()?;
        let damage = walk.damage;
        drop(transaction);
        Ok(damage)
    }

    /// None inside a transaction that is open already.
    fn transaction(&self) -> Result<Option<Transaction<'_>>, Error> {
        if !self.database.is_autocommit() {
            return Ok(None);
        }
        self.database.unchecked_transaction().map(Some).map_err(|error| self.fail(&error))
    }
}

/// One way through the list.
struct Walk<'a, V> {
    list: &'a List<'a>,
    visit: V,
    /// The number that the run before pointed to; none after damage.
    expected: Option<u64>,
    damage: Vec<Error>,
}

impl<V: FnMut(Listed) -> bool> Walk<'_, V> {
    fn run(&mut self) -> Result<(), Error> {
        let mut below = i64::MAX;
        loop {
            match self.stretch(&mut below) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let error = self.list.fail(&error);
                    if !error.is_damage() {
                        return Err(error);
                    }
                    match self.next_readable(below, &error) {
                        Some(next) => below = next,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    /// Goes on below this number as far as rows can be read.
    fn stretch(&mut self, below: &mut i64) -> rusqlite::Result<()> {
        let query = query("number < ?1 ORDER BY number DESC");
        let mut statement = self.list.database.prepare_cached(&query)?;
        let mut rows = statement.query([*below])?;
        while let Some(row) = rows.next()? {
            *below = row.get(0)?;
            match self.list.listed(row)? {
                Ok(listed) => {
                    let number = listed.stored.number;
                    if let Some(expected) = self.expected.filter(|expected| *expected != number) {
                        self.hole(expected.max(number));
                    }
                    self.expected = Some(listed.stored.previous);
                    self.damage.extend(listed.lease.damage(&listed.stored));
                    if !(self.visit)(listed) {
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.damage.push(error);
                    self.expected = None;
                }
            }
        }
        if let Some(expected) = self.expected.filter(|expected| *expected != 0) {
            self.hole(expected);
        }
        Ok(())
    }

    fn hole(&mut self, number: u64) {
        self.damage.push(Error::DamagedList { number, what: "its row is gone".to_owned() });
    }

    /// Names the stretch that cannot be read; returns a number below which reading may go on.
    fn next_readable(&mut self, below: i64, error: &Error) -> Option<i64> {
        let last = self.expected.map_or(below.cast_unsigned().saturating_sub(1), |next| next);
        let last = last.min(self.list.ends().map_or(LOOKUPS_MAX, |ends| ends.newest));
        self.expected = None;
        let readable = (1..=last).rev().take(LOOKUPS_MAX as usize).find(|number| {
            let found = self.list.one("number = ?1", &number.cast_signed());
            matches!(found, Ok(Some(_))) || matches!(found, Err(Error::DamagedList { .. }))
        });
        let first = readable.map_or(1, |number| number + 1).min(last);
        let what = format!("the rows of runs {first} to {last} cannot be read: {error}");
        self.damage.push(Error::DamagedList { number: last, what });
        readable.map(|number| number.cast_signed() + 1)
    }
}

/// Whether nobody can continue a run that ended so, or ask anything of it, without saying so expressly.
pub(crate) fn is_over(status: RunStatus) -> bool {
    matches!(status, RunStatus::Complete | RunStatus::Degraded | RunStatus::Failed)
}
