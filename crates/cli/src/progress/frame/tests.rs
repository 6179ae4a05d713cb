//! The live view as a picture of a scripted run.

mod loops;

use super::*;
use expect_test::{Expect, expect};
use loopwright::protocol::{
    CallEntry, Entry, Json, LogEntry, Outcome, ProgramText, RunStart, SettleEntry, StartEntry,
    TurnEntry,
};
use loopwright::types::{
    Attempt, CallId, Code, Digest, Failure, GuestId, Position, Reason, RunId, ScopeId, Settings,
    Slot, TurnId, Usage,
};
use serde_json::json;

const START: Micros = Micros::from_millis(1_795_184_553_000);

/// A run whose calls are made and moved one by one; the clock moves a tenth of a second each time.
struct Scene {
    view: RunView,
    calls: u32,
    turns: u32,
    now: Micros,
}

impl Scene {
    fn new(program: &str, phases: &[&str]) -> Self {
        let phases: Vec<_> = phases.iter().map(|title| json!({ "title": title })).collect();
        let program = ProgramText {
            name: program.to_owned(),
            source: "const all = files.map(check)\nawait Promise.all(all)".to_owned(),
            digest: Digest::of(b""),
            code: String::new(),
            strict: false,
            prefix_columns: 0,
            modules: Vec::new(),
            meta: Some(Json::of(&json!({ "phases": phases }))),
        };
        let mut scene = Self { view: RunView::new(), calls: 0, turns: 0, now: START };
        scene.view.apply(&Entry::RunStarted(Box::new(RunStart {
            run: RunId::parse("20261120-ab12").unwrap(),
            now: START,
            version: "0.1.0".to_owned(),
            interpreter: Digest::of(b""),
            program,
            args: None,
            settings: Settings::default(),
            seed: 1,
            subagents: Vec::new(),
            tools: Vec::new(),
            models: Default::default(),
            model: None,
            agents_dir: None,
            rehearsal: false,
            from: None,
            workspace: "/work".to_owned(),
        })));
        scene.turn();
        scene
    }

    fn turn(&mut self) {
        let turn = TurnId(self.turns);
        self.turns += 1;
        self.now = self.now.after(Micros::from_millis(100));
        let (guest, now) = (GuestId(0), self.now);
        let (budget, settled) = ([None; 6], Vec::new());
        self.view.apply(&Entry::Turn(TurnEntry { turn, guest, now, budget, settled }));
    }

    fn task(&mut self, phase: Option<&str>, label: &str) -> CallId {
        let call = CallId(self.calls);
        self.calls += 1;
        self.view.apply(&Entry::Called(Box::new(CallEntry {
            call,
            guest: GuestId(0),
            turn: TurnId(self.turns - 1),
            now: self.now,
            due: None,
            slot: Slot(0),
            kind: CallKind::Task,
            bits: 0,
            scope: ScopeId(0),
            position: Some(Position { line: 2, column: 1 }),
            phase: phase.map(str::to_owned),
            subagent: Some("reviewer".to_owned()),
            request: Json::of(&json!({"prompt": "look", "label": label})),
            digest: Digest::of(b""),
        })));
        call
    }

    fn start(&mut self, call: CallId) {
        self.now = self.now.after(Micros::from_millis(100));
        self.view.apply(&Entry::AttemptStarted(StartEntry {
            call,
            attempt: Attempt(1),
            now: self.now,
            subagent: None,
            effects: None,
            ahead: false,
            reask: false,
            key: None,
            looks_up: None,
        }));
    }

    fn settle(&mut self, call: CallId, outcome: Outcome) {
        self.now = self.now.after(Micros::from_millis(100));
        self.view.apply(&Entry::Settled(Box::new(SettleEntry {
            call,
            now: self.now,
            outcome,
            attempts: 1,
            attempt: None,
            usage: Usage {
                input_tokens: 1000,
                output_tokens: 250,
                usd_micros: 0,
                ..Usage::default()
            },
            started: None,
            subagent: None,
            fallback: false,
            hidden: None,
            salvage: None,
            worktree: None,
            reused: None,
        })));
    }

    fn done(&mut self, call: CallId) {
        self.settle(call, Outcome::Done(Json::of(&json!({"ok": true}))));
    }

    fn fail(&mut self, call: CallId) {
        let failure = Failure::new(Reason::Provider, Code::COMMAND_FAILED, "it broke");
        self.settle(call, Outcome::Failed(failure));
    }

    fn log(&mut self, text: &str) {
        self.view.apply(&Entry::Logged(LogEntry {
            guest: GuestId(0),
            now: self.now,
            level: "log".to_owned(),
            text: text.to_owned(),
            position: None,
        }));
    }

    fn rows(&self, columns: usize, rows: usize) -> Vec<String> {
        let shown = frame(&self.view, self.now, Paint::default(), columns, rows, 0);
        assert!(shown.len() <= rows.saturating_sub(2).max(3), "{shown:#?}");
        for row in &shown {
            assert!(loopwright::view::width(row) < columns, "{row}");
            assert!(!row.chars().any(char::is_control), "{row:?}");
        }
        shown
    }

    fn check(&self, columns: usize, rows: usize, expected: &Expect) {
        expected.assert_eq(&(self.rows(columns, rows).join("\n") + "\n"));
    }
}

