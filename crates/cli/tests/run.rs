//! `run`, and what `runs` and `show` tell of it afterwards.

mod support;

use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use support::{Ended, Place};

const MOCK: &str = "---\nname: reviewer\ndescription: looks\ndriver: mock\neffects: none\n---\n";
const BROKEN: &str = "---\nname: breaker\ndescription: fails\ndriver: mock\neffects: none\nmock: {failure_rate: 1}\n---\n";

fn place(program: &str) -> Place {
    Place::with(&[
        ("p.ts", program),
        (".loopwright/agents/reviewer.md", MOCK),
        (".loopwright/agents/breaker.md", BROKEN),
    ])
}

const QUICK: [&str; 2] = ["--set", "task.backoff_ms=0"];

fn run(place: &Place, more: &[&str]) -> Ended {
    place.run(&[&["run", "p.ts"], &QUICK[..], more].concat())
}

#[test]
fn the_result_is_data_and_the_exit_code_says_how_it_ended() {
    let cases = [
        ("({a: [1, 'x']})", 0, "{\"a\":[1,\"x\"]}\n"),
        ("'plain text'", 0, "plain text\n"),
        ("'ends with a line\\n'", 0, "ends with a line\n"),
        ("const a = 1", 0, "null\n"),
        ("args.n + 1", 0, "42\n"),
        ("throw new Error('no')", 1, ""),
        ("task({description: 'x', subagentType: 'breaker'}); 7", 3, "7\n"),
        ("await agent('x', {agentType: 'breaker'})", 3, "null\n"),
        ("await approve('ship?')", 4, ""),
    ];
    for (program, code, out) in cases {
        let ended = run(&place(program), &["--args", "{\"n\":41}"]).code(code);
        assert_eq!(ended.out, out, "{program}: {}", ended.err);
    }
}

#[test]
fn a_pipe_gets_plain_lines_that_a_screen_reader_can_read() {
    let program = "phase('Look');\nlog('two files');\n\
        await Promise.all(['a', 'b'].map((f) => task({description: f, subagentType: 'reviewer', label: `look at ${f}`})));\n'ok'";
    let ended = run(&place(program), &[]).code(0);
    let pieces = [
        " started: p.ts",
        "phase Look",
        "log: two files",
        "task 0 started: look at a (reviewer)",
        "task 1 done: look at b (",
        "run complete: 2 done",
        "see: loopwright show ",
    ];
    for piece in pieces {
        assert!(ended.err.contains(piece), "no `{piece}` in\n{}", ended.err);
    }
    assert!(!ended.err.contains('\x1b'), "no escapes on a pipe");
    assert_eq!(run(&place(program), &["--quiet"]).code(0).err, "");
}

#[test]
fn events_are_json_lines_that_end_with_the_result() {
    let program =
        "await task({description: 'a', subagentType: 'breaker'}).catch(() => 0);\n({done: true})";
    let ended = run(&place(program), &["--json"]);
    let events = ended.events();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names.first(), Some(&"run.started"), "{names:?}");
    assert!(names.contains(&"task.queued") && names.contains(&"task.started"), "{names:?}");
    assert!(names.contains(&"task.attempt"), "a mock's failure is tried again: {names:?}");
    let settled = events.iter().find(|event| event["event"] == "task.ended").unwrap();
    assert_eq!(settled["status"], "failed");
    assert_eq!(settled["failure"]["code"], "LW0607");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "run.finished");
    assert_eq!(last["runId"], events[0]["runId"]);
    assert_eq!(last["result"], json!({"done": true}));
    assert_eq!(ended.code, Some(if last["status"] == "complete" { 0 } else { 3 }));
    assert_eq!(ended.err, "");
}

#[test]
fn events_end_with_an_object_also_when_there_never_was_a_run() {
    let place = Place::with(&[("bad.ts", "let let = (")]);
    let ended = place.run(&["run", "bad.ts", "--json"]).code(1);
    let last = ended.events().pop().unwrap();
    assert_eq!((&last["runId"], &last["status"]), (&json!(null), &json!("failed")));
    assert_eq!(last["error"]["file"], "bad.ts");
    assert!(ended.err.contains("error[LW01"), "{}", ended.err);
}

#[test]
fn an_error_of_the_program_shows_the_authors_line() {
    let program = "const a: number = 1;\nfunction check(): never {\n  throw new Error(`wrong ${a}`);\n}\ncheck();";
    let ended = run(&place(program), &[]).code(1);
    for piece in ["error[LW0208]", "wrong 1", "p.ts:3:", "throw new Error"] {
        assert!(ended.err.contains(piece), "no `{piece}` in\n{}", ended.err);
    }
}

#[test]
fn hostile_text_of_a_program_cannot_steer_the_terminal() {
    let program =
        "phase('\\x1b[2Jp'); log('\\x1b]0;x\\x07\\u202e'); throw new Error('\\x1b[31m\\u009b')";
    let ended = run(&place(program), &[]).code(1);
    let bad = ended.err.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(bad, None, "{}", ended.err);
}

