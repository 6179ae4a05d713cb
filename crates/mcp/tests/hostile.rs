//! Servers that crash, hang, flood or lie: each is a clear error that names the server, and the rest goes on.

mod common;

use common::{Scene, script};
use loopwright_mcp::{Answer, Answers, Change, Question};
use loopwright_types::{Code, Reason};
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::{Arc, Mutex};

/// A server with these faults, and a good one beside it.
fn pair(faults: &[&str]) -> Value {
    json!({ "bad": script("server.py", faults), "good": script("server.py", &[]) })
}

fn assert_good(scene: &Scene) {
    assert_eq!(scene.call("good.ok", json!({})).unwrap(), "fine", "the rest goes on");
}

#[test]
fn a_server_that_does_not_start_is_reported_with_its_reason_and_the_others_are_there() {
    let none = json!({ "command": "there-is-no-such-program" });
    let flags = json!({ "command": "python3 -m nothing" });
    let folder = json!({ "command": "python3", "cwd": "nowhere" });
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = json!({ "type": "http", "url": format!("http://127.0.0.1:{port}/mcp") });
    let server = |faults: &[&str]| script("server.py", faults);
    let cases = [
        (none, "there is no program `there-is-no-such-program`"),
        (flags, "there is no program `python3 -m nothing`"),
        (folder, "there is no directory `"),
        (nobody, "onnection refused"),
        (
            server(&["crash-at-start"]),
            "the last line of its standard error is `cannot open the database`",
        ),
        (server(&["crash-at-start"]), "its process ended (exit status: 3)"),
        (server(&["hang"]), "it did not answer within 1500 ms"),
        (server(&["hang", "chatter"]), "no message to its standard output: `Starting up ...`"),
        (server(&["flood-stdout"]), "it wrote a line without end"),
        (server(&["flood-lines"]), "no message to its standard output: `log line`"),
        (server(&["refuse"]), "it answered with error -32000: the licence has ended"),
        (server(&["wrong-start"]), "its answer is not one to the first request"),
        (server(&["hang-on-list"]), "`tools/list` within 1000 ms"),
        (server(&["list-number"]), "its answer to `tools/list` holds no list of tools"),
    ];
    for (bad, expected) in cases {
        // Only what never answers is waited for: a loaded machine is slow to start the others.
        let hangs = bad["args"].to_string().contains("hang");
        let settings = [
            ("mcp.message_bytes_max", "65536"),
            ("mcp.connect_timeout_ms", if expected.contains("1500 ms") { "1500" } else { "8000" }),
            ("mcp.probe_timeout_ms", if hangs { "500" } else { "5000" }),
            ("mcp.timeout_ms", if hangs { "1000" } else { "60000" }),
        ];
        let scene = Scene::start(&json!({ "bad": bad }), &settings);
        let said: Vec<String> = scene.diagnostics.iter().map(|it| it.message.clone()).collect();
        let [one] = said.as_slice() else { panic!("{bad}: {said:?}") };
        assert!(
            one.contains("the MCP server `bad`") && one.contains(expected),
            "{one}\n{expected}"
        );
        assert!(!one.contains('\n'), "{one}");
        let failure = scene.call("bad.ok", json!({})).unwrap_err();
        assert_eq!(failure.code, Code::TOOL_UNKNOWN);
    }
    let scene = Scene::start(&pair(&["crash-at-start"]), &[]);
    assert_eq!(scene.diagnostics.len(), 1);
    assert_good(&scene);
}

#[test]
fn servers_of_the_older_revision_start_whatever_they_make_of_the_newer_one_s_question() {
    for fault in ["die-on-unknown", "ignore-unknown", "chatter", "flood-stderr"] {
        let mut server = script("server.py", &[fault]);
        let folder = tempfile::tempdir().unwrap();
        server["env"] = json!({ "STATE": folder.path().join("state") });
        let scene = Scene::start(&json!({ "old": server }), &[("mcp.probe_timeout_ms", "500")]);
        assert_eq!(scene.diagnostics, [], "{fault}");
        assert_eq!(scene.servers.revision("old").unwrap(), "2025-06-18");
        assert_eq!(scene.call("old.ok", json!({})).unwrap(), "fine");
    }
}

