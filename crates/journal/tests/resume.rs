//! A run goes on in another store, and only in one at a time.

mod support;

use loopwright_journal::{Control, Error, Options, Request, Store, Writer};
use loopwright_protocol::{Entry, Json};
use loopwright_types::{Code, Micros, RunStatus};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use support::{
    Reports, attempt, called, create, failed, finished, id, parked, read, record, settled, started,
    turn, whole_run,
};

fn resume(store: &Store, run: &str) -> Result<(Writer, Reports), Error> {
    let (synced, reports) = support::reports();
    store.resume(&id(run), synced).map(|writer| (writer, reports))
}

/// A clock that tests move.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn advance(&self, by: Micros) {
        self.0.fetch_add(by.0, Ordering::SeqCst);
    }

    fn options(&self) -> Options {
        let time = self.clone();
        // Far from zero, as a real clock is.
        let clock = Arc::new(move || Micros(1 << 50).after(Micros(time.0.load(Ordering::SeqCst))));
        Options { clock, ..Options::default() }
    }
}

#[test]
fn a_resumed_run_goes_on_behind_its_last_entry_as_if_never_interrupted() {
    let whole = [
        vec![started("a"), turn(0), called(0), called(1), called(2), called(3)],
        vec![attempt(0), settled(0, false), attempt(1), failed(1), turn(1)],
        vec![settled(2, true), called(4), settled(4, false), settled(3, false), turn(2)],
    ];
    let entries: Vec<Entry> = whole.concat();
    let uninterrupted = tempfile::tempdir().unwrap();
    let expected = {
        let store = Store::open(uninterrupted.path()).unwrap();
        let (writer, _reports) = create(&store, "a");
        writer.append(entries.clone());
        writer.close().unwrap();
        store.find("a").unwrap()
    };
    for cut in 0..=entries.len() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (writer, _reports) = create(&store, "a");
        writer.append(entries[..cut].to_vec());
        writer.close().unwrap();
        drop(store);

        let store = Store::open(directory.path()).unwrap();
        let (writer, reports) = resume(&store, "a").unwrap();
        assert_eq!((writer.entries(), writer.epoch()), (cut as u64, 2));
        if cut < entries.len() {
            writer.append(entries[cut..].to_vec());
            assert_eq!(reports.recv().unwrap(), Ok(entries.len() as u64), "old and new");
        }
        writer.close().unwrap();
        assert_eq!(store.find("a").unwrap(), expected, "cut at {cut}");
        assert_eq!(read(&store, "a").unwrap(), entries);
        assert_eq!(store.verify(&id("a")).unwrap().head, expected.head);
        for first in 0..=entries.len() {
            let found = store.read_from(&id("a"), first as u64).unwrap();
            let found: Vec<Entry> = found.map(|found| found.unwrap().1).collect();
            assert_eq!(found, entries[first..]);
        }
    }
}

#[test]
fn a_run_that_waits_or_was_cancelled_resumes_and_one_that_has_ended_only_expressly() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let ends = [
        (RunStatus::Parked, true),
        (RunStatus::Cancelled, true),
        (RunStatus::Complete, false),
        (RunStatus::Degraded, false),
        (RunStatus::Failed, false),
    ];
    for (status, resumes) in ends {
        let run = status.as_str();
        record(&store, run, &[started(run), support::end(status)]);
        let found = resume(&store, run).map(drop);
        let ended = Error::RunEnded { run: id(run), status };
        assert_eq!(found, if resumes { Ok(()) } else { Err(ended) });
        let (synced, _reports) = support::reports();
        let writer = store.resume_ended(&id(run), synced).unwrap();
        let row = store.find(run).unwrap();
        assert_eq!((row.status, row.ended, row.live), (RunStatus::Running, None, true));
        writer.append(vec![finished("1", 0, 0)]);
        writer.close().unwrap();
        let row = store.find(run).unwrap();
        assert_eq!((row.status, row.entries, row.live), (RunStatus::Complete, 3, false));
    }
    assert!(matches!(resume(&store, "nope"), Err(Error::RunUnknown { .. })));
}

#[test]
fn a_run_belongs_to_one_store_until_it_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = [(); 2].map(|()| Store::open(directory.path()).unwrap());
    let (writer, _reports) = create(&one, "a");
    for store in [&one, &two] {
        assert_eq!(resume(store, "a").map(drop), Err(Error::RunLive { run: id("a") }));
        assert!(store.find("a").unwrap().live);
    }
    // A run that waits in its process is live too.
    writer.append(vec![started("a"), parked()]);
    writer.close().unwrap();
    let (writer, _reports) = resume(&two, "a").unwrap();
    assert_eq!(resume(&one, "a").map(drop), Err(Error::RunLive { run: id("a") }));
    let owner = one.find("a").unwrap().owner.unwrap();
    assert_eq!(owner.pid, std::process::id(), "whoever is refused can be told who has it");
    drop(writer);
    drop(two);
    assert_eq!(resume(&one, "a").unwrap().0.epoch(), 3);
}

