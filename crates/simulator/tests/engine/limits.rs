use crate::{failure, run, simulation, tasks};
use loopwright_simulator::Step;
use loopwright_types::RunStatus;
use serde_json::json;

#[test]
fn a_task_over_the_runs_limit_fails_with_limit_and_is_not_sent() {
    let simulation = simulation().set("run.tasks_max", "3");
    let run = run(simulation, Step::settle(tasks(5)));
    assert_eq!(run.books.executions.len(), 3);
    for call in [3, 4] {
        assert_eq!(failure(&run, call), "limit LW0501 after 0");
    }
}

#[test]
fn nested_programs_share_the_limit() {
    let simulation =
        simulation().set("run.tasks_max", "3").saved(loopwright_simulator::program("inner"));
    let mut guests = loopwright_simulator::ScriptedGuests::new()
        .with("main", Step::seq([Step::settle(tasks(2)), Step::workflow("inner")]))
        .with("inner", Step::settle(tasks(2)));
    let run = simulation.run(&mut guests);
    assert_eq!(run.books.executions.iter().filter(|one| one.served_by != "workflow").count(), 3);
}

#[test]
fn calls_of_every_kind_are_limited_too() {
    let simulation = simulation().set("run.calls_max", "4");
    let run = run(simulation, Step::settle((0..6).map(|_| Step::sleep(1))));
    assert_eq!(failure(&run, 4), "limit LW0514 after 0");
    assert!(run.settled(3).is_some());
}

#[test]
fn what_is_known_to_be_wrong_is_refused_before_anything_is_sent() {
    let task = || Step::task("a");
    let cases = [
        (task().with("subagent", "nobody"), "policy LW0601 after 0"),
        (task().with("isolation", "container"), "policy LW0512 after 0"),
        (task().with("prompt", 7), "program LW0507 after 0"),
        (task().with("schema", json!({ "type": "nonsense" })), "schema LW0401 after 0"),
        (
            task().with("schema", json!({ "type": "string", "minLength": 3, "maxLength": 2 })),
            "schema LW0402 after 0",
        ),
        (
            task()
                .with("schema", json!({ "type": "string" }))
                .with("fallback", json!({ "value": 1 })),
            "schema LW0404 after 0",
        ),
    ];
    for (step, expected) in cases {
        let run = run(simulation(), Step::settle([step.clone()]));
        assert_eq!(failure(&run, 0), expected, "{step:?}");
        assert!(run.books.executions.is_empty(), "{step:?}");
        assert_eq!(run.finish().status, RunStatus::Complete);
    }
}

#[test]
fn a_broken_definition_is_refused_with_what_is_wrong_with_it() {
    let mut broken = loopwright_simulator::subagent("broken");
    broken.driver = "invalid".to_owned();
    broken.description = "`broken.md` line 3: `tools` is not a list".to_owned();
    let run = run(simulation().subagent(broken), Step::task("a").with("subagent", "broken"));
    assert_eq!(failure(&run, 0), "policy LW0602 after 0");
    assert!(run.finish().error.as_ref().unwrap().message.contains("line 3"));
}
