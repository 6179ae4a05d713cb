use crate::{count, failure, run, simulation};
use loopwright_protocol::Dispatch;
use loopwright_simulator::{Plan, Random, Step};
use loopwright_types::{Code, Failure, Micros, Reason, RunStatus};

fn absent(_: &Dispatch, _: &mut Random) -> Plan {
    Plan::failed(Failure::new(Reason::Policy, Code::PARKED, "nobody is there to answer"))
}

#[test]
fn an_approval_gives_the_persons_answer_and_holds_no_slot() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match dispatch.work {
        loopwright_protocol::Work::Approve(_) => Plan::done("yes").after_ms(5000),
        _ => Plan::done("ok").after_ms(10),
    };
    let simulation = simulation().set("run.concurrency", "1").plans(plans);
    let run = run(simulation, Step::all([Step::approve("go on?"), Step::task("a")]));
    assert_eq!(run.result(), serde_json::json!(["yes", "ok"]));
    assert_eq!(run.elapsed, Micros::from_millis(5000));
}

#[test]
fn an_approval_waits_for_days_unless_it_has_a_deadline() {
    let days = 5 * 24 * 3_600_000;
    let plans = move |_: &Dispatch, _: &mut Random| Plan::done(true).after_ms(days);
    let patient = run(simulation().plans(plans), Step::approve("go on?"));
    assert_eq!(patient.elapsed, Micros::from_millis(days));
    let step = Step::approve("go on?").with("deadlineMs", 1000);
    let hasty = run(simulation().plans(plans), step);
    assert_eq!(failure(&hasty, 0), "timeout LW0510 after 1");
    assert_eq!(hasty.elapsed, Micros::from_millis(1000));
}

#[test]
fn an_approval_with_nobody_there_parks_the_run_when_nothing_else_can_go_on() {
    let plans = |dispatch: &Dispatch, random: &mut Random| match dispatch.work {
        loopwright_protocol::Work::Approve(_) => absent(dispatch, random),
        _ => Plan::done("ok").after_ms(700),
    };
    let script = Step::all([Step::approve("go on?"), Step::task("a")]);
    let run = run(simulation().plans(plans), script);
    assert_eq!(run.finish().status, RunStatus::Parked);
    assert_eq!(run.elapsed, Micros::from_millis(700), "the task beside it is finished first");
    assert!(run.settled(0).is_none());
    assert!(run.settled(1).is_some());
}

#[test]
fn a_program_cannot_catch_a_parked_approval() {
    let script = Step::catch(Step::settle([Step::approve("go on?")]));
    let run = run(simulation().plans(absent), script);
    assert_eq!(run.finish().status, RunStatus::Parked);
    assert_eq!(count(&run, "settled"), 0);
}

#[test]
fn a_parked_approval_in_a_nested_program_parks_the_whole_run() {
    let simulation = simulation().saved(loopwright_simulator::program("inner")).plans(absent);
    let mut guests = loopwright_simulator::ScriptedGuests::new()
        .with("main", Step::workflow("inner"))
        .with("inner", Step::approve("go on?"));
    assert_eq!(simulation.run(&mut guests).finish().status, RunStatus::Parked);
}

#[test]
fn nothing_is_written_after_the_run_has_parked() {
    // The deadline of the parked approval falls between the last entry and its sync.
    let simulation =
        simulation().setup(|setup| setup.sync_delay = Micros::from_millis(20)).plans(absent);
    let script = Step::approve("go on?").with("deadlineMs", 30);
    let run = run(simulation, script);
    assert_eq!(run.finish().status, RunStatus::Parked);
}

#[test]
fn a_parked_approval_is_given_up_with_the_branch_that_asked() {
    let script = Step::deadline(100, Step::approve("go on?"));
    let run = run(simulation().plans(absent), script);
    assert_eq!(run.finish().status, RunStatus::Complete);
    assert_eq!(failure(&run, 0), "timeout LW0510 after 1");
}
