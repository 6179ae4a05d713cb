//! Two mocks of model providers that nobody here wrote: llmock, which judges how its faults are met, and aimock.

use crate::scene::{Scene, WIRES, value};
use crate::server::{Server, installed};
use loopwright::types::RunStatus;
use serde_json::{Value, json};
use std::process::Command;

/// Settings under which what a mock does to a client shows: a stall is longer than a silence may be.
fn patient(scene: Scene) -> Scene {
    scene.set("provider.idle_ms", "2000").set("task.backoff_ms", "100")
}

/// The path of each wire, for matching.
const LLMOCK_PATHS: [&str; 4] =
    ["/anthropic/*", "/v1/responses", "/v1/chat/completions", "/gemini/*"];

struct Llmock(Server);

impl Llmock {
    fn start(test: &str) -> Option<Self> {
        let program = installed(test, "MOCKS")?.join("venv/bin/llmock");
        let command = |port: u16| {
            let mut command = Command::new(&program);
            command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]);
            // Slowly enough that a client that hangs up is seen to hang up.
            command.args(["--log-level", "error", "--stream-chunk-delay-ms", "10"]);
            command
        };
        Some(Self(Server::start(command, "/health")))
    }

    fn scene(&self) -> Scene {
        let port = self.0.port;
        patient(Scene::new(|wire| {
            let path = match wire {
                "anthropic" => "anthropic",
                "gemini" => "gemini",
                _ => "v1",
            };
            format!("http://127.0.0.1:{port}/{path}")
        }))
    }

    fn inject(&self, behaviors: &[Value]) {
        let body = json!({ "behaviors": behaviors }).to_string();
        self.0.ask("POST", "/_llmock/scenario", &body);
    }

    /// What it found in how the client behaved, as `(code, the whole finding)`.
    fn findings(&self) -> (Value, Vec<(String, Value)>) {
        let verdict: Value =
            serde_json::from_str(&self.0.ask("GET", "/_llmock/verdict", "")).unwrap();
        let findings = verdict["findings"].as_array().unwrap().iter();
        let findings = findings.map(|it| (it["code"].as_str().unwrap().to_owned(), it.clone()));
        (verdict.clone(), findings.collect())
    }
}

/// A program with one task for each of these names, on every wire; its value says how each ended.
fn tasks(names: &[&str], options: &str) -> String {
    format!(
        "const of = (name, wire) => settle([() => task({{ description: `${{name}} ${{wire}}`, \
         model: `on-${{wire}}:${{name}}`, {options} }})]); \
         const ends = await Promise.all({}.flatMap((wire) => {}.map((name) => of(name, wire)))); \
         ends.flat().map((end) => end.status === 'done' ? 'done' : `${{end.error.code}} ${{end.error.message}}`)",
        json!(WIRES),
        json!(names)
    )
}

fn assert_all_done(ends: &Value, count: usize) {
    let ends = ends.as_array().unwrap();
    assert_eq!(ends.len(), count);
    assert!(ends.iter().all(|end| end == "done"), "{ends:#?}");
}

