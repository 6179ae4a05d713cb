//! `fork`: at the real binary, with subagents that write down each time they are asked.

mod support;

use serde_json::Value;
use support::{Ended, Place};

/// Answers with its prompt in brackets and notes it in `asked`.
const ASKED: &str = "---\nname: asked\ndescription: notes what it is asked\neffects: EFFECTS\n\
    command: [python3, -c, \"import json,sys; r=json.load(sys.stdin); open('asked','a').write(r['prompt']+chr(10)); \
    print(json.dumps({'result': '[' + r['prompt'] + ']', 'usage': {'input_tokens': 100, 'output_tokens': 20, 'usd': 0.001}}))\"]\n---\nBe brief.\n";

const PROGRAM: &str = "const parts = await parallel(['a', 'b', 'c'].map((x) => () => agent(`look at ${x}`, {agentType: 'asked', label: x})));\n\
    await agent(`sum up: ${parts.join()}`, {agentType: 'asked', label: 'sum'})";

fn place(program: &str) -> Place {
    Place::with(&[
        ("p.ts", program),
        (".loopwright/agents/asked.md", &ASKED.replace("EFFECTS", "none")),
    ])
}

/// What was asked since the last look, sorted.
fn asked(place: &Place) -> Vec<String> {
    let path = place.path().join("asked");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn run(place: &Place) -> Ended {
    let ended = place.run(&["run", "p.ts"]).code(0);
    asked(place);
    ended
}

/// Verdict and reasons of each call of a plan, by label.
fn verdicts(plan: &Value) -> Vec<String> {
    let of = |call: &Value| {
        let why: Vec<&str> =
            call["why"].as_array().unwrap().iter().map(|why| why.as_str().unwrap()).collect();
        let (label, verdict) = (call["label"].as_str().unwrap(), call["verdict"].as_str().unwrap());
        format!("{label}: {verdict} {}", why.join("+")).trim_end().to_owned()
    };
    plan["calls"].as_array().unwrap().iter().map(of).collect()
}

fn plan(place: &Place, more: &[&str]) -> Value {
    let before = place.run(&["runs", "--json"]).json().as_array().unwrap().len();
    let ended = place.run(&[&["fork", "latest", "--plan", "--json"], more].concat()).code(0);
    let after = place.run(&["runs", "--json"]).json().as_array().unwrap().len();
    assert_eq!((before, asked(place).len()), (after, 0), "a plan runs and records nothing");
    ended.json()
}

#[test]
fn a_program_that_is_not_edited_asks_nobody_again() {
    let place = place(PROGRAM);
    let first = run(&place);
    let ended = place.run(&["fork", "latest"]).code(0);
    assert_eq!((ended.out, asked(&place).len()), (first.out, 0));
    assert!(ended.err.contains("4 calls taken over"), "{}", ended.err);
    let shown = place.run(&["show", "latest"]).code(0).out;
    assert!(shown.contains("fork       of "), "{shown}");
    assert!(shown.contains("4 calls taken over, saved 400 tokens in, 80 tokens out"), "{shown}");
    let task = place.run(&["show", "latest", "--task", "1"]).code(0).out;
    assert!(task.contains("taken over") && task.contains("task 1; it used"), "{task}");
    let json = place.run(&["show", "latest", "--json"]).code(0).json();
    assert_eq!((&json["fork"]["takenOver"], &json["fork"]["edited"]), (&4.into(), &false.into()));
}

#[test]
fn one_edited_prompt_is_one_call_asked_again_and_what_depends_on_it_is_told() {
    let place = place(PROGRAM);
    run(&place);
    place.write(
        "e.ts",
        &PROGRAM.replace("`look at ${x}`", "x === 'b' ? 'look at b well' : `look at ${x}`"),
    );
    let told = plan(&place, &["--program", "e.ts"]);
    assert_eq!(verdicts(&told), ["a: hit", "b: miss prompt", "c: hit", "sum: perhaps upstream"]);
    assert_eq!(told["misses"]["usage"]["usdMicros"], 1000);
    assert_eq!(told["perhaps"]["usage"]["usdMicros"], 1000);
    let ended = place.run(&["fork", "latest", "--program", "e.ts"]).code(0);
    assert_eq!(
        asked(&place),
        ["look at b well", "sum up: [look at a],[look at b well],[look at c]"]
    );
    assert!(
        ended.err.contains("1 call to make, about $0.0010; 1 more if new answers differ"),
        "{}",
        ended.err
    );
    assert_eq!(ended.out, "[sum up: [look at a],[look at b well],[look at c]]\n");
}

#[test]
fn labels_limits_and_lines_are_no_reason_to_ask_again_and_definitions_are() {
    let place = place(PROGRAM);
    run(&place);
    let edited = format!(
        "// a comment\n\n{}",
        PROGRAM.replace("label: x", "label: 'part ' + x, timeoutMs: 60000, retries: 1, phase: 'P'")
    );
    place.write("e.ts", &edited);
    place.run(&["fork", "latest", "--program", "e.ts", "--quiet"]).code(0);
    assert_eq!(asked(&place).len(), 0);
    place.write(
        ".loopwright/agents/asked.md",
        &ASKED.replace("EFFECTS", "none").replace("brief", "long"),
    );
    let told = plan(&place, &[]);
    let expected =
        ["part a", "part b", "part c", "sum"].map(|label| format!("{label}: miss definition"));
    assert_eq!(verdicts(&told), expected);
}

#[test]
fn a_fork_at_a_task_makes_that_one_and_the_later_ones_again() {
    let place = place(PROGRAM);
    run(&place);
    let told = plan(&place, &["--at", "2"]);
    assert_eq!(verdicts(&told), ["a: hit", "b: hit", "c: miss after", "sum: miss after"]);
    place.run(&["fork", "latest", "--at", "2"]).code(0);
    assert_eq!(asked(&place), ["look at c", "sum up: [look at a],[look at b],[look at c]"]);
    let ended = place.run(&["fork", "latest", "--at", "99"]).code(2);
    assert!(ended.err.contains("error[LW0520]"), "{}", ended.err);
}

#[test]
fn what_had_effects_is_neither_taken_over_nor_done_again_without_a_word() {
    let place = place("await agent('ship it', {agentType: 'asked'})");
    place.write(".loopwright/agents/asked.md", &ASKED.replace("EFFECTS", "external"));
    run(&place);
    let ended = place.run(&["fork", "latest"]).code(2);
    assert!(
        ended.err.contains("error[LW0521]") && ended.err.contains("--reuse-effects"),
        "{}",
        ended.err
    );
    assert_eq!(asked(&place).len(), 0);
    let ended = place.run(&["fork", "latest", "--reuse-effects"]).code(0);
    assert!(ended.err.contains("external effects, done"), "{}", ended.err);
    assert_eq!(asked(&place).len(), 0);
    let again = place.run(&["fork", "latest"]).code(2);
    assert!(
        again.err.contains("error[LW0521]"),
        "a fork of a fork knows what was done: {}",
        again.err
    );
    place.run(&["fork", "latest", "--yes"]).code(0);
    assert_eq!(asked(&place), ["ship it"]);
}

#[test]
fn a_file_that_the_program_read_and_that_changed_is_read_again() {
    let program = "const text = await tools.read_file({path: 'notes'});\n\
        await agent(`about ${text.length > 40 ? 'much' : 'little'}`, {agentType: 'asked', label: 'about'})";
    let place = place(program);
    place.write("notes", "short");
    run(&place);
    place.run(&["fork", "latest"]).code(0); // a fork of this fork still knows what was read
    let labels = |told: &Value| {
        verdicts(told)
            .into_iter()
            .map(|it| it.replace(r#"{"path":"notes"}"#, "notes"))
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(&plan(&place, &[])), ["read_file notes: hit", "about: hit"]);
    place.write("notes", "short!");
    assert_eq!(labels(&plan(&place, &[])), ["read_file notes: miss stale", "about: hit"]);
    let kept = labels(&plan(&place, &["--keep-stale"]));
    assert_eq!(kept, ["read_file notes: hit stale-kept", "about: hit"]);
    place.write("notes", &"long ".repeat(20));
    assert_eq!(labels(&plan(&place, &[])), ["read_file notes: miss stale", "about: miss prompt"]);
    place.run(&["fork", "latest"]).code(0);
    assert_eq!(asked(&place), ["about much"]);
}

#[test]
fn failures_are_made_again_and_a_run_that_was_cut_off_is_a_past_too() {
    let program = "const parts = await parallel(['a', 'b'].map((x) => () => agent(x, {agentType: x === 'b' ? 'fails' : 'asked'})));\n\
        parts.filter(Boolean).length";
    let place = place(program);
    let fails =
        "---\nname: fails\ndescription: fails\neffects: none\ncommand: [sh, -c, 'exit 64']\n---\n";
    place.write(".loopwright/agents/fails.md", fails);
    let ended = place.run(&["run", "p.ts"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), "1\n"), "{}", ended.err);
    asked(&place);
    let told = plan(&place, &[]);
    assert_eq!(verdicts(&told), ["a: hit", "b: miss failed"]);
    place.write(
        ".loopwright/agents/fails.md",
        &fails.replace("exit 64", "echo ''{\"result\": 1}''"),
    );
    assert_eq!(place.run(&["fork", "latest"]).code(0).out, "2\n");
    assert_eq!(asked(&place).len(), 0);
}

#[test]
fn a_stream_begins_with_the_plan_and_a_plan_fits_narrow_terminals() {
    let place = place(PROGRAM);
    run(&place);
    let events = place.run(&["fork", "latest", "--json"]).code(0).events();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        (names[0], names[1], names[names.len() - 1]),
        ("fork.plan", "run.started", "run.finished")
    );
    let ended = events.iter().find(|event| event["event"] == "task.ended").unwrap();
    assert_eq!((&ended["reused"]["task"], &ended["attempts"]), (&0.into(), &0.into()));
    let told = place.run(&["fork", "latest", "--plan"]).code(0);
    assert!(told.out.is_empty() && !told.err.contains('\u{1b}'), "{told:?}");
    assert!(told.err.contains("TASK  VERDICT  COST"), "{}", told.err);
    let unknown = place.run(&["fork", "nope"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("LW0805"), "{unknown:?}");
}

#[test]
fn a_run_that_was_cut_off_goes_on_with_another_program() {
    let place = place(PROGRAM);
    run(&place);
    place.write("e.ts", &PROGRAM.replace("sum up", "add up"));
    let ended = place.run(&["resume", "latest", "--program", "e.ts", "--plan", "--json"]).code(0);
    assert_eq!(verdicts(&ended.json())[..3], ["a: hit", "b: hit", "c: hit"]);
    let ended = place.run(&["resume", "latest", "--program", "e.ts"]).code(0);
    assert_eq!(ended.out, "[add up: [look at a],[look at b],[look at c]]\n");
    assert_eq!(asked(&place).len(), 1);
    let refused = place.run(&["resume", "latest", "--plan"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
}

#[test]
fn what_follows_damage_in_a_record_is_not_repeated_without_a_word() {
    let place = place(
        "await agent('first', {agentType: 'asked'}); await agent('second', {agentType: 'asked'}); 1",
    );
    run(&place);
    // One byte of the second answer, in the file of the journal.
    let file = place.data().join("journal.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let answer = b"[second]";
    // Everywhere: pages that are not used any more may hold it, too.
    let found = bytes.windows(answer.len()).enumerate().filter(|(_, part)| part == answer);
    let found: Vec<usize> = found.map(|(at, _)| at).collect();
    found.iter().for_each(|at| bytes[at + 1] ^= 1);
    assert!(!found.is_empty());
    std::fs::write(&file, bytes).unwrap();
    let refused = place.run(&["fork", "latest"]).code(1);
    assert!(refused.err.contains("error[LW0803]") && refused.err.contains("--yes"), "{refused:#?}");
    assert_eq!(asked(&place), Vec::<String>::new());
    let planned = place.run(&["fork", "latest", "--plan"]).code(0).err;
    assert!(planned.contains("warning[LW0803]"), "{planned}");
    let forked = place.run(&["fork", "latest", "--yes"]).code(0);
    assert!(forked.err.contains("warning[LW0803]"), "{}", forked.err);
    assert_eq!(asked(&place), ["second"], "what lies before the damage is taken over");
}
