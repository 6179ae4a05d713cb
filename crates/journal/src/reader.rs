//! Reads a run's entries back, checking each record's checksum and its link in the chain on the way.

use crate::database;
use crate::error::Error;
use crate::record;
use crate::run::Stored;
use crate::store::Shared;
use loopwright_protocol::{Entry, FORMAT_VERSION};
use loopwright_types::{Digest, RunId};
use rusqlite::{Connection, Row};
use std::collections::VecDeque;
use std::sync::Arc;

/// Records read at a time. Each stretch is a read of its own: a reader that stops half-way through a
/// long run does not keep the log from being moved into the database.
const STRETCH_RECORDS_MAX: i64 = 512;

/// The same in bytes of their bodies, whichever is reached first.
const STRETCH_BYTES_MAX: usize = 1 << 20;

/// Connections kept open for the next reader.
const IDLE_MAX: usize = 4;

/// A connection that reads, on loan from its store.
pub(crate) struct Reader {
    database: Option<Connection>,
    shared: Arc<Shared>,
}

impl Reader {
    /// A connection of the store's, or a new one; `None` when there is no journal yet.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn borrow(shared: &Arc<Shared>) -> Result<Option<Self>, Error> {
        let idle = shared.idle.lock().map_or(None, |mut idle| idle.pop());
        let database = match idle {
            Some(database) => Some(database),
            None => {
                let _alone = database::opening();
                database::open_to_read(&shared.directory)?
            }
        };
        Ok(database.map(|database| Self { database: Some(database), shared: shared.clone() }))
    }

    pub fn database(&self) -> &Connection {
        self.database.as_ref().expect("it is taken only when the loan ends")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Ok(mut idle) = self.shared.idle.lock() else { return };
        if idle.len() < IDLE_MAX {
            idle.extend(self.database.take());
        }
    }
}

/// One record that is as it was written, but for its chain.
struct Record {
    version: u16,
    chain: Digest,
    body: Vec<u8>,
}

/// The entries of one run in order, each with its number from 0. After an error it ends.
pub struct Entries {
    reader: Option<Reader>,
    run: Stored,
    next: u64,
    chain: Digest,
    waiting: VecDeque<(u64, Entry)>,
    error: Option<Error>,
    ended: bool,
}

impl Entries {
    pub(crate) fn new(reader: Option<Reader>, run: Stored) -> Self {
        let chain = record::chain_start(&run.row.id);
        let waiting = VecDeque::new();
        Self { reader, run, next: 0, chain, waiting, error: None, ended: false }
    }

    fn fill(&mut self) -> Result<(), Error> {
        let Some(reader) = &self.reader else { return Ok(()) };
        let number = self.run.number;
        let (first, end) = (self.next, self.run.row.entries);
        let mut bytes = 0;
        let (run, next, chain, waiting) =
            (&self.run.row.id, &mut self.next, &mut self.chain, &mut self.waiting);
        each_record(reader.database(), number, first, end, |row| {
            let record = read_record(row, run, number, *next, end)?;
            let linked = record::chain(chain, *next, record.version, &record.body);
            let broken = |what: &str| damaged(run, *next, what);
            if linked != record.chain {
                return Err(broken("it does not follow from the record before it"));
            }
            let entry = Entry::decode(&record.body)
                .map_err(|error| broken(&format!("cannot be read: {error}")))?;
            bytes += record.body.len();
            *chain = linked;
            waiting.push_back((*next, entry));
            *next += 1;
            Ok(bytes < STRETCH_BYTES_MAX)
        })
        .map_err(|error| self.place(error))?;
        if self.next == first {
            return Err(gone(&self.run.row.id, first, end - 1));
        }
        Ok(())
    }

    /// An error of the database itself, said of the record that was to be read.
    fn place(&self, fault: Fault) -> Error {
        match fault {
            Fault::Known(error) => error,
            Fault::Sqlite(error) => {
                let Some(reader) = &self.reader else { return self.end_of_chain() };
                match Error::from_sqlite(&reader.shared.directory, &error) {
                    Error::DamagedDatabase { what, .. } => {
                        damaged(&self.run.row.id, self.next, &format!("cannot be read: {what}"))
                    }
                    other => other,
                }
            }
        }
    }

    fn end_of_chain(&self) -> Error {
        let last = self.run.row.entries.saturating_sub(1);
        damaged(&self.run.row.id, last, "it is not the one that the run's row was written with")
    }

