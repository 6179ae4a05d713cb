//! What became of a call is asked of the tool that the configuration names for it, under the key that the call had.

mod common;

use common::{Scene, script};
use loopwright_protocol::{Found, Json};
use loopwright_types::Code;
use serde_json::{Value, json};

/// The server with these faults; calls of `send` are looked up.
fn mail(faults: &[&str]) -> Value {
    let mut server = script("mail.py", faults);
    server["loopwright"] =
        json!({ "allow": ["send"], "tools": { "send": { "lookup": "send_status" } } });
    json!({ "mail": server })
}

fn sent(scene: &Scene) -> Vec<Value> {
    let text = std::fs::read_to_string(scene.folder.path().join("sent")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_call_goes_out_under_its_key_and_can_be_looked_up_by_it() {
    let scene = Scene::start(&mail(&[]), &[]);
    assert_eq!(scene.diagnostics, []);
    assert_eq!(scene.names(), ["mail.send"], "what is only asked by us need not be allowed");
    assert!(scene.servers.tools()[0].lookup);
    let args = json!({ "to": "ada" });
    let look_up = |key: &str| scene.servers.look_up(key, "mail.send", &args, &|| false).unwrap();
    assert_eq!(look_up("run/1/1"), Found::NotDone);
    for key in ["run/1/1", "run/1/1", "run/2/1"] {
        let gave =
            scene.servers.call_under(Some(key), "mail__send", &args, &|| false, &|_| ()).unwrap();
        assert_eq!(gave, "sent to ada");
    }
    let expected = ["run/1/1", "run/2/1"].map(|key| json!({ "key": key, "to": "ada" }));
    assert_eq!(sent(&scene), expected, "the server knows a repeat by its key");
    assert_eq!(look_up("run/1/1"), Found::Done(Json::of("sent to ada")));
    assert_eq!(look_up("run/3/1"), Found::NotDone);
}

#[test]
fn a_lookup_that_does_not_say_what_became_of_a_call_is_told_as_that() {
    let args = json!({ "to": "ada" });
    let cases = [
        ("unknown", Ok(Found::Unknown("the log of that day is gone".to_owned()))),
        ("down", Err((Code::TOOL_FAILED, "the log is locked"))),
        ("odd", Err((Code::MCP_RESULT, "has the status `perhaps`, not `done`"))),
        ("gone", Err((Code::LOOKUP_FAILED, "calls of `mail.send` cannot be looked up"))),
    ];
    for (fault, expected) in cases {
        let scene = Scene::start(&mail(&[fault]), &[]);
        let found = scene.servers.look_up("run/1/1", "mail.send", &args, &|| false);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{fault}"),
            (Err(failure), Err((code, said))) => {
                assert_eq!(failure.code, code, "{fault}");
                assert!(failure.message.contains(said), "{fault}: {}", failure.message);
            }
            (found, _) => panic!("{fault}: {found:?}"),
        }
        let told: Vec<&str> = scene.diagnostics.iter().map(|it| it.message.as_str()).collect();
        match fault {
            "gone" => {
                assert!(told[0].contains("looked up by `send_status`, which it"), "{told:?}");
                assert!(!scene.servers.tools()[0].lookup);
            }
            _ => assert_eq!(told, [""; 0]),
        }
    }
}
