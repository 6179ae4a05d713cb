//! Providers that are down, requests that are made again, attempts that wait.

use super::script::Script;
use super::steps::{overloaded, review};
use super::*;
use loopwright_protocol::Entry;
use loopwright_types::{Attempt, Micros};

/// Three tasks ask one provider when it goes down, a fourth runs a command.
fn outage(with_command: bool) -> Script {
    let mut script = Script::priced("outage.ts");
    let tasks: Vec<CallId> = (0..3).map(|n| script.task(1, None, &format!("ask {n}"))).collect();
    let steps: Vec<CallId> = tasks
        .iter()
        .map(|task| {
            script.start(*task, 1);
            script.ask(*task, 1)
        })
        .collect();
    if with_command {
        let task = script.task(1, None, "by hand");
        script.start(task, 1);
    }
    script.end(steps[0], 1, overloaded("500, first"), 900);
    script.down("anthropic", overloaded("`anthropic` cannot be reached"));
    for step in &steps[1..] {
        script.end(*step, 1, overloaded("`anthropic` cannot be reached"), 0);
    }
    script.start(steps[0], 2);
    script.end(steps[0], 2, overloaded("still not"), 0);
    script
}

#[test]
fn an_outage_parks_what_needs_the_provider_and_nothing_else() {
    for with_command in [true, false] {
        let view = outage(with_command).view();
        assert_eq!(view.is_parked(), !with_command);
        let down = &view.down()[0];
        assert_eq!((&*down.provider, down.asked, view.needing("anthropic")), ("anthropic", 1, 3));
        assert!(view.is_waiting(view.call(CallId(1)).unwrap()));
    }
    let mut script = outage(false);
    script.up("anthropic");
    let view = script.view();
    assert!(!view.is_parked() && view.down().is_empty());
    assert_eq!(view.outages().count(), 1);
    let idle = Script::priced("idle.ts");
    assert!(!idle.view().is_parked(), "nothing to do is not parked");
}

#[test]
fn an_outage_is_told_when_it_begins_and_when_it_ends() {
    let mut script = outage(false);
    script.now = script.now.after(Micros::from_millis(250_000));
    script.up("anthropic");
    expect![[r#"
        run 20261120-ab12 started: outage.ts
        task 0 started: ask 0 (reviewer)
        task 1 started: ask 1 (reviewer)
        task 2 started: ask 2 (reviewer)
        task 0 asks again in 900 ms: ask 0: turn 1: anthropic:sonnet: 500, first [LW1008]
        provider anthropic is down since 14:22:34 UTC: `anthropic` cannot be reached [LW1008]: 3 tasks wait; asking again every 30 s at the latest
        provider anthropic is back after 4 min 10 s
    "#]].assert_eq(&lines(&script));
    expect![[r#"
        {"event":"provider.down","at":"2026-11-20T14:22:34.320Z","provider":"anthropic","waiting":3,"failure":{"reason":"provider","code":"LW1008","message":"`anthropic` cannot be reached","retryable":true}}
        {"event":"provider.up","at":"2026-11-20T14:26:44.820Z","provider":"anthropic","waiting":3,"ms":250500}
    "#]].assert_eq(&events(&script, "provider."));
    check_tree(
        &script,
        None,
        &expect![[r#"
            outage.ts  running, last entry after 4 min 11 s
            run        20261120-ab12
            started    2026-11-20 14:22:33 UTC, loopwright 0.1.0
            workspace  /work
            args       {"path":"src"}
            settings   run.concurrency=2
            tasks      3 running
            used       400 tokens in, 0 tokens out, $0.0012
            outage     anthropic was down for 4 min 10 s from 14:22:34

            line 1: await task('x')  3 running
            ├─ running     0  ask 0 (reviewer)  4 min 11 s  → turn 1: waits for anthropic: still not  1 turn, 200 in, 0 out, $0.0006
            ├─ running     1  ask 1 (reviewer)  4 min 11 s  → turn 1: waits for anthropic: `anthropic` cannot be reached  1 turn, 100 in, 0 out, $0.0003
            └─ running     2  ask 2 (reviewer)  4 min 10 s  → turn 1: waits for anthropic: `anthropic` cannot be reached  1 turn, 100 in, 0 out, $0.0003
        "#]],
    );
    check_tree(
        &outage(true),
        None,
        &expect![[r#"
            outage.ts  running, last entry after 1.7 s
            run        20261120-ab12
            started    2026-11-20 14:22:33 UTC, loopwright 0.1.0
            workspace  /work
            args       {"path":"src"}
            settings   run.concurrency=2
            tasks      4 running
            used       400 tokens in, 0 tokens out, $0.0012
            outage     anthropic is down since 14:22:34: `anthropic` cannot be reached [LW1008]

            line 1: await task('x')  4 running
            ├─ running     0  ask 0 (reviewer)  1.5 s  → turn 1: waits for anthropic (down)  1 turn, 200 in, 0 out, $0.0006
            ├─ running     1  ask 1 (reviewer)  1.2 s  → turn 1: waits for anthropic (down)  1 turn, 100 in, 0 out, $0.0003
            ├─ running     2  ask 2 (reviewer)  900 ms  → turn 1: waits for anthropic (down)  1 turn, 100 in, 0 out, $0.0003
            └─ running     6  by hand (reviewer)  600 ms
        "#]],
    );
}

#[test]
fn retries_of_requests_are_plain_lines_too() {
    expect![[r#"
        run 20261120-ab12 started: review.ts
        task 0 started: review a.rs (reviewer)
        task 0 asks again in 4 s: review a.rs: turn 1: anthropic:sonnet: `anthropic` is overloaded (529) [LW1008]
        task 0 done: review a.rs (2.1 s, 3 turns, 3 tool calls, 4,280 tokens)
    "#]].assert_eq(&lines(&review()));
}

#[test]
fn a_wait_counts_down() {
    let mut script = Script::priced("wait.ts");
    let task = script.task(1, None, "a");
    script.start(task, 1);
    let step = script.ask(task, 3);
    script.end(step, 1, overloaded("busy"), 65_000);
    let view = script.view();
    let call = view.call(task).unwrap();
    let cases = [
        (0, "turn 3: waits for anthropic (retry in 1 min 05 s): busy"),
        (60_500, "turn 3: waits for anthropic (retry in 5 s): busy"),
        (64_500, "turn 3: waits for anthropic (retry in 500 ms): busy"),
        (70_000, "turn 3: waits for anthropic: busy"),
    ];
    for (ms, text) in cases {
        let now = script.now.after(Micros::from_millis(ms));
        assert_eq!(view.note(call, now).unwrap(), text);
    }
}

#[test]
fn an_attempt_that_was_written_ahead_waits_until_it_went_out() {
    let mut script = Script::priced("ahead.ts");
    let task = script.task(1, None, "a");
    script.start(task, 1);
    if let Some(Entry::AttemptStarted(start)) = script.entries.last_mut() {
        start.ahead = true;
    }
    let view = script.view();
    assert_eq!((view.tasks().queued, view.under_way().count()), (1, 0));
    assert_eq!(view.call(task).unwrap().started, None);
    let now = script.tick();
    script.entries.push(Entry::Dispatched { now, attempts: vec![(task, Attempt(1))] });
    assert_eq!(script.view().call(task).unwrap().started, Some(now));
    assert_eq!(events(&script, "task.started").lines().count(), 1);
    assert_eq!(lines(&script).lines().count(), 2, "the run and the task");
    assert_eq!(detail_of(&script, 0).unwrap().attempts[0].started, now);
}
