//! Agents on the official Python and TypeScript libraries, which `.ci/acp` installs. Without them these tests print
//! that they were skipped, unless `LOOPWRIGHT_REQUIRE_PEERS` says that they must run.

use crate::support::{Bench, assert_appears, assert_gone, json, script};
use loopwright_acp::{Agent, McpServer, Permissions, Reach};
use loopwright_protocol::{Feedback, Json};
use loopwright_types::{Code, FailureClass, Reason, Usage};
use serde_json::{Value, json};
use std::env;
use std::path::{Path, PathBuf};

/// The agents that are installed here.
fn agents() -> Vec<Agent> {
    let peers = env::var_os("LOOPWRIGHT_TEST_ACP_PEERS").map(PathBuf::from);
    let peers = peers.unwrap_or_else(|| env::temp_dir().join("loopwright-acp"));
    let python = peers.join("venv/bin/python");
    let typescript = peers.join("node_modules/@agentclientprotocol/sdk");
    let is_there = python.exists() && typescript.exists();
    if !is_there {
        let reason = format!("the libraries are not in {}: run `.ci/acp`", peers.display());
        let required = env::var("LOOPWRIGHT_REQUIRE_PEERS").is_ok_and(|it| it == "1");
        assert!(!required, "{reason}");
        eprintln!("skipped: {reason}");
        return Vec::new();
    }
    let agent = |name: &str, program: &Path, file: &str| Agent {
        name: name.to_owned(),
        program: program.display().to_string(),
        arguments: vec![script(file).display().to_string()],
        environment: vec![("LOOPWRIGHT_TEST_ACP_PEERS".into(), Some(peers.display().to_string()))],
        ..Agent::default()
    };
    vec![agent("python", &python, "agent.py"), agent("typescript", Path::new("node"), "agent.mjs")]
}

const OBJECT: &str = r#"{"type":"object"}"#;

#[test]
fn answers_are_text_or_the_json_of_the_message() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        let plain = bench.run(&agent, "plain", |_| ());
        assert_eq!(plain.json(), json!("It works."));
        assert_gone(plain.pid);
        let structured = bench.run(&agent, "json", |work| work.schema = Some(json(OBJECT)));
        assert_eq!(structured.json(), json!({"count": 3, "names": ["ä"]}));
        let prose = bench.run(&agent, "plain", |work| work.schema = Some(json(OBJECT)));
        assert_eq!(prose.json(), json!("It works."), "the engine refuses it and asks again");
    }
}

#[test]
fn the_agent_is_told_mode_model_effort_task_and_schema_and_is_offered_nothing() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        let agent = Agent {
            mode: Some("plan ONLY".to_owned()),
            model: Some("small".to_owned()),
            system_prompt: "You tell.".to_owned(),
            ..agent
        };
        let told = bench.run(&agent, "told what", |work| {
            work.schema = Some(json(r#"{"title":"the wanted shape"}"#));
            work.model = Some("large".to_owned());
            work.effort = Some("High".to_owned());
        });
        let told = told.json();
        assert_eq!(told["told"], "loopwright fs=False terminal=False", "{}", agent.name);
        assert_eq!((&told["mode"], &told["model"]), (&json!("plan"), &json!("large")));
        assert_eq!(told["effort"], "high");
        let text = told["text"].as_str().unwrap();
        for part in ["You tell.\n\n# Task\n\ntold what", "the wanted shape", "nobody answers"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_mode_or_model_that_is_not_offered_is_a_failure_before_the_task_is_sent() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        let model = bench.run(&agent, "plain", |work| work.model = Some("huge".to_owned()));
        let failure = model.failure();
        assert_eq!((failure.code, failure.sent), (Code::AGENT_OPTION, false));
        assert_eq!(
            failure.message,
            format!("agent `{}` does not offer the model `huge`", agent.name)
        );
        assert_eq!(failure.hint.as_deref(), Some("it offers `small`, `large`"));
        let mode = Agent { mode: Some("yolo".to_owned()), ..agent };
        let mode = bench.run(&mode, "plain", |_| ());
        assert_eq!(mode.failure().hint.as_deref(), Some("it offers `ask`, `plan`"));
    }
}

#[test]
fn an_answer_that_did_not_match_goes_back_with_the_errors() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        let first = bench.run(&agent, "correct", |work| work.schema = Some(json(OBJECT)));
        assert_eq!(first.json(), json!({"count": "three"}));
        let second = bench.run(&agent, "correct", |work| {
            work.schema = Some(json(OBJECT));
            let errors = "`/count` is not an integer".to_owned();
            work.feedback = Some(Feedback { answer: Json::of(&first.json()), errors });
        });
        assert_eq!(second.json(), json!({"count": 3}));
    }
}

