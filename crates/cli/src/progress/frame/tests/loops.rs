//! Subagents that are served step by step, and providers that are down.

use super::*;
use loopwright::protocol::{EndEntry, StepEntry};
use loopwright::types::FailureClass;

impl Scene {
    fn tick(&mut self, ms: u64) -> Micros {
        self.now = self.now.after(Micros::from_millis(ms));
        self.now
    }

    fn step(
        &mut self,
        task: CallId,
        kind: CallKind,
        turn: u32,
        name: &str,
        args: &[&str],
    ) -> CallId {
        let (call, now) = (CallId(self.calls), self.tick(100));
        self.calls += 1;
        let args = (!args.is_empty()).then(|| Json::of(&json!({ "args": args.join(" ") })));
        let (name, digest) = (name.to_owned(), Digest::of(b""));
        let entry = StepEntry { call, task, now, kind, turn, name, args, digest };
        self.view.apply(&Entry::Stepped(Box::new(entry)));
        call
    }

    fn ask(&mut self, task: CallId, turn: u32) -> CallId {
        let step = self.step(task, CallKind::Model, turn, "anthropic:sonnet", &[]);
        self.start(step);
        step
    }

    fn end(&mut self, call: CallId, failure: Failure, retry_ms: Option<u64>) {
        let now = self.tick(100);
        let retry_at = retry_ms.map(|ms| now.after(Micros::from_millis(ms)));
        let (attempt, outcome) = (Attempt(1), Outcome::Failed(failure));
        let usage = Usage { input_tokens: 100, usd_micros: 300, ..Usage::default() };
        let entry = EndEntry { call, attempt, now, outcome, usage, retry_at, answer: None };
        self.view.apply(&Entry::AttemptEnded(entry));
    }

    fn down(&mut self, provider: &str, failure: Failure) {
        let (now, provider) = (self.tick(100), provider.to_owned());
        self.view.apply(&Entry::ProviderDown { now, provider, failure });
    }
}

fn unreachable(message: &str) -> Failure {
    Failure::new(Reason::Provider, Code::PROVIDER_UNREACHABLE, message).class(FailureClass::Wait)
}

/// One subagent calls tools, one waits to try again, one is in its third turn, one gets its worktree.
fn reviews() -> Scene {
    let mut scene = Scene::new("review.ts", &["Review"]);
    let tasks: Vec<CallId> =
        ["a.rs", "b.rs", "c.rs"].map(|file| scene.task(Some("Review"), file)).to_vec();
    tasks.iter().for_each(|task| scene.start(*task));
    let step = scene.ask(tasks[0], 1);
    scene.done(step);
    let grep = scene.step(tasks[0], CallKind::Tool, 1, "grep", &["TODO", "src"]);
    scene.step(tasks[0], CallKind::Tool, 1, "read_file", &["src/lib.rs"]);
    scene.start(grep);
    let step = scene.ask(tasks[1], 1);
    scene.end(step, unreachable("overloaded"), Some(4000));
    scene.ask(tasks[2], 3);
    let fix = scene.task(Some("Review"), "fix it");
    scene.step(fix, CallKind::Worktree, 0, "create", &[]);
    scene
}

fn outage(with_command: bool) -> Scene {
    let mut scene = Scene::new("review.ts", &["Review"]);
    for file in ["a.rs", "b.rs"] {
        let task = scene.task(Some("Review"), file);
        scene.start(task);
        let step = scene.ask(task, 2);
        scene.end(step, unreachable("connection refused"), None);
    }
    if with_command {
        let task = scene.task(Some("Review"), "by hand");
        scene.start(task);
    }
    scene.down("anthropic", unreachable("connection refused"));
    scene.tick(72_000);
    scene
}

