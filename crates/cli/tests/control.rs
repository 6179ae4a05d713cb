//! Runs in the background, steered from other processes: wait, pause, cancel, questions, keeping.

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{Ended, Place};

/// Each worker notes that it begins and that it ends, and works until somebody makes the file `go`.
const WORKER: &str = "---\nname: worker\ndescription: works until told\ndriver: command\neffects: none\n\
    command: [sh, worker.sh]\n---\n";
const SCRIPT: &str = "echo begun >> books\nwhile [ ! -e go ]; do sleep 0.02; done\necho ended >> books\n\
    echo '{\"result\":\"done\"}'\n";

fn place(program: &str) -> Place {
    let worker = (".loopwright/agents/worker.md", WORKER);
    Place::with(&[("p.ts", program), worker, ("worker.sh", SCRIPT)])
}

/// Starts a run in the background; gives its id.
fn detached(place: &Place, more: &[&str]) -> String {
    let ended = place.run(&[&["run", "p.ts", "--detach"], more].concat()).code(0);
    assert!(ended.err.contains("runs in the background; its log is"), "{}", ended.err);
    ended.out.trim().to_owned()
}

/// Looks until it is so. Nothing is asserted about how long that takes.
fn until(mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to pass");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn books(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.path().join("books")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn row(place: &Place, id: &str) -> Value {
    let rows = place.run(&["runs", "--json"]).code(0).json();
    rows.as_array().unwrap().iter().find(|row| row["id"] == id).cloned().unwrap_or_default()
}

fn questions(place: &Place) -> Vec<Value> {
    place.run(&["approvals", "--json"]).code(0).json().as_array().unwrap().clone()
}

#[test]
fn a_detached_run_is_waited_for_from_another_process() {
    let place =
        place("log('here'); await task({description: 'x', subagentType: 'worker'}) + args.n");
    let id = detached(&place, &["--args", "{\"n\":1}"]);
    until(|| books(&place).len() == 1);
    assert_eq!(row(&place, &id)["status"], "running");
    place.write("go", "");
    let waited = place.run(&["wait", &id]).code(0);
    assert_eq!(waited.out, "done1\n");
    let log = std::fs::read_to_string(place.data().join(format!("logs/{id}.log"))).unwrap();
    for piece in ["log: here", "task 0 done", "run complete: 1 done", "done1"] {
        assert!(log.contains(piece), "no `{piece}` in\n{log}");
    }
    let again = place.run(&["wait", &id[..13], "--json"]).code(0).json();
    assert_eq!((&again["runId"], &again["result"]), (&json!(id), &json!("done1")));
}

#[test]
fn what_is_wrong_before_the_first_turn_is_told_in_the_foreground() {
    let place = place("throw new Error('later')");
    place.write("bad.ts", "let let = (");
    let bad = place.run(&["run", "bad.ts", "--detach"]).code(1);
    assert!(bad.err.contains("error[LW01") && bad.err.contains("bad.ts:1:"), "{}", bad.err);
    let none = place.run(&["run", "none.ts", "--detach"]).code(2);
    assert!(none.err.contains("error[LW0106]"), "{}", none.err);
    assert_eq!((bad.out.as_str(), none.out.as_str()), ("", ""));
    assert_eq!(place.run(&["runs", "--json"]).out, "[]\n");
    let logs = std::fs::read_dir(place.data().join("logs")).unwrap().count();
    assert_eq!(logs, 0, "nothing is left of them");
    let id = detached(&place, &[]);
    let waited = place.run(&["wait", &id]).code(1);
    assert!(
        waited.err.contains("error[LW0208]") && waited.err.contains("p.ts:1:"),
        "{}",
        waited.err
    );
}

#[test]
fn a_background_process_that_dies_without_a_word_is_told() {
    let place = place("1");
    // It may write nothing at all: neither its run nor why not.
    let ended: Ended = place
        .shell(&format!(
            "ulimit -f 0; trap '' XFSZ; '{}' run p.ts --detach",
            env!("CARGO_BIN_EXE_loopwright")
        ))
        .output()
        .unwrap()
        .into();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.err.contains("error[LW0816]") && ended.err.contains("hint:"), "{}", ended.err);
    assert_eq!(ended.out, "");
}