#[test]
fn arguments_come_from_the_line_a_file_or_standard_input() {
    let place = place("args");
    place.write("a.json", "\u{feff}{\"from\": \"file\"}\n");
    let run = |args: &str, input: &str| {
        let arguments = ["run", "p.ts", "--quiet", "--args", args];
        place.run_with_input(&arguments, input).code(0).out
    };
    assert_eq!(run("[1, null]", ""), "[1,null]\n");
    assert_eq!(run("@a.json", ""), "{\"from\":\"file\"}\n");
    assert_eq!(run("@-", "\"typed\""), "typed\n");
}

#[test]
fn runs_and_show_tell_what_happened() {
    let program = "phase('Look');\nconst r = await task({description: 'say hello', subagentType: 'reviewer', label: 'greet'});\n\
        await tools.ls({path: '.'}).catch(() => 0);\nlog('seen');\n({r: typeof r})";
    let place = place(program);
    run(&place, &["--args", "{\"n\":1}"]).code(0);
    run(&place, &["--args", "{\"n\":2}"]).code(0);
    let runs = place.run(&["runs", "--json"]).code(0).json();
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert!(runs[0]["startedAt"].as_str() >= runs[1]["startedAt"].as_str(), "newest first");
    for run in runs {
        assert_eq!(run["status"], "complete");
        assert_eq!(run["program"], "p.ts");
        assert_eq!(run["counts"], json!({"tasks": 1, "done": 1, "failed": 0}));
        assert!(run["endedAt"].is_string() && run["ms"].is_u64());
    }
    assert_eq!(place.run(&["runs", "--json", "--limit", "1"]).json().as_array().unwrap().len(), 1);
    let table = place.run(&["runs"]).code(0).out;
    assert!(table.starts_with("RUN") && table.lines().count() == 3, "{table}");

    let id = runs[0]["id"].as_str().unwrap();
    let shown = place.run(&["show", id, "--json"]).code(0).json();
    assert_eq!(shown["args"], json!({"n": 2}));
    assert_eq!(shown["result"], json!({"r": "string"}));
    assert_eq!(shown["phases"][0]["title"], "Look");
    let task = &shown["phases"][0]["tasks"][0];
    assert_eq!((&task["label"], &task["status"]), (&json!("greet"), &json!("done")));
    assert_eq!(place.run(&["show", "latest", "--json"]).json()["id"], id);

    let text = place.run(&["show"]).code(0).out;
    for piece in [id, "complete in", "Look", "greet (reviewer)", "log", "seen", "result"] {
        assert!(text.contains(piece), "no `{piece}` in\n{text}");
    }
    let number = task["task"].to_string();
    let one = place.run(&["show", id, "--task", &number]).code(0).out;
    assert!(one.contains("prompt\nsay hello\n") && one.contains("attempt 1"), "{one}");
    let one = place.run(&["show", id, "--task", &number, "--json"]).code(0).json();
    assert_eq!(one["request"]["prompt"], "say hello");
    let none = place.run(&["show", id, "--task", "99"]).code(1).err;
    assert!(none.contains("has no task `99`"), "{none}");
}

#[test]
fn a_run_that_nobody_can_record_does_not_begin() {
    let place = place("1");
    place.write("file", "");
    let ended = run(&place, &["--data-dir", "file"]).code(1);
    assert!(ended.err.contains("error[LW0801]: `file` is not a directory"), "{}", ended.err);
    assert_eq!(ended.out, "");
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else { return }; // not on this system
    let place = place("'result'");
    let ended: Ended = place.command(&["run", "p.ts", "-q"]).stdout(full).output().unwrap().into();
    let ended = ended.code(1);
    assert!(
        ended.err.contains("error[LW0802]: standard output cannot be written"),
        "{}",
        ended.err
    );
    assert_eq!(place.run(&["show", "--json"]).json()["result"], "result", "it is recorded");
}

#[test]
fn nobody_reading_any_more_is_no_error() {
    let program = "for (let i = 0; i < 3000; i++) log('x'.repeat(100)); 'end'";
    let place = place(program);
    let mut command = place.command(&["run", "p.ts", "--json"]);
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    drop(out);
    assert!(first.contains("run.started"));
    let ended: Ended = child.wait_with_output().unwrap().into();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(place.run(&["runs", "--json"]).json()[0]["status"], "complete");
}

/// Starts a run that waits for a subagent for ever, and gives the signals one after the other once it tells `sign`.
fn signalled(slow: &str, sign: &str, signals: &[&str]) -> (Place, Ended) {
    let place = place("await task({description: 'wait', subagentType: 'slow'})");
    place.write(".loopwright/agents/slow.md", slow);
    let mut child = place.command(&["run", "p.ts"]).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains(sign) {
        assert!(err.read_line(&mut told).unwrap() > 0, "{told}");
    }
    for signal in signals {
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill").args([signal, &*pid]).status().unwrap();
        assert!(sent.success());
    }
    err.read_to_string(&mut told).unwrap();
    let mut ended: Ended = child.wait_with_output().unwrap().into();
    ended.err = told;
    (place, ended)
}