#[test]
fn llmock_finds_nothing_to_complain_of_in_how_each_of_its_faults_is_met_on_every_wire() {
    let test = "llmock_finds_nothing_to_complain_of_in_how_each_of_its_faults_is_met_on_every_wire";
    let Some(llmock) = Llmock::start(test) else { return };
    // Each fault has its model, so that the request that meets it is known.
    let mut faults: Vec<(String, Value)> = [429, 500, 502, 503, 504, 529]
        .map(|status| (format!("fail-{status}"), json!({ "type": "fail", "status": status })))
        .to_vec();
    let asks = json!({ "type": "fail", "status": 429, "retry_after": 0.4 });
    faults.push(("fail-wait".to_owned(), asks));
    for kind in ["disconnect", "truncate", "malformed", "stall"] {
        let fault =
            json!({ "type": "stream_fault", "kind": kind, "after_chunks": 3, "stall_seconds": 60 });
        faults.push((format!("stream-{kind}"), fault));
    }
    for kind in ["malformed_arguments", "unknown_tool"] {
        faults.push((format!("tool-{kind}"), json!({ "type": "tool_fault", "kind": kind })));
    }
    let injected: Vec<Value> = faults
        .iter()
        .flat_map(|(model, fault)| {
            LLMOCK_PATHS.map(|path| {
                let mut fault = fault.clone();
                fault["match"] = json!({ "model": model, "path": path });
                fault
            })
        })
        .collect();
    llmock.inject(&injected);
    // A reply that is still being sent when the client hangs up: one that was sent whole before counts as taken, and so
    // would one that is read on for its tokens.
    let long = json!({ "type": "reply", "text": "word ".repeat(400), "times": null, "match": { "model": "stream-malformed" } });
    llmock.inject(&[long]);
    let names: Vec<&str> = faults.iter().map(|(name, _)| name.as_str()).collect();
    let ran = llmock.scene().set("provider.read_on_ms", "0").run(&tasks(&names, ""));
    let (verdict, findings) = llmock.findings();
    println!("{verdict}");
    assert_all_done(&value(&ran), names.len() * WIRES.len());
    assert_eq!(ran.report.status, RunStatus::Complete);
    let left: Value = serde_json::from_str(&llmock.0.ask("GET", "/_llmock/scenario", "")).unwrap();
    assert_eq!(
        left["pending"].as_array().unwrap().len(),
        1,
        "each was met but the long reply: {left}"
    );
    assert_eq!(findings, []);
    assert!(verdict["calls"].as_u64() >= Some(injected.len() as u64), "{verdict}");
}