#[test]
fn one_bad_tool_does_not_take_the_others_with_it() {
    let scene = Scene::start(&json!({ "bad": script("server.py", &["list-mixed"]) }), &[]);
    assert_eq!(scene.names(), ["bad.______escape", "bad.o_k", "bad.ok"]);
    let said: Vec<&str> = scene.diagnostics.iter().map(|it| it.message.as_str()).collect();
    let expected = [
        "its tool `no_schema` is described wrongly",
        "its tool `array_schema` takes no object",
        "its tool `` has a name that cannot be used",
        "its tool `bell` has a name that cannot be used",
        "it lists the tool `ok` twice",
    ];
    for text in expected {
        assert!(said.iter().any(|it| it.contains(text)), "{text}: {said:#?}");
    }
    assert_eq!(scene.call("bad.ok", Value::Null).unwrap(), "fine");
    for (fault, expected) in [
        ("list-endless", "only its first 20 tools are used (`mcp.tools_max`)"),
        ("list-loop", "its list of tools has no end"),
    ] {
        let servers = json!({ "bad": script("server.py", &[fault]) });
        let scene = Scene::start(&servers, &[("mcp.tools_max", "20")]);
        let said = &scene.diagnostics[0].message;
        assert!(said.contains(expected), "{said}");
        assert!((1..=20).contains(&scene.names().len()));
    }
}

#[test]
fn a_call_that_gets_no_usable_answer_fails_with_the_reason() {
    let settings = [
        ("mcp.timeout_ms", "1500"),
        ("mcp.message_bytes_max", "1000000"),
        ("mcp.result_bytes_max", "1000"),
    ];
    let mut bad = script("server.py", &[]);
    let folder = tempfile::tempdir().unwrap();
    bad["env"] = json!({ "STATE": folder.path().join("state") });
    let scene = Scene::start(&json!({ "bad": bad, "good": script("server.py", &[]) }), &settings);
    let cases = [
        (
            "huge",
            json!({"bytes": 2000}),
            Code::MCP_TOO_LARGE,
            "larger (2000 bytes) than `mcp.result_bytes_max`",
        ),
        (
            "huge",
            json!({"bytes": 3_000_000}),
            Code::MCP_TOO_LARGE,
            "than `mcp.message_bytes_max` allows",
        ),
        (
            "huge_tail",
            json!({"bytes": 3_000_000}),
            Code::MCP_TOO_LARGE,
            "than `mcp.message_bytes_max` allows",
        ),
        ("lie", json!({}), Code::MCP_RESULT, "gives for it: it has no structured content"),
        (
            "lie",
            json!({"structure": {"n": "three"}}),
            Code::MCP_RESULT,
            "gives for it: n: `\"three\"` is not of type \"number\"",
        ),
        ("malformed", json!({}), Code::MCP_PROTOCOL, "an answer is no message"),
        (
            "other_id",
            json!({}),
            Code::MCP_TIMEOUT,
            "did not answer the call of `bad.other_id` within 1500 ms",
        ),
        ("silent", json!({}), Code::MCP_TIMEOUT, "(`mcp.timeout_ms`)"),
        ("ask", json!({}), Code::MCP_INPUT, "asked for input during the call: `Your key?`"),
    ];
    for (tool, args, code, expected) in cases {
        let failure = scene.call(&format!("bad.{tool}"), args).unwrap_err();
        assert_eq!(failure.code, code, "{tool}: {}", failure.message);
        assert!(failure.message.contains(expected), "{tool}: {}", failure.message);
        assert_eq!(scene.call("bad.ok", json!({})).unwrap(), "fine", "the server is still there");
    }
    let failure = scene.call("bad.ok", json!([1])).unwrap_err();
    assert_eq!((failure.code, failure.sent), (Code::TOOL_ARGUMENT, false));
    // Nothing was sent twice, nothing started anew, and what took too long was told so.
    let log = std::fs::read_to_string(folder.path().join("state")).unwrap();
    let count = |what: &str| log.lines().filter(|it| *it == what).count();
    assert_eq!((count("start"), count("call silent"), count("call huge")), (1, 1, 2), "{log}");
    assert_eq!(count("cancelled"), 2, "{log}");
    assert_good(&scene);
}

