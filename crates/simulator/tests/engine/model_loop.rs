//! Subagents that a model serves, step by step: turns, tools, answers, what becomes of failures.

use crate::{count, failure, run, simulation};
use loopwright_protocol::{
    Block, Dispatch, Entry, Finish, Message, Model, ModelRequest, Outcome, Price, Subagent, Tool,
    Work,
};
use loopwright_simulator::{Plan, Random, Simulated, Simulation, Step, subagent};
use loopwright_types::{Code, Failure, FailureClass, Reason, RunStatus, Usage};
use serde_json::json;

fn model(name: &str, provider: &str) -> Model {
    let price =
        Price { input: 1_000_000, output: 10_000_000, cache_read: 100_000, ..Price::default() };
    Model {
        name: format!("{provider}:{name}"),
        provider: provider.to_owned(),
        output_tokens_max: 1000,
        context_tokens: None,
        concurrency: None,
        price: Some(price),
    }
}

/// A run with the tools `grep` and `write_file`, whose subagents a model serves.
fn served(plans: impl FnMut(&Dispatch, &mut Random) -> Plan + 'static) -> Simulation {
    let general = Subagent { driver: "model".to_owned(), ..subagent("general-purpose") };
    let mut simulation = simulation().subagent(general).plans(plans);
    simulation.start.tools = vec![Tool::reading("grep"), Tool::reading("write_file")];
    simulation.start.models.insert("m".to_owned(), model("m", "p"));
    simulation.start.model = Some("m".to_owned());
    simulation
}

/// Plans that answer a model's request by what it says, and a tool call with its name.
fn talking(
    mut reply: impl FnMut(&ModelRequest) -> Plan + 'static,
) -> impl FnMut(&Dispatch, &mut Random) -> Plan {
    move |dispatch, _| match &dispatch.work {
        Work::Model(request) => reply(request),
        Work::Tool { name, .. } => Plan::done(format!("{name} found it")).after_ms(10),
        other => panic!("nobody asked for {other:?}"),
    }
}

fn turns(request: &ModelRequest) -> usize {
    request.messages.iter().filter(|message| matches!(message, Message::Assistant { .. })).count()
}

fn asked(run: &Simulated) -> usize {
    run.books.executions.iter().filter(|one| one.asked == "model").count()
}

#[test]
fn tools_of_one_turn_run_side_by_side_and_their_results_go_back_together() {
    let mut seen = None;
    let plans = talking(move |request| {
        if turns(request) == 0 {
            let known = json!({ "pattern": "x" });
            return Plan::calls(&[
                ("grep", known.clone()),
                ("write_file", known),
                ("rm", json!({})),
            ]);
        }
        let Some(Message::Tools { results }) = request.messages.last() else { panic!() };
        seen.get_or_insert(results.len());
        let told: Vec<&str> = results.iter().map(|result| result.text.as_str()).collect();
        Plan::says(told.join(" | "))
    });
    let run = run(served(plans), Step::task("look"));
    let said = run.result();
    let said = said.as_str().unwrap();
    assert!(
        said.starts_with("grep found it | write_file found it | there is no tool `rm`"),
        "{said}"
    );
    assert_eq!(run.elapsed.as_millis(), 10, "both tools at once");
    assert_eq!((count(&run, "stepped"), asked(&run)), (4, 2));
}

#[test]
fn definition_and_call_narrow_the_tools_and_never_widen_them() {
    let offered = |change: &dyn Fn(&mut Subagent), tools: serde_json::Value| {
        let plans = talking(|request| {
            let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
            Plan::says(format!("[{}]", names.join(",")))
        });
        let mut simulation = served(plans);
        change(&mut simulation.start.subagents[0]);
        let mut task = Step::task("what have you");
        if !tools.is_null() {
            task = task.with("tools", tools);
        }
        run(simulation, task).result().as_str().unwrap().to_owned()
    };
    let nothing = |_: &mut Subagent| {};
    let only_grep = |subagent: &mut Subagent| subagent.tools = Some(vec!["Grep".to_owned()]);
    let no_write = |subagent: &mut Subagent| subagent.tools_denied = vec!["write_file".to_owned()];
    assert_eq!(offered(&nothing, json!(null)), "[grep,write_file]");
    assert_eq!(offered(&nothing, json!(["write_file"])), "[write_file]");
    assert_eq!(offered(&only_grep, json!(["grep", "write_file"])), "[grep]");
    assert_eq!(offered(&no_write, json!(null)), "[grep]");
    assert_eq!(offered(&no_write, json!(["write_file"])), "[]");
}

