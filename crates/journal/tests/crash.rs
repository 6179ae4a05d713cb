//! A process that is killed at any moment loses nothing that it reported as durable.

mod support;

use loopwright_journal::Store;
use loopwright_protocol::Entry;
use loopwright_types::RunStatus;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use support::{attempt, called, child_after, create, id, read, record, settled, turn, whole_run};

/// The entry at this place of the child's run.
fn entry(place: u64) -> Entry {
    let call = u32::try_from(place / 4).unwrap();
    match place % 4 {
        0 => called(call),
        1 => attempt(call),
        2 => settled(call, false),
        _ => turn(call),
    }
}

/// Not a test of its own: what the killed process does.
#[test]
fn child() {
    let job = support::job();
    let [directory, run] = job.as_slice() else { return };
    let store = Store::open(Path::new(directory)).unwrap();
    let (writer, reports) = create(&store, run);
    let mut output = std::io::stdout();
    let mut place = 0;
    loop {
        let count = 1 + place % 23;
        writer.append((place..place + count).map(entry).collect());
        place += count;
        let durable = reports.recv().unwrap().unwrap();
        writeln!(output, "durable {durable}").and_then(|()| output.flush()).unwrap();
    }
}

/// Lets the child report some hundred times, kills it, and says what it reported last.
fn run_and_kill(directory: &Path, run: &str, reports: u64) -> u64 {
    let job = format!("{} {run}", directory.display());
    let mut child = child_after("", &job).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut last = 0;
    let mut seen = 0;
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        // The last line may be cut short.
        if let Some(count) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("durable "))
        {
            last = count.parse().unwrap();
            seen += 1;
            if seen == reports {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(seen >= reports, "the child ended by itself");
    last
}

#[test]
fn what_was_reported_durable_is_there_after_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut draw = support::Draw(20);
    for round in 0..6 {
        let run = format!("round-{round}");
        let reports = 1 + draw.below(300);
        let durable = run_and_kill(directory.path(), &run, reports);

        let store = Store::open_read_only(directory.path()).unwrap();
        assert_eq!(store.loss(), None);
        let row = store.find("latest").unwrap();
        assert_eq!((row.id, row.status, row.interrupted), (id(&run), RunStatus::Running, true));
        assert!(row.entries >= durable, "{} of {durable} are there", row.entries);
        assert_eq!(store.verify(&id(&run)).unwrap().count, row.entries);
        let expected: Vec<Entry> = (0..row.entries).map(entry).collect();
        assert_eq!(read(&store, &run).unwrap(), expected);
    }
    let store = Store::open(directory.path()).unwrap();
    record(&store, "after", &whole_run("after", 3));
    assert_eq!(read(&store, "after").unwrap(), whole_run("after", 3));
    assert_eq!(store.runs(99).unwrap().len(), 7);
    let owners = std::fs::read_dir(directory.path().join("owners")).unwrap().count();
    assert_eq!(owners, 1, "the locks of killed processes are swept");
}
