use crate::{count, failure, run, simulation};
use loopwright_protocol::{Dispatch, Entry};
use loopwright_simulator::{Plan, Random, Simulated, Simulation, Step, program, subagent};
use loopwright_types::{CallId, Effects, Micros, RunStatus};

/// The first `failing` attempts of every call fail with what `plan` makes, later ones give `ok`.
fn failing(
    failing: u32,
    plan: fn() -> Plan,
) -> impl FnMut(&Dispatch, &mut Random) -> Plan + 'static {
    move |dispatch: &Dispatch, _: &mut Random| match dispatch.attempt.0 {
        attempt if attempt <= failing => plan(),
        _ => Plan::done("ok"),
    }
}

fn not_sent() -> Plan {
    let mut plan = Plan::retryable();
    if let loopwright_protocol::Outcome::Failed(failure) = &mut plan.outcome {
        failure.sent = false;
    }
    plan
}

fn with_effects(effects: Effects) -> Simulation {
    let mut general = subagent("general-purpose");
    general.effects = effects;
    simulation().subagent(general)
}

fn outcome(run: &Simulated) -> String {
    match run.finish().status {
        RunStatus::Complete => format!("ok after {}", run.settled(0).unwrap().attempts),
        _ => failure(run, 0),
    }
}

#[test]
fn only_what_repeats_no_effect_is_tried_again() {
    let none = "provider LW0607 after 1";
    let cases = [
        (Effects::None, Plan::retryable as fn() -> Plan, "ok after 3"),
        (Effects::Local, Plan::retryable, none),
        (Effects::External, Plan::retryable, none),
        (Effects::External, not_sent, "ok after 3"),
        (Effects::None, Plan::broken, none),
    ];
    for (effects, plan, expected) in cases {
        let run = run(with_effects(effects).plans(failing(2, plan)), Step::task("a"));
        assert_eq!(outcome(&run), expected, "{effects:?}");
    }
}

#[test]
fn a_program_may_tighten_effects_and_never_loosen_them() {
    for (own, asked, expected) in [
        (Effects::None, "external", "provider LW0607 after 1"),
        (Effects::External, "none", "provider LW0607 after 1"),
        (Effects::None, "none", "ok after 2"),
    ] {
        let step = Step::task("a").with("effects", asked);
        let run = run(with_effects(own).plans(failing(1, Plan::retryable)), step);
        assert_eq!(outcome(&run), expected, "{own:?} asked {asked}");
    }
}

#[test]
fn retries_are_the_settings_unless_the_call_says_how_many() {
    for (setting, own, expected) in [
        ("2", None, "provider LW0607 after 3"),
        ("0", None, "provider LW0607 after 1"),
        ("2", Some(0), "provider LW0607 after 1"),
        ("0", Some(4), "provider LW0607 after 5"),
    ] {
        let step = Step::task("a");
        let step = if let Some(own) = own { step.with("retries", own) } else { step };
        let simulation = simulation().set("task.retries", setting);
        let run = run(simulation.plans(failing(99, Plan::retryable)), step);
        assert_eq!(outcome(&run), expected, "task.retries {setting}, retries {own:?}");
        assert_eq!(run.settled(0).unwrap().attempts as usize, run.books.of(CallId(0)).count());
    }
}

#[test]
fn waits_are_drawn_evenly_below_a_doubling_ceiling() {
    let waits = |run: &Simulated| -> Vec<u64> {
        let ends = run.entries.iter().filter_map(|entry| match entry {
            Entry::AttemptEnded(end) => end.retry_at.map(|at| at.since(end.now).as_millis()),
            _ => None,
        });
        ends.collect()
    };
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for seed in 0..400 {
        let simulation = Simulation::new(program("main"), seed)
            .set("task.retries", "3")
            .set("task.backoff_ms", "100")
            .set("task.backoff_max_ms", "300")
            .plans(failing(3, Plan::retryable));
        for (nth, wait) in waits(&run(simulation, Step::task("a"))).into_iter().enumerate() {
            all[nth].push(wait);
        }
    }
    for (waits, ceiling) in all.iter().zip([100, 200, 300]) {
        let mean = waits.iter().sum::<u64>() / waits.len() as u64;
        assert!(waits.iter().all(|wait| *wait <= ceiling), "{ceiling}: {waits:?}");
        assert!(mean.abs_diff(ceiling / 2) < ceiling / 10, "ceiling {ceiling}, mean {mean}");
    }
}

