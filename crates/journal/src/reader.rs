//! Reads a run's entries back, checking each record's checksum and its link in the chain on the way.

use crate::blob::{self, Ref};
use crate::database;
use crate::error::Error;
use crate::list::List;
use crate::record::{self, Content};
use crate::run::Stored;
use crate::store::Shared;
use loopwright_protocol::{Entry, FORMAT_VERSION};
use loopwright_types::{Bug, Digest, RunId};
use rusqlite::{Connection, Row};
use std::borrow::Cow;
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
                database::open_to_read(&shared.place)?
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

/// The entries of one run in order, each with its number from 0. After an error it ends.
pub struct Entries {
    cursor: Cursor,
    waiting: VecDeque<(u64, Entry)>,
    error: Option<Error>,
}

impl Entries {
    /// From the entry of number `first` on.
    pub(crate) fn new(reader: Reader, run: Stored, first: u64) -> Result<Self, Error> {
        let cursor = Cursor::new(reader, run, first)?;
        Ok(Self { cursor, waiting: VecDeque::new(), error: None })
    }

    /// How many entries the run had when reading began; the iterator ends there.
    pub fn end(&self) -> u64 {
        self.cursor.run.row.entries
    }
}

impl Iterator for Entries {
    type Item = Result<(u64, Entry), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.waiting.is_empty() && self.error.is_none() {
            let waiting = &mut self.waiting;
            let stretch = self.cursor.stretch(|place, record| {
                waiting.push_back((place, record.entry));
                Ok(())
            });
            self.error = stretch.err();
        }
        match self.waiting.pop_front() {
            Some(entry) => Some(Ok(entry)),
            None => self.error.take().map(Err),
        }
    }
}

/// A record that was checked.
pub(crate) struct Checked<'a> {
    /// As it is stored.
    pub content: Content<'a>,
    /// What it says.
    pub entry: Entry,
}

/// Reads the records of one run in order, a stretch at a time.
pub(crate) struct Cursor {
    pub reader: Reader,
    pub run: Stored,
    next: u64,
    chain: Digest,
    ended: bool,
}

impl Cursor {
    /// From the entry of number `first` on, whose link is checked against the one stored before it.
    pub fn new(reader: Reader, run: Stored, first: u64) -> Result<Self, Error> {
        let next = first.min(run.row.entries);
        let chain = match next.checked_sub(1) {
            None => record::chain_start(&run.row.id),
            Some(before) => {
                record::chain_at(reader.database(), run.number, before).map_err(|error| {
                    damaged(&run.row.id, before, &format!("cannot be read: {error}"))
                })?
            }
        };
        Ok(Self { reader, run, next, chain, ended: false })
    }

