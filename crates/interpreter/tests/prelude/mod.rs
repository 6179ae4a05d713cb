//! Shared by the tests of the prelude: runs a program in a real guest against scripted answers and writes
//! down everything that crossed the bridge.
//!
//! A script is a list of lines `needle => [@turns] outcome`. The first line whose needle is part of a
//! call's request decides it: `done JSON`, `fail reason [code]` or `never`; `@3` delivers the outcome
//! three turns later instead of one. A call that no line names gives its own prompt or name, `null` when
//! it has none. Cancelled scopes are answered as the engine does.
#![allow(dead_code)] // each test file uses its own part

use loopwright_interpreter::{
    Completion, CompletionStatus, Guest, Interpreter, Limits, MainState, Options, Record,
    RecordKind, Source, TurnInput,
};
use loopwright_types::{Micros, Slot};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

const KINDS: [&str; 7] = ["?", "task", "agent", "tool", "sleep", "approve", "workflow"];
const NEVER: u64 = u64::MAX;

/// One interpreter for all tests of a binary; its compiled code is shared by all of a build.
pub fn interpreter() -> &'static Interpreter {
    static SHARED: OnceLock<Interpreter> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cache_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guest-cache");
        let options = Options { cache_dir: Some(cache_dir), pool: 100, ..Options::default() };
        Interpreter::new(options).expect("the interpreter starts")
    })
}

/// What the host tells the prelude when a test does not say otherwise.
pub fn config() -> Value {
    json!({
        "tools": ["glob", "grep", "read_file", "db.run_query"],
        "subagents": ["general-purpose", "reviewer"],
        "itemsMax": 4096,
    })
}

/// Everything that crossed the bridge while `program` ran against `script`, one line each.
pub fn transcript(program: &str, script: &str) -> String {
    transcript_with(program, script, &config())
}

/// The same with another configuration.
pub fn transcript_with(program: &str, script: &str, config: &Value) -> String {
    let mut guest = interpreter().guest(&Limits::default()).expect("a guest");
    guest
        .start(&Source { code: program, name: "p.js", ..Source::default() }, &config.to_string())
        .expect("loads");
    let mut host = Host::new(script);
    host.run(&mut guest);
    host.lines.join("\n")
}

/// Only the program's value, or its error, or what kept it from ending.
pub fn value(program: &str, script: &str) -> String {
    last(&transcript(program, script))
}

fn last(transcript: &str) -> String {
    let end = |line: &&str| {
        ["result ", "error ", "stopped ", "waits"].iter().any(|word| line.starts_with(word))
    };
    transcript.lines().find(end).unwrap_or("no end").to_owned()
}

/// Asserts a transcript without its indentation; a missing end of line is no difference.
#[allow(clippy::needless_pass_by_value)] // `expect![…]` reads best where it stands
pub fn check(program: &str, script: &str, expected: expect_test::Expect) {
    expected.assert_eq(&transcript(program, script));
}

/// Asserts how each call ends when the program returns what it gives.
#[allow(clippy::needless_pass_by_value)] // as above
pub fn check_each(before: &str, calls: &[&str], expected: expect_test::Expect) {
    let end =
        |call: &&str| format!("{call}\n  {}", value(&format!("{before}return await {call}"), ""));
    expected.assert_eq(&calls.iter().map(end).collect::<Vec<_>>().join("\n"));
}

struct Pending {
    number: usize,
    slot: u32,
    scope: u32,
    tracked: bool,
    due: u64,
    outcome: Result<Value, Value>,
}

struct Host {
    rules: Vec<(String, u64, String)>,
    lines: Vec<String>,
    pending: Vec<Pending>,
    parents: BTreeMap<u32, u32>,
    cancelled: BTreeSet<u32>,
    calls: usize,
    turn: u64,
}

