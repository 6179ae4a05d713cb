//! Records that are changed behind the journal's back: every change is named, or the run is as it was.

use super::world::World;
use loopwright_journal::Error;
use loopwright_protocol::FORMAT_VERSION;
use loopwright_types::RunId;
use rusqlite::{Connection, params};

/// Changes one record of a run that has some, with SQLite alone, and looks whether the journal says so.
pub(super) fn check(world: &mut World) -> Result<(), String> {
    let long = world.model.runs.iter().filter(|(_, run)| run.entries.len() > 2);
    let Some((id, count)) = long.map(|(id, run)| (id.clone(), run.entries.len() as u64)).next()
    else {
        return Ok(());
    };
    let way = world.random.below(5);
    let place = match way {
        // What the last record's link says is held against the run's row.
        4 => count - 1,
        _ => world.random.below(count),
    };
    let database = world.database()?;
    let changed = change(&database, &id, way, place).map_err(|error| format!("change: {error}"))?;
    drop(database);
    if !changed {
        return Ok(());
    }
    let store = world.open().map_err(|error| format!("open: {error}"))?;
    let told = |what: &str| format!("run `{id}`, record {place}, way {way}: {what}");
    match store.verify(&id) {
        Err(Error::Damaged { first, last, .. }) if (first..=last).contains(&place) => {}
        // A record that follows from another one is named with it or after it.
        Err(Error::Damaged { first, .. }) if way == 3 && first == place + 1 => {}
        other => return Err(told(&format!("verify said {other:?}"))),
    }
    if way == 4 {
        let resumed = store.resume(&id, Box::new(|_| {})).map(|writer| writer.entries());
        if !matches!(resumed, Err(Error::Damaged { .. })) {
            return Err(told(&format!("resume said {resumed:?}")));
        }
    }
    Ok(())
}

/// Says whether there was something to change.
fn change(database: &Connection, id: &RunId, way: u64, place: u64) -> rusqlite::Result<bool> {
    let number: i64 =
        database
            .query_row("SELECT number FROM runs WHERE id = ?1", [id.as_str()], |row| row.get(0))?;
    let row = (number << 40) | place.cast_signed();
    let changed = match way {
        // A character of the text.
        0 => database
            .execute("UPDATE entries SET body = replace(body, ':', ';') WHERE row = ?1", [row])?,
        // What only the checksum covers.
        1 => database
            .execute("UPDATE entries SET task = coalesce(task, 0) + 1 WHERE row = ?1", [row])?,
        // A link of the chain.
        2 => {
            let link = [7_u8; 32].as_slice();
            database.execute("UPDATE entries SET chain = ?2 WHERE row = ?1", params![row, link])?
        }
        // A record of the same place, whole in itself, that belongs to another history.
        3 => {
            let body = "{\"phase\":{\"guest\":0,\"title\":\"of another history\"}}";
            let sum = checksum(row, body.as_bytes());
            let update = "UPDATE entries SET body = ?2, refs = NULL, task = NULL, checksum = ?3, \
                          version = ?4 WHERE row = ?1";
            database.execute(update, params![row, body, sum, FORMAT_VERSION])?
        }
        _ => database.execute("DELETE FROM entries WHERE row = ?1", [row])?,
    };
    Ok(changed == 1)
}

/// CRC-32 of a record without references, by its definition (the polynomial of IEEE 802.3).
fn checksum(row: i64, body: &[u8]) -> u32 {
    let version = FORMAT_VERSION.to_le_bytes();
    let bytes = row.to_le_bytes().into_iter().chain(version).chain(body.iter().copied());
    let sum = bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 }
        })
    });
    !sum
}
