//! Guests that rest between turns do what guests that stay awake do.

mod common;

use common::real;
use loopwright_host::Guests as _;
use loopwright_interpreter::Guests;
use loopwright_protocol::{
    Completion, CompletionStatus, GuestStart, Json, MainState, ProgramText, Record, RecordKind,
    TurnInput, TurnReport,
};
use loopwright_types::{Digest, GuestId, Micros, Settings};

const PROGRAM: &str = r#"
let seen = [];
const results = await Promise.all([1, 2, 3].map(async (n) => {
    const first = await sleep(n);
    seen.push(n, Math.random());
    await sleep(n + 10);
    return n * 2;
}));
log("seen " + seen.length);
({ results, seen, heap: new Map([["a", results]]).size });
"#;

fn start(code: &str) -> GuestStart {
    GuestStart {
        program: ProgramText {
            name: "program.js".into(),
            source: code.into(),
            digest: Digest::of(code.as_bytes()),
            code: code.into(),
            strict: false,
            prefix_columns: 0,
            modules: Vec::new(),
            meta: None,
        },
        config: Json::parse(r#"{"tools":[],"subagents":[]}"#.to_owned()).unwrap(),
        seed: 7,
    }
}

fn slots(records: &[Record]) -> Vec<Completion> {
    let completion = |record: &Record| {
        let RecordKind::Call { slot, .. } = record.kind else { return None };
        let json = Json::parse("null".to_owned()).unwrap();
        Some(Completion { slot, status: CompletionStatus::Done, json })
    };
    records.iter().filter_map(completion).collect()
}

/// Every record of the program, one completion a turn.
fn run(guests: &mut Guests, code: &str, between: impl Fn(&mut Guests)) -> Vec<Record> {
    let id = GuestId(0);
    guests.start(id, &start(code)).unwrap();
    let (mut all, mut open) = (Vec::new(), Vec::new());
    loop {
        between(guests);
        let take = if open.is_empty() { Vec::new() } else { vec![open.remove(0)] };
        let budget = [loopwright_protocol::BUDGET_NONE; 6];
        let input = TurnInput { now: Micros(0), gas: 1_000_000, budget, completions: take };
        let TurnReport { records, main, stop, .. } = guests.turn(id, &input);
        assert_eq!(stop, None);
        open.extend(slots(&records));
        all.extend(records);
        if main != MainState::Pending {
            return all;
        }
    }
}

#[test]
fn a_guest_that_rests_before_every_turn_says_the_same_as_one_that_never_does() {
    let dir = tempfile::tempdir().unwrap();
    let new = || Guests::new(real().clone(), &Settings::default());
    let mut resting = new().resting_in(dir.path().to_owned());
    let rested = run(&mut resting, PROGRAM, |guests| {
        guests.rest();
        assert_eq!(guests.counts(), (0, 1));
    });
    assert_eq!(resting.counts(), (1, 0));
    assert_eq!(rested, run(&mut new(), PROGRAM, |_| {}));
    assert!(rested.iter().any(|record| record.kind == RecordKind::Result), "{rested:?}");
    resting.rest();
    resting.end(GuestId(0));
    assert_eq!(resting.counts(), (0, 0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn guests_stay_awake_where_nothing_can_be_written() {
    for dir in [None, Some("/nowhere/at/all")] {
        let mut guests = Guests::new(real().clone(), &Settings::default());
        if let Some(dir) = dir {
            guests = guests.resting_in(dir.into());
        }
        let records = run(&mut guests, PROGRAM, |guests| {
            guests.rest();
            assert_eq!(guests.counts(), (1, 0));
        });
        assert!(records.iter().any(|record| record.kind == RecordKind::Result));
    }
}
