//! Runs written entry by entry.

use super::RunView;
use loopwright_protocol::{
    CallEntry, CallKind, EndEntry, Entry, Json, LogEntry, Outcome, ProgramText, Progress,
    RunFinish, RunStart, SettleEntry, StartEntry, TurnEntry,
};
use loopwright_types::{
    Attempt, CallId, Code, Diagnostic, Digest, Failure, GuestId, Micros, Position, Reason, RunId,
    RunStatus, ScopeId, Settings, Slot, TurnId, Usage,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Writes entries with a clock that moves 100 ms at each.
pub(super) struct Script {
    pub(super) entries: Vec<Entry>,
    pub(super) now: Micros,
    turn: u32,
    pub(super) calls: u32,
}

const START_MS: u64 = 1_795_184_553_120;

/// Keys are sorted: whether `serde_json` keeps their order is another crate's choice.
pub(super) fn json_of(value: Value) -> Json {
    Json::of(&sorted(value))
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> = fields.into_iter().collect();
            fields.into_iter().map(|(name, value)| (name, sorted(value))).collect()
        }
        plain => plain,
    }
}

pub(super) fn program(name: &str, source: &str, meta: Option<Value>) -> ProgramText {
    ProgramText {
        name: name.to_owned(),
        source: source.to_owned(),
        digest: Digest::of(source.as_bytes()),
        code: String::new(),
        strict: false,
        prefix_columns: 0,
        modules: Vec::new(),
        meta: meta.map(json_of),
    }
}

impl Script {
    pub(super) fn new(program: ProgramText) -> Self {
        let now = Micros::from_millis(START_MS);
        let mut settings = Settings::default();
        settings.set("run.concurrency", "2").unwrap();
        let start = RunStart {
            run: RunId::parse("20261120-ab12").unwrap(),
            now,
            version: "0.1.0".to_owned(),
            interpreter: Digest::of(b"guest"),
            program,
            args: Some(json_of(json!({"path": "src"}))),
            settings,
            seed: 7,
            subagents: Vec::new(),
            tools: Vec::new(),
            models: Default::default(),
            model: None,
            agents_dir: None,
            rehearsal: false,
            from: None,
            workspace: "/work".to_owned(),
        };
        let entries = vec![Entry::RunStarted(Box::new(start))];
        let mut script = Self { entries, now, turn: 0, calls: 0 };
        script.turn(GuestId(0));
        script
    }

    pub(super) fn tick(&mut self) -> Micros {
        self.now = self.now.after(Micros::from_millis(100));
        self.now
    }

    pub(super) fn turn(&mut self, guest: GuestId) {
        let (turn, now) = (TurnId(self.turn), self.tick());
        self.turn += 1;
        let (budget, settled) = ([None; 6], Vec::new());
        self.entries.push(Entry::Turn(TurnEntry { turn, guest, now, budget, settled }));
    }

    pub(super) fn call(
        &mut self,
        kind: CallKind,
        line: u32,
        phase: Option<&str>,
        request: Value,
    ) -> CallId {
        self.call_of(GuestId(0), kind, line, phase, request)
    }

    pub(super) fn call_of(
        &mut self,
        guest: GuestId,
        kind: CallKind,
        line: u32,
        phase: Option<&str>,
        request: Value,
    ) -> CallId {
        let call = CallId(self.calls);
        self.calls += 1;
        self.entries.push(Entry::Called(Box::new(CallEntry {
            call,
            guest,
            turn: TurnId(self.turn - 1),
            now: Micros::default(),
            due: None,
            slot: Slot(0),
            kind,
            bits: 0,
            scope: ScopeId(0),
            position: (line > 0).then_some(Position { line, column: 9 }),
            phase: phase.map(str::to_owned),
            subagent: kind.is_task().then(|| "reviewer".to_owned()),
            request: json_of(request),
            digest: Digest::of(b"call"),
        })));
        call
    }

    pub(super) fn task(&mut self, line: u32, phase: Option<&str>, label: &str) -> CallId {
        self.call(CallKind::Task, line, phase, json!({"prompt": "look", "label": label}))
    }

    pub(super) fn start(&mut self, call: CallId, attempt: u32) {
        let now = self.tick();
        self.entries.push(Entry::AttemptStarted(StartEntry {
            call,
            attempt: Attempt(attempt),
            now,
            subagent: None,
            effects: None,
            ahead: false,
            reask: false,
            key: None,
            looks_up: None,
        }));
    }

    pub(super) fn retry(&mut self, call: CallId, attempt: u32, why: &str) {
        let now = self.tick();
        let failure = Failure::new(Reason::Provider, Code::COMMAND_FAILED, why).retryable();
        self.entries.push(Entry::AttemptEnded(EndEntry {
            call,
            attempt: Attempt(attempt),
            now,
            outcome: Outcome::Failed(failure),
            usage: Usage { output_tokens: 10, ..Usage::default() },
            retry_at: Some(now.after(Micros::from_millis(500))),
            answer: None,
        }));
    }

    pub(super) fn settle(&mut self, call: CallId, attempts: u32, outcome: Outcome) {
        let now = self.tick();
        let usage =
            Usage { input_tokens: 900, output_tokens: 340, usd_micros: 12_300, ..Usage::default() };
        self.entries.push(Entry::Settled(Box::new(SettleEntry {
            call,
            now,
            outcome,
            attempts,
            attempt: None,
            usage: if attempts > 0 { usage } else { Usage::default() },
            started: None,
            fallback: false,
            hidden: None,
            salvage: None,
            worktree: None,
            reused: None,
            subagent: None,
        })));
    }

