//! Who may write a run: one row a run with owner, epoch and the time until which it is taken.
//!
//! The epoch decides: it goes up whenever the run changes hands, and every transaction that adds to a run
//! compares it first. An owner that was stopped for longer than its lease and wakes up after somebody took
//! the run over writes nothing more. The time only says when a run may be taken from an owner that is not
//! known to be gone.

use crate::error::Error;
use crate::run::Stored;
use loopwright_types::{Bug, Micros};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The row of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The store that records the run; none when nobody does.
    pub owner: Option<String>,
    /// How often the run has changed hands, from 1.
    pub epoch: u64,
    /// When it may be taken from an owner that gave no sign of life.
    pub until: Micros,
    /// The last sign of life.
    pub beat: Micros,
}

/// What is stored of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Lease(Lease),
    Damaged,
    Missing,
}

impl Lease {
    /// A run that belongs to this store from now on.
    pub fn new(owner: &str, epoch: u64, now: Micros, length: Micros) -> Self {
        Self { owner: Some(owner.to_owned()), epoch, until: now.after(length), beat: now }
    }

    fn checksum(&self, run: u64) -> i64 {
        let mut hasher = crc32fast::Hasher::new();
        for number in [run, self.epoch, self.until.0, self.beat.0] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(self.owner.as_deref().unwrap_or_default().as_bytes());
        hasher.update(&[u8::from(self.owner.is_some())]);
        i64::from(hasher.finalize())
    }

    /// Writes the row, new or not.
    pub fn store(&self, database: &Connection, run: u64) -> rusqlite::Result<()> {
        let insert = "INSERT OR REPLACE INTO leases(run, owner, epoch, until, beat, checksum) \
                      VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
        database.prepare_cached(insert)?.execute(params![
            run.cast_signed(),
            self.owner,
            self.epoch.cast_signed(),
            self.until.0.cast_signed(),
            self.beat.0.cast_signed(),
            self.checksum(run),
        ])?;
        Ok(())
    }

    /// Reads the columns owner, epoch, until, beat, checksum.
    fn read(found: &Row<'_>, run: u64) -> Found {
        let read = || -> rusqlite::Result<(Self, i64)> {
            let big = |column: usize| found.get::<_, i64>(column).map(i64::cast_unsigned);
            let lease = Self {
                owner: found.get(0)?,
                epoch: big(1)?,
                until: Micros(big(2)?),
                beat: Micros(big(3)?),
            };
            Ok((lease, found.get(4)?))
        };
        match read() {
            Ok((lease, sum)) if lease.checksum(run) == sum => Found::Lease(lease),
            _ => Found::Damaged,
        }
    }

    /// The row of the run.
    pub fn find(database: &Connection, run: u64) -> rusqlite::Result<Found> {
        let query = "SELECT owner, epoch, until, beat, checksum FROM leases WHERE run = ?1";
        let found = database
            .prepare_cached(query)?
            .query_row([run.cast_signed()], |row| Ok(Self::read(row, run)))
            .optional()?;
        Ok(found.unwrap_or(Found::Missing))
    }
}

/// Whether the store that holds this epoch may write; inside the transaction that writes.
///
/// # Errors
/// [`Error::Fenced`] when another has taken the run over, or it was deleted.
pub(crate) fn check(
    database: &Connection,
    stored: &Stored,
    epoch: u64,
) -> Result<(), CheckFailure> {
    let run = stored.row.id.clone();
    match Lease::find(database, stored.number)? {
        Found::Lease(lease) if lease.epoch == epoch || Bug::IgnoreEpoch.is_on() => Ok(()),
        Found::Lease(lease) => {
            Err(CheckFailure::Lost(Error::Fenced { run, epoch, found: Some(lease.epoch) }))
        }
        Found::Missing => Err(CheckFailure::Lost(Error::Fenced { run, epoch, found: None })),
        found @ Found::Damaged => {
            let fenced = Error::Fenced { run, epoch, found: None };
            Err(CheckFailure::Lost(found.damage(stored).unwrap_or(fenced)))
        }
    }
}

/// Why a run may not be written.
pub(crate) enum CheckFailure {
    /// This run alone may not.
    Lost(Error),
    /// The database cannot be read.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for CheckFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Found {
    /// What to say where there is no lease that counts. A run has one as long as it is there, held or not.
    pub fn damage(&self, stored: &Stored) -> Option<Error> {
        let what = match self {
            Self::Lease(_) => return None,
            Self::Damaged => "does not match its checksum",
            Self::Missing => "is gone",
        };
        let what = format!("the lease of run `{}` {what}", stored.row.id);
        Some(Error::DamagedList { number: stored.number, what })
    }
}