#[test]
fn an_answer_that_does_not_match_goes_back_in_the_same_conversation_and_is_paid_for() {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    let used = Usage { input_tokens: 100, output_tokens: 10, ..Usage::default() };
    let plans = talking(move |request| {
        let plan = match (turns(request), request.messages.last()) {
            (0, _) => Plan::says("it is four"),
            (1, Some(Message::User { text })) if text.contains("not JSON") => {
                Plan::says(r#"{"n":"4"}"#)
            }
            (2, Some(Message::User { text })) if text.contains("n") => Plan::says(r#"{"n":4}"#),
            other => panic!("{other:?}"),
        };
        plan.using(used)
    });
    let run = run(served(plans), Step::task("count").with("schema", schema));
    assert_eq!(run.result(), json!({ "n": 4 }));
    let settled = run.settled(0).unwrap();
    assert_eq!((settled.usage.input_tokens, settled.usage.output_tokens), (300, 30));
    assert_eq!(settled.usage.usd_micros, 600, "300 at 1 dollar and 30 at 10 a million");
    assert_eq!(run.finish().usage.usd_micros, 600);
}

#[test]
fn what_never_matches_fails_as_schema_and_is_salvaged_and_marked() {
    let plans = talking(|_| Plan::says("four, I think"));
    let simulation = served(plans).set("task.schema_retries", "1");
    let task = Step::task("count").with("schema", json!({ "type": "integer" }));
    let run = run(simulation, Step::settle([task]));
    assert!(failure(&run, 0).starts_with("schema LW0404"), "{}", failure(&run, 0));
    assert_eq!(asked(&run), 2);
    assert_eq!(run.settled(0).unwrap().salvage.as_deref(), Some("four, I think"));
}

#[test]
fn only_failures_that_may_pass_are_asked_again() {
    let cases = [
        (FailureClass::Wait, Code::PROVIDER_OVERLOADED, 3, "provider LW1008"),
        (FailureClass::Never, Code::KEY_REFUSED, 1, "provider LW1002"),
        (FailureClass::Switch, Code::MODEL_UNKNOWN, 1, "provider LW1003"),
    ];
    for (class, code, requests, expected) in cases {
        let plans =
            talking(move |_| Plan::failed(Failure::new(Reason::Provider, code, "no").class(class)));
        let run = run(served(plans), Step::settle([Step::task("a").with("retries", 2)]));
        assert_eq!(asked(&run), requests, "{class:?}");
        assert!(failure(&run, 0).starts_with(expected), "{}", failure(&run, 0));
    }
}

#[test]
fn a_spent_quota_parks_the_run_unless_another_subagent_stands_in() {
    let quota = || {
        let failure = Failure::new(Reason::Provider, Code::QUOTA_SPENT, "the quota is spent");
        Plan::failed(failure.class(FailureClass::Park))
    };
    let run = run(served(talking(move |_| quota())), Step::task("a"));
    assert_eq!(run.finish().status, RunStatus::Parked);
    assert!(run.finish().error.as_ref().unwrap().message.contains("quota is spent"));
    let plans = move |dispatch: &Dispatch, _: &mut Random| match dispatch.work {
        Work::Model(_) => quota(),
        _ => Plan::done("from the other"),
    };
    let simulation = served(plans).subagent(subagent("other"));
    let task = Step::task("a").with("fallback", json!({ "subagent": "other" }));
    let run = crate::run(simulation, task);
    assert_eq!(run.result(), json!("from the other"));
}

#[test]
fn a_cut_or_refused_reply_is_no_answer_and_the_fallback_value_stands_in() {
    for finish in [Finish::Length, Finish::Refusal] {
        let half = move |_: &ModelRequest| {
            Plan::replies(vec![Block::Text { text: "half".to_owned() }], finish)
        };
        let task = Step::task("a").with("fallback", json!({ "value": "stand-in" }));
        let run = run(served(talking(half)), task);
        assert_eq!(run.result(), json!("stand-in"));
        assert_eq!(run.settled(0).unwrap().salvage.as_deref(), Some("half"));
    }
}

#[test]
fn a_model_is_resolved_once_and_an_unknown_one_fails_its_tasks_alone() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::ResolveModel { name } if name == "new" => {
            Plan::done(serde_json::to_value(model("new", "q")).unwrap())
        }
        Work::ResolveModel { .. } => {
            Plan::failed(Failure::new(Reason::Policy, Code::MODEL_UNKNOWN, "unknown").not_sent())
        }
        Work::Model(request) => Plan::says(request.model.as_str()),
        other => panic!("nobody asked for {other:?}"),
    };
    let tasks = ["new", "new", "m", "nonsense"].map(|name| Step::task("a").with("model", name));
    let script = Step::seq([Step::settle([tasks[0].clone()]), Step::settle(tasks)]);
    let run = run(served(plans), script);
    let answers = run.result();
    assert_eq!(answers[0], json!("q:new"));
    assert_eq!(answers[2], json!("p:m"));
    assert_eq!(answers[3]["reason"], json!("policy"));
    let resolved = run.books.executions.iter().filter(|one| one.served_by == "resolve").count();
    assert_eq!(resolved, 2, "`new` once, `nonsense` once");
}

