//! The shapes of the four wires, and what they refuse.

mod support;

use loopwright_fakes::{Answers, FakeProvider, Options, Reply, Sequence, Stop, ToolLoop, Wire};
use serde_json::{Value, json};
use support::{End, ask, body, headers, said, schema, target, usage, with_schema, with_tool};

fn modes() -> impl Iterator<Item = (Wire, bool)> {
    Wire::ALL.into_iter().flat_map(|wire| [(wire, true), (wire, false)])
}

#[test]
fn every_wire_echoes_streamed_and_whole_and_tells_the_usage_of_the_books() {
    let provider = FakeProvider::start(Options::default());
    for (number, (wire, stream)) in modes().enumerate() {
        let prompt = "How do you do, 世界? 🦀";
        let answer = ask(&provider, wire, stream, &body(wire, stream, prompt));
        assert_eq!((answer.status, answer.end), (200, End::Framed), "{wire:?} {stream}");
        assert_eq!(said(wire, stream, &answer), format!("echo: {prompt}"), "{wire:?} {stream}");
        let entry = &provider.report().entries[number];
        let (prompt_tokens, _, output) = usage(wire, stream, &answer).unwrap();
        assert_eq!(
            (entry.billed.prompt(), entry.billed.output),
            (prompt_tokens, output),
            "{wire:?} {stream}"
        );
        assert_eq!(entry.told, Some(entry.billed));
        assert!(entry.complete && output == 9, "{entry:?}");
    }
    assert_eq!(provider.report().refused, Vec::<String>::new());
}

#[test]
fn every_wire_ends_a_stream_with_its_terminal_event() {
    let provider = FakeProvider::start(Options::default());
    for wire in Wire::ALL {
        let answer = ask(&provider, wire, true, &body(wire, true, "hi"));
        let events = answer.events();
        let (first, last) = (&events[0], events.last().unwrap());
        match wire {
            Wire::Anthropic => {
                assert_eq!(
                    (&first["type"], &last["type"]),
                    (&json!("message_start"), &json!("message_stop"))
                );
                assert!(answer.text().starts_with("event: message_start\ndata: {"));
                let kinds: Vec<&str> =
                    events.iter().filter_map(|event| event["type"].as_str()).collect();
                assert_eq!(
                    kinds,
                    [
                        "message_start",
                        "content_block_start",
                        "ping",
                        "content_block_delta",
                        "content_block_stop",
                        "message_delta",
                        "message_stop"
                    ]
                );
                assert_eq!(events[5]["delta"]["stop_reason"], "end_turn");
            }
            Wire::Chat => {
                assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
                assert_eq!(last, &json!("[DONE]"));
                assert_eq!(events[events.len() - 2]["choices"], json!([]));
                assert_eq!(events[events.len() - 3]["choices"][0]["finish_reason"], "stop");
            }
            Wire::Responses => {
                assert_eq!(last["type"], "response.completed");
                assert_eq!(last["response"]["status"], "completed");
                let numbers: Vec<u64> =
                    events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
                assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
            }
            Wire::Gemini => {
                assert_eq!(last["candidates"][0]["finishReason"], "STOP");
                assert!(answer.text().ends_with("\r\n\r\n"));
            }
        }
    }
}

#[test]
fn chat_tells_usage_in_a_stream_only_when_asked() {
    let provider = FakeProvider::start(Options::default());
    let mut body = body(Wire::Chat, true, "hi");
    body.as_object_mut().unwrap().remove("stream_options");
    let answer = ask(&provider, Wire::Chat, true, &body);
    assert_eq!(usage(Wire::Chat, true, &answer), None);
    assert_eq!(provider.report().entries[0].told, None);
}

