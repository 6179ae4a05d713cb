//! A share of the search of the journal alone. The long one is `cargo run --release -p loopwright-crash`.

use loopwright_crash::{journal, search};
use loopwright_disk::{Disk, Fault, Plan};
use loopwright_journal::{Options, Store};
use rusqlite::{Connection, OpenFlags};

const FAULTS: [Fault; 5] = [Fault::Write, Fault::Full, Fault::Sync, Fault::Read, Fault::Name];

/// Seeds of this share; another number by `LOOPWRIGHT_CRASH_SEEDS`, one seed by `LOOPWRIGHT_CRASH_SEED`.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("LOOPWRIGHT_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LOOPWRIGHT_CRASH_SEEDS").unwrap_or(200),
    }
}

#[test]
fn a_journal_that_crashed_holds_what_it_reported_and_nothing_else() {
    match search(seeds(), journal::case) {
        Ok(found) => println!("{found:?}"),
        Err((seed, found, what)) => panic!("seed {seed} (after {found:?}): {what}"),
    }
}

#[test]
fn a_journal_that_opens_on_a_disk_with_a_fault_keeps_a_log() {
    for (fault, at) in FAULTS.into_iter().flat_map(|fault| (0..30).map(move |at| (fault, at))) {
        let disk = Disk::new(at);
        disk.plan(Plan { fault: Some((at, fault)), ..Plan::default() });
        let path = std::path::Path::new("/journal.db");
        let Ok(_store) = Store::open_inline(disk.vfs(), path, Options::default()) else { continue };
        disk.plan(Plan::default());
        let database = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), disk.vfs());
        let mode = database.unwrap().query_row("PRAGMA journal_mode", [], |row| row.get(0));
        assert_eq!(mode, Ok("wal".to_owned()), "{fault:?} at operation {at}");
    }
}

#[test]
fn a_crash_at_every_operation_of_a_life_is_recovered_from() {
    for seed in 0..4 {
        let operations = journal::operations(seed).unwrap();
        for at in 0..operations {
            journal::case_at(seed, at).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        }
    }
}
