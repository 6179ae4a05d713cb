//! One stored entry: its number, its checksum and its link in the run's hash chain.

use loopwright_types::{Digest, RunId};
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

/// The chain before the first record. It differs from run to run, so that no record fits another run.
pub(crate) fn chain_start(run: &RunId) -> Digest {
    Digest::of_parts([b"loopwright journal".as_slice(), run.as_str().as_bytes()])
}

/// The checksum of one record, which names it as damaged without help from its neighbours.
pub(crate) fn checksum(row: i64, version: u16, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&row.to_le_bytes());
    hasher.update(&version.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// The chain after the record: SHA-256 of the chain before it, its place, its version and its body.
pub(crate) fn chain(previous: &Digest, place: u64, version: u16, body: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    let mut head = [0; 42];
    head[..32].copy_from_slice(&previous.0);
    head[32..40].copy_from_slice(&place.to_le_bytes());
    head[40..].copy_from_slice(&version.to_le_bytes());
    hasher.update(head);
    hasher.update(body);
    Digest(hasher.finalize().into())
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
        let base = (checksum(7, 1, b"x"), chain(&start, 7, 1, b"x"));
        for (row, version, body) in [(8, 1, b"x"), (7, 2, b"x"), (7, 1, b"y")] {
            assert_ne!(checksum(row, version, body), base.0);
            assert_ne!(chain(&start, row.cast_unsigned(), version, body), base.1);
        }
        assert_ne!(chain(&other, 7, 1, b"x"), base.1);
    }
}
