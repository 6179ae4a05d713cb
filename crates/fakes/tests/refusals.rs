//! What a sloppy client is told.

mod support;

use loopwright_fakes::{FakeProvider, Options, Wire};
use serde_json::{Value, json};
use support::{Client, ask, body, with_schema, with_tool};

/// A right request with one thing set at a pointer (`null` removes it), and what the error says.
fn refused(wire: Wire, pointer: &str, value: Value, says: &str) {
    let provider = FakeProvider::start(Options::default());
    let mut request = with_tool(wire, body(wire, false, "hi"));
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = request.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match (parent, value) {
        (Value::Object(parent), Value::Null) => {
            parent.remove(key);
        }
        (Value::Object(parent), value) => {
            parent.insert(key.to_owned(), value);
        }
        (Value::Array(parent), value) => match key {
            "-" => parent.push(value),
            _ => parent[key.parse::<usize>().unwrap()] = value,
        },
        _ => panic!("{pointer}"),
    }
    let answer = ask(&provider, wire, false, &request);
    let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(
        answer.status >= 400 && message.contains(says),
        "{wire:?} {pointer}: {} {message}",
        answer.status
    );
    assert_eq!(provider.report().refused, [message]);
    assert_eq!(provider.report().billed.total(), 0);
}

#[test]
fn anthropic_refuses_conversations_that_the_service_refuses() {
    let call = |id: &str| json!({ "type": "tool_use", "id": id, "name": "read_file", "input": {} });
    let result = |id: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": "x" });
    let user = |content: Value| json!({ "role": "user", "content": content });
    let assistant = |content: Value| json!({ "role": "assistant", "content": content });
    let mark = json!({ "type": "ephemeral" });
    let marked = json!({ "type": "text", "text": "t", "cache_control": mark });
    for (pointer, value, says) in [
        ("/max_tokens", Value::Null, "max_tokens: Field required"),
        ("/max_tokens", json!(0), "max_tokens"),
        ("/model", Value::Null, "model: Field required"),
        ("/messages", Value::Null, "messages: Field required"),
        ("/messages", json!([]), "at least one message is required"),
        ("/messages", json!([assistant(json!("hi"))]), "first message must use the \"user\" role"),
        ("/messages", json!([user(json!(""))]), "must have non-empty content"),
        ("/messages", json!([user(json!([{ "type": "text", "text": "" }]))]), "must be non-empty"),
        ("/messages", json!([{ "role": "system", "content": "x" }]), "Unexpected role \"system\""),
        ("/messages", json!([user(json!([result("t1")]))]), "unexpected `tool_use_id`"),
        (
            "/messages",
            json!([user(json!("a")), assistant(json!([call("t1")])), user(json!("b"))]),
            "without `tool_result`",
        ),
        (
            "/messages",
            json!([user(json!("a")), assistant(json!([call("t1")]))]),
            "without `tool_result`",
        ),
        (
            "/messages",
            json!([
                user(json!("a")),
                assistant(json!([call("t1"), call("t1")])),
                user(json!([result("t1")]))
            ]),
            "ids must be unique",
        ),
        (
            "/messages",
            json!([
                user(json!("a")),
                assistant(json!([call("t1"), call("t2")])),
                user(json!([result("t1")]))
            ]),
            "without `tool_result` blocks immediately after: t2",
        ),
        ("/messages", json!([user(json!("a")), assistant(json!("b "))]), "trailing whitespace"),
        (
            "/messages",
            json!([user(json!("a")), assistant(json!([call("bad id")]))]),
            "should match pattern",
        ),
        (
            "/messages",
            json!([user(json!([marked, marked, marked, marked, marked]))]),
            "maximum of 4 blocks",
        ),
    ] {
        refused(Wire::Anthropic, pointer, value, says);
    }
}