#[test]
fn permission_requests_are_answered_by_policy() {
    use Permissions::{AllowOnce, AllowReads, Reject};
    for agent in agents() {
        let bench = Bench::new(&[]);
        let cases = [
            (
                Reject,
                "read",
                "reject_once",
                "permission rejected (`reject`): read: change notes.txt",
            ),
            (
                AllowReads,
                "edit",
                "reject_once",
                "permission rejected (`allow-reads`): edit: change notes.txt",
            ),
            (
                AllowReads,
                "read",
                "allow_once",
                "permission allowed (`allow-reads`): read: change notes.txt",
            ),
            (
                AllowOnce,
                "execute",
                "allow_once",
                "permission allowed (`allow-once`): execute: change notes.txt",
            ),
        ];
        for (permissions, kind, chosen, line) in cases {
            let agent = Agent { permissions, ..agent.clone() };
            let ended = bench.run(&agent, &format!("permit {kind}"), |_| ());
            assert_eq!(ended.json(), Value::from(chosen), "{} {permissions:?} {kind}", agent.name);
            assert!(ended.messages.iter().any(|it| it == line), "{:?}", ended.messages);
        }
    }
}

#[test]
fn tool_calls_and_plans_are_progress_and_the_answer_is_what_follows_them() {
    for agent in agents() {
        let ended = Bench::new(&[]).run(&agent, "tools", |_| ());
        assert_eq!(ended.json(), json!("It is not there."));
        let expected = ["read: README.md", "plan, 0 of 1 done: Read", "failed: read: README.md"];
        assert_eq!(ended.messages, expected, "{}", agent.name);
    }
}

#[test]
fn usage_is_reported_with_its_money() {
    for agent in agents() {
        let ended = Bench::new(&[]).run(&agent, "usage", |_| ());
        let expected = Usage {
            input_tokens: 150,
            output_tokens: 30,
            cache_read_tokens: 50,
            cache_write_tokens: 0,
            usd_micros: 12_500,
            estimated_tokens: 0,
        };
        assert_eq!(ended.usage, expected, "{}", agent.name);
    }
}

#[test]
fn cancelling_reaches_the_agent() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        bench.start(7, &agent, "wait", None, |_| ());
        assert_appears(&bench.path().join("waiting"));
        bench.driver.cancel(loopwright_types::CallId(7), loopwright_types::Attempt(1));
        let ended = bench.end();
        assert_eq!(ended.failure().reason, Reason::Cancelled);
        assert!(ended.failure().sent && bench.path().join("cancelled").exists());
        assert_eq!((ended.usage.input_tokens, ended.usage.output_tokens), (7, 2), "it is charged");
        assert_gone(ended.pid);
    }
}

/// An MCP server that is a program: it greets by the name in its environment.
fn program() -> McpServer {
    let text = "import json, os, sys\nasked = json.loads(sys.stdin.readline())\n\
                name = {'serverInfo': {'name': os.environ['GREET']}}\n\
                print(json.dumps({'jsonrpc': '2.0', 'id': asked['id'], 'result': name}))";
    let reach = Reach::Stdio {
        command: "/usr/bin/env".into(),
        arguments: ["python3", "-c", text].map(str::to_owned).to_vec(),
        environment: vec![("GREET".to_owned(), "tickets, ready".to_owned())],
    };
    McpServer { name: "tickets".to_owned(), reach }
}

fn address() -> McpServer {
    let headers = vec![("Authorization".to_owned(), "Bearer x".to_owned())];
    let reach = Reach::Http { url: "http://127.0.0.1:9/mcp".to_owned(), headers };
    McpServer { name: "docs".to_owned(), reach }
}

