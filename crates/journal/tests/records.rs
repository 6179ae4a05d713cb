//! What is appended comes back the same, in order, and the list of runs says what happened.

mod support;

use loopwright_journal::{Error, Store};
use loopwright_protocol::Entry;
use loopwright_types::{Digest, RunStatus, Usage};
use std::os::unix::fs::PermissionsExt;
use support::{
    called, create, failed, finished, id, read, record, settled, started, turn, whole_run,
};

fn new_store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("data")).unwrap();
    (directory, store)
}

#[test]
fn entries_read_back_equal_after_the_store_was_closed_and_opened_again() {
    let (directory, store) = new_store();
    let runs = [("a", 3), ("b", 40), ("c", 0)].map(|(run, tasks)| (run, whole_run(run, tasks)));
    for (run, entries) in &runs {
        record(&store, run, entries);
    }
    drop(store);
    let path = directory.path().join("data");
    for store in [Store::open_read_only(&path).unwrap(), Store::open(&path).unwrap()] {
        for (run, entries) in &runs {
            assert_eq!(&read(&store, run).unwrap(), entries);
            assert_eq!(store.verify(&id(run)).unwrap().count, entries.len() as u64);
        }
    }
}

#[test]
fn the_callback_reports_the_count_of_durable_entries_until_all_are() {
    let (_directory, store) = new_store();
    let (writer, reports) = create(&store, "a");
    writer.append(vec![started("a"), called(0)]);
    assert_eq!(reports.recv().unwrap(), Ok(2));
    writer.append(vec![settled(0, false)]);
    writer.append(Vec::new());
    writer.append(vec![turn(1), called(1)]);
    writer.close().unwrap();
    let counts: Vec<u64> = reports.into_iter().map(Result::unwrap).collect();
    assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
    assert_eq!(counts.last(), Some(&5));
}

#[test]
fn the_row_of_a_run_follows_its_entries() {
    let (_directory, store) = new_store();
    let (writer, reports) = create(&store, "a");
    writer.append(vec![started("a"), called(0), called(1), called(2), settled(0, false)]);
    writer.append(vec![failed(1), settled(2, true), settled(2, true)]);
    while reports.recv().unwrap().unwrap() < 8 {}
    let row = store.find("a").unwrap();
    assert_eq!((row.tasks, row.done, row.failed, row.entries), (3, 1, 2, 8));
    assert_eq!(
        row.usage,
        Usage { input_tokens: 240, output_tokens: 60, usd_micros: 10, ..Usage::default() }
    );
    assert_eq!((row.status, row.interrupted, row.ended), (RunStatus::Running, false, None));
    assert_eq!(row.program, "count.ts");

    writer.append(vec![finished(&format!("\"{}\"", "x".repeat(300)), 3, 1)]);
    writer.close().unwrap();
    let row = store.find("a").unwrap();
    assert_eq!((row.status, row.interrupted), (RunStatus::Complete, false));
    assert_eq!(row.ended.unwrap().0, 9_000_000);
    assert_eq!(row.result.unwrap().chars().count(), 201);
}

#[test]
fn runs_are_listed_newest_first_and_found_by_prefix() {
    let (_directory, store) = new_store();
    for run in ["ab-1", "ab-2", "cd-1"] {
        record(&store, run, &whole_run(run, 1));
    }
    let ids = |limit| -> Vec<String> {
        store.runs(limit).unwrap().into_iter().map(|row| row.id.to_string()).collect()
    };
    assert_eq!(ids(9), ["cd-1", "ab-2", "ab-1"]);
    assert_eq!(ids(1), ["cd-1"]);
    assert!(ids(0).is_empty());
    for (asked, found) in [("latest", "cd-1"), ("c", "cd-1"), ("ab-1", "ab-1")] {
        assert_eq!(store.find(asked).unwrap().id, id(found), "{asked}");
    }
    let Err(Error::RunAmbiguous { candidates, .. }) = store.find("ab") else { panic!() };
    assert_eq!(candidates, [id("ab-2"), id("ab-1")]);
    for unknown in ["x", "cd-10", "AB", "%"] {
        assert!(matches!(store.find(unknown), Err(Error::RunUnknown { .. })), "{unknown}");
    }
}

#[test]
fn an_id_is_recorded_once() {
    let (_directory, store) = new_store();
    record(&store, "a", &whole_run("a", 1));
    let (synced, reports) = support::reports();
    let error = store.create(&support::start("a"), synced).err().unwrap();
    assert_eq!(error, Error::RunExists { run: id("a") });
    assert!(reports.recv().is_err(), "nothing is reported for a run that did not begin");
    record(&store, "b", &whole_run("b", 1));
}

