//! Ceilings that requests to models keep: nothing is overspent, whatever is under way and however late it tells.

use crate::served::{asked, failed, model, overloaded, served, talking};
use crate::{failure, run, tasks};
use loopwright_protocol::{Dispatch, Json, ModelRequest, Price, Work};
use loopwright_simulator::{OnCancel, Plan, Random, ScriptedGuests, Step, subagent};
use loopwright_types::{Code, FailureClass, Micros, RunStatus, Usage};
use serde_json::json;

const PRICE_IN: u64 = 1_000_000;
const PRICE_OUT: u64 = 10_000_000;

fn price() -> Price {
    Price { input: PRICE_IN, output: PRICE_OUT, ..Price::default() }
}

/// Uses up to what the request allows; the input is a token for every four bytes.
fn using(request: &ModelRequest, random: &mut Random) -> Usage {
    let input: usize = request.messages.len() * 20 + request.system.len();
    Usage {
        input_tokens: input as u64 / 4,
        output_tokens: request.output_tokens_max - random.below(request.output_tokens_max / 2 + 1),
        ..Usage::default()
    }
}

/// Replies after some time; a tenth fails having used something, and cancellation is late and paid for.
fn spending(dispatch: &Dispatch, random: &mut Random) -> Plan {
    let Work::Model(request) = &dispatch.work else { panic!("{:?}", dispatch.work) };
    let usage = using(request, random);
    let plan = match random.chance(0.1) {
        true => overloaded(),
        false => Plan::says("x"),
    };
    let on_cancel = OnCancel::Ends { after: Micros::from_millis(30), usage };
    plan.using(usage).after_ms(random.below(100)).on_cancel(on_cancel)
}

#[test]
fn ceilings_are_never_passed_and_nearly_used_up() {
    for cap in ["1", "4", "16", "64"] {
        for (figure, ceiling) in [
            ("outputTokens", 100.0),
            ("outputTokens", 1e5),
            ("tokens", 2000.0),
            ("tokens", 1e5),
            ("usd", 0.01),
            ("usd", 1.0),
        ] {
            let mut simulation =
                served().set("run.concurrency", cap).set("run.tasks_max", "100000").plans(spending);
            let meta = json!({ "budget": { figure: ceiling } });
            simulation.start.program.meta = Some(Json::of(&meta));
            let model = simulation.start.models.get_mut("m").unwrap();
            (model.price, model.output_tokens_max) = (Some(price()), 400);
            let script = Step::settle((0..1500).map(|n| match n % 7 {
                0 => Step::deadline(50, Step::task("raced")),
                _ => Step::task("a"),
            }));
            let run = run(simulation, script);
            let usage = run.finish().usage;
            let spent = match figure {
                "outputTokens" => usage.output_tokens as f64,
                "tokens" => usage.tokens() as f64,
                _ => usage.usd_micros as f64 / 1e6,
            };
            assert!(spent <= ceiling, "{figure} {ceiling}, cap {cap}: spent {spent}");
            let large = ceiling >= 1e5 || (figure == "usd" && ceiling >= 1.0);
            assert!(!large || spent >= 0.95 * ceiling, "{figure} {ceiling}, cap {cap}: {spent}");
        }
    }
}

#[test]
fn a_spent_program_budget_fails_loops_with_budget_and_a_spent_operators_parks_them() {
    let plans = || {
        talking(|request| {
            let used = Usage { output_tokens: request.output_tokens_max, ..Usage::default() };
            Plan::calls(&[("grep", json!({}))]).using(used)
        })
    };
    let mut simulation = served().plans(plans());
    simulation.start.program.meta = Some(Json::of(&json!({ "budget": 2500 })));
    let failed = run(simulation, Step::settle([Step::task("a")]));
    assert!(failure(&failed, 0).starts_with("budget LW0503"), "{}", failure(&failed, 0));
    assert_eq!((asked(&failed), failed.finish().usage.output_tokens), (3, 2500));
    let parked = run(served().set("budget.tokens", "10000").plans(plans()), Step::all(tasks(40)));
    assert_eq!(parked.finish().status, RunStatus::Parked);
    let error = parked.finish().error.as_ref().unwrap();
    assert!(error.message.contains("the operator's budget is spent"), "{}", error.message);
    assert!(parked.finish().usage.tokens() <= 10_000);
    assert!((0..40).all(|call| parked.settled(call).is_none()), "no task fails of it");
}

#[test]
fn what_failed_attempts_of_a_request_cost_counts_against_the_tasks_own_budget() {
    let plans = talking(|request| {
        let used = Usage { output_tokens: request.output_tokens_max.min(90), ..Usage::default() };
        overloaded().using(used)
    });
    let run = run(served().plans(plans), Step::settle([Step::task("a").with("budget", 200)]));
    assert!(failure(&run, 0).starts_with("budget LW0503"), "{}", failure(&run, 0));
    assert!(run.settled(0).unwrap().usage.output_tokens <= 200, "{:?}", run.settled(0));
}

#[test]
fn a_budget_of_its_own_that_is_larger_than_what_is_left_does_not_keep_a_loop_from_trying() {
    let plans =
        talking(|_| Plan::says("done").using(Usage { output_tokens: 10, ..Usage::default() }));
    let mut simulation = served().plans(plans);
    simulation.start.program.meta = Some(Json::of(&json!({ "budget": 100 })));
    let run = run(simulation, Step::task("a").with("budget", 5000));
    assert_eq!(run.result(), json!("done"));
}

#[test]
fn what_a_cancelled_request_still_holds_makes_others_wait_and_not_fail() {
    let used = Usage { output_tokens: 1, ..Usage::default() };
    let plans = move |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Model(_) => Plan::says("late")
            .never()
            .on_cancel(OnCancel::Ends { after: Micros::from_millis(500), usage: used }),
        _ => Plan::done("ok"),
    };
    let mut simulation = served().subagent(subagent("other")).plans(plans);
    simulation.start.models.insert("m".to_owned(), model("m", "p"));
    simulation.start.program.meta = Some(Json::of(&json!({ "budget": 1001 })));
    let other = Step::task("b").with("subagent", "other").with("budget", 900);
    let run = run(simulation, Step::seq([Step::deadline(100, Step::task("a")), other]));
    assert_eq!((run.result(), run.elapsed.as_millis()), (json!("ok"), 600));
}

#[test]
fn a_request_that_waits_to_be_sent_again_when_the_budget_is_spent_fails_alike_in_the_replay() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Task(_) => {
            let used = Usage { output_tokens: 100, ..Usage::default() };
            Plan::done(1).after_ms(10).using(used)
        }
        _ => Plan::failed(failed(FailureClass::Wait, Code::PROVIDER_OVERLOADED)).after_ms(5),
    };
    let mut simulation = served().subagent(subagent("other")).plans(plans);
    simulation = simulation.set("task.backoff_ms", "1000");
    simulation.start.program.meta = Some(Json::of(&json!({ "budget": 100 })));
    let script = Step::settle([
        Step::task("a"),
        Step::seq([Step::sleep(10), Step::task("b").with("subagent", "other")]),
    ]);
    let run = run(simulation, script.clone());
    let result = r#"[{"reason":"budget","code":"LW0503"},1]"#;
    assert_eq!(run.result().to_string(), result);
    let mut guests = ScriptedGuests::new().with("main", script);
    let replayed = loopwright_engine::replay(run.entries.clone(), &mut guests, 1);
    assert_eq!(replayed.unwrap().result, run.finish().result);
}
