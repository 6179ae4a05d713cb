//! The program API through the whole of it. A subagent's prompt says how it behaves: a number is its time in
//! milliseconds, `fail` fails for good, `flaky` once, `never` never ends; anything else is answered at once.

use crate::support::{program, replay_of, simulate};
use loopwright_protocol::{Dispatch, Work};
use loopwright_simulator::{Plan, Random, Simulated, Simulation};
use loopwright_types::{RunStatus, Usage};
use serde_json::{Value, json};

fn plan(dispatch: &Dispatch, _: &mut Random) -> Plan {
    let Work::Task(task) = &dispatch.work else { return Plan::done("contents").after_ms(1) };
    let usage = Usage { input_tokens: 4, output_tokens: 10, usd_micros: 100, ..Usage::default() };
    let word = task.prompt.split(' ').next().unwrap_or_default();
    match word {
        "fail" => Plan::broken(),
        "flaky" if dispatch.attempt.0 == 1 => Plan::retryable(),
        "never" => Plan::done("").never(),
        _ => Plan::done(task.prompt.as_str()).after_ms(word.parse().unwrap_or(0)),
    }
    .using(usage)
}

fn simulation(source: &str) -> Simulation {
    let simulation = Simulation::new(program("main.ts", source), 1).plans(plan);
    let mut simulation = simulation.set("task.backoff_ms", "0");
    simulation.start.tools = vec![loopwright_protocol::Tool::reading("read_file")];
    simulation
}

/// Runs the simulation, and its guests a second time from the journal alone.
fn run(simulation: Simulation) -> Simulated {
    let run = simulate(simulation);
    let replayed = replay_of(&run);
    assert_eq!(replayed.result, run.finish().result, "the replay gives the same");
    run
}

/// Status and result of a program with default settings.
fn end(source: &str) -> (RunStatus, Value, u64) {
    let run = run(simulation(source));
    let finish = run.finish();
    assert!(finish.error.is_none(), "{source}\n{}", finish.error.as_ref().unwrap());
    (finish.status, run.result(), run.elapsed.as_millis())
}

#[test]
fn programs_end_with_the_value_the_status_and_in_the_time_that_they_should() {
    use RunStatus::{Complete, Degraded};
    let cases = [
        ("await task({ description: 'hello' })", Complete, json!("hello"), 0),
        ("return await agent('20 a')", Complete, json!("20 a"), 20),
        ("await Promise.all([agent('20'), agent('30')])", Complete, json!(["20", "30"]), 30),
        (
            "await parallel([() => agent('9'), () => agent('fail')])",
            Degraded,
            json!(["9", null]),
            9,
        ),
        ("await agent('flaky', { retries: 1 }) === 'flaky'", Complete, json!(true), 0),
        ("await agent('fail', { fallback: { value: 7 } })", Complete, json!(7), 0),
        ("agent('50 not awaited'); 'value'", Complete, json!("value"), 50),
        ("task({ description: 'fail' }); 'value'", Degraded, json!("value"), 0),
        ("const at = Date.now(); await sleep(1500); Date.now() - at", Complete, json!(1500), 1500),
        ("await tools.readFile({ path: 'a' })", Complete, json!("contents"), 1),
        (
            "(await settle([() => task({ description: 'fail' }), () => agent('5')])).map((one) => one.status)",
            Complete,
            json!(["failed", "done"]),
            5,
        ),
        (
            "(await quorum(1, [() => agent('never'), () => agent('8')])).length",
            Complete,
            json!(1),
            8,
        ),
        (
            "const seen = []; for await (const one of asCompleted([() => agent('30'), () => agent('10'), () => agent('20')])) seen.push(one.value); seen",
            Complete,
            json!(["10", "20", "30"]),
            30,
        ),
        (
            "await withDeadline(40, () => agent('never'), 'too late')",
            Complete,
            json!("too late"),
            40,
        ),
        ("await withDeadline(40, () => agent('10'), 'too late')", Complete, json!("10"), 10),
        (
            "let n = 0; await hedge(() => agent(n++ === 0 ? '500' : '20'), { afterMs: 100 })",
            Complete,
            json!("20"),
            120,
        ),
        ("await agent('a'); await agent('b'); budget.spent()", Complete, json!(20), 0),
        (
            "await pipeline(['10', '20'], (_, item) => agent(item), (done) => agent(done + ' again'))",
            Complete,
            json!(["10 again", "20 again"]),
            40,
        ),
    ];
    for (source, status, value, ms) in cases {
        assert_eq!(end(source), (status, value, ms), "{source}");
    }
}

