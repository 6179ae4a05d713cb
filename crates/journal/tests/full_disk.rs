//! A disk that fills up: one error, nothing written after it, nothing lost that was reported.

mod support;

use loopwright_journal::{Error, Store};
use loopwright_protocol::Entry;
use std::path::Path;
use support::{called, child_after, child_in_mounts, create, finished, id, read};

fn entry(place: u64) -> Entry {
    match place % 50 {
        49 => finished(&format!("\"{}\"", "z".repeat(20_000)), 0, 0),
        _ => called(u32::try_from(place).unwrap()),
    }
}

/// Not a test of its own: appends until it fails, where the parent has limited the room.
#[test]
fn child() {
    let job = support::job();
    let [directory, ballast] = job.as_slice() else { return };
    let directory = Path::new(directory);
    std::fs::write(ballast, [1; 200_000]).unwrap();
    let store = Store::open(directory).unwrap();
    let (other_writer, other_reports) = create(&store, "other");
    other_writer.append(vec![called(0)]);
    assert_eq!(other_reports.recv().unwrap(), Ok(1));
    let (writer, reports) = create(&store, "a");
    let (mut place, mut durable) = (0, 0);
    let error = loop {
        writer.append((place..place + 10).map(entry).collect());
        place += 10;
        match reports.recv().unwrap() {
            Ok(count) => durable = count,
            Err(error) => break error,
        }
    };
    assert!(durable > 20, "it failed too early: {durable}, {error}");
    // Once: neither more appends nor the close make a second report.
    writer.append(vec![entry(0)]);
    assert_eq!(writer.close(), Err(error.clone()));
    assert!(reports.recv().is_err());
    assert_eq!(other_reports.recv().unwrap(), Err(error.clone()));
    other_writer.append(vec![called(1)]);
    assert_eq!(other_writer.close(), Err(error.clone()));
    assert!(other_reports.recv().is_err());
    let (synced, _reports) = support::reports();
    assert_eq!(store.create(&support::start("late"), synced).err(), Some(error.clone()));
    drop(store);

    std::fs::remove_file(ballast).unwrap();
    let store = Store::open(directory).unwrap();
    let found = read(&store, "a").unwrap();
    assert!(found.len() as u64 >= durable, "{} of {durable}", found.len());
    assert_eq!(found, (0..found.len() as u64).map(entry).collect::<Vec<_>>());
    assert_eq!(read(&store, "other").unwrap(), [called(0)]);
    assert_eq!(store.verify(&id("a")).unwrap().count, found.len() as u64);
    assert!(matches!(store.find("late"), Err(Error::RunUnknown { .. })));
    println!("failed with {} after {durable}", error.code());
}

fn check(mut command: std::process::Command, code: &str) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains(&format!("failed with {code} after")), "{text}");
}

#[test]
fn a_full_disk_is_reported_once_and_keeps_what_was_durable() {
    if !support::can_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let script = format!("mount -t tmpfs -o size=1m tmpfs {path}");
    check(child_in_mounts(&script, &format!("{path}/data {path}/ballast")), "LW0802");
}

#[test]
fn a_file_size_limit_is_reported_once_and_keeps_what_was_durable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let script = "trap '' XFSZ\nulimit -f 1024";
    check(child_after(script, &format!("{path}/data {path}/ballast")), "LW0806");
}
