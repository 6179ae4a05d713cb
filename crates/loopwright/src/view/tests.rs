//! Views of scripted runs, as people and tools see them.

mod lookups;
mod loops;
mod outages;
mod script;
mod steps;

use super::*;
use expect_test::{Expect, expect};
use loopwright_protocol::CallKind;
use loopwright_types::{CallId, RunStatus};
use script::{Script, audit, finished_audit, hostile, program};
use serde_json::{Value, json};

const PLAIN: Tree =
    Tree { paint: Paint { colour: false }, columns: None, logs_max: 20, interrupted: false };

fn detail_of(script: &Script, call: u32) -> Option<TaskDetail> {
    let mut search = TaskSearch::new(CallId(call));
    script.entries.iter().for_each(|entry| search.take(entry));
    search.found()
}

/// The note of a task after each entry, without repetitions.
fn notes(script: &Script, task: u32) -> Vec<String> {
    let (mut view, mut notes) = (RunView::new(), Vec::new());
    for entry in &script.entries {
        view.apply(entry);
        let Some(call) = view.call(CallId(task)) else { continue };
        let note = view.note(call, view.now()).unwrap_or_default().into_owned();
        if notes.last() != Some(&note) {
            notes.push(note);
        }
    }
    notes
}

fn lines(script: &Script) -> String {
    let (mut view, mut out) = (RunView::new(), String::new());
    for entry in &script.entries {
        view.apply(entry);
        if let Some(text) = line(&view, entry, Paint::default()) {
            out += &(text + "\n");
        }
    }
    out
}

fn events(script: &Script, named: &str) -> String {
    let (mut view, mut out) = (RunView::new(), String::new());
    for entry in &script.entries {
        view.apply(entry);
        let Some(text) = event_json(&view, entry) else { continue };
        let event: Value = serde_json::from_str(&text).unwrap();
        if event["event"].as_str().unwrap().starts_with(named) {
            out += &(text + "\n");
        }
    }
    out
}

fn check_tree(script: &Script, columns: Option<usize>, expected: &Expect) {
    let with = Tree { columns, ..PLAIN };
    expected.assert_eq(&tree(&script.view(), with));
}

