//! Against servers that nobody here wrote; `.ci/mcp` installs them.

mod common;

use common::{Scene, installed, npm, pypi};
use loopwright_mcp::ResourceContent;
use loopwright_types::{Code, Effects, Reason};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

fn all(folder: &Path, workspace: &str) -> Value {
    let mut memory = npm(folder, "mcp-server-memory", &[]);
    memory["env"] = json!({ "MEMORY_FILE_PATH": format!("{workspace}/memory.jsonl") });
    json!({
        "everything": npm(folder, "mcp-server-everything", &[]),
        "filesystem": npm(folder, "mcp-server-filesystem", &[workspace]),
        "memory": memory,
        "sequential-thinking": npm(folder, "mcp-server-sequential-thinking", &[]),
        "git": pypi(folder, "mcp-server-git", &[]),
        "time": pypi(folder, "mcp-server-time", &["--local-timezone", "UTC"]),
        "fetch": pypi(folder, "mcp-server-fetch", &["--ignore-robots-txt", "--allow-private-ips"]),
    })
}

fn git(folder: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    let status = Command::new("git").args(identity).args(args).current_dir(folder).status();
    assert!(status.unwrap().success(), "git {args:?}");
}

/// Answers every request with the page until the test ends.
fn site(page: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for visitor in listener.incoming() {
            let mut visitor = visitor.unwrap();
            let _ = visitor.read(&mut [0; 4096]);
            let length = page.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n"
            );
            let _ = visitor.write_all(format!("{head}{page}").as_bytes());
        }
    });
    address
}

#[test]
fn seven_servers_that_nobody_here_wrote_list_their_tools_and_answer_a_call() {
    let Some(folder) = installed("seven servers") else { return };
    let workspace = tempfile::tempdir().unwrap();
    let path = workspace.path().canonicalize().unwrap();
    let shown = path.to_str().unwrap();
    std::fs::write(path.join("note.txt"), "the first line\n").unwrap();
    git(&path, &["init", "-q"]);
    git(&path, &["add", "note.txt"]);
    git(&path, &["commit", "-q", "-m", "Write a note"]);
    let scene = Scene::start(&all(&folder, shown), &[]);
    assert_eq!(scene.diagnostics, [], "nothing is wrong with any of them");

    let page = site("<html><body><h1>Tides</h1><p>High water at nine.</p></body></html>");
    let entity = json!({ "name": "Ada", "entityType": "person", "observations": ["writes"] });
    let calls = [
        ("everything.echo", json!({ "message": "hello" }), "Echo: hello"),
        (
            "filesystem.read_text_file",
            json!({ "path": format!("{shown}/note.txt") }),
            "the first line",
        ),
        ("memory.create_entities", json!({ "entities": [entity] }), "Ada"),
        ("memory.read_graph", json!({}), "writes"),
        (
            "sequential_thinking.sequentialthinking",
            json!({ "thought": "one", "nextThoughtNeeded": false, "thoughtNumber": 1, "totalThoughts": 1 }),
            "thoughtHistoryLength",
        ),
        ("git.git_log", json!({ "repo_path": shown }), "Write a note"),
        ("time.get_current_time", json!({ "timezone": "UTC" }), "\"timezone\""),
        ("fetch.fetch", json!({ "url": page }), "High water at nine."),
    ];
    for (name, args, expected) in calls {
        let value = scene.call(name, args).unwrap_or_else(|it| panic!("{name}: {}", it.message));
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert!(text.contains(expected), "{name}: {text}");
    }
    let servers: std::collections::BTreeSet<String> =
        scene.names().iter().map(|name| name.split_once('.').unwrap().0.to_owned()).collect();
    assert_eq!(servers.len(), 7, "{servers:?}");
    for tool in scene.servers.tools() {
        assert_eq!(tool.effects, Effects::External, "{}: what nobody vouches for", tool.name);
    }
}

#[test]
fn both_revisions_are_agreed_on_with_the_servers_that_speak_them() {
    let Some(folder) = installed("both revisions") else { return };
    let servers = json!({
        "everything": npm(&folder, "mcp-server-everything", &[]),
        "time": pypi(&folder, "mcp-server-time", &[]),
    });
    let scene = Scene::start(&servers, &[]);
    let revision = |server: &str| scene.servers.revision(server).unwrap();
    assert_eq!(revision("everything"), "2025-11-25");
    assert_eq!(revision("time"), "2026-07-28");
    assert!(scene.servers.instructions("everything").is_some_and(|it| !it.is_empty()));
}

