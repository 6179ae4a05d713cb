//! Whatever a model or a driver answers: a value that a program receives matches its schema, and what is not a value
//! is a failure with its record. What matches is judged here by hand, not by the engine's validator.

use crate::served::{by_model, served};
use crate::spoilt::{self, KINDS};
use loopwright_host::Guests;
use loopwright_protocol::{
    CompletionStatus, Dispatch, Entry, GuestStart, Json, Message, Outcome, TurnInput, TurnReport,
    Work,
};
use loopwright_simulator::{Plan, Random, ScriptedGuests, Simulated, Simulation, Step, subagent};
use loopwright_types::{Diagnostic, GuestId, Reason, RunStatus, Slot};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

/// Answers of `cargo test`; the whole is asked for by a variable.
const ANSWERS: u64 = 4_000;
/// Tasks of one run.
const TASKS: u64 = 30;

/// A schema, what matches it, and how one that does is made.
struct Wanted {
    schema: Value,
    matches: fn(&Value) -> bool,
    make: fn(&mut Random) -> Value,
}

/// All that is ever asked for.
static WANTED: LazyLock<Vec<Wanted>> = LazyLock::new(|| {
    let wanted = |schema, matches, make| Wanted { schema, matches, make };
    vec![
        wanted(
            json!({ "type": "object", "required": ["n"], "additionalProperties": false,
                "properties": { "n": { "type": "integer", "minimum": 1, "maximum": 100 } } }),
            |value| {
                only(value, &["n"], &[])
                    && whole(&value["n"]).is_some_and(|n| (1.0..=100.0).contains(&n))
            },
            |random| json!({ "n": 1 + random.below(100) }),
        ),
        wanted(
            json!({ "type": "array", "minItems": 1, "maxItems": 5, "uniqueItems": true,
                "items": { "type": "string", "minLength": 1, "maxLength": 20 } }),
            |value| list(value, 1..=5, |it| text(it, 1..=20)) && distinct(value),
            |random| (0..1 + random.below(5)).map(|n| json!(format!("item {n}"))).collect(),
        ),
        wanted(
            json!({ "enum": ["yes", "no", 7] }),
            |value| value == "yes" || value == "no" || value.as_f64() == Some(7.0),
            |random| [json!("yes"), json!("no"), json!(7)][random.below(3) as usize].clone(),
        ),
        wanted(json!({ "type": "boolean" }), Value::is_boolean, |random| json!(random.chance(0.5))),
        wanted(
            json!({ "type": "integer" }),
            |value| whole(value).is_some(),
            |random| json!(random.below(1000)),
        ),
        wanted(finding(), is_finding, |random| {
            json!({ "file": "src/a.rs", "severity": if random.chance(0.5) { "low" } else { "high" },
                "lines": [random.below(9), 7], "note": null })
        }),
        wanted(
            json!({ "oneOf": [
                { "type": "object", "required": ["kind", "value"], "additionalProperties": false,
                    "properties": { "kind": { "const": "a" }, "value": { "type": "number" } } },
                { "type": "object", "required": ["kind", "items"], "additionalProperties": false,
                    "properties": { "kind": { "const": "b" },
                        "items": { "type": "array", "items": { "type": "string" } } } },
            ] }),
            |value| match value["kind"].as_str() {
                Some("a") => only(value, &["kind", "value"], &[]) && value["value"].is_number(),
                Some("b") => {
                    only(value, &["kind", "items"], &[])
                        && list(&value["items"], 0..=usize::MAX, Value::is_string)
                }
                _ => false,
            },
            |random| match random.below(2) {
                0 => json!({ "kind": "a", "value": 1.5 }),
                _ => json!({ "kind": "b", "items": ["x", "y"] }),
            },
        ),
        wanted(
            json!({ "$ref": "#/$defs/node", "$defs": { "node": { "type": "object",
                "required": ["name"], "additionalProperties": false, "properties": {
                    "name": { "type": "string" },
                    "children": { "type": "array", "items": { "$ref": "#/$defs/node" } } } } } }),
            is_node,
            |_| json!({ "name": "a", "children": [{ "name": "b" }, { "name": "c", "children": [] }] }),
        ),
        wanted(
            json!({ "type": "string", "minLength": 3 }),
            |it| text(it, 3..=usize::MAX),
            |_| json!("done"),
        ),
        wanted(json!({ "type": "null" }), Value::is_null, |_| Value::Null),
    ]
});

fn finding() -> Value {
    json!({ "type": "object", "required": ["file", "severity", "lines"], "additionalProperties": false,
        "properties": {
            "file": { "type": "string", "pattern": "^[a-z/]+\\.rs$" },
            "severity": { "enum": ["low", "high"] },
            "lines": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
            "note": { "type": ["string", "null"] } } })
}

