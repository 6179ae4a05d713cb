//! Runs of very many entries and of very large values: what they cost in time and memory.

use super::round;
use super::support::{self, attempt, called, create, id, settled, turn};
use loopwright_journal::Store;
use loopwright_protocol::Entry;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// The most memory that the process has held, in MiB; forgets what was before.
fn peak_mib(forget: bool) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.trim().split(' ').next()?.parse::<f64>().ok());
    if forget {
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
    round(kib.unwrap_or(0.0) / 1024.0)
}

/// A run of very many entries: recorded, read from its beginning, resumed.
pub fn long_run(directory: &Path, entries: u32) -> Value {
    let store = Store::open(directory).expect("a journal");
    let (writer, reports) = create(&store, "long");
    let begin = Instant::now();
    peak_mib(true);
    let mut appended: u64 = 0;
    for tasks in (0..entries / 4).collect::<Vec<_>>().chunks(1000) {
        let four = |task: &u32| [called(*task), attempt(*task), settled(*task, false), turn(*task)];
        writer.append(tasks.iter().flat_map(four).collect());
        appended += 4 * tasks.len() as u64;
        // As an engine does, which waits for what it needs.
        while reports.recv().expect("the journal lives").expect("it is durable") < appended {}
    }
    let recorded = begin.elapsed().as_secs_f64();
    let recording_mib = peak_mib(true);
    writer.close().expect("it is durable");
    let begin = Instant::now();
    let read = store.read(&id("long")).expect("it is there");
    assert_eq!(read.inspect(|entry| assert!(entry.is_ok())).count() as u64, appended);
    let seconds = begin.elapsed().as_secs_f64();
    let reading_mib = peak_mib(true);
    let begin = Instant::now();
    let (synced, _reports) = support::reports();
    store.resume(&id("long"), synced).expect("nobody has it").close().expect("it is durable");
    json!({
        "recorded_per_s": (appended as f64 / recorded).round(),
        "recording_peak_mib": recording_mib,
        "read_per_s": (appended as f64 / seconds).round(),
        "reading_peak_mib": reading_mib,
        "resume_ms": round(begin.elapsed().as_secs_f64() * 1000.0),
    })
}

/// A run whose results are 1 MiB each and all different.
pub fn large_values(directory: &Path, count: u32) -> Value {
    let result = |call: u32| {
        let text = format!("{call:08x}").repeat((1 << 20) / 8);
        let Entry::Settled(mut entry) = settled(call, false) else { unreachable!() };
        entry.outcome = loopwright_protocol::Outcome::Done(loopwright_protocol::Json::of(&text));
        Entry::Settled(entry)
    };
    let store = Store::open(directory).expect("a journal");
    let (writer, reports) = create(&store, "large");
    let begin = Instant::now();
    peak_mib(true);
    for call in 0..count {
        writer.append(vec![result(call)]);
        // A few under way at once.
        while call >= 4
            && reports.recv().expect("it lives").expect("it is durable") < u64::from(call) - 4
        {
        }
    }
    writer.close().expect("it is durable");
    let (recorded, recording_mib) = (begin.elapsed().as_secs_f64(), peak_mib(true));
    let begin = Instant::now();
    let read = store.read(&id("large")).expect("it is there");
    assert_eq!(read.inspect(|entry| assert!(entry.is_ok())).count(), count as usize);
    let (seconds, reading_mib) = (begin.elapsed().as_secs_f64(), peak_mib(true));
    let file = directory.join("export");
    store.export(&id("large"), &file).expect("it is whole");
    let other = Store::open(&directory.join("other")).expect("a journal");
    assert!(!other.import(&file).expect("it is whole").existed);
    json!({
        "recorded_mib_per_s": round(f64::from(count) / recorded),
        "recording_peak_mib": recording_mib,
        "read_mib_per_s": round(f64::from(count) / seconds),
        "reading_peak_mib": reading_mib,
        "export_and_import_peak_mib": peak_mib(false),
    })
}
