//! What may have had its effect is not repeated by itself.

use crate::served::{served, turns};
use crate::simulation;
use loopwright_engine::{Doubt, Resume};
use loopwright_protocol::{
    Decision, Dispatch, Entry, Json, Outcome, Progress, Tool, Work, WorktreeWork,
};
use loopwright_simulator::{
    Crashes, Plan, Random, ScriptedGuests, Simulated, Simulation, Step, program, subagent,
};
use loopwright_types::{CallId, Code, Effects, Micros, RunStatus};
use serde_json::json;

/// A tool that writes, and tasks beside it.
fn writing() -> Simulation {
    let plans = |_: &Dispatch, _: &mut Random| {
        let mut plan = Plan::done("ok").after_ms(100);
        plan.progress = vec![(Micros(5), Progress::Process { pid: 77, start_ticks: 5 })];
        plan
    };
    let mut write = Tool::reading("write_file");
    write.effects = Effects::Local;
    let mut simulation = simulation().plans(plans);
    simulation.start.tools = vec![write];
    simulation
}

fn guests() -> ScriptedGuests {
    let script = Step::settle([Step::tool("write_file"), Step::task("a")]);
    ScriptedGuests::new().with("main", script)
}

/// Dies while both are under way.
fn through(decide: impl Fn(&Doubt) -> Option<Decision> + 'static) -> Simulated {
    let mut whole = writing().run(&mut guests());
    whole.entries.retain(|entry| !matches!(entry, Entry::Settled(_)));
    let under_way = |entry: &Entry| matches!(entry, Entry::Progressed { .. });
    let at = whole.entries.iter().rposition(under_way).unwrap() as u64 + 1;
    writing().run_through(Crashes::at([at]).deciding(decide), guests).unwrap()
}

#[test]
fn an_effect_in_doubt_parks_the_run_when_all_else_is_done() {
    let run = through(|_| None);
    assert_eq!(run.finish().status, RunStatus::Parked);
    let error = run.finish().error.as_ref().unwrap();
    assert_eq!(error.code, Code::IN_DOUBT);
    assert!(error.message.contains("`tool` 0"), "{}", error.message);
    assert!(run.settled(0).is_none() && run.settled(1).is_some());
}

#[test]
fn a_decision_ends_the_doubt() {
    let cases = [
        (Decision::Repeat, "[\"ok\",\"ok\"]", 2),
        (Decision::Done(Json::of("found")), "[\"found\",\"ok\"]", 1),
        (Decision::Fail, "[{\"reason\":\"policy\",\"code\":\"LW0516\"},\"ok\"]", 1),
    ];
    for (decision, result, sent) in cases {
        let given = decision.clone();
        let run = through(move |doubt| {
            assert_eq!((doubt.name.as_str(), doubt.effects), ("write_file", Effects::Local));
            assert!(doubt.position.is_some());
            Some(given.clone())
        });
        assert_eq!(run.result().to_string(), result, "{decision:?}");
        assert_eq!(run.books.of(CallId(0)).count(), sent, "{decision:?}");
    }
}

#[test]
fn a_subagent_is_not_asked_again_for_an_answer_that_was_looked_up() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Task(task) if task.subagent == "external" => Plan::done(1).after_ms(100),
        _ => Plan::done(7),
    };
    let simulation = || {
        let mut external = subagent("external");
        external.effects = Effects::External;
        simulation().subagent(external).plans(plans)
    };
    let task = || {
        let schema = json!({ "type": "integer" });
        Step::task("a").with("subagent", "external").with("schema", schema)
    };
    let other = || task().with("fallback", json!({ "subagent": "general-purpose" }));
    for (script, result, sent) in [
        (Step::settle([task()]), "[{\"reason\":\"schema\",\"code\":\"LW0404\"}]", 1),
        (Step::settle([other()]), "[7]", 2),
    ] {
        let guests = || ScriptedGuests::new().with("main", script.clone());
        let whole = simulation().run(&mut guests());
        let began = |entry: &Entry| matches!(entry, Entry::AttemptStarted(_));
        let at = whole.entries.iter().position(began).unwrap() as u64 + 1;
        let looked_up = |_: &Doubt| Some(Decision::Done(Json::of("no integer")));
        let crashes = Crashes::at([at]).deciding(looked_up);
        let run = simulation().run_through(crashes, guests).unwrap();
        assert_eq!(run.result().to_string(), result);
        assert_eq!(run.books.of(CallId(0)).filter(|it| !it.lost).count(), sent - 1);
    }
}

