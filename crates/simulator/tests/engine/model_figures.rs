//! Runs of a thousand tasks of a second each, served by a model whose provider fails: what it costs in requests and time.

use crate::{count, run, simulation, tasks};
use loopwright_protocol::{Dispatch, Entry, Model, Outcome, Subagent, Work};
use loopwright_simulator::{Plan, Random, Simulated, Simulation, Step, subagent};
use loopwright_types::{Code, Failure, FailureClass, Micros, Reason, RunStatus};

/// A run whose subagents a model serves, 32 at a time, each task with a minute.
fn served() -> Simulation {
    let model = Model {
        name: "p:m".to_owned(),
        provider: "p".to_owned(),
        output_tokens_max: 1000,
        context_tokens: None,
        concurrency: None,
        price: None,
    };
    let general = Subagent { driver: "model".to_owned(), ..subagent("general-purpose") };
    let mut simulation =
        simulation().subagent(general).set("run.concurrency", "32").set("task.timeout_ms", "60000");
    simulation.start.models.insert("m".to_owned(), model);
    simulation.start.model = Some("m".to_owned());
    simulation
}

fn waiting(code: Code, message: &str) -> Failure {
    Failure::new(Reason::Provider, code, message).class(FailureClass::Wait)
}

/// One of the faults that may pass, with how long it takes to show.
fn fault(random: &mut Random) -> Plan {
    match random.below(5) {
        0 => {
            let mut failure = waiting(Code::RATE_LIMITED, "429");
            failure.retry_after = Some(Micros::from_millis(1000));
            Plan::failed(failure).after_ms(20)
        }
        1 => Plan::failed(waiting(Code::RATE_LIMITED, "429 without a time")).after_ms(20),
        2 => Plan::failed(waiting(Code::PROVIDER_OVERLOADED, "500")).after_ms(30),
        3 => Plan::failed(waiting(Code::REPLY_CUT, "cut")).after_ms(60),
        _ => Plan::failed(waiting(Code::PROVIDER_DEADLINE, "no first byte")).after_ms(5000),
    }
}

fn requests(run: &Simulated) -> usize {
    run.books.executions.iter().filter(|one| one.asked == "model").count()
}

fn done(run: &Simulated) -> usize {
    let settled = run.entries.iter().filter_map(|entry| match entry {
        Entry::Settled(settled) if settled.subagent.is_some() => Some(settled),
        _ => None,
    });
    settled.filter(|settled| matches!(settled.outcome, Outcome::Done(_))).count()
}

#[test]
fn a_tenth_of_faults_costs_few_requests_and_little_time_and_no_task() {
    let clean = run(
        served().plans(|_: &Dispatch, _: &mut Random| Plan::says("done").after_ms(1000)),
        Step::all(tasks(1000)),
    );
    assert_eq!((requests(&clean), done(&clean)), (1000, 1000));
    for seed in 0..5 {
        let plans = |dispatch: &Dispatch, random: &mut Random| match dispatch.work {
            Work::Model(_) if random.chance(0.1) => fault(random),
            _ => Plan::says("done").after_ms(1000),
        };
        let mut simulation = served().plans(plans);
        simulation.setup.seed = seed;
        let run = run(simulation, Step::all(tasks(1000)));
        let (asked, wall) = (requests(&run), run.elapsed.0 as f64 / clean.elapsed.0 as f64);
        println!("seed {seed}: {asked} requests, wall {wall:.2} of the clean run's");
        assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 1000), "seed {seed}");
        assert!(asked <= 1250, "seed {seed}: {asked} requests");
        assert!(wall <= 1.5, "seed {seed}: {wall} of the clean run's time");
    }
}

#[test]
fn a_provider_without_limits_is_soon_asked_by_as_many_as_may_be() {
    for (cap, ms) in [(32, 100), (32, 1000), (64, 1000), (256, 5000)] {
        let plans = move |_: &Dispatch, _: &mut Random| Plan::says("done").after_ms(ms);
        let simulation = served().set("run.concurrency", &cap.to_string()).plans(plans);
        let simulation = simulation.set("run.concurrency_per_provider", &cap.to_string());
        let run = run(simulation, Step::all(tasks(1000)));
        let ideal = 1000_u64.div_ceil(cap) * ms;
        let over = run.elapsed.as_millis() as f64 / ideal as f64;
        println!("{cap} at once, {ms} ms each: {over:.3} of the ideal time");
        assert_eq!(run.books.peak.requests, cap as usize);
        assert!(over < 1.1, "{cap} at once, {ms} ms each: {over} of the ideal time");
    }
}

#[test]
fn an_outage_of_five_minutes_fails_no_task_and_the_run_goes_on_by_itself() {
    let (from, until) = (1000, 301_000);
    let started = loopwright_simulator::START;
    let outage = move |dispatch: &Dispatch, now: Micros| {
        let ms = now.since(started).as_millis();
        matches!(dispatch.work, Work::Model(_)) && (from..until).contains(&ms)
    };
    let simulation =
        served().timed_plans(move |dispatch: &Dispatch, now: Micros, _: &mut Random| {
            if outage(dispatch, now) {
                let failure = waiting(Code::PROVIDER_UNREACHABLE, "connection refused").not_sent();
                return Plan::failed(failure).after_ms(5);
            }
            Plan::says("done").after_ms(100)
        });
    let run = run(simulation, Step::all(tasks(1000)));
    println!("{} requests, {}", requests(&run), run.elapsed);
    assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 1000));
    assert!(requests(&run) <= 1100, "{} requests", requests(&run));
    assert_eq!((count(&run, "provider_down"), count(&run, "provider_up")), (1, 1));
    assert!(run.elapsed < Micros::from_millis(340_000), "{}", run.elapsed);
}
