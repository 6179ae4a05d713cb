//! Forks: what a recorded run answers is not asked again, what it does not answer is, and nothing gets the answer of
//! anything else.

use crate::served::{by_model, model, talking};
use crate::{count, run, simulation, tasks};
use loopwright_engine::{Part, Recorded, RecordedCall, Refusal, Verdict, replay};
use loopwright_protocol::{CallEntry, CallKind, Entry, Outcome, SettleEntry, Tool, Work};
use loopwright_simulator::{
    Latency, Plan, Random, ScriptedGuests, Simulated, Simulation, Step, subagent,
};
use loopwright_types::{CallId, Effects, Micros, Usage};
use serde_json::json;

fn past(run: &Simulated) -> Recorded {
    Recorded::read(run.entries.clone()).expect("a run has its start")
}

/// A simulation whose subagents answer with their prompt after a drawn time.
fn shuffled(seed: u64) -> Simulation {
    let plans = |dispatch: &loopwright_protocol::Dispatch, random: &mut _| {
        let took = Latency::Even(Micros(0), Micros(900_000)).draw(random);
        let used = Usage { output_tokens: 5, usd_micros: 7, ..Usage::default() };
        match &dispatch.work {
            Work::Task(task) => Plan::done(format!("[{}]", task.prompt)).after(took).using(used),
            Work::Tool { .. } => Plan::done("read").after(took),
            _ => Plan::done(true).after(took),
        }
    };
    simulation().plans(plans).setup(|setup| {
        setup.seed = seed;
        setup.shuffled = true;
    })
}

/// Prompts of the tasks that a run dispatched.
fn asked(run: &Simulated) -> Vec<String> {
    let called = run.entries.iter().filter_map(|entry| match entry {
        Entry::Called(call) if run.books.of(call.call).next().is_some() => Some(call),
        _ => None,
    });
    let mut asked: Vec<String> = called
        .filter(|call| call.kind.is_task())
        .map(|call| call.request.read::<serde_json::Value>().unwrap())
        .map(|request| request["prompt"].as_str().unwrap().to_owned())
        .collect();
    asked.sort();
    asked
}

fn reused(run: &Simulated) -> usize {
    let of = |entry: &&Entry| matches!(entry, Entry::Settled(settled) if settled.reused.is_some());
    run.entries.iter().filter(of).count()
}

#[test]
fn an_edited_prompt_is_the_only_one_asked_again_in_whatever_order_things_complete() {
    for seed in 0..1000 {
        let old = run(shuffled(seed), Step::all(tasks(12)));
        let mut edited = tasks(12);
        edited[(seed % 12) as usize] = Step::task("edited");
        let fork = run(shuffled(seed + 7).past(past(&old)), Step::all(edited));
        assert_eq!(asked(&fork), ["edited"], "seed {seed}");
        let mut expected: Vec<String> = (0..12).map(|i| format!("[{i}]")).collect();
        expected[(seed % 12) as usize] = "[edited]".to_owned();
        assert_eq!(fork.result(), json!(expected), "seed {seed}");
        assert_eq!(fork.usage().output_tokens, 5, "what is taken over uses nothing");
    }
}

#[test]
fn calls_put_in_taken_out_and_reordered_run_only_what_is_new() {
    let old = run(shuffled(1), Step::all(tasks(6)));
    let script = |prompts: &[&str]| Step::all(prompts.iter().map(|prompt| Step::task(prompt)));
    let cases: [(&[&str], &[&str]); 5] = [
        (&["0", "1", "new", "2", "3", "4", "5"], &["new"]),
        (&["0", "2", "5"], &[]),
        (&["5", "4", "3", "2", "1", "0"], &[]),
        (&["0", "0"], &["0"]), // the second of two equal calls has no answer of its own
        (&[], &[]),
    ];
    for (prompts, expected) in cases {
        let fork = run(shuffled(2).past(past(&old)), script(prompts));
        assert_eq!(asked(&fork), expected, "{prompts:?}");
        let answers: Vec<String> = prompts.iter().map(|prompt| format!("[{prompt}]")).collect();
        assert_eq!(fork.result(), json!(answers));
    }
}

