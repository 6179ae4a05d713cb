//! Tokens that are bound to a key, against a server of our own that takes nothing on trust.

#[path = "common/bound.rs"]
mod bound;
mod common;
#[path = "common/person.rs"]
mod person;
#[path = "common/proof.rs"]
mod proof;
#[path = "common/web.rs"]
mod web;

use bound::{State, server};
use common::Scene;
use loopwright_types::{Code, Failure, Settings};
use person::Person;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use web::Web;

const PATIENCE: Duration = Duration::from_secs(30);

fn willing() -> State {
    State {
        scheme: "DPoP",
        algorithms: Some(json!(["RS256", "ES256"])),
        binds: true,
        ..State::default()
    }
}

fn start(web: &Web, oauth: &Value) -> Scene {
    // What stands behind `?` is for the server, and not in proofs.
    let url = format!("{}/mcp?team=tides", web.origin);
    Scene::start(&json!({ "web": { "type": "http", "url": url, "oauth": oauth } }), &[])
}

fn login(scene: &Scene) -> Result<(), Failure> {
    scene.servers.login("web", Arc::new(Person { has_strangers: false }), PATIENCE)
}

fn stored(scene: &Scene) -> (PathBuf, Value) {
    let files = std::fs::read_dir(scene.folder.path().join("data/mcp")).unwrap();
    let mut files = files.map(|it| it.unwrap().path());
    let file = files.find(|it| it.extension().is_some_and(|it| it == "json")).unwrap();
    let content = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    (file, content)
}

#[test]
fn a_token_is_proven_and_refreshed_with_its_own_key_whatever_nonces_are_wanted() {
    let nonces = [Some("for-tokens".to_owned()), Some("for-calls".to_owned())];
    let (web, state) = server(State { nonces, ..willing() });
    let scene = start(&web, &json!({}));
    assert_eq!(scene.diagnostics[0].code, Code::MCP_LOGIN);
    login(&scene).unwrap();
    assert_eq!(scene.servers.connect_all(), []);
    let call = || scene.call("web.act", json!({}));
    assert_eq!(call().unwrap(), "fine");
    let (file, first) = stored(&scene);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bound_to = state.lock().unwrap().key.clone();

    // Another nonce: the call is sent once more, and done once.
    state.lock().unwrap().nonces[1] = Some("another".to_owned());
    let before = web.count("tools/call");
    assert_eq!(call().unwrap(), "fine");
    assert_eq!((state.lock().unwrap().calls, web.count("tools/call")), (2, before + 2));

    // A token that is not taken any more is refreshed with the key that it is bound to.
    state.lock().unwrap().tokens += 1;
    assert_eq!(call().unwrap(), "fine");
    let (_, refreshed) = stored(&scene);
    assert_eq!(refreshed["credentials"]["token_response"]["access_token"], "token-3");
    assert_eq!(refreshed["dpop_key"], first["dpop_key"]);
    assert_eq!(state.lock().unwrap().key, bound_to);

    // So it is by another process.
    state.lock().unwrap().tokens += 1;
    let settings = Settings::default();
    let options = loopwright_mcp::Options::new(&settings, &scene.folder.path().join("data"));
    let other = loopwright_mcp::Servers::load(scene.folder.path(), options).0;
    assert_eq!(other.connect_all(), []);
    assert_eq!(other.call("web.act", &json!({}), &|| false, &|_| ()).unwrap(), "fine");
    assert_eq!(state.lock().unwrap().key, bound_to);

    // The next login has a key of its own, and the first process sees it.
    other.login("web", Arc::new(Person { has_strangers: false }), PATIENCE).unwrap();
    assert_eq!(call().unwrap(), "fine");
    assert_ne!(stored(&scene).1["dpop_key"], first["dpop_key"]);
    assert_ne!(state.lock().unwrap().key, bound_to);
    assert_eq!(state.lock().unwrap().wrong, Vec::<String>::new());
    let bearer =
        |it: &web::Request| it.header("authorization").is_some_and(|it| it.starts_with("B"));
    assert!(!web.requests().iter().any(bearer));
}

#[test]
fn a_server_that_is_content_with_no_nonce_is_asked_a_second_time_and_no_more() {
    let (web, state) = server(State { is_endless: [true, false], ..willing() });
    let scene = start(&web, &json!({}));
    let failure = login(&scene).unwrap_err();
    assert_eq!(failure.code, Code::MCP_LOGIN);
    assert!(failure.message.contains("use_dpop_nonce"), "{}", failure.message);
    let asked = |path: &str| web.requests().iter().filter(|it| it.target == path).count();
    assert_eq!(asked("/token"), 2);
    assert_eq!(state.lock().unwrap().tokens, 0);

    state.lock().unwrap().is_endless = [false, false];
    state.lock().unwrap().nonces = [None, None];
    login(&scene).unwrap();
    assert_eq!(scene.servers.connect_all(), []);
    state.lock().unwrap().is_endless = [false, true];
    let (calls, tokens) = (web.count("tools/call"), asked("/token"));
    let failure = scene.call("web.act", json!({})).unwrap_err();
    assert_eq!((failure.code, failure.sent), (Code::MCP_LOGIN, false), "{}", failure.message);
    let key = stored(&scene).1["dpop_key"].as_str().unwrap().to_owned();
    assert!(!failure.message.contains("token-") && !failure.message.contains(&key));
    // A refusal is followed by one refresh, as any is, and the new token is not tried more often than the old one.
    assert_eq!((web.count("tools/call"), asked("/token")), (calls + 4, tokens + 1));
    assert_eq!(state.lock().unwrap().calls, 0);
    assert_eq!(state.lock().unwrap().wrong, Vec::<String>::new());
}

