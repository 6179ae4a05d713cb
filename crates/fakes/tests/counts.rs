//! The endpoints that count an input: the same tokens as are billed, free, and apart from the requests.

mod support;

use loopwright_fakes::{FakeProvider, Fault, Limits, Options, Usage, Wire};
use serde_json::{Value, json};
use std::time::Duration;
use support::{Answer, Client, ask, body, headers, with_schema, with_tool};

fn path(wire: Wire) -> &'static str {
    match wire {
        Wire::Anthropic => "/v1/messages/count_tokens",
        Wire::Chat => "/v1/chat/completions/input_tokens",
        Wire::Responses => "/v1/responses/input_tokens",
        Wire::Gemini => "/v1beta/models/fake-model:countTokens",
    }
}

/// A request as its service counts it.
fn countable(wire: Wire, mut request: Value) -> Value {
    let without = match wire {
        Wire::Anthropic => ["max_tokens", "stream"].as_slice(),
        Wire::Responses => ["max_output_tokens", "stream", "store", "include"].as_slice(),
        Wire::Chat | Wire::Gemini => &[],
    };
    for name in without {
        request.as_object_mut().unwrap().remove(*name);
    }
    if wire == Wire::Gemini {
        request["model"] = json!("models/fake-model");
        request = json!({ "generateContentRequest": request });
    }
    request
}

fn count(provider: &FakeProvider, wire: Wire, request: &Value, key: &str) -> Answer {
    let all = headers(wire, key);
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = request.to_string();
    Client::connect(provider.address()).send("POST", path(wire), &all, body.as_bytes())
}

fn tokens(answer: &Answer) -> Option<u64> {
    let body = answer.json();
    body["input_tokens"].as_u64().or(body["totalTokens"].as_u64())
}

#[test]
fn a_count_is_what_the_same_request_is_billed_and_is_in_no_total() {
    let limits = Limits { requests: 2, tokens: 1_000_000, window: Duration::from_secs(600) };
    for wire in Wire::ALL {
        let options = Options { chat_counts: true, limits: Some(limits), ..Options::default() };
        let provider = FakeProvider::start(options);
        let plain = body(wire, false, "How many are these, 日本語 included?");
        let rich = with_tool(wire, with_schema(wire, plain.clone(), &support::schema()));
        for request in [plain, rich] {
            for _ in 0..3 {
                let answer = count(&provider, wire, &countable(wire, request.clone()), "sk-fake");
                assert_eq!(answer.status, 200, "{wire:?} {}", answer.text());
                let before = provider.report().billed.prompt();
                assert!(tokens(&answer).is_some_and(|it| it > 0), "{wire:?}");
                assert_eq!(provider.report().billed.prompt(), before, "it is free");
            }
            let counted = provider.report().counts.last().unwrap().tokens;
            assert_eq!(ask(&provider, wire, false, &request).status, 200, "{wire:?}");
            let billed = provider.report().entries.last().unwrap().billed;
            assert_eq!(counted, Some(billed.prompt()), "{wire:?}");
        }
        let report = provider.report();
        assert_eq!((report.requests, report.counts.len(), report.rate_limited), (2, 6, 0));
    }
}

#[test]
fn a_count_that_the_service_would_refuse_is_refused() {
    let provider = FakeProvider::start(Options { chat_counts: true, ..Options::default() });
    let cases = [
        (Wire::Anthropic, "max_tokens", json!(9), "max_tokens: Extra inputs are not permitted"),
        (Wire::Anthropic, "messages", Value::Null, "messages: Field required"),
        (Wire::Responses, "store", json!(false), "Unknown parameter: 'store'."),
        (Wire::Responses, "input", Value::Null, "Missing required parameter: 'input'."),
        (Wire::Chat, "messages", json!([]), "empty array"),
        (Wire::Gemini, "generationConfig", json!({}), "Unknown name \"generationConfig\""),
        (Wire::Gemini, "contents", json!([]), "mutually exclusive"),
        (Wire::Gemini, "generateContentRequest", json!({ "contents": [] }), "model does not match"),
    ];
    for (wire, name, value, says) in cases {
        let mut request = countable(wire, body(wire, false, "hi"));
        request[name] = value;
        let answer = count(&provider, wire, &request, "sk-fake");
        let told = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && told.contains(says), "{wire:?} {told}");
    }
    let report = provider.report();
    assert_eq!((report.requests, report.billed), (0, Usage::default()));
    assert!(report.counts.iter().all(|count| count.refused.is_some() && count.tokens.is_none()));
    for wire in Wire::ALL {
        let request = countable(wire, body(wire, false, "hi"));
        let status = count(&provider, wire, &request, "sk-other").status;
        assert!(status == 401 || status == 400 && wire == Wire::Gemini, "{wire:?} {status}");
    }
}

#[test]
fn openai_s_chat_counts_nothing_and_a_server_that_is_down_counts_nothing_either() {
    let provider = FakeProvider::start(Options::default());
    let request = body(Wire::Chat, false, "hi");
    assert_eq!(count(&provider, Wire::Chat, &request, "sk-fake").status, 404);
    let fault = Some(Fault::ServerError);
    let provider = FakeProvider::start(Options { count_fault: fault, ..Options::default() });
    let request = countable(Wire::Anthropic, body(Wire::Anthropic, false, "hi"));
    assert_eq!(count(&provider, Wire::Anthropic, &request, "sk-fake").status, 500);
    provider.set_outage(true);
    assert_eq!(count(&provider, Wire::Anthropic, &request, "sk-fake").status, 503);
    assert_eq!(provider.report().counts.len(), 2);
    assert_eq!(provider.report().requests, 0);
}