#[test]
fn a_tool_s_own_error_is_text_that_a_model_can_act_on() {
    let Some(folder) = installed("errors") else { return };
    let workspace = tempfile::tempdir().unwrap();
    let servers = json!({
        "everything": npm(&folder, "mcp-server-everything", &[]),
        "filesystem": npm(&folder, "mcp-server-filesystem", &[workspace.path().to_str().unwrap()]),
        "time": pypi(&folder, "mcp-server-time", &[]),
    });
    let scene = Scene::start(&servers, &[]);
    let cases = [
        (
            "filesystem.read_text_file",
            json!({ "path": "/etc/hostname" }),
            "outside allowed directories",
        ),
        ("time.get_current_time", json!({ "timezone": "Mars/Olympus" }), "Mars/Olympus"),
        ("everything.get_sum", json!({ "a": "one" }), "expected number"),
    ];
    for (name, args, expected) in cases {
        let failure = scene.call(name, args).unwrap_err();
        assert!(failure.message.contains(expected), "{name}: {}", failure.message);
        assert!(matches!(failure.code, Code::TOOL_FAILED | Code::MCP_ERROR), "{name}: {failure:?}");
    }
    assert_eq!(
        scene.call("everything.get_sum", json!({ "a": 2, "b": 3 })).unwrap(),
        json!("The sum of 2 and 3 is 5.")
    );
}

#[test]
fn progress_is_told_and_cancelling_ends_a_call_while_its_server_goes_on() {
    let Some(folder) = installed("progress") else { return };
    let servers = json!({ "everything": npm(&folder, "mcp-server-everything", &[]) });
    let scene = Scene::start(&servers, &[]);
    let name = "everything.trigger_long_running_operation";
    let told = RefCell::new(Vec::new());
    let args = json!({ "duration": 1, "steps": 4 });
    let progress = |line: String| told.borrow_mut().push(line);
    let value = scene.servers.call(name, &args, &|| false, &progress).unwrap();
    assert!(value.as_str().unwrap().contains("completed"), "{value}");
    assert_eq!(told.take(), ["1/4", "2/4", "3/4", "4/4"]);

    // The call is given up when it is seen to be under way: no clock decides this.
    let is_under_way = Cell::new(false);
    let args = json!({ "duration": 3600, "steps": 36000 });
    let progress = |_| is_under_way.set(true);
    let failure = scene.servers.call(name, &args, &|| is_under_way.get(), &progress).unwrap_err();
    assert_eq!((failure.reason, failure.code), (Reason::Cancelled, Code::CANCELLED));
    assert_eq!(
        scene.call("everything.echo", json!({ "message": "still here" })).unwrap(),
        "Echo: still here"
    );
}

#[test]
fn a_call_without_a_sign_of_life_times_out_and_progress_is_one() {
    let Some(folder) = installed("timeouts") else { return };
    let servers = json!({ "everything": npm(&folder, "mcp-server-everything", &[]) });
    let scene = Scene::start(&servers, &[("mcp.timeout_ms", "1500")]);
    let name = "everything.trigger_long_running_operation";
    let silent = scene.call(name, json!({ "duration": 3600, "steps": 1 })).unwrap_err();
    assert_eq!((silent.reason, silent.code), (Reason::Timeout, Code::MCP_TIMEOUT));
    assert!(silent.message.contains("`mcp.timeout_ms`"), "{}", silent.message);
    scene.call(name, json!({ "duration": 3, "steps": 12 })).unwrap();
}