#[test]
fn a_cancelled_run_ends_with_its_attempts_and_tells_how_to_go_on() {
    let place = place("await task({description: 'x', subagentType: 'worker'})");
    let id = detached(&place, &[]);
    until(|| books(&place).len() == 1);
    let told = place.run(&["cancel", &id]).code(0).err;
    assert!(told.contains(&format!("run {id} is cancelled")), "{told}");
    assert!(told.contains(&format!("loopwright resume {id}")), "{told}");
    assert_eq!(row(&place, &id)["status"], "cancelled");
    assert_eq!(books(&place), ["begun"], "its command was ended");
    place.run(&["wait", &id]).code(130);
    let again = place.run(&["cancel", &id]).code(1).err;
    assert!(again.contains("error[LW0813]") && again.contains("cancelled"), "{again}");
}

#[test]
fn a_paused_run_lets_what_is_under_way_end_and_begins_nothing_new() {
    let place = place(
        "const work = (n) => task({description: `${n}`, subagentType: 'worker'});\n\
         await Promise.all([1, 2, 3, 4].map(work)); 'end'",
    );
    let id = detached(&place, &["--set", "run.concurrency=2"]);
    until(|| books(&place).len() == 2);
    place.run(&["pause", &id, "--no-wait"]).code(0);
    until(|| place.run(&["show", &id, "--json"]).json()["pauseRequested"] == json!(true));
    place.write("go", "");
    let waited = place.run(&["wait", &id]).code(4);
    assert!(waited.err.contains("paused by the operator"), "{}", waited.err);
    assert_eq!(row(&place, &id)["status"], "paused");
    assert_eq!(books(&place), ["begun", "begun", "ended", "ended"]);
}

#[test]
fn nobody_can_stop_what_nobody_executes() {
    let place = place("1");
    place.run(&["run", "p.ts"]).code(0);
    for word in ["cancel", "pause"] {
        let over = place.run(&[word, "latest"]).code(1).err;
        assert!(over.contains("error[LW0809]") && over.contains("complete"), "{over}");
        let none = place.run(&[word, "nonesuch"]).code(1).err;
        assert!(none.contains("error[LW0805]"), "{none}");
    }
    assert_eq!(place.run(&["wait", "latest"]).code(0).out, "1\n", "what has ended is shown");
}

#[test]
fn a_question_is_answered_from_another_process() {
    let program = "const ok = await approve('go on?', {data: {files: 2}});\n\
        const how = await approve('how?', {choices: ['fast', 'good']});\n\
        const no = await approve('really?');\n\
        const broken = await approve('which?', {choices: ['a']}).catch((e) => e.message);\n\
        ({ok, how, no, broken})";
    let place = place(program);
    let id = detached(&place, &[]);
    let asked = |question: &str| {
        until(|| questions(&place).iter().any(|it| it["question"] == question));
        questions(&place).pop().unwrap()
    };
    let first = asked("go on?");
    assert_eq!((&first["run"], &first["data"]), (&json!(id), &json!({"files": 2})));
    assert_eq!((&first["line"], &first["program"]), (&json!(1), &json!("p.ts")));
    let text = place.run(&["approvals"]).code(0).out;
    assert!(
        text.contains("? go on?") && text.contains(&format!("loopwright approve {id} 0")),
        "{text}"
    );
    let wrong = place.run(&["approve", &id, "--choice", "fast"]).code(1).err;
    assert!(wrong.contains("error[LW0815]"), "{wrong}");
    let wrong = place.run(&["approve", &id, "7"]).code(1).err;
    assert!(wrong.contains("error[LW0814]"), "{wrong}");
    assert!(place.run(&["approve", &id]).code(0).err.contains("it goes on"));
    asked("how?");
    let wrong = place.run(&["approve", &id]).code(1).err;
    assert!(wrong.contains("`fast`, `good`"), "{wrong}");
    place.run(&["approve", &id, "1", "--choice", "good"]).code(0);
    asked("really?");
    place.run(&["reject", "latest", "--reason", "not today"]).code(0);
    asked("which?");
    place.run(&["reject", &id, "--reason", "neither"]).code(0);
    let value: Value = serde_json::from_str(&place.run(&["wait", &id]).code(0).out).unwrap();
    assert_eq!((&value["ok"], &value["how"]), (&json!(true), &json!("good")));
    assert_eq!((&value["no"], &value["broken"]), (&json!(false), &json!("rejected: neither")));
    assert_eq!(questions(&place), Vec::<Value>::new());
}