#[test]
fn thinking_and_several_calls_come_in_the_form_of_the_wire() {
    let reply = Reply::text("Looking.")
        .thinking("Hm.")
        .and_call("read_file", &json!({ "path": "a" }))
        .and_call("read_file", &json!({ "path": "b" }));
    let provider = FakeProvider::start(Options::script(Sequence::new([reply])));
    for (wire, stream) in modes() {
        let answer = ask(&provider, wire, stream, &with_tool(wire, body(wire, stream, "hi")));
        let text = answer.text();
        let expected: &[&str] = match (wire, stream) {
            (Wire::Anthropic, true) => {
                &["thinking_delta", "signature_delta", "input_json_delta", "\"tool_use\""]
            }
            (Wire::Anthropic, false) => {
                &["\"signature\":\"Eu", "\"input\":{\"path\":\"b\"}", "\"tool_use\""]
            }
            (Wire::Chat, _) => &[
                "reasoning_content",
                "\"tool_calls\"",
                "read_file",
                "\"finish_reason\":\"tool_calls\"",
            ],
            (Wire::Responses, _) => {
                &["\"encrypted_content\":\"Eu", "\"function_call\"", "\"call_id\":\"call_"]
            }
            (Wire::Gemini, _) => {
                &["\"thought\":true", "\"functionCall\"", "\"thoughtSignature\":\"Eu"]
            }
        };
        for fragment in expected {
            assert!(text.contains(fragment), "{wire:?} {stream}: {fragment} in {text}");
        }
    }
}

#[test]
fn stops_have_the_words_of_the_wire() {
    let refused = Reply::refusal("No.").stop(Stop::Refusal);
    let paused = Reply::text("wait").stop(Stop::Pause);
    let cases = [
        (Wire::Anthropic, refused.clone(), "\"stop_reason\":\"refusal\""),
        (Wire::Chat, refused.clone(), "\"refusal\":\"No.\""),
        (Wire::Responses, refused.clone(), "\"refusal\":\"No.\""),
        (Wire::Gemini, refused, "\"finishReason\":\"SAFETY\""),
        (Wire::Anthropic, paused, "\"stop_reason\":\"pause_turn\""),
        (Wire::Chat, Reply::text("x").stop(Stop::Refusal), "\"finish_reason\":\"content_filter\""),
        (Wire::Responses, Reply::text("x").stop(Stop::Refusal), "{\"reason\":\"content_filter\"}"),
    ];
    for (wire, reply, fragment) in cases {
        let provider = FakeProvider::start(Options::script(Sequence::new([reply])));
        for stream in [true, false] {
            let text = ask(&provider, wire, stream, &body(wire, stream, "hi")).text();
            assert!(text.contains(fragment), "{wire:?} {stream}: {fragment} in {text}");
        }
    }
}

#[test]
fn the_limit_of_output_tokens_cuts_a_reply_at_a_character_and_says_so() {
    let provider =
        FakeProvider::start(Options::script(Sequence::new([Reply::text("ä".repeat(100))])));
    for (wire, stream) in modes() {
        let mut body = body(wire, stream, "hi");
        let fragment = match wire {
            Wire::Anthropic => {
                body["max_tokens"] = json!(16);
                "\"max_tokens\""
            }
            Wire::Chat => {
                body["max_completion_tokens"] = json!(16);
                "\"finish_reason\":\"length\""
            }
            Wire::Responses => {
                body["max_output_tokens"] = json!(16);
                "\"max_output_tokens\"}"
            }
            Wire::Gemini => {
                body["generationConfig"] = json!({ "maxOutputTokens": 16 });
                "\"MAX_TOKENS\""
            }
        };
        let answer = ask(&provider, wire, stream, &body);
        assert_eq!(said(wire, stream, &answer), "ä".repeat(32), "{wire:?}");
        assert!(answer.text().contains(fragment), "{}", answer.text());
    }
}

#[test]
fn structured_answers_fit_their_schema_and_are_the_same_for_the_same_prompt() {
    let provider = FakeProvider::start(Options::script(Answers::seeded(7)));
    for (wire, stream) in modes() {
        let body = with_schema(wire, body(wire, stream, "judge"), &schema());
        let answers = [(); 2].map(|()| said(wire, stream, &ask(&provider, wire, stream, &body)));
        assert_eq!(answers[0], answers[1]);
        let value: Value = serde_json::from_str(&answers[0]).unwrap();
        assert!(value["verdict"] == "good" || value["verdict"] == "bad", "{value}");
        assert!(value["reasons"].as_array().unwrap().iter().all(Value::is_string), "{value}");
    }
    assert_eq!(provider.report().refused, Vec::<String>::new());
}