#[test]
fn losers_are_cancelled_and_the_run_does_not_wait_for_them() {
    let run = run(simulation("await quorum(1, [() => agent('never'), () => agent('8')])"));
    let loser = run.books.executions.iter().find(|one| one.asked == "never").unwrap();
    assert!(loser.cancelled.is_some());
    assert_eq!(run.finish().usage.output_tokens, 10);
}

#[test]
fn errors_that_escape_name_the_authors_line() {
    let cases = [
        ("\nawait task({ description: 'fail' });", "LW0607", 2),
        ("const a = 1;\n\nthrow new Error('oh');", "LW0208", 3),
        ("await new Promise(() => {});", "LW0210", 0),
        ("\n\nawait task({ description: 'a', subagentType: 'nobody' });", "LW0601", 3),
        (
            "\nawait agent('a', { schema: { type: 'string', minLength: 3, maxLength: 2 } });",
            "LW0402",
            2,
        ),
    ];
    for (source, code, line) in cases {
        let run = run(simulation(source));
        let error = run.finish().error.as_ref().unwrap();
        assert_eq!(run.finish().status, RunStatus::Failed, "{source}");
        assert_eq!(error.code.to_string(), code, "{source}: {error}");
        let found = error.location.as_ref().map_or(0, |location| location.position.line);
        assert_eq!(found, line, "{source}: {error}");
    }
}

#[test]
fn a_nested_program_works_at_cap_one() {
    let outer = "[await workflow('inner.ts', { n: 3 }), await agent('5')]";
    let inner = "await Promise.all(Array.from({ length: args.n }, () => agent('10')))";
    let simulation =
        simulation(outer).set("run.concurrency", "1").saved(program("inner.ts", inner));
    let run = run(simulation);
    assert_eq!(run.result(), json!([["10", "10", "10"], "5"]));
    assert_eq!(run.elapsed.as_millis(), 35);
}

#[test]
fn more_items_than_the_limit_are_refused() {
    let simulation =
        simulation("await parallel(Array.from({ length: 11 }, () => () => agent('a')))")
            .set("run.items_per_call_max", "10");
    let run = run(simulation);
    assert_eq!(run.finish().error.as_ref().unwrap().code.to_string(), "LW0207");
    assert!(run.books.executions.is_empty());
}

#[test]
fn the_items_of_a_program_decide_how_its_run_ends() {
    use RunStatus::{Complete, Degraded, Failed};
    for (items, status) in [("'a', 'b'", Complete), ("'a', 'fail'", Degraded), ("'fail'", Failed)] {
        let source = format!(
            "const items = [{items}]; coverage(items);\nawait pipeline(items, (_, item) => agent(item)); 1"
        );
        let run = run(simulation(&source));
        assert_eq!(run.finish().status, status, "{source}: {:?}", run.finish());
    }
}

#[test]
fn the_programs_budget_ends_its_calls_and_the_operators_parks_the_run() {
    let source = "export const meta = { name: 'b', description: 'b', budget: 25 };\n\
                  let done = 0;\n\
                  try { while (true) { await agent('a'); done += 1; } } catch (error) { done + error.reason }";
    let spent = run(simulation(source));
    assert_eq!(spent.result(), "3budget");
    let parked = run(simulation("while (true) await agent('a')").set("budget.tokens", "30"));
    assert_eq!(parked.finish().status, RunStatus::Parked);
    assert_eq!(parked.books.executions.len(), 3);
}

#[test]
fn a_program_that_computes_forever_is_stopped_the_same_way_every_time() {
    let source = "await agent('a'); for (;;);";
    let first = run(simulation(source).set("guest.cpu_ms", "10"));
    let again = run(simulation(source).set("guest.cpu_ms", "10"));
    assert_eq!(first.finish().error.as_ref().unwrap().code.to_string(), "LW0301");
    assert!(!first.finish().external);
    assert_eq!(first.entries, again.entries);
}

#[test]
fn an_answer_that_does_not_fit_goes_back_and_the_program_sees_a_good_one() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match dispatch.attempt.0 {
        1 => Plan::done(json!({ "n": "one" })),
        _ => Plan::done(json!({ "n": 1 })),
    };
    let source = "const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };\n\
                  (await agent('a', { schema })).n";
    let run = run(simulation(source).plans(plans));
    assert_eq!(run.result(), 1);
    assert_eq!(run.books.executions.len(), 2);
}

#[test]
fn a_cancelled_run_can_be_replayed_up_to_its_end() {
    let source = "await Promise.all([agent('never'), agent('5')]); 1";
    let after = Some(loopwright_types::Micros::from_millis(50));
    let run = run(simulation(source).setup(|setup| setup.cancel_after = after));
    assert_eq!(run.finish().status, RunStatus::Cancelled);
}
