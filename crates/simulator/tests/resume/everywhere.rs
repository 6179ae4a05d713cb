//! Every kind of program, and a crash after every entry of its journal.

use crate::served::{served, turns};
use crate::simulation;
use loopwright_protocol::{Dispatch, Entry, Found, Json, Tool, Work, WorktreeWork};
use loopwright_simulator::{
    Crashes, Plan, Random, ScriptedGuests, Simulated, Simulation, Step, program, subagent,
};
use loopwright_types::{Code, Effects, Failure, FailureClass, Micros, Reason, RunStatus, Usage};
use serde_json::{Value, json};

/// One kind of program.
pub(crate) struct Kind {
    pub name: &'static str,
    pub simulation: fn() -> Simulation,
    script: fn() -> Step,
}

/// Answers that depend on what is asked alone.
fn plans(dispatch: &Dispatch, _: &mut Random) -> Plan {
    let used = Usage { input_tokens: 3, output_tokens: 2, ..Usage::default() };
    match &dispatch.work {
        Work::Task(task) if task.prompt == "fails" => Plan::broken().after_ms(7),
        Work::Task(task) if task.prompt == "flaky" && dispatch.attempt.0 < 3 => {
            Plan::retryable().after_ms(5).using(used)
        }
        Work::Task(task) if task.schema.is_some() && task.feedback.is_none() => {
            Plan::done("no number").after_ms(5)
        }
        Work::Task(task) if task.schema.is_some() => Plan::done(7).after_ms(5),
        Work::Task(task) => {
            let ms = 5 + task.prompt.bytes().map(u64::from).sum::<u64>() % 13;
            Plan::done(task.prompt.as_str()).after_ms(ms).using(used)
        }
        Work::Model(request) => match turns(request) {
            0 if !request.tools.is_empty() => {
                Plan::calls(&[("grep", json!({ "n": 1 })), ("write_file", json!({}))]).after_ms(9)
            }
            1 if request.schema.is_some() => Plan::says("no number").after_ms(9),
            _ if request.schema.is_some() => Plan::says("7").after_ms(9),
            _ => Plan::says("done").after_ms(9),
        }
        .using(used),
        Work::Worktree(WorktreeWork::Create) => {
            Plan::done(json!({ "path": "/w", "branch": "b", "base": "c" })).after_ms(4)
        }
        Work::Worktree(WorktreeWork::Finish(_)) => {
            Plan::done(json!({ "changed": false })).after_ms(4)
        }
        Work::Tool { name, .. } => Plan::done(name.as_str()).after_ms(6),
        Work::Approve(_) => Plan::done(true).after_ms(8),
        Work::ResolveModel { name } => {
            Plan::done(serde_json::to_value(crate::served::model(name, "q")).unwrap()).after_ms(3)
        }
        // Tasks are found to be done, tools not to be.
        Work::LookUp(sent) => match &**sent {
            Work::Task(task) => Plan::found(&Found::Done(Json::of(&task.prompt))),
            _ => Plan::found(&Found::NotDone),
        }
        .after_ms(5)
        .using(used),
        Work::LoadProgram { .. } => unreachable!("the host knows its programs"),
    }
}

fn plain() -> Simulation {
    simulation().set("run.concurrency", "3").set("task.backoff_ms", "10").plans(plans)
}

fn nested() -> Simulation {
    plain().saved(program("left")).saved(program("right"))
}

fn with_models() -> Simulation {
    let mut write = Tool::reading("write_file");
    write.effects = Effects::Local;
    let mut simulation = served().set("run.concurrency", "3").plans(plans);
    simulation.start.tools = vec![Tool::reading("grep"), write];
    simulation
}

/// What has effects can be looked up.
fn with_lookups() -> Simulation {
    let mut acts = subagent("acts");
    (acts.effects, acts.lookup) = (Effects::External, true);
    let mut simulation = with_models().subagent(acts);
    simulation.start.tools[1].lookup = true;
    simulation
}

/// The provider answers nobody in the second 20 milliseconds of the run.
fn outage() -> Simulation {
    let plans = |dispatch: &Dispatch, now: Micros, random: &mut Random| {
        let ms = now.since(loopwright_simulator::START).as_millis();
        if matches!(dispatch.work, Work::Model(_)) && (20..40).contains(&ms) {
            let failure = Failure::new(Reason::Provider, Code::PROVIDER_OVERLOADED, "overloaded");
            return Plan::failed(failure.class(FailureClass::Wait)).after_ms(2);
        }
        plans(dispatch, random)
    };
    with_models()
        .set("provider.breaker_failures", "2")
        .set("task.backoff_ms", "3")
        .timed_plans(plans)
}

fn tasks(n: usize) -> Vec<Step> {
    (0..n).map(|i| Step::task(&i.to_string())).collect()
}

fn kind(name: &'static str, simulation: fn() -> Simulation, script: fn() -> Step) -> Kind {
    Kind { name, simulation, script }
}

/// Programs of every kind.
pub(crate) fn kinds() -> Vec<Kind> {
    let mut all = plain_kinds();
    all.extend(served_kinds());
    all
}

