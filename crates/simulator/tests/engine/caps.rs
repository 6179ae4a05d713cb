use crate::{run, simulation, tasks};
use loopwright_protocol::{Dispatch, Work};
use loopwright_simulator::{Latency, Plan, Random, Simulation, Step, subagent};
use loopwright_types::Micros;

/// Each attempt takes 10 ms.
fn steady(simulation: Simulation) -> Simulation {
    simulation.plans(|_: &Dispatch, _: &mut Random| Plan::done("ok").after_ms(10))
}

fn task_of(subagent: &str, prompt: &str) -> Step {
    Step::task(prompt).with("subagent", subagent)
}

#[test]
fn a_run_works_at_its_cap_all_the_time_and_never_above() {
    for (cap, n, ms) in [(1, 5, 50), (4, 12, 30), (5, 12, 30), (100, 12, 10)] {
        let simulation = steady(simulation().set("run.concurrency", &cap.to_string()));
        let run = run(simulation, Step::all(tasks(n)));
        assert_eq!(run.elapsed, Micros::from_millis(ms), "cap {cap}, {n} tasks");
        assert_eq!(run.books.peak.tasks, cap.min(n), "cap {cap}, {n} tasks");
    }
}

#[test]
fn defaults_do_not_depend_on_the_machine() {
    let run = run(steady(simulation()), Step::all(tasks(100)));
    assert_eq!(run.books.peak.tasks, 16);
    assert_eq!(run.elapsed, Micros::from_millis(70));
}

#[test]
fn types_and_providers_have_caps_of_their_own() {
    let mut wide = subagent("wide");
    wide.provider = "one".to_owned();
    let mut narrow = subagent("narrow");
    (narrow.provider, narrow.concurrency) = ("one".to_owned(), Some(2));
    let mut other = subagent("other");
    other.provider = "two".to_owned();
    let simulation = simulation()
        .subagent(wide)
        .subagent(narrow)
        .subagent(other)
        .set("run.concurrency", "20")
        .set("run.concurrency_per_provider", "5")
        .set("run.concurrency_per_subagent", "4");
    let each = |name: &'static str| (0..10).map(move |i| task_of(name, &i.to_string()));
    let script = Step::all(each("narrow").chain(each("wide")).chain(each("other")));
    let run = run(steady(simulation), script);
    let peak = |name: &str| run.books.peak.subagents[name];
    assert_eq!([peak("narrow"), peak("wide"), peak("other")], [2, 3, 4]);
    assert_eq!(run.books.peak.providers["one"], 5);
    assert_eq!(run.books.peak.providers["two"], 4);
}

#[test]
fn tasks_go_in_call_order_and_a_full_type_holds_up_nobody_else() {
    let mut narrow = subagent("narrow");
    narrow.concurrency = Some(1);
    let simulation = steady(simulation().subagent(narrow).set("run.concurrency", "3"));
    let names = ["narrow", "narrow", "general-purpose", "narrow", "general-purpose"];
    let script = Step::all((0..5).map(|i| task_of(names[i], &i.to_string())));
    let run = run(simulation, script);
    let order: Vec<&str> = run.books.executions.iter().map(|one| one.asked.as_str()).collect();
    assert_eq!(order, ["0", "2", "4", "1", "3"]);
    assert_eq!(run.elapsed, Micros::from_millis(30));
}

#[test]
fn a_task_that_waits_in_a_backoff_holds_no_slot() {
    let simulation =
        simulation().set("run.concurrency", "1").plans(|dispatch: &Dispatch, _: &mut Random| {
            match dispatch.attempt.0 {
                1 => Plan::retryable().after_ms(10),
                _ => Plan::done("ok").after_ms(10),
            }
        });
    let run = run(simulation, Step::all(tasks(2)));
    let order: Vec<(u32, u32)> =
        run.books.executions.iter().map(|one| (one.call.0, one.attempt.0)).collect();
    assert_eq!(order[..2], [(0, 1), (1, 1)]);
    assert_eq!(run.books.peak.tasks, 1);
}

#[test]
fn tools_do_not_wait_behind_tasks() {
    let simulation =
        simulation().set("run.concurrency", "1").plans(|dispatch: &Dispatch, _: &mut Random| {
            match dispatch.work {
                Work::Tool { .. } => Plan::done("file").after_ms(1),
                _ => Plan::done("ok").after_ms(100),
            }
        });
    let run = run(simulation, Step::all([Step::task("slow"), Step::tool("read_file")]));
    let tool = run.books.of(loopwright_types::CallId(1)).next().expect("the tool was called");
    assert_eq!(tool.dispatched.since(loopwright_simulator::START), Micros(0));
}

#[test]
fn a_slot_is_taken_from_dispatch_to_the_end_of_a_cancelled_attempt() {
    let stubborn = |dispatch: &Dispatch, random: &mut Random| {
        let latency = Latency::Even(Micros(1), Micros::from_millis(50)).draw(random);
        let plan = Plan::done("ok").after(latency);
        match dispatch.call.0 % 3 {
            0 => plan.on_cancel(loopwright_simulator::OnCancel::Ignored),
            _ => plan,
        }
    };
    let simulation = simulation().set("run.concurrency", "2").plans(stubborn);
    let race = || Step::quorum(1, tasks(3));
    let run = run(simulation, Step::all([race(), race(), race()]));
    assert_eq!(run.books.peak.tasks, 2);
    assert_eq!(run.result().as_array().map(Vec::len), Some(3));
}
