//! Runs as files, and runs that go.

mod support;

use loopwright_journal::{Error, Options, Prune, Store, Verified, read_export};
use loopwright_protocol::Entry;
use loopwright_types::{Code, Digest, Micros, RunStatus};
use std::path::Path;
use std::sync::Arc;
use support::{Draw, create, end, finished, id, read, record, started, turn, whole_run};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("data")).unwrap();
    (directory, store)
}

/// A run with some large values, among them equal ones.
fn mixed(run: &str) -> Vec<Entry> {
    let mut entries = whole_run(run, 30);
    for (at, letter) in [(3, "x"), (9, "y"), (40, "x")] {
        entries.insert(at, finished(&format!("\"{}\"", letter.repeat(90_000)), 30, 30));
    }
    entries
}

fn count(directory: &Path, table: &str) -> i64 {
    let database = rusqlite::Connection::open(directory.join("data/journal.db")).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn an_exported_run_is_imported_as_it_was_and_a_second_time_is_nothing() {
    let (from, one) = store();
    let (to, two) = store();
    record(&two, "other", &whole_run("other", 3));
    let unfinished = [started("u"), turn(0)].to_vec();
    for (run, entries) in [("a", mixed("a")), ("u", unfinished), ("e", Vec::new())] {
        record(&one, run, &entries);
        let file = from.path().join(run);
        let head = one.export(&id(run), &file).unwrap();
        assert_eq!(head, one.head(&id(run)).unwrap());
        assert_eq!(one.export(&id(run), &file), Err(Error::FileExists { path: file.clone() }));

        let mut alone = Vec::new();
        let whole = read_export(&file, |entry| alone.push(entry)).unwrap();
        assert_eq!((whole, &alone), (head, &entries), "a file is read without a journal, too");
        let imported = two.import(&file).unwrap();
        assert_eq!((&imported.run, imported.verified, imported.existed), (&id(run), head, false));
        assert_eq!(read(&two, run).unwrap(), entries);
        assert_eq!(two.verify_against(&id(run), &head), Ok(head));
        assert_eq!(two.find(run).unwrap(), one.find(run).unwrap());
        assert!(two.import(&file).unwrap().existed && one.import(&file).unwrap().existed);
        // What is exported again is the same file, byte for byte.
        let again = to.path().join(run);
        two.export(&id(run), &again).unwrap();
        assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&file).unwrap());
    }
    assert_eq!(two.runs(9).unwrap().len(), 4);
    let (synced, _reports) = support::reports();
    let writer = two.resume(&id("u"), synced).unwrap();
    writer.append(vec![end(RunStatus::Failed)]);
    writer.close().unwrap();
    let error = two.import(&from.path().join("u")).unwrap_err();
    assert_eq!((error.code(), error), (Code::RUN_EXISTS, Error::RunExists { run: id("u") }));
    let left = std::fs::read_dir(from.path()).unwrap().count();
    assert_eq!(left, 4, "nothing but the data directory and the exports");
}