    /// Gives `visit` the next records, with their numbers; none at the end. An error ends the reading,
    /// behind the records before it.
    pub fn stretch(
        &mut self,
        mut visit: impl FnMut(u64, Checked<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        if self.next == self.run.row.entries {
            self.ended = true;
            let ends = self.chain == self.run.row.head || Bug::SkipChain.is_on();
            return if ends { Ok(()) } else { Err(self.end_of_chain()) };
        }
        let first = self.next;
        let read = self.fill(&mut visit).and_then(|()| {
            let last = self.run.row.entries - 1;
            if self.next == first { Err(gone(&self.run.row.id, first, last)) } else { Ok(()) }
        });
        self.ended |= read.is_err();
        read.map_err(|error| self.blame(error))
    }

    fn fill(
        &mut self,
        visit: &mut dyn FnMut(u64, Checked<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (number, first, end) = (self.run.number, self.next, self.run.row.entries);
        let mut bytes = 0;
        let (run, next, chain) = (&self.run.row.id, &mut self.next, &mut self.chain);
        let database = self.reader.database();
        let read = each_record(database, number, first, end, |row| {
            let (content, stored) = read_record(row, run, number, *next, end)?;
            let linked = content.chain(chain, *next);
            let broken = |what: &str| damaged(run, *next, what);
            if linked != stored && !Bug::SkipChain.is_on() {
                return Err(broken("it does not follow from the record before it").into());
            }
            let body = whole_body(database, &content, broken)?;
            let entry = Entry::decode(&body)
                .map_err(|error| broken(&format!("cannot be read: {error}")))?;
            bytes += body.len();
            visit(*next, Checked { content, entry })?;
            *chain = linked;
            *next += 1;
            Ok(bytes < STRETCH_BYTES_MAX)
        });
        read.map_err(|fault| self.place(fault))
    }

    /// An error of the database itself, said of the record that was to be read.
    fn place(&self, fault: Fault) -> Error {
        match fault {
            Fault::Known(error) => error,
            Fault::Sqlite(error) => {
                match Error::from_sqlite(&self.reader.shared.place.directory, &error) {
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
        if !error.is_damage() {
            return error;
        }
        let list = List { database: self.reader.database(), place: &self.reader.shared.place };
        match list.by_id(&self.run.row.id) {
            Err(unknown @ Error::RunUnknown { .. }) => unknown,
            _ => error,
        }
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
                let row = &entries.cursor.run.row;
                return Ok(Verified { count: row.entries, head: row.head });
            }
        }
    };
    if let Error::Damaged { first, last, .. } = &mut error {
        let Stored { number, row, .. } = &entries.cursor.run;
        let (run, number, end) = (&row.id, *number, row.entries);
        let database = entries.cursor.reader.database();
        let good = |place: u64| {
            let mut found = false;
            let read = each_record(database, number, place, place + 1, |row| {
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

pub(crate) enum Fault {
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
    mut visit: impl FnMut(&Row<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let query = "SELECT row, version, checksum, task, chain, refs, body FROM entries \
                 WHERE row >= ?1 AND row < ?2 ORDER BY row LIMIT ?3";
    let (first, end) = (record::row_number(number, first), record::row_number(number, end));
    let mut statement = database.prepare_cached(query)?;
    let mut rows = statement.query([first, end, STRETCH_RECORDS_MAX])?;
    while let Some(row) = rows.next()? {
        if !visit(row)? {
            break;
        }
    }
    Ok(())
}

/// Checks place, version and checksum of a stored record; returns it with its link.
fn read_record<'a>(
    found: &'a Row<'_>,
    run: &RunId,
    number: u64,
    expected: u64,
    end: u64,
) -> Result<(Content<'a>, Digest), Error> {
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
    let read = || -> rusqlite::Result<(u32, [u8; 32], Content<'a>)> {
        let refs = found.get_ref(5)?.as_blob_or_null()?.unwrap_or_default();
        let body = found.get_ref(6)?.as_str()?.as_bytes();
        let content = Content { version: found.get(1)?, task: found.get(3)?, refs, body };
        Ok((found.get(2)?, found.get(4)?, content))
    };
    let (sum, chain, content) = read().map_err(broken)?;
    if content.checksum(row) != sum && !Bug::SkipChecksum.is_on() {
        return Err(damaged(run, expected, "the checksum does not match"));
    }
    check_version(run, expected, content.version)?;
    Ok((content, Digest(chain)))
}

/// Whether this version reads such records: what another one wrote is refused, never misread.
///
/// # Errors
/// When it does not.
pub(crate) fn check_version(run: &RunId, record: u64, found: u16) -> Result<(), Error> {
    let known = FORMAT_VERSION;
    match found {
        0 => Err(damaged(run, record, "no version")),
        _ if found < known => Err(Error::OlderEntry { run: run.clone(), record, found, known }),
        _ if found > known => Err(Error::NewerEntry { run: run.clone(), record, found, known }),
        _ => Ok(()),
    }
}

/// The body with its large values in their places.
fn whole_body<'a>(
    database: &Connection,
    content: &Content<'a>,
    broken: impl Fn(&str) -> Error,
) -> Result<Cow<'a, [u8]>, Fault> {
    if content.refs.is_empty() {
        return Ok(Cow::Borrowed(content.body));
    }
    let misfit = || Fault::Known(broken("its references do not fit"));
    let refs = Ref::read_all(content.refs).ok_or_else(misfit)?;
    let value = |reference: &Ref| {
        let said = |what: &str| broken(&format!("its value `sha256:{}` {what}", reference.digest));
        let value = blob::find(database, &reference.digest)?.ok_or_else(|| said("is missing"))?;
        let fits = value.len() as u64 == reference.length && Digest::of(&value) == reference.digest;
        if fits { Ok(value) } else { Err(Fault::Known(said("is damaged"))) }
    };
    blob::unpack(content.body, &refs, value, misfit).map(Cow::Owned)
}

fn damaged(run: &RunId, place: u64, what: &str) -> Error {
    Error::Damaged { run: run.clone(), first: place, last: place, what: what.to_owned() }
}

fn gone(run: &RunId, first: u64, last: u64) -> Error {
    Error::Damaged { run: run.clone(), first, last, what: "missing".to_owned() }
}