/// A conversation after one call of `read_file`, as the wire wants it, with the ids and signatures of the reply.
fn next_turn(wire: Wire, mut body: Value, reply: &Value) -> Value {
    match wire {
        Wire::Anthropic => {
            let id = &reply["content"].as_array().unwrap().last().unwrap()["id"];
            let results = json!([{ "type": "tool_result", "tool_use_id": id, "content": "text" }]);
            let messages = body["messages"].as_array_mut().unwrap();
            messages.push(json!({ "role": "assistant", "content": reply["content"] }));
            messages.push(json!({ "role": "user", "content": results }));
        }
        Wire::Chat => {
            let message = &reply["choices"][0]["message"];
            let id = &message["tool_calls"][0]["id"];
            let messages = body["messages"].as_array_mut().unwrap();
            messages.push(json!({ "role": "assistant", "content": null, "tool_calls": message["tool_calls"] }));
            messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "text" }));
        }
        Wire::Responses => {
            let output = reply["output"].as_array().unwrap();
            let id = &output.last().unwrap()["call_id"];
            let input = body["input"].as_array_mut().unwrap();
            input.extend(output.clone());
            input.push(json!({ "type": "function_call_output", "call_id": id, "output": "text" }));
        }
        Wire::Gemini => {
            let contents = body["contents"].as_array_mut().unwrap();
            contents.push(reply["candidates"][0]["content"].clone());
            let response = json!({ "name": "read_file", "response": { "output": "text" } });
            contents.push(json!({ "role": "user", "parts": [{ "functionResponse": response }] }));
        }
    }
    body
}

#[test]
fn a_tool_loop_goes_on_with_what_the_server_said_and_ends() {
    for wire in Wire::ALL {
        let provider = FakeProvider::start(Options::script(ToolLoop { turns: 1, calls: 1 }));
        let mut first = with_tool(wire, body(wire, false, "go"));
        if wire == Wire::Anthropic {
            first["thinking"] = json!({ "type": "enabled", "budget_tokens": 1024 });
        }
        if wire == Wire::Responses {
            first["reasoning"] = json!({ "effort": "low" });
        }
        let reply = ask(&provider, wire, false, &first).json();
        let second = next_turn(wire, first, &reply);
        let answer = ask(&provider, wire, false, &second);
        assert_eq!(said(wire, false, &answer), "echo: go", "{wire:?}: {}", answer.text());
        assert_eq!(provider.report().refused, Vec::<String>::new());
    }
}

#[test]
fn a_tampered_signature_is_refused() {
    for (wire, pointer) in [
        (Wire::Anthropic, "/messages/1/content/0/signature"),
        (Wire::Responses, "/input/1/encrypted_content"),
        (Wire::Gemini, "/contents/1/parts/0/thoughtSignature"),
    ] {
        let reply = Reply::call("read_file", &json!({ "path": "a" }));
        let reply = if wire == Wire::Gemini { reply } else { reply.thinking("Hm.") };
        let provider = FakeProvider::start(Options::script(Sequence::new([reply])));
        let first = with_tool(wire, body(wire, false, "go"));
        let reply = ask(&provider, wire, false, &first).json();
        let mut second = next_turn(wire, first, &reply);
        *second.pointer_mut(pointer).unwrap() = json!("forged");
        assert_eq!(ask(&provider, wire, false, &second).status, 400, "{wire:?}");
        assert_eq!(provider.report().refused.len(), 1);
    }
}

#[test]
fn a_missing_or_wrong_key_gets_the_error_of_the_wire() {
    let provider = FakeProvider::start(Options::default());
    let cases = [
        (Wire::Anthropic, "sk-wrong", 401, "/error/type", "authentication_error"),
        (Wire::Chat, "sk-wrong", 401, "/error/code", "invalid_api_key"),
        (Wire::Responses, "sk-wrong", 401, "/error/code", "invalid_api_key"),
        (Wire::Gemini, "sk-wrong", 400, "/error/details/0/reason", "API_KEY_INVALID"),
        (Wire::Anthropic, "", 401, "/error/message", "x-api-key header is required"),
        (Wire::Chat, "", 401, "/error/type", "invalid_request_error"),
        (Wire::Gemini, "", 403, "/error/status", "PERMISSION_DENIED"),
    ];
    for (wire, key, status, pointer, expected) in cases {
        let headers = headers(wire, key);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = body(wire, true, "hi").to_string();
        let mut client = support::Client::connect(provider.address());
        let answer = client.send("POST", &target(wire, true), &headers, body.as_bytes());
        assert_eq!(answer.status, status, "{wire:?} {key:?}");
        assert_eq!(answer.json().pointer(pointer), Some(&json!(expected)), "{}", answer.text());
    }
}
