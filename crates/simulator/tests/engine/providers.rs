//! What follows from a provider's failures and limits: waits, retries, windows, the breaker.

use crate::served::{
    asked, asked_at, by_model, done, failed, model, overloaded, refused, served, talking,
};
use crate::{count, failure, run, tasks};
use loopwright_protocol::{Dispatch, ModelRequest, Progress, ProviderLimits, Window, Work};
use loopwright_simulator::{Plan, Random, START, Simulated, Simulation, Step};
use loopwright_types::{Code, Failure, FailureClass, Micros, RunStatus};
use serde_json::json;

/// The first `failing` requests fail like this, later ones are answered.
fn failing(failing: u32, plan: impl Fn() -> Plan + 'static) -> impl FnMut(&ModelRequest) -> Plan {
    let mut sent = 0;
    move |_| {
        sent += 1;
        if sent <= failing { plan() } else { Plan::says("done") }
    }
}

fn waits(run: &Simulated) -> Vec<u64> {
    asked_at(run).windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn the_time_a_provider_asks_for_is_kept_unless_it_is_absurd_or_beyond_the_deadline() {
    let day = 86_400_000;
    let cases = [
        (Some(5000), 60_000, 5000..=5000),
        (Some(5000), 3000, 2700..=2700),
        (Some(day * 30), 60_000, 0..=500),
        (None, 60_000, 0..=500),
        (Some(0), 60_000, 0..=500),
    ];
    for (asked_for, timeout, expected) in cases {
        let plans = talking(failing(1, move || Plan::failed(refused(asked_for))));
        let run = run(served().plans(plans), Step::task("a").with("timeoutMs", timeout));
        assert_eq!(run.result(), json!("done"));
        let waited = waits(&run)[0];
        assert!(expected.contains(&waited), "asked for {asked_for:?}: waited {waited}");
    }
}

#[test]
fn waits_are_drawn_below_a_doubling_ceiling_and_the_same_for_the_same_seed() {
    let waited = |seed| {
        let mut simulation = served().plans(talking(failing(3, overloaded)));
        simulation.start.seed = seed;
        waits(&run(simulation.set("provider.retries", "3"), Step::task("a")))
    };
    let all: Vec<Vec<u64>> = (0..200).map(waited).collect();
    assert_eq!(waited(7), all[7]);
    for (nth, ceiling) in [500, 1000, 2000].into_iter().enumerate() {
        let mean = all.iter().map(|waits| waits[nth]).sum::<u64>() / 200;
        assert!(all.iter().all(|waits| waits[nth] <= ceiling), "{ceiling}");
        assert!(mean.abs_diff(ceiling / 2) < ceiling / 6, "below {ceiling}: mean {mean}");
    }
}

#[test]
fn only_what_may_pass_is_tried_again_and_as_often_as_the_call_says() {
    let cases = [
        (FailureClass::Wait, Code::REPLY_CUT, None, 9),
        (FailureClass::Wait, Code::REPLY_CUT, Some(0), 1),
        (FailureClass::Wait, Code::RATE_LIMITED, Some(2), 3),
        (FailureClass::Never, Code::KEY_REFUSED, Some(5), 1),
        (FailureClass::Switch, Code::MODEL_REFUSED, Some(5), 1),
    ];
    for (class, code, retries, expected) in cases {
        let plans = talking(move |_| Plan::failed(failed(class, code)));
        let mut task = Step::task("a");
        if let Some(retries) = retries {
            task = task.with("retries", retries);
        }
        let simulation = served().set("provider.breaker_failures", "100").plans(plans);
        let run = run(simulation, Step::settle([task]));
        assert_eq!(asked(&run), expected, "{class:?} {retries:?}");
        assert!(failure(&run, 0).starts_with(&format!("provider {code}")));
    }
}

#[test]
fn a_provider_that_takes_few_at_once_is_asked_by_few_and_none_fails() {
    let takes = 4;
    let under_way = std::rc::Rc::new(std::cell::RefCell::new(Vec::<Micros>::new()));
    let plans = move |_: &Dispatch, now: Micros, _: &mut Random| {
        let mut under_way = under_way.borrow_mut();
        under_way.retain(|end| *end > now);
        if under_way.len() >= takes {
            return Plan::failed(refused(None)).after_ms(1);
        }
        under_way.push(now.after(Micros::from_millis(200)));
        Plan::says("done").after_ms(200)
    };
    let simulation = served().set("run.concurrency", "64").timed_plans(plans);
    let run = run(simulation, Step::all(tasks(400)));
    assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 400));
    println!("{} requests for 400 tasks, {} of 20 s", asked(&run), run.elapsed);
    assert!(asked(&run) <= 440, "{} requests", asked(&run));
    assert!(run.elapsed < Micros::from_millis(25_000), "{}", run.elapsed);
}

