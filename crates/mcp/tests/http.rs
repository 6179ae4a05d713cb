//! Servers over streamable HTTP.

mod common;
#[path = "common/web.rs"]
mod web;

use common::Scene;
use loopwright_types::Code;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use web::{Web, empty, older, text};

fn at(web: &Web, more: &Value) -> Value {
    let mut server = json!({ "type": "http", "url": format!("{}/mcp", web.origin) });
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "web": server })
}

#[test]
fn configured_headers_go_with_every_request_and_to_no_other_place() {
    let elsewhere = Web::start(|_, _| empty(404));
    let other = elsewhere.origin.clone();
    let web = Web::start(move |_, request| match request.target.as_str() {
        "/mcp" => (307, vec![("location", "/mcp/".to_owned())], String::new()),
        "/mcp/" if request.json()["method"] == "tools/call" => {
            (307, vec![("location", format!("{other}/mcp"))], String::new())
        }
        _ => older(request, |_| text("fine")),
    });
    let headers =
        json!({ "headers": { "Authorization": "Bearer ${NO_SUCH:-secret}", "X-Team": "tides" } });
    let scene = Scene::start(&at(&web, &headers), &[]);
    assert_eq!(scene.diagnostics, []);
    let failure = scene.call("web.act", json!({})).unwrap_err();
    assert_eq!(failure.code, Code::MCP_LOST, "{}", failure.message);
    assert!(!failure.message.contains("secret"), "{}", failure.message);
    for request in web.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer secret"));
        assert_eq!(request.header("x-team"), Some("tides"));
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn a_call_that_fails_is_not_sent_again_by_itself() {
    let cases: [(u16, Code, bool); 4] = [
        (500, Code::MCP_LOST, true),
        (429, Code::MCP_LOST, true),
        (404, Code::MCP_LOST, true),
        (401, Code::MCP_LOGIN, false),
    ];
    for (status, code, sent) in cases {
        let calls = AtomicUsize::new(0);
        let web = Web::start(move |_, request| {
            let is_call = request.json()["method"] == "tools/call";
            if is_call && calls.fetch_add(1, Ordering::Relaxed) < 3 {
                return (status, vec![("www-authenticate", "Bearer".to_owned())], String::new());
            }
            older(request, |_| text("fine"))
        });
        let scene = Scene::start(&at(&web, &json!({})), &[]);
        assert_eq!(scene.diagnostics, [], "{status}");
        for number in 1..=3 {
            let failure = scene.call("web.act", json!({})).unwrap_err();
            assert_eq!((failure.code, failure.sent), (code, sent), "{status}: {failure:?}");
            assert_eq!(web.count("tools/call"), number, "{status}");
        }
        assert_eq!(
            scene.call("web.act", json!({})).unwrap(),
            "fine",
            "{status}: the next call is served"
        );
    }
}

#[test]
fn a_forgotten_session_is_a_failure_that_had_no_effect_and_the_next_call_begins_another() {
    let sessions = AtomicUsize::new(0);
    let web = Web::start(move |_, request| {
        let method = request.json()["method"].clone();
        let session = request.header("mcp-session-id");
        if method == "tools/call" && session == Some("session-0") {
            return empty(404);
        }
        let (status, mut headers, body) = older(request, |_| text("fine"));
        if method == "initialize" {
            let number = sessions.fetch_add(1, Ordering::Relaxed);
            headers.push(("mcp-session-id", format!("session-{number}")));
        }
        (status, headers, body)
    });
    let scene = Scene::start(&at(&web, &json!({})), &[]);
    let failure = scene.call("web.act", json!({})).unwrap_err();
    assert_eq!((failure.code, failure.sent), (Code::MCP_LOST, false), "{}", failure.message);
    assert_eq!(web.count("tools/call"), 1);
    assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine");
}

#[test]
fn an_answer_of_100_mb_is_a_clear_error() {
    let web = Web::start(|_, request| older(request, |_| text(&"x".repeat(100_000_000))));
    let scene = Scene::start(&at(&web, &json!({})), &[]);
    let failure = scene.call("web.act", json!({})).unwrap_err();
    assert_eq!(failure.code, Code::MCP_TOO_LARGE, "{}", failure.message);
    assert!(failure.message.contains("`mcp.message_bytes_max`"), "{}", failure.message);
}

#[test]
fn pages_that_are_no_servers_are_reported_as_such() {
    let page = |status: u16, kind: &'static str, body: &'static str| {
        Web::start(move |_, _| (status, vec![("content-type", kind.to_owned())], body.to_owned()))
    };
    let cases = [
        (page(200, "text/html", "<html>hello</html>"), Code::MCP_NOT_STARTED),
        (page(404, "text/plain", "nothing here"), Code::MCP_NOT_STARTED),
        (page(200, "application/json", "{\"a\":"), Code::MCP_NOT_STARTED),
        (page(200, "application/json", "[]"), Code::MCP_NOT_STARTED),
        (page(503, "text/plain", "busy"), Code::MCP_NOT_STARTED),
        (page(301, "text/plain", "moved"), Code::MCP_NOT_STARTED),
        (page(401, "text/plain", "who are you"), Code::MCP_LOGIN),
    ];
    for (web, code) in cases {
        let scene = Scene::start(&at(&web, &json!({})), &[("mcp.connect_timeout_ms", "10000")]);
        let [one] = scene.diagnostics.as_slice() else { panic!("{:?}", scene.diagnostics) };
        assert_eq!(one.code, code, "{one}");
        assert!(one.message.contains("`web`") && !one.message.contains("rmcp::"), "{one}");
        println!("{one}");
    }
}