/// One phase done, one under way, one announced, a wave without a phase.
fn audit() -> Scene {
    let mut scene = Scene::new("audit.ts", &["Scan", "Verify", "Report"]);
    for file in ["a.rs", "b.rs"] {
        let call = scene.task(Some("Scan"), &format!("scan {file}"));
        scene.start(call);
        scene.done(call);
    }
    scene.turn();
    for n in 0..6 {
        let call = scene.task(Some("Verify"), &format!("verify claim {n}"));
        if n < 4 {
            scene.start(call);
        }
        if n == 0 {
            scene.fail(call);
        }
    }
    let call = scene.task(None, "漢字 👩‍💻 look at the unphased one with a rather long label");
    scene.start(call);
    scene.log("6 claims to verify");
    scene
}

#[test]
fn what_runs_now_is_shown_between_what_is_over_and_what_is_to_come() {
    audit().check(
        100,
        24,
        &expect![[r#"
        ⠋ audit.ts  1.2 s  2 done · 4 running · 2 queued · 1 failed  3,750 tokens
          ✓ Scan  2 done
          ▸ Verify  3 running, 2 queued, 1 failed
              ⠋ verify claim 1 (reviewer)  300 ms
              ⠋ verify claim 2 (reviewer)  200 ms
              ⠋ verify claim 3 (reviewer)  100 ms
          ▸ line 2: await Promise.all(all)  1 running
              ⠋ 漢字 👩‍💻 look at the unphased one with a rather long label (reviewer)  0 ms
          · Report
        › 6 claims to verify
    "#]],
    );
}

#[test]
fn forty_columns_are_enough() {
    audit().check(
        40,
        24,
        &expect![[r#"
        ⠋ audit.ts  1.2 s  3,750 tokens
        2 done 4 running 2 queued 1 failed
          ✓ Scan  2 done
          ▸ Verify  3 running, 2 queued, 1 fa…
            ⠋ verify claim 1  300 ms
            ⠋ verify claim 2  200 ms
            ⠋ verify claim 3  100 ms
          ▸ line 2: await Promise.all(all)  1 …
            ⠋ 漢字 👩‍💻 look at the unphased o…
          · Report
        › 6 claims to verify
    "#]],
    );
}

#[test]
fn a_low_terminal_shows_the_most_important_rows() {
    audit().check(
        80,
        8,
        &expect![[r#"
        ⠋ audit.ts  1.2 s  2 done · 4 running · 2 queued · 1 failed  3,750 tokens
          ▸ Verify  3 running, 2 queued, 1 failed
              ⠋ verify claim 1 (reviewer)  300 ms
          ▸ line 2: await Promise.all(all)  1 running
              ⠋ 漢字 👩‍💻 look at the unphased one with a rather long label (reviewer)…
        › 6 claims to verify
    "#]],
    );
}

#[test]
fn a_terminal_of_any_size_is_never_overrun() {
    let scene = audit();
    for columns in [1, 5, 12, 20, 33, 72, 73, 200] {
        for rows in [1, 2, 3, 5, 9, 14, 200] {
            let shown = frame(&scene.view, scene.now, Paint::default(), columns, rows, 3);
            assert!(shown.len() <= rows.saturating_sub(2).max(3), "{columns}x{rows}");
            let most = columns.saturating_sub(1).max(10);
            assert!(shown.iter().all(|row| loopwright::view::width(row) <= most));
        }
    }
}

#[test]
fn many_tasks_and_many_phases_are_counted_not_listed() {
    let mut scene = Scene::new("big.ts", &[]);
    for n in 0..60 {
        let call = scene.task(Some(&format!("done {n}")), "quick");
        scene.start(call);
        scene.done(call);
    }
    for n in 0..5000 {
        let call = scene.task(Some("Fan out"), &format!("item {n}"));
        if n < 40 {
            scene.start(call);
        }
    }
    scene.check(
        80,
        16,
        &expect![[r#"
        ⠋ big.ts  16.1 s  60 done · 40 running · 4,960 queued · 0 failed  75,000 tokens
          ✓ 55 earlier phases
          ✓ done 55  1 done
          ✓ done 56  1 done
          ✓ done 57  1 done
          ✓ done 58  1 done
          ✓ done 59  1 done
          ▸ Fan out  40 running, 4,960 queued
              ⠋ item 0 (reviewer)  3.9 s
              ⠋ item 1 (reviewer)  3.8 s
              ⠋ item 2 (reviewer)  3.7 s
              ⠋ item 3 (reviewer)  3.6 s
              ⠋ item 4 (reviewer)  3.5 s
              … 35 more
    "#]],
    );
}

#[test]
fn hostile_names_and_lines_are_spelled_out() {
    let bad = "\x1b[2Jx\u{202e}y\nz\u{9b}";
    let mut scene = Scene::new(bad, &[bad]);
    let call = scene.task(Some(bad), bad);
    scene.start(call);
    scene.log(bad);
    scene.check(
        100,
        24,
        &expect![[r#"
        ⠋ \u{1b}[2Jx\u{202e}y\nz\u{9b}  200 ms  0 done · 1 running · 0 queued · 0 failed
          ▸ \u{1b}[2Jx\u{202e}y z\u{9b}  1 running
              ⠋ \u{1b}[2Jx\u{202e}y z\u{9b} (reviewer)  0 ms
        › \u{1b}[2Jx\u{202e}y z\u{9b}
    "#]],
    );
}

#[test]
fn colours_change_no_word() {
    let scene = audit();
    let plain = scene.rows(100, 24);
    let coloured = frame(&scene.view, scene.now, Paint { colour: true }, 100, 24, 0);
    assert_eq!(plain.len(), coloured.len());
    for (plain, coloured) in plain.iter().zip(coloured) {
        let mut words = coloured.clone();
        for code in ["0", "1", "2", "31", "32", "33", "36"] {
            words = words.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(&words, plain);
    }
}
