//! A provider that is down: what waits for it holds nobody up, and goes on by itself.

use crate::served::{by_model, done, failed, model, served};
use crate::{count, run};
use loopwright_protocol::{Dispatch, Entry, Outcome, Work, WorktreeWork};
use loopwright_simulator::{Plan, Random, START, Simulated, Simulation, Step};
use loopwright_types::{CallId, Code, FailureClass, Micros, RunStatus, Usage};
use serde_json::json;
use std::collections::HashSet;

/// The provider `p` is away in this time, in milliseconds of the run; each reply takes so long.
fn away(
    from: u64,
    until: u64,
    reply_ms: u64,
) -> impl FnMut(&Dispatch, Micros, &mut Random) -> Plan {
    move |dispatch: &Dispatch, now: Micros, _: &mut Random| {
        let model = match &dispatch.work {
            Work::Model(request) => request.model.as_str(),
            Work::Worktree(_) => {
                return Plan::done(
                    json!({ "path": "/w", "branch": "b", "base": "c", "changed": false,
                    "diffstat": "" }),
                );
            }
            other => panic!("nobody asked for {other:?}"),
        };
        if model == "p:m" && (from..until).contains(&now.since(START).as_millis()) {
            let unreachable = failed(FailureClass::Wait, Code::PROVIDER_UNREACHABLE).not_sent();
            return Plan::failed(unreachable).after_ms(5);
        }
        Plan::says(model).after_ms(reply_ms)
    }
}

/// A run of so many at once whose subagents `p` serves, and `q` those of the type `other`.
fn two(concurrency: u32) -> Simulation {
    let mut other = by_model("other");
    other.model = Some("o".to_owned());
    let mut simulation = served().subagent(other).set("run.concurrency", &concurrency.to_string());
    simulation.start.models.insert("o".to_owned(), model("o", "q"));
    simulation
}

fn of_p(n: usize) -> Vec<Step> {
    (0..n).map(|i| Step::task(&format!("p{i}"))).collect()
}

fn of_q(n: usize) -> Vec<Step> {
    (0..n).map(|i| Step::task(&format!("q{i}")).with("subagent", "other")).collect()
}

/// One of each in turn.
fn mixed(n: usize) -> Vec<Step> {
    of_p(n).into_iter().zip(of_q(n)).flat_map(|(p, q)| [p, q]).collect()
}

/// When the last task of this subagent type gave its value, in milliseconds of the run.
fn last(run: &Simulated, subagent: &str) -> u64 {
    let ends = run.entries.iter().filter_map(|entry| match entry {
        Entry::Settled(settled) if settled.subagent.as_deref() == Some(subagent) => {
            assert!(matches!(settled.outcome, Outcome::Done(_)), "{settled:?}");
            Some(settled.now.since(START).as_millis())
        }
        _ => None,
    });
    ends.max().unwrap_or_default()
}

#[test]
fn while_one_provider_is_down_the_tasks_of_another_take_about_their_own_time() {
    for concurrency in [4, 16] {
        let alone = run(two(concurrency).timed_plans(away(0, 0, 500)), Step::all(of_q(200)));
        let plans = away(1000, 301_000, 500);
        let run = run(two(concurrency).timed_plans(plans), Step::all(mixed(200)));
        let (own, beside) = (last(&alone, "other"), last(&run, "other"));
        println!("{concurrency} at once: {own} ms alone, {beside} ms beside one that is down");
        assert!(beside <= own * 11 / 10 + 1500, "{beside} ms, {own} ms alone");
        assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 400));
        assert_eq!((count(&run, "provider_down"), count(&run, "provider_up")), (1, 1));
        // The others are asked for at once when it is back, and no more at a time than ever.
        let rest = 200 * 500 / u64::from(concurrency);
        assert!(last(&run, "general-purpose") < 301_000 + 30_000 + rest * 12 / 10);
        assert_eq!(run.books.peak.requests, concurrency as usize);
    }
}

