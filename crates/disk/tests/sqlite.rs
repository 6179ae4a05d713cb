//! SQLite itself on the simulated disk: what it promises on a real one, it keeps here, and a disk that lies is noticed.

use loopwright_disk::{Crash, Disk, Fault, Lie, Operation, Plan};
use rusqlite::{Connection, OpenFlags};

const PATH: &str = "/a.db";

fn open(disk: &Disk) -> rusqlite::Result<Connection> {
    let database = Connection::open_with_flags_and_vfs(PATH, OpenFlags::default(), disk.vfs())?;
    database.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")?;
    database.execute_batch("CREATE TABLE IF NOT EXISTS t(x INTEGER PRIMARY KEY, y BLOB)")?;
    Ok(database)
}

/// Adds rows until the disk dies or there are `rows`; says how many commits were reported.
fn work(disk: &Disk, from: i64, rows: i64) -> i64 {
    let mut done = from;
    let Ok(database) = open(disk) else { return done };
    for row in from..rows {
        // SQLite's own draws are the whole process's: they must not decide how long a row is.
        if database.execute("INSERT INTO t VALUES(?1, zeroblob(700))", [row]).is_err() {
            break;
        }
        done = row + 1;
        if row % 5 == 4 {
            let _ = database.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
    done
}

/// The rows that are there, which must be a whole beginning in a whole database.
fn rows(disk: &Disk) -> Result<i64, String> {
    let read = || {
        let database = open(disk)?;
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        let query = "SELECT count(*), coalesce(max(x) + 1, 0) FROM t";
        let (count, next): (i64, i64) =
            database.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((check, count, next))
    };
    match read().map_err(|error: rusqlite::Error| error.to_string())? {
        (check, count, next) if check == "ok" && count == next => Ok(count),
        other => Err(format!("{other:?}")),
    }
}

/// How many of the seeds lost what was reported, or the database itself.
fn losses(seeds: std::ops::Range<u64>, lie: Lie, how: Crash) -> u32 {
    let mut lost = 0;
    for seed in seeds {
        let disk = Disk::new(seed);
        let mut done = 0;
        // Life after life on the same disk.
        for life in 0..4 {
            let crash_at = Some(disk.operations() + (seed * 7 + life * 13) % 60);
            disk.plan(Plan { crash_at, lie, ..Plan::default() });
            done = work(&disk, done, 40).max(done);
            disk.crash(how);
            match rows(&disk) {
                Ok(found) if found >= done => done = found,
                _ => {
                    lost += 1;
                    break;
                }
            }
        }
    }
    lost
}

#[test]
fn what_sqlite_reports_durable_survives_every_crash() {
    assert_eq!(losses(0..200, Lie::None, Crash::Power), 0);
    assert_eq!(losses(0..50, Lie::None, Crash::Kill), 0);
}

#[test]
fn a_disk_that_only_pretends_to_sync_is_noticed() {
    assert!(losses(0..60, Lie::Sync, Crash::Power) > 10);
    assert!(losses(0..60, Lie::Directory, Crash::Power) > 2);
    assert_eq!(losses(0..30, Lie::Sync, Crash::Kill), 0, "a kill loses nothing that was written");
}

#[test]
fn a_crash_at_each_operation_leaves_a_database_that_opens() {
    let disk = Disk::new(1);
    work(&disk, 0, 12);
    let trace = disk.take_trace();
    for kind in [Operation::Create, Operation::Write, Operation::Sync, Operation::Delete] {
        assert!(trace.iter().any(|(done, _)| *done == kind), "{kind:?} in {trace:?}");
    }
    for at in 0..trace.len() as u64 {
        for seed in 0..3 {
            let disk = Disk::new(seed);
            disk.plan(Plan { crash_at: Some(at), ..Plan::default() });
            let done = work(&disk, 0, 12);
            assert!(disk.is_dead());
            disk.crash(Crash::Power);
            let found = rows(&disk).unwrap_or_else(|error| panic!("seed {seed}, at {at}: {error}"));
            assert!(found >= done, "seed {seed}, at {at}: {found} of {done}");
        }
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let disk = Disk::new(seed);
        disk.plan(Plan { crash_at: Some(90), ..Plan::default() });
        let done = work(&disk, 0, 40);
        disk.crash(Crash::Power);
        // Not the bytes: the log's salts are drawn for the whole process.
        (done, disk.take_trace(), rows(&disk))
    };
    assert_eq!(run(5), run(5));
}

#[test]
fn errors_of_the_disk_come_as_sqlites_codes() {
    let faults = [
        (Fault::Full, rusqlite::ffi::SQLITE_FULL),
        (Fault::Write, rusqlite::ffi::SQLITE_IOERR_WRITE),
        (Fault::Sync, rusqlite::ffi::SQLITE_IOERR_FSYNC),
    ];
    for (fault, expected) in faults {
        let disk = Disk::new(3);
        let database = open(&disk).unwrap();
        disk.plan(Plan { fault: Some((disk.operations(), fault)), ..Plan::default() });
        let error = database.execute("INSERT INTO t VALUES(1, x'00')", []).unwrap_err();
        assert_eq!(error.sqlite_error().unwrap().extended_code, expected, "{fault:?}");
        database.execute("INSERT INTO t VALUES(2, x'00')", []).unwrap();
    }
    let disk = Disk::new(4);
    disk.plan(Plan { capacity: Some(30_000), ..Plan::default() });
    let done = work(&disk, 0, 40);
    assert!((1..39).contains(&done), "{done}");
    disk.crash(Crash::Power);
    assert!(rows(&disk).unwrap() >= done);
}

#[test]
fn connections_share_locks_and_the_index_of_the_log() {
    let disk = Disk::new(5);
    let (one, two) = (open(&disk).unwrap(), open(&disk).unwrap());
    one.execute("INSERT INTO t VALUES(1, x'00')", []).unwrap();
    let count = |database: &Connection| {
        database.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(count(&two), 1);
    one.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES(2, x'00')").unwrap();
    two.busy_timeout(std::time::Duration::ZERO).unwrap();
    assert!(two.execute("INSERT INTO t VALUES(3, x'00')", []).is_err(), "one writes at a time");
    assert_eq!(count(&two), 1, "and others read what was there");
    one.execute_batch("COMMIT").unwrap();
    assert_eq!(count(&two), 2);
    drop((one, two));
    assert!(!disk.image().0.contains_key("/a.db-wal"), "the last one takes the log away");
}

#[test]
fn handles_of_a_life_before_the_crash_are_dead() {
    let disk = Disk::new(6);
    let old = open(&disk).unwrap();
    old.execute("INSERT INTO t VALUES(1, x'00')", []).unwrap();
    disk.crash(Crash::Kill);
    let new = open(&disk).unwrap();
    assert!(old.execute("INSERT INTO t VALUES(2, x'00')", []).is_err());
    drop(old);
    new.execute("INSERT INTO t VALUES(3, x'00')", []).unwrap();
    drop(new);
    assert!(disk.image().0.contains_key(PATH));
}

#[test]
fn an_image_is_put_into_another_disk() {
    let disk = Disk::new(7);
    let done = work(&disk, 0, 10);
    let other = Disk::new(8);
    other.load(&disk.image());
    assert_eq!(rows(&other).unwrap(), done);
}