#[test]
fn what_a_provider_tells_of_its_minute_is_never_overdrawn() {
    // A fixed window of 20,000 tokens a minute; a request takes its input and the output it allows.
    let (limit, period) = (20_000_u64, 60_000);
    let mut window = (0, limit);
    let plans = move |dispatch: &Dispatch, now: Micros, _: &mut Random| {
        let Work::Model(request) = &dispatch.work else { panic!("{:?}", dispatch.work) };
        let ms = now.since(START).as_millis();
        if ms / period != window.0 {
            window = (ms / period, limit);
        }
        let Some(left) = window.1.checked_sub(100 + request.output_tokens_max) else {
            let reset = (window.0 + 1) * period - ms;
            return Plan::failed(refused(Some(reset))).after_ms(5);
        };
        window.1 = left;
        let reset = Micros::from_millis((window.0 + 1) * period - ms);
        let tokens = Some(Window { limit, remaining: left, reset });
        let mut plan = Plan::says("done").after_ms(50);
        let limits = ProviderLimits { tokens, ..ProviderLimits::default() };
        plan.progress.push((Micros(0), Progress::Limits(limits)));
        plan
    };
    let simulation = served().set("run.concurrency", "8").timed_plans(plans);
    let run = run(simulation, Step::all(tasks(100)));
    assert_eq!(done(&run), 100);
    assert_eq!(asked(&run), 100, "what does not fit is not sent");
}

#[test]
fn retries_of_all_subagents_come_out_of_one_budget() {
    // Everything fails: 32 retries at once, then slowly.
    let simulation = served()
        .set("run.concurrency", "100")
        .set("provider.breaker_failures", "10000")
        .set("task.timeout_ms", "20000")
        .plans(talking(|_| overloaded().after_ms(10)));
    let run = run(simulation, Step::settle(tasks(100)));
    let early = asked_at(&run).into_iter().filter(|at| *at < 15_000).count();
    assert_eq!(early, 132, "100 requests and 32 retries");
}