#[test]
fn a_tool_that_returns_100_mb_is_a_clear_error_and_its_server_goes_on() {
    let scene = Scene::start(&pair(&[]), &[]);
    for tool in ["bad.huge", "bad.huge_tail"] {
        let failure = scene.call(tool, json!({ "bytes": 100_000_000 })).unwrap_err();
        assert_eq!(failure.code, Code::MCP_TOO_LARGE, "{}", failure.message);
        assert!(failure.message.contains("(1000000"), "{}", failure.message);
        assert_eq!(scene.call("bad.ok", json!({})).unwrap(), "fine");
    }
    let failure = scene.call("bad.endless", json!({})).unwrap_err();
    assert_eq!(failure.code, Code::MCP_LOST, "{}", failure.message);
    assert!(failure.message.contains("it wrote a line without end"), "{}", failure.message);
    assert_good(&scene);
}

#[test]
fn a_server_that_crashes_is_started_once_more_by_the_next_call_and_no_call_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let mut bad = script("server.py", &[]);
    bad["env"] = json!({ "STATE": folder.path().join("state") });
    let scene = Scene::start(&json!({ "bad": bad }), &[]);
    let crash = || scene.call("bad.crash", json!({})).unwrap_err();
    let failure = crash();
    assert_eq!((failure.code, failure.sent), (Code::MCP_LOST, true));
    assert!(failure.message.contains("exit status: 9"), "{}", failure.message);
    assert!(failure.message.contains("MemoryError: out of cheese"), "{}", failure.message);
    // A call that succeeds makes it as good as new.
    assert_eq!(scene.call("bad.ok", json!({})).unwrap(), "fine");
    assert_eq!((crash().code, crash().code), (Code::MCP_LOST, Code::MCP_LOST));
    let failure = scene.call("bad.ok", json!({})).unwrap_err();
    assert!(failure.message.contains("broke again"), "{}", failure.message);
    assert!(!failure.sent);
    let log = std::fs::read_to_string(folder.path().join("state")).unwrap();
    let count = |what: &str| log.lines().filter(|it| *it == what).count();
    assert_eq!((count("start"), count("crash"), count("call crash")), (3, 3, 3), "{log}");
}

#[test]
fn a_tool_that_changes_during_a_run_is_reported_and_refused_until_the_next() {
    tool_changes(&[], "2025-06-18");
}

#[test]
fn the_newer_revision_tells_changes_on_a_stream_of_its_own() {
    tool_changes(&["modern"], "2026-07-28");
}

fn tool_changes(faults: &[&str], revision: &str) {
    let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
    let seen = Arc::clone(&changes);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut server = script("server.py", faults);
    server["env"] = json!({ "STATE": state });
    let servers = json!({ "bad": server });
    let scene = Scene::load_with(&servers, &[], |options| {
        options.on_change(move |change| seen.lock().unwrap().push(change.clone()))
    });
    assert_eq!(scene.servers.connect_all(), []);
    assert_eq!(scene.servers.revision("bad").unwrap(), revision);
    let listens = || std::fs::read_to_string(&state).is_ok_and(|it| it.contains("listens"));
    while faults.contains(&"modern") && !listens() {
        std::thread::yield_now();
    }
    let pinned = scene.servers.tools();
    assert_eq!(scene.call("bad.alter", json!({})).unwrap(), "altered");
    while scene.servers.generation() == 0 {
        std::thread::yield_now();
    }
    let change = changes.lock().unwrap()[0].clone();
    assert_eq!((change.added, change.removed), (vec!["new".to_owned()], vec!["alter".to_owned()]));
    assert_eq!(change.changed, ["ok"]);
    assert_eq!(scene.servers.tools(), pinned, "a run keeps the tools it began with");
    for (tool, expected) in [("bad.ok", "describes itself otherwise"), ("bad.alter", "is gone")] {
        let failure = scene.call(tool, json!({})).unwrap_err();
        assert_eq!(
            (failure.code, failure.reason, failure.sent),
            (Code::MCP_CHANGED, Reason::Policy, false)
        );
        assert!(failure.message.contains(expected), "{}", failure.message);
    }
    assert_eq!(scene.call("bad.new", json!({})).unwrap_err().code, Code::TOOL_UNKNOWN);
    scene.servers.pin();
    assert_eq!(scene.call("bad.ok", json!({})).unwrap(), "fine");
    assert!(scene.names().contains(&"bad.new".to_owned()));
}

