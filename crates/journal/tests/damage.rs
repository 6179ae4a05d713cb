//! Damaged files: every change is either named or makes no difference, and no wrong entry is ever read.

mod support;

use loopwright_journal::{Control, Error, Listing, Options, Request, RunRow, Store};
use loopwright_protocol::{Entry, Json};
use loopwright_types::{Code, GuestId};
use std::collections::BTreeMap;
use std::path::Path;
use support::{Draw, called, create, finished, id, read, record, turn, whole_run};

const DATABASE: &str = "journal.db";
const LOG: &str = "journal.db-wal";
const MARK: &str = "journal.tail";
const FILES: [&str; 3] = [DATABASE, LOG, MARK];

/// A journal as a killed process leaves it, some runs in the database and some in the log, or as one that
/// ended leaves it, without a log.
struct Original {
    files: BTreeMap<&'static str, Vec<u8>>,
    runs: BTreeMap<String, Vec<Entry>>,
    rows: Vec<RunRow>,
    /// What is asked of one of them.
    requests: Vec<Request>,
}

impl Original {
    fn make(killed: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut runs = BTreeMap::new();
        // Small enough that the larger values are stored outside their records.
        let options = || Options { inline_bytes_max: 4096, ..Options::default() };
        let open = || Store::open_as(directory.path(), options()).unwrap();
        let store = open();
        let big = |n: usize| finished(&format!("\"{}\"", "w".repeat(n)), 0, 0);
        for (run, tasks) in [("first", 40), ("second", 3), ("third", 25)] {
            let mut entries = whole_run(run, tasks);
            entries.insert(5, big(9000));
            record(&store, run, &entries);
            runs.insert(run.to_owned(), entries);
        }
        drop(store);
        let store = open();
        let mut logged = |run: &str, entries: Vec<Entry>, chunk: usize| {
            let (writer, reports) = create(&store, run);
            for entries in entries.chunks(chunk) {
                writer.append(entries.to_vec());
                reports.recv().unwrap().unwrap();
            }
            runs.insert(run.to_owned(), entries);
            writer
        };
        let one = logged("fourth", whole_run("fourth", 12), 5);
        let asked = logged("asked", vec![called(0)], 1);
        // Before the last entries: the mark vouches for what is before these.
        for control in [Control::Pause, Control::Answer(Json::parse("[1]".to_owned()).unwrap())] {
            store.request(&id("asked"), control).unwrap();
        }
        let requests = store.requests(&id("asked")).unwrap();
        let mut entries: Vec<Entry> = (0..40).map(called).collect();
        entries.extend((0..20).map(turn));
        let error = Json::of(&"w".repeat(20_000));
        entries.push(Entry::Dropped { guest: GuestId(0), error });
        let two = logged("fifth", entries, 4);
        let unowned = |row| RunRow { interrupted: false, live: false, owner: None, ..row };
        let rows = store.runs(99).unwrap().into_iter().map(unowned).collect();
        // Nothing writes now: the copies belong together.
        let left = killed.then_some((store, one, asked, two));
        let read = |name| Some((name, std::fs::read(directory.path().join(name)).ok()?));
        let files: BTreeMap<_, _> = FILES.into_iter().filter_map(read).collect();
        assert_eq!(files.contains_key(LOG), left.is_some());
        Self { files, runs, rows, requests }
    }

