//! Agents that crash, hang, flood, lie or are not there. They stand on no library.

use crate::support::{Bench, assert_appears, assert_gone, python};
use loopwright_acp::{Agent, Permissions};
use loopwright_protocol::Progress;
use loopwright_types::{Attempt, CallId, Code, Reason};
use serde_json::json;
use std::time::Duration;

/// Fails at the end of a case: code, whether it may pass next time, whether the task was sent, words of the message.
type Case<'a> = (&'a str, Code, bool, bool, &'a [&'a str]);

const CASES: &[Case<'_>] = &[
    (
        "sys.exit(3)",
        Code::AGENT_NOT_READY,
        true,
        false,
        &["ended with exit status 3 before the session began"],
    ),
    ("sys.exit(0)", Code::AGENT_NOT_READY, false, false, &["ended with exit status 0"]),
    (
        "print('Usage: agent [--acp]'); print('no such option', file=sys.stderr); sys.exit(64)",
        Code::AGENT_NOT_READY,
        false,
        false,
        &[
            "exit status 64",
            "it wrote `Usage: agent [--acp]`",
            "standard error ends `no such option`",
        ],
    ),
    ("os.kill(os.getpid(), 9)", Code::AGENT_NOT_READY, true, false, &["was ended by signal 9"]),
    (
        "while True: print('garbage')",
        Code::AGENT_PROTOCOL,
        false,
        false,
        &["no message of the protocol: `garbage`"],
    ),
    (
        "print('{\"hello\": 1}', flush=True); time.sleep(600)",
        Code::AGENT_PROTOCOL,
        false,
        false,
        &["`{\"hello\": 1}`"],
    ),
    (
        "reply({'protocolVersion': 2}); time.sleep(600)",
        Code::AGENT_PROTOCOL,
        false,
        false,
        &["protocol version"],
    ),
    (
        "reply({'protocolVersion': 99}); time.sleep(600)",
        Code::AGENT_PROTOCOL,
        false,
        false,
        &["protocol version"],
    ),
    ("reply({}); time.sleep(600)", Code::AGENT_PROTOCOL, false, false, &["protocol version"]),
    (
        "reply({'protocolVersion': 1}); reply({}); time.sleep(600)",
        Code::AGENT_NOT_READY,
        false,
        false,
        &["`session/new`"],
    ),
    (
        "reply({'protocolVersion': 1}); it = read(); send(id=it['id'], error={'code': -32602, 'message': 'bad cwd'})",
        Code::AGENT_NOT_READY,
        false,
        false,
        &["answered `session/new` with an error: bad cwd"],
    ),
    (
        "greet(); read(); say('half'); sys.exit(1)",
        Code::AGENT_FAILED,
        true,
        true,
        &["exit status 1 before it answered"],
    ),
    (
        "greet(); read(); os.close(1); time.sleep(600)",
        Code::AGENT_FAILED,
        true,
        true,
        &["before it answered"],
    ),
    (
        "greet(); reply({'stopReason': 'end_turn'})",
        Code::AGENT_NO_ANSWER,
        true,
        true,
        &["without a message"],
    ),
    (
        "reply({'protocolVersion': 1}); say('early'); reply({'sessionId': 's'}); reply({'stopReason': 'end_turn'})",
        Code::AGENT_NO_ANSWER,
        true,
        true,
        &["without a message"],
    ),
    (
        "greet(); reply({'stopReason': 'bored'}); time.sleep(600)",
        Code::AGENT_FAILED,
        false,
        true,
        &["`session/prompt`"],
    ),
    (
        "greet(); reply([1]); time.sleep(600)",
        Code::AGENT_FAILED,
        false,
        true,
        &["`session/prompt`"],
    ),
    (
        "greet(); read(); say('x' * 2000)\nfor _ in range(9): say('x' * 2000)\ntime.sleep(600)",
        Code::ANSWER_TOO_LARGE,
        false,
        true,
        &["(limit 10000)"],
    ),
    (
        "greet(); read(); print('x' * 100_000, flush=True); time.sleep(600)",
        Code::AGENT_PROTOCOL,
        false,
        true,
        &["`acp.message_bytes_max`"],
    ),
    (
        "greet(); read()\nwhile True: update(sessionUpdate='tool_call', toolCallId='1', title='again ' * 100)",
        Code::AGENT_PROTOCOL,
        false,
        true,
        &["`acp.output_bytes_max`"],
    ),
];

