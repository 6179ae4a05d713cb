//! Replies that count.

use crate::books::{Books, KEY, ask, dispatch, driver, provider, request};
use crate::server::Server;
use loopwright_host::Driver;
use loopwright_protocol::{Block, Finish, Progress};
use loopwright_types::Usage;
use std::sync::Arc;

#[test]
fn every_wire_gives_its_reply_with_usage_and_limits() {
    for stream in ["anthropic-text", "responses-text", "chat-text", "gemini-text"] {
        let ended = ask(&format!("{}:whole.{stream}", provider(stream)));
        let reply = ended.reply();
        assert_eq!(reply.finish, Finish::End, "{stream}");
        let [Block::Text { text }] = &reply.blocks[..] else { panic!("{stream}: {reply:?}") };
        assert!(text.ends_with(", world"), "{stream}: {text}");
        assert!(ended.usage.output_tokens > 0 && ended.usage.input_tokens > 0, "{ended:?}");
        assert_eq!(ended.usage.usd_micros, 0);
        let limits = ended.progress.iter().any(|it| {
            matches!(it, Progress::Limits(limits) if limits.requests.is_some_and(|it| it.remaining == 49))
        });
        assert!(ended.has_begun() && limits, "{stream}: {:?}", ended.progress);
        assert!(ended.messages().is_empty(), "{ended:?}");
    }
}

#[test]
fn a_reply_whose_tokens_were_not_told_says_so_and_has_them_estimated() {
    let ended = ask("chat:whole.chat-without-usage");
    assert_eq!(ended.reply().finish, Finish::End);
    let Block::Text { text } = &ended.reply().blocks[0] else { panic!("{ended:?}") };
    let output = (text.len() as u64).div_ceil(3);
    // "You answer." and "Well?" are 16 bytes.
    let expected = Usage { input_tokens: 6, output_tokens: output, ..Usage::default() };
    assert_eq!(ended.usage, Usage { estimated_tokens: 6 + output, ..expected });
    assert!(ended.messages()[0].contains("did not tell all tokens"), "{ended:?}");
}

#[test]
fn headers_carry_key_version_and_idempotency_and_the_url_carries_no_key() {
    let server = Server::start();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    let streams = ["anthropic-text", "responses-text", "chat-text", "gemini-text"];
    for (call, stream) in (0..).zip(streams) {
        let model = format!("{}:whole.{stream}", provider(stream));
        driver.dispatch(dispatch(call, request(&model), None), books.clone());
        books.wait(call as usize + 1);
    }
    let heads = server.heads();
    let expected = [
        (
            "POST /v1/messages HTTP/1.1",
            vec![format!("x-api-key: {KEY}"), "anthropic-version: 2023-06-01".to_owned()],
        ),
        ("POST /v1/responses HTTP/1.1", vec![format!("authorization: Bearer {KEY}")]),
        (
            "POST /v1/chat/completions HTTP/1.1",
            vec![
                format!("authorization: Bearer {KEY}"),
                "x-team: blue".to_owned(),
                format!("x-gateway-token: {KEY}"),
            ],
        ),
        (
            "POST /v1beta/models/whole.gemini-text:streamGenerateContent?alt=sse HTTP/1.1",
            vec![format!("x-goog-api-key: {KEY}")],
        ),
    ];
    for (call, (line, headers)) in expected.iter().enumerate() {
        let head = &heads[call];
        assert!(head.starts_with(line), "{head}");
        assert!(!head.lines().next().unwrap().contains(KEY), "{head}");
        let own = [
            format!("idempotency-key: lw-r1-{call}-1"),
            "content-type: application/json".to_owned(),
        ];
        for header in headers.iter().chain(&own) {
            assert!(head.lines().any(|it| it == header), "{header} is missing:\n{head}");
        }
    }
}

#[test]
fn connections_are_used_again() {
    let server = Server::start();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    for call in 0..10 {
        driver.dispatch(dispatch(call, request("chat:whole.chat-text"), None), books.clone());
        books.wait(call as usize + 1);
    }
    assert!(server.connections() <= 3, "{} connections for 10 requests", server.connections());
}

#[test]
fn many_requests_go_on_at_once() {
    let server = Server::start();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    for call in 0..200 {
        let stream =
            ["anthropic-tools", "responses-tools", "chat-tools", "gemini-tools"][call as usize % 4];
        let model = format!("{}:slow.2.{stream}", provider(stream));
        driver.dispatch(dispatch(call, request(&model), None), books.clone());
    }
    for ended in books.wait(200) {
        assert_eq!(ended.reply().finish, Finish::Tools);
    }
}

#[test]
fn this_machines_servers_are_asked_without_proxy_and_certificates() {
    // The environment belongs to the whole process: another one runs the test of all wires.
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", "whole::every_wire_gives_its_reply_with_usage_and_limits"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        other.env(name, "http://127.0.0.1:1");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        other.env_remove(name);
    }
    other.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
    let output = other.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
