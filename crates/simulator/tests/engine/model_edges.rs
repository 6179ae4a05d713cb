//! Subagents that a model serves, where something goes wrong or comes at the wrong time.

use crate::served::{asked, by_model, failed, last, model, prompt, served, talking, turns};
use crate::{count, failure, run};
use loopwright_protocol::{Block, Dispatch, Entry, Finish, Json, ModelRequest, Outcome, Work};
use loopwright_simulator::{OnCancel, Plan, Random, Step, subagent};
use loopwright_types::{Code, Failure, FailureClass, Micros, Reason, RunStatus, Usage};
use serde_json::json;

fn tool_use(id: &str, name: &str, arguments: &str) -> Block {
    let text = |text: &str| text.to_owned();
    Block::ToolUse { id: text(id), name: text(name), arguments: text(arguments) }
}

#[test]
fn tool_errors_and_arguments_that_cannot_be_read_go_back_as_text() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Model(request) if turns(request) == 0 => {
            let calls = [
                tool_use("1", "grep", r#"{"pattern":"x",}"#),
                tool_use("2", "grep", "pattern = x"),
                tool_use("3", "write_file", "{}"),
                tool_use("4", "rm", "{}"),
            ];
            Plan::replies(calls.to_vec(), Finish::Tools)
        }
        Work::Model(request) => Plan::says(last(request)),
        Work::Tool { name, args, .. } if name == "grep" => Plan::done(args.text().to_owned()),
        Work::Tool { .. } => Plan::failed(
            Failure::new(Reason::Provider, Code::TOOL_FAILED, "no such directory").hint("make it"),
        ),
        other => panic!("nobody asked for {other:?}"),
    };
    let run = run(served().plans(plans), Step::task("look"));
    let said = run.result();
    let lines: Vec<&str> = said.as_str().unwrap().lines().collect();
    assert_eq!(lines[0], r#"{"pattern":"x"}"#, "mended");
    assert!(lines[1].starts_with("!the arguments are not JSON"), "{}", lines[1]);
    assert_eq!(lines[2..4], ["!no such directory", "hint: make it"]);
    assert_eq!(lines[4], "!there is no tool `rm`; there are grep, write_file");
}

#[test]
fn only_the_value_crosses_back_and_the_mock_is_asked_as_a_whole() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Task(task) => Plan::done(format!("mock: {}", task.prompt)),
        Work::Model(request) if turns(request) == 0 => Plan::calls(&[("grep", json!({}))]),
        Work::Model(_) => Plan::says("short"),
        _ => Plan::done("x".repeat(100_000)),
    };
    let tasks = [Step::task("a"), Step::task("b").with("model", "mock")];
    let run = run(served().plans(plans), Step::all(tasks));
    assert_eq!(run.result(), json!(["short", "mock: b"]));
    assert_eq!(asked(&run), 2);
}

#[test]
fn a_refusal_or_a_cut_reply_goes_to_the_fallback_subagent_which_begins_anew() {
    for finish in [Finish::Refusal, Finish::Length] {
        let plans = talking(move |request| match request.model.as_str() {
            "p:m" => Plan::replies(vec![Block::Text { text: "half".to_owned() }], finish),
            _ => Plan::says(format!("{} after {}", prompt(request), turns(request))),
        });
        let mut other = by_model("other");
        other.model = Some("o".to_owned());
        let mut simulation = served().subagent(other).plans(plans);
        simulation.start.models.insert("o".to_owned(), model("o", "q"));
        let task = Step::task("a").with("fallback", json!({ "subagent": "other" }));
        let run = run(simulation, task);
        assert_eq!(run.result(), json!("a after 0"), "{finish:?}");
        let settled = run.settled(0).unwrap();
        assert_eq!(settled.subagent.as_deref(), Some("other"));
        assert_eq!(settled.salvage, None, "there is an answer");
    }
}

#[test]
fn a_subagent_that_is_never_done_fails_with_what_it_said_last() {
    let plans = talking(|request| {
        let text = Block::Text { text: format!("turn {}", turns(request) + 1) };
        Plan::replies(vec![text, tool_use("1", "grep", "{}")], Finish::Tools)
    });
    let run = run(served().plans(plans), Step::settle([Step::task("a").with("maxTurns", 3)]));
    assert!(failure(&run, 0).starts_with("provider LW0610"), "{}", failure(&run, 0));
    assert_eq!(asked(&run), 3);
    assert_eq!(run.settled(0).unwrap().salvage.as_deref(), Some("turn 3"));
}