#[test]
fn every_kind_of_broken_agent_is_a_clear_failure() {
    let values = [
        ("task.answer_bytes_max", "10000"),
        ("acp.message_bytes_max", "65536"),
        ("acp.output_bytes_max", "2000000"),
    ];
    let bench = Bench::new(&values);
    for (text, code, retryable, sent, words) in CASES {
        let ended = bench.run(&python(text), "the task", |_| ());
        let failure = ended.failure();
        assert_eq!(
            (failure.code, failure.reason),
            (*code, Reason::Provider),
            "{text}: {failure:?}"
        );
        assert_eq!((failure.retryable, failure.sent), (*retryable, *sent), "{text}: {failure:?}");
        assert!(failure.message.starts_with("agent `worker` "), "{}", failure.message);
        for word in *words {
            assert!(failure.message.contains(word), "{text}: {}", failure.message);
        }
        assert!(ended.messages.len() <= 201, "{text}: {} lines", ended.messages.len());
        assert_gone(ended.pid);
    }
}

#[test]
fn an_agent_that_is_not_there_was_sent_nothing() {
    let bench = Bench::new(&[]);
    std::fs::write(bench.path().join("plain.txt"), "text").unwrap();
    let cases = [
        ("no-such-agent", None, "`no-such-agent` was not found"),
        ("./plain.txt", None, "may not be run"),
        ("python3", Some("elsewhere"), "its directory"),
    ];
    for (program, directory, words) in cases {
        let directory = directory.map(Into::into);
        let agent =
            Agent { name: "a".into(), program: program.into(), directory, ..Agent::default() };
        let ended = bench.run(&agent, "the task", |_| ());
        let failure = ended.failure();
        assert_eq!((failure.code, failure.sent), (Code::AGENT_NOT_STARTED, false));
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}

#[test]
fn an_agent_that_never_greets_runs_out_of_time_to_start() {
    let bench = Bench::new(&[("acp.start_ms", "1500")]);
    for text in ["time.sleep(600)", "reply({'protocolVersion': 1}); time.sleep(600)"] {
        let ended = bench.run(&python(text), "the task", |_| ());
        let failure = ended.failure();
        assert_eq!(
            (failure.code, failure.sent, failure.retryable),
            (Code::AGENT_NOT_READY, false, true)
        );
        assert!(failure.message.contains("was not ready within `1500` ms"), "{}", failure.message);
        assert_gone(ended.pid);
    }
}

#[test]
fn an_agent_that_ignores_cancelling_and_signals_is_killed_with_all_it_started() {
    let text = "
signal.signal(signal.SIGTERM, signal.SIG_IGN)
greet(); read()
child = subprocess.Popen(['sleep', '600'], start_new_session=True)
update(sessionUpdate='tool_call', toolCallId='1', title=f'child {child.pid}')
while True: time.sleep(1)";
    let bench = Bench::new(&[]);
    bench.start(3, &python(text), "the task", None, |_| ());
    let mut child = None;
    let ended = bench.end_after(&mut |progress| {
        if let Progress::Message(text) = progress {
            child = text.strip_prefix("tool: child ").and_then(|pid| pid.parse().ok());
            bench.driver.cancel(CallId(3), Attempt(1));
        }
    });
    assert_eq!(ended.failure().reason, Reason::Cancelled);
    assert_gone(ended.pid);
    assert_gone(child.unwrap());
}

#[test]
fn an_agent_that_dies_when_it_is_cancelled_was_cancelled() {
    let bench = Bench::new(&[]);
    let text = "greet(); read(); open('waiting', 'w').close(); read(); sys.exit(9)";
    bench.start(3, &python(text), "the task", None, |_| ());
    assert_appears(&bench.path().join("waiting"));
    bench.driver.cancel(CallId(3), Attempt(1));
    assert_eq!(bench.end().failure().code, Code::CANCELLED);
}

#[test]
fn cancelling_before_the_task_was_sent_says_so() {
    let bench = Bench::new(&[]);
    bench.start(3, &python("open('up', 'w').close(); time.sleep(600)"), "the task", None, |_| ());
    assert_appears(&bench.path().join("up"));
    bench.driver.cancel(CallId(3), Attempt(1));
    let ended = bench.end();
    assert_eq!((ended.failure().code, ended.failure().sent), (Code::CANCELLED, false));
}

#[test]
fn the_end_of_a_tasks_time_reaches_the_agent_as_cancelling() {
    let text = "
greet(); it = read(); method = read()['method']
send(id=it['id'], result={'stopReason': 'cancelled', 'usage':
    {'totalTokens': 9, 'inputTokens': 7, 'outputTokens': 2}})
open(method.replace('/', '-'), 'w').close()";
    let bench = Bench::new(&[]);
    bench.start(0, &python(text), "the task", Some(Duration::from_secs(5)), |_| ());
    let ended = bench.end();
    let failure = ended.failure();
    assert_eq!((failure.code, failure.retryable), (Code::TASK_TIMEOUT, false));
    assert_eq!((ended.usage.input_tokens, ended.usage.output_tokens), (7, 2), "it is charged");
    assert_appears(&bench.path().join("session-cancel"));
}

#[test]
fn the_definitions_own_time_limit_is_worth_another_try() {
    let timeout = Some(loopwright_types::Micros::from_millis(1500));
    let agent = Agent { timeout, ..python("greet(); time.sleep(600)") };
    let bench = Bench::new(&[]);
    bench.start(0, &agent, "the task", Some(Duration::from_secs(600)), |_| ());
    let ended = bench.end();
    let failure = ended.failure();
    assert_eq!((failure.code, failure.retryable), (Code::TASK_TIMEOUT, true));
    assert!(failure.message.contains("within `1500` ms"), "{}", failure.message);
}

#[test]
fn a_broken_agent_does_not_touch_the_sessions_beside_it() {
    let bench = Bench::new(&[("acp.output_bytes_max", "5000000")]);
    let flood = "greet(); read()\nwhile True: say('')";
    let steady = "greet(); it = read(); open('up', 'w').close()\n\
                  while not os.path.exists('go'): time.sleep(0.01)\n\
                  say('steady'); send(id=it['id'], result={'stopReason': 'end_turn'})";
    bench.start(1, &python(steady), "the task", None, |_| ());
    assert_appears(&bench.path().join("up"));
    for (call, text) in [(2, flood), (3, "greet(); read(); sys.exit(1)"), (4, "print('{')")] {
        bench.start(call, &python(text), "the task", None, |_| ());
        let ended = bench.end();
        assert_eq!((ended.call, ended.failure().reason), (CallId(call), Reason::Provider));
    }
    std::fs::write(bench.path().join("go"), "").unwrap();
    let ended = bench.end();
    assert_eq!((ended.call, ended.json()), (CallId(1), json!("steady")));
}

#[test]
fn logs_on_standard_output_updates_of_unknown_kinds_and_unknown_requests_are_passed_over() {
    let text = "
print('starting up')
greet(); it = read(); print('thinking')
send(method='session/update', params={'sessionId': 's', 'update': {'sessionUpdate': 'brand_new'}})
send(method='$/unknown', params={}); send(id='x', method='terminal/create', params={'sessionId': 's', 'command': 'rm'})
refused = read()
say('refused' if refused['id'] == 'x' and 'error' in refused else str(refused))
send(id=it['id'], result={'stopReason': 'end_turn'})";
    assert_eq!(Bench::new(&[]).run(&python(text), "the task", |_| ()).json(), json!("refused"));
}

#[test]
fn an_agent_gets_no_variables_but_the_basic_ones_and_its_own() {
    let text = "greet(); it = read(); say(json.dumps(sorted(os.environ))); \
                send(id=it['id'], result={'stopReason': 'end_turn'})";
    let environment = vec![("TOKEN".to_owned(), Some("x".to_owned())), ("CARGO".to_owned(), None)];
    let agent = Agent { environment, permissions: Permissions::AllowOnce, ..python(text) };
    let ended = Bench::new(&[])
        .run(&agent, "the task", |work| work.schema = Some(crate::support::json("{}")));
    let names = ended.json();
    // What a wrapper around the interpreter adds is its own; of ours, cargo sets these for every test.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
        assert!(std::env::var_os(name).is_some());
        assert!(!names.as_array().unwrap().contains(&name.into()), "{names}");
    }
    for name in ["CARGO", "TOKEN", "PATH"] {
        assert!(names.as_array().unwrap().contains(&name.into()), "{names}");
    }
}

#[test]
fn shutting_down_ends_everything_and_starts_nothing_more() {
    let bench = Bench::new(&[]);
    bench.start(
        1,
        &python("greet(); read(); open('up', 'w').close(); time.sleep(600)"),
        "t",
        None,
        |_| (),
    );
    assert_appears(&bench.path().join("up"));
    bench.driver.shutdown();
    let ended = bench.end();
    assert_eq!(ended.failure().code, Code::CANCELLED);
    assert_gone(ended.pid);
    let refused = bench.run(&python("time.sleep(600)"), "t", |_| ());
    assert_eq!((refused.failure().code, refused.failure().sent), (Code::AGENT_NOT_STARTED, false));
}