#[test]
fn questions_are_answered_by_whoever_was_given_and_by_nobody_else() {
    struct Key;
    impl Answers for Key {
        fn answer(&self, question: &Question) -> Answer {
            assert_eq!(
                (question.server.as_str(), question.message.as_str()),
                ("asks", "Your key?")
            );
            assert_eq!(question.schema.as_ref().unwrap()["properties"]["key"]["type"], "string");
            Answer::Give(json!({ "key": "swordfish" }))
        }
    }
    let servers = json!({ "asks": script("server.py", &[]) });
    let scene = Scene::load_with(&servers, &[], |options| options.answers(Arc::new(Key)));
    assert_eq!(scene.servers.connect_all(), []);
    assert_eq!(scene.call("asks.ask", json!({})).unwrap(), "swordfish");
}

#[test]
fn cancelling_does_not_wait_for_a_server_that_does_not_listen() {
    let scene = Scene::start(&pair(&[]), &[]);
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    let failure = scene.servers.call("bad.silent", &json!({}), &cancelled, &|_| ()).unwrap_err();
    assert_eq!(failure.code, Code::CANCELLED);
    assert_good(&scene);
}

/// Whether the process still runs; one that ended and was not reaped does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn what_a_server_started_ends_with_it() {
    let scene = Scene::start(&pair(&[]), &[]);
    let pid = scene.call("bad.children", json!({})).unwrap();
    let pid = pid.as_str().unwrap();
    assert!(runs(pid));
    scene.servers.shutdown();
    // The kernel takes a moment to end what was killed.
    while runs(pid) {
        std::thread::yield_now();
    }
    let failure = scene.call("bad.ok", json!({})).unwrap_err();
    assert!(failure.message.contains("the run is ending"), "{}", failure.message);
}

#[test]
fn a_question_of_the_newer_revision_is_declined_with_what_was_asked() {
    let scene = Scene::start(&json!({ "new": script("server.py", &["modern"]) }), &[]);
    let failure = scene.call("new.ask", json!({})).unwrap_err();
    assert_eq!(failure.code, Code::MCP_INPUT);
    assert!(failure.message.contains("`Your key?`"), "{}", failure.message);
    assert_eq!(scene.call("new.ok", json!({})).unwrap(), "fine");
}

#[test]
fn a_flood_of_progress_neither_grows_nor_stops_anything() {
    let scene = Scene::start(&pair(&[]), &[]);
    let told = Cell::new(0);
    let progress = |_| told.set(told.get() + 1);
    let value = scene.servers.call("bad.chatty", &json!({}), &|| false, &progress).unwrap();
    assert_eq!(value, "done");
    assert!((1..=50_000).contains(&told.get()), "{}", told.get());
    assert_good(&scene);
}

#[test]
fn calls_of_one_server_do_not_wait_for_each_other() {
    let scene = Scene::start(&pair(&[]), &[]);
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| {
            let cancelled = || is_done.load(std::sync::atomic::Ordering::Relaxed);
            scene.servers.call("bad.silent", &json!({}), &cancelled, &|_| ())
        });
        let others: Vec<_> =
            (0..8).map(|_| threads.spawn(|| scene.call("bad.ok", json!({})))).collect();
        for other in others {
            assert_eq!(other.join().unwrap().unwrap(), "fine");
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(waits.join().unwrap().unwrap_err().code, Code::CANCELLED);
    });
}

#[test]
fn starting_again_starts_only_what_is_not_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = script("server.py", &[]);
    server["env"] = json!({ "STATE": folder.path().join("state") });
    let scene = Scene::start(&json!({ "one": server }), &[]);
    assert_eq!(scene.servers.connect_all(), []);
    assert_eq!(scene.call("one.ok", json!({})).unwrap(), "fine");
    let log = std::fs::read_to_string(folder.path().join("state")).unwrap();
    assert_eq!(log, "start\ncall ok\n");
}
