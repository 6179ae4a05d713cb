//! What other processes ask of a run: rows that whoever records the run finds at its next look.

use crate::error::Error;
use crate::list::List;
use loopwright_protocol::Json;
use loopwright_types::Micros;
use rusqlite::{Connection, Row, params};

/// Something that is asked of a run from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// End it.
    Cancel,
    /// Let what is under way finish and begin nothing new.
    Pause,
    /// Somebody's answer to something the run waits for; what it holds is the engine's business.
    Answer(Json),
}

/// One request, until it is acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its number, for [`crate::Writer::acknowledge`].
    pub number: u64,
    /// When it was made.
    pub at: Micros,
    /// What is asked.
    pub control: Control,
}

/// Given each request once while a run is recorded, in the order in which they were made; those that were
/// not acknowledged come again when the run is resumed. Called on the writer thread: it must neither wait
/// nor panic.
pub type Listener = Box<dyn FnMut(Request) + Send>;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its number.
    pub number: u64,
    /// Whether somebody records the run now; otherwise it waits until the run is resumed.
    pub live: bool,
}

impl Control {
    fn word(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Answer(_) => "answer",
        }
    }

    fn payload(&self) -> Option<&str> {
        match self {
            Self::Cancel | Self::Pause => None,
            Self::Answer(answer) => Some(answer.text()),
        }
    }

    fn read(word: &str, payload: Option<String>) -> Option<Self> {
        match (word, payload) {
            ("cancel", None) => Some(Self::Cancel),
            ("pause", None) => Some(Self::Pause),
            ("answer", Some(text)) => Json::parse(text).ok().map(Self::Answer),
            _ => None,
        }
    }
}

fn checksum(number: i64, run: i64, at: i64, kind: &str, payload: Option<&str>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [number, run, at] {
        hasher.update(&part.to_le_bytes());
    }
    hasher.update(kind.as_bytes());
    hasher.update(&[0]);
    hasher.update(payload.unwrap_or_default().as_bytes());
    hasher.finalize()
}

/// Adds a request of this number to run number `run`; inside a transaction.
pub(crate) fn insert(
    database: &Connection,
    number: u64,
    run: u64,
    at: Micros,
    control: &Control,
) -> rusqlite::Result<()> {
    let [number, run, at] = [number, run, at.0].map(u64::cast_signed);
    let (kind, payload) = (control.word(), control.payload());
    let insert = "INSERT INTO controls(number, run, at, kind, payload, checksum) \
                  VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
    let sum = checksum(number, run, at, kind, payload);
    let values = params![number, run, at, kind, payload, sum];
    database.prepare_cached(insert)?.execute(values).map(drop)
}

/// Takes a request back that was done; inside a transaction. Returns whether it was there.
pub(crate) fn remove(database: &Connection, run: u64, number: u64) -> rusqlite::Result<bool> {
    let delete = "DELETE FROM controls WHERE number = ?1 AND run = ?2";
    let values = [number.cast_signed(), run.cast_signed()];
    database.prepare_cached(delete)?.execute(values).map(|removed| removed > 0)
}

/// All requests of all runs in the order in which they were made, each with its run's number; an error in
/// the place of one that is not as it was written.
pub(crate) fn all(database: &Connection) -> rusqlite::Result<Vec<(u64, Result<Request, Error>)>> {
    let query = "SELECT number, run, at, kind, payload, checksum FROM controls ORDER BY number";
    database.prepare_cached(query)?.query_map([], |row| Ok(read(row)))?.collect()
}

fn read(row: &Row<'_>) -> (u64, Result<Request, Error>) {
    let number = row.get::<_, i64>(0).unwrap_or_default();
    let run = row.get::<_, i64>(1).unwrap_or_default();
    let read = || -> rusqlite::Result<Option<Request>> {
        let at: i64 = row.get(2)?;
        let (kind, payload): (String, Option<String>) = (row.get(3)?, row.get(4)?);
        let sum = checksum(number, run, at, &kind, payload.as_deref());
        let matches = sum == row.get::<_, u32>(5)?;
        let control = Control::read(&kind, payload).filter(|_| matches);
        let (number, at) = (number.cast_unsigned(), Micros(at.cast_unsigned()));
        Ok(control.map(|control| Request { number, at, control }))
    };
    let damaged = || Error::DamagedList {
        number: run.cast_unsigned(),
        what: format!("request {number} does not match its checksum"),
    };
    (run.cast_unsigned(), read().ok().flatten().ok_or_else(damaged))
}

/// The requests of one run, all of them or an error: where any request is damaged or gone, nobody can say
/// whose it was.
pub(crate) fn of(list: List<'_>, run: u64) -> Result<Vec<Request>, Error> {
    // One look at both: the count belongs to the rows.
    let fail = |error| Error::from_sqlite(&list.place.directory, &error);
    let transaction = list.database.unchecked_transaction().map_err(fail)?;
    let all = all(&transaction).map_err(fail)?;
    let waiting = list.ends()?.waiting;
    if all.len() as u64 != waiting {
        let what = format!("{} requests are there and {waiting} should be", all.len());
        return Err(Error::DamagedList { number: 0, what });
    }
    let mut found = Vec::new();
    for (number, request) in all {
        let request = request?;
        if number == run {
            found.push(request);
        }
    }
    Ok(found)
}