#[test]
fn a_signal_cancels_and_leaves_a_truthful_record() {
    let slow =
        "---\nname: slow\ndescription: waits\ndriver: mock\nmock: {latency_ms: 600000}\n---\n";
    for signal in ["-INT", "-TERM", "-HUP"] {
        let (place, ended) = signalled(slow, "task 0 started", &[signal]);
        let ended = ended.code(130);
        assert_eq!(ended.out, "");
        assert!(ended.err.contains("run cancelled: 1 cancelled"), "{}", ended.err);
        let run = place.run(&["show", "--json"]).code(0).json();
        assert_eq!(run["status"], "cancelled");
        assert_eq!(run["counts"]["cancelled"], 1);
    }
}

#[test]
fn a_second_signal_ends_at_once_and_takes_commands_that_will_not_go_along() {
    let slow = "---\nname: slow\ndescription: will not go\ndriver: command\n\
        command: [sh, -c, \"trap '' INT TERM; echo $$ > pid; echo here; echo there; sleep 600\"]\n---\n";
    let (place, ended) = signalled(slow, "task 0: here", &["-INT", "-TERM"]);
    ended.code(130);
    let pid = std::fs::read_to_string(place.path().join("pid")).unwrap();
    // The kernel may take a moment to bury it; a process that was not killed would stay for ten minutes.
    let is_alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    for _ in 0..500 {
        if !is_alive() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the command outlived its run");
}

#[test]
fn init_makes_a_project_whose_next_command_works() {
    let place = Place::new();
    let made = place.run(&["init", "demo"]).code(0);
    assert_eq!(made.out, "cd demo && loopwright run main.ts\n");
    let demo = |arguments: &[&str]| -> Ended {
        let mut command = place.command(arguments);
        command.current_dir(place.path().join("demo")).output().unwrap().into()
    };
    assert!(demo(&["check", "main.ts"]).code(0).out.starts_with("main.ts: ok\n"));
    let ran = demo(&["run", "main.ts"]).code(0);
    assert!(ran.out.trim_end().ends_with("README.md"), "{ran:#?}");
    let agents = demo(&["agents", "--json"]).code(0).json();
    let counter =
        &agents["agents"].as_array().unwrap().iter().find(|a| a["name"] == "word-counter");
    assert_eq!(counter.unwrap()["driver"], "command");
    let again = place.run(&["init", "demo"]).code(1);
    assert!(again.err.contains("error[LW0905]: `main.ts`,"), "{}", again.err);
    assert!(demo(&["settings"]).code(0).out.contains("run.concurrency"));
}

#[test]
fn init_keeps_what_is_there() {
    let place =
        Place::with(&[(".gitignore", "target"), ("README.md", "mine"), ("notes.md", "a b")]);
    let made = place.run(&["init"]).code(0);
    assert_eq!(made.out, "loopwright run main.ts\n");
    let read = |path| std::fs::read_to_string(place.path().join(path)).unwrap();
    assert_eq!(read("README.md"), "mine");
    assert!(read(".gitignore").starts_with("target\n# Runs"));
}

#[test]
fn check_tells_errors_and_warnings_without_running_anything() {
    let place = place(
        "export const meta = {name: 'n', phases: [{title: 'A'}]};\n\
         await task({description: 'x', subagentType: 'nobody'});",
    );
    let ended = place.run(&["check", "p.ts"]).code(0);
    assert!(
        ended.out.contains("p.ts: ok, 1 warning\n") && ended.out.contains("phases       A"),
        "{ended:#?}"
    );
    assert!(
        ended.err.contains("warning[LW0601]: subagent `nobody` is not defined"),
        "{}",
        ended.err
    );
    let json = place.run(&["check", "p.ts", "--json"]).code(0).json();
    assert_eq!((&json["ok"], &json["meta"]["name"]), (&json!(true), &json!("n")));
    assert_eq!(json["calls"][0]["names"], "nobody");
    assert_eq!(json["warnings"][0]["code"], "LW0601");
    place.write("bad.ts", "import fs from 'fs'\n");
    let json = place.run(&["check", "bad.ts", "--json"]).code(1).json();
    assert_eq!((&json["ok"], &json["errors"][0]["code"]), (&json!(false), &json!("LW0105")));
    assert_eq!(place.run(&["runs", "--json"]).out, "[]\n");
}

#[test]
fn broken_agent_files_are_listed_with_their_error() {
    let place = place("1");
    place.write(".loopwright/agents/odd.md", "---\nname: odd\ndriver: teleport\n---\n");
    let ended = place.run(&["agents"]).code(0);
    assert!(ended.out.contains("odd") && ended.out.contains("broken"), "{}", ended.out);
    assert!(ended.err.contains("warning[LW0602]"), "{}", ended.err);
    let json = place.run(&["agents", "--json"]).code(0).json();
    assert_eq!(
        (&json["broken"][0]["name"], &json["broken"][0]["line"]),
        (&json!("odd"), &json!(3))
    );
    assert_eq!(run(&place, &[]).code(0).out, "1\n", "others still run");
}
