use crate::{run, simulation};
use loopwright_protocol::{Dispatch, Work};
use loopwright_simulator::{Plan, Random, Simulated, Step};
use loopwright_types::{Code, Diagnostic, RunStatus};
use serde_json::json;

/// `bad` fails for good, `bad tool` too; everything else gives its prompt after 10 ms.
fn plans(dispatch: &Dispatch, _: &mut Random) -> Plan {
    match &dispatch.work {
        Work::Task(task) if task.prompt == "bad" => Plan::broken().after_ms(10),
        Work::Task(task) => Plan::done(task.prompt.as_str()).after_ms(10),
        Work::Tool { name, .. } if name == "bad" => Plan::broken(),
        _ => Plan::done("ok"),
    }
}

fn end(script: Step) -> Simulated {
    run(simulation().plans(plans), script)
}

fn covering(total: u64, done: u64) -> Step {
    let note = json!({ "note": "coverage", "total": total, "done": done, "items": [] });
    Step::write(move |pen| pen.note(&note))
}

fn dropped() -> Step {
    let error = json!({ "name": "Error", "message": "oh" });
    let note = json!({ "note": "dropped", "where": "parallel", "index": 0, "error": error });
    Step::write(move |pen| pen.note(&note))
}

#[test]
fn a_run_ends_as_what_became_of_its_work() {
    use RunStatus::{Complete, Degraded, Failed};
    let (task, agent) = (Step::task, Step::agent);
    let cases = [
        ("all done", task("a"), Complete),
        ("nothing to do", Step::value(7), Complete),
        ("nobody caught it", task("bad"), Failed),
        ("it was caught", Step::catch(task("bad")), Complete),
        ("it was settled", Step::settle([task("bad"), task("a")]), Complete),
        ("it became null", Step::all([agent("bad"), agent("a")]), Degraded),
        ("it became null where the program looks", Step::settle([agent("bad")]), Complete),
        ("a thunk threw", Step::seq([dropped(), Step::value(1)]), Degraded),
        ("the program threw", Step::throw("oh"), Failed),
        ("not awaited, done", Step::seq([Step::spawn(task("a")), Step::value(1)]), Complete),
        ("not awaited, failed", Step::seq([Step::spawn(task("bad")), Step::value(1)]), Degraded),
        ("all items done", Step::seq([task("a"), covering(3, 3)]), Complete),
        ("some items done", Step::seq([task("a"), covering(3, 2)]), Degraded),
        ("no item done", Step::seq([task("a"), covering(3, 0)]), Failed),
        ("no items", covering(0, 0), Complete),
        ("items decide over nulls", Step::seq([agent("bad"), covering(3, 3)]), Complete),
        ("fallback", task("bad").with("fallback", json!({ "value": 1 })), Complete),
        ("a loser failed first", Step::quorum(1, [task("bad"), task("a")]), Complete),
        ("a tool failed and nobody caught it", Step::tool("bad"), Failed),
    ];
    for (name, script, status) in cases {
        let run = end(script);
        assert_eq!(run.finish().status, status, "{name}: {:?}", run.finish());
        let told = run.finish().error.is_some();
        assert_eq!(told, status == Failed, "{name}");
    }
}

#[test]
fn calls_that_are_not_awaited_are_awaited_before_the_end() {
    let script = Step::seq([
        Step::spawn(Step::seq([Step::task("a"), Step::task("b"), Step::log("last words")])),
        Step::value(1),
    ]);
    let run = end(script);
    assert_eq!(run.result(), 1);
    assert_eq!(run.finish().done, 2);
    assert_eq!(crate::count(&run, "logged"), 1);
}

#[test]
fn two_calls_not_awaited_are_both_seen_whatever_the_disk_does() {
    for delay in [0, 1, 5, 9, 10, 11] {
        let failing = || Step::spawn(Step::task("bad"));
        let script = Step::seq([failing(), Step::spawn(Step::task("a")), failing()]);
        let simulation = simulation().plans(plans).setup(|setup| {
            setup.sync_delay = loopwright_types::Micros::from_millis(delay);
        });
        let run = run(simulation, script);
        assert_eq!(crate::count(&run, "unhandled"), 2, "sync delay {delay} ms");
        assert_eq!(run.finish().status, RunStatus::Degraded);
    }
}

