//! `.mcp.json`: what is read, and what is said of what cannot be.

mod common;

use common::{Scene, script};
use loopwright_mcp::{Endpoint, Options, Servers};
use loopwright_types::{Code, Diagnostic, Effects, Settings};
use serde_json::{Value, json};

fn load(text: &str) -> (Servers, Vec<Diagnostic>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".mcp.json"), text).unwrap();
    Servers::load(folder.path(), Options::new(&Settings::default(), folder.path()))
}

struct Case {
    text: String,
    /// Servers that are left.
    left: usize,
    code: Code,
    expected: &'static str,
    /// Line and column.
    place: (u32, u32),
}

fn files() -> Vec<Case> {
    let cases = [
        ("{\n  \"mcpServers\": {,}\n}", "is not JSON: key must be a string", (2, 18)),
        ("{\n  \"ä\": \"ö\" \"x\"}", "is not JSON: expected `,` or `}`", (2, 12)),
        ("[]", "does not hold an object", (1, 1)),
        ("{\n\"mcpServers\": []}", "no object under `mcpServers`", (2, 1)),
    ];
    let case = |(text, expected, place): (&str, _, _)| Case {
        text: text.to_owned(),
        left: 0,
        code: Code::MCP_FILE,
        expected,
        place,
    };
    cases.map(case).into()
}