fn plain_kinds() -> Vec<Kind> {
    vec![
        kind("plain tasks", plain, || Step::seq([Step::all(tasks(7)), Step::task("last")])),
        kind("a chain with log lines", plain, || {
            Step::seq([Step::log("a"), Step::task("a"), Step::log("b"), Step::task("b")])
        }),
        kind("settle", plain, || {
            Step::settle([Step::task("fails"), Step::task("a"), Step::agent("fails")])
        }),
        kind("a race for two", plain, || Step::quorum(2, tasks(5))),
        kind("a deadline that passes", plain, || {
            Step::deadline(12, Step::seq([Step::task("a"), Step::task("b"), Step::task("c")]))
        }),
        kind("retries", plain, || {
            Step::all([Step::task("flaky"), Step::task("a"), Step::task("flaky")])
        }),
        kind("re-asks", plain, || Step::task("n").with("schema", json!({ "type": "integer" }))),
        kind("fallbacks", plain, || {
            Step::all([
                Step::task("fails").with("fallback", json!({ "value": 1 })),
                Step::catch(
                    Step::task("fails").with("fallback", json!({ "subagent": "general-purpose" })),
                ),
            ])
        }),
        kind("budgets", plain, || {
            Step::settle([
                Step::task("a").with("budget", json!(20)),
                Step::task("b").with("budget", json!(0)),
                Step::task("c"),
            ])
        }),
        kind("nested programs", nested, || {
            Step::all([Step::workflow("left"), Step::workflow("right"), Step::task("a")])
        }),
        kind("an unknown program", nested, || Step::catch(Step::workflow("nobody"))),
        kind("approvals", plain, || Step::all([Step::approve("go on?"), Step::task("a")])),
        kind("sleeps", plain, || {
            Step::all([Step::sleep(30), Step::seq([Step::task("a"), Step::sleep(5)])])
        }),
    ]
}

fn served_kinds() -> Vec<Kind> {
    vec![
        kind("tools", with_models, || Step::all([Step::tool("grep"), Step::tool("grep")])),
        kind("subagents that a model serves", with_models, || {
            Step::all([
                Step::task("a").with("tools", json!(["grep"])),
                Step::task("b").with("tools", json!([])),
                Step::task("c")
                    .with("tools", json!(["grep"]))
                    .with("schema", json!({ "type": "integer" })),
            ])
        }),
        kind("effects that can be looked up", with_lookups, || {
            Step::all([
                Step::task("a"),
                Step::tool("write_file"),
                Step::task("b").with("subagent", "acts"),
                Step::task("c").with("subagent", "acts").with("isolation", "worktree"),
                Step::tool("write_file"),
            ])
        }),
        kind("a model that has to be looked up", with_models, || {
            let ask = |prompt| Step::task(prompt).with("model", "new").with("tools", json!([]));
            Step::all([ask("a"), ask("b"), Step::quorum(1, [ask("c"), ask("d")])])
        }),
        kind("worktrees", with_models, || {
            Step::all([
                Step::task("a").with("isolation", "worktree").with("tools", json!(["grep"])),
                Step::task("b").with("tools", json!([])),
            ])
        }),
        kind("worktrees of drivers", plain, || {
            Step::all([
                Step::task("a").with("isolation", "worktree"),
                Step::catch(Step::task("fails").with("isolation", "worktree")),
            ])
        }),
        kind("a provider that is down", outage, || {
            let ask =
                |prompt: usize| Step::task(&prompt.to_string()).with("tools", json!(["grep"]));
            Step::all((0..4).map(ask))
        }),
    ]
}

pub(crate) fn guests(kind: &Kind) -> ScriptedGuests {
    ScriptedGuests::new()
        .with("main", (kind.script)())
        .with("left", Step::seq([Step::task("l"), Step::all(tasks(2))]))
        .with("right", Step::catch(Step::task("fails")))
}

pub(crate) fn result(run: &Simulated) -> (RunStatus, Value) {
    (run.finish().status, run.result())
}

#[test]
fn a_run_goes_on_from_every_entry_of_its_journal_and_ends_the_same() {
    for kind in kinds() {
        for sync_ms in [0, 5] {
            let simulation = || {
                let setup = |setup: &mut loopwright_simulator::Setup| {
                    setup.sync_delay = Micros::from_millis(sync_ms);
                };
                (kind.simulation)().setup(setup)
            };
            let whole = simulation().run(&mut guests(&kind));
            for at in 1..whole.entries.len() as u64 {
                let place = format!("{}, sync {sync_ms} ms, crash after {at}", kind.name);
                let run = simulation().run_through(Crashes::at([at]), || guests(&kind));
                let run = run.unwrap_or_else(|error| panic!("{place}: {}", error.diagnostic()));
                // Who wins a race is a matter of time, and the time it took to go on is in it.
                let races = kind.name.contains("race") || kind.name.contains("deadline");
                let seen = |run: &Simulated| {
                    if races { (result(run).0, Value::Null) } else { result(run) }
                };
                assert_eq!(seen(&run), seen(&whole), "{place}");
                let resumed = run.entries.iter().filter(|e| matches!(e, Entry::Resumed(_))).count();
                assert_eq!(resumed, 1, "{place}");
                let replayed = loopwright_engine::replay(run.entries, &mut guests(&kind), 1);
                replayed.unwrap_or_else(|error| panic!("{place}: {}", error.diagnostic()));
            }
        }
    }
}
