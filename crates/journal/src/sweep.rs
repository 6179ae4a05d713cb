//! Deleting a run's entries and values a piece at a time, so that other runs' commits go on in between.

use crate::blob;
use crate::lease::{Found, Lease};
use crate::record;
use rusqlite::{Connection, OptionalExtension, params};

/// Entries deleted in one transaction.
pub(crate) const ENTRIES_MAX: usize = 16_384;

/// Values forgotten in one transaction.
const VALUES_MAX: usize = 64;

/// Deletes a piece of what a run that is no longer in the list has left; inside a transaction. Returns
/// whether nothing is left.
pub(crate) fn sweep(database: &Connection, number: u64) -> rusqlite::Result<bool> {
    let (first, end) = (record::row_number(number, 0), record::row_number(number + 1, 0));
    let delete = "DELETE FROM entries WHERE row IN \
                  (SELECT row FROM entries WHERE row >= ?1 AND row < ?2 ORDER BY row LIMIT ?3)";
    let deleted =
        database.prepare_cached(delete)?.execute(params![first, end, ENTRIES_MAX as i64])?;
    if deleted == ENTRIES_MAX {
        return Ok(false);
    }
    let done = blob::release(database, number, VALUES_MAX)? < VALUES_MAX;
    if done {
        database.execute("DELETE FROM leases WHERE run = ?1", [number.cast_signed()])?;
    }
    Ok(done)
}

/// Numbers of runs that are not in the list and have entries, values or a lease left: of deletions and imports
/// that were interrupted. Those that somebody holds a lease on are still under way.
pub(crate) fn leftovers(
    database: &Connection,
    is_held: impl Fn(&Lease) -> bool,
) -> rusqlite::Result<Vec<u64>> {
    let is_needed = |number: u64| -> rusqlite::Result<bool> {
        let held = match Lease::find(database, number)? {
            Found::Lease(lease) => is_held(&lease),
            Found::Damaged | Found::Missing => false,
        };
        let mut listed = database.prepare_cached("SELECT 1 FROM runs WHERE number = ?1")?;
        Ok(held || listed.exists([number.cast_signed()])?)
    };
    let mut found = Vec::new();
    let mut from = record::row_number(0, 0);
    let next = "SELECT row FROM entries WHERE row >= ?1 ORDER BY row LIMIT 1";
    loop {
        let row: Option<i64> =
            database.prepare_cached(next)?.query_row([from], |row| row.get(0)).optional()?;
        let Some(row) = row else { break };
        let number = record::run_of(row);
        if !is_needed(number)? {
            found.push(number);
        }
        from = record::row_number(number + 1, 0);
    }
    let others = "SELECT run FROM uses UNION \
                  SELECT run FROM leases WHERE run NOT IN (SELECT number FROM runs)";
    let mut statement = database.prepare(others)?;
    for number in statement.query_map([], |row| row.get::<_, i64>(0))? {
        let number = number?.cast_unsigned();
        if !found.contains(&number) && !is_needed(number)? {
            found.push(number);
        }
    }
    Ok(found)
}
