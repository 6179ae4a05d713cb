//! A task's own git worktree: made before its subagent begins, finished before the task settles.

use crate::served::{served, turns};
use crate::{failure, run, simulation};
use loopwright_protocol::{Dispatch, Entry, Outcome, Work, WorktreeReport, WorktreeWork};
use loopwright_simulator::{OnCancel, Plan, Random, START, Simulated, Simulation, Step, subagent};
use loopwright_types::{Code, Diagnostic, Failure, Micros, Reason, RunStatus, Usage};
use serde_json::json;

fn made() -> Plan {
    Plan::done(json!({ "path": "/w/1", "branch": "b", "base": "abc" })).after_ms(20)
}

fn finished() -> Plan {
    let report = json!({ "changed": true, "branch": "b", "path": "/w/1", "diffstat": "1 file" });
    Plan::done(report).after_ms(30)
}

fn refused() -> Plan {
    Plan::failed(Failure::new(Reason::Provider, Code::TOOL_FAILED, "not a git repository"))
}

/// Worktrees are made and finished by these plans, subagents work for 100 ms and say where.
fn working(
    create: fn() -> Plan,
    finish: fn() -> Plan,
) -> impl FnMut(&Dispatch, &mut Random) -> Plan + 'static {
    move |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Worktree(WorktreeWork::Create) => create(),
        Work::Worktree(WorktreeWork::Finish(worktree)) => {
            assert_eq!(worktree.branch, "b");
            finish()
        }
        Work::Task(task) => Plan::done(task.root.clone().unwrap_or_default()).after_ms(100),
        Work::Model(request) if turns(request) == 0 => Plan::calls(&[("grep", json!({}))]),
        Work::Model(_) => Plan::says("/w/1").after_ms(100),
        Work::Tool { root, .. } => Plan::done(root.clone().unwrap_or_default()),
        other => panic!("nobody asked for {other:?}"),
    }
}

fn isolated() -> Step {
    Step::task("a").with("isolation", "worktree")
}

fn order(run: &Simulated) -> Vec<&str> {
    run.books.executions.iter().map(|one| one.served_by.as_str()).collect()
}

fn report(run: &Simulated) -> Option<WorktreeReport> {
    run.settled(0).unwrap().worktree.clone()
}

#[test]
fn every_driver_works_in_the_worktree_and_the_receipt_tells_what_became_of_it() {
    let cases: [(Simulation, &[&str]); 2] = [
        (served(), &["worktree", "p:m", "tool", "p:m", "worktree"]),
        (simulation(), &["worktree", "general-purpose", "worktree"]),
    ];
    for (simulation, expected) in cases {
        let run = run(simulation.plans(working(made, finished)), isolated());
        assert_eq!((run.result(), order(&run)), (json!("/w/1"), expected.to_vec()));
        assert_eq!(report(&run).unwrap().diffstat, "1 file");
        assert_eq!(run.elapsed.as_millis(), 150);
    }
}

#[test]
fn a_worktree_that_cannot_be_made_fails_the_task_or_calls_its_fallback() {
    let nothing = run(served().plans(working(refused, finished)), Step::settle([isolated()]));
    assert_eq!(failure(&nothing, 0), "provider LW0705 after 0");
    let value = isolated().with("fallback", json!({ "value": 7 }));
    assert_eq!(run(served().plans(working(refused, finished)), value).result(), json!(7));
    // Another subagent is isolated too, or not at all.
    let other = isolated().with("fallback", json!({ "subagent": "other" }));
    let simulation = served().subagent(subagent("other")).plans(working(refused, finished));
    let run = run(simulation, Step::settle([other]));
    assert_eq!(order(&run), ["worktree", "worktree"]);
    assert_eq!(failure(&run, 0), "provider LW0705 after 0");
}

#[test]
fn an_answer_stands_whatever_becomes_of_the_worktree() {
    let never = || finished().never();
    for (finish, told) in
        [(refused as fn() -> Plan, "not a git repository"), (never, "not looked at in time")]
    {
        let task = isolated().with("timeoutMs", 1000);
        let run = run(served().plans(working(made, finish)), task);
        assert_eq!(run.result(), json!("/w/1"));
        let report = report(&run).unwrap();
        assert_eq!((report.diffstat.as_str(), report.path.as_deref()), (told, Some("/w/1")));
        assert!(report.changed, "what is not known to be unchanged is kept");
    }
}

#[test]
fn making_a_worktree_is_part_of_the_tasks_time() {
    let never = || made().never();
    let task = isolated().with("timeoutMs", 1000);
    let run = run(served().plans(working(never, finished)), Step::settle([task]));
    assert_eq!(failure(&run, 0), "timeout LW0502 after 0");
    assert_eq!(run.elapsed.as_millis(), 1000);
}