    pub(super) fn done(&mut self, call: CallId, attempts: u32, value: Value) {
        self.settle(call, attempts, Outcome::Done(json_of(value)));
    }

    pub(super) fn fail(
        &mut self,
        call: CallId,
        attempts: u32,
        reason: Reason,
        code: Code,
        message: &str,
    ) {
        self.settle(call, attempts, Outcome::Failed(Failure::new(reason, code, message)));
    }

    pub(super) fn log(&mut self, level: &str, text: &str) {
        let now = self.tick();
        let (level, text) = (level.to_owned(), text.to_owned());
        let position = Some(Position { line: 3, column: 1 });
        self.entries.push(Entry::Logged(LogEntry {
            guest: GuestId(0),
            now,
            level,
            text,
            position,
        }));
    }

    pub(super) fn finish(&mut self, status: RunStatus, result: Option<Value>, failures: &[&str]) {
        let now = self.tick();
        self.entries.push(Entry::RunFinished(Box::new(RunFinish {
            now,
            status,
            result: result.map(json_of),
            error: None,
            external: false,
            failures: failures.iter().map(|line| (*line).to_owned()).collect(),
            usage: Usage {
                input_tokens: 1800,
                output_tokens: 690,
                usd_micros: 24_600,
                ..Usage::default()
            },
            tasks: 4,
            done: 2,
        })));
    }

    pub(super) fn view(&self) -> RunView {
        let mut view = RunView::new();
        self.entries.iter().for_each(|entry| view.apply(entry));
        view
    }
}

/// A run with declared phases, waves, a retry, a failure, tools, a question, a nested program, logs.
pub(super) fn audit() -> Script {
    let source = "export const meta = {}\nphase('Scan')\n  const found = await Promise.all(files.map(scan))\n";
    let meta = json!({"phases": [{"title": "Scan", "detail": "each file"}, {"title": "Report"}]});
    let mut script = Script::new(program("audit.ts", source, Some(meta)));
    script.entries.push(Entry::Phase { guest: GuestId(0), title: "Scan".to_owned() });
    let glob = script.call(
        CallKind::Tool,
        3,
        Some("Scan"),
        json!({"name": "glob", "args": {"pattern": "**/*.rs"}}),
    );
    script.start(glob, 1);
    script.done(glob, 1, json!("a.rs\nb.rs"));
    script.turn(GuestId(0));
    let a = script.task(3, Some("Scan"), "check a.rs");
    let b = script.task(3, Some("Scan"), "check b.rs");
    script.start(a, 1);
    script.start(b, 1);
    script.log("log", "2 files");
    script.retry(b, 1, "the command ended with status 1");
    script.done(a, 1, json!({"ok": true, "notes": []}));
    script.start(b, 2);
    script.fail(b, 2, Reason::Timeout, Code::TASK_TIMEOUT, "`check b.rs` took longer than 5 s");
    script.turn(GuestId(0));
    let unphased = script.call(CallKind::Agent, 3, None, json!({"prompt": "sum\n  up"}));
    script.start(unphased, 1);
    script.entries.push(Entry::Progressed {
        call: unphased,
        attempt: Attempt(1),
        now: script.now,
        progress: Progress::Message("reading".to_owned()),
    });
    let nested = script.call(CallKind::Workflow, 3, Some("Report"), json!({"name": "publish"}));
    script.entries.push(Entry::GuestStarted {
        guest: GuestId(1),
        call: nested,
        program: Box::new(program("publish.js", "await agent('x')", None)),
        args: None,
    });
    script.turn(GuestId(1));
    let inner = script.call_of(GuestId(1), CallKind::Agent, 1, None, json!({"prompt": "write"}));
    script.start(inner, 1);
    script
}

pub(super) fn finished_audit() -> Script {
    let mut script = audit();
    script.done(CallId(3), 1, json!("all is well"));
    script.done(CallId(5), 1, json!(null));
    script.done(CallId(4), 0, json!(null));
    let error = json_of(json!({"name": "Error", "message": "no such file"}));
    script.entries.push(Entry::Dropped { guest: GuestId(0), error });
    let failure = "check b.rs: timeout: `check b.rs` took longer than 5 s";
    script.finish(RunStatus::Degraded, Some(json!({"files": 2})), &[failure]);
    script
}

/// Every text of a run that somebody else chose.
pub(super) fn hostile() -> Script {
    let bad = "x\x1b]0;owned\x07\u{202e}gnp\r\n\u{9b}2J";
    let meta = json!({"phases": [{"title": bad, "detail": bad}]});
    let mut script = Script::new(program(bad, bad, Some(meta)));
    let a = script.task(1, Some(bad), bad);
    script.start(a, 1);
    script.entries.push(Entry::Progressed {
        call: a,
        attempt: Attempt(1),
        now: script.now,
        progress: Progress::Message(bad.to_owned()),
    });
    script.retry(a, 1, bad);
    script.fail(a, 1, Reason::Provider, Code::COMMAND_FAILED, bad);
    let b = script.task(1, None, bad);
    script.start(b, 1);
    script.done(b, 1, json!(bad));
    let tool = script.call(CallKind::Tool, 1, None, json!({"name": bad, "args": {"p": bad}}));
    script.fail(tool, 1, Reason::Policy, Code::TOOL_NOT_ALLOWED, bad);
    script.log(bad, bad);
    let error = Diagnostic::new(Code::UNHANDLED_REJECTION, bad);
    script.entries.push(Entry::Unhandled { guest: GuestId(0), error });
    script.finish(RunStatus::Failed, Some(json!({ bad: bad })), &[bad]);
    script
}