#[test]
fn what_a_session_sends_besides_its_messages_is_proven_too() {
    let (web, state) = server(State { nonces: [None, Some("one".to_owned())], ..willing() });
    let scene = start(&web, &json!({}));
    login(&scene).unwrap();
    assert_eq!(scene.servers.connect_all(), []);
    state.lock().unwrap().nonces[1] = Some("other".to_owned());
    scene.servers.shutdown();
    let sent = web.requests();
    let by = |method: &str| {
        let bound = |it: &&web::Request| {
            it.method == method && it.header("authorization") == Some("DPoP token-1")
        };
        sent.iter().filter(bound).count()
    };
    assert_eq!((by("GET"), by("DELETE")), (1, 2), "a nonce is followed once");
    assert_eq!(state.lock().unwrap().wrong, Vec::<String>::new());
}

#[test]
fn only_those_who_want_bound_tokens_see_proofs() {
    let es256 = || Some(json!(["ES256"]));
    // What the resource's challenge, the authorization server's and the resource's metadata say; whether there are proofs.
    let cases = [
        ("Bearer", es256(), false, false),
        ("Bearer", es256(), true, true),
        ("Bearer", None, false, false),
        ("DPoP", es256(), false, true),
        ("DPoP", None, false, true),
        ("DPoP", Some(json!(["EdDSA"])), true, false),
        ("DPoP", Some(json!([])), true, false),
    ];
    for (scheme, algorithms, is_required, expected) in cases {
        let case = format!("{scheme} {algorithms:?} {is_required}");
        let (web, state) = server(State { scheme, algorithms, is_required, ..willing() });
        let scene = start(&web, &json!({}));
        login(&scene).unwrap();
        assert_eq!(scene.servers.connect_all(), [], "{case}");
        assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine", "{case}");
        assert_eq!(state.lock().unwrap().key.is_some(), expected, "{case}");
        let has_proofs = web.requests().iter().any(|it| it.header("dpop").is_some());
        assert_eq!(has_proofs, expected, "{case}");
        assert_eq!(stored(&scene).1["dpop_key"].is_string(), expected, "{case}");
        assert_eq!(state.lock().unwrap().wrong, Vec::<String>::new(), "{case}");
    }
}

#[test]
fn a_token_that_is_not_bound_after_all_is_used_as_what_it_is() {
    let (web, _) = server(State { binds: false, ..willing() });
    let scene = start(&web, &json!({}));
    login(&scene).unwrap();
    assert_eq!(scene.servers.connect_all(), []);
    assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine");
    let to_resource =
        |it: &web::Request| it.target.starts_with("/mcp") && it.header("dpop").is_some();
    assert!(!web.requests().iter().any(to_resource));
}

#[test]
fn tokens_that_nobody_consents_to_are_bound_too() {
    let secret =
        json!({ "grant": "client_credentials", "clientId": "robot", "clientSecret": "hush" });
    let statement = json!({ "grant": "jwt_bearer", "clientId": "robot", "assertion": "signed" });
    for oauth in [secret, statement] {
        let nonces = [Some("for-tokens".to_owned()), Some("for-calls".to_owned())];
        let (web, state) = server(State { nonces, is_required: true, ..willing() });
        let scene = start(&web, &oauth);
        assert_eq!(scene.diagnostics, [], "{oauth}");
        assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine", "{oauth}");
        assert!(state.lock().unwrap().key.is_some(), "{oauth}");
        assert_eq!(state.lock().unwrap().wrong, Vec::<String>::new(), "{oauth}");
    }
}

#[test]
fn a_bound_token_whose_key_is_lost_is_not_sent_but_asked_for_anew() {
    let (web, state) = server(willing());
    let scene = start(&web, &json!({}));
    login(&scene).unwrap();
    let (file, mut content) = stored(&scene);
    for lost in [Value::Null, json!("0123")] {
        content["dpop_key"] = lost;
        std::fs::write(&file, content.to_string()).unwrap();
        let before = web.requests().len();
        assert_eq!(scene.servers.connect_all()[0].code, Code::MCP_LOGIN);
        let sent = web.requests().split_off(before);
        assert!(!sent.iter().any(|it| it.header("authorization").is_some()), "{sent:?}");
    }
    login(&scene).unwrap();
    assert_eq!(scene.servers.connect_all(), []);
    assert_eq!(state.lock().unwrap().wrong, Vec::<String>::new());
}
