//! One stored entry: its number, its checksum and its link in the run's hash chain.

use loopwright_types::{Digest, RunId};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};
use sha2::{Digest as _, Sha256};

/// Bits of a row's number that hold the record's place in its run; the others hold the run's number.
const PLACE_BITS: u32 = 40;

/// The most records a run can have.
pub(crate) const PLACES_MAX: u64 = 1 << PLACE_BITS;

/// The largest run number that leaves the row number positive.
pub(crate) const RUN_NUMBER_MAX: u64 = (1 << (63 - PLACE_BITS)) - 1;

const _: () = assert!(RUN_NUMBER_MAX >= 8_000_000);

/// The row of the record at this place of the run: one b-tree holds all runs, each in one stretch.
pub(crate) fn row_number(run_number: u64, place: u64) -> i64 {
    debug_assert!(run_number <= RUN_NUMBER_MAX && place <= PLACES_MAX);
    ((run_number << PLACE_BITS) | place).cast_signed()
}

/// The place in its run that a row number says.
pub(crate) fn place_of(row: i64) -> u64 {
    row.cast_unsigned() & (PLACES_MAX - 1)
}

/// The number of the run that a row number says.
pub(crate) fn run_of(row: i64) -> u64 {
    row.cast_unsigned() >> PLACE_BITS
}

/// The chain before the first record. It differs from run to run, so that no record fits another run.
pub(crate) fn chain_start(run: &RunId) -> Digest {
    Digest::of_parts([b"loopwright journal".as_slice(), run.as_str().as_bytes()])
}

/// The chain after the record at this place, as it is stored.
pub(crate) fn chain_at(database: &Connection, run: u64, place: u64) -> rusqlite::Result<Digest> {
    let query = "SELECT chain FROM entries WHERE row = ?1";
    let read = |row: &Row<'_>| row.get::<_, [u8; 32]>(0).map(Digest);
    database.prepare_cached(query)?.query_row([row_number(run, place)], read)
}

/// One record as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    /// The version of the body's form.
    pub version: u16,
    /// What the column `task` says.
    pub task: Option<i64>,
    /// Where the body leaves values out that are stored elsewhere; empty where it is whole.
    pub refs: &'a [u8],
    /// The rest.
    pub body: &'a [u8],
}

impl Content<'_> {
    /// The checksum of one record, which names it as damaged without help from its neighbours.
    pub fn checksum(&self, row: i64) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&row.to_le_bytes());
        hasher.update(&self.version.to_le_bytes());
        if let Some(task) = self.task {
            hasher.update(&task.to_le_bytes());
        }
        hasher.update(self.refs);
        hasher.update(self.body);
        hasher.finalize()
    }

    /// The chain after the record: SHA-256 of the chain before it, its place, its version, and what it
    /// refers to and holds. The values referred to are in it by their own SHA-256.
    pub fn chain(&self, previous: &Digest, place: u64) -> Digest {
        let mut hasher = Sha256::new();
        let mut head = [0; 50];
        head[..32].copy_from_slice(&previous.0);
        head[32..40].copy_from_slice(&place.to_le_bytes());
        head[40..42].copy_from_slice(&self.version.to_le_bytes());
        head[42..].copy_from_slice(&(self.refs.len() as u64).to_le_bytes());
        hasher.update(head);
        hasher.update(self.refs);
        hasher.update(self.body);
        Digest(hasher.finalize().into())
    }

    /// Adds the record; inside a transaction.
    pub fn insert(&self, database: &Connection, row: i64, chain: &Digest) -> rusqlite::Result<()> {
        let insert = "INSERT INTO entries(row, version, checksum, task, chain, refs, body) \
                      VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let refs = (!self.refs.is_empty()).then_some(self.refs);
        let body = ToSqlOutput::Borrowed(ValueRef::Text(self.body));
        let sum = self.checksum(row);
        let values = params![row, self.version, sum, self.task, chain.0.as_slice(), refs, body];
        database.prepare_cached(insert)?.execute(values).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_numbers_order_by_run_and_then_by_place() {
        let rows = [(1, 0), (1, 1), (1, PLACES_MAX - 1), (2, 0), (RUN_NUMBER_MAX, 0)]
            .map(|(run, place)| row_number(run, place));
        assert!(rows.is_sorted_by(|a, b| a < b) && rows[0] > 0);
        assert_eq!(place_of(rows[2]), PLACES_MAX - 1);
    }

    #[test]
    fn checksum_and_chain_change_with_everything_they_cover() {
        let start = chain_start(&RunId::parse("a").unwrap());
        let other = chain_start(&RunId::parse("b").unwrap());
        let base = Content { version: 1, task: Some(3), refs: b"r", body: b"x" };
        let (sum, chain) = (base.checksum(7), base.chain(&start, 7));
        for changed in [
            Content { version: 2, ..base },
            Content { refs: b"s", ..base },
            Content { refs: b"", body: b"rx", ..base },
            Content { refs: b"rx", body: b"", ..base },
            Content { body: b"y", ..base },
        ] {
            assert_ne!(changed.chain(&start, 7), chain);
            // A checksum finds accidents: moving bytes from one field to the next is none.
            let moved = [changed.refs, changed.body].concat() == b"rx" && changed.version == 1;
            assert_eq!(changed.checksum(7) == sum, moved, "{changed:?}");
        }
        assert_ne!(base.checksum(8), sum);
        assert_ne!(Content { task: None, ..base }.checksum(7), sum);
        assert_ne!(base.chain(&start, 8), chain);
        assert_ne!(base.chain(&other, 7), chain);
    }
}