fn is_finding(value: &Value) -> bool {
    let path = |it: &str| {
        let stem = it.strip_suffix(".rs").unwrap_or_default();
        !stem.is_empty() && stem.chars().all(|c| c == '/' || c.is_ascii_lowercase())
    };
    only(value, &["file", "severity", "lines"], &["note"])
        && value["file"].as_str().is_some_and(path)
        && (value["severity"] == "low" || value["severity"] == "high")
        && list(&value["lines"], 0..=usize::MAX, |it| whole(it).is_some_and(|n| n >= 0.0))
        && (value["note"].is_null() || value["note"].is_string())
}

fn is_node(value: &Value) -> bool {
    only(value, &["name"], &["children"])
        && value["name"].is_string()
        && value.get("children").is_none_or(|it| list(it, 0..=usize::MAX, is_node))
}

/// An object with all of these members, and no other than these.
fn only(value: &Value, all: &[&str], may: &[&str]) -> bool {
    value.as_object().is_some_and(|members| {
        all.iter().all(|name| members.contains_key(*name))
            && members
                .keys()
                .all(|name| all.contains(&name.as_str()) || may.contains(&name.as_str()))
    })
}

fn list(
    value: &Value,
    long: std::ops::RangeInclusive<usize>,
    each: impl Fn(&Value) -> bool,
) -> bool {
    value.as_array().is_some_and(|items| long.contains(&items.len()) && items.iter().all(each))
}

fn distinct(value: &Value) -> bool {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
}

fn text(value: &Value, long: std::ops::RangeInclusive<usize>) -> bool {
    value.as_str().is_some_and(|text| long.contains(&text.chars().count()))
}

/// The number, where it has no fraction.
fn whole(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.fract() == 0.0)
}

/// Everything that guests were told, by guest and slot.
type Told = Rc<RefCell<HashMap<(GuestId, Slot), (CompletionStatus, Json)>>>;

/// Guests whose completions are kept.
struct Listening(ScriptedGuests, Told);

impl Guests for Listening {
    fn start(&mut self, guest: GuestId, start: &GuestStart) -> Result<(), Diagnostic> {
        self.0.start(guest, start)
    }

    fn turn(&mut self, guest: GuestId, input: &TurnInput) -> TurnReport {
        let told =
            input.completions.iter().map(|it| ((guest, it.slot), (it.status, it.json.clone())));
        self.1.borrow_mut().extend(told);
        self.0.turn(guest, input)
    }

    fn end(&mut self, guest: GuestId) {
        self.0.end(guest);
    }
}

/// What came of some answers.
#[derive(Debug, Default)]
struct Tally {
    answers: u64,
    /// Answers of each kind.
    kinds: [u64; KINDS.len()],
    done: u64,
    failed: u64,
    nulled: u64,
    reasked: u64,
}

/// Whose wishes the prompt numbers.
fn number(prompt: &str) -> usize {
    let digits = prompt.split(' ').next().unwrap_or_default();
    digits.parse().unwrap_or_else(|_| panic!("`{prompt}` begins with no number"))
}

/// Answers a model's request or a driver's task, spoilt.
fn answer(dispatch: &Dispatch, random: &mut Random, tally: &RefCell<Tally>) -> Plan {
    let all = &*WANTED;
    let (kind, plan) = match &dispatch.work {
        Work::Model(request) => {
            let Some(Message::User { text }) = request.messages.first() else {
                panic!("a conversation begins with the task")
            };
            let right = (all[number(text)].make)(random);
            spoilt::reply(&right, random)
        }
        Work::Task(task) => {
            let right = (all[number(&task.prompt)].make)(random);
            match random.below(3) {
                0 => (0, Plan::done(right)),
                1 => (1, Plan::done(spoilt::changed(&right, random))),
                _ => (3, Plan::done(json!({ "answer": right }))),
            }
        }
        Work::Tool { .. } => return Plan::done("found"),
        other => panic!("nobody asked for {other:?}"),
    };
    let mut tally = tally.borrow_mut();
    tally.answers += 1;
    tally.kinds[kind] += 1;
    plan.after_ms(random.below(200))
}

/// A program of tasks that each want one of the schemas.
fn script(random: &mut Random) -> Step {
    let all = &*WANTED;
    let tasks = (0..TASKS).map(|_| {
        let number = random.below(all.len() as u64) as usize;
        let Wanted { schema, make, .. } = &all[number];
        let prompt = format!("{number} say it");
        let is_agent = random.chance(0.4);
        let task = if is_agent { Step::agent(&prompt) } else { Step::task(&prompt) };
        let mut task = task.with("schema", schema.clone());
        if random.chance(0.2) {
            task = task.with("subagent", "driven");
        }
        match random.below(8) {
            0 => task = task.with("fallback", json!({ "value": make(random) })),
            1 => task = task.with("fallback", json!({ "subagent": "driven" })),
            2 => task = task.with("maxTurns", 1 + random.below(3)),
            _ => {}
        }
        match random.below(8) {
            0 => Step::quorum(1, [task.clone(), task]),
            1 => Step::deadline(100 + random.below(300), task),
            // Nobody looks at how this one ends: it gives its value or `null`.
            _ if is_agent => Step::catch(task),
            _ => Step::settle([task]),
        }
    });
    Step::all(tasks.map(Step::catch).collect::<Vec<_>>())
}

