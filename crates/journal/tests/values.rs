//! Large values are stored once each, come back in their places, and go with the last run that needs them.

mod support;

use loopwright_journal::{Error, Options, Store};
use loopwright_protocol::{Entry, Json, Outcome};
use loopwright_types::Code;
use rusqlite::Connection;
use std::path::Path;
use support::{Draw, called, finished, id, read, record, settled, started};

/// An entry that settles the call with this JSON text.
fn answered(call: u32, text: &str) -> Entry {
    let Entry::Settled(mut settled) = settled(call, false) else { unreachable!() };
    settled.outcome = Outcome::Done(Json::parse(text.to_owned()).unwrap());
    Entry::Settled(settled)
}

fn long(letter: &str, bytes: usize) -> String {
    format!("\"{}\"", letter.repeat(bytes))
}

fn numbers(directory: &Path, query: &str) -> i64 {
    let database = Connection::open(directory.join("journal.db")).unwrap();
    database.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn equal_values_are_stored_once_for_all_runs_and_read_back_in_their_places() {
    let directory = tempfile::tempdir().unwrap();
    let shared = long("s", 100_000);
    let entries = |run: &str| {
        vec![
            started(run),
            called(0),
            answered(0, &format!("{{\"before\":1,\"text\":{shared},\"after\":[2]}}")),
            answered(1, &format!("[{shared},{},{shared}]", long("o", 70_000))),
            answered(2, &format!("[{}1]", "1,".repeat(40_000))),
            answered(
                3,
                "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"",
            ),
            finished(&shared, 0, 0),
        ]
    };
    let store = Store::open(directory.path()).unwrap();
    for run in ["a", "b"] {
        record(&store, run, &entries(run));
    }
    for run in ["a", "b"] {
        assert_eq!(read(&store, run).unwrap(), entries(run));
        assert_eq!(store.verify(&id(run)).unwrap().count, 7);
    }
    let sum = "SELECT sum(length(bytes)) FROM blobs";
    assert_eq!(numbers(directory.path(), "SELECT count(*) FROM blobs"), 3);
    assert_eq!(numbers(directory.path(), sum), 100_002 + 70_002 + 80_003);
    let inline = "SELECT max(length(body)) < 65536 FROM entries";
    assert_eq!(numbers(directory.path(), inline), 1);

    store.delete(&id("a")).unwrap();
    assert_eq!(read(&store, "b").unwrap(), entries("b"));
    store.delete(&id("b")).unwrap();
    drop(store);
    for table in ["entries", "runs", "leases", "blobs", "uses"] {
        assert_eq!(
            numbers(directory.path(), &format!("SELECT count(*) FROM {table}")),
            0,
            "{table}"
        );
    }
}

/// A value drawn so that all kinds and sizes around the limit come up.
fn draw_value(draw: &mut Draw, depth: u32) -> serde_json::Value {
    use serde_json::Value;
    match draw.below(if depth == 0 { 3 } else { 6 }) {
        0 => Value::from(draw.next()),
        1 => Value::from("\\\"{[é,".repeat(usize::try_from(draw.below(400)).unwrap())),
        2 => Value::Null,
        3 => (0..draw.below(40)).map(|_| draw_value(draw, depth - 1)).collect(),
        _ => {
            let member = |draw: &mut Draw| {
                let name = "n\"".repeat(usize::try_from(draw.below(30)).unwrap());
                (name, draw_value(draw, depth - 1))
            };
            Value::Object((0..draw.below(12)).map(|_| member(draw)).collect())
        }
    }
}

#[test]
fn whatever_is_recorded_comes_back_whatever_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..12 {
        println!("seed {seed}");
        let mut draw = Draw(seed);
        let entries: Vec<Entry> =
            (0..40).map(|call| answered(call, &draw_value(&mut draw, 2).to_string())).collect();
        let heads = [64, 1024, 1 << 20].map(|inline_bytes_max| {
            let options = Options { inline_bytes_max, ..Options::default() };
            let path = directory.path().join(format!("{seed}-{inline_bytes_max}"));
            let store = Store::open_as(&path, options).unwrap();
            record(&store, "a", &entries);
            assert_eq!(read(&store, "a").unwrap(), entries);
            store.verify(&id("a")).unwrap().head
        });
        assert_ne!(heads[0], heads[2], "a small limit takes something out");
    }
}

#[test]
fn a_damaged_value_is_named_by_the_record_that_needs_it() {
    let cases = [
        ("UPDATE blobs SET bytes = replace(bytes, 'x', 'y')", "is damaged"),
        ("UPDATE blobs SET bytes = substr(bytes, 1, 70000)", "is damaged"),
        ("DELETE FROM blobs", "is missing"),
    ];
    for (statement, message) in cases {
        let directory = tempfile::tempdir().unwrap();
        let entries = [started("a"), answered(0, &long("x", 80_000))];
        record(&Store::open(directory.path()).unwrap(), "a", &entries);
        let database = Connection::open(directory.path().join("journal.db")).unwrap();
        database.execute_batch(statement).unwrap();
        let store = Store::open(directory.path()).unwrap();
        let error = read(&store, "a").unwrap_err();
        assert!(matches!(error, Error::Damaged { first: 1, last: 1, .. }));
        assert_eq!(error.code(), Code::JOURNAL_DAMAGED);
        assert!(error.to_string().ends_with(message), "{error}");
        // Recorded again, the value is whole again, for the old run as well.
        record(&store, "b", &[started("b"), answered(0, &long("x", 80_000))]);
        assert_eq!(read(&store, "a").unwrap(), entries);
        assert!(read(&store, "b").is_ok());
    }
}

#[test]
fn references_that_were_tampered_with_are_named() {
    let statements = [
        "UPDATE entries SET refs = NULL WHERE refs IS NOT NULL",
        "UPDATE entries SET refs = zeroblob(48) WHERE refs IS NOT NULL",
        "UPDATE entries SET refs = substr(refs, 1, 40) WHERE refs IS NOT NULL",
    ];
    for statement in statements {
        let directory = tempfile::tempdir().unwrap();
        let entries = [started("a"), answered(0, &long("x", 80_000))];
        record(&Store::open(directory.path()).unwrap(), "a", &entries);
        let database = Connection::open(directory.path().join("journal.db")).unwrap();
        database.execute_batch(statement).unwrap();
        let error = read(&Store::open(directory.path()).unwrap(), "a").unwrap_err();
        assert!(error.to_string().contains("record 1: the checksum does not match"), "{error}");
    }
}