#[test]
fn a_finished_run_is_a_tree_of_phases_and_tasks() {
    check_tree(
        &finished_audit(),
        None,
        &expect![[r#"
            audit.ts  degraded in 1.9 s
            run        20261120-ab12
            started    2026-11-20 14:22:33 UTC, loopwright 0.1.0
            workspace  /work
            args       {"path":"src"}
            settings   run.concurrency=2
            tasks      3 done, 1 failed
            other      2 done
            used       1,800 tokens in, 690 tokens out, $0.0246
            context    4,949 tokens stayed out of the program; 11 came back

            Scan  1 done, 1 failed  other: 1 done  each file
            ├─ done        1  check a.rs (reviewer)  400 ms  900 in, 340 out, $0.0123  → {"notes":[],"ok":true}
            └─ failed      2  check b.rs (reviewer)  2 attempts, 500 ms  900 in, 340 out, $0.0123  timeout: `check b.rs` took longer than 5 s [LW0502]

            Report  other: 1 done
            └─ done        4  workflow publish  500 ms  → null
               line 1: await agent('x')  1 done
               └─ done        5  write (reviewer)  200 ms  900 in, 340 out, $0.0123  → null

            line 3: const found = await Promise.all(files.map(scan))  1 done
            └─ done        3  sum up (reviewer)  300 ms  900 in, 340 out, $0.0123  → all is well

            log
            14:22:33 2 files

            failures
            - check b.rs: timeout: `check b.rs` took longer than 5 s
            - became null: no such file

            result
            {"files":2}
        "#]],
    );
}

#[test]
fn a_run_under_way_tells_what_it_does_now() {
    check_tree(
        &audit(),
        None,
        &expect![[r#"
            audit.ts  running, last entry after 1.5 s
            run        20261120-ab12
            started    2026-11-20 14:22:33 UTC, loopwright 0.1.0
            workspace  /work
            args       {"path":"src"}
            settings   run.concurrency=2
            tasks      1 done, 2 running, 1 failed
            other      1 done, 1 running
            used       2,700 tokens in, 1,020 tokens out, $0.0369
            context    2,474 tokens stayed out of the program; 6 came back

            Scan  1 done, 1 failed  other: 1 done  each file
            ├─ done        1  check a.rs (reviewer)  400 ms  900 in, 340 out, $0.0123  → {"notes":[],"ok":true}
            └─ failed      2  check b.rs (reviewer)  2 attempts, 500 ms  900 in, 340 out, $0.0123  timeout: `check b.rs` took longer than 5 s [LW0502]

            Report  other: 1 running
            └─ running     4  workflow publish  200 ms
               line 1: await agent('x')  1 running
               └─ running     5  write (reviewer)  0 ms

            line 3: const found = await Promise.all(files.map(scan))  1 running
            └─ running     3  sum up (reviewer)  200 ms  → reading

            log
            14:22:33 2 files
        "#]],
    );
}

#[test]
fn a_run_whose_process_is_gone_is_interrupted_not_running() {
    let view = audit().view();
    let text = tree(&view, Tree { interrupted: true, ..PLAIN });
    assert!(text.starts_with("audit.ts  interrupted, last entry after 1.5 s\n"), "{text}");
    let run: Value = serde_json::from_str(&run_json(&view, true).unwrap()).unwrap();
    assert_eq!((&run["status"], &run["interrupted"]), (&json!("running"), &json!(true)));
}

#[test]
fn no_row_is_wider_than_forty_columns() {
    let text = tree(&finished_audit().view(), Tree { columns: Some(40), ..PLAIN });
    assert!(text.lines().all(|row| width(row) <= 40), "{text}");
    check_tree(
        &finished_audit(),
        Some(40),
        &expect![[r#"
            audit.ts  degraded in 1.9 s
            run        20261120-ab12
            started    2026-11-20 14:22:33 UTC, loo…
            workspace  /work
            args       {"path":"src"}
            settings   run.concurrency=2
            tasks      3 done, 1 failed
            other      2 done
            used       1,800 tokens in, 690 tokens
                       out, $0.0246
            context    4,949 tokens stayed out of
                       the program; 11 came back

            Scan  1 done, 1 failed  other: 1 done  …
            ├─ done        1  check a.rs (reviewer)…
            └─ failed      2  check b.rs (reviewer)…

            Report  other: 1 done
            └─ done        4  workflow publish  50…
               line 1: await agent('x')  1 done
               └─ done        5  write (reviewer)  …

            line 3: const found = await Promise.all…
            └─ done        3  sum up (reviewer)  30…

            log
            14:22:33 2 files

            failures
            - check b.rs: timeout: `check b.rs` too…
            - became null: no such file

            result
            {"files":2}
        "#]],
    );
}

#[test]
fn colours_do_not_change_a_word() {
    let plain = Tree { columns: Some(60), ..PLAIN };
    let coloured = Tree { paint: Paint { colour: true }, ..plain };
    let view = finished_audit().view();
    let mut text = tree(&view, coloured);
    assert!(text.contains("\x1b[31mfailed"), "{text}");
    for code in ["0", "1", "2", "31", "32", "33", "36"] {
        text = text.replace(&format!("\x1b[{code}m"), "");
    }
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(&text), words(&tree(&view, plain)));
}

#[test]
fn hostile_text_reaches_no_output_as_it_is() {
    let script = hostile();
    let with = PLAIN;
    let mut view = RunView::new();
    let mut all = String::new();
    for entry in &script.entries {
        view.apply(entry);
        for text in [line(&view, entry, with.paint), event_json(&view, entry)] {
            let text = text.unwrap_or_default();
            assert!(!text.contains('\n'), "{text}");
            all += &(text + "\n");
        }
    }
    let detail = detail_of(&script, 0).unwrap();
    all += &tree(&view, with);
    all += &run_json(&view, false).unwrap();
    all += &detail.json();
    all += &detail.text(with.paint);
    let bad = all.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(bad, None, "{all}");
    assert!(all.contains("\\u{1b}]0;owned") && all.contains("\\u001b]0;owned"), "{all}");
}

#[test]
fn a_pipe_gets_one_plain_line_per_event() {
    let mut view = RunView::new();
    let mut out = String::new();
    for entry in &finished_audit().entries {
        view.apply(entry);
        if let Some(text) = line(&view, entry, Paint::default()) {
            out += &(text + "\n");
        }
    }
    expect![[r#"
        run 20261120-ab12 started: audit.ts
        phase Scan
        tool 0 started: glob {"pattern":"**/*.rs"}
        tool 0 done: glob {"pattern":"**/*.rs"} (100 ms, 1,240 tokens)
        task 1 started: check a.rs (reviewer)
        task 2 started: check b.rs (reviewer)
        log: 2 files
        task 2 tries again: check b.rs: the command ended with status 1
        task 1 done: check a.rs (400 ms, 1,240 tokens)
        task 2 started again: check b.rs (reviewer)
        task 2 failed: check b.rs (2 attempts, 500 ms, 1,240 tokens): timeout: `check b.rs` took longer than 5 s [LW0502]
        task 3 started: sum up (reviewer)
        task 3: reading
        task 5 started: write (reviewer)
        task 3 done: sum up (300 ms, 1,240 tokens)
        task 5 done: write (200 ms, 1,240 tokens)
        workflow 4 done: publish (500 ms)
        became null: no such file
        run degraded: 3 done, 1 failed, 1.9 s, 2,490 tokens, $0.0246
    "#]].assert_eq(&out);
}

#[test]
fn events_are_lines_of_json_with_stable_names() {
    let mut view = RunView::new();
    let mut out = String::new();
    for entry in &finished_audit().entries {
        view.apply(entry);
        if let Some(text) = event_json(&view, entry) {
            serde_json::from_str::<Value>(&text).unwrap();
            out += &(text + "\n");
        }
    }
    expect![[r#"
        {"event":"run.started","runId":"20261120-ab12","at":"2026-11-20T14:22:33.120Z","program":"audit.ts","version":"0.1.0","workspace":"/work","seed":7,"args":{"path":"src"}}
        {"event":"phase","guest":0,"phase":"Scan"}
        {"event":"tool.queued","at":"2026-11-20T14:22:33.220Z","task":0,"guest":0,"kind":"tool","label":"glob {\"pattern\":\"**/*.rs\"}","phase":"Scan","line":3,"column":9}
        {"event":"tool.started","at":"2026-11-20T14:22:33.320Z","task":0,"attempt":1}
        {"event":"tool.ended","at":"2026-11-20T14:22:33.420Z","task":0,"attempts":1,"status":"done","ms":100,"usage":{"inputTokens":900,"outputTokens":340,"usdMicros":12300},"result":"a.rs\nb.rs"}
        {"event":"task.queued","at":"2026-11-20T14:22:33.520Z","task":1,"guest":0,"kind":"task","label":"check a.rs","subagent":"reviewer","phase":"Scan","line":3,"column":9}
        {"event":"task.queued","at":"2026-11-20T14:22:33.520Z","task":2,"guest":0,"kind":"task","label":"check b.rs","subagent":"reviewer","phase":"Scan","line":3,"column":9}
        {"event":"task.started","at":"2026-11-20T14:22:33.620Z","task":1,"attempt":1}
        {"event":"task.started","at":"2026-11-20T14:22:33.720Z","task":2,"attempt":1}
        {"event":"log","at":"2026-11-20T14:22:33.820Z","guest":0,"line":3,"level":"log","text":"2 files"}
        {"event":"task.attempt","at":"2026-11-20T14:22:33.920Z","task":2,"attempt":1,"retryAt":"2026-11-20T14:22:34.420Z","usage":{"inputTokens":0,"outputTokens":10,"usdMicros":0},"failure":{"reason":"provider","code":"LW0604","message":"the command ended with status 1","retryable":true}}
        {"event":"task.ended","at":"2026-11-20T14:22:34.020Z","task":1,"attempts":1,"status":"done","ms":400,"usage":{"inputTokens":900,"outputTokens":340,"usdMicros":12300},"result":{"notes":[],"ok":true}}
        {"event":"task.started","at":"2026-11-20T14:22:34.120Z","task":2,"attempt":2}
        {"event":"task.ended","at":"2026-11-20T14:22:34.220Z","task":2,"attempts":2,"status":"failed","ms":500,"usage":{"inputTokens":900,"outputTokens":340,"usdMicros":12300},"failure":{"reason":"timeout","code":"LW0502","message":"`check b.rs` took longer than 5 s","retryable":false}}
        {"event":"task.queued","at":"2026-11-20T14:22:34.320Z","task":3,"guest":0,"kind":"agent","label":"sum up","subagent":"reviewer","phase":"line 3: const found = await Promise.all(files.map(scan))","line":3,"column":9}
        {"event":"task.started","at":"2026-11-20T14:22:34.420Z","task":3,"attempt":1}
        {"event":"task.progress","at":"2026-11-20T14:22:34.420Z","task":3,"attempt":1,"text":"reading"}
        {"event":"workflow.queued","at":"2026-11-20T14:22:34.320Z","task":4,"guest":0,"kind":"workflow","label":"publish","phase":"Report","line":3,"column":9}
        {"event":"guest.started","task":4,"guest":1,"program":"publish.js"}
        {"event":"task.queued","at":"2026-11-20T14:22:34.520Z","task":5,"guest":1,"kind":"agent","label":"write","subagent":"reviewer","phase":"line 1: await agent('x')","line":1,"column":9}
        {"event":"task.started","at":"2026-11-20T14:22:34.620Z","task":5,"attempt":1}
        {"event":"task.ended","at":"2026-11-20T14:22:34.720Z","task":3,"attempts":1,"status":"done","ms":300,"usage":{"inputTokens":900,"outputTokens":340,"usdMicros":12300},"result":"all is well"}
        {"event":"task.ended","at":"2026-11-20T14:22:34.820Z","task":5,"attempts":1,"status":"done","ms":200,"usage":{"inputTokens":900,"outputTokens":340,"usdMicros":12300},"result":null}
        {"event":"workflow.ended","at":"2026-11-20T14:22:34.920Z","task":4,"attempts":0,"status":"done","ms":500,"usage":{"inputTokens":0,"outputTokens":0,"usdMicros":0},"result":null}
        {"event":"dropped","guest":0,"thrown":{"message":"no such file","name":"Error"}}
    "#]].assert_eq(&out);
}

#[test]
fn the_json_of_a_run_holds_everything_shown() {
    let run: Value =
        serde_json::from_str(&run_json(&finished_audit().view(), false).unwrap()).unwrap();
    assert_eq!(run["id"], "20261120-ab12");
    assert_eq!(run["status"], "degraded");
    assert_eq!(run["result"], json!({"files": 2}));
    assert_eq!(run["settings"], json!({"run.concurrency": "2"}));
    assert_eq!(run["counts"]["done"], 3);
    assert_eq!(run["counts"]["failed"], 1);
    let titles: Vec<_> = run["phases"].as_array().unwrap().iter().map(|p| &p["title"]).collect();
    assert_eq!(
        titles,
        ["Scan", "Report", "line 3: const found = await Promise.all(files.map(scan))"]
    );
    let nested = &run["phases"][1]["tasks"][0];
    assert_eq!(nested["kind"], "workflow");
    assert_eq!(nested["phases"][0]["tasks"][0]["label"], "write");
    let failed = &run["phases"][0]["tasks"][1];
    let expected = json!({"reason": "timeout", "code": "LW0502", "attempts": 2, "line": 3});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&failed[name], value, "{name}");
    }
}

#[test]
fn one_task_is_shown_with_every_attempt() {
    let detail = detail_of(&finished_audit(), 2).unwrap();
    expect![[r#"
        task       2 (line 3, column 9)
        kind       task
        subagent   reviewer
        status     failed
        took       nothing was dispatched
        used       900 tokens in, 340 tokens out, $0.0123
        context    1,240 tokens stayed out of the program; 0 came back
        identity   7edb360f06acaef2cc80dba16cf563f199d347db4443da04da0c8173e3f9e4ed
        attempt 1  started 14:22:33.720Z, 200 ms: provider: the command ended with status 1 [LW0604]
        attempt 2  started 14:22:34.120Z, 100 ms

        prompt
        look

        failure
        timeout[LW0502]: `check b.rs` took longer than 5 s
    "#]]
    .assert_eq(&detail.text(Paint::default()));
    assert!(detail_of(&finished_audit(), 99).is_none());
}

#[test]
fn work_without_an_outcome_counts_as_cancelled_when_the_run_ends_and_waits_when_it_parks() {
    for (status, cancelled) in [(RunStatus::Cancelled, 2), (RunStatus::Parked, 0)] {
        let mut script = audit();
        script.finish(status, None, &[]);
        let counts = script.view().tasks();
        assert_eq!((counts.cancelled, counts.total()), (cancelled, 4), "{status:?}");
    }
}

#[test]
fn long_texts_leave_short_rows_and_counts_stay_right() {
    let mut script = Script::new(program("big.ts", "x", None));
    let long = "word ".repeat(50_000);
    for _ in 0..2000 {
        let task = script.task(1, None, &long[..2000]);
        script.start(task, 1);
        script.done(task, 1, json!(&long[..2000]));
        let tool = script.call(CallKind::Tool, 1, None, json!({"name": "ls"}));
        script.done(tool, 1, json!(1));
        script.log("log", &long);
    }
    let view = script.view();
    assert_eq!((view.tasks().done, view.others().done), (2000, 2000));
    assert_eq!((view.logs().len(), view.log_count()), (1000, 2000));
    assert!(view.calls().count() <= 2001, "tool calls that went well are counted, not kept");
    let kept =
        view.calls().map(|call| call.label.len() + call.note.as_ref().map_or(0, |n| n.len()));
    assert!(kept.max() < Some(300));
    assert_eq!(view.open_groups().count(), 0);
}

#[test]
fn usage_counts_every_attempt_once() {
    let mut script = Script::new(program("usage.ts", "x", None));
    let task = script.task(1, None, "a");
    script.start(task, 1);
    script.retry(task, 1, "again");
    assert_eq!(script.view().usage().output_tokens, 10);
    script.start(task, 2);
    script.done(task, 2, json!(1)); // all attempts together: 340
    assert_eq!(script.view().usage().output_tokens, 340);
}
