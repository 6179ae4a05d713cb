//! A directory or file that cannot be used is named, with a code and what to do.

mod support;

use loopwright_journal::{Error, Store};
use loopwright_types::Code;
use std::path::Path;
use support::{id, read, record, whole_run};

/// Not a test of its own: opens the journal in a directory that the parent has prepared.
#[test]
fn child() {
    let job = support::job();
    let [directory, expected, rest @ ..] = job.as_slice() else { return };
    let directory = Path::new(directory);
    let error = Store::open(directory).err().expect("the directory cannot be written");
    assert_eq!(error.code().to_string(), *expected, "{error}");
    if rest == ["read"] {
        let store = Store::open_read_only(directory).unwrap();
        assert_eq!(read(&store, "a").unwrap(), whole_run("a", 3));
        assert_eq!(store.runs(9).unwrap().len(), 1);
    }
    println!("as expected: {error}");
}

fn succeed(mut command: std::process::Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("as expected"), "{text}\n{errors}");
}

/// What a person sees, with the directory's name taken out.
fn shown(error: &Error, directory: &Path) -> String {
    error.diagnostic().to_string().replace(&directory.display().to_string(), "DIR")
}

#[test]
fn a_path_that_is_a_file_is_not_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("below")] {
        for error in [Store::open(&path).err(), Store::open_read_only(&path).err()] {
            let error = error.unwrap();
            assert_eq!(error.code(), Code::DATA_DIR, "{error}");
            let text = shown(&error, directory.path());
            assert!(
                text.contains("is not a directory\nhint: choose another data directory"),
                "{text}"
            );
        }
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn missing_directories_are_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x/y/z");
    assert_eq!(Store::open_read_only(&path).unwrap().runs(9).unwrap(), []);
    assert!(!path.exists(), "looking makes nothing");
    record(&Store::open(&path).unwrap(), "a", &whole_run("a", 1));
    assert!(path.join("journal.db").exists());
}

#[test]
fn a_read_only_directory_is_refused_and_can_still_be_read() {
    if !support::can_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let script = format!("mount --bind {path} {path}\nmount -o remount,ro,bind {path}");
    let run = |job: String| succeed(support::child_in_mounts(&script, &job));
    run(format!("{path}/new LW0801"));
    run(format!("{path} LW0801"));
    let store = Store::open(directory.path()).unwrap();
    record(&store, "a", &whole_run("a", 3));
    drop(store);
    run(format!("{path} LW0801 read"));
}

#[test]
fn a_directory_without_room_for_a_journal_is_a_full_disk() {
    if !support::can_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let script = format!(
        "mount -t tmpfs -o size=64k tmpfs {path}\n\
         head -c 65536 /dev/zero > {path}/ballast || true"
    );
    succeed(support::child_in_mounts(&script, &format!("{path}/data LW0802")));
}

#[test]
fn a_database_of_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    let other = rusqlite::Connection::open(&file).unwrap();
    other
        .execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1); PRAGMA user_version=1")
        .unwrap();
    drop(other);
    for error in
        [Store::open(directory.path()).err(), Store::open_read_only(directory.path()).err()]
    {
        assert_eq!(error, Some(Error::Foreign { path: file.clone() }));
    }
    let other = rusqlite::Connection::open(&file).unwrap();
    let count: i64 = other.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_file_that_is_no_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("journal.db"), "once upon a time ".repeat(1000)).unwrap();
    for error in
        [Store::open(directory.path()).err(), Store::open_read_only(directory.path()).err()]
    {
        assert_eq!(error.unwrap().code(), Code::JOURNAL_DAMAGED);
    }
}

#[test]
fn tables_whose_text_is_damaged_are_damage_whatever_sqlite_calls_it() {
    let texts = ["CREATE TABLE blobs(nu", "CREATE TABL\u{fffd}", "CREATE TABLE x(a)", ""];
    for text in texts {
        let directory = tempfile::tempdir().unwrap();
        record(&Store::open(directory.path()).unwrap(), "a", &whole_run("a", 1));
        let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
        database.pragma_update(None, "writable_schema", 1).unwrap();
        let update = "UPDATE sqlite_schema SET sql = ?1 WHERE name = 'blobs'";
        database.execute(update, [text]).unwrap();
        drop(database);
        for error in
            [Store::open(directory.path()).err(), Store::open_read_only(directory.path()).err()]
        {
            let error = error.unwrap();
            assert_eq!(error.code(), Code::JOURNAL_DAMAGED, "{text}: {error}");
        }
    }
}

#[test]
fn a_journal_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    record(&Store::open(directory.path()).unwrap(), "a", &whole_run("a", 1));
    let file = directory.path().join("journal.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.pragma_update(None, "user_version", 9).unwrap();
    drop(database);
    for error in
        [Store::open(directory.path()).err(), Store::open_read_only(directory.path()).err()]
    {
        let error = error.unwrap();
        assert_eq!(error.code(), Code::JOURNAL_NEWER);
        let text = shown(&error, directory.path());
        assert!(
            text.starts_with("error[LW0804]: `DIR/journal.db` has format 9, this version knows 2"),
            "{text}"
        );
    }
}