#[test]
fn equal_calls_are_told_apart_by_their_occurrence() {
    let mut number = 0;
    let counting = move |dispatch: &loopwright_protocol::Dispatch, _: &mut _| {
        number += 1;
        match &dispatch.work {
            Work::Task(_) => Plan::done(number).after_ms(1000 - number * 100),
            other => panic!("nobody asked for {other:?}"),
        }
    };
    let three = || Step::all([Step::task("same"), Step::task("same"), Step::task("same")]);
    let old = run(simulation().plans(counting), three());
    assert_eq!(old.result(), json!([1, 2, 3]));
    let four = Step::all([three(), Step::task("same")]);
    let fork = run(simulation().past(past(&old)), four);
    assert_eq!((fork.result(), reused(&fork)), (json!([[1, 2, 3], "same"]), 3));
}

#[test]
fn a_key_keeps_its_answer_when_the_prompt_changes() {
    let keyed = |prompt: &str, key: &str| Step::task(prompt).with("key", key);
    let old = run(shuffled(1), Step::all([keyed("a", "k"), keyed("b", "l")]));
    let fork = run(shuffled(2).past(past(&old)), Step::all([keyed("c", "k"), keyed("b", "m")]));
    assert_eq!(asked(&fork), ["b"]);
    assert_eq!(fork.result(), json!(["[a]", "[b]"]));
    let schema = json!({ "type": "string" });
    let other = Step::all([keyed("a", "k").with("schema", schema)]);
    assert_eq!(asked(&run(shuffled(3).past(past(&old)), other)), ["a"], "the schema still counts");
}

#[test]
fn how_a_call_is_shown_and_what_it_may_use_is_no_part_of_it() {
    let old = run(shuffled(1), Step::all(tasks(1)));
    for (field, value) in [
        ("label", json!("other")),
        ("phase", json!("other")),
        ("retries", json!(7)),
        ("timeoutMs", json!(5000)),
        ("maxTurns", json!(3)),
        ("budget", json!({ "tokens": 1000 })),
        ("fallback", json!({ "value": "x" })),
    ] {
        let fork = run(shuffled(2).past(past(&old)), Step::task("0").with(field, value));
        assert_eq!((asked(&fork).len(), reused(&fork)), (0, 1), "{field}");
    }
    let agent = run(shuffled(2).past(past(&old)), Step::agent("0"));
    assert_eq!(reused(&agent), 1, "both dialects ask the same");
}

/// Two subagents that models serve, with two tools.
fn served() -> Simulation {
    let plans = talking(|request| Plan::says(format!("from {}", request.model)));
    let mut simulation = simulation().plans(plans).subagent(by_model("one"));
    let other = by_model("other");
    simulation = simulation
        .subagent(loopwright_protocol::Subagent { tools: Some(vec!["grep".to_owned()]), ..other });
    simulation.start.tools = vec![Tool::reading("grep"), Tool::reading("read_file")];
    for name in ["m", "n"] {
        simulation.start.models.insert(name.to_owned(), model(name, "p"));
    }
    simulation.start.model = Some("m".to_owned());
    simulation
}