#[test]
fn a_name_that_many_want_at_once_is_looked_up_once() {
    for (answers, expected) in
        [(true, json!("q:new")), (false, json!({"reason": "policy", "code": "LW1003"}))]
    {
        let plans = move |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
            Work::ResolveModel { .. } if answers => {
                Plan::done(serde_json::to_value(model("new", "q")).unwrap()).after_ms(10)
            }
            Work::ResolveModel { .. } => {
                let unknown = Failure::new(Reason::Policy, Code::MODEL_UNKNOWN, "unknown");
                Plan::failed(unknown.not_sent()).after_ms(10)
            }
            Work::Model(request) => Plan::says(request.model.as_str()),
            other => panic!("nobody asked for {other:?}"),
        };
        let tasks = (0..8).map(|_| Step::task("a").with("model", "new"));
        let run = run(served().plans(plans), Step::settle(tasks));
        assert_eq!(run.result(), json!(vec![expected; 8]));
        let looked = run.books.executions.iter().filter(|one| one.served_by == "resolve");
        assert_eq!(looked.count(), 1);
    }
}

#[test]
fn when_the_task_that_looks_a_name_up_is_cancelled_another_one_does() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::ResolveModel { .. } => {
            Plan::done(serde_json::to_value(model("new", "q")).unwrap()).after_ms(100)
        }
        Work::Model(request) => Plan::says(request.model.as_str()),
        other => panic!("nobody asked for {other:?}"),
    };
    let task = || Step::task("a").with("model", "new");
    let script = Step::settle([Step::deadline(50, task()), task(), task()]);
    let run = run(served().plans(plans), script);
    assert_eq!(run.result(), json!([null, "q:new", "q:new"]));
    assert_eq!(run.elapsed.as_millis(), 150);
}

#[test]
fn cancellation_and_deadlines_reach_requests_and_tools_and_late_ends_are_charged() {
    let used = Usage { input_tokens: 7, ..Usage::default() };
    let late = OnCancel::Ends { after: Micros(5000), usage: used };
    let in_model = move |_: &ModelRequest| Plan::says("late").never().on_cancel(late);
    let in_tool = move |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Model(_) => Plan::calls(&[("grep", json!({})), ("write_file", json!({}))]),
        _ => Plan::done("late").never().on_cancel(late),
    };
    let task = || Step::task("a");
    let steps = [
        ("timeout LW0502", Step::settle([task().with("timeoutMs", 1000)])),
        ("timeout LW0510", Step::deadline(1000, task())),
        ("cancelled LW0504", Step::quorum(1, [task(), Step::sleep(1000)])),
    ];
    for (expected, step) in steps {
        for (tools, ends) in [(false, 1), (true, 2)] {
            let simulation = match tools {
                true => served().plans(in_tool),
                false => served().plans(talking(in_model)),
            };
            let run = run(simulation, step.clone());
            assert!(failure(&run, 0).starts_with(expected), "{}", failure(&run, 0));
            let ended = run.books.executions.iter().filter(|one| one.cancelled.is_some());
            assert_eq!(ended.count(), ends, "{expected}");
            assert_eq!(run.finish().usage.input_tokens, 7 * ends as u64, "{expected}");
            assert_eq!(run.elapsed.as_millis(), 1005, "{expected}");
        }
    }
}

#[test]
fn the_operators_end_reaches_a_loop_and_leaves_it_open() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Model(_) => {
            let text = Block::Text { text: "so far".to_owned() };
            Plan::replies(vec![text, tool_use("1", "grep", "{}")], Finish::Tools)
        }
        _ => Plan::done("late").never(),
    };
    let simulation = served().plans(plans);
    let simulation = simulation.setup(|setup| setup.cancel_after = Some(Micros(1000)));
    let run = run(simulation, Step::task("a"));
    assert_eq!(run.finish().status, RunStatus::Cancelled);
    assert!(run.settled(0).is_none());
    assert!(run.books.executions.iter().all(|one| one.ended.is_some()));
}

