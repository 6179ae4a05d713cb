//! Siblings that share a prompt prefix: one writes it to the provider's cache, the others wait for it.

use crate::run;
use crate::served::{asked_at, by_model, failed, model, served};
use loopwright_protocol::{Dispatch, Progress, Work};
use loopwright_simulator::{Plan, Random, Simulation, Step};
use loopwright_types::{Code, FailureClass, Micros};

/// Replies of 100 ms that begin after 30.
fn begun() -> Plan {
    let mut plan = Plan::says("done").after_ms(100);
    plan.progress.push((Micros::from_millis(30), Progress::Began));
    plan
}

fn held(plans: impl FnMut(&Dispatch, &mut Random) -> Plan + 'static) -> Simulation {
    served().set("provider.cache_prefix_tokens", "1").plans(plans)
}

fn all_begun(_: &Dispatch, _: &mut Random) -> Plan {
    begun()
}

#[test]
fn what_shares_no_prefix_or_a_small_one_is_not_held() {
    for (least, models, systems, expected) in [
        ("1", 1, 1, vec![0, 30, 30, 30]),
        ("100000", 1, 1, vec![0, 0, 0, 0]),
        ("1", 2, 1, vec![0, 0, 30, 30]),
        ("1", 1, 2, vec![0, 0, 30, 30]),
    ] {
        let mut simulation = held(all_begun).set("provider.cache_prefix_tokens", least);
        for n in 0..2 {
            let mut kind = by_model(&format!("kind{n}"));
            kind.system_prompt = format!("system {}", n % systems);
            kind.model = Some(format!("m{}", n % models));
            simulation = simulation.subagent(kind);
            simulation.start.models.insert(format!("m{n}"), model(&format!("m{n}"), "p"));
        }
        let tasks = (0..4).map(|n| Step::task("a").with("subagent", format!("kind{}", n % 2)));
        let run = run(simulation, Step::all(tasks));
        assert_eq!(asked_at(&run), expected, "{least} {models} {systems}");
    }
}

#[test]
fn when_the_first_fails_the_next_one_leads_at_once() {
    for (class, code) in
        [(FailureClass::Never, Code::KEY_REFUSED), (FailureClass::Wait, Code::PROVIDER_OVERLOADED)]
    {
        let mut first = true;
        let plans = move |_: &Dispatch, _: &mut Random| match std::mem::take(&mut first) {
            true => Plan::failed(failed(class, code)).after_ms(10),
            false => begun(),
        };
        let simulation = held(plans).set("task.backoff_ms", "20000");
        let run = run(simulation, Step::settle(crate::tasks(4)));
        let at = asked_at(&run);
        assert_eq!(at[..4], [0, 10, 40, 40], "{class:?}: {at:?}");
    }
}

#[test]
fn a_cancelled_leader_is_followed_and_a_cancelled_sibling_never_goes() {
    let plans = |_: &Dispatch, _: &mut Random| {
        let mut plan = begun();
        plan.progress[0].0 = Micros::from_millis(80);
        plan
    };
    let leader = Step::deadline(20, Step::task("leader"));
    let script = Step::settle([
        leader,
        Step::task("a"),
        Step::deadline(50, Step::task("b")),
        Step::task("c"),
    ]);
    let run = run(held(plans), script);
    assert_eq!(asked_at(&run), [0, 20, 100], "leader, a, c");
}

#[test]
fn a_reply_that_tells_no_beginning_lets_the_others_go_at_its_end() {
    let plans = |_: &Dispatch, _: &mut Random| Plan::says("done").after_ms(100);
    let run = run(held(plans), Step::all(crate::tasks(3)));
    assert_eq!(asked_at(&run), [0, 100, 100]);
}

#[test]
fn a_prefix_that_was_not_used_for_long_is_written_again_by_one() {
    let pair = || Step::all([Step::task("a"), Step::task("b")]);
    let cases = [(270_000, [270_130, 270_130]), (290_000, [290_130, 290_160])];
    for (pause, expected) in cases {
        let script = Step::seq([pair(), Step::sleep(pause), pair()]);
        let run = run(held(all_begun), script);
        assert_eq!(asked_at(&run), [[0, 30], expected].concat(), "after {pause} ms");
    }
}

#[test]
fn only_the_first_turn_is_held() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Model(request) if request.messages.len() == 1 => {
            let mut plan = Plan::calls(&[("grep", serde_json::json!({}))]).after_ms(100);
            plan.progress.push((Micros::from_millis(30), Progress::Began));
            plan
        }
        Work::Model(_) => Plan::says("done").after_ms(100),
        _ => Plan::done("found"),
    };
    let run = run(held(plans), Step::all(crate::tasks(3)));
    assert_eq!(asked_at(&run), [0, 30, 30, 100, 130, 130]);
}
