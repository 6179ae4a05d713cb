//! Tasks whose subagents are served step by step, as people and tools see them.

use super::script::{Script, json_of, program};
use super::steps::{overloaded, reply, review, salvage, sonnet, used};
use super::*;
use loopwright_protocol::{Outcome, WorktreeReport};
use loopwright_types::{Code, Failure, Reason, Usage};

#[test]
fn a_task_tells_what_its_subagent_does() {
    expect![[r#"

        turn 1: waits to ask anthropic:sonnet
        turn 1: asks anthropic:sonnet
        turn 1: waits for anthropic (retry in 4 s): `anthropic` is overloaded (529)
        turn 1: asks anthropic:sonnet again, attempt 2

        turn 1: grep src TODO (queued)
        turn 1: grep src TODO
        turn 1: grep src TODO, 1 more
        turn 1: docs.find retry, 1 more
        turn 1: docs.find retry, 2 more
        turn 1: read_file none.rs, 2 more
        turn 1: read_file none.rs, 1 more
        turn 1: docs.find retry

        turn 2: waits to ask anthropic:sonnet
        turn 2: asks anthropic:sonnet

        turn 2: waits to ask anthropic:sonnet
        turn 2: asks anthropic:sonnet

        {"ok":true}"#]]
    .assert_eq(&notes(&review(), 0).join("\n"));
}

#[test]
fn a_worktree_comes_before_and_after_the_conversation() {
    expect![[r#"

        makes its worktree

        turn 1: waits to ask anthropic:sonnet
        turn 1: asks anthropic:sonnet

        finishes its worktree

        the answer does not match its schema: `ok` is missing"#]]
    .assert_eq(&notes(&salvage(), 0).join("\n"));
    let mut script = Script::priced("fix.ts");
    let task = script.task(1, None, "fix");
    let make = script.step(task, CallKind::Worktree, 0, "create", None);
    script.start(make, 1);
    let view = script.view();
    assert_eq!((view.tasks().running, view.under_way().count()), (1, 1), "it works already");
    assert_eq!(view.call(task).unwrap().started, None, "but its subagent does not");
}

#[test]
fn a_task_counts_turns_tools_tokens_and_what_caches_saved() {
    check_tree(
        &review(),
        None,
        &expect![[r#"
            review.ts  running, last entry after 2.3 s
            run        20261120-ab12
            started    2026-11-20 14:22:33 UTC, loopwright 0.1.0
            workspace  /work
            args       {"path":"src"}
            settings   run.concurrency=2
            tasks      1 done
            used       4,200 tokens in (2,300 cached), 80 tokens out, $0.0082
            context    4,277 tokens stayed out of the program; 3 came back
            cache      2,300 tokens read, $0.0062 saved; 900 written, $0.0006 extra

            line 1: await task('x')  1 done
            └─ done        0  review a.rs (reviewer)  2.1 s  3 turns, 3 tool calls, 4,200 in (2,300 cached), 80 out, $0.0082  → {"ok":true}
        "#]],
    );
    check_tree(
        &review(),
        Some(40),
        &expect![[r#"
            review.ts  running, last entry after 2…
            run        20261120-ab12
            started    2026-11-20 14:22:33 UTC, loo…
            workspace  /work
            args       {"path":"src"}
            settings   run.concurrency=2
            tasks      1 done
            used       4,200 tokens in (2,300
                       cached), 80 tokens out,
                       $0.0082
            context    4,277 tokens stayed out of
                       the program; 3 came back
            cache      2,300 tokens read, $0.0062
                       saved; 900 written, $0.0006
                       extra

            line 1: await task('x')  1 done
            └─ done        0  review a.rs (reviewe…
        "#]],
    );
}

#[test]
fn every_step_of_a_task_is_in_its_transcript() {
    let detail = detail_of(&review(), 0).unwrap();
    expect![[r#"
        task       0 (line 1, column 9)
        kind       task
        subagent   reviewer
        status     done
        took       2.1 s
        loop       3 turns, 3 tool calls
        used       4,200 tokens in (2,300 cached), 80 tokens out, $0.0082
        context    4,277 tokens stayed out of the program; 3 came back
        cache      2,300 tokens read, $0.0062 saved; 900 written, $0.0006 extra
        identity   7edb360f06acaef2cc80dba16cf563f199d347db4443da04da0c8173e3f9e4ed
        attempt 1  started 14:22:33.320Z, 2.1 s

        prompt
        look

        transcript
        turn 1  anthropic:sonnet  done, 2 attempts, 300 ms, 1,100 in, 50 out, $0.0046, sha256 6bdf2651e130
          attempt 1: provider: `anthropic` is overloaded (529) [LW1008], again after 4 s
          I look first.
          Then I answer.
          → fly {"to":"the moon"}  not called: no such tool, or unreadable arguments
          → grep {"path":"src","pattern":"TODO"}  done, 500 ms, sha256 adb0133a2bf6
              src/a.rs:1: TODO
              src/b.rs:9: TODO
          → docs.find {"word":"retry"}  done, 500 ms, sha256 5a82d39d9847
              {"pages":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65,66,67,68,69,70,71,72,73,74,75,76,77,78,79,80,81,82,83,84,85,86,87,88,89,90,91,92,93,94,95,96,97,98,99,100,101,102,103,104,105,106,107,108,109,110,111,112,113,114,115,116,117,118,119,120,121,122,123,124,
              … 700 more bytes
          → read_file {"path":"none.rs"}  failed, 200 ms, sha256 f279339445ef
              provider: there is no `none.rs` [LW0705]
        turn 2  anthropic:sonnet  done, 100 ms, 1,500 in (800 cached), 20 out, $0.0027, sha256 655eea94d31b
          all is well
        turn 2 again  anthropic:sonnet  done, 100 ms, 1,600 in (1,500 cached), 10 out, $0.0009, sha256 655eea94d31b
          told what was wrong with the answer before
          {"ok":true}

        result
        {
          "ok": true
        }
    "#]].assert_eq(&detail.text(Paint::default()));
}

#[test]
fn what_was_said_last_is_salvaged_and_never_called_an_answer() {
    let script = salvage();
    let detail = detail_of(&script, 0).unwrap();
    expect![[r#"
        task       0 (line 1, column 9)
        kind       task
        subagent   reviewer
        status     failed
        took       700 ms
        loop       1 turn
        used       400 tokens in, 30 tokens out, $0.0016
        context    424 tokens stayed out of the program; 6 came back
        worktree   loopwright/ab12-1 in /tmp/w/1
        identity   7edb360f06acaef2cc80dba16cf563f199d347db4443da04da0c8173e3f9e4ed
        attempt 1  started 14:22:33.620Z, 700 ms

        prompt
        look

        transcript
        worktree create  done, 100 ms, sha256 4b7166d388b9
          loopwright/ab12-1 in /tmp/w/1 from 0123abc
        turn 1  anthropic:sonnet  done, 100 ms, 400 in, 30 out, $0.0016, sha256 6bdf2651e130
          I changed
          three files
        worktree finish  done, 100 ms, sha256 bb00eddf52d5

        failure
        schema[LW0404]: the answer does not match its schema: `ok` is missing

        salvaged, not an answer
        I changed
        three files

        changes in the worktree
         src/a.rs | 3 ++-
         1 file changed
    "#]]
    .assert_eq(&detail.text(Paint::default()));
    let task: Value = serde_json::from_str(&detail.json()).unwrap();
    let expected = json!({"text": "I changed\nthree files", "isAnswer": false});
    assert_eq!(task["salvage"], expected);
    assert_eq!((&task["result"], &task["status"]), (&Value::Null, &json!("failed")));
    assert_eq!(task["worktree"]["branch"], "loopwright/ab12-1");
    // The text is in the receipt that the program gets: it did not stay out.
    assert_eq!(task["context"]["cameBackTokens"], 6);
    assert_eq!(script.view().context().came_back_tokens, 6);
    let ended = events(&script, "task.ended");
    let ended: Value = serde_json::from_str(&ended).unwrap();
    assert_eq!((&ended["salvage"], &ended["worktree"]["changed"]), (&expected, &json!(true)));
}

#[test]
fn what_became_of_a_worktree_is_told_also_where_its_task_had_settled() {
    let outcomes = [
        (json!({"changed": false, "diffstat": ""}), "nothing changed, removed"),
        (json!({"changed": true, "branch": "b", "path": "/w", "diffstat": "1 file"}), "b in /w"),
    ];
    for (report, expected) in outcomes {
        let mut script = Script::priced("fix.ts");
        let task = script.task(1, None, "fix");
        script.start(task, 1);
        let late = Failure::new(Reason::Timeout, Code::TASK_TIMEOUT, "late");
        script.settled(task, 1, Outcome::Failed(late), Usage::default(), |entry| {
            let (branch, path) = (Some("b".to_owned()), Some("/w".to_owned()));
            let diffstat = "told later".to_owned();
            entry.worktree = Some(WorktreeReport { changed: true, branch, path, diffstat });
        });
        let finish = script.step(task, CallKind::Worktree, 0, "finish", None);
        script.start(finish, 1);
        script.gave(finish, report, Usage::default());
        let text = detail_of(&script, 0).unwrap().text(Paint::default());
        assert!(text.contains(&format!("worktree   {expected}")), "{text}");
        assert!(!text.contains("told later"), "{text}");
        assert_eq!(script.view().under_way().count(), 0);
    }
}

#[test]
fn steps_are_events_of_their_task() {
    expect![[r#"
        {"event":"step.queued","at":"2026-11-20T14:22:33.420Z","task":0,"step":1,"kind":"model","turn":1,"name":"anthropic:sonnet"}
        {"event":"step.started","at":"2026-11-20T14:22:33.520Z","task":0,"step":1,"attempt":1,"kind":"model","turn":1,"name":"anthropic:sonnet"}
        {"event":"step.attempt","at":"2026-11-20T14:22:33.620Z","task":0,"step":1,"attempt":1,"kind":"model","turn":1,"name":"anthropic:sonnet","retryAt":"2026-11-20T14:22:37.620Z","usage":{"inputTokens":100,"outputTokens":0,"usdMicros":300},"failure":{"reason":"provider","code":"LW1008","message":"`anthropic` is overloaded (529)","retryable":true}}
        {"event":"step.started","at":"2026-11-20T14:22:33.720Z","task":0,"step":1,"attempt":2,"kind":"model","turn":1,"name":"anthropic:sonnet"}
        {"event":"step.ended","at":"2026-11-20T14:22:33.820Z","task":0,"step":1,"attempts":2,"status":"done","kind":"model","turn":1,"name":"anthropic:sonnet","ms":300,"usage":{"inputTokens":1100,"outputTokens":50,"cacheWriteTokens":800,"usdMicros":4650}}
        {"event":"step.queued","at":"2026-11-20T14:22:33.920Z","task":0,"step":2,"args":{"path":"src","pattern":"TODO"},"kind":"tool","turn":1,"name":"grep"}
        {"event":"step.started","at":"2026-11-20T14:22:34.020Z","task":0,"step":2,"attempt":1,"kind":"tool","turn":1,"name":"grep"}
        {"event":"step.queued","at":"2026-11-20T14:22:34.120Z","task":0,"step":3,"args":{"word":"retry"},"kind":"tool","turn":1,"name":"docs.find"}
        {"event":"step.started","at":"2026-11-20T14:22:34.220Z","task":0,"step":3,"attempt":1,"kind":"tool","turn":1,"name":"docs.find"}
        {"event":"step.queued","at":"2026-11-20T14:22:34.320Z","task":0,"step":4,"args":{"path":"none.rs"},"kind":"tool","turn":1,"name":"read_file"}
        {"event":"step.started","at":"2026-11-20T14:22:34.420Z","task":0,"step":4,"attempt":1,"kind":"tool","turn":1,"name":"read_file"}
        {"event":"step.ended","at":"2026-11-20T14:22:34.520Z","task":0,"step":2,"attempts":1,"status":"done","kind":"tool","turn":1,"name":"grep","ms":500,"usage":{"inputTokens":0,"outputTokens":0,"usdMicros":0}}
        {"event":"step.ended","at":"2026-11-20T14:22:34.620Z","task":0,"step":4,"attempts":1,"status":"failed","kind":"tool","turn":1,"name":"read_file","ms":200,"usage":{"inputTokens":0,"outputTokens":0,"usdMicros":0},"failure":{"reason":"provider","code":"LW0705","message":"there is no `none.rs`","retryable":false}}
        {"event":"step.ended","at":"2026-11-20T14:22:34.720Z","task":0,"step":3,"attempts":1,"status":"done","kind":"tool","turn":1,"name":"docs.find","ms":500,"usage":{"inputTokens":0,"outputTokens":0,"usdMicros":0}}
        {"event":"step.queued","at":"2026-11-20T14:22:34.820Z","task":0,"step":5,"kind":"model","turn":2,"name":"anthropic:sonnet"}
        {"event":"step.started","at":"2026-11-20T14:22:34.920Z","task":0,"step":5,"attempt":1,"kind":"model","turn":2,"name":"anthropic:sonnet"}
        {"event":"step.ended","at":"2026-11-20T14:22:35.020Z","task":0,"step":5,"attempts":1,"status":"done","kind":"model","turn":2,"name":"anthropic:sonnet","ms":100,"usage":{"inputTokens":1500,"outputTokens":20,"cacheReadTokens":800,"cacheWriteTokens":100,"usdMicros":2715}}
        {"event":"step.queued","at":"2026-11-20T14:22:35.120Z","task":0,"step":6,"kind":"model","turn":2,"name":"anthropic:sonnet"}
        {"event":"step.started","at":"2026-11-20T14:22:35.220Z","task":0,"step":6,"attempt":1,"kind":"model","turn":2,"name":"anthropic:sonnet"}
        {"event":"step.ended","at":"2026-11-20T14:22:35.320Z","task":0,"step":6,"attempts":1,"status":"done","kind":"model","turn":2,"name":"anthropic:sonnet","ms":100,"usage":{"inputTokens":1600,"outputTokens":10,"cacheReadTokens":1500,"usdMicros":900}}
    "#]].assert_eq(&events(&review(), "step."));
}

#[test]
fn the_json_of_a_task_has_every_step_in_full() {
    let task: Value = serde_json::from_str(&detail_of(&review(), 0).unwrap().json()).unwrap();
    let steps = task["steps"].as_array().unwrap();
    let kinds: Vec<_> = steps.iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["model", "tool", "tool", "tool", "model", "model"]);
    assert_eq!((&task["turns"], &task["toolCalls"]), (&json!(3), &json!(3)));
    assert_eq!(steps[0]["attempts"][0]["failure"]["code"], "LW1008");
    assert_eq!(steps[0]["usage"]["inputTokens"], 1100);
    assert_eq!(steps[2]["result"]["pages"].as_array().unwrap().len(), 300, "nothing is cut");
    assert_eq!(steps[3]["failure"]["message"], "there is no `none.rs`");
    assert_eq!(task["usage"]["inputTokens"], 4200);
    let run: Value = serde_json::from_str(&run_json(&review().view(), false).unwrap()).unwrap();
    assert_eq!(run["context"], task["context"], "the run has one task");
    assert_eq!(run["cache"], task["cache"]);
    let row = &run["phases"][0]["tasks"][0];
    assert_eq!((&row["turns"], &row["toolCalls"]), (&json!(3), &json!(3)));
    assert_eq!(row["usage"], task["usage"]);
}

#[test]
fn usage_is_counted_once_and_as_it_happens() {
    let script = review();
    let (mut view, mut before) = (RunView::new(), 0);
    let mut seen = Vec::new();
    for entry in &script.entries {
        view.apply(entry);
        let tokens = view.usage().tokens();
        let task = view.call(CallId(0)).map_or(0, |call| call.usage.tokens());
        assert_eq!(tokens, task, "the run has one task: {entry:?}");
        if tokens != before {
            seen.push(tokens);
        }
        before = tokens;
    }
    // The failed attempt, the reply, two more replies; the task's own outcome adds nothing.
    assert_eq!(seen, [100, 1150, 2670, 4280]);
}

#[test]
fn an_attempt_that_outlives_its_task_is_paid_for_by_the_task() {
    let mut script = Script::priced("late.ts");
    let task = script.task(1, None, "slow");
    script.start(task, 1);
    let step = script.ask(task, 1);
    let cancelled = || Failure::new(Reason::Cancelled, Code::CANCELLED, "no longer wanted");
    script.over(step, 1, Outcome::Failed(cancelled()), Usage::default());
    script.over(task, 1, Outcome::Failed(cancelled()), Usage::default());
    assert_eq!(script.view().usage().tokens(), 0);
    script.end(step, 1, cancelled(), 0);
    let mut view = script.view();
    assert_eq!(view.usage().input_tokens, 100);
    assert_eq!(view.call(task).unwrap().usage.input_tokens, 100);
    assert_eq!(view.context().stayed_out_tokens, 100);
    assert_eq!(detail_of(&script, 0).unwrap().usage().input_tokens, 100);
    assert!(events(&script, "step.attempt").contains(r#""task":0,"step":1"#));
    // Nothing is kept of it.
    script.log("log", "on");
    view.apply(script.entries.last().unwrap());
    assert!(view.steps.is_empty() && view.open_steps.is_empty());
}

#[test]
fn a_fallback_value_did_not_come_out_of_a_subagent() {
    let mut script = Script::priced("fallback.ts");
    let task = script.task(1, None, "a");
    script.start(task, 1);
    let step = script.ask(task, 1);
    script.over(step, 1, Outcome::Failed(overloaded("no")), used(50, 0, 0, 0));
    let value = Outcome::Done(json_of(json!("x".repeat(4000))));
    script.settled(task, 1, value, used(50, 0, 0, 0), |entry| {
        entry.fallback = true;
        entry.hidden = Some(overloaded("no"));
    });
    let context = script.view().context();
    assert_eq!((context.stayed_out_tokens, context.came_back_tokens), (50, 0));
}

#[test]
fn a_price_that_is_looked_up_is_known_from_then_on() {
    for known in [true, false] {
        let mut script = Script::new(program("resolve.ts", "x", None));
        let task = script.task(1, None, "a");
        script.start(task, 1);
        let look = script.step(task, CallKind::Resolve, 0, "fast", None);
        script.start(look, 1);
        let mut model = sonnet();
        model.price = model.price.filter(|_| known);
        script.gave(look, serde_json::to_value(model).unwrap(), Usage::default());
        let step = script.ask(task, 1);
        let usage = used(2_000_000, 1_000_000, 0, 10);
        script.gave(step, reply("x", &[]), usage);
        script.gave(task, json!("x"), usage);
        let saved = known.then_some(2_700_000);
        assert_eq!(script.view().cache().saved_usd_micros(), saved);
        assert_eq!(detail_of(&script, 0).unwrap().cache().saved_usd_micros(), saved);
        assert_eq!(script.view().cache().read_tokens, 1_000_000);
    }
}

#[test]
fn a_number_of_a_step_leads_to_its_task() {
    let mut search = TaskSearch::new(CallId(3));
    review().entries.iter().for_each(|entry| search.take(entry));
    assert_eq!(search.step_of(), Some(CallId(0)));
    assert!(search.found().is_none());
}

#[test]
fn steps_that_are_over_take_no_memory() {
    let mut script = Script::priced("many.ts");
    let mut view = RunView::new();
    for n in 0..500 {
        let task = script.task(1, None, "many turns");
        script.start(task, 1);
        for turn in 1..=20 {
            let step = script.ask(task, turn);
            script.gave(step, reply(&"long ".repeat(50), &[]), used(10, 5, 0, 1));
            let tool = script.tool(task, turn, "grep", json!({"pattern": "x".repeat(2000)}));
            script.gave(tool, json!("y".repeat(2000)), Usage::default());
        }
        script.gave(task, json!(n), used(200, 100, 0, 20));
        script.entries.drain(..).for_each(|entry| view.apply(&entry));
        assert!(view.steps.len() <= 1 && view.open_steps.is_empty());
    }
    assert_eq!(view.calls().count(), 500);
    let call = view.call(CallId(0)).unwrap();
    assert_eq!((call.turns, call.tool_calls), (20, 20));
    assert_eq!(view.usage().tokens(), 500 * 220);
    assert_eq!(view.cache().read_tokens, 500 * 100);
}

#[test]
fn what_models_and_tools_say_reaches_no_terminal_as_it_is() {
    let bad = "x\x1b]0;owned\x07\u{202e}gnp\r\n\u{9b}2J";
    let mut script = Script::priced("bad.ts");
    let task = script.task(1, None, "a");
    script.start(task, 1);
    let step = script.step(task, CallKind::Model, 1, bad, None);
    script.start(step, 1);
    script.end(step, 1, overloaded(bad), 100);
    script.start(step, 2);
    script.gave(step, reply(bad, &[(bad, json!({ "a": bad }))]), used(10, 0, 0, 0));
    let tool = script.tool(task, 1, bad, json!({ "a": bad }));
    script.told(tool, bad);
    script.gave(tool, json!(bad), Usage::default());
    let tool = script.tool(task, 1, bad, json!({ "a": bad }));
    let failure = Failure::new(Reason::Provider, Code::TOOL_FAILED, bad);
    script.over(tool, 1, Outcome::Failed(failure), Usage::default());
    script.down(bad, overloaded(bad));
    script.up(bad);
    script.down(bad, overloaded(bad));
    script.settled(task, 1, Outcome::Failed(overloaded(bad)), used(10, 0, 0, 0), |entry| {
        entry.salvage = Some(bad.to_owned());
        let (branch, path) = (Some(bad.to_owned()), Some(bad.to_owned()));
        let diffstat = bad.to_owned();
        entry.worktree = Some(WorktreeReport { changed: true, branch, path, diffstat });
    });
    let detail = detail_of(&script, 0).unwrap();
    let view = script.view();
    let mut all = lines(&script) + &events(&script, "") + &tree(&view, PLAIN);
    all += &(detail.text(Paint::default()) + &detail.json() + &run_json(&view, false).unwrap());
    let found = all.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(found, None, "{all}");
    for part in ["salvaged, not an answer\nx\\u{1b}]0;owned", "→ x\\u{1b}]0"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert_eq!(view.down().len(), 1);
}