#[test]
fn an_owner_that_wakes_up_late_is_fenced_and_nothing_of_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let time = Hand::default();
    let open = || Store::open_as(directory.path(), time.options()).unwrap();
    let (late, other) = (open(), open());
    let (writer, reports) = create(&late, "a");
    let (bystander, bystander_reports) = create(&late, "b");
    writer.append(vec![started("a")]);
    assert_eq!(reports.recv().unwrap(), Ok(1));
    time.advance(Micros(time.options().lease.0 - 1));
    assert!(resume(&other, "a").is_err(), "its lease has not run out");
    // Both stores' threads may beat in between: only the late one has runs, and it is awake here, so take
    // the lease before its next look.
    let taken = loop {
        time.advance(Micros::from_millis(60_000));
        if let Ok(taken) = resume(&other, "a") {
            break taken;
        }
    };
    writer.append(vec![called(0)]);
    let fenced = loop {
        match reports.recv().unwrap() {
            Ok(count) => assert_eq!(count, 1),
            Err(error) => break error,
        }
    };
    assert_eq!(fenced, Error::Fenced { run: id("a"), epoch: 1, found: Some(2) });
    assert_eq!(fenced.code(), Code::RUN_FENCED);
    writer.append(vec![called(1)]);
    assert_eq!(writer.close(), Err(fenced));
    assert!(reports.recv().is_err(), "it is told once");
    taken.0.append(vec![called(7)]);
    taken.0.close().unwrap();
    assert_eq!(read(&other, "a").unwrap(), [started("a"), called(7)]);
    // Only that run is lost to the store.
    bystander.append(vec![started("b")]);
    assert_eq!(bystander_reports.recv().unwrap(), Ok(1));
    bystander.close().unwrap();
}

#[test]
fn an_idle_owner_keeps_its_run_by_its_heartbeat() {
    let time = Hand::default();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_as(directory.path(), time.options()).unwrap();
    let (_writer, _reports) = create(&store, "a");
    let other = Store::open_as(directory.path(), time.options()).unwrap();
    for _ in 0..5 {
        let commits = store.stats().commits;
        time.advance(time.options().heartbeat());
        while store.stats().commits == commits {
            std::thread::yield_now();
        }
        assert!(matches!(resume(&other, "a"), Err(Error::RunLive { .. })));
    }
}

/// Not a test of its own: records a run until it is killed or fenced.
#[test]
fn child() {
    let job = support::job();
    let [directory, lease_ms] = job.as_slice() else { return };
    let lease = Micros::from_millis(lease_ms.parse().unwrap());
    let options = Options { lease, ..Options::default() };
    let store = Store::open_as(Path::new(directory), options).unwrap();
    let (writer, reports) = create(&store, "a");
    writer.append(vec![started("a"), called(0)]);
    reports.recv().unwrap().unwrap();
    println!("durable");
    let error = reports.recv().unwrap().unwrap_err();
    writer.append(vec![called(1)]);
    assert_eq!(writer.close(), Err(error.clone()));
    println!("told {}", error.code());
}

/// The child, once it has said that its entries are durable.
fn recording(
    directory: &Path,
    lease_ms: u64,
) -> (std::process::Child, impl Iterator<Item = String>) {
    use std::io::{BufRead, BufReader};
    let mut child = support::child_after("", &format!("{} {lease_ms}", directory.display()))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("durable")));
    (child, lines)
}

#[test]
fn a_process_that_was_stopped_for_longer_than_its_lease_is_fenced_when_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, mut lines) = recording(directory.path(), 400);
    let signal = |name: &str| {
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    signal("-STOP");
    let store = Store::open(directory.path()).unwrap();
    let (writer, _reports) = loop {
        match resume(&store, "a") {
            Ok(taken) => break taken,
            // The child may have been stopped while it held the database for a heartbeat.
            Err(Error::Locked { .. }) => {
                signal("-CONT");
                signal("-STOP");
            }
            Err(error) => assert_eq!(error, Error::RunLive { run: id("a") }),
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    signal("-CONT");
    assert!(lines.any(|line| line == "told LW0808"));
    assert!(child.wait().unwrap().success());
    writer.append(vec![called(9)]);
    writer.close().unwrap();
    assert_eq!(read(&store, "a").unwrap(), [started("a"), called(0), called(9)]);
}

#[test]
fn the_run_of_a_killed_process_is_taken_over_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, _lines) = recording(directory.path(), 3_600_000);
    let store = Store::open(directory.path()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let (writer, _reports) = resume(&store, "a").unwrap();
    assert_eq!((writer.entries(), writer.epoch()), (2, 2));
}

#[test]
fn two_stores_that_resume_at_once_never_both_get_the_run() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let stores = [(); 2].map(|()| Store::open(directory.path()).unwrap());
        record(&stores[0], "a", &[started("a")]);
        let won = std::thread::scope(|scope| {
            let tries = stores.each_ref().map(|store| scope.spawn(|| resume(store, "a")));
            tries.map(|one| one.join().unwrap())
        });
        assert_eq!(won.iter().filter(|won| won.is_ok()).count(), 1);
    }
}