#[test]
fn what_changed_around_a_call_makes_exactly_those_run_again_that_it_concerns() {
    let script = || {
        Step::all([
            Step::task("a").with("subagent", "one"),
            Step::task("b").with("subagent", "other"),
            Step::task("c").with("subagent", "other").with("model", "n"),
        ])
    };
    let old = run(served(), script());
    let again = |change: &dyn Fn(&mut Simulation)| {
        let mut simulation = served().past(past(&old));
        change(&mut simulation);
        let fork = run(simulation, script());
        let ends = (0..).map(CallId).take_while(|id| {
            fork.entries
                .iter()
                .any(|entry| matches!(entry, Entry::Called(call) if call.call == *id))
        });
        let miss = |id: &CallId| fork.settled(id.0).is_some_and(|it| it.reused.is_none());
        ends.filter(miss).map(|id| id.0).collect::<Vec<_>>()
    };
    let definition = |simulation: &mut Simulation, at: usize| {
        simulation.start.subagents[at].system_prompt = "be brief".to_owned();
    };
    assert_eq!(again(&|_| {}), Vec::<u32>::new());
    assert_eq!(again(&|simulation| definition(simulation, 1)), [0]);
    assert_eq!(again(&|simulation| definition(simulation, 2)), [1, 2]);
    assert_eq!(again(&|simulation| simulation.start.model = Some("n".to_owned())), [0, 1]);
    assert_eq!(
        again(&|simulation| simulation.start.tools[1].description = "reads".to_owned()),
        [0],
        "the others may not call it"
    );
    assert_eq!(
        again(&|simulation| {
            let subagent = &mut simulation.start.subagents[2];
            (subagent.max_turns, subagent.concurrency) = (Some(3), Some(1));
            subagent.description = "another".to_owned();
        }),
        Vec::<u32>::new(),
        "limits and descriptions are no part of what is asked"
    );
    let renamed = |simulation: &mut Simulation| {
        simulation.start.models.insert("n".to_owned(), model("m", "p"));
    };
    assert_eq!(again(&renamed), [2], "a name stands for another model now");
}

#[test]
fn failures_and_effects_run_again_and_effects_are_taken_over_only_when_told() {
    let writes = Tool { effects: Effects::Local, ..Tool::reading("write_file") };
    let external = loopwright_protocol::Subagent { effects: Effects::External, ..subagent("acts") };
    let plans = |fails: bool| {
        move |dispatch: &loopwright_protocol::Dispatch, _: &mut _| match &dispatch.work {
            Work::Task(task) if fails && task.prompt == "weak" => Plan::broken(),
            _ => Plan::done("done"),
        }
    };
    let around = |fails: bool| {
        let mut simulation = simulation().subagent(external.clone()).plans(plans(fails));
        simulation.start.tools = vec![writes.clone(), Tool::reading("grep")];
        simulation
    };
    let script = || {
        Step::all([
            Step::catch(Step::task("weak")),
            Step::task("act").with("subagent", "acts"),
            Step::tool("write_file"),
            Step::tool("grep"),
            Step::approve("sure?"),
            Step::task("declared").with("effects", "local"),
            Step::task("weak").with("fallback", json!({ "value": 1 })),
        ])
    };
    let old = run(around(true), script());
    let refused: Vec<_> = past(&old).calls().iter().map(|call| call.refused).collect();
    let effects = Some(Refusal::Effects);
    let expected = [
        Some(Refusal::Failed),
        effects,
        effects,
        None,
        Some(Refusal::Person),
        effects,
        Some(Refusal::Fallback),
    ];
    assert_eq!(refused, expected);
    let had: Vec<bool> =
        past(&old).calls().iter().map(|call| call.effects != Effects::None).collect();
    assert_eq!(had, [false, true, true, false, false, true, false]);
    let fork = run(around(false).past(past(&old)), script());
    assert_eq!(reused(&fork), 1);
    let mut accepted = past(&old);
    accepted.accept_effects();
    let fork = run(around(false).past(accepted), script());
    assert_eq!(reused(&fork), 5);
    assert_eq!(asked(&fork), ["weak", "weak"]);
}

#[test]
fn a_fork_at_a_task_runs_that_one_and_what_was_called_later_again() {
    let script = || Step::seq([Step::all(tasks(3)), Step::task("3"), Step::task("4")]);
    let old = run(shuffled(1), script());
    for at in 0..5 {
        let mut past = past(&old);
        past.refuse_from(CallId(at));
        let fork = run(shuffled(2).past(past), script());
        let expected: Vec<String> = (at..5).map(|i| i.to_string()).collect();
        assert_eq!(asked(&fork), expected);
    }
}

#[test]
fn a_race_that_the_past_decided_sends_no_loser() {
    let script = || Step::quorum(2, [Step::task("fast"), Step::task("fair"), Step::task("slow")]);
    let plans = |dispatch: &loopwright_protocol::Dispatch, _: &mut _| match &dispatch.work {
        Work::Task(task) if task.prompt == "slow" => Plan::done("late").after_ms(5000),
        _ => Plan::done("soon").after_ms(10),
    };
    let old = run(simulation().plans(plans), script());
    let fork = run(simulation().plans(plans).past(past(&old)), script());
    assert_eq!((asked(&fork), reused(&fork)), (vec![], 2));
}