#[test]
fn a_cancelled_or_late_task_ends_its_request_and_what_that_used_is_charged() {
    let used = Usage { input_tokens: 7, ..Usage::default() };
    let slow = move |_: &ModelRequest| {
        let on_cancel = loopwright_simulator::OnCancel::Ends {
            after: loopwright_types::Micros(5000),
            usage: used,
        };
        Plan::says("late").after_ms(60_000).on_cancel(on_cancel)
    };
    let task = Step::task("a").with("timeoutMs", 1000);
    let run = run(served(talking(slow)), Step::settle([task]));
    assert!(failure(&run, 0).starts_with("timeout LW0502"));
    assert!(run.books.executions[0].cancelled.is_some());
    assert_eq!(run.finish().usage.input_tokens, 7);
    assert_eq!(run.elapsed.as_millis(), 1005);
}

#[test]
fn the_turn_limit_is_the_calls_the_definitions_or_the_settings() {
    let for_ever = |request: &ModelRequest| match request.tools.is_empty() {
        true => Plan::says("enough"),
        false => Plan::calls(&[("grep", json!({}))]),
    };
    for (own, defined, set, requests) in
        [(Some(2), Some(5), "9", 2), (None, Some(5), "9", 5), (None, None, "9", 9)]
    {
        let mut simulation = served(talking(for_ever)).set("task.turns_max", set);
        simulation.start.subagents[0].max_turns = defined;
        let mut task = Step::task("a");
        if let Some(own) = own {
            task = task.with("maxTurns", own);
        }
        let run = run(simulation, task);
        assert_eq!((asked(&run), run.result()), (requests, json!("enough")));
    }
}

#[test]
fn siblings_wait_until_the_first_response_begins() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Model(_) => {
            let mut plan = Plan::says("done").after_ms(100);
            plan.progress.push((
                loopwright_types::Micros::from_millis(30),
                loopwright_protocol::Progress::Began,
            ));
            plan
        }
        other => panic!("nobody asked for {other:?}"),
    };
    for (least, elapsed) in [("1", 130), ("100000", 100)] {
        let simulation = served(plans).set("provider.cache_prefix_tokens", least);
        let run = run(simulation, Step::all(crate::tasks(8)));
        assert_eq!(run.elapsed.as_millis(), elapsed, "{least}");
        let began = run.entries.iter().any(|entry| matches!(entry, Entry::Progressed { .. }));
        assert!(!began, "what only decides who goes next is not journalled");
    }
}

#[test]
fn a_budget_is_never_passed_whatever_is_under_way() {
    for cap in ["1", "4", "16", "64"] {
        for ceiling in [100_u64, 100_000] {
            let plans = talking(move |request| {
                let used = Usage {
                    input_tokens: 5,
                    output_tokens: request.output_tokens_max.min(10),
                    ..Usage::default()
                };
                Plan::says("x").using(used).after_ms(10)
            });
            let mut simulation = served(plans)
                .set("run.concurrency", cap)
                .set("run.tasks_max", "100000")
                .set("budget.tokens", &ceiling.to_string());
            simulation.start.models.get_mut("m").unwrap().output_tokens_max = 10;
            let tasks = if ceiling == 100 { 40 } else { 8000 };
            let run = run(simulation, Step::settle(crate::tasks(tasks)));
            let spent = run.finish().usage.tokens();
            assert!(spent <= ceiling, "cap {cap}: {spent} of {ceiling}");
            assert_eq!(run.finish().status, RunStatus::Parked, "cap {cap}");
            assert!(
                ceiling == 100 || spent * 100 >= ceiling * 95,
                "cap {cap}: {spent} of {ceiling}"
            );
        }
    }
}

#[test]
fn an_isolated_subagent_works_in_its_worktree_and_the_receipt_tells_what_became_of_it() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Worktree(loopwright_protocol::WorktreeWork::Create) => {
            Plan::done(json!({ "path": "/w/1", "branch": "loopwright/r/0", "base": "abc" }))
        }
        Work::Worktree(_) => Plan::done(
            json!({ "changed": true, "branch": "loopwright/r/0", "path": "/w/1", "diffstat": "1 file" }),
        ),
        Work::Model(request) if turns(request) == 0 => Plan::calls(&[("write_file", json!({}))]),
        Work::Model(_) => Plan::says("written"),
        Work::Tool { root, .. } => Plan::done(root.clone().unwrap_or_default()),
        other => panic!("nobody asked for {other:?}"),
    };
    let run = run(served(plans), Step::task("a").with("isolation", "worktree"));
    let report = run.settled(0).unwrap().worktree.clone().unwrap();
    assert!(report.changed && report.diffstat == "1 file");
    let in_worktree = run.entries.iter().any(|entry| {
        matches!(entry, Entry::Settled(settled) if settled.outcome == Outcome::Done(loopwright_protocol::Json::of("/w/1")))
    });
    assert!(in_worktree, "the tool works in the worktree");
}