#[test]
fn processes_of_attempts_without_an_end_are_named() {
    let run = writing().run(&mut guests());
    let (mut guests, mut seen) = (guests(), Vec::new());
    let mut resume = Resume::new(&mut guests, 1);
    for entry in run.entries {
        if matches!(entry, Entry::RunFinished(_)) {
            break;
        }
        resume.entry(entry).unwrap();
        seen.push(resume.orphans().len());
    }
    assert_eq!(seen.iter().max(), Some(&2));
    assert_eq!(seen.last(), Some(&0));
}

#[test]
fn a_cancelled_run_and_a_parked_one_go_on_when_they_are_resumed() {
    let plans = |_: &Dispatch, _: &mut Random| {
        Plan::done("ok")
            .after_ms(100)
            .using(loopwright_types::Usage { output_tokens: 5, ..Default::default() })
    };
    let cancelled = |simulation: Simulation| {
        simulation.setup(|setup| setup.cancel_after = Some(Micros::from_millis(150)))
    };
    let spent = |simulation: Simulation| simulation.set("budget.tokens", "8");
    let paused = |simulation: Simulation| {
        simulation.setup(|setup| setup.pause_after = Some(Micros::from_millis(150)))
    };
    for stopped in [cancelled, spent, paused] {
        let guests =
            || ScriptedGuests::new().with("main", Step::seq((0..4).map(|_| Step::task("a"))));
        let mut crashes = Crashes::at([]);
        (crashes.reopened, crashes.tokens) = (1, Some(0));
        let run = stopped(simulation().plans(plans)).run_through(crashes, guests).unwrap();
        assert_eq!(run.finish().status, RunStatus::Complete);
        assert_eq!(run.entries.iter().filter(|e| matches!(e, Entry::RunFinished(_))).count(), 2);
    }
}

#[test]
fn a_worktree_that_was_left_is_looked_at_by_the_next_process_and_not_for_long() {
    // Looking at it never ends, before the crash and after it; its program ends at once, or goes on.
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Worktree(WorktreeWork::Create) => {
            Plan::done(json!({ "path": "/w", "branch": "b", "base": "c" }))
        }
        Work::Worktree(WorktreeWork::Finish(_)) => Plan::done(json!({})).never(),
        _ => Plan::done("ok").after_ms(100),
    };
    let left = || Step::deadline(10, Step::task("a").with("isolation", "worktree"));
    for script in [left(), Step::seq([left(), Step::sleep(500)])] {
        for main in [script.clone(), Step::seq([Step::workflow("left"), Step::sleep(20)])] {
            let guests = || {
                let guests = ScriptedGuests::new().with("main", main.clone());
                guests.with("left", script.clone())
            };
            let simulation = || simulation().saved(program("left")).plans(plans);
            let whole = simulation().run(&mut guests()).entries;
            let is_finish =
                |entry: &Entry| matches!(entry, Entry::Stepped(step) if step.name == "finish");
            let first = whole.iter().position(is_finish).unwrap();
            for at in first as u64 + 2..whole.len() as u64 {
                let run = simulation().run_through(Crashes::at([at]), guests).unwrap();
                let told = run.entries.iter().filter(|entry| {
                    matches!(entry, Entry::Settled(end)
                        if matches!(&end.outcome, Outcome::Failed(why) if why.code == Code::WORKTREE_FAILED))
                });
                assert_eq!(told.count(), 1, "a crash at {at}");
            }
        }
    }
}

#[test]
fn what_never_ends_beside_a_doubt_does_not_keep_the_run_from_waiting_for_a_person() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Model(request) if turns(request) == 0 => {
            Plan::calls(&[("grep", json!({})), ("write_file", json!({}))])
        }
        Work::Model(_) => Plan::says("done"),
        _ => Plan::done("ok").never(),
    };
    let simulation = || {
        let mut write = Tool::reading("write_file");
        write.effects = Effects::Local;
        let mut simulation = served().plans(plans);
        simulation.start.tools = vec![Tool::reading("grep"), write];
        simulation
    };
    let task = Step::task("a").with("timeoutMs", 100);
    let guests = || ScriptedGuests::new().with("main", task.clone());
    let whole = simulation().run(&mut guests()).entries;
    let began = |entry: &Entry| matches!(entry, Entry::AttemptStarted(it) if it.effects.is_some());
    let at = whole.iter().position(began).unwrap() as u64 + 1;
    let run = simulation().run_through(Crashes::at([at]), guests).unwrap();
    assert_eq!(run.finish().status, RunStatus::Parked);
    let mut crashes = Crashes::at([at]);
    crashes.reopened = 1;
    let asked = std::cell::Cell::new(0);
    let crashes = crashes.deciding(move |_: &Doubt| {
        asked.set(asked.get() + 1);
        (asked.get() > 1).then(|| Decision::Done(Json::of("written")))
    });
    let run = simulation().run_through(crashes, guests).unwrap();
    assert_eq!(run.result().to_string(), "\"done\"");
}