#[test]
fn what_has_not_begun_does_not_begin_while_its_provider_is_down() {
    let plans = away(500, 100_000, 200);
    let isolated = of_p(100).into_iter().map(|task| task.with("isolation", "worktree"));
    let run = run(two(4).timed_plans(plans), Step::all(isolated));
    let begun: HashSet<CallId> = run
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Stepped(step) if step.now.since(START).as_millis() < 100_000 => Some(step.task),
            _ => None,
        })
        .collect();
    println!("{} of 100 tasks had begun", begun.len());
    assert!((4..=30).contains(&begun.len()), "{}", begun.len());
    assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 100));
}

#[test]
fn waiting_for_a_slot_after_the_outage_is_no_part_of_a_tasks_time() {
    let plans = |dispatch: &Dispatch, now: Micros, random: &mut Random| match &dispatch.work {
        Work::Model(request) if request.model == "q:o" => Plan::says("slow").after_ms(20_000),
        _ => away(1000, 61_000, 2000)(dispatch, now, random),
    };
    let hurried = of_p(4).into_iter().map(|task| task.with("timeoutMs", 5000));
    let run = run(two(4).timed_plans(plans), Step::all(hurried.chain(of_q(40))));
    assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 44));
}

#[test]
fn when_those_that_asked_are_cancelled_another_asks_whether_it_is_back() {
    let plans = away(0, 60_000, 100);
    let given_up = of_p(2).into_iter().map(|task| Step::deadline(10_000, task));
    let run = run(two(2).timed_plans(plans), Step::settle(given_up.chain(of_p(6)).chain(of_q(3))));
    assert_eq!(done(&run), 9, "{}", run.result());
    assert!(run.elapsed < Micros::from_millis(100_000), "{}", run.elapsed);
}

#[test]
fn a_provider_that_comes_and_goes_holds_nobody_up_and_fails_nobody() {
    let plans = |dispatch: &Dispatch, now: Micros, random: &mut Random| {
        let second = now.since(START).as_millis() / 1000;
        let until = if second % 20 < 12 { u64::MAX } else { 0 };
        away(0, until, 300)(dispatch, now, random)
    };
    let simulation = two(8).set("provider.cache_prefix_tokens", "1").timed_plans(plans);
    let run = run(simulation, Step::all(mixed(150)));
    assert_eq!((run.finish().status, done(&run)), (RunStatus::Complete, 300));
    assert!(last(&run, "other") < 12_000, "{}", last(&run, "other"));
    assert_eq!(run.books.peak.requests, 8);
}

#[test]
fn a_task_whose_request_never_went_out_after_an_outage_has_its_time_again() {
    // The request that finds the provider back spends the budget that the other would have needed. Looking at the
    // worktrees never ends.
    let mut provider = away(0, 50, 5);
    let plans = move |dispatch: &Dispatch, now: Micros, random: &mut Random| match &dispatch.work {
        Work::Worktree(WorktreeWork::Finish(_)) => Plan::done(json!({})).never(),
        _ => {
            let plan = provider(dispatch, now, random);
            let output_tokens = if now.since(START).as_millis() < 50 { 0 } else { 90 };
            plan.using(Usage { output_tokens, ..Usage::default() })
        }
    };
    let mut simulation = served().set("provider.breaker_failures", "1").timed_plans(plans);
    let budget = json!({ "budget": 100 });
    simulation.start.program.meta = Some(loopwright_protocol::Json::of(&budget));
    let waiting = || Step::task("p").with("isolation", "worktree").with("timeoutMs", 20_000);
    let run = run(simulation, Step::settle([waiting(), waiting()]));
    assert_eq!(run.ended.clone(), Ok(RunStatus::Complete));
    let result = r#"["p:m",{"reason":"budget","code":"LW0503"}]"#;
    assert_eq!(run.result().to_string(), result);
}
