//! The `command` driver with real processes. Skips nothing: `python3` is needed.

use crate::support::{Bench, assert_gone, is_alive, json};
use loopwright_host::Driver;
use loopwright_protocol::{Feedback, Outcome};
use loopwright_subagents::Signal;
use loopwright_types::{Attempt, CallId, Code, Reason, Usage};
use std::time::Duration;

#[test]
fn a_worker_gets_the_whole_request_and_gives_a_result_with_usage() {
    let bench = Bench::new(
        "r = request()\nanswer(r, usage={'input_tokens': 3, 'outputTokens': 4, 'usd': 0.5})",
        "timeout: 30s\ntools: Read, Grep\nmodel: sonnet",
    );
    let ended = bench.run(|work| {
        work.prompt = "say \"hi\"\n☃".into();
        work.schema = Some(json(r#"{"type":"object"}"#));
        work.label = Some("first".into());
        work.max_turns = Some(3);
    });
    let got: serde_json::Value = serde_json::from_str(ended.text()).unwrap();
    let expected = serde_json::json!({
        "description": "say \"hi\"\n☃", "prompt": "say \"hi\"\n☃", "responseSchema": {"type": "object"},
        "taskId": "0", "runId": bench.run, "attempt": 1, "idempotencyKey": format!("{}/0/1", bench.run),
        "subagentType": "worker",
        "systemPrompt": "You are a worker.", "label": "first", "model": "sonnet", "effort": null,
        "tools": ["Read", "Grep"], "maxTurns": 3, "timeoutMs": 30000,
    });
    assert_eq!(got, expected);
    let usage =
        Usage { input_tokens: 3, output_tokens: 4, usd_micros: 500_000, ..Usage::default() };
    assert_eq!(ended.usage, usage);
    assert!(ended.pid > 1 && ended.start_ticks > 0);
    assert_gone(ended.pid);
}

#[test]
fn an_isolated_worker_runs_in_its_worktree_and_not_in_the_workspace() {
    let bench = Bench::new("request()\nopen('made.txt', 'w').close()\nanswer(os.getcwd())", "");
    let worktree = tempfile::tempdir().unwrap();
    std::fs::copy(bench.path().join("worker.py"), worktree.path().join("worker.py")).unwrap();
    let root = worktree.path().canonicalize().unwrap().display().to_string();
    let ended = bench.run(|work| work.root = Some(root.clone()));
    assert_eq!(ended.text(), serde_json::json!(root).to_string());
    assert!(worktree.path().join("made.txt").exists() && !bench.path().join("made.txt").exists());
}

#[test]
fn earlier_lines_are_progress_and_the_last_needs_no_line_end() {
    let bench = Bench::new(
        "request()\nprint('starting')\nprint(json.dumps({'progress': 'half'}))\n\
         print('\\x1b[31mred')\nprint()\nsys.stdout.write('{\"result\": \"done\"}')",
        "",
    );
    let ended = bench.run(|_| ());
    assert_eq!(ended.text(), "\"done\"");
    assert_eq!(ended.messages, ["starting", "half", "\\u{1b}[31mred"]);
}

#[test]
fn an_answer_that_did_not_match_comes_back_with_the_errors() {
    let bench = Bench::new("answer(request().get('feedback'))", "");
    let ended = bench.run(|work| {
        work.feedback =
            Some(Feedback { answer: json("{\"a\":1}"), errors: "`/a` is not text".into() });
    });
    assert_eq!(ended.text(), r#"{"answer": {"a": 1}, "errors": "`/a` is not text"}"#);
    assert_eq!(bench.run(|_| ()).text(), "null");
}

#[test]
fn failures_are_typed_and_show_what_the_worker_said() {
    let cases = [
        (
            "sys.exit('no\\x1b disk')",
            Code::COMMAND_FAILED,
            true,
            "exit status 1 of `python3`; standard error ends `no\\u{1b} disk`",
        ),
        ("sys.exit(64)", Code::COMMAND_FAILED, false, "ended with exit status 64 of `python3`"),
        ("sys.exit(75)", Code::COMMAND_FAILED, true, "ended with exit status 75 of `python3`"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            Code::COMMAND_FAILED,
            true,
            "was ended by signal 9",
        ),
        ("answer(1); sys.exit(3)", Code::COMMAND_FAILED, true, "ended with exit status 3"),
        ("print('{\"error\": \"quota\"}')", Code::COMMAND_FAILED, false, "failed: quota"),
        (
            "print('{\"error\": \"quota\", \"retryable\": true}')",
            Code::COMMAND_FAILED,
            true,
            "failed: quota",
        ),
        (
            "print('{\"error\": \"bad\", \"retryable\": false}'); sys.exit(1)",
            Code::COMMAND_FAILED,
            false,
            "status 1 of `python3`: bad",
        ),
        ("pass", Code::COMMAND_ANSWER, true, "ended without an answer"),
        (
            "sys.stderr.write('why')",
            Code::COMMAND_ANSWER,
            true,
            "without an answer; standard error ends `why`",
        ),
        ("answer(1); print('bye')", Code::COMMAND_ANSWER, true, "not an answer: `bye`"),
        ("answer(float('nan'))", Code::COMMAND_ANSWER, true, "not JSON"),
        (
            "sys.stdout.buffer.write(bytes(range(256)) * 1000)",
            Code::COMMAND_ANSWER,
            true,
            "not UTF-8",
        ),
        ("answer('x' * 2000)", Code::ANSWER_TOO_LARGE, false, "2002 bytes or more (limit 1000)"),
        (
            "sys.stdout.write('x' * 10_000_000); time.sleep(60)",
            Code::ANSWER_TOO_LARGE,
            false,
            "(limit 1000)",
        ),
    ];
    for (python, code, retryable, part) in cases {
        let bench = Bench::with(python, "", &[("task.answer_bytes_max", "1000")]);
        let ended = bench.run(|_| ());
        let failure = ended.failure();
        assert!(failure.message.contains(part), "{python}: {}", failure.message);
        assert!(failure.message.contains("`worker`"), "{python}: {}", failure.message);
        let expected = (code, retryable, true, Reason::Provider);
        let got = (failure.code, failure.retryable, failure.sent, failure.reason);
        assert_eq!(got, expected, "{python}");
    }
}

#[test]
fn usage_of_a_failed_attempt_is_counted() {
    let bench = Bench::new(
        "print('{\"error\": \"x\", \"usage\": {\"output_tokens\": 9}}'); sys.exit(1)",
        "",
    );
    let ended = bench.run(|_| ());
    assert_eq!(ended.usage.output_tokens, 9);
    assert_eq!(ended.failure().code, Code::COMMAND_FAILED);
}

#[test]
fn what_cannot_be_started_was_not_sent() {
    let cases = [
        ("command: [no-such-program-here]", "`no-such-program-here` was not found"),
        ("command: [./missing.sh]", "`./missing.sh` was not found"),
        ("command: [./worker.py]", "`./worker.py` may not be run"),
        ("command: [python3]\ncwd: nowhere", "is not there"),
    ];
    for (extra, part) in cases {
        let bench = Bench::new("", extra);
        let ended = bench.run(|_| ());
        let failure = ended.failure();
        assert!(failure.message.contains(part), "{}", failure.message);
        assert_eq!((failure.code, failure.sent), (Code::COMMAND_NOT_STARTED, false));
        assert!(failure.hint.is_some());
    }
}

#[test]
fn a_path_is_looked_up_in_the_commands_own_directory() {
    let bench = Bench::new("", "command: ./run.sh\ncwd: sub");
    let script = bench.path().join("sub/run.sh");
    std::fs::create_dir(bench.path().join("sub")).unwrap();
    std::fs::write(&script, "#!/bin/sh\nprintf '{\"result\":\"%s\"}' \"$PWD\"\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let ended = bench.run(|_| ());
    assert!(ended.text().ends_with("/sub\""), "{}", ended.text());
}

#[test]
fn the_environment_holds_only_the_basics_and_what_the_definition_names() {
    // Set for every process that runs this test file: Cargo's own variables play the secret.
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some()
            && std::env::var_os("CARGO_PKG_NAME").is_some()
    );
    let bench = Bench::new(
        "",
        "command: [sh, -c, 'env; echo \"{\\\"result\\\":1}\"']\nenv:\n  CARGO_PKG_NAME:\n  NOT_THERE_AT_ALL:\n  MODE: fast",
    );
    let ended = bench.run(|_| ());
    let shells_own = ["PWD", "OLDPWD", "SHLVL", "_"];
    let names = ended.messages.iter().filter_map(|line| line.split_once('='));
    let mut names: Vec<_> =
        names.map(|(name, _)| name).filter(|name| !shells_own.contains(name)).collect();
    names.retain(|name| !["HOME", "LANG", "TMPDIR"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["CARGO_PKG_NAME", "LOOPWRIGHT_ATTEMPT", "LOOPWRIGHT_KEY", "MODE", "PATH"]);
    assert!(ended.messages.contains(&"MODE=fast".to_owned()));
}

#[test]
fn a_worker_that_never_reads_a_large_prompt_is_no_error() {
    for python in ["answer('ok')", "os.close(0); answer('ok')", "sys.stdin.read(10); answer('ok')"]
    {
        let bench = Bench::new(python, "");
        let ended = bench.run(|work| work.prompt = "x".repeat(1 << 20));
        assert_eq!(ended.text(), "\"ok\"", "{python}");
    }
    let bench = Bench::new("answer(len(request()['prompt']))", "");
    assert_eq!(bench.run(|work| work.prompt = "x".repeat(1 << 20)).text(), "1048576");
}

#[test]
fn much_output_is_streamed_and_little_of_it_kept() {
    let bench = Bench::new(
        "for i in range(100_000):\n    print('line', i, 'x' * 90)\nsys.stderr.write('e' * 3_000_000)\nanswer('ok')",
        "",
    );
    let ended = bench.run(|_| ());
    assert_eq!(ended.text(), "\"ok\"");
    assert!(ended.messages.len() <= 201, "{}", ended.messages.len());
}

#[test]
fn a_worker_that_closes_its_output_early_is_waited_for() {
    let bench =
        Bench::new("answer('early')\nos.close(1)\nos.close(2)\nopen('late', 'w').close()", "");
    assert_eq!(bench.run(|_| ()).text(), "\"early\"");
    assert!(bench.path().join("late").exists());
}

/// Starts a child that ignores SIGTERM and tells its number; `detach` lets it leave the process group.
fn child(detach: bool) -> String {
    format!(
        "import subprocess\n\
         child = subprocess.Popen([sys.executable, '-c', 'import signal, time; \
         signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(300)'], \
         stdout=subprocess.PIPE, start_new_session={})\n\
         child.stdout.readline()\n\
         print(child.pid, flush=True)\n",
        if detach { "True" } else { "False" }
    )
}

#[test]
fn a_timeout_ends_the_worker_and_everything_it_started() {
    for detach in [false, true] {
        let python = format!("{}time.sleep(300)", child(detach));
        let bench = Bench::new(&python, "timeout: 1500ms");
        let ended = bench.run(|_| ());
        let failure = ended.failure();
        assert_eq!((failure.code, failure.reason), (Code::TASK_TIMEOUT, Reason::Timeout));
        assert!(failure.message.contains("within `1500` ms"), "{}", failure.message);
        assert!(failure.retryable);
        assert_gone(ended.pid);
        // A slow machine may reach the limit before the child is told of.
        for pid in &ended.messages {
            assert_gone(pid.parse().unwrap());
        }
    }
}

#[test]
fn the_tasks_own_time_is_kept_as_well() {
    let bench = Bench::new("time.sleep(300)", "timeout: 300s");
    bench.start(0, Some(Duration::from_millis(200)), |_| ());
    let ended = bench.end();
    assert_eq!((ended.failure().code, ended.failure().retryable), (Code::TASK_TIMEOUT, false));
}

#[test]
fn cancelling_ends_a_worker_that_ignores_sigterm() {
    for (detach, ignore) in [(false, true), (true, false)] {
        let ignoring = if ignore { "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" } else { "" };
        let bench = Bench::new(&format!("{ignoring}{}time.sleep(300)", child(detach)), "");
        bench.start(7, None, |_| ());
        let ended = bench.end_after(&mut |pid| {
            assert!(is_alive(pid.parse().unwrap()));
            bench.drivers.cancel(CallId(7), Attempt(1));
            bench.drivers.cancel(CallId(7), Attempt(1));
            bench.drivers.cancel(CallId(8), Attempt(1));
        });
        assert_eq!(ended.failure().reason, Reason::Cancelled);
        assert_gone(ended.pid);
        assert_gone(ended.messages[0].parse().unwrap());
    }
}

#[test]
fn a_worker_may_clean_up_on_sigterm() {
    let bench = Bench::new(
        "def end(*_):\n    open('cleaned', 'w').close()\n    sys.exit(0)\n\
         signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(300)",
        "",
    );
    bench.start(0, None, |_| ());
    bench.end_after(&mut |_| bench.drivers.cancel(CallId(0), Attempt(1)));
    assert!(bench.path().join("cleaned").exists());
}

#[test]
fn what_outlives_the_worker_neither_holds_the_attempt_nor_stays() {
    for detach in [false, true] {
        // The child inherits the worker's own output here.
        let python = format!(
            "import subprocess\n\
             child = subprocess.Popen(['sleep', '300'], start_new_session={})\nprint(child.pid)\nanswer('ok')",
            if detach { "True" } else { "False" }
        );
        let bench = Bench::new(&python, "");
        let ended = bench.run(|_| ());
        assert_eq!(ended.text(), "\"ok\"");
        assert_gone(ended.messages[0].parse().unwrap());
    }
    let daemon = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        \
                  print(os.getpid(), flush=True)\n        time.sleep(300)\n    os._exit(0)\n\
                  os.wait()\ntime.sleep(0.2)\nanswer('ok')";
    let bench = Bench::new(daemon, "");
    let ended = bench.run(|_| ());
    assert_eq!(ended.text(), "\"ok\"");
    assert_gone(ended.messages[0].parse().unwrap());
}

#[test]
fn signals_are_passed_on_to_all_workers() {
    let bench = Bench::new(
        "try:\n    print('ready', flush=True)\n    time.sleep(300)\n\
         except KeyboardInterrupt:\n    answer('interrupted')",
        "",
    );
    bench.start(0, None, |_| ());
    let ended = bench.end_after(&mut |line| {
        if line == "ready" {
            bench.drivers.signal_all(Signal::Interrupt);
        }
    });
    assert_eq!(ended.text(), "\"interrupted\"");
}

#[test]
fn what_fails_of_a_signal_that_was_passed_on_was_cut_off() {
    for end in ["pass", "sys.exit(1)", "print(json.dumps({'error': 'stopped'}))"] {
        let python = format!(
            "try:\n    print('ready', flush=True)\n    time.sleep(300)\n\
             except KeyboardInterrupt:\n    import sys, json\n    {end}"
        );
        let bench = Bench::new(&python, "");
        bench.start(0, None, |_| ());
        let ended = bench.end_after(&mut |line| {
            if line == "ready" {
                bench.drivers.signal_all(Signal::Interrupt);
            }
        });
        assert_eq!(ended.failure().reason, Reason::Cancelled, "{end}");
    }
}

#[test]
fn shutting_down_ends_all_workers_and_refuses_new_ones() {
    let bench = Bench::new("print('ready', flush=True)\ntime.sleep(300)", "");
    for call in 0..5 {
        bench.start(call, None, |_| ());
    }
    bench.drivers.shutdown();
    for _ in 0..5 {
        let ended = bench.end();
        assert_eq!(ended.failure().reason, Reason::Cancelled);
        if ended.pid > 0 {
            assert_gone(ended.pid);
        }
    }
    let refused = bench.run(|_| ());
    assert_eq!(refused.failure().code, Code::COMMAND_NOT_STARTED);
    bench.drivers.shutdown();
}

#[test]
fn hundreds_of_workers_run_at_once() {
    let bench =
        Bench::new("", "command: [sh, -c, 'sleep 0.5; read line; echo \"{\\\"result\\\":1}\"']");
    for call in 0..200 {
        bench.start(call, None, |_| ());
    }
    for _ in 0..200 {
        let ended = bench.end_of_any();
        assert!(matches!(ended, Outcome::Done(_)), "{ended:?}");
    }
}
