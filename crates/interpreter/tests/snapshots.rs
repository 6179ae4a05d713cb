//! A waiting guest as bytes: it goes on in another process, and only where it fits.

mod common;
use common::*;
use loopwright_interpreter::{
    Completion, CompletionStatus, Error, Guest, Limits, Record, RecordKind, TurnInput,
};
use loopwright_types::{Code, Micros, Slot};
use std::process::Command;

const PROGRAM: &str = r"
const log = [];
class Acc { #n = 0; add(x) { this.#n += x; return this } get n() { return this.#n } }
const acc = new Acc();
function* gen() { let i = 0; while (true) yield i++ }
const g = gen(); g.next(); g.next();
const weak = new WeakMap(); const key = {}; weak.set(key, 'weak');
const results = await parallel(Array.from({ length: 20 }, (_, i) => async () => {
  try {
    const a = await agent('first ' + i);
    const b = await agent('second ' + i + ' after ' + a.prompt);
    acc.add(i);
    return b.prompt;
  } catch (e) { log.push(e.message); return null } finally { log.length }
}));
({ results, n: acc.n, gen: g.next().value, weak: weak.get(key), log, random: Math.random(), now: Date.now() })";

/// Answers each call with its request, except every seventh, until the program ends.
fn finish(guest: &mut Guest, mut open: Vec<Record>) -> String {
    loop {
        let answers: Vec<(u32, CompletionStatus, Vec<u8>)> = open.iter().map(answer).collect();
        let completions: Vec<_> = answers
            .iter()
            .map(|(slot, status, json)| Completion { slot: Slot(*slot), status: *status, json })
            .collect();
        let input =
            TurnInput { now: Micros(5_000), completions: &completions, ..TurnInput::default() };
        let records = guest.turn(&input).unwrap().records;
        if let Some(result) = records.iter().find(|record| record.kind == RecordKind::Result) {
            return text(result);
        }
        open = calls(records);
    }
}

fn answer(record: &Record) -> (u32, CompletionStatus, Vec<u8>) {
    if record.id % 7 == 3 {
        let failure = br#"{"reason":"schema","code":"LW0404","message":"no"}"#.to_vec();
        return (record.id, CompletionStatus::Failed, failure);
    }
    (record.id, CompletionStatus::Done, record.bytes.to_vec())
}

fn calls(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().filter(|record| matches!(record.kind, RecordKind::Call { .. })).collect()
}

/// A guest that waits in the middle of the program, and the calls it waits for.
fn waiting() -> (Guest, Vec<Record>) {
    let mut guest = started(bare(), PROGRAM);
    guest.set_seed(3);
    let first = calls(guest.turn(&TurnInput::default()).unwrap().records);
    let answers: Vec<_> = first.iter().map(answer).collect();
    let completions: Vec<_> = answers
        .iter()
        .map(|(slot, status, json)| Completion { slot: Slot(*slot), status: *status, json })
        .collect();
    let open = calls(
        guest
            .turn(&TurnInput { completions: &completions, ..TurnInput::default() })
            .unwrap()
            .records,
    );
    (guest, open)
}

#[test]
fn a_guest_goes_on_in_another_process() {
    let (mut guest, open) = waiting();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("snapshot"), guest.snapshot().unwrap()).unwrap();
    let slots: Vec<_> = open.iter().map(|record| (record.id, text(record))).collect();
    std::fs::write(folder.path().join("open"), serde_json::to_vec(&slots).unwrap()).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_other_process"])
        .env("LOOPWRIGHT_TEST_SNAPSHOT", folder.path())
        .status()
        .unwrap();
    assert!(status.success());
    let other = std::fs::read_to_string(folder.path().join("result")).unwrap();
    assert_eq!(other, finish(&mut guest, open));
    assert!(other.contains(r#""weak":"weak""#) && other.contains(r#""log":["no""#), "{other}");
}

/// The second half of the test above; does nothing when it runs by itself.
#[test]
fn the_other_process() {
    let Some(folder) = std::env::var_os("LOOPWRIGHT_TEST_SNAPSHOT").map(std::path::PathBuf::from)
    else {
        return;
    };
    let snapshot = std::fs::read(folder.join("snapshot")).unwrap();
    let slots: Vec<(u32, String)> =
        serde_json::from_slice(&std::fs::read(folder.join("open")).unwrap()).unwrap();
    let record = |(id, json): (u32, String)| Record {
        kind: RecordKind::Call { kind: 2, bits: 0 },
        id,
        scope: Default::default(),
        position: Default::default(),
        bytes: json.into_bytes().into(),
    };
    let mut guest = bare().restore(&snapshot, &Limits::default()).unwrap();
    let result = finish(&mut guest, slots.into_iter().map(record).collect());
    std::fs::write(folder.join("result"), result).unwrap();
}

#[test]
fn a_snapshot_is_exact_and_may_have_many_lives() {
    let (mut guest, open) = waiting();
    let snapshot = guest.snapshot().unwrap();
    let mut lives: Vec<_> =
        (0..3).map(|_| bare().restore(&snapshot, &Limits::default()).unwrap()).collect();
    for life in &mut lives {
        assert_eq!(life.memory_hash(), guest.memory_hash());
        assert_eq!(life.snapshot().unwrap(), snapshot);
    }
    let ends: Vec<_> = lives.iter_mut().map(|life| finish(life, open.clone())).collect();
    assert!(ends.iter().all(|end| *end == ends[0]));
    assert_eq!(finish(&mut guest, open), ends[0]);
    assert!(snapshot.len() < 1 << 20, "{} bytes for a small program", snapshot.len());
}

#[test]
fn a_fresh_and_an_ended_guest_can_be_kept_too() {
    for code in ["1", "agent('x'); 2"] {
        let mut guest = started(bare(), code);
        let mut restored = bare().restore(&guest.snapshot().unwrap(), &Limits::default()).unwrap();
        let first = guest.turn(&TurnInput::default()).unwrap();
        assert_eq!(restored.turn(&TurnInput::default()).unwrap().records, first.records);
        assert_eq!(restored.memory_hash(), guest.memory_hash());
    }
}

#[test]
fn what_does_not_fit_is_refused_with_a_code() {
    let snapshot = waiting().0.snapshot().unwrap();
    let changed = |at: usize| {
        let mut bytes = snapshot.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases = [
        ("nothing", Vec::new(), "it is damaged"),
        ("short", snapshot[..40].to_vec(), "it is damaged"),
        ("cut", snapshot[..snapshot.len() - 1].to_vec(), "it is damaged"),
        ("longer", [&snapshot[..], b"x"].concat(), "it is damaged"),
        ("one bit", changed(5000), "it is damaged"),
        ("the length of the name", changed(40), "it is damaged"),
        ("its checksum", changed(snapshot.len() - 1), "it is damaged"),
        ("text", vec![b'a'; 500], "it is no snapshot"),
    ];
    for (name, bytes, expected) in cases {
        let error = bare().restore(&bytes, &Limits::default()).unwrap_err();
        assert!(matches!(error, Error::Snapshot(reason) if reason == expected), "{name}: {error}");
        assert_eq!(error.diagnostic().code, Code::SNAPSHOT_MISMATCH);
    }
    let error = real().restore(&snapshot, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("made by another version of the guest"), "{error}");
}

#[test]
fn a_stopped_guest_gives_no_snapshot() {
    let mut guest = started(bare(), "for (;;);");
    assert!(guest.turn(&TurnInput { gas: 5, ..TurnInput::default() }).is_err());
    assert!(guest.snapshot().is_err());
    assert!(guest.memory_hash().is_err());
}