#[test]
fn a_run_that_was_cut_off_anywhere_is_forked_from_what_it_had() {
    let script = || Step::seq([Step::all(tasks(4)), Step::task("4")]);
    let old = run(shuffled(3), script());
    for cut in 1..old.entries.len() {
        let past = Recorded::read(old.entries[..cut].to_vec()).unwrap();
        let had = past.calls().iter().filter(|call| call.refused.is_none()).count();
        let fork = run(shuffled(4).past(past), script());
        assert_eq!((reused(&fork), asked(&fork).len()), (had, 5 - had), "cut at {cut}");
        assert_eq!(fork.result(), old.result());
        replays(&fork, script());
    }
}

fn replays(fork: &Simulated, script: Step) {
    let mut guests = ScriptedGuests::new().with("main", script);
    let replayed = replay(fork.entries.clone(), &mut guests, 10_000)
        .unwrap_or_else(|mismatch| panic!("{}", mismatch.diagnostic()));
    assert_eq!(replayed.result, fork.finish().result);
}

#[test]
fn a_fork_of_a_fork_says_where_the_work_was_done_and_what_it_saved() {
    let old = run(shuffled(1), Step::all(tasks(2)));
    let first = run(shuffled(2).past(past(&old)), Step::all(tasks(3)));
    let second = run(shuffled(3).past(past(&first)), Step::all(tasks(3)));
    let origins: Vec<_> = (0..3)
        .map(|call| second.settled(call).unwrap().reused.clone().unwrap())
        .map(|reused| (reused.call.0, reused.saved.output_tokens))
        .collect();
    assert_eq!(origins, [(0, 5), (1, 5), (2, 5)]);
    assert_eq!((count(&second, "attempt_started"), second.usage().tokens()), (0, 0));
}

/// What a forecast says of each call: the past call it hits, or what differs.
fn told(simulation: Simulation, script: &Step, changed: bool) -> Vec<String> {
    let mut guests = ScriptedGuests::new().with("main", script.clone());
    let told = |(_, verdict): (CallId, Verdict)| match verdict {
        Verdict::Hit(at) => format!("hit {at}"),
        Verdict::Miss(miss) => {
            let changed: Vec<&str> = miss.changed.iter().map(|part| part.as_str()).collect();
            let why = miss.refused.map(|why| format!("{why:?}").to_lowercase());
            let why = why.unwrap_or_else(|| changed.join("+"));
            let like = miss.past.map_or_else(|| "new".to_owned(), |at| format!("like {at}"));
            format!("{like} {why}").trim_end().to_owned()
        }
    };
    simulation.forecast(&mut guests, changed).into_iter().map(told).collect()
}

#[test]
fn a_forecast_says_why_each_call_misses() {
    let old_script = Step::seq([
        Step::all([
            Step::task("review file one of the project"),
            Step::task("review file two of the project"),
            Step::task("summarise").with("schema", json!({ "type": "string" })),
        ]),
        Step::task("conclude"),
    ]);
    let old = run(shuffled(1), old_script);
    let edited = Step::seq([
        Step::all([
            Step::task("something else entirely"),
            Step::task("review file one of the project"),
            Step::task("review file two of the project, please"),
            Step::task("summarise").with("schema", json!({ "type": "string", "minLength": 1 })),
        ]),
        Step::task("conclude"),
    ]);
    let said = told(shuffled(1).past(past(&old)), &edited, false);
    // The call without a counterpart is open, so what waits for it is not seen.
    assert_eq!(said, ["new", "hit 0", "like 1 prompt", "like 2 schema"]);
    let Step::Seq(mut steps) = edited else { unreachable!() };
    let Step::All(first) = &mut steps[0] else { unreachable!() };
    first.remove(0);
    let said = told(shuffled(1).past(past(&old)), &Step::Seq(steps.clone()), false);
    assert_eq!(said, ["hit 0", "like 1 prompt", "like 2 schema", "hit 3"]);
    let said = told(shuffled(1).past(past(&old)), &Step::Seq(steps), true);
    assert_eq!(said[3], "hit 3", "a script hands no answer on, so nothing depends on one");
    assert_eq!(Part::ALL.len(), 6);
}