#[test]
fn a_probe_that_is_refused_or_rejected_shows_that_the_provider_is_back() {
    type Case = (fn() -> Failure, &'static str, u64);
    let cases: [Case; 2] = [
        (|| refused(Some(2000)), "done", 3010),
        (|| failed(FailureClass::Never, Code::KEY_REFUSED), "LW1002", 1000),
    ];
    for (probe, expected, least) in cases {
        let mut sent = 0;
        let plans = talking(move |_| {
            sent += 1;
            match sent {
                1..=2 => overloaded().after_ms(10),
                3 | 4 => Plan::failed(probe()).after_ms(10),
                _ => Plan::says("done"),
            }
        });
        let simulation = served().set("provider.breaker_failures", "2").plans(plans);
        let run = run(simulation, Step::settle(tasks(2)));
        assert_eq!((count(&run, "provider_down"), count(&run, "provider_up")), (1, 1));
        assert!(asked(&run) <= 6, "{} requests", asked(&run));
        assert!(run.elapsed >= Micros::from_millis(least), "{}", run.elapsed);
        assert!(run.result().to_string().contains(expected), "{}", run.result());
    }
}

/// Runs of tasks with a minute each, 32 at a time.
fn figures() -> Simulation {
    served().set("run.concurrency", "32").set("task.timeout_ms", "60000")
}

/// Faults that may pass, with how long each takes to show.
fn fault(random: &mut Random) -> Plan {
    match random.below(5) {
        0 => Plan::failed(refused(Some(1000))).after_ms(20),
        1 => Plan::failed(refused(None)).after_ms(20),
        2 => overloaded().after_ms(30),
        3 => Plan::failed(failed(FailureClass::Wait, Code::REPLY_CUT)).after_ms(60),
        _ => {
            let late = failed(FailureClass::Wait, Code::PROVIDER_DEADLINE);
            Plan::failed(late).after_ms(2000 + random.below(3000))
        }
    }
}

// The time is not held against the clean run's here: a time-out of seconds takes a slot for as long as dozens of
// replies of 100 ms, whatever the engine does.
#[test]
fn a_tenth_of_faults_costs_no_task_and_few_requests_however_short_replies_are() {
    let clean = |_: &ModelRequest| Plan::says("done").after_ms(100);
    let clean = run(figures().plans(talking(clean)), Step::all(tasks(1000)));
    for seed in 0..5 {
        let plans = |_: &Dispatch, random: &mut Random| match random.chance(0.1) {
            true => fault(random),
            false => Plan::says("done").after_ms(100),
        };
        let mut simulation = figures().plans(plans);
        simulation.setup.seed = seed;
        let run = run(simulation, Step::all(tasks(1000)));
        let wall = run.elapsed.0 as f64 / clean.elapsed.0 as f64;
        println!(
            "seed {seed}: {} requests, {} ({wall:.2} of the clean run's)",
            asked(&run),
            run.elapsed
        );
        assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 1000), "seed {seed}");
        assert!(asked(&run) <= 1250, "seed {seed}: {} requests", asked(&run));
    }
}

/// A provider that is away from the first second for five minutes, and how it is.
fn outage(down: impl Fn() -> Plan + 'static) -> impl FnMut(&Dispatch, Micros, &mut Random) -> Plan {
    move |_: &Dispatch, now: Micros, _: &mut Random| {
        let ms = now.since(START).as_millis();
        if (1000..301_000).contains(&ms) { down() } else { Plan::says("done").after_ms(100) }
    }
}

#[test]
fn an_outage_of_five_minutes_fails_no_task_whatever_it_looks_like() {
    let unreachable = || failed(FailureClass::Wait, Code::PROVIDER_UNREACHABLE).not_sent();
    type Case = (&'static str, Box<dyn Fn() -> Plan>);
    let cases: [Case; 3] = [
        ("refused", Box::new(move || Plan::failed(unreachable()).after_ms(5))),
        ("no connection", Box::new(move || Plan::failed(unreachable()).after_ms(10_000))),
        ("529", Box::new(|| overloaded().after_ms(300))),
    ];
    for (name, down) in cases {
        let simulation = figures().set("provider.cache_prefix_tokens", "1");
        let run = run(simulation.timed_plans(outage(down)), Step::all(tasks(1000)));
        println!("{name}: {} requests, {}", asked(&run), run.elapsed);
        assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 1000), "{name}");
        assert!(asked(&run) <= 1100, "{name}: {} requests", asked(&run));
        assert_eq!((count(&run, "provider_down"), count(&run, "provider_up")), (1, 1), "{name}");
        assert!(run.elapsed < Micros::from_millis(345_000), "{name}: {}", run.elapsed);
    }
}

