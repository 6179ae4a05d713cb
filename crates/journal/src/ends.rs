//! The one row that says where the list of runs begins and how many requests wait: what no row of a run can
//! vouch for.

use crate::error::Error;
use crate::place::Place;
use rusqlite::{Connection, OptionalExtension, Row};

/// The row of `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The newest run's number; 0 for none.
    pub newest: u64,
    /// The number that the next run gets.
    pub next: u64,
    /// The number that the last request got.
    pub asked: u64,
    /// Requests that wait.
    pub waiting: u64,
}

impl Ends {
    /// Those of a new journal.
    pub const NEW: Self = Self { newest: 0, next: 1, asked: 0, waiting: 0 };

    fn numbers(self) -> [u64; 4] {
        [self.newest, self.next, self.asked, self.waiting]
    }

    /// The row as it is stored.
    ///
    /// # Errors
    /// When it is gone, damaged or cannot be read.
    pub fn read(database: &Connection, place: &Place) -> Result<Self, Error> {
        let query = "SELECT newest, next, asked, waiting, checksum FROM list WHERE one = 1";
        let read = |row: &Row<'_>| {
            let big = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            let ends = Self { newest: big(0)?, next: big(1)?, asked: big(2)?, waiting: big(3)? };
            Ok((ends, row.get::<_, i64>(4)?))
        };
        let found: Option<(Self, i64)> = database
            .prepare_cached(query)
            .and_then(|mut statement| statement.query_row([], read).optional())
            .map_err(|error| Error::from_sqlite(&place.directory, &error))?;
        let damaged = |what: &str| Error::DamagedList { number: 0, what: what.to_owned() };
        let (ends, sum) = found.ok_or_else(|| damaged("its first row is gone"))?;
        if checksum(&ends.numbers()) != sum {
            return Err(damaged("its first row does not match its checksum"));
        }
        Ok(ends)
    }

    /// Writes the row; inside a transaction.
    pub fn write(self, database: &Connection) -> rusqlite::Result<()> {
        let replace = "INSERT OR REPLACE INTO list(one, newest, next, asked, waiting, checksum) \
                       VALUES(1, ?1, ?2, ?3, ?4, ?5)";
        let [newest, next, asked, waiting] = self.numbers().map(u64::cast_signed);
        let values = [newest, next, asked, waiting, checksum(&self.numbers())];
        database.prepare_cached(replace)?.execute(values).map(drop)
    }
}

/// CRC-32 of some numbers.
pub(crate) fn checksum(numbers: &[u64]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    numbers.iter().for_each(|number| hasher.update(&number.to_le_bytes()));
    i64::from(hasher.finalize())
}