#[test]
fn a_run_that_was_given_up_without_an_end_is_interrupted() {
    let (_directory, store) = new_store();
    let (writer, _reports) = create(&store, "a");
    writer.append(vec![started("a")]);
    let other = Store::open_read_only(store_path(&_directory).as_path()).unwrap();
    assert!(!other.find("a").unwrap().interrupted);
    writer.close().unwrap();
    for store in [&store, &other] {
        let row = store.find("a").unwrap();
        assert_eq!((row.status, row.interrupted), (RunStatus::Running, true));
    }
}

fn store_path(directory: &tempfile::TempDir) -> std::path::PathBuf {
    directory.path().join("data")
}

#[test]
fn a_reader_sees_what_is_durable_while_another_store_writes() {
    let (directory, store) = new_store();
    let reader = Store::open_read_only(&store_path(&directory)).unwrap();
    assert_eq!(reader.runs(9).unwrap(), []);
    let (writer, reports) = create(&store, "a");
    let entries = whole_run("a", 400);
    for chunk in entries.chunks(100) {
        writer.append(chunk.to_vec());
        let durable = reports.recv().unwrap().unwrap();
        let found = read(&reader, "a").unwrap();
        assert!(found.len() as u64 >= durable && entries.starts_with(&found));
    }
}

#[test]
fn stores_on_one_directory_write_at_the_same_time() {
    let directory = tempfile::tempdir().unwrap();
    let runs: Vec<String> = (0..4).map(|n| format!("run-{n}")).collect();
    std::thread::scope(|scope| {
        for run in &runs {
            scope.spawn(|| {
                let store = Store::open(directory.path()).unwrap();
                let (writer, reports) = create(&store, run);
                for entry in whole_run(run, 30) {
                    writer.append(vec![entry]);
                    reports.recv().unwrap().unwrap();
                }
                writer.close().unwrap();
            });
        }
    });
    let store = Store::open_read_only(directory.path()).unwrap();
    assert_eq!((store.runs(9).unwrap().len(), store.loss()), (4, None));
    for run in &runs {
        assert_eq!(read(&store, run).unwrap(), whole_run(run, 30));
    }
}

#[test]
fn runs_of_one_store_share_commits() {
    let (_directory, store) = new_store();
    let writers: Vec<_> = (0..50).map(|n| create(&store, &format!("run-{n}"))).collect();
    let before = store.stats();
    for round in 0..20 {
        for (writer, _) in &writers {
            writer.append(vec![turn(round)]);
        }
    }
    for (writer, _reports) in writers {
        writer.close().unwrap();
    }
    let after = store.stats();
    assert_eq!(after.entries - before.entries, 1000);
    assert!(after.commits - before.commits < 500, "{after:?}");
}

#[test]
fn the_head_of_the_chain_is_the_same_for_the_same_entries_and_no_others() {
    let head = |run: &str, entries: &[Entry]| -> Digest {
        let (_directory, store) = new_store();
        record(&store, run, entries);
        store.verify(&id(run)).unwrap().head
    };
    let entries = whole_run("a", 2);
    let first = head("a", &entries);
    assert_eq!(head("a", &entries), first);
    assert_ne!(head("b", &entries), first);
    assert_ne!(head("a", &entries[..entries.len() - 1]), first);
}

#[test]
fn a_long_run_is_read_in_stretches() {
    let (_directory, store) = new_store();
    let (writer, _reports) = create(&store, "a");
    let big = finished(&format!("\"{}\"", "y".repeat(300_000)), 0, 0);
    let entries: Vec<Entry> =
        (0..3000).map(|n| if n % 500 == 499 { big.clone() } else { turn(n) }).collect();
    writer.append(entries.clone());
    writer.close().unwrap();
    assert_eq!(read(&store, "a").unwrap(), entries);
}

#[test]
fn a_deleted_run_is_gone_and_its_neighbours_are_not() {
    let (directory, store) = new_store();
    for run in ["a", "b", "c"] {
        record(&store, run, &whole_run(run, 2));
    }
    let (writer, _reports) = create(&store, "live");
    assert_eq!(store.delete(&id("live")), Err(Error::RunLive { run: id("live") }));
    writer.close().unwrap();
    for run in ["b", "live", "c"] {
        store.delete(&id(run)).unwrap();
        assert!(matches!(store.delete(&id(run)), Err(Error::RunUnknown { .. })));
    }
    record(&store, "d", &whole_run("d", 2));
    drop(store);
    let store = Store::open(&store_path(&directory)).unwrap();
    let ids: Vec<_> = store.runs(9).unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(ids, [id("d"), id("a")]);
    for run in ["a", "d"] {
        assert_eq!(read(&store, run).unwrap(), whole_run(run, 2));
    }
    let reader = Store::open_read_only(&store_path(&directory)).unwrap();
    assert_eq!(reader.delete(&id("a")), Err(Error::OpenedToRead));
}