#[test]
fn a_request_that_was_told_to_wait_is_sent_no_sooner_when_its_provider_is_down_meanwhile() {
    // Every second request is refused for a while; the breaker opens, a probe finds the provider back at once.
    let refusal = Failure {
        retry_after: Some(Micros::from_millis(5000)),
        ..failed(FailureClass::Wait, Code::PROVIDER_OVERLOADED)
    };
    let told = move || Plan::failed(refusal.clone());
    let mut sent: Vec<(Dispatch, u64)> = Vec::new();
    let (tell, told_to_wait) = std::sync::mpsc::channel();
    let plans = move |dispatch: &Dispatch, now: Micros, _: &mut Random| {
        let ms = now.since(START).as_millis();
        let before = sent.iter().rev().find(|(it, _)| it.call == dispatch.call).map(|it| it.1);
        sent.push((dispatch.clone(), ms));
        if let Some(before) = before {
            tell.send(ms - before).unwrap();
        }
        if ms < 1000 { told().after_ms(300) } else { Plan::says("done").after_ms(100) }
    };
    let run = run(figures().timed_plans(plans), Step::all(tasks(40)));
    assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 40));
    assert_eq!(count(&run, "provider_down"), 1);
    let gaps: Vec<u64> = told_to_wait.try_iter().collect();
    assert!(gaps.len() >= 16 && gaps.iter().all(|gap| *gap >= 5300), "{gaps:?}");
}

#[test]
fn an_outage_from_the_start_holds_siblings_of_a_prefix_without_failing_them() {
    let unreachable = || failed(FailureClass::Wait, Code::PROVIDER_UNREACHABLE).not_sent();
    let plans = move |_: &Dispatch, now: Micros, _: &mut Random| match now.since(START).as_millis()
        < 300_000
    {
        true => Plan::failed(unreachable()).after_ms(5),
        false => Plan::says("done").after_ms(100),
    };
    let simulation = figures().set("provider.cache_prefix_tokens", "1").timed_plans(plans);
    let run = run(simulation, Step::all(tasks(100)));
    assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 100));
}

#[test]
fn a_probe_has_the_hosts_patience_and_not_what_is_left_of_its_task() {
    let unreachable = || failed(FailureClass::Wait, Code::PROVIDER_UNREACHABLE).not_sent();
    // A host ends a request when its task's time is up.
    let plans = move |dispatch: &Dispatch, now: Micros, _: &mut Random| {
        if now.since(START).as_millis() < 300_000 {
            return Plan::failed(unreachable()).after_ms(5);
        }
        match dispatch.timeout.is_some_and(|left| left < Micros::from_millis(100)) {
            true => Plan::failed(failed(FailureClass::Wait, Code::PROVIDER_DEADLINE)),
            false => Plan::says("done").after_ms(100),
        }
    };
    let simulation = figures().set("task.timeout_ms", "10000").timed_plans(plans);
    let run = run(simulation, Step::all(tasks(64)));
    assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 64));
}

#[test]
fn a_provider_that_is_down_does_not_hold_up_another_or_what_is_given_up_for_it() {
    let plans = |dispatch: &Dispatch, now: Micros, _: &mut Random| {
        let Work::Model(request) = &dispatch.work else { panic!("{:?}", dispatch.work) };
        let is_away = request.model == "p:m" && now.since(START).as_millis() < 300_000;
        if is_away { overloaded() } else { Plan::says(request.model.as_str()).after_ms(50) }
    };
    let mut other = by_model("other");
    other.model = Some("o".to_owned());
    let mut simulation = figures().subagent(other).timed_plans(plans);
    simulation.start.models.insert("o".to_owned(), model("o", "q"));
    let away = (0..8).map(|_| Step::task("a"));
    let there = (0..8).map(|_| Step::task("b").with("subagent", "other"));
    let run = run(simulation, Step::settle(away.chain(there)));
    let early = run.books.executions.iter().filter(|one| {
        one.served_by == "q:o" && one.dispatched.since(START) < Micros::from_millis(1000)
    });
    assert_eq!((early.count(), done(&run)), (8, 16));
}
