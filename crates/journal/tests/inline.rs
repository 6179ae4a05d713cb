//! A store that lives in a VFS, with a thread and without.

mod support;

use loopwright_journal::{Control, Error, Options, Store};
use loopwright_types::Micros;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use support::{called, create, id, read, record, start, started, turn, whole_run};

/// A database in SQLite's own VFS of memory; each test needs a name of its own.
const MEMORY: &str = "memdb";

fn options(owner: &str) -> Options {
    Options { owner: owner.to_owned(), ..Options::default() }
}

#[test]
fn a_store_lives_wholly_in_a_vfs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("alone.db");
    for (vfs, path) in [(MEMORY, PathBuf::from("/wholly")), ("unix", file)] {
        let entries = whole_run("a", 20);
        let threaded = Store::open_with(vfs, &path, options("one")).unwrap();
        record(&threaded, "a", &entries);
        let inline = Store::open_inline(vfs, &path, options("two")).unwrap();
        record(&inline, "b", &whole_run("b", 20));
        for store in [&threaded, &inline] {
            assert_eq!(read(store, "a").unwrap(), entries);
            assert_eq!(read(store, "b").unwrap(), whole_run("b", 20));
            assert_eq!(store.runs(9).unwrap().len(), 2);
        }
        inline.delete(&id("a")).unwrap();
        assert!(matches!(threaded.find("a"), Err(Error::RunUnknown { .. })));
    }
    let left = std::fs::read_dir(directory.path()).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["alone.db"], "no locks, no mark, and the log is gone");
    let unknown = Store::open_inline("nope", Path::new("/x"), options("one")).err().unwrap();
    assert_eq!(unknown.code(), loopwright_types::Code::JOURNAL_FAILED, "{unknown}");
}

#[test]
fn an_inline_store_writes_and_reports_only_when_it_is_told_to() {
    let store = Store::open_inline(MEMORY, Path::new("/told"), options("one")).unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = reports.clone();
    let synced =
        Box::new(move |report| sink.lock().unwrap().push((std::thread::current().id(), report)));
    let writer = store.create(&start("a"), synced).unwrap();
    let commits = store.stats().commits;
    writer.append(vec![started("a"), called(0)]);
    writer.append(vec![turn(0)]);
    assert!(reports.lock().unwrap().is_empty() && read(&store, "a").unwrap().is_empty());
    store.commit();
    assert_eq!(*reports.lock().unwrap(), [(std::thread::current().id(), Ok(3))]);
    assert_eq!(store.stats().commits, commits + 1, "what waited was one transaction");
    assert_eq!(read(&store, "a").unwrap(), [started("a"), called(0), turn(0)]);
    store.commit();
    assert_eq!(store.stats().commits, commits + 1, "nothing waited");
}

#[test]
fn a_callback_of_an_inline_store_may_append() {
    let store = Store::open_inline(MEMORY, Path::new("/callback"), options("one")).unwrap();
    let slot: Arc<Mutex<Option<loopwright_journal::Writer>>> = Arc::default();
    let inner = slot.clone();
    let synced = Box::new(move |report: Result<u64, Error>| {
        let count = report.unwrap();
        if let Some(writer) = inner.lock().unwrap().as_ref().filter(|_| count < 5) {
            writer.append(vec![turn(u32::try_from(count).unwrap())]);
        }
    });
    let writer = store.create(&start("a"), synced).unwrap();
    writer.append(vec![turn(0)]);
    *slot.lock().unwrap() = Some(writer);
    store.commit();
    assert_eq!(read(&store, "a").unwrap(), (0..5).map(turn).collect::<Vec<_>>());
    let writer = slot.lock().unwrap().take();
    writer.unwrap().close().unwrap();
}

#[test]
fn leases_in_a_vfs_follow_the_clock_and_what_is_known_of_other_stores() {
    let path = Path::new("/leases");
    let time = Arc::new(AtomicU64::new(1 << 40));
    let dead: Arc<Mutex<Vec<String>>> = Arc::default();
    let open = |owner: &str| {
        let (time, dead) = (time.clone(), dead.clone());
        let clock = Arc::new(move || Micros(time.load(Ordering::SeqCst)));
        let gone = Arc::new(move |owner: &str| dead.lock().unwrap().iter().any(|one| one == owner));
        Store::open_inline(MEMORY, path, Options { clock, gone, ..options(owner) }).unwrap()
    };
    let one = open("one");
    let (first, reports) = create(&one, "a");
    first.append(vec![started("a")]);
    one.commit();
    assert_eq!(reports.try_recv(), Ok(Ok(1)));
    let two = open("two");
    let resume = |store: &Store| {
        let (synced, reports) = support::reports();
        store.resume(&id("a"), synced).map(|writer| (writer, reports))
    };
    assert!(matches!(resume(&two), Err(Error::RunLive { .. })));
    dead.lock().unwrap().push("one".to_owned());
    let (second, _reports) = resume(&two).unwrap();
    // Not gone after all: its late entry does not get in.
    first.append(vec![called(0)]);
    one.commit();
    let fenced = Error::Fenced { run: id("a"), epoch: 1, found: Some(2) };
    assert_eq!(reports.try_recv(), Ok(Err(fenced.clone())));
    assert_eq!(first.close(), Err(fenced));

    let three = open("three");
    time.fetch_add(options("x").lease.0 / 2, Ordering::SeqCst);
    two.commit(); // a sign of life
    time.fetch_add(options("x").lease.0 / 2, Ordering::SeqCst);
    assert!(matches!(resume(&three), Err(Error::RunLive { .. })), "its lease was renewed");
    time.fetch_add(options("x").lease.0 / 2, Ordering::SeqCst);
    let (third, _reports) = resume(&three).unwrap();
    assert_eq!((third.epoch(), third.entries()), (3, 1));
    two.commit();
    assert!(matches!(second.close(), Err(Error::Fenced { found: Some(3), .. })));
}

#[test]
fn requests_reach_an_inline_store_at_its_next_commit() {
    let path = Path::new("/requests");
    let [one, two] = ["one", "two"].map(|o| Store::open_inline(MEMORY, path, options(o)).unwrap());
    let (writer, _reports) = create(&one, "a");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    writer.listen(Box::new(move |request| sink.lock().unwrap().push(request.control)));
    one.request(&id("a"), Control::Pause).unwrap();
    assert_eq!(*seen.lock().unwrap(), [Control::Pause]);
    let receipt = two.request(&id("a"), Control::Cancel).unwrap();
    assert!(receipt.live);
    writer.acknowledge(receipt.number);
    one.commit();
    assert_eq!(two.requests(&id("a")).unwrap().len(), 1);
}