    fn write(&self, directory: &Path) {
        for (name, bytes) in &self.files {
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
}

/// Damages the file; says how.
fn damage(directory: &Path, name: &str, draw: &mut Draw) -> String {
    let path = directory.join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len() as u64;
    let place = |draw: &mut Draw, size: u64| {
        // Half of the time near the beginning, where the headers are.
        let end = if draw.below(2) == 0 { length.min(4096) } else { length };
        let from = usize::try_from(draw.below(end)).unwrap();
        from..(from + usize::try_from(size).unwrap()).min(bytes.len())
    };
    let what = match draw.below(6) {
        0 | 1 => {
            let at = place(draw, 1);
            bytes[at.start] ^= 1 << draw.below(8);
            format!("bit of byte {} flipped", at.start)
        }
        2 => {
            let size = 1 + draw.below(64);
            let at = place(draw, size);
            bytes[at.clone()].iter_mut().for_each(|byte| *byte = draw.next().to_le_bytes()[0]);
            format!("bytes {at:?} drawn")
        }
        3 => {
            let size = [16, 512, 4096][usize::try_from(draw.below(3)).unwrap()];
            let at = place(draw, size);
            bytes[at.clone()].fill(0);
            format!("bytes {at:?} zeroed")
        }
        4 => {
            let cut = usize::try_from(draw.below(length)).unwrap();
            bytes.truncate(cut);
            format!("cut to {cut} bytes")
        }
        _ => {
            let page = |draw: &mut Draw| usize::try_from(draw.below(length / 4096 + 1)).unwrap();
            let (from, to) = (page(draw) * 4096, page(draw) * 4096);
            let size = 4096.min(bytes.len() - from).min(bytes.len() - to);
            bytes.copy_within(from..from + size, to);
            format!("page at {from} written over the one at {to}")
        }
    };
    std::fs::write(&path, bytes).unwrap();
    format!("{name}: {what}")
}

/// Reads everything. `Ok` means that all is as it was; an error is the first that named the damage.
fn examine(store: &Store, original: &Original, extra: usize) -> Result<(), Error> {
    let mut named = store.loss().cloned();
    match store.list(99) {
        Ok(Listing { rows, damage }) => {
            named = named.or(damage.into_iter().next());
            let rows: Vec<RunRow> = rows
                .into_iter()
                .skip(extra)
                .map(|row| RunRow { interrupted: false, live: false, owner: None, ..row })
                .collect();
            let whole = named.is_some() || rows == original.rows;
            assert!(whole, "the list of runs has changed without a word: {rows:#?}");
        }
        Err(error) => named = named.or(Some(error)),
    }
    for (run, expected) in &original.runs {
        let error = match store.read(&id(run)) {
            Ok(entries) => {
                let mut count = 0;
                let error = entries.into_iter().find_map(|found| match found {
                    Ok((place, entry)) => {
                        assert_eq!(place, count);
                        let place = usize::try_from(place).unwrap();
                        assert_eq!(Some(&entry), expected.get(place), "a wrong entry of `{run}`");
                        count += 1;
                        None
                    }
                    Err(error) => Some(error),
                });
                let whole = error.is_some() || named.is_some() || count == expected.len() as u64;
                assert!(whole, "`{run}` has only {count} entries and no error");
                error
            }
            Err(error) => Some(error),
        };
        if let Some(Error::Damaged { run: damaged, first, last, .. }) = &error {
            assert!(damaged == &id(run) && first <= last);
        }
        // A run that the damaged list does not know any more must not be all that is said.
        let silent = matches!(error, Some(Error::RunUnknown { .. })) && named.is_none();
        assert!(!silent, "`{run}` is unknown and nothing is damaged");
        named = named.or(error);
    }
    match store.requests(&id("asked")) {
        Ok(requests) => {
            let whole = named.is_some() || requests == original.requests;
            assert!(whole, "requests have changed without a word: {requests:?}");
        }
        Err(error) => named = named.or(Some(error)),
    }
    named.map_or(Ok(()), Err)
}

fn assert_named(error: &Error, how: &str) {
    // Where the list is damaged that is said instead of that a run is unknown; where it is not, the run is
    // one whose row was cut off with the log, and that was said before.
    let codes = [Code::JOURNAL_DAMAGED, Code::JOURNAL_NEWER, Code::DATA_DIR];
    assert!(codes.contains(&error.code()), "{how}: {error}");
}

/// Damages a copy in one way and looks at it, first only reading, then also after writing to it.
fn check(original: &Original, seed: u64, named: &mut u32) {
    let directory = tempfile::tempdir().unwrap();
    original.write(directory.path());
    let mut draw = Draw(seed);
    let first = match draw.below(10) {
        0 => MARK,
        1..5 if original.files.contains_key(LOG) => LOG,
        _ => DATABASE,
    };
    let mut how = damage(directory.path(), first, &mut draw);
    if draw.below(4) == 0 {
        // Never both the log and the mark: together they can be cut back without a trace, and only a head
        // kept elsewhere would tell.
        how = format!("{how}; {}", damage(directory.path(), DATABASE, &mut draw));
    }
    println!("seed {seed}: {how}");
    let seen = Store::open_read_only(directory.path()).and_then(|s| examine(&s, original, 0));
    if let Err(error) = &seen {
        *named += 1;
        println!("  {error}");
        assert_named(error, &how);
    }
    if !seed.is_multiple_of(4) {
        return;
    }
    let Ok(store) = Store::open(directory.path()) else {
        assert!(seen.is_err(), "reading says nothing and writing is refused");
        return;
    };
    let (synced, _reports) = support::reports();
    let Ok(writer) = store.create(&support::start("new"), synced) else { return };
    writer.append(whole_run("new", 20));
    if writer.close().is_err() {
        return;
    }
    if let Err(error) = examine(&store, original, 1) {
        assert_named(&error, &how);
    }
    resume_and_move(&store, original, &how);
    match read(&store, "new") {
        Ok(entries) => assert_eq!(entries, whole_run("new", 20)),
        Err(error) => assert_named(&error, &how),
    }
}

/// Goes on with the last run and moves the first one elsewhere: both work on what is whole or name what is
/// not.
fn resume_and_move(store: &Store, original: &Original, how: &str) {
    let (synced, _reports) = support::reports();
    match store.resume(&id("fifth"), synced) {
        Ok(writer) => {
            writer.append(vec![turn(99)]);
            let closed = writer.close();
            match closed.and_then(|()| read(store, "fifth")) {
                Ok(entries) => {
                    let (last, before) = entries.split_last().unwrap();
                    assert_eq!((last, before), (&turn(99), original.runs["fifth"].as_slice()));
                }
                Err(error) => assert_named(&error, how),
            }
        }
        Err(error) => assert_named(&error, how),
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("first");
    match store.export(&id("first"), &file) {
        Ok(_) => {
            let other = Store::open(&elsewhere.path().join("data")).unwrap();
            other.import(&file).unwrap();
            assert_eq!(read(&other, "first").unwrap(), original.runs["first"]);
        }
        Err(error) => assert_named(&error, how),
    }
}

#[test]
fn damage_is_named_or_harmless_and_never_a_wrong_entry() {
    let originals = [true, false].map(Original::make);
    for original in &originals {
        let whole = tempfile::tempdir().unwrap();
        original.write(whole.path());
        let store = Store::open_read_only(whole.path()).unwrap();
        assert_eq!(examine(&store, original, 0), Ok(()));
    }

    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("LOOPWRIGHT_DAMAGE_SEEDS").unwrap_or(160);
    // The first seed: to go on behind others, or to see one alone.
    let first = number("LOOPWRIGHT_DAMAGE_FIRST").unwrap_or(0);
    let mut named = 0;
    for seed in first..first + count {
        // Half of four seeds in a row each, so that both kinds are also written to.
        check(&originals[usize::from(seed % 8 < 4)], seed, &mut named);
    }
    println!("{named} of {count} named, the others harmless");
    assert!(u64::from(named) > count / 4);
}

/// Changes one stored record behind the journal's back; what a read and a verification say then.
fn tampered(statement: &str) -> (Vec<Entry>, Error, Error) {
    let directory = tempfile::tempdir().unwrap();
    record(&Store::open(directory.path()).unwrap(), "a", &whole_run("a", 20));
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    database.execute_batch(statement).unwrap();
    drop(database);
    let store = Store::open_read_only(directory.path()).unwrap();
    let mut good = Vec::new();
    let mut entries = store.read(&id("a")).unwrap();
    let error = loop {
        match entries.next().expect("the damage is found") {
            Ok((_, entry)) => good.push(entry),
            Err(error) => break error,
        }
    };
    assert!(entries.next().is_none(), "nothing is read after damage");
    (good, error, store.verify(&id("a")).unwrap_err())
}

#[test]
fn the_first_stretch_of_damaged_records_is_named() {
    let row = |place: u32| format!("(1 << 40) + {place}");
    let cases = [
        (
            format!(
                "UPDATE entries SET body = replace(body, 'File 0', 'File 9') WHERE row = {}",
                row(23)
            ),
            "record 23: the checksum does not match",
        ),
        (
            format!("UPDATE entries SET chain = zeroblob(32) WHERE row = {}", row(30)),
            "record 30: it does not follow from the record before it",
        ),
        (
            format!("UPDATE entries SET version = 0 WHERE row BETWEEN {} AND {}", row(30), row(33)),
            "records 30 to 33: the checksum does not match",
        ),
        (
            format!("DELETE FROM entries WHERE row BETWEEN {} AND {}", row(10), row(14)),
            "records 10 to 14: missing",
        ),
        (format!("DELETE FROM entries WHERE row >= {}", row(80)), "records 80 to 82: missing"),
        ("DELETE FROM entries".to_owned(), "records 0 to 82: missing"),
    ];
    for (statement, message) in cases {
        let (good, first, range) = tampered(&statement);
        assert_eq!(range.to_string(), format!("run `a`, {message}"), "{statement}");
        let Error::Damaged { first, .. } = first else { panic!("{first}") };
        assert_eq!(good, whole_run("a", 20)[..usize::try_from(first).unwrap()]);
    }
}

#[test]
fn records_cut_off_the_log_are_told_from_a_run_that_was_killed() {
    let original = Original::make(true);
    let directory = tempfile::tempdir().unwrap();
    original.write(directory.path());
    let log = directory.path().join(LOG);
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() - 5000]).unwrap();

    let error = Store::open(directory.path()).err().unwrap();
    let Error::Damaged { run, first, last, .. } = &error else { panic!("{error}") };
    assert_eq!((run, *last), (&id("fifth"), 60));
    assert!(*first > 40 && *first <= 60);
    assert!(error.to_string().ends_with("reported durable and gone now"), "{error}");
    let store = Store::open_read_only(directory.path()).unwrap();
    assert_eq!(store.loss(), Some(&error));
    assert_eq!(read(&store, "fourth").unwrap(), original.runs["fourth"]);
    assert_eq!(read(&store, "fifth"), Err(error));
    drop(store);

    // What the hint says: without the mark the loss is accepted.
    std::fs::remove_file(directory.path().join(MARK)).unwrap();
    let store = Store::open(directory.path()).unwrap();
    let left = read(&store, "fifth").unwrap();
    assert!(!left.is_empty() && original.runs["fifth"].starts_with(&left));
    record(&store, "new", &whole_run("new", 2));
}