#[test]
fn a_call_refused_at_once_and_not_awaited_is_still_seen() {
    let script = Step::seq([
        Step::spawn(Step::task("a").with("subagent", "nobody")),
        Step::value("the result stays"),
    ]);
    let run = end(script);
    assert_eq!(run.finish().status, RunStatus::Degraded);
    assert_eq!(run.result(), "the result stays");
}

#[test]
fn failures_are_told_with_their_place() {
    let run = end(Step::catch(Step::all([Step::task("a"), Step::task("bad")])));
    let expected = ["main:2:1: task 1: the mock subagent failed on purpose (provider)"];
    assert_eq!(run.finish().failures, expected);
}

#[test]
fn a_thousand_failures_are_counted_and_a_hundred_told() {
    let simulation = simulation().plans(plans);
    let script = Step::settle((0..500).map(|_| Step::task("bad")));
    let run = run(simulation, script);
    assert_eq!(run.finish().failures.len(), 101);
    assert_eq!(run.finish().failures[100], "and 400 more");
}

#[test]
fn a_program_that_waits_for_nothing_is_ended_with_a_reason() {
    for script in [Step::Never, Step::seq([Step::task("a"), Step::Never])] {
        let run = end(script);
        let error = run.finish().error.as_ref().unwrap();
        assert_eq!((run.finish().status, error.code), (RunStatus::Failed, Code::NEVER_SETTLES));
    }
    let late =
        end(Step::seq([Step::spawn(Step::seq([Step::task("a"), Step::task("b")])), Step::Never]));
    assert_eq!(late.finish().done, 2, "what it began is finished first");
    assert_eq!(late.finish().error.as_ref().unwrap().code, Code::NEVER_SETTLES);
}

#[test]
fn a_guest_that_is_stopped_fails_the_run_and_says_whether_that_is_an_outcome() {
    for external in [false, true] {
        let why = Diagnostic::new(Code::GUEST_CPU, "computed for too long");
        let script = Step::all([Step::task("a"), Step::stop(why.clone(), external), Step::Never]);
        let run = end(script);
        let finish = run.finish();
        assert_eq!(finish.status, RunStatus::Failed);
        assert_eq!((finish.error.as_ref(), finish.external), (Some(&why), external));
        assert!(run.books.executions.iter().all(|one| one.ended.is_some()));
    }
}

#[test]
fn a_run_stopped_from_outside_is_replayed_as_far_as_its_journal_goes() {
    // Stopped from outside in the turn of its second call; the replay, which nothing stops, goes further.
    let script = |stopped: bool| {
        let why = Diagnostic::new(Code::GUEST_SAFETY_STOP, "did not answer");
        let end = if stopped { Step::stop(why, true) } else { Step::task("c") };
        Step::seq([Step::task("a"), Step::all([Step::task("b"), end])])
    };
    let run = end(script(true));
    let mut guests = loopwright_simulator::ScriptedGuests::new().with("main", script(false));
    let replayed = loopwright_engine::replay(run.entries, &mut guests, 1);
    assert_eq!(replayed.unwrap().result, None);
}

#[test]
fn a_guest_that_does_not_start_fails_the_run() {
    let simulation = simulation();
    let run = simulation.run(&mut loopwright_simulator::ScriptedGuests::new());
    assert_eq!(run.finish().error.as_ref().unwrap().code, Code::SANDBOX_SETUP);
}

#[test]
fn an_error_that_escapes_waits_for_what_is_under_way_and_names_its_line() {
    let script = Step::all([Step::task("a"), Step::throw("oh")]);
    let run = end(script);
    assert_eq!(run.finish().done, 1);
    let error = run.finish().error.as_ref().unwrap();
    assert_eq!(error.message, "the program threw: oh");
    assert_eq!(error.location.as_ref().unwrap().file, "main");
}