#[test]
fn a_damaged_export_is_refused_and_leaves_nothing() {
    let (from, one) = store();
    record(&one, "a", &mixed("a"));
    let file = from.path().join("a");
    let head = one.export(&id("a"), &file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let (to, two) = store();
    let seeds = std::env::var("LOOPWRIGHT_DAMAGE_SEEDS").map_or(300, |n| n.parse().unwrap());
    for seed in 0..seeds {
        let mut draw = Draw(seed);
        let mut bytes = whole.clone();
        let place = |draw: &mut Draw| usize::try_from(draw.below(whole.len() as u64)).unwrap();
        let how = match draw.below(4) {
            0 => {
                bytes.truncate(place(&mut draw));
                "cut"
            }
            1 => {
                let (from, to) = (place(&mut draw), place(&mut draw));
                let size = 4096.min(bytes.len() - from.max(to));
                bytes.copy_within(from..from + size, to);
                "torn"
            }
            2 => {
                bytes.extend([0; 3]);
                "longer"
            }
            _ => {
                let at = if draw.below(2) == 0 { place(&mut draw) } else { place(&mut draw) % 600 };
                bytes[at] ^= 1 << draw.below(8);
                "flipped"
            }
        };
        if bytes == whole {
            continue;
        }
        let damaged = to.path().join("damaged");
        std::fs::write(&damaged, &bytes).unwrap();
        let error = two.import(&damaged).expect_err(how);
        let codes = [Code::EXPORT_DAMAGED, Code::JOURNAL_NEWER];
        assert!(codes.contains(&error.code()), "seed {seed}, {how}: {error}");
    }
    assert_eq!(two.runs(9).unwrap(), []);
    assert_eq!((count(to.path(), "entries"), count(to.path(), "blobs")), (0, 0));
    assert_eq!(two.import(&file).unwrap().verified, head);
    let missing = two.import(&to.path().join("nowhere")).unwrap_err();
    assert_eq!(missing.code(), Code::EXPORT_FILE);
    let missing = one.export(&id("a"), &to.path().join("no/where")).unwrap_err();
    assert_eq!(missing.code(), Code::EXPORT_FILE);
}

#[test]
fn an_export_of_a_newer_version_is_refused() {
    let (from, one) = store();
    record(&one, "a", &whole_run("a", 1));
    let file = from.path().join("a");
    one.export(&id("a"), &file).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[16] = 9;
    std::fs::write(&file, bytes).unwrap();
    let error = one.import(&file).unwrap_err();
    assert_eq!(error, Error::ExportNewer { path: file, found: 9, known: 1 });
    assert_eq!(error.code(), Code::JOURNAL_NEWER);
}

#[test]
fn a_damaged_run_is_not_exported() {
    let (from, one) = store();
    record(&one, "a", &mixed("a"));
    let database = rusqlite::Connection::open(from.path().join("data/journal.db")).unwrap();
    database.execute_batch("UPDATE blobs SET bytes = x'00' WHERE number = 1").unwrap();
    let error = one.export(&id("a"), &from.path().join("a")).unwrap_err();
    assert_eq!(error.code(), Code::JOURNAL_DAMAGED);
    assert_eq!(std::fs::read_dir(from.path()).unwrap().count(), 1, "no part of a file is left");
}

#[test]
fn a_run_cut_off_at_a_commit_shows_where_its_head_was_kept() {
    let (directory, one) = store();
    record(&one, "a", &whole_run("a", 4));
    record(&one, "short", &whole_run("a", 4)[..9]);
    let kept = one.head(&id("a")).unwrap();
    let short = Verified { count: 9, head: head_at(&directory, 8) };
    assert_eq!(one.verify_against(&id("a"), &short), Ok(kept), "a head of earlier holds as well");
    let start = Verified { count: 0, head: short.head };
    assert!(one.verify_against(&id("a"), &start).is_err());

    // What a copy of before the last commits looks like: whole, and shorter.
    let (_other, two) = store();
    record(&two, "a", &whole_run("a", 4)[..9]);
    assert_eq!(two.verify(&id("a")).unwrap(), short);
    let error = two.verify_against(&id("a"), &kept).unwrap_err();
    assert!(matches!(error, Error::Damaged { first: 9, last: 18, .. }), "{error}");
    // The same length and other entries.
    let (_other, three) = store();
    let mut entries = whole_run("a", 4);
    entries.swap(3, 4);
    record(&three, "a", &entries);
    assert!(three.verify_against(&id("a"), &kept).unwrap_err().is_damage());
}

fn head_at(directory: &tempfile::TempDir, place: i64) -> Digest {
    let database = rusqlite::Connection::open(directory.path().join("data/journal.db")).unwrap();
    let query = "SELECT chain FROM entries WHERE row = ?1";
    Digest(database.query_row(query, [(1 << 40) + place], |row| row.get(0)).unwrap())
}

/// Runs that ended or began at one second each, oldest first.
fn seconds(store: &Store) {
    let ended = |at: u64, status| {
        let Entry::RunFinished(finish) = end(status) else { unreachable!() };
        let now = Micros(at * 1_000_000);
        Entry::RunFinished(Box::new(loopwright_protocol::RunFinish { now, ..*finish }))
    };
    use RunStatus::{Cancelled, Complete, Failed, Parked};
    for (at, status) in [(2, Complete), (3, Failed), (4, Parked), (5, Cancelled), (6, Complete)] {
        let run = format!("r{at}");
        record(store, &run, &[started(&run), ended(at, status)]);
    }
    record(store, "r7", &[started("r7")]); // interrupted; began in second 1
}

#[test]
fn prune_follows_its_rules_and_spares_what_is_parked_or_live() {
    let rules = Prune::default();
    let age = |seconds: u64| Some(Micros(seconds * 1_000_000));
    let cases: [(Prune, &[&str], &[&str]); 9] = [
        (rules.clone(), &["r6", "r5", "r3", "r2"], &[]),
        (Prune { dry_run: true, ..rules.clone() }, &["r6", "r5", "r3", "r2"], &[]),
        (Prune { keep_last: 3, ..rules.clone() }, &["r5", "r3", "r2"], &[]),
        (Prune { older_than: age(5), ..rules.clone() }, &["r5", "r3", "r2"], &[]),
        (Prune { statuses: vec![RunStatus::Failed], ..rules.clone() }, &["r3"], &[]),
        (Prune { statuses: vec![RunStatus::Running], ..rules.clone() }, &["r7"], &["live"]),
        (Prune { statuses: vec![RunStatus::Parked], ..rules.clone() }, &[], &["r4"]),
        (Prune { statuses: vec![RunStatus::Parked], force: true, ..rules.clone() }, &["r4"], &[]),
        (Prune { statuses: vec![RunStatus::Running], force: true, ..rules }, &["live", "r7"], &[]),
    ];
    for (rules, deleted, spared) in cases {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(|| Micros(10_000_000));
        let options = Options { clock, ..Options::default() };
        let store = Store::open_as(directory.path(), options).unwrap();
        seconds(&store);
        let (live, reports) = create(&store, "live");
        let pruned = store.prune(&rules).unwrap();
        let ids = |names: &[&str]| names.iter().map(|name| id(name)).collect::<Vec<_>>();
        assert_eq!((pruned.deleted, pruned.spared), (ids(deleted), ids(spared)), "{rules:?}");
        let left: Vec<_> = store.runs(99).unwrap().into_iter().map(|row| row.id).collect();
        let gone = |run: &&str| deleted.contains(run) && !rules.dry_run;
        let all = ["live", "r7", "r6", "r5", "r4", "r3", "r2"];
        let kept: Vec<_> = all.into_iter().filter(|run| !gone(run)).map(id).collect();
        assert_eq!(left, kept, "{rules:?}");
        live.append(vec![started("live")]);
        if deleted.contains(&"live") {
            let fenced = Error::Fenced { run: id("live"), epoch: 1, found: None };
            assert_eq!(reports.recv().unwrap(), Err(fenced.clone()));
            assert_eq!(live.close(), Err(fenced));
        } else {
            live.close().unwrap();
            assert_eq!(read(&store, "live").unwrap(), [started("live")]);
        }
    }
}

#[test]
fn prune_clears_away_what_an_interrupted_deletion_left() {
    let (directory, store) = store();
    for run in ["a", "b"] {
        record(&store, run, &mixed(run));
    }
    drop(store);
    let data = directory.path().join("data");
    let database = rusqlite::Connection::open(data.join("journal.db")).unwrap();
    let statements = "DELETE FROM runs WHERE number = 2; DELETE FROM leases WHERE run = 2; \
                      DELETE FROM entries WHERE row < (2 << 40) + 30 AND row >= 2 << 40";
    database.execute_batch(statements).unwrap();
    let list = "UPDATE list SET newest = 1, checksum = ?1";
    let sum = crc32fast::hash(&[1_u64, 3, 0, 0].map(u64::to_le_bytes).concat());
    database.execute(list, [sum]).unwrap();
    drop(database);
    std::fs::remove_file(data.join("journal.tail")).unwrap();
    let store = Store::open(&data).unwrap();
    let rules = Prune { keep_last: 9, ..Prune::default() };
    assert_eq!(store.prune(&rules).unwrap().leftovers, 1);
    assert_eq!(store.prune(&rules).unwrap().leftovers, 0);
    assert_eq!(read(&store, "a").unwrap(), mixed("a"));
    assert_eq!(count(directory.path(), "entries"), mixed("a").len() as i64);
    assert_eq!(count(directory.path(), "blobs"), 2);
}
