use crate::{run, simulation, tasks};
use loopwright_protocol::Dispatch;
use loopwright_simulator::{Latency, OnCancel, Plan, Random, Simulated, Step, Stopped};
use loopwright_types::Micros;

#[test]
fn a_run_that_nothing_can_move_is_reported_instead_of_hanging() {
    let plans = |_: &Dispatch, _: &mut Random| Plan::done("").never().on_cancel(OnCancel::Ignored);
    let simulation = simulation().set("task.timeout_ms", "1000").plans(plans);
    let run = run(simulation, Step::all(tasks(2)));
    assert!(matches!(run.ended, Err(Stopped::Deadlock { running: 2, .. })), "{:?}", run.ended);
}

#[test]
fn a_run_without_end_meets_the_backstop() {
    let mut simulation = simulation().set("task.retries", "1000").set("task.backoff_ms", "1");
    simulation.setup.events_max = 200;
    let simulation = simulation.plans(|_: &Dispatch, _: &mut Random| Plan::retryable());
    let run = run(simulation, Step::task("a"));
    assert_eq!(run.ended, Err(Stopped::Backstop { events: 200 }));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another_one() {
    let simulate = |seed: u64| -> Simulated {
        let plans = |_: &Dispatch, random: &mut Random| {
            let latency = Latency::Exponential(Micros::from_millis(100)).draw(random);
            Plan::done(random.below(100)).after(latency)
        };
        let mut simulation = simulation().plans(plans);
        (simulation.setup.seed, simulation.setup.shuffled) = (seed, true);
        run(simulation, Step::all(tasks(30)))
    };
    let (first, again, other) = (simulate(1), simulate(1), simulate(2));
    assert_eq!(first.entries, again.entries);
    assert_eq!(first.books.executions, again.books.executions);
    assert_ne!(first.entries, other.entries);
}