#[test]
fn cancellation_reaches_a_worktree_that_is_being_made_used_or_finished() {
    for ms in [10, 50, 140] {
        let script = Step::deadline(ms, isolated());
        let run = run(served().plans(working(made, finished)), script);
        assert_eq!(failure(&run, 0).split(' ').next(), Some("timeout"), "after {ms} ms");
        assert!(run.books.executions.iter().any(|one| one.cancelled.is_some()), "after {ms} ms");
        // What was made is finished, and nothing else is waited for.
        let finishing = if ms == 10 { 0 } else { 30 };
        assert_eq!(run.elapsed.as_millis(), ms + finishing);
    }
}

/// What became of worktrees that were looked at after their tasks had settled.
fn told_later(run: &Simulated) -> Vec<String> {
    let finished = run.entries.iter().filter_map(|entry| match entry {
        Entry::Stepped(step) if step.name == "finish" => Some(step.call),
        _ => None,
    });
    let told = finished.map(|step| match &run.settled(step.0).unwrap().outcome {
        Outcome::Done(json) => json.read::<WorktreeReport>().unwrap().diffstat,
        Outcome::Failed(failure) => failure.code.to_string(),
    });
    told.collect()
}

/// Subagents that go on for so long after they were told to end.
fn stubborn(ms: u64) -> impl FnMut(&Dispatch, &mut Random) -> Plan + 'static {
    move |dispatch: &Dispatch, random: &mut Random| {
        let plan = working(made, finished)(dispatch, random);
        if matches!(dispatch.work, Work::Worktree(_)) {
            return plan;
        }
        let (after, usage) = (Micros::from_millis(ms), Usage::default());
        plan.never().on_cancel(OnCancel::Ends { after, usage })
    }
}

#[test]
fn the_worktree_of_a_task_that_ended_early_is_finished_once_nobody_works_in_it() {
    for simulation in [served, simulation] {
        let late = isolated().with("timeoutMs", 100);
        let cancelled = Step::deadline(100, isolated());
        for task in [late, cancelled] {
            let run = run(simulation().plans(stubborn(500)), Step::settle([task]));
            assert_eq!(failure(&run, 0).split(' ').next(), Some("timeout"));
            let receipt = report(&run).unwrap();
            assert_eq!((receipt.changed, receipt.branch.as_deref()), (true, Some("b")));
            assert_eq!(receipt.path.as_deref(), Some("/w/1"), "{}", receipt.diffstat);
            assert_eq!(told_later(&run), ["1 file"]);
            let mut sent =
                run.books.executions.iter().map(|it| it.dispatched.since(START).as_millis());
            assert_eq!(sent.next_back(), Some(600), "after the subagent's end");
            assert_eq!(run.elapsed.as_millis(), 630);
        }
    }
}

#[test]
fn a_run_that_ends_early_waits_for_its_worktrees_and_not_for_long() {
    let never = || finished().never();
    for (finish, told, ms) in [
        (finished as fn() -> Plan, "1 file", 80),
        (never, "LW1303", 10_050),
        (refused, "LW0705", 50),
    ] {
        let stop = Step::stop(Diagnostic::new(Code::PROGRAM_THREW, "stopped"), false);
        let stop = Step::seq([Step::sleep(50), stop]);
        let simulation = served().plans(working(made, finish));
        let run = run(simulation, Step::all([isolated(), isolated(), stop]));
        assert_eq!(run.ended, Ok(RunStatus::Failed));
        assert_eq!(told_later(&run), [told, told]);
        assert_eq!(run.elapsed.as_millis(), ms);
    }
}

#[test]
fn a_run_that_the_operator_cancels_keeps_its_worktrees_to_go_on_in() {
    let simulation = served().plans(working(made, finished));
    let simulation = simulation.setup(|it| it.cancel_after = Some(Micros::from_millis(50)));
    let run = run(simulation, Step::all([isolated(), isolated()]));
    assert_eq!((run.ended.clone(), told_later(&run)), (Ok(RunStatus::Cancelled), Vec::new()));
    assert_eq!(run.elapsed.as_millis(), 50);
}

#[test]
fn a_worktree_that_was_made_in_vain_is_finished_too() {
    let made_late = || made().on_cancel(OnCancel::Ignored);
    let run = run(served().plans(working(made_late, finished)), Step::deadline(10, isolated()));
    assert_eq!((report(&run), told_later(&run)), (None, vec!["1 file".to_owned()]));
    assert_eq!(run.elapsed.as_millis(), 50);
}

#[test]
fn tasks_whose_worktrees_are_made_at_once_set_their_budgets_aside_one_by_one() {
    let used = Usage { output_tokens: 40, ..Usage::default() };
    let plans = move |dispatch: &Dispatch, random: &mut Random| {
        let plan = working(made, finished)(dispatch, random);
        if matches!(dispatch.work, Work::Task(_)) { plan.using(used) } else { plan }
    };
    let mut simulation = simulation().plans(plans);
    simulation.start.program.meta = Some(loopwright_protocol::Json::of(&json!({ "budget": 100 })));
    let tasks = (0..5).map(|_| isolated().with("budget", 40));
    let run = run(simulation, Step::settle(tasks));
    assert!(run.finish().usage.output_tokens <= 100, "{:?}", run.finish().usage);
    assert_eq!(run.finish().done, 2);
}