#[test]
fn llmock_sees_its_waits_kept_while_it_is_so_overloaded_that_it_counts_as_down() {
    let test = "llmock_sees_its_waits_kept_while_it_is_so_overloaded_that_it_counts_as_down";
    let Some(llmock) = Llmock::start(test) else { return };
    let overload = json!({ "type": "fail", "status": 529, "retry_after": 0.4, "times": 30 });
    llmock.inject(&[overload]);
    let names: Vec<String> = (0..6).map(|n| format!("m{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scene =
        llmock.scene().set("provider.breaker_failures", "2").set("provider.probe_max_ms", "100");
    let ran = scene.run(&tasks(&names, ""));
    assert_all_done(&value(&ran), names.len() * WIRES.len());
    let down = ran.entries.iter().any(|entry| entry.kind() == "provider_down");
    assert!(down, "nothing went down");
    // Outages are waited out by asking again and again, one request at a time: only that may be found.
    let (verdict, findings) = llmock.findings();
    assert!(findings.iter().all(|(code, _)| code == "retry_storm"), "{verdict:#}");
}

#[test]
fn llmock_answers_structured_and_refuses_what_no_retry_can_mend_once() {
    let test = "llmock_answers_structured_and_refuses_what_no_retry_can_mend_once";
    let Some(llmock) = Llmock::start(test) else { return };
    let scene = llmock.scene();
    let options = "responseSchema: { type: 'object', properties: { n: { type: 'integer' } }, \
                   required: ['n'], additionalProperties: false }";
    assert_all_done(&value(&scene.run(&tasks(&["plain"], options))), WIRES.len());
    let statuses = [400, 401, 403, 404, 422];
    let refusals = statuses.map(|status| {
        json!({ "type": "fail", "status": status, "times": null, "match": { "model": format!("no-{status}") } })
    });
    llmock.inject(&refusals);
    let names = statuses.map(|status| format!("no-{status}"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ends = value(&scene.run(&tasks(&names, "")));
    let is_refused = |end: &Value| end.as_str().is_some_and(|end| end.starts_with("LW10"));
    assert!(ends.as_array().unwrap().iter().all(is_refused), "{ends:#}");
    assert_eq!(llmock.findings().1, []);
}

struct Aimock(Server);

impl Aimock {
    fn start(test: &str, fixtures: &Value) -> Option<Self> {
        let program = installed(test, "MOCKS")?.join("node_modules/@copilotkit/aimock/dist/cli.js");
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        std::fs::write(&file, fixtures.to_string()).unwrap();
        let command = |port: u16| {
            let mut command = Command::new("node");
            command.arg(&program).args(["--strict", "--log-level", "silent", "--port"]);
            command.arg(port.to_string()).arg("--fixtures").arg(file.path());
            command
        };
        Some(Self(Server::start(command, "/health")))
    }

    fn scene(&self) -> Scene {
        let port = self.0.port;
        patient(Scene::new(|wire| {
            let path = if wire.starts_with("openai") { "/v1" } else { "" };
            format!("http://127.0.0.1:{port}{path}")
        }))
    }

    /// How often each status was answered.
    fn count(&self, status: u64) -> usize {
        let journal: Value =
            serde_json::from_str(&self.0.ask("GET", "/__aimock/journal", "")).unwrap();
        let entries = journal.as_array().unwrap().iter();
        entries.filter(|entry| entry["response"]["status"].as_u64() == Some(status)).count()
    }
}

/// The first request that names this word and wire gets this, later ones are answered.
fn first(word: &str, wire: &str, fixture: &Value) -> [Value; 2] {
    let said = "said in so many words that they come in several pieces";
    let mut faulty = json!({ "response": { "content": said } });
    for (name, value) in fixture.as_object().unwrap() {
        faulty[name] = value.clone();
    }
    faulty["match"] = json!({ "userMessage": format!("{word} {wire}"), "sequenceIndex": 0 });
    let whole = json!({ "match": { "userMessage": format!("{word} {wire}") }, "response": { "content": said } });
    [faulty, whole]
}

#[test]
fn aimock_is_asked_with_tools_and_schemas_and_its_faults_are_outlived_on_every_wire() {
    let test = "aimock_is_asked_with_tools_and_schemas_and_its_faults_are_outlived_on_every_wire";
    let error = |status: u16| json!({ "response": { "status": status, "error": { "message": "no", "type": "error" } } });
    let faults = [
        ("fail-429", error(429)),
        ("fail-500", error(500)),
        ("fail-503", error(503)),
        ("chaos-drop", json!({ "chaos": { "dropRate": 1 } })),
        ("chaos-malformed", json!({ "chaos": { "malformedRate": 1 } })),
        ("chaos-disconnect", json!({ "chaos": { "disconnectRate": 1 } })),
        ("chaos-limit", json!({ "chaos": { "rateLimitRate": 1 } })),
        ("truncate", json!({ "truncateAfterChunks": 3, "chunkSize": 4 })),
    ];
    let wires = WIRES.iter();
    let faulty = wires.flat_map(|wire| faults.iter().flat_map(|(word, it)| first(word, wire, it)));
    let mut fixtures: Vec<Value> = faulty.collect();
    let call = json!([{ "name": "read_file", "arguments": { "path": "notes.txt" } }]);
    fixtures.extend([
        json!({ "match": { "userMessage": "tools", "hasToolResult": false }, "response": { "toolCalls": call } }),
        json!({ "match": { "userMessage": "tools", "toolResultContains": "needle" }, "response": { "content": "read" } }),
        json!({ "match": { "userMessage": "schema" }, "response": { "content": "{\"n\": 3}" } }),
    ]);
    let Some(aimock) = Aimock::start(test, &json!({ "fixtures": fixtures })) else { return };
    let mut scene = aimock.scene();
    scene.bench = scene.bench.file("notes.txt", "a needle in hay\n");
    let names: Vec<&str> = faults.iter().map(|(name, _)| *name).chain(["tools"]).collect();
    let ran = scene.run(&tasks(&names, ""));
    assert_all_done(&value(&ran), names.len() * WIRES.len());
    assert_eq!(aimock.count(404), 0, "every request had its fixture");
    assert!(aimock.count(429) >= WIRES.len() && aimock.count(500) >= WIRES.len());
    let options =
        "responseSchema: { type: 'object', properties: { n: { const: 3 } }, required: ['n'] }";
    assert_all_done(&value(&scene.run(&tasks(&["schema"], options))), WIRES.len());
}