#[test]
fn the_agent_reaches_the_mcp_servers_that_its_tools_grant_as_wholes_and_no_other() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        let granting = |tools: &[&str]| {
            let mut agent = Agent { servers: vec![program(), address()], ..agent.clone() };
            agent.tools = tools.iter().map(|&it| it.to_owned()).collect();
            agent.environment.push(("LOOPWRIGHT_TEST_HTTP".to_owned(), Some("1".to_owned())));
            agent
        };
        let given = |tools: &[&str]| {
            let ended =
                bench.run(&granting(tools), "servers", |work| work.schema = Some(json("{}")));
            (ended.json(), ended.messages)
        };
        let tickets = json!(["tickets", "tickets, ready"]);
        let docs = json!(["docs", "http://127.0.0.1:9/mcp", "Authorization: Bearer x"]);
        assert_eq!(given(&["Read", "mcp__tickets", "mcp__docs"]).0, json!([tickets, docs]));
        assert_eq!(given(&["mcp__tickets"]).0, json!([tickets]));
        assert_eq!(given(&["*"]), (json!([]), Vec::new()));
        let (none, told) = given(&["mcp__docs__search"]);
        assert_eq!(none, json!([]), "one tool of a server cannot be passed");
        assert!(told.iter().any(|it| it.contains("`docs` is not passed on")), "{told:?}");
        let asked = bench.run(&granting(&["mcp__tickets", "mcp__docs"]), "servers", |work| {
            work.schema = Some(json("{}"));
            work.tools = Some(vec!["mcp__docs".to_owned()]);
        });
        assert_eq!(asked.json(), json!([docs]), "the task wants less");
    }
}

#[test]
fn an_agent_that_cannot_reach_a_server_it_is_given_is_told_before_the_task_is_sent() {
    for agent in agents() {
        let agent =
            Agent { servers: vec![address()], tools: vec!["mcp__docs".to_owned()], ..agent };
        let ended = Bench::new(&[]).run(&agent, "servers", |_| ());
        let failure = ended.failure();
        assert_eq!((failure.code, failure.sent), (Code::AGENT_SERVER, false), "{failure:?}");
        assert!(failure.message.contains("the MCP server `docs`"), "{}", failure.message);
    }
}

#[test]
fn sessions_run_at_once() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        bench.start(1, &agent, "meet a b", None, |_| ());
        bench.start(2, &agent, "meet b a", None, |_| ());
        let mut ends = [bench.end(), bench.end()];
        ends.sort_by_key(|it| it.call);
        assert_eq!(ends.map(|it| it.json()), [json!("a met b"), json!("b met a")]);
    }
}

#[test]
fn a_task_with_a_root_of_its_own_runs_there() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        let root = bench.path().join("worktree");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("b"), "").unwrap();
        let inside = root.display().to_string();
        let ended = bench.run(&agent, "meet a b", |work| work.root = Some(inside));
        assert_eq!(ended.json(), json!("a met b"));
        assert!(root.join("a").exists() && !bench.path().join("a").exists());
    }
}

#[test]
fn a_turn_that_ends_otherwise_is_a_typed_failure() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        let cases = [
            ("max_tokens", false, Some(FailureClass::Switch)),
            ("max_turn_requests", false, Some(FailureClass::Switch)),
            ("refusal", false, Some(FailureClass::Switch)),
            ("cancelled", true, None),
        ];
        for (stop, retryable, class) in cases {
            let ended = bench.run(&agent, &format!("stop {stop}"), |_| ());
            let failure = ended.failure();
            assert_eq!(failure.code, Code::AGENT_NO_ANSWER, "{stop}");
            assert_eq!((failure.retryable, failure.class, failure.sent), (retryable, class, true));
            assert!(failure.message.contains(&format!("(`{stop}`)")), "{}", failure.message);
        }
        let failed = bench.run(&agent, "fail", |_| ());
        let failure = failed.failure();
        assert_eq!((failure.code, failure.retryable), (Code::AGENT_FAILED, true));
        assert!(failure.message.contains("the model is on fire"), "{}", failure.message);
    }
}

#[test]
fn an_agent_that_wants_to_be_logged_in_says_how() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        std::fs::write(bench.path().join("locked"), "").unwrap();
        let refused = bench.run(&agent, "plain", |_| ());
        let failure = refused.failure();
        assert_eq!(
            (failure.code, failure.sent, failure.retryable),
            (Code::AGENT_LOGIN, false, false)
        );
        let hint = failure.hint.as_deref().unwrap();
        assert!(hint.starts_with("it offers `key` (API key): log in"), "{hint}");
        let with =
            |method: &str| Agent { authentication: Some(method.to_owned()), ..agent.clone() };
        assert_eq!(bench.run(&with("key"), "plain", |_| ()).json(), json!("It works."));
        let unknown = bench.run(&with("oauth"), "plain", |_| ());
        assert_eq!(unknown.failure().code, Code::AGENT_OPTION);
    }
}

#[test]
fn files_are_not_served() {
    for agent in agents() {
        let bench = Bench::new(&[]);
        std::fs::write(bench.path().join("notes.txt"), "secret").unwrap();
        assert_eq!(bench.run(&agent, "files", |_| ()).json(), json!("refused -32601"));
    }
}
