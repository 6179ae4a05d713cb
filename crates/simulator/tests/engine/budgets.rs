use crate::{failure, run, simulation, tasks};
use loopwright_protocol::{Dispatch, Entry, Json};
use loopwright_simulator::{Plan, Random, Simulation, Step};
use loopwright_types::{RunStatus, Usage};
use serde_json::json;

/// Each attempt uses 10 output tokens, 20 tokens in all and 1,000 millionths of a dollar in 10 ms.
fn costing(_: &Dispatch, _: &mut Random) -> Plan {
    Plan::done("ok")
        .using(Usage { input_tokens: 10, output_tokens: 10, usd_micros: 1000, ..Usage::default() })
        .after_ms(10)
}

fn with_budget(budget: &serde_json::Value) -> Simulation {
    let mut simulation = simulation().set("run.concurrency", "1").plans(costing);
    simulation.start.program.meta = Some(Json::of(&json!({ "budget": budget })));
    simulation
}

#[test]
fn the_programs_ceiling_fails_calls_with_budget() {
    for (budget, done) in [
        (json!(35), 4),
        (json!({ "outputTokens": 20 }), 2),
        (json!({ "tokens": 100 }), 5),
        (json!({ "usd": 0.003 }), 3),
        (json!(0), 0),
    ] {
        let run = run(with_budget(&budget), Step::settle(tasks(6)));
        assert_eq!(run.finish().done, done, "{budget}");
        assert_eq!(run.books.executions.len() as u32, done, "{budget}: nothing more is sent");
        assert_eq!(failure(&run, 5), "budget LW0503 after 0", "{budget}");
    }
}

#[test]
fn the_operators_ceiling_parks_the_run_and_settles_nothing() {
    for (setting, value) in [("budget.tokens", "60"), ("budget.usd_micros", "3000")] {
        let simulation = simulation().set("run.concurrency", "1").set(setting, value);
        let run = run(simulation.plans(costing), Step::all(tasks(6)));
        let finish = run.finish();
        assert_eq!(finish.status, RunStatus::Parked, "{setting}");
        assert_eq!(finish.error.as_ref().unwrap().code.to_string(), "LW0509");
        assert_eq!(run.books.executions.len(), 3, "{setting}");
        assert!((3..6).all(|call| run.settled(call).is_none()), "{setting}");
    }
}

#[test]
fn a_parked_task_leaves_the_rest_of_the_program_to_go_on() {
    let simulation = simulation().set("budget.tokens", "20").set("run.concurrency", "1");
    let script = Step::all([
        Step::task("a"),
        Step::task("b"),
        Step::seq([Step::sleep(500), Step::log("still here")]),
    ]);
    let run = run(simulation.plans(costing), script);
    assert_eq!(run.finish().status, RunStatus::Parked);
    assert!(run.entries.iter().any(|entry| matches!(entry, Entry::Logged(_))));
}

#[test]
fn a_parked_task_can_still_be_cancelled_by_the_program() {
    let simulation = simulation().set("budget.tokens", "20").set("run.concurrency", "1");
    let script = Step::seq([Step::task("a"), Step::deadline(100, Step::task("b"))]);
    let run = run(simulation.plans(costing), script);
    assert_eq!(run.finish().status, RunStatus::Complete);
    assert_eq!(failure(&run, 1), "timeout LW0510 after 0");
}

#[test]
fn tasks_with_a_budget_of_their_own_wait_for_what_others_have_set_aside() {
    let mut simulation = with_budget(&json!(100)).set("run.concurrency", "10");
    simulation = simulation.plans(costing);
    let script = Step::settle((0..5).map(|i| Step::task(&i.to_string()).with("budget", 40)));
    let run = run(simulation, script);
    // Two fit beside each other (80 of 100); as each uses only 10, all five fit in the end.
    assert_eq!(run.books.peak.tasks, 2);
    assert_eq!(run.finish().done, 5);
}

#[test]
fn a_tasks_own_budget_ends_its_retries_and_re_asks() {
    let plans = |_: &Dispatch, _: &mut Random| {
        Plan::retryable().using(Usage { output_tokens: 10, ..Usage::default() })
    };
    let step = Step::task("a").with("budget", 20).with("retries", 9);
    let run = run(simulation().plans(plans), step);
    assert_eq!(failure(&run, 0), "budget LW0503 after 2");
    let told = run.entries.iter().filter(|entry| matches!(entry, Entry::AttemptEnded(_))).count();
    assert_eq!(told, 2, "how each attempt ended is written");
}

#[test]
fn a_task_with_nothing_to_spend_is_not_sent() {
    let run = run(simulation().plans(costing), Step::task("a").with("budget", 0));
    assert_eq!(failure(&run, 0), "budget LW0503 after 0");
}

#[test]
fn the_guest_reads_the_figures_that_its_turn_was_journalled_with() {
    let run = run(with_budget(&json!(35)), Step::seq(tasks(2)));
    let figures: Vec<_> = run
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Turn(turn) => Some(turn.budget),
            _ => None,
        })
        .collect();
    assert_eq!(figures[0], [Some(0.0), Some(35.0), Some(0.0), None, Some(0.0), None]);
    assert_eq!(figures[2], [Some(20.0), Some(35.0), Some(40.0), None, Some(0.002), None]);
}