#[test]
fn a_journal_of_a_form_that_was_never_released_is_refused_and_not_called_damaged() {
    let directory = tempfile::tempdir().unwrap();
    record(&Store::open(directory.path()).unwrap(), "a", &whole_run("a", 1));
    let file = directory.path().join("journal.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    drop(database);
    for error in
        [Store::open(directory.path()).err(), Store::open_read_only(directory.path()).err()]
    {
        assert_eq!(error, Some(Error::Older { path: file.clone(), found: 1, known: 2 }));
    }
}

#[test]
fn a_store_that_only_reads_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    record(&Store::open(directory.path()).unwrap(), "a", &[support::started("a")]);
    let store = Store::open_read_only(directory.path()).unwrap();
    let (synced, _reports) = support::reports();
    let errors = [
        store.resume(&id("a"), synced).err(),
        store.delete(&id("a")).err(),
        store.prune(&loopwright_journal::Prune::default()).err(),
        store.import(&directory.path().join("x")).err(),
        store.request(&id("a"), loopwright_journal::Control::Pause).err(),
    ];
    assert!(errors.into_iter().all(|error| error == Some(Error::OpenedToRead)));
}

#[test]
fn an_entry_of_another_version_is_refused_by_name() {
    let cases = [
        (7_u16, Code::JOURNAL_NEWER, "version 7, this version knows 2"),
        (1, Code::JOURNAL_OLDER, "version 1, which this version no longer reads; it knows 2"),
        (0, Code::JOURNAL_DAMAGED, "no version"),
    ];
    for (version, code, told) in cases {
        let error = with_version(version);
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.to_string(), format!("run `a`, record 2: {told}"));
    }
}

/// What reading a run says whose third record has this version.
fn with_version(version: u16) -> Error {
    let directory = tempfile::tempdir().unwrap();
    record(&Store::open(directory.path()).unwrap(), "a", &whole_run("a", 1));
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    let place = (1_i64 << 40) + 2;
    let body: String = database
        .query_row("SELECT body FROM entries WHERE row = ?1", [place], |row| row.get(0))
        .unwrap();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.to_le_bytes());
    hasher.update(&version.to_le_bytes());
    hasher.update(&1_i64.to_le_bytes()); // the column `task`: call 0
    hasher.update(body.as_bytes());
    let update = "UPDATE entries SET version = ?3, checksum = ?2 WHERE row = ?1";
    let values = [place, i64::from(hasher.finalize()), i64::from(version)];
    database.execute(update, values).unwrap();
    drop(database);
    read(&Store::open_read_only(directory.path()).unwrap(), "a").unwrap_err()
}

#[test]
fn a_locked_journal_refuses_a_new_run_and_takes_it_later() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let other = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (synced, _reports) = support::reports();
    let error = store.create(&support::start("a"), synced).err().unwrap();
    assert_eq!(error, Error::Locked { path: directory.path().to_owned() });
    other.execute_batch("ROLLBACK").unwrap();
    record(&store, "a", &whole_run("a", 1));
}

#[test]
fn a_run_that_is_not_there_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    for store in [Store::open_read_only(directory.path()), Store::open(directory.path())] {
        let store = store.unwrap();
        let errors = [
            store.find("latest").err(),
            store.find("nope").err(),
            store.read(&id("nope")).err(),
            store.verify(&id("nope")).err(),
        ];
        for error in errors {
            assert_eq!(error.unwrap().code(), Code::RUN_UNKNOWN);
        }
    }
}

#[test]
fn every_error_has_a_hint_and_speaks_in_one_lower_case_line() {
    let path = Path::new("/data").to_owned();
    let (run, what) = (id("a"), "does not match its checksum".to_owned());
    let cause = "input/output error".to_owned();
    let errors = [
        Error::NotADirectory { path: path.clone() },
        Error::ReadOnly { path: path.clone(), cause: cause.clone() },
        Error::Directory { path: path.clone(), cause: cause.clone() },
        Error::DiskFull { path: path.clone() },
        Error::Newer { path: path.clone(), found: 2, known: 1 },
        Error::NewerEntry { run: run.clone(), record: 3, found: 2, known: 1 },
        Error::Foreign { path: path.clone() },
        Error::Damaged { run: run.clone(), first: 3, last: 5, what: what.clone() },
        Error::DamagedList { number: 4, what: what.clone() },
        Error::DamagedDatabase { path: path.clone(), what },
        Error::DamagedMark { path: path.clone() },
        Error::Locked { path: path.clone() },
        Error::RunUnknown { name: "x".to_owned() },
        Error::RunAmbiguous { prefix: "x".to_owned(), candidates: vec![run.clone(), id("b")] },
        Error::RunExists { run: run.clone() },
        Error::RunLive { run: run.clone() },
        Error::Fenced { run: run.clone(), epoch: 1, found: Some(2) },
        Error::Fenced { run: run.clone(), epoch: 1, found: None },
        Error::RunEnded { run, status: loopwright_types::RunStatus::Complete },
        Error::Older { path: path.clone(), found: 1, known: 2 },
        Error::OlderEntry { run: id("a"), record: 3, found: 1, known: 2 },
        Error::ExportDamaged { path: path.clone(), at: 7, what: "ends early".to_owned() },
        Error::ExportFile { path: path.clone(), cause: cause.clone() },
        Error::FileExists { path: path.clone() },
        Error::ExportNewer { path: path.clone(), found: 2, known: 1 },
        Error::OpenedToRead,
        Error::Failed { path, cause },
    ];
    for error in errors {
        let shown = error.diagnostic();
        assert!(shown.hint.is_some_and(|hint| !hint.is_empty()), "{error}");
        let first = shown.message.chars().next().unwrap();
        assert!(!first.is_uppercase() && !shown.message.ends_with('.'), "{error}");
        assert!(!shown.message.contains('\n'), "{error}");
    }
}