    /// A run that was deleted meanwhile is unknown, not damaged.
    fn blame(&self, error: Error) -> Error {
        let Some(reader) = self.reader.as_ref().filter(|_| error.is_damage()) else { return error };
        let id = &self.run.row.id;
        match crate::list::by_id(reader.database(), &reader.shared.directory, id) {
            Err(unknown @ Error::RunUnknown { .. }) => unknown,
            _ => error,
        }
    }
}

impl Iterator for Entries {
    type Item = Result<(u64, Entry), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.waiting.is_empty() && !self.ended && self.error.is_none() {
            if self.next < self.run.row.entries {
                self.error = self.fill().err().map(|error| self.blame(error));
            } else {
                self.ended = true;
                if self.chain != self.run.row.head {
                    self.error = Some(self.end_of_chain());
                }
            }
        }
        if let Some(entry) = self.waiting.pop_front() {
            return Some(Ok(entry));
        }
        self.ended |= self.error.is_some();
        self.error.take().map(Err)
    }
}

/// A run whose every record is as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records it has.
    pub count: u64,
    /// The hash chain after the last: kept elsewhere, it also proves that nothing was cut off.
    pub head: Digest,
}

/// Reads the whole run; the error names the first stretch of damaged records.
pub(crate) fn verify(mut entries: Entries) -> Result<Verified, Error> {
    let mut error = loop {
        match entries.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => {
                let row = &entries.run.row;
                return Ok(Verified { count: row.entries, head: row.head });
            }
        }
    };
    if let (Error::Damaged { first, last, .. }, Some(reader)) = (&mut error, &entries.reader) {
        let (run, number, end) = (&entries.run.row.id, entries.run.number, entries.run.row.entries);
        let good = |place: u64| {
            let mut found = false;
            let read = each_record(reader.database(), number, place, place + 1, |row| {
                read_record(row, run, number, place, end)?;
                found = true;
                Ok(false)
            });
            read.is_ok() && found
        };
        *last = (*last.max(first) + 1..end).find(|place| good(*place)).unwrap_or(end) - 1;
        *last = (*last).max(*first);
    }
    Err(error)
}

enum Fault {
    Known(Error),
    Sqlite(rusqlite::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Known(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Goes through stored records until `visit` says `false`, an error, or a stretch's worth is read.
fn each_record(
    database: &Connection,
    number: u64,
    first: u64,
    end: u64,
    mut visit: impl FnMut(&Row<'_>) -> Result<bool, Error>,
) -> Result<(), Fault> {
    let query = "SELECT row, version, checksum, chain, body FROM entries \
                 WHERE row >= ?1 AND row < ?2 ORDER BY row LIMIT ?3";
    let (first, end) = (record::row_number(number, first), record::row_number(number, end));
    let mut statement = database.prepare(query)?;
    let mut rows = statement.query([first, end, STRETCH_RECORDS_MAX])?;
    while let Some(row) = rows.next()? {
        if !visit(row)? {
            break;
        }
    }
    Ok(())
}

/// Checks place, version and checksum of a stored record.
fn read_record(
    found: &Row<'_>,
    run: &RunId,
    number: u64,
    expected: u64,
    end: u64,
) -> Result<Record, Error> {
    let broken =
        |error: rusqlite::Error| damaged(run, expected, &format!("cannot be read: {error}"));
    let row: i64 = found.get(0).map_err(broken)?;
    let place = record::place_of(row);
    if row != record::row_number(number, place) || place < expected {
        return Err(damaged(run, expected, "out of order"));
    }
    if place > expected {
        return Err(gone(run, expected, place.min(end) - 1));
    }
    let read = || -> rusqlite::Result<(u16, u32, [u8; 32], Vec<u8>)> {
        let body = found.get_ref(4)?.as_str()?.as_bytes().to_vec();
        Ok((found.get(1)?, found.get(2)?, found.get(3)?, body))
    };
    let (version, sum, chain, body) = read().map_err(broken)?;
    if record::checksum(row, version, &body) != sum {
        return Err(damaged(run, expected, "the checksum does not match"));
    }
    let (found, known) = (version, FORMAT_VERSION);
    if found > known {
        return Err(Error::NewerEntry { run: run.clone(), record: expected, found, known });
    }
    if found == 0 {
        return Err(damaged(run, expected, "no version"));
    }
    Ok(Record { version, chain: Digest(chain), body })
}

fn damaged(run: &RunId, place: u64, what: &str) -> Error {
    Error::Damaged { run: run.clone(), first: place, last: place, what: what.to_owned() }
}

fn gone(run: &RunId, first: u64, last: u64) -> Error {
    Error::Damaged { run: run.clone(), first, last, what: "missing".to_owned() }
}