#[test]
fn a_run_goes_on_whole_while_its_neighbours_are_deleted() {
    let (directory, store) = new_store();
    for run in ["a", "b"] {
        record(&store, run, &whole_run(run, 2));
    }
    let other = Store::open(&store_path(&directory)).unwrap();
    let (writer, _reports) = create(&store, "c");
    for (neighbour, place) in [("b", 0), ("a", 1)] {
        other.delete(&id(neighbour)).unwrap();
        writer.append(vec![turn(place)]);
    }
    writer.close().unwrap();
    let listing = store.list(9).unwrap();
    assert_eq!((listing.rows.len(), listing.damage), (1, Vec::new()));
    assert_eq!(read(&store, "c").unwrap(), [turn(0), turn(1)]);
}

#[test]
fn a_damaged_row_hides_no_other_run() {
    let cases = [
        ("UPDATE runs SET done = done + 1 WHERE number = 3", &["e", "d", "b", "a"][..], 1),
        ("UPDATE runs SET previous = 1 WHERE number = 3", &["e", "d", "b", "a"], 1),
        ("DELETE FROM runs WHERE number IN (2, 3)", &["e", "d", "a"], 1),
        ("DELETE FROM runs WHERE number = 5", &["d", "c", "b", "a"], 1),
        ("DELETE FROM runs WHERE number = 1", &["e", "d", "c", "b"], 1),
        ("UPDATE runs SET status = 'x'", &[], 5),
        ("UPDATE list SET newest = 3", &["e", "d", "c", "b", "a"], 1),
        ("UPDATE leases SET epoch = 7 WHERE run = 2", &["e", "d", "c", "b", "a"], 1),
        ("UPDATE runs SET id = 'x' WHERE number = 4", &["e", "c", "b", "a"], 1),
    ];
    for (statement, left, damage) in cases {
        let (directory, store) = new_store();
        for run in ["a", "b", "c", "d", "e"] {
            record(&store, run, &whole_run(run, 1));
        }
        drop(store);
        let path = store_path(&directory);
        let database = rusqlite::Connection::open(path.join("journal.db")).unwrap();
        database.execute_batch(statement).unwrap();
        drop(database);
        let store = Store::open_read_only(&path).unwrap();
        let listing = store.list(9).unwrap();
        let ids: Vec<_> = listing.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(
            (ids.as_slice(), listing.damage.len()),
            (left, damage),
            "{statement}: {listing:?}"
        );
        assert!(listing.damage.iter().all(Error::is_damage));
        assert_eq!(store.runs(9).unwrap(), listing.rows);
        for run in ["a", "b", "c", "d", "e"] {
            let found = (store.find(run).is_ok(), read(&store, run).ok());
            let whole = left.contains(&run).then(|| whole_run(run, 1));
            assert_eq!(found, (whole.is_some(), whole), "{statement}: {run}");
            // A run that cannot be seen is not said to be unknown.
            assert!(store.find(run).err().is_none_or(|error| error.is_damage()), "{statement}");
        }
    }
}

#[test]
fn a_run_is_found_although_the_index_of_ids_is_damaged() {
    let (directory, store) = new_store();
    for run in ["a", "b"] {
        record(&store, run, &whole_run(run, 1));
    }
    drop(store);
    let path = store_path(&directory).join("journal.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    let page = "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'runs'";
    let page: i64 = database.query_row(page, [], |row| row.get(0)).unwrap();
    drop(database);
    let at = usize::try_from(page - 1).unwrap() * 4096;
    let cells = &mut bytes[at + 4000..at + 4096];
    cells.iter_mut().filter(|byte| **byte == b'a').for_each(|byte| *byte = b'x');
    std::fs::write(&path, bytes).unwrap();
    let store = Store::open_read_only(&store_path(&directory)).unwrap();
    assert_eq!(read(&store, "a").unwrap(), whole_run("a", 1));
    assert_eq!(store.find("a").unwrap().id, id("a"));
}

#[test]
fn what_the_journal_makes_is_private() {
    let (directory, store) = new_store();
    record(&store, "a", &whole_run("a", 1));
    let mode = |name: &str| {
        let found = std::fs::metadata(store_path(&directory).join(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode("."), 0o700);
    for file in ["journal.db", "journal.db-wal", "journal.tail"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}