#[test]
fn a_fallback_subagent_is_asked_the_same_when_the_first_fails_for_good() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        loopwright_protocol::Work::Task(task) if task.subagent == "careful" => {
            Plan::done(format!("careful: {}", task.prompt))
        }
        _ => Plan::broken(),
    };
    let simulation = simulation().subagent(subagent("careful")).plans(plans);
    let step = Step::task("a").with("fallback", serde_json::json!({ "subagent": "careful" }));
    let run = run(simulation, step);
    assert_eq!(run.result(), "careful: a");
    assert_eq!(run.settled(0).unwrap().subagent.as_deref(), Some("careful"));
    assert_eq!(count(&run, "attempt_ended"), 1, "the first subagent's failure is written");
}

#[test]
fn a_fallback_subagent_has_retries_of_its_own() {
    let simulation = simulation().subagent(subagent("careful")).plans(failing(4, Plan::retryable));
    let step = Step::task("a").with("fallback", serde_json::json!({ "subagent": "careful" }));
    let run = run(simulation, step);
    assert_eq!(run.result(), "ok");
    let asked: Vec<&str> = run.books.executions.iter().map(|one| &*one.served_by).collect();
    assert_eq!(asked[..3], ["general-purpose"; 3]);
    assert_eq!(asked[3..], ["careful"; 2]);
}

#[test]
fn a_fallback_value_stands_in_and_the_failure_is_still_told() {
    let step = Step::task("a").with("fallback", serde_json::json!({ "value": { "n": 0 } }));
    let run = run(simulation().plans(failing(9, Plan::broken)), step);
    assert_eq!(run.result(), serde_json::json!({ "n": 0 }));
    let settled = run.settled(0).unwrap();
    assert!(settled.fallback);
    assert_eq!(settled.hidden.as_ref().unwrap().code.to_string(), "LW0607");
}

#[test]
fn a_fallback_that_is_not_defined_is_refused_before_anything_is_sent() {
    let step = Step::task("a").with("fallback", serde_json::json!({ "subagent": "nobody" }));
    let run = run(simulation(), step);
    assert_eq!(failure(&run, 0), "policy LW0601 after 0");
    assert!(run.books.executions.is_empty());
}

#[test]
fn usage_of_failed_attempts_counts() {
    let used = loopwright_types::Usage {
        input_tokens: 7,
        output_tokens: 3,
        usd_micros: 11,
        ..Default::default()
    };
    let plans = move |dispatch: &Dispatch, _: &mut Random| match dispatch.attempt.0 {
        1 | 2 => Plan::retryable().using(used),
        _ => Plan::done("ok").using(used),
    };
    let run = run(simulation().plans(plans), Step::task("a"));
    assert_eq!(run.settled(0).unwrap().usage.usd_micros, 33);
    assert_eq!(run.finish().usage.tokens(), 30);
}

#[test]
fn a_retry_after_the_end_of_a_cancelled_backoff_never_goes_out() {
    let simulation = simulation()
        .set("task.backoff_ms", "60000")
        .setup(|setup| setup.faults.timers_stay = true)
        .plans(failing(9, Plan::retryable));
    let run = run(simulation, Step::deadline(1, Step::task("a")));
    assert_eq!(run.books.executions.len(), 1);
    assert!(run.elapsed < Micros::from_millis(100_000));
}