/// The run of one seed, and everything that its program was told.
fn simulate(seed: u64, tally: &Rc<RefCell<Tally>>) -> (Simulated, Told) {
    let mut random = Random::new(seed).fork(1);
    let counted = Rc::clone(tally);
    let plans = move |dispatch: &Dispatch, random: &mut Random| answer(dispatch, random, &counted);
    let mut simulation: Simulation = served()
        .subagent(subagent("driven"))
        .subagent(by_model("general-purpose"))
        .set("run.concurrency", "16")
        .set("task.schema_retries", &random.below(4).to_string())
        .plans(plans);
    simulation.start.seed = seed;
    simulation.setup.seed = seed;
    simulation.setup.shuffled = true;
    let told = Told::default();
    let scripted = ScriptedGuests::new().with("main", script(&mut random));
    let run = simulation.run(&mut Listening(scripted, Rc::clone(&told)));
    (run, told)
}

/// Runs a seed and judges every value that its program was told.
fn try_seed(seed: u64, tally: &Rc<RefCell<Tally>>) {
    let (run, told) = simulate(seed, tally);
    assert!(matches!(run.ended, Ok(RunStatus::Complete | RunStatus::Degraded)), "seed {seed}");
    let (all, told) = (&*WANTED, told.borrow());
    let mut nulled = 0;
    for entry in &run.entries {
        let Entry::Called(call) = entry else { continue };
        let request: Value = call.request.read().unwrap();
        let Some(prompt) = request["prompt"].as_str() else { continue };
        let settled = run.settled(call.call.0).expect("a call that ended has its record");
        let (status, json) = &told[&(call.guest, call.slot)];
        let name = || format!("seed {seed}: call {} was told `{json:?}`", call.call);
        let mut tally = tally.borrow_mut();
        match (status, &settled.outcome) {
            (CompletionStatus::Done, Outcome::Done(kept)) => {
                let value: Value =
                    json.read().unwrap_or_else(|error| panic!("{}: {error}", name()));
                assert!((all[number(prompt)].matches)(&value), "{}, no {prompt}", name());
                assert_eq!(kept.text(), json.text(), "{}", name());
                tally.done += 1;
            }
            (CompletionStatus::Failed, Outcome::Failed(failure)) => {
                let value: Value = json.read().unwrap();
                assert_eq!(value["code"], failure.code.to_string(), "{}", name());
                assert_eq!(value["reason"], failure.reason.as_str(), "{}", name());
                tally.failed += 1;
                let becomes_null = matches!(failure.reason, Reason::Provider | Reason::Timeout);
                nulled += u64::from(call.bits & 5 == 1 && becomes_null);
            }
            (status, outcome) => panic!("{} as {status:?}, kept as {outcome:?}", name()),
        }
    }
    // A failure that became `null` unseen is told in the run's status.
    let expected = if nulled > 0 { RunStatus::Degraded } else { RunStatus::Complete };
    assert_eq!(run.ended, Ok(expected), "seed {seed}: {nulled} unseen nulls");
    let reasks = run.books.executions.iter().filter(|one| one.attempt.0 > 1).count();
    let mut tally = tally.borrow_mut();
    (tally.nulled, tally.reasked) = (tally.nulled + nulled, tally.reasked + reasks as u64);
}

#[test]
fn no_program_receives_a_value_that_misses_its_schema_whatever_is_answered() {
    let answers = std::env::var("LOOPWRIGHT_FUZZED_ANSWERS").ok().and_then(|n| n.parse().ok());
    let (answers, tally) = (answers.unwrap_or(ANSWERS), Rc::new(RefCell::new(Tally::default())));
    let mut seed = 0;
    while tally.borrow().answers < answers {
        try_seed(seed, &tally);
        seed += 1;
    }
    let tally = tally.borrow();
    println!("{seed} runs: {tally:?}");
    assert!(tally.kinds.iter().all(|count| *count > 0), "{:?}", tally.kinds);
    let (done, failed, nulled) = (tally.done, tally.failed, tally.nulled);
    for (what, count, share) in [("done", done, 10), ("failed", failed, 10), ("null", nulled, 1000)]
    {
        assert!(count * share > tally.answers, "{what}: {count} of {} answers", tally.answers);
    }
}