#[test]
fn a_parked_loop_gives_its_slot_and_its_time_to_the_rest_of_the_run() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Model(_) => Plan::failed(failed(FailureClass::Park, Code::QUOTA_SPENT)),
        _ => Plan::done("other").after_ms(5000),
    };
    let simulation = served().set("run.concurrency", "2").subagent(subagent("other")).plans(plans);
    let parked = (0..5).map(|_| Step::task("a").with("timeoutMs", 1000));
    let others = (0..4).map(|_| Step::task("b").with("subagent", "other"));
    let run = run(simulation, Step::settle(parked.chain(others)));
    assert_eq!(run.finish().status, RunStatus::Parked);
    assert!(run.finish().error.as_ref().unwrap().message.contains("waits for its provider"));
    assert_eq!(run.finish().done, 4, "what needs no model is done");
    assert!((0..5).all(|call| run.settled(call).is_none()), "nothing failed meanwhile");
    assert!(asked(&run) <= 2, "a quota that is spent is not asked for again: {}", asked(&run));
}

#[test]
fn siblings_that_wait_for_a_parked_request_do_not_keep_the_run_from_parking() {
    let plans = talking(|_| Plan::failed(failed(FailureClass::Park, Code::QUOTA_SPENT)));
    let simulation = served().set("provider.cache_prefix_tokens", "1").plans(plans);
    let run = run(simulation, Step::all(crate::tasks(8)));
    assert_eq!(run.finish().status, RunStatus::Parked);
}

#[test]
fn a_rule_of_the_call_never_widens_the_definitions() {
    let grants = |defined: &[&str], asked: &[&str], denied: &[&str]| {
        let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
            Work::Model(request) if request.tools.is_empty() => Plan::says("none"),
            Work::Model(request) if turns(request) == 0 => Plan::calls(&[("bash", json!({}))]),
            Work::Model(request) => Plan::says(last(request)),
            Work::Tool { grant, .. } => Plan::done(grant.as_ref().unwrap().join(" ")),
            other => panic!("nobody asked for {other:?}"),
        };
        let list = |items: &[&str]| -> Vec<String> { items.iter().map(|&i| i.into()).collect() };
        let mut simulation = served().plans(plans);
        simulation.start.tools = vec![loopwright_protocol::Tool::reading("bash")];
        simulation.start.subagents[0].tools = Some(list(defined));
        simulation.start.subagents[0].tools_denied = list(denied);
        run(simulation, Step::task("a").with("tools", asked)).result()
    };
    assert_eq!(grants(&["bash"], &["bash"], &[]), "bash");
    assert_eq!(grants(&["Bash(git log:*)"], &["bash"], &[]), "Bash(git log:*)");
    assert_eq!(grants(&["Bash(git:*)"], &["Bash(git log:*)"], &[]), "Bash(git log:*)");
    assert_eq!(grants(&["Bash(git:*)"], &["Bash(rm:*)"], &[]), "none");
    assert_eq!(grants(&["bash"], &["bash"], &["Bash(rm:*)"]), "none", "no tool enforces it");
}

#[test]
fn every_step_is_in_the_journal_with_its_turn() {
    let plans = talking(|request| match turns(request) {
        0 => Plan::calls(&[("grep", json!({ "n": 1 })), ("grep", json!({ "n": 2 }))]),
        1 => Plan::calls(&[("write_file", json!({}))]),
        _ => Plan::says("done"),
    });
    let run = run(served().plans(plans), Step::task("a"));
    let steps = run.entries.iter().filter_map(|entry| match entry {
        Entry::Stepped(step) => Some((step.turn, step.name.as_str())),
        _ => None,
    });
    let expected =
        [(1, "p:m"), (1, "grep"), (1, "grep"), (2, "p:m"), (2, "write_file"), (3, "p:m")];
    assert_eq!(steps.collect::<Vec<_>>(), expected);
    assert_eq!(count(&run, "settled"), 7);
    let digests: std::collections::BTreeSet<String> = run
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Stepped(step) => Some(format!("{:?}", step.digest)),
            _ => None,
        })
        .collect();
    assert_eq!(digests.len(), 6, "each is another request");
    let last = run.settled(6).map(|settled| settled.outcome.clone());
    assert!(matches!(last, Some(Outcome::Done(value)) if value != Json::null()));
}