#[test]
fn anthropic_refuses_fields_that_the_service_refuses() {
    for (pointer, value, says) in [
        ("/tools/0/name", json!("read file"), "should match pattern"),
        ("/tools/0/input_schema", Value::Null, "input_schema: Field required"),
        ("/tools/0/input_schema/type", json!("string"), "should be 'object'"),
        ("/tools/0/parameters", json!({}), "Extra inputs are not permitted"),
        ("/response_format", json!({}), "Extra inputs are not permitted"),
        ("/tool_choice", json!({ "type": "tool", "name": "grep" }), "not found in provided tools"),
        ("/temperature", json!(1.5), "temperature"),
        (
            "/thinking",
            json!({ "type": "enabled", "budget_tokens": 100 }),
            "greater than or equal to 1024",
        ),
        ("/thinking", json!({ "type": "enabled", "budget_tokens": 4096 }), "must be greater than"),
        (
            "/output_config",
            json!({ "format": { "type": "json_schema", "schema": { "type": "object", "properties": {} } } }),
            "additionalProperties",
        ),
        (
            "/output_config",
            json!({ "format": { "type": "json_schema", "schema": { "type": "integer", "minimum": 1 } } }),
            "property 'minimum' is not supported",
        ),
    ] {
        refused(Wire::Anthropic, pointer, value, says);
    }
}

#[test]
fn chat_refuses_what_the_service_refuses() {
    let call = json!({ "id": "c1", "type": "function", "function": { "name": "read_file", "arguments": "{}" } });
    let tool = json!({ "role": "tool", "tool_call_id": "c1", "content": "x" });
    let user = json!({ "role": "user", "content": "a" });
    let assistant = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
    let parsed = json!({ "id": "c1", "type": "function", "function": { "name": "read_file", "arguments": {} } });
    for (pointer, value, says) in [
        ("/model", Value::Null, "model"),
        ("/messages", Value::Null, "Missing required parameter: 'messages'"),
        ("/messages", json!([]), "empty array"),
        ("/messages", json!([user, tool]), "must be a response to a preceding message"),
        ("/messages", json!([user, assistant]), "did not have response messages: c1"),
        ("/messages", json!([user, assistant, user]), "did not have response messages: c1"),
        (
            "/messages",
            json!([user, { "role": "assistant", "content": null }]),
            "expected a string, got null",
        ),
        (
            "/messages",
            json!([user, { "role": "assistant", "content": null, "tool_calls": [] }]),
            "empty array",
        ),
        (
            "/messages",
            json!([user, { "role": "assistant", "content": null, "tool_calls": [parsed] }]),
            "arguments",
        ),
        ("/messages", json!([{ "role": "model", "content": "x" }]), "Invalid value: 'model'"),
        ("/tools/0/function/name", json!("read file"), "does not match pattern"),
        ("/tools/0/function/input_schema", json!({}), "Unknown parameter"),
        ("/tools/0/function/strict", json!(true), "'additionalProperties' is required"),
        ("/system", json!("x"), "Unrecognized request argument supplied: system"),
        (
            "/stream_options",
            json!({ "include_usage": true }),
            "only allowed when 'stream' is enabled",
        ),
        ("/tool_choice", json!("any"), "tool_choice"),
        (
            "/response_format",
            json!({ "type": "json_schema", "json_schema": { "schema": {} } }),
            "json_schema.name",
        ),
    ] {
        refused(Wire::Chat, pointer, value, says);
    }
}

#[test]
fn responses_refuses_what_the_service_refuses() {
    let call =
        json!({ "type": "function_call", "call_id": "c1", "name": "read_file", "arguments": "{}" });
    let output = json!({ "type": "function_call_output", "call_id": "c1", "output": "x" });
    let said =
        |kind: &str| json!({ "role": "assistant", "content": [{ "type": kind, "text": "x" }] });
    for (pointer, value, says) in [
        ("/input", Value::Null, "Missing required parameter: 'input'"),
        ("/messages", json!([]), "Unknown parameter: 'messages'"),
        ("/max_tokens", json!(100), "Unknown parameter: 'max_tokens'"),
        ("/max_output_tokens", json!(1), "below minimum value"),
        ("/input/-", call.clone(), "No tool output found for function call c1"),
        ("/input/-", output.clone(), "No tool call found for function call output with call_id c1"),
        (
            "/input/-",
            said("input_text"),
            "Supported values are: 'output_text' and 'refusal'".split(" and").next().unwrap(),
        ),
        (
            "/input/-",
            json!({ "type": "reasoning", "id": "rs_1", "summary": [] }),
            "not persisted when `store` is set to false",
        ),
        ("/tools/0/parameters", Value::Null, "tools[0].parameters"),
        ("/tools/0/function", json!({}), "Unknown parameter"),
        (
            "/text",
            json!({ "format": { "type": "json_schema", "name": "a", "strict": true, "schema": { "type": "object", "properties":
                { "x": {} }, "required": [], "additionalProperties": false } } }),
            "Missing 'x'",
        ),
    ] {
        refused(Wire::Responses, pointer, value, says);
    }
}

