//! Bad input from every side, in whole runs: each is a clear error as early as it can be known, and the rest goes on.

use crate::common::{execute, root};
use crate::scene::{Scene, value};
use loopwright::types::{Code, RunStatus};
use loopwright_fakes::{FakeProvider, Options, Reply, Request, Wire};
use serde_json::{Value, json};

/// Gives back what its tool said, or the task.
fn repeats(request: &Request) -> Reply {
    let tool =
        request.tools.iter().find(|tool| request.prompt.contains(&format!("use {}", tool.name)));
    match (request.tool_turns(), tool) {
        (0, Some(tool)) => Reply::call(&tool.name, &json!({ "structure": { "n": "three" } })),
        (0, None) => Reply::text("answered"),
        _ => Reply::text(request.results().iter().map(|(_, text)| *text).collect::<String>()),
    }
}

fn fake() -> FakeProvider {
    let models = ["m".to_owned(), "other".to_owned()];
    FakeProvider::start(Options { models: Some(models.to_vec()), ..Options::script(repeats) })
}

#[test]
fn keys_models_and_addresses_that_are_wrong_fail_their_tasks_with_the_reason_and_no_others() {
    let provider = fake();
    let scene = Scene::of(&provider);
    let url = provider.base_url(Wire::Chat);
    let wrong = scene.bench.workspace().join("../wrong-key");
    std::fs::write(&wrong, "sk-other\n").unwrap();
    let closed = FakeProvider::closed_port(Wire::Chat);
    let table = |name: &str, url: &str, key: &str| {
        format!(
            "[providers.{name}]\nwire = \"openai-chat\"\nbase_url = \"{url}\"\nkey = \"{key}\"\n"
        )
    };
    let tables = [
        table("no-key", &url, "env:A_VARIABLE_THAT_NOBODY_SETS"),
        table("wrong-key", &url, &format!("file:{}", wrong.display())),
        table("closed", &closed, "file:/dev/null"),
        table("nowhere", "http://no-such-host.invalid/v1", "file:/dev/null")
            .replace("key = \"file:/dev/null\"\n", ""),
    ];
    let tables = tables.concat().replace("key = \"file:/dev/null\"\n", "");
    let ran = scene.table(&tables).run(
        "const of = (model) => () => task({ description: 'say', model, retries: 1 }); \
         const ends = await settle(['on-openai-chat:m', 'no-key:m', 'wrong-key:m', 'closed:m', 'nowhere:m', \
         'on-openai-chat:none', 'no-provider:m'].map(of)); \
         ends.map((end) => end.value ?? [end.error.code, end.error.message])",
    );
    let ends = value(&ran);
    let expected = [
        (Code::KEY_MISSING, "`A_VARIABLE_THAT_NOBODY_SETS` is not set"),
        (Code::KEY_REFUSED, "`wrong-key`"),
        (Code::PROVIDER_UNREACHABLE, "`closed` cannot be reached"),
        (Code::PROVIDER_UNREACHABLE, "`nowhere` cannot be reached"),
        (Code::MODEL_UNKNOWN, "`none`"),
        (Code::PROVIDER_UNKNOWN, "`no-provider`"),
    ];
    assert_eq!(ends[0], "answered", "{ends:#}");
    for (nth, (code, text)) in expected.iter().enumerate() {
        let end = &ends[nth + 1];
        assert_eq!(end[0], code.to_string(), "{ends:#}");
        assert!(end[1].as_str().unwrap().contains(text), "{text}: {end}");
        assert!(!end[1].as_str().unwrap().contains("sk-"), "{end}");
    }
    assert_eq!(ran.report.status, RunStatus::Complete, "the program looked at every end");
}

/// A workspace with these MCP servers, each of `server.py` with its faults, and a definition that names a tool there
/// is none of.
fn with_servers(provider: &FakeProvider, servers: &[(&str, &str)]) -> Scene {
    let script = root().join("crates/mcp/tests/data/server.py");
    let servers = servers.iter().map(|(name, fault)| {
        ((*name).to_owned(), json!({ "command": "python3", "args": [script, fault] }))
    });
    let file = json!({ "mcpServers": servers.collect::<serde_json::Map<String, Value>>() });
    let definition =
        "---\nname: odd\ndescription: odd\ntools: read_file, no_such_tool\n---\nWork.\n";
    let mut scene = Scene::of(provider);
    scene.bench = scene.bench.file(".mcp.json", &file.to_string());
    scene.bench = scene.bench.file(".loopwright/agents/odd.md", definition);
    scene
}

