//! What may have had its effect is not repeated by itself.

use crate::simulation;
use loopwright_engine::{Doubt, Resume};
use loopwright_protocol::{Decision, Dispatch, Entry, Json, Progress, Tool};
use loopwright_simulator::{Crashes, Plan, Random, ScriptedGuests, Simulated, Simulation, Step};
use loopwright_types::{CallId, Code, Effects, Micros, RunStatus};

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
