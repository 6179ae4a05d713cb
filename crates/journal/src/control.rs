//! What other processes ask of a run: rows that whoever records the run finds at its next look.

use crate::error::Error;
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

fn checksum(run: i64, at: i64, kind: &str, payload: Option<&str>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&run.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.update(kind.as_bytes());
    hasher.update(&[0]);
    hasher.update(payload.unwrap_or_default().as_bytes());
    hasher.finalize()
}

/// Adds a request to run number `run`; inside a transaction. Returns its number.
pub(crate) fn insert(
    database: &Connection,
    run: u64,
    at: Micros,
    control: &Control,
) -> rusqlite::Result<u64> {
    let (run, at, kind) = (run.cast_signed(), at.0.cast_signed(), control.word());
    let insert =
        "INSERT INTO controls(run, at, kind, payload, checksum) VALUES(?1, ?2, ?3, ?4, ?5)";
    let sum = checksum(run, at, kind, control.payload());
    database.prepare_cached(insert)?.execute(params![run, at, kind, control.payload(), sum])?;
    Ok(database.last_insert_rowid().cast_unsigned())
}

/// Takes a request back that was done; inside a transaction.
pub(crate) fn remove(database: &Connection, run: u64, number: u64) -> rusqlite::Result<()> {
    let delete = "DELETE FROM controls WHERE number = ?1 AND run = ?2";
    let values = [number.cast_signed(), run.cast_signed()];
    database.prepare_cached(delete)?.execute(values).map(drop)
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
        let matches = checksum(run, at, &kind, payload.as_deref()) == row.get::<_, u32>(5)?;
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