#[test]
fn what_mcp_servers_do_wrong_is_told_to_whoever_called_them_and_siblings_complete() {
    let provider = fake();
    let names = ["crashes", "floods", "lies", "speaks_badly", "chatters", "good"];
    let servers = names.map(|name| (name, "none"));
    let scene = with_servers(&provider, &servers);
    let run = scene.prepare(
        "const model = 'on-openai-chat:m'; \
         const ends = await settle([ \
         () => tools.crashes.crash({}), \
         () => tools.floods.huge({ bytes: 100000000 }), () => tools.speaks_badly.malformed({}), \
         () => tools.lies.lie({}), () => tools.lies.lie({ structure: { n: 'three' } }), \
         () => tools.lies.lie({ structure: { n: 3 } }), \
         () => tools.good.ok({}), () => tools.chatters.chatty({}), \
         () => task({ description: 'say', model }), \
         () => task({ description: 'say', model, subagentType: 'odd' }), \
         () => task({ description: 'use lies__lie', model })]); \
         ends.map((end) => end.value ?? [end.error.code, end.error.message])",
    );
    let warned: Vec<Code> = run.warnings().iter().map(|warning| warning.code).collect();
    assert_eq!(warned, [Code::TOOL_UNKNOWN], "the definition's tool, before anything runs");
    let ran = execute(run);
    let ends = value(&ran);
    let expected = [
        (Code::MCP_LOST, "`crashes` broke: its process ended (exit status: 9)"),
        (Code::MCP_TOO_LARGE, "`floods` is larger (100000"),
        (Code::MCP_PROTOCOL, "`speaks_badly` does not keep to the protocol"),
        (Code::MCP_RESULT, "`lies` gives for it: it has no structured content"),
        (Code::MCP_RESULT, "`lies` gives for it: n: `\"three\"` is not of type \"number\""),
    ];
    for (nth, (code, text)) in expected.iter().enumerate() {
        assert_eq!(ends[nth][0], code.to_string(), "{ends:#}");
        assert!(ends[nth][1].as_str().unwrap().contains(text), "{text}: {ends:#}");
    }
    let rest = json!([{ "n": 3 }, "fine", "done", "answered", "answered"]);
    assert_eq!(json!(&ends.as_array().unwrap()[5..10]), rest);
    // The subagent got the lie as its tool's error, and went on.
    let told = ends[10].as_str().unwrap_or_default();
    assert!(told.contains("`\"three\"` is not of type \"number\""), "{ends:#}");
    assert_eq!(ran.report.status, RunStatus::Complete);
}

#[test]
fn a_call_that_an_mcp_server_never_answers_ends_at_its_time_and_siblings_complete() {
    let provider = fake();
    let servers = [("hangs", "none"), ("good", "none")];
    let ran = with_servers(&provider, &servers).set("mcp.timeout_ms", "2000").run(
        "const [end, said] = await settle([() => tools.hangs.silent({}), \
         () => task({ description: 'say', model: 'on-openai-chat:m' })]); \
         [end.error.code, end.error.message, said.value]",
    );
    let ends = value(&ran);
    assert_eq!((&ends[0], &ends[2]), (&json!(Code::MCP_TIMEOUT.to_string()), &json!("answered")));
    let said = "did not answer the call of `hangs.silent` within 2000 ms (`mcp.timeout_ms`)";
    assert!(ends[1].as_str().unwrap().contains(said), "{ends}");
}

#[test]
fn mcp_servers_that_never_come_up_are_told_before_anything_runs_and_the_run_goes_on() {
    let provider = fake();
    let servers =
        [("crashes", "crash-at-start"), ("floods", "flood-stdout"), ("refuses", "refuse")];
    let scene = with_servers(&provider, &servers);
    let run = scene.prepare(
        "const [end] = await settle([() => tools.crashes.ok({})]); \
         [end.status, await task({ description: 'say', model: 'on-openai-chat:m' })]",
    );
    let warned: Vec<String> = run
        .warnings()
        .iter()
        .filter(|warning| warning.code == Code::MCP_NOT_STARTED)
        .map(|warning| warning.message.clone())
        .collect();
    assert_eq!(warned.len(), 3, "{warned:?}");
    for (server, _) in servers {
        assert!(warned.iter().any(|it| it.contains(&format!("`{server}`"))), "{warned:?}");
    }
    let ran = execute(run);
    assert_eq!(value(&ran), json!(["failed", "answered"]));
}