impl Host {
    fn new(script: &str) -> Self {
        let rules = script.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
            let (needle, outcome) = line.split_once(" => ").expect("needle => outcome");
            let delayed = outcome.strip_prefix('@').and_then(|rest| rest.split_once(' '));
            let (turns, outcome) =
                delayed.map_or((1, outcome), |(turns, rest)| (turns.parse().expect("turns"), rest));
            (needle.to_owned(), turns, outcome.to_owned())
        });
        Self {
            rules: rules.collect(),
            lines: Vec::new(),
            pending: Vec::new(),
            parents: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            calls: 0,
            turn: 0,
        }
    }

    fn run(&mut self, guest: &mut Guest) {
        loop {
            let due = self.take_due();
            let answers: Vec<(u32, CompletionStatus, Vec<u8>)> = due.iter().map(answer).collect();
            let completions: Vec<_> = answers
                .iter()
                .map(|(slot, status, json)| Completion { slot: Slot(*slot), status: *status, json })
                .collect();
            let input = TurnInput {
                now: Micros(self.turn),
                completions: &completions,
                ..TurnInput::default()
            };
            let output = match guest.turn(&input) {
                Ok(output) => output,
                Err(stop) => return self.lines.push(format!("stopped {:?}", stop.cause)),
            };
            for record in &output.records {
                self.on_record(record);
            }
            assert_eq!(
                output.pending as usize,
                self.pending.len(),
                "guest and host count the same calls"
            );
            self.turn += 1;
            let Some(next) =
                self.pending.iter().map(|call| call.due).min().filter(|due| *due != NEVER)
            else {
                if output.main == MainState::Pending {
                    self.lines.push("waits".to_owned());
                }
                return;
            };
            self.turn = self.turn.max(next);
            assert!(self.turn < 10_000, "a test program does not come to an end");
        }
    }

    fn take_due(&mut self) -> Vec<Pending> {
        let now = self.turn;
        let (due, rest) =
            std::mem::take(&mut self.pending).into_iter().partition(|call| call.due <= now);
        self.pending = rest;
        due
    }

    fn on_record(&mut self, record: &Record) {
        let text = String::from_utf8(record.bytes.to_vec()).expect("records are UTF-8");
        match record.kind {
            RecordKind::Call { kind, bits } => {
                self.on_call(record, KINDS[kind as usize], bits, &text)
            }
            RecordKind::Note => self.on_note(&text),
            RecordKind::Log => self.lines.push(format!("log {text}")),
            RecordKind::Result => self.lines.push(format!("result {text}")),
            RecordKind::Error => self.lines.push(format!("error {}", error_text(&text))),
            RecordKind::Unhandled => {
                let (error, at) = (error_text(&text), record.position);
                self.lines.push(format!("unhandled {error} {}:{}", at.line, at.column));
            }
        }
    }

    fn on_call(&mut self, record: &Record, kind: &str, bits: u8, text: &str) {
        let scope = record.scope.0;
        let marks: String = [(1, " null-on-failure"), (2, " tracked"), (4, " observed")]
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, word)| *word)
            .collect();
        let place = if scope == 0 { String::new() } else { format!(" scope {scope}") };
        let at = record.position;
        self.lines.push(format!("{kind} {text} {}:{}{place}{marks}", at.line, at.column));
        let number = self.calls;
        self.calls += 1;
        let (due, outcome) = if self.is_cancelled(scope) {
            (self.turn + 1, Err(failure(number, "cancelled", "LW0504")))
        } else {
            self.decide(number, text)
        };
        let tracked = bits & 2 != 0;
        self.pending.push(Pending { number, slot: record.id, scope, tracked, due, outcome });
    }

    fn decide(&self, number: usize, text: &str) -> (u64, Result<Value, Value>) {
        let Some((_, turns, outcome)) =
            self.rules.iter().find(|(needle, ..)| text.contains(needle))
        else {
            let request: Value = serde_json::from_str(text).expect("requests are JSON");
            let echo =
                request.get("prompt").or_else(|| request.get("name")).cloned().unwrap_or_default();
            return (self.turn + 1, Ok(echo));
        };
        if outcome == "never" {
            return (NEVER, Ok(Value::Null));
        }
        let outcome = match outcome.split_once(' ').expect("done JSON, or fail reason") {
            ("done", json) => Ok(serde_json::from_str(json).expect("JSON in a script")),
            ("fail", reason) => {
                let (reason, code) = reason.split_once(' ').unwrap_or((reason, "LW0604"));
                Err(failure(number, reason, code))
            }
            _ => panic!("unknown outcome `{outcome}`"),
        };
        (self.turn + turns, outcome)
    }

    fn on_note(&mut self, text: &str) {
        let note: Value = serde_json::from_str(text).expect("notes are JSON");
        let number = |name: &str| u32::try_from(note[name].as_u64().unwrap_or(0)).expect("a scope");
        match note["note"].as_str().expect("a note has a name") {
            "scope" => {
                self.parents.insert(number("id"), number("parent"));
            }
            "cancel" => {
                self.lines.push(format!(
                    "cancel scope {} ({})",
                    number("scope"),
                    note["reason"].as_str().unwrap()
                ));
                self.cancelled.insert(number("scope"));
                for at in 0..self.pending.len() {
                    if self.is_cancelled(self.pending[at].scope) {
                        let call = &mut self.pending[at];
                        call.outcome = Err(failure(call.number, "cancelled", "LW0504"));
                        call.due = self.turn + 1;
                    }
                }
            }
            "dropped" => {
                let error = error_text(&note["error"].to_string());
                self.lines.push(format!(
                    "dropped {}[{}] {error}",
                    note["where"].as_str().unwrap(),
                    note["index"]
                ));
            }
            _ => self.lines.push(format!("note {text}")),
        }
    }

    fn is_cancelled(&self, mut scope: u32) -> bool {
        while scope != 0 && !self.cancelled.contains(&scope) {
            scope = self.parents.get(&scope).copied().unwrap_or(0);
        }
        scope != 0
    }
}

fn answer(call: &Pending) -> (u32, CompletionStatus, Vec<u8>) {
    let receipt =
        json!({ "call": format!("c{}", call.number), "attempts": 1, "usage": {}, "ms": 5 });
    let (status, json) = match &call.outcome {
        Err(failure) => (CompletionStatus::Failed, failure.clone()),
        Ok(value) if call.tracked => {
            (CompletionStatus::DoneTracked, json!({ "value": value, "receipt": receipt }))
        }
        Ok(value) => (CompletionStatus::Done, value.clone()),
    };
    (call.slot, status, json.to_string().into_bytes())
}

fn failure(number: usize, reason: &str, code: &str) -> Value {
    json!({
        "call": format!("c{number}"), "reason": reason, "code": code, "message": format!("call {number} failed"),
        "retryable": false, "subagent": "general-purpose", "attempts": 1, "usage": { "output_tokens": 7 },
    })
}

/// `Name [code, reason]: message (hint: …)`.
fn error_text(json: &str) -> String {
    let error: Value = serde_json::from_str(json).expect("errors are JSON");
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    let marks: Vec<_> = ["code", "reason"].into_iter().filter_map(text).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(", ")) };
    let hint = text("hint").map_or(String::new(), |hint| format!(" (hint: {hint})"));
    let (name, message) = (text("name").unwrap_or_default(), text("message").unwrap_or_default());
    format!("{name}{marks}: {message}{hint}")
}
