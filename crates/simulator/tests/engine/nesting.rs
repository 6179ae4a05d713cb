use crate::{failure, simulation};
use loopwright_protocol::{Dispatch, Work};
use loopwright_simulator::{Plan, Random, ScriptedGuests, Simulated, Simulation, Step, program};
use loopwright_types::{Code, Diagnostic, Micros, RunStatus};

fn slow(dispatch: &Dispatch, _: &mut Random) -> Plan {
    match &dispatch.work {
        Work::Task(task) if task.prompt == "bad" => Plan::broken(),
        Work::Task(task) => Plan::done(task.prompt.as_str()).after_ms(10),
        _ => Plan::done("ok"),
    }
}

fn nested(simulation: Simulation, main: Step, inner: Step) -> Simulated {
    let simulation = simulation.saved(program("inner")).plans(slow);
    simulation.run(&mut ScriptedGuests::new().with("main", main).with("inner", inner))
}

#[test]
fn a_program_that_waits_for_a_nested_one_gives_up_its_slot() {
    let simulation = simulation().set("run.concurrency", "1");
    let main = Step::all([Step::workflow("inner"), Step::task("a"), Step::workflow("inner")]);
    let run = nested(simulation, main, Step::seq([Step::task("b"), Step::task("c")]));
    assert_eq!(run.result(), serde_json::json!(["c", "a", "c"]));
    assert_eq!(run.books.peak.tasks, 1);
    assert_eq!(run.elapsed, Micros::from_millis(50));
}

#[test]
fn programs_nest_to_their_limit_at_cap_one() {
    for (most, expected) in [(3, "limit LW0506 after 0"), (1, "limit LW0506 after 0")] {
        let simulation = simulation()
            .set("run.concurrency", "1")
            .set("run.workflow_depth_max", &most.to_string());
        let again = Step::all([Step::task("a"), Step::catch(Step::workflow("inner"))]);
        let run = nested(simulation, Step::workflow("inner"), again);
        assert_eq!(run.guests().len(), most + 1);
        let last = run.entries.iter().filter(|entry| entry.kind() == "called").count() as u32 - 1;
        assert_eq!(failure(&run, last), expected);
        assert_eq!(run.finish().status, RunStatus::Complete);
    }
}

#[test]
fn a_nested_program_that_fails_fails_its_call_and_ends_what_it_began() {
    for (inner, message) in [
        (Step::throw("oh"), "`inner` failed: the program threw: oh"),
        (
            Step::Never,
            "`inner` failed: the program waits for something that can never happen: no call is under way",
        ),
    ] {
        let main = Step::settle([Step::workflow("inner"), Step::task("a")]);
        let run = nested(simulation(), main, inner);
        let failed = serde_json::json!({ "reason": "program", "code": "LW0511" });
        assert_eq!(run.result(), serde_json::json!([failed, "a"]));
        assert!(run.finish().failures[0].contains(message), "{:?}", run.finish().failures);
    }
}

#[test]
fn what_stops_a_nested_program_from_outside_is_no_outcome_of_its_call() {
    let stop = Step::stop(Diagnostic::new(Code::GUEST_SAFETY_STOP, "did not answer"), true);
    let no_room = simulation().saved(program("absent"));
    for (simulation, name) in [(simulation(), "inner"), (no_room, "absent")] {
        let main = Step::catch(Step::workflow(name));
        let run = nested(simulation, main, Step::all([Step::task("a"), stop.clone()]));
        let finish = run.finish();
        assert_eq!((finish.status, finish.external), (RunStatus::Failed, true), "{name}");
        assert!(run.settled(0).is_none(), "{name}");
    }
}

#[test]
fn an_unknown_program_is_a_failure_of_the_call() {
    let run = nested(simulation(), Step::workflow("nobody"), Step::Never);
    assert_eq!(failure(&run, 0), "policy LW0505 after 1");
}

#[test]
fn a_nested_program_may_take_longer_than_any_task() {
    let simulation = simulation().set("task.timeout_ms", "15");
    let main = Step::workflow("inner");
    let run = nested(simulation, main, Step::seq((0..5).map(|_| Step::task("a"))));
    assert_eq!(run.finish().status, RunStatus::Complete);
    assert_eq!(run.elapsed, Micros::from_millis(50));
}

#[test]
fn the_end_of_the_program_waits_for_a_nested_one_not_awaited() {
    let main = Step::seq([Step::spawn(Step::workflow("inner")), Step::value(1)]);
    let run = nested(simulation(), main, Step::seq([Step::task("a"), Step::task("bad")]));
    assert_eq!(run.finish().status, RunStatus::Degraded);
    assert_eq!(run.elapsed, Micros::from_millis(10));
}

#[test]
fn guests_that_end_each_other_in_one_moment_leave_a_journal_that_can_be_followed() {
    // Both guests have something to take at the same moment; the outer one ends the inner one with it.
    for seed in 0..100 {
        let simulation = simulation().setup(|setup| (setup.seed, setup.shuffled) = (seed, true));
        let main = Step::quorum(1, [Step::workflow("inner"), Step::task("a")]);
        let inner = Step::seq([Step::task("b"), Step::task("c")]);
        let run = nested(simulation, main, inner);
        let mut guests = ScriptedGuests::new()
            .with("main", Step::quorum(1, [Step::workflow("inner"), Step::task("a")]))
            .with("inner", Step::seq([Step::task("b"), Step::task("c")]));
        let replayed = loopwright_engine::replay(run.entries, &mut guests, 1);
        assert!(replayed.is_ok(), "seed {seed}: {replayed:?}");
    }
}