#[test]
fn an_answer_to_a_run_that_nobody_executes_is_kept() {
    let place = place("await approve('ship?')");
    let parked = place.run(&["run", "p.ts"]).code(4);
    let id = row_id(&place);
    assert!(parked.err.contains(&format!("loopwright approve {id}")), "{}", parked.err);
    assert!(parked.err.contains(&format!("loopwright resume {id}")), "{}", parked.err);
    assert_eq!(questions(&place)[0]["runStatus"], "parked");
    let kept = place.run(&["approve", &id]).code(0).err;
    assert!(kept.contains("kept for call 0") && kept.contains("loopwright resume"), "{kept}");
    assert_eq!(questions(&place)[0]["answered"], true);
    let newer = place.run(&["reject", &id]).code(0).err;
    assert!(newer.contains("in the place of what was kept before"), "{newer}");
    assert_eq!(place.run(&["resume"]).code(0).out, "false\n");
}

fn row_id(place: &Place) -> String {
    place.run(&["runs", "--json"]).json()[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn runs_travel_as_files_and_are_checked() {
    let place = place("'kept'");
    place.run(&["run", "p.ts"]).code(0);
    let id = row_id(&place);
    let head = place.run(&["export", &id, "run.lwrun"]).code(0).out;
    let there = place.run(&["export", &id, "run.lwrun"]).code(1).err;
    assert!(there.contains("error[LW0905]"), "{there}");
    assert_eq!(place.run(&["verify", &id]).code(0).out, head);
    place.run(&["verify", &id, "--head", head.trim()]).code(0);
    let other = format!("1:{}", "0".repeat(64));
    let changed = place.run(&["verify", &id, "--head", &other]).code(1).err;
    assert!(changed.contains("error[LW0803]"), "{changed}");
    assert!(changed.contains("hint: if the head was kept of this very run"), "{changed}");
    let longer = format!("99:{}", "0".repeat(64));
    let short = place.run(&["verify", &id, "--head", &longer]).code(1).err;
    assert!(short.contains("not here") && !short.contains("journal.tail"), "{short}");
    place.run(&["verify", &id, "--head", "x"]).code(2);
    let elsewhere: Ended = place.run(&["import", "run.lwrun", "--data-dir", "other"]).code(0);
    assert_eq!(elsewhere.out, format!("{id}\n"));
    assert_eq!(place.run(&["verify", &id, "--data-dir", "other"]).code(0).out, head);
    let again = place.run(&["import", "run.lwrun", "--data-dir", "other"]).code(0).err;
    assert!(again.contains("was here already"), "{again}");
}

#[test]
fn prune_deletes_what_its_rules_name_and_their_logs() {
    let place = place("if (args) throw new Error('no'); 1");
    for args in ["1", "0", "1"] {
        place.run(&["run", "p.ts", "--args", args]).code(u8::from(args == "1").into());
    }
    let id = detached(&place, &[]);
    place.run(&["wait", &id]).code(0);
    let log = place.data().join(format!("logs/{id}.log"));
    assert!(log.exists());
    let planned = place.run(&["prune", "--status", "failed", "--dry-run"]).code(0);
    assert_eq!(planned.out.lines().count(), 2, "{planned:#?}");
    assert_eq!(place.run(&["prune", "--older-than", "1d"]).code(0).out, "");
    let done = place.run(&["prune", "--status", "failed", "--json"]).code(0).json();
    assert_eq!(done["deleted"].as_array().unwrap().len(), 2);
    assert_eq!(place.run(&["prune", "--keep", "1"]).code(0).out.lines().count(), 1);
    assert!(log.exists(), "the newest one stays");
    let told = place.run(&["prune"]).code(0);
    assert!(told.err.contains("1 run deleted"), "{}", told.err);
    assert!(!log.exists());
    assert_eq!(place.run(&["runs", "--json"]).out, "[]\n");
    place.run(&["prune", "--older-than", "soon"]).code(2);
    assert_eq!(place.run(&["prune", "--data-dir", "none"]).code(0).out, "");
    assert!(!place.path().join("none").exists(), "nothing is made to delete nothing");
}
