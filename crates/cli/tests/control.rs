//! Runs in the background, steered from other processes: wait, pause, cancel, questions, keeping.

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{Ended, Place, signal};

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
fn a_run_that_its_killed_process_holds_for_a_moment_longer_is_waited_for() {
    let place = place("await task({description: 'x', subagentType: 'worker'})");
    let id = detached(&place, &[]);
    until(|| books(&place).len() == 1);
    // As a process does that the killed one had forked and that has not begun its own program yet.
    let owners = std::fs::read_dir(place.data().join("owners")).unwrap().flatten();
    let owners: Vec<_> = owners.map(|owner| owner.path()).collect();
    assert_eq!(owners.len(), 1, "{owners:?}");
    let held = std::fs::File::open(&owners[0]).unwrap();
    let name = owners[0].file_name().unwrap().to_string_lossy();
    signal(name.split('-').next().unwrap().parse().unwrap(), "-KILL");
    held.lock().unwrap();
    assert_eq!(row(&place, &id)["status"], "running", "it looks as if it were executed");
    place.write("go", "");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(held);
        });
        assert_eq!(place.run(&["resume", &id]).code(0).out, "done\n");
    });
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

#[test]
fn a_fork_runs_in_the_background_and_is_waited_for() {
    let place =
        place("log('here'); await task({description: 'x', subagentType: 'worker'}) + args.n");
    place.write("go", "");
    place.run(&["run", "p.ts", "--args", "{\"n\":1}"]).code(0);
    let old = row_id(&place);
    let begun = place.run(&["fork", &old, "--args", "{\"n\":2}", "--detach"]).code(0);
    for piece in ["1 call taken over", "runs in the background; its log is"] {
        assert!(begun.err.contains(piece), "no `{piece}` in {}", begun.err);
    }
    let fork = begun.out.trim();
    assert_ne!(fork, old);
    assert_eq!(place.run(&["wait", fork]).code(0).out, "done2\n");
    assert_eq!(books(&place), ["begun", "ended"], "the task was taken over");
    let log = std::fs::read_to_string(place.data().join(format!("logs/{fork}.log"))).unwrap();
    assert!(log.contains("done2") && !log.contains("to make"), "the plan is told once: {log}");
    // What would happen twice is not begun in the background either.
    let worker = WORKER.replace("effects: none", "effects: local");
    place.write(".loopwright/agents/worker.md", &worker);
    place.run(&["run", "p.ts", "--args", "{\"n\":3}"]).code(0);
    let refused = place.run(&["fork", "latest", "--detach"]).code(2);
    assert!(refused.err.contains("error[LW0521]"), "{}", refused.err);
    assert_eq!(place.run(&["runs", "--json"]).json().as_array().unwrap().len(), 3);
}

/// Logs by name.
fn logs(place: &Place) -> Vec<String> {
    let files = std::fs::read_dir(place.data().join("logs")).into_iter().flatten().flatten();
    files.map(|file| file.file_name().into_string().unwrap()).collect()
}

/// Starts in the background a run that is held before it is recorded, until somebody writes its arguments; kills what
/// waits for its start, and gives the process of the run.
fn killed_at_start(place: &Place) -> u32 {
    let _ = std::fs::remove_file(place.path().join("args"));
    assert!(place.shell("mkfifo args").status().unwrap().success());
    let mut parent =
        place.command(&["run", "p.ts", "--args", "@args", "--detach"]).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let mut child = None;
    until(|| {
        let text = std::fs::read_to_string(&children).unwrap_or_default();
        child = text.split_whitespace().next().map(|pid| pid.parse().unwrap());
        let is_held = |pid: u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("--detached")
        };
        child.is_some_and(is_held)
    });
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_eq!(logs(place), [format!("{}.starting", parent.id())]);
    child.unwrap()
}

#[test]
fn a_start_in_the_background_that_is_killed_leaves_no_log_without_a_name() {
    if !std::path::Path::new("/proc/self/task").exists() {
        println!("skipped: there is no `/proc` to find the process in");
        return;
    }
    let quick = place("args?.n ?? 7");
    // Its run goes on, and the log gets its name.
    killed_at_start(&quick);
    quick.write("q.ts", "1");
    let other = quick.run(&["run", "q.ts", "--detach"]).code(0).out.trim().to_owned();
    quick.run(&["wait", &other]).code(0);
    assert_eq!(logs(&quick).len(), 2, "what is being written to is not swept");
    quick.write("args", "{\"n\":8}");
    until(|| quick.run(&["runs", "--json"]).json().as_array().unwrap().len() == 2);
    let id = row_id(&quick);
    assert_eq!(quick.run(&["wait", &id]).code(0).out, "8\n");
    let mut names = [format!("{other}.log"), format!("{id}.log")];
    let mut found = logs(&quick);
    names.sort();
    found.sort();
    assert_eq!(found, names);
    // Both are killed: the next start clears away what they left.
    let gone = place("1");
    let child = killed_at_start(&gone);
    signal(child, "-KILL");
    until(|| !std::path::Path::new(&format!("/proc/{child}/fd/2")).exists());
    std::fs::remove_file(gone.path().join("args")).unwrap();
    let id = detached(&gone, &[]);
    assert_eq!(logs(&gone), [format!("{id}.log")]);
}

#[test]
fn nohup_keeps_a_run_from_ending_with_its_terminal() {
    let place = place("await task({description: 'x', subagentType: 'worker'})");
    let line = format!("trap '' HUP; exec '{}' run p.ts", env!("CARGO_BIN_EXE_loopwright"));
    let run = place.shell(&line).spawn().unwrap();
    until(|| books(&place).len() == 1);
    signal(run.id(), "-HUP");
    place.write("go", "");
    let ended: Ended = run.wait_with_output().unwrap().into();
    assert_eq!(ended.code(0).out, "done\n");
}

#[test]
fn a_run_of_which_nothing_was_recorded_is_not_to_be_gone_on_with() {
    use loopwright::journal::Store;
    use loopwright::protocol::Entry;
    let place = place("1");
    place.run(&["run", "p.ts"]).code(0);
    let store = Store::open(&place.data()).unwrap();
    let run = store.find("latest").unwrap().id;
    let first = store.read(&run).unwrap().next().unwrap().unwrap().1;
    let Entry::RunStarted(mut start) = first else { panic!("{first:?}") };
    // As a process leaves it that is killed between the run's row and its first entry.
    start.run = loopwright::types::RunId::parse("20300101-000000-none").unwrap();
    drop(store.create(&start, Box::new(|_| ())).unwrap());
    drop(store);
    assert_eq!(place.run(&["runs", "--json"]).json()[0]["interrupted"], true);
    for command in [vec!["wait", "latest"], vec!["cancel", "latest"], vec!["show"], vec!["resume"]]
    {
        let told = place.run(&command).code(1).err;
        assert!(told.contains("error[LW0819]"), "{command:?}: {told}");
        assert!(!told.contains("loopwright resume"), "{command:?}: {told}");
    }
}