#[test]
fn structured_content_images_and_resources_come_as_values() {
    let Some(folder) = installed("structured content") else { return };
    let servers = json!({ "everything": npm(&folder, "mcp-server-everything", &[]) });
    let scene = Scene::start(&servers, &[]);
    let weather = scene.call("everything.get_structured_content", json!({ "location": "Chicago" }));
    let weather = weather.unwrap();
    assert!(weather["temperature"].is_number() && weather["conditions"].is_string(), "{weather}");
    let image = scene.call("everything.get_tiny_image", json!({})).unwrap();
    assert!(image.as_str().unwrap().contains("[image image/png, "), "{image}");
    let links = scene.call("everything.get_resource_links", json!({ "count": 2 })).unwrap();
    assert_eq!(links.as_str().unwrap().matches("[resource link ").count(), 2, "{links}");

    let resources = scene.servers.resources("everything").unwrap();
    let content = scene.servers.read_resource("everything", &resources[0].uri).unwrap();
    assert!(matches!(&content[0], ResourceContent::Text { text, .. } if !text.is_empty()));
    let templates = scene.servers.resource_templates("everything").unwrap();
    assert!(templates.iter().any(|it| it.uri_template.contains("{resourceId}")), "{templates:?}");
    let blob = "demo://resource/dynamic/blob/1";
    let content = scene.servers.read_resource("everything", blob).unwrap();
    assert!(matches!(&content[0], ResourceContent::Blob { base64, .. } if !base64.is_empty()));
    let prompts = scene.servers.prompts("everything").unwrap();
    let wanted = [("city".to_owned(), true), ("state".to_owned(), false)];
    assert!(prompts.iter().any(|it| it.arguments == wanted), "{prompts:?}");
    let missing = scene.servers.read_resource("everything", "demo://nowhere").unwrap_err();
    assert_eq!(missing.code, Code::MCP_ERROR, "{missing:?}");
}

#[test]
fn a_server_gets_the_variables_it_needs_and_no_others() {
    let Some(folder) = installed("variables") else { return };
    let mut server = npm(&folder, "mcp-server-everything", &[]);
    server["env"] = json!({ "GREETING": "${LOOPWRIGHT_TEST_UNSET:-hello}" });
    let scene = Scene::start(&json!({ "everything": server }), &[]);
    let text = scene.call("everything.get_env", json!({})).unwrap();
    let env: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    assert_eq!(env["GREETING"], "hello");
    assert!(env["PATH"].is_string());
    // Cargo sets this one for the test.
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some() && env["CARGO_MANIFEST_DIR"].is_null()
    );
}

#[test]
fn typed_files_of_all_tools_satisfy_the_typescript_compiler() {
    let Some(folder) = installed("typescript") else { return };
    let workspace = tempfile::tempdir().unwrap();
    let scene = Scene::start(&all(&folder, workspace.path().to_str().unwrap()), &[]);
    let tree = workspace.path().join("tools");
    scene.servers.write_tree(&tree).unwrap();
    let before = std::fs::read_to_string(tree.join("memory/read_graph.d.ts")).unwrap();
    scene.servers.write_tree(&tree).unwrap();
    let after = std::fs::read_to_string(tree.join("memory/read_graph.d.ts")).unwrap();
    assert_eq!(before, after);
    let index = std::fs::read_to_string(tree.join("sequential_thinking/index.md")).unwrap();
    assert!(index.contains("[`sequentialthinking`](sequentialthinking.d.ts)"), "{index}");

    let program = "
declare const tools: Tools;
async function main(): Promise<number> {
  const graph = await tools.memory.read_graph();
  const text: string = await tools.everything.echo({ message: 'hello' });
  // @ts-expect-error an argument is missing
  await tools.everything.get_sum({ a: 1 });
  // @ts-expect-error there is no such tool
  await tools.everything.get_sums({ a: 1, b: 2 });
  return graph.entities[0].observations.length + text.length;
}
";
    std::fs::write(tree.join("main.ts"), program).unwrap();
    let mut compiler = Command::new(folder.join("node_modules/.bin/tsc"));
    compiler.args(["--noEmit", "--strict", "--target", "es2022", "main.ts", "index.d.ts"]);
    for entry in scene.servers.tools() {
        compiler.arg(format!("{}.d.ts", entry.name.replace('.', "/")));
    }
    let output = compiler.current_dir(&tree).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::write(tree.join("all.ts"), scene.servers.signatures() + program).unwrap();
    let mut compiler = Command::new(folder.join("node_modules/.bin/tsc"));
    compiler.args(["--noEmit", "--strict", "--target", "es2022", "all.ts"]);
    let output = compiler.current_dir(&tree).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