/// One to three waves of drawn calls.
fn drawn(draw: &mut Random, waves: u64) -> Step {
    let leaf = |random: &mut Random| {
        let prompt = format!("prompt {}", random.below(6));
        let step = match random.below(5) {
            0 => Step::tool("grep").with("args", json!({ "pattern": prompt })),
            1 => Step::agent(&prompt),
            2 => Step::task(&prompt).with("label", format!("l{}", random.below(9))),
            3 => Step::task(&prompt).with("effort", "low"),
            _ => Step::task(&prompt),
        };
        Step::catch(step)
    };
    let wave = |draw: &mut Random| {
        let size = draw.below(6);
        Step::all((0..size).map(|_| leaf(draw)).collect::<Vec<_>>())
    };
    Step::seq((0..1 + waves % 3).map(|_| wave(draw)).collect::<Vec<_>>())
}

/// Whether two calls ask the same, whatever they are called.
fn equal(a: &CallEntry, b: &CallEntry) -> bool {
    let read = |call: &CallEntry| {
        let mut value: serde_json::Value = call.request.read().unwrap();
        value.as_object_mut().unwrap().remove("label");
        (call.kind == CallKind::Tool, value)
    };
    read(a) == read(b)
}

/// The calls of a run, each with its outcome.
fn ends(run: &Simulated) -> Vec<(&CallEntry, &SettleEntry)> {
    let called = run.entries.iter().filter_map(|entry| match entry {
        Entry::Called(call) => Some(&**call),
        _ => None,
    });
    called.map(|call| (call, run.settled(call.call.0).unwrap())).collect()
}

#[test]
fn what_a_fork_reuses_is_the_answer_to_an_equal_request_whatever_the_programs_are() {
    for seed in 0..400 {
        let mut draw = Random::new(seed);
        let (old_script, script) = (drawn(&mut draw, seed), drawn(&mut draw, seed / 3));
        let around = |seed| {
            let mut simulation = shuffled(seed);
            simulation.start.tools = vec![Tool::reading("grep")];
            simulation
        };
        let old = run(around(seed), old_script);
        let recorded = past(&old);
        let fork = run(around(seed + 1).past(past(&old)), script.clone());
        let mut taken = std::collections::BTreeSet::new();
        for (_, settled) in ends(&fork) {
            taken.extend(settled.reused.as_ref().map(|reused| reused.call));
        }
        let reused = ends(&fork).iter().filter(|(_, end)| end.reused.is_some()).count();
        assert_eq!(taken.len(), reused, "seed {seed}: one answer for two calls");
        for (called, settled) in ends(&fork) {
            let source = |call: &&RecordedCall| {
                settled.reused.as_ref().is_some_and(|reused| reused.call == call.entry.call)
            };
            if let Some(source) = recorded.calls().iter().find(source) {
                assert!(equal(called, &source.entry), "seed {seed}: {called:?}");
                let given = source.settled.as_ref().map(|settled| &settled.outcome);
                assert_eq!(given, Some(&settled.outcome), "seed {seed}");
                assert!(matches!(settled.outcome, Outcome::Done(_)), "seed {seed}");
                continue;
            }
            let left = recorded.calls().iter().filter(|it| equal(called, &it.entry));
            let free = left.filter(|it| !taken.contains(&it.entry.call)).count();
            assert_eq!(free, 0, "seed {seed}: {called:?} was asked though an answer was there");
        }
        replays(&fork, script.clone());
        let hits = told(around(seed).past(past(&old)), &script, false);
        let hits = hits.iter().filter(|told| told.starts_with("hit")).count();
        assert!(hits <= reused, "seed {seed}: a forecast promises no more than is kept");
    }
}