fn definitions() -> Vec<Case> {
    let cases = [
        ("7", "invalid type: integer `7`"),
        ("{}", "neither `command` nor `url`"),
        (r#"{"command": 7}"#, "invalid type: integer `7`, expected a string"),
        (r#"{"command": "a", "url": "http://b/"}"#, "both `command` and `url`"),
        (r#"{"type": "sse", "url": "http://b/"}"#, "transport `sse` was replaced"),
        (r#"{"type": "http"}"#, "it has no `url`"),
        (r#"{"type": "stdio", "url": "http://b/"}"#, "it has no `command`"),
        (r#"{"type": "carrier-pigeon"}"#, "transport `carrier-pigeon` is not known"),
        (r#"{"url": "file:///etc/passwd"}"#, "is not a web address"),
        (r#"{"url": "http://ada:secret@b/"}"#, "holds a user or password"),
        (r#"{"command": "${NO_SUCH_VARIABLE}"}"#, "`NO_SUCH_VARIABLE` is not set"),
        (r#"{"command": "a", "loopwright": {"effect": "none"}}"#, "unknown field `effect`"),
        (r#"{"command": "a", "loopwright": {"effects": "tiny"}}"#, "unknown variant `tiny`"),
        (r#"{"url": "http://b/", "oauth": {"client_id": "x"}}"#, "unknown field `client_id`"),
        (
            r#"{"url": "http://b/", "oauth": {"grant": "client_credentials"}}"#,
            "`client_credentials` needs more of a client",
        ),
    ];
    let case = |(server, expected): (&str, _)| {
        let good = r#""good": {"command": "true"}"#;
        let text =
            format!("{{\n  \"mcpServers\": {{\n    {good},\n    \"bad\": {server}\n  }}\n}}");
        Case { text, left: 1, code: Code::MCP_DEFINITION, expected, place: (4, 5) }
    };
    cases.map(case).into()
}

#[test]
fn a_file_that_is_wrong_is_reported_with_its_place_and_good_servers_of_it_stay() {
    for case in files().into_iter().chain(definitions()) {
        let Case { text, left, code, expected, place } = case;
        let (servers, diagnostics) = load(&text);
        let [one] = diagnostics.as_slice() else { panic!("{text}: {diagnostics:?}") };
        assert_eq!(one.code, code, "{text}");
        assert!(one.message.contains(expected), "{}\n{expected}", one.message);
        assert!(one.hint.is_some() && !one.message.contains("secret"), "{one}");
        let at = one.location.as_ref().unwrap();
        assert_eq!(
            (at.file.as_str(), at.position.line, at.position.column),
            (".mcp.json", place.0, place.1),
            "{one}"
        );
        assert_eq!(servers.definitions().count(), left, "{text}");
    }
}

#[test]
fn what_other_agents_write_is_understood() {
    let (servers, diagnostics) = load(
        r#"{"$schema": "x", "mcpServers": {
            "typed": {"type": "stdio", "command": "npx", "args": ["-y", "pkg"], "env": {"A": "b"}, "autoApprove": ["x"]},
            "streamable": {"type": "streamable-http", "url": "https://example.com/mcp", "headers": {"X": "${HOME}/y"}},
            "plain": {"url": "http://localhost:1/mcp", "timeout": 60},
            "off": {"command": "a", "disabled": true}
        }}"#,
    );
    assert_eq!(diagnostics, []);
    let names: Vec<&str> = servers.definitions().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["plain", "streamable", "typed"]);
    let header = servers.definitions().find_map(|it| match &it.endpoint {
        Endpoint::Http { headers, .. } => headers.get("X").cloned(),
        Endpoint::Stdio { .. } => None,
    });
    assert_eq!(header.unwrap(), format!("{}/y", std::env::var("HOME").unwrap()));
    let shown = format!("{:?}", servers.definitions().collect::<Vec<_>>());
    assert!(!shown.contains("/y"), "values that may be secret are not shown: {shown}");
    for text in ["{}", r#"{"servers": {}}"#] {
        let (servers, diagnostics) = load(text);
        assert!(servers.is_empty() && diagnostics.is_empty());
    }
    let folder = tempfile::tempdir().unwrap();
    let (servers, diagnostics) =
        Servers::load(folder.path(), Options::new(&Settings::default(), folder.path()));
    assert!(servers.is_empty() && diagnostics.is_empty() && servers.connect_all().is_empty());
}

#[test]
fn the_configuration_says_what_tools_may_do_and_which_may_be_used() {
    let mut server = script("server.py", &[]);
    server["loopwright"] = json!({
        "effects": "local",
        "reads_private": false,
        "allow": ["ok", "hu*", "lie"],
        "tools": { "ok": { "effects": "none", "arguments": { "to": "route" } }, "gone": {} },
    });
    let scene = Scene::start(&json!({ "My Files!": server }), &[]);
    let said: Vec<&str> = scene.diagnostics.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        said,
        ["the MCP server `My Files!`: its manifest names a tool `gone` that it does not have"]
    );
    assert_eq!(
        scene.names(),
        ["My_Files_.huge", "My_Files_.huge_tail", "My_Files_.lie", "My_Files_.ok"]
    );
    let effects =
        |name: &str| scene.servers.tools().into_iter().find(|it| it.name == name).unwrap().effects;
    assert_eq!(effects("My_Files_.ok"), Effects::None);
    assert_eq!(effects("My_Files_.huge"), Effects::Local);
    let manifest = scene.servers.manifest("My_Files_.ok").unwrap();
    assert!(manifest.reads_untrusted && !manifest.reads_private && manifest.arguments.len() == 1);

    let ways = ["My_Files_.ok", "My_Files___ok", "My Files!.ok", "myFiles.ok", "my_files.OK"];
    for name in ways {
        assert_eq!(scene.servers.resolve(name).as_deref(), Some("My_Files_.ok"), "{name}");
        assert_eq!(scene.call(name, Value::Null).unwrap(), "fine", "{name}");
    }
    for name in ["My_Files_.crash", "My_Files_.", "ok", "", "other.ok"] {
        let failure = scene.call(name, Value::Null).unwrap_err();
        assert_eq!((failure.code, failure.sent), (Code::TOOL_UNKNOWN, false), "{name}");
    }
    let hint = scene.call("My_Files_.crash", Value::Null).unwrap_err().hint.unwrap();
    assert!(hint.contains("`My_Files_.lie`"), "{hint}");
}

#[test]
fn servers_whose_names_mean_the_same_to_a_program_are_told_apart_and_reported() {
    let server = || script("server.py", &[]);
    let scene = Scene::start(&json!({ "a-b": server(), "a.b": server() }), &[]);
    let said: Vec<&str> = scene.diagnostics.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(said, ["the MCP server `a.b`: programs call it `a_b_2`"]);
    assert_eq!(scene.call("a_b.ok", Value::Null).unwrap(), "fine");
    assert_eq!(scene.call("a_b_2.ok", Value::Null).unwrap(), "fine");
    let models: std::collections::BTreeSet<String> =
        scene.servers.tools().iter().map(|it| it.model_name()).collect();
    assert_eq!(models.len(), scene.names().len());
}

#[test]
fn a_tree_of_files_is_written_anew_and_nobody_else_s_files_are_touched() {
    let servers = json!({ "bad": script("server.py", &["list-mixed"]) });
    let scene = Scene::start(&servers, &[]);
    let tree = scene.folder.path().join("tree");
    scene.servers.write_tree(&tree).unwrap();
    std::fs::write(tree.join("bad/stale.d.ts"), "old").unwrap();
    scene.servers.write_tree(&tree).unwrap();
    let mut files: Vec<String> = std::fs::read_dir(tree.join("bad"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["______escape.d.ts", "index.md", "o_k.d.ts", "ok.d.ts"]);
    let other = scene.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("precious"), "mine").unwrap();
    let error = scene.servers.write_tree(&other).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}