#[test]
fn gemini_refuses_what_the_service_refuses() {
    let call = json!({ "role": "model", "parts": [{ "functionCall": { "name": "read_file", "args": {} } }] });
    let response =
        json!({ "functionResponse": { "name": "read_file", "response": { "output": "x" } } });
    let answered = json!({ "role": "user", "parts": [response] });
    for (pointer, value, says) in [
        ("/contents", Value::Null, "contents is not specified"),
        ("/contents/0/role", json!("assistant"), "valid role: user, model"),
        ("/contents/0/parts", json!([]), "must not be empty"),
        ("/contents/0/content", json!("x"), "Unknown name \"content\""),
        ("/messages", json!([]), "Unknown name \"messages\""),
        ("/contents/-", answered, "immediately after a function call turn"),
        ("/contents/-", call, "missing a thought_signature"),
        ("/generationConfig", json!({ "max_tokens": 1 }), "Unknown name \"maxTokens\""),
        ("/generationConfig", json!({ "responseJsonSchema": {} }), "response_mime_type"),
        ("/tools/0/functionDeclarations/0/name", json!("1st"), "Invalid function name"),
        (
            "/tools/0/functionDeclarations/0",
            json!({ "name": "f", "parameters": { "type": "object", "additionalProperties": false } }),
            "Unknown name \"additionalProperties\"",
        ),
        (
            "/toolConfig",
            json!({ "functionCallingConfig": { "allowedFunctionNames": ["f"] } }),
            "mode must be ANY",
        ),
    ] {
        refused(Wire::Gemini, pointer, value, says);
    }
}

#[test]
fn a_strict_schema_that_is_right_is_taken_by_every_wire() {
    let provider = FakeProvider::start(Options::default());
    for wire in Wire::ALL {
        let request = with_schema(wire, body(wire, false, "x"), &support::schema());
        assert_eq!(ask(&provider, wire, false, &request).status, 200, "{wire:?}");
    }
}

#[test]
fn sizes_models_and_paths_are_checked() {
    let provider = FakeProvider::start(Options {
        models: Some(vec!["claude-x".to_owned()]),
        context_tokens: Some(50),
        most_body_bytes: 2_000,
        ..Options::default()
    });
    let long = body(Wire::Anthropic, false, &"word ".repeat(100));
    let huge = body(Wire::Anthropic, false, &"word ".repeat(1_000));
    let other = body(Wire::Chat, false, "hi");
    for (wire, request, status, says) in [
        (Wire::Anthropic, &long, 400, "prompt is too long"),
        (Wire::Anthropic, &huge, 413, "maximum size"),
        (Wire::Chat, &other, 404, "does not exist"),
    ] {
        let answer = ask(&provider, wire, false, request);
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(says), "{}", answer.text());
    }
    let mut client = Client::connect(provider.address());
    assert_eq!(client.send("POST", "/v1/nothing", &[], b"{}").status, 404);
    assert_eq!(client.send("GET", "/v1/messages", &[], b"").status, 405);
    assert_eq!(client.raw(b"how do you do\r\n\r\n").status, 0);
}

#[test]
fn chunked_bodies_and_100_continue_are_understood() {
    let provider = FakeProvider::start(Options::default());
    let request = body(Wire::Chat, false, "hi").to_string();
    let (first, second) = request.split_at(20);
    let head = "POST /v1/chat/completions HTTP/1.1\r\ncontent-type: application/json\r\nauthorization: Bearer sk-fake\r\n";
    let chunks = format!(
        "{:x}\r\n{first}\r\n{:x};note=1\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let mut client = Client::connect(provider.address());
    for _ in 0..2 {
        let answer =
            client.raw(format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}").as_bytes());
        assert_eq!(answer.status, 200);
    }
    let length = request.len();
    let answer = client.raw(
        format!("{head}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n{request}")
            .as_bytes(),
    );
    assert_eq!(answer.status, 100);
}
