//! Shared by the tests: one interpreter with the small prelude, one with the real one, and a driver of turns.
#![allow(dead_code)] // each test file uses its own part

use loopwright_interpreter::{
    Completion, CompletionStatus, Guest, Interpreter, Limits, MainState, Options, Prelude, Record,
    RecordKind, Source, Stop, TurnInput, TurnOutput,
};
use loopwright_types::{Micros, Slot};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Compiled code is shared by all tests of a build.
pub fn options() -> Options {
    let cache_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guest-cache");
    Options { cache_dir: Some(cache_dir), pool: 100, ..Options::default() }
}

/// With `tests/prelude.js`, which shows the natives to programs.
pub fn bare() -> &'static Interpreter {
    static BARE: OnceLock<Interpreter> = OnceLock::new();
    BARE.get_or_init(|| {
        let prelude = Prelude { script: include_str!("../prelude.js").into(), modules: Vec::new() };
        Interpreter::new(Options { prelude, ..options() }).expect("the interpreter starts")
    })
}

/// With the program API.
pub fn real() -> &'static Interpreter {
    static REAL: OnceLock<Interpreter> = OnceLock::new();
    REAL.get_or_init(|| Interpreter::new(options()).expect("the interpreter starts"))
}

/// A program that has been loaded into a fresh guest.
pub fn started(interpreter: &Interpreter, code: &str) -> Guest {
    let mut guest = interpreter.guest(&Limits::default()).expect("a guest");
    guest.start(&Source { code, ..Source::default() }, "{}").expect("loads");
    guest
}

/// One turn of a program without completions.
pub fn first_turn(code: &str) -> Result<TurnOutput, Stop> {
    started(bare(), code).turn(&TurnInput::default())
}

/// Answers every call with its own request until nothing is pending; all records in order.
pub fn run_echo(guest: &mut Guest) -> Result<Vec<Record>, Stop> {
    run_with(guest, |record| (CompletionStatus::Done, record.bytes.to_vec()))
}

/// Answers every call as told until nothing is pending; all records in order.
pub fn run_with(
    guest: &mut Guest,
    mut answer: impl FnMut(&Record) -> (CompletionStatus, Vec<u8>),
) -> Result<Vec<Record>, Stop> {
    let mut all = Vec::new();
    let mut answers: Vec<(u32, CompletionStatus, Vec<u8>)> = Vec::new();
    for turn in 0.. {
        let completions: Vec<_> = answers
            .iter()
            .map(|(slot, status, json)| Completion { slot: Slot(*slot), status: *status, json })
            .collect();
        let output = guest.turn(&TurnInput {
            now: Micros(turn),
            completions: &completions,
            ..TurnInput::default()
        })?;
        answers.clear();
        for record in &output.records {
            if matches!(record.kind, RecordKind::Call { .. }) {
                let (status, json) = answer(record);
                answers.push((record.id, status, json));
            }
        }
        all.extend(output.records);
        if answers.is_empty() {
            break;
        }
        assert!(turn < 1000, "a test program does not come to an end");
    }
    Ok(all)
}

/// The program's value, or what went wrong, as text.
pub fn value(code: &str) -> String {
    match run_echo(&mut started(bare(), code)) {
        Err(stop) => format!("{:?}", stop.cause),
        Ok(records) => records
            .iter()
            .find(|record| matches!(record.kind, RecordKind::Result | RecordKind::Error))
            .map_or("no end".to_owned(), |record| match record.kind {
                RecordKind::Result => text(record),
                _ => {
                    let error: serde_json::Value =
                        serde_json::from_slice(&record.bytes).expect("JSON");
                    let code =
                        error["code"].as_str().map_or(String::new(), |code| format!("[{code}] "));
                    format!(
                        "{}: {code}{}",
                        error["name"].as_str().unwrap(),
                        error["message"].as_str().unwrap()
                    )
                }
            }),
    }
}

/// A record's JSON.
pub fn text(record: &Record) -> String {
    String::from_utf8(record.bytes.to_vec()).expect("records are UTF-8")
}

/// Whether the program has ended.
pub fn ended(output: &TurnOutput) -> bool {
    output.main != MainState::Pending
}