#[test]
fn entries_that_do_not_end_where_the_row_says_are_not_continued() {
    let cases = [
        ("DELETE FROM entries WHERE row = (1 << 40) + 9", "record 9: missing"),
        (
            "INSERT INTO entries SELECT row + 1, version, checksum, task, chain, refs, body \
             FROM entries WHERE row = (1 << 40) + 9",
            "record 10: not counted in the run's row",
        ),
        (
            "UPDATE entries SET chain = zeroblob(32) WHERE row = (1 << 40) + 9",
            "record 9: it is not the one that the run's row was written with",
        ),
        ("UPDATE leases SET epoch = 9", "lease of run `a` does not match its checksum"),
        ("DELETE FROM leases", "lease of run `a` is gone"),
    ];
    for (statement, message) in cases {
        let directory = tempfile::tempdir().unwrap();
        let mut entries = whole_run("a", 3);
        entries.truncate(10);
        record(&Store::open(directory.path()).unwrap(), "a", &entries);
        let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
        database.execute_batch(statement).unwrap();
        drop(database);
        // The mark vouches for the end as well; here the row alone must do.
        std::fs::remove_file(directory.path().join("journal.tail")).unwrap();
        let store = Store::open(directory.path()).unwrap();
        let error = resume(&store, "a").map(drop).unwrap_err();
        assert!(error.is_damage() && error.to_string().ends_with(message), "{error}");
    }
}

fn listen(writer: &Writer) -> Receiver<Request> {
    let (sender, requests) = mpsc::channel();
    writer.listen(Box::new(move |request| drop(sender.send(request))));
    requests
}

#[test]
fn requests_reach_the_store_that_records_the_run_and_wait_until_they_are_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let [owner, other] = [(); 2].map(|()| Store::open(directory.path()).unwrap());
    let (writer, _reports) = create(&owner, "a");
    let answer = Control::Answer(Json::parse("{\"call\":3,\"yes\":true}".to_owned()).unwrap());
    let controls = [Control::Pause, answer.clone(), Control::Cancel];
    let numbers = controls.each_ref().map(|control| {
        let receipt = other.request(&id("a"), control.clone()).unwrap();
        assert!(receipt.live);
        receipt.number
    });
    let requests = listen(&writer);
    for (number, control) in numbers.iter().zip(&controls) {
        let request = requests.recv().unwrap();
        assert_eq!((request.number, &request.control), (*number, control));
    }
    // One more, by the same process, while it listens.
    let last = owner.request(&id("a"), answer.clone()).unwrap().number;
    assert_eq!(requests.recv().unwrap().number, last);
    writer.append(vec![started("a")]);
    writer.acknowledge(numbers[0]);
    writer.acknowledge(numbers[2]);
    writer.close().unwrap();
    assert!(requests.try_recv().is_err(), "each is delivered once");

    let waiting: Vec<u64> =
        other.requests(&id("a")).unwrap().into_iter().map(|request| request.number).collect();
    assert_eq!(waiting, [numbers[1], last]);
    assert!(!other.request(&id("a"), Control::Cancel).unwrap().live);
    let (writer, _reports) = resume(&other, "a").unwrap();
    let again = listen(&writer);
    let controls = [(); 3].map(|()| again.recv().unwrap().control);
    assert_eq!(controls, [answer.clone(), answer, Control::Cancel]);
}

#[test]
fn nothing_can_be_asked_of_a_run_that_has_ended_or_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    record(&store, "a", &whole_run("a", 1));
    let error = store.request(&id("a"), Control::Cancel).unwrap_err();
    assert_eq!(error, Error::RunEnded { run: id("a"), status: RunStatus::Complete });
    let error = store.request(&id("b"), Control::Cancel).unwrap_err();
    assert!(matches!(error, Error::RunUnknown { .. }));
    let reader = Store::open_read_only(directory.path()).unwrap();
    assert_eq!(reader.request(&id("a"), Control::Cancel), Err(Error::OpenedToRead));
}

#[test]
fn a_damaged_request_is_named_and_does_not_reach_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    record(&store, "a", &[started("a")]);
    store.request(&id("a"), Control::Pause).unwrap();
    let kept = store.request(&id("a"), Control::Pause).unwrap();
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    database.execute_batch("UPDATE controls SET kind = 'cancel' WHERE number = 1").unwrap();
    drop(database);
    assert_eq!(store.requests(&id("a")).unwrap_err().code(), Code::JOURNAL_DAMAGED);
    let (writer, _reports) = resume(&store, "a").unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    writer.listen(Box::new(move |request| sink.lock().unwrap().push(request.number)));
    writer.append(vec![turn(0)]);
    writer.close().unwrap();
    drop(store);
    assert!(seen.lock().unwrap().iter().all(|number| *number == kept.number));
}