#[test]
fn a_subagent_is_shown_with_what_it_does() {
    reviews().check(
        100,
        24,
        &expect![[r#"
        ⠋ review.ts  1.6 s  0 done · 4 running · 0 queued · 0 failed  1,350 tokens  $0.0003
          ▸ Review  4 running
              ⠋ a.rs (reviewer)  1.4 s  turn 1: grep TODO src, 1 more
              ↻ b.rs (reviewer)  1.3 s  turn 1: waits for anthropic (retry in 4 s): overloaded
              ⠋ c.rs (reviewer)  1.2 s  turn 3: asks anthropic:sonnet
              ⠋ fix it (reviewer)  makes its worktree
    "#]],
    );
    reviews().check(
        40,
        24,
        &expect![[r#"
        ⠋ review.ts  1.6 s  1,350 tokens  $0.…
        0 done 4 running 0 queued 0 failed
          ▸ Review  4 running
            ⠋ a.rs  1.4 s  turn 1: grep TODO s…
            ↻ b.rs  1.3 s  turn 1: waits for a…
            ⠋ c.rs  1.2 s  turn 3: asks anthro…
            ⠋ fix it  makes its worktree
    "#]],
    );
}

#[test]
fn a_provider_that_is_down_has_a_banner_and_what_waits_for_it_is_parked() {
    outage(false).check(
        100,
        24,
        &expect![[r#"
            ⠋ review.ts  1 min 13 s  parked  0 done · 2 running · 0 queued · 0 failed  200 tokens  $0.0006
            ! anthropic is down for 1 min 12 s: 2 tasks wait  connection refused [LW1006]
              ▸ Review  2 running
                  ↻ a.rs (reviewer)  1 min 12 s  turn 2: waits for anthropic (down)
                  ↻ b.rs (reviewer)  1 min 12 s  turn 2: waits for anthropic (down)
        "#]],
    );
    outage(false).check(
        40,
        24,
        &expect![[r#"
            ⠋ review.ts  1 min 13 s  parked  200 t…
            0 done 2 running 0 queued 0 failed
            ! anthropic down 1 min 12 s: 2 wait  c…
              ▸ Review  2 running
                ↻ a.rs  1 min 12 s  turn 2: waits …
                ↻ b.rs  1 min 12 s  turn 2: waits …
        "#]],
    );
    outage(false).check(
        80,
        8,
        &expect![[r#"
            ⠋ review.ts  1 min 13 s  parked  0 done · 2 running · 0 queued · 0 failed  200…
            ! anthropic is down for 1 min 12 s: 2 tasks wait  connection refused [LW1006]
              ▸ Review  2 running
                  ↻ a.rs (reviewer)  1 min 12 s  turn 2: waits for anthropic (down)
                  ↻ b.rs (reviewer)  1 min 12 s  turn 2: waits for anthropic (down)
        "#]],
    );
}

#[test]
fn a_run_in_which_something_goes_on_is_not_parked() {
    outage(true).check(
        100,
        24,
        &expect![[r#"
        ⠋ review.ts  1 min 13 s  0 done · 3 running · 0 queued · 0 failed  200 tokens  $0.0006
        ! anthropic is down for 1 min 12 s: 2 tasks wait  connection refused [LW1006]
          ▸ Review  3 running
              ↻ a.rs (reviewer)  1 min 12 s  turn 2: waits for anthropic (down)
              ↻ b.rs (reviewer)  1 min 12 s  turn 2: waits for anthropic (down)
              ⠋ by hand (reviewer)  1 min 12 s
    "#]],
    );
}

#[test]
fn many_outages_leave_room_for_tasks() {
    let mut scene = reviews();
    for n in 0..9 {
        scene.down(&format!("gateway{n}"), unreachable("connection refused"));
    }
    scene.check(
        80,
        12,
        &expect![[r#"
            ⠋ review.ts  2.5 s  0 done · 4 running · 0 queued · 0 failed  1,350 tokens  $0…
            ! gateway0 is down for 800 ms  connection refused [LW1006]
            ! gateway1 is down for 700 ms  connection refused [LW1006]
            ! 7 more providers are down
              ▸ Review  4 running
                  ⠋ a.rs (reviewer)  2.3 s  turn 1: grep TODO src, 1 more
                  ↻ b.rs (reviewer)  2.2 s  turn 1: waits for anthropic (retry in 3 s): ov…
                  ⠋ c.rs (reviewer)  2.1 s  turn 3: asks anthropic:sonnet
                  ⠋ fix it (reviewer)  makes its worktree
        "#]],
    );
    for columns in [1, 12, 40, 80] {
        for rows in [1, 3, 5, 9] {
            let shown = frame(&scene.view, scene.now, Paint::default(), columns, rows, 3);
            assert!(shown.len() <= rows.saturating_sub(2).max(3), "{columns}x{rows}");
        }
    }
}
