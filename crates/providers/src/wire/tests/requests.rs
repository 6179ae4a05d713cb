//! Requests.

use super::{check, folder};
use crate::catalog::Catalog;
use crate::config::tests::providers;
use crate::wire::{Asked, Plan};
use loopwright_protocol::{
    Block, Finish, Json, Message, ModelReply, ModelRequest, ToolResult, ToolSpec,
};
use serde_json::{Value, json};

const SETTINGS: &str = r#"
    [providers.openai-chat]
    wire = "openai-chat"
    base_url = "https://api.openai.com/v1"
    [providers.prompted]
    wire = "openai-chat"
    base_url = "http://localhost:8000/v1"
    structured = "prompt"
"#;

fn json(value: &Value) -> Json {
    Json::of(value)
}

fn block(wire: &str, item: &Value) -> Block {
    Block::Native { wire: wire.to_owned(), text: String::new(), item: json(item) }
}

fn call(id: &str, arguments: &str) -> Block {
    Block::ToolUse { id: id.to_owned(), name: "get".to_owned(), arguments: arguments.to_owned() }
}

fn result(id: &str, is_error: bool) -> ToolResult {
    ToolResult { id: id.to_owned(), name: "get".to_owned(), text: format!("of {id}"), is_error }
}

/// A conversation with everything in it, once thought through by each wire.
fn conversation() -> ModelRequest {
    let natives = [
        block(
            "anthropic@anthropic",
            &json!({ "type": "thinking", "thinking": "t", "signature": "S" }),
        ),
        block("anthropic@other", &json!({ "type": "thinking", "thinking": "u", "signature": "U" })),
        block(
            "openai-responses@openai",
            &json!({ "type": "reasoning", "id": "rs", "summary": [] }),
        ),
        block("openai-responses@openai", &json!({ "type": "message", "phase": "commentary" })),
        block("openai-chat@ollama", &json!({ "reasoning": "r" })),
        block("gemini@gemini", &json!({ "thoughtSignature": "G1" })),
    ];
    let mut blocks = natives.to_vec();
    blocks.push(Block::Text { text: "I look".to_owned() });
    blocks.push(block("gemini@gemini", &json!({ "thoughtSignature": "G2" })));
    blocks.push(call("call_1", "{\"a\": 1.0}"));
    blocks.push(call("lw_call_1", "{\"a\": oops"));
    blocks.push(call("odd id:3", ""));
    let results =
        vec![result("call_1", false), result("lw_call_1", true), result("odd id:3", false)];
    let input = json!({ "type": "object", "properties": { "a": { "type": "number" } } });
    let messages = vec![
        Message::User { text: "Find it".to_owned() },
        Message::Assistant { blocks },
        Message::Tools { results },
        Message::User { text: "Go on".to_owned() },
    ];
    ModelRequest {
        model: String::new(),
        system: "You find things.".to_owned(),
        messages,
        tools: vec![
            ToolSpec {
                name: "get".to_owned(),
                description: "Gets.".to_owned(),
                input: json(&input),
            },
            ToolSpec {
                name: "list".to_owned(),
                description: "Lists.".to_owned(),
                input: json(&json!({})),
            },
        ],
        schema: None,
        output_tokens_max: 10_000,
        effort: Some("medium".to_owned()),
        cache: true,
    }
}

fn question(schema: &Value) -> ModelRequest {
    ModelRequest {
        system: String::new(),
        messages: vec![Message::User { text: "How good is it?".to_owned() }],
        tools: Vec::new(),
        schema: Some(json(schema)),
        effort: None,
        cache: false,
        ..conversation()
    }
}

fn score() -> Value {
    json!({
        "type": "object",
        "properties": { "score": { "type": "integer", "minimum": 0 }, "why": { "type": "string" } },
        "required": ["score"]
    })
}

fn with<T>(model: &str, request: &ModelRequest, then: impl FnOnce(&Asked, &Plan) -> T) -> T {
    let read = providers(SETTINGS, &[]).unwrap();
    let resolved = read.resolve(model).unwrap();
    let provider = read.provider(&resolved.provider).unwrap();
    let name = &resolved.name[resolved.provider.len() + 1..];
    let entry = Catalog::built_in().find(&resolved.name);
    let asked = Asked { provider, model: name, entry, request };
    let plan = Plan::new(&asked, None);
    then(&asked, &plan)
}

fn encode(model: &str, request: &ModelRequest) -> Value {
    with(model, request, |asked, plan| {
        let url = asked.provider.wire.url(&asked.provider.base_url, asked.model);
        json!({ "url": url.as_str(), "body": asked.provider.wire.encode(asked, plan) })
    })
}

#[test]
fn requests_are_what_their_golden_files_say() {
    let open = json!({ "type": "object", "additionalProperties": { "type": "number" } });
    let list = json!({ "type": "array", "items": { "type": "string" } });
    let tools = || ModelRequest { schema: Some(json(&score())), ..conversation() };
    let calm = || ModelRequest { effort: None, ..tools() };
    let cases = [
        ("anthropic-conversation", "sonnet", conversation()),
        ("anthropic-conversation-with-budget", "claude-sonnet-4-5", conversation()),
        ("anthropic-answer", "sonnet", question(&score())),
        ("anthropic-answer-by-tool", "claude-opus-4-8", question(&open)),
        ("anthropic-answer-by-unforced-tool", "sonnet", question(&open)),
        ("anthropic-answer-list", "sonnet", question(&list)),
        ("responses-conversation", "openai:gpt-6-luna", conversation()),
        ("responses-answer", "openai:gpt-6-luna", question(&score())),
        ("responses-answer-by-tool", "openai:gpt-4.1", question(&open)),
        ("responses-answer-with-tools", "openai:gpt-6-luna", tools()),
        ("chat-conversation", "ollama:llama3.2:3b", conversation()),
        ("chat-conversation-at-openai", "openai-chat:gpt-6-luna", conversation()),
        ("chat-answer", "ollama:llama3.2:3b", question(&score())),
        ("chat-answer-with-tools", "ollama:llama3.2:3b", calm()),
        ("chat-answer-in-words", "prompted:small", question(&score())),
        ("gemini-conversation", "gemini:gemini-flash-latest", conversation()),
        ("gemini-conversation-with-budget", "gemini:gemini-2.5-flash", conversation()),
        ("gemini-answer", "gemini:gemini-flash-latest", question(&open)),
        ("gemini-answer-with-tools", "gemini:gemini-2.5-flash", calm()),
    ];
    for (name, model, request) in cases {
        let found = encode(model, &request);
        assert!(found["body"].is_object(), "{name}");
        check(&folder("requests").join(format!("{name}.json")), &found);
    }
}

#[test]
fn an_effort_is_asked_only_of_models_that_take_it() {
    let with = |effort: &str| ModelRequest { effort: Some(effort.to_owned()), ..conversation() };
    let cases = [
        ("openai:gpt-4.1", "high", "/reasoning", json!(null)),
        ("openai:gpt-5", "minimal", "/reasoning/effort", json!("minimal")),
        ("openai:gpt-5.6", "minimal", "/reasoning/effort", json!("low")),
        ("openai:gpt-99", "minimal", "/reasoning/effort", json!("minimal")),
        ("sonnet", "minimal", "/output_config/effort", json!("low")),
        ("sonnet", "max", "/output_config/effort", json!("max")),
        ("claude-sonnet-4-5", "low", "/thinking/budget_tokens", json!(2048)),
        ("ollama:m", "high", "/reasoning_effort", json!("high")),
        (
            "gemini:gemini-2.5-pro",
            "high",
            "/generationConfig/thinkingConfig/thinkingBudget",
            json!(24_576),
        ),
    ];
    for (model, effort, pointer, expected) in cases {
        let body = encode(model, &with(effort))["body"].clone();
        let found = body.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{model} {effort}");
    }
}

#[test]
fn siblings_share_a_cache_key_and_others_do_not() {
    let key = |request: &ModelRequest| {
        encode("openai:gpt-6-luna", request)["body"]["prompt_cache_key"].as_str().map(str::to_owned)
    };
    let first = conversation();
    let mut sibling = first.clone();
    sibling.messages.truncate(1);
    let mut other = first.clone();
    other.system.push('!');
    assert!(key(&first).is_some());
    assert_eq!(key(&first), key(&sibling));
    assert_ne!(key(&first), key(&other));
    assert_eq!(key(&ModelRequest { cache: false, ..first }), None);
}

fn text(text: &str) -> Block {
    Block::Text { text: text.to_owned() }
}

fn answer(json: &str) -> Block {
    Block::ToolUse {
        id: "c".to_owned(),
        name: "final_answer".to_owned(),
        arguments: json.to_owned(),
    }
}

/// What becomes of a reply of `model` to `request`.
fn read(model: &str, request: &ModelRequest, blocks: &[Block], finish: Finish) -> ModelReply {
    let reply = ModelReply { blocks: blocks.to_vec(), finish };
    with(model, request, |_, plan| plan.read(reply))
}

#[test]
fn an_answer_comes_back_as_one_text_however_it_was_asked_for() {
    let list = question(&json!({ "type": "array", "items": { "type": "string" } }));
    let plain = question(&score());
    let cases = [
        ("sonnet", &plain, vec!["{\"score\":1}"], "{\"score\":1}"),
        ("sonnet", &list, vec!["{\"value", "\":[1e2]}"], "[1e2]"),
        ("sonnet", &list, vec!["no JSON"], "no JSON"),
        ("openai:gpt-6-luna", &plain, vec!["{\"score\":1.50,\"why\":null}"], "{\"score\":1.5}"),
        ("openai:gpt-6-luna", &plain, vec!["{\"score\":null}"], "{\"score\":null}"),
        ("prompted:m", &plain, vec!["```json\n{\"score\":1}\n```\n"], "{\"score\":1}"),
    ];
    for (model, request, texts, expected) in cases {
        let blocks: Vec<Block> = texts.iter().map(|it| text(it)).collect();
        let found = read(model, request, &blocks, Finish::End);
        assert_eq!(found.blocks, [text(expected)], "{model} {texts:?}");
    }
    let cut = [text("{\"value\"")];
    assert_eq!(
        read("sonnet", &list, &cut, Finish::Length).blocks,
        cut,
        "what was cut stays as it is"
    );
}

#[test]
fn an_answer_by_tool_becomes_text_and_waits_for_other_tools() {
    use Finish::{End, Tools};
    let request = ModelRequest { schema: Some(json(&score())), ..conversation() };
    let (one, x) = ("{\"score\":1}", call("x", "{}"));
    let cases = [
        (vec![text("Here:"), answer(one)], Tools, vec![text(one)], End),
        (vec![answer("{oops"), answer("2")], Tools, vec![text("{oops")], End),
        (vec![x.clone(), answer(one)], Tools, vec![x], Tools),
        (vec![text(one)], End, vec![text(one)], End),
    ];
    for (blocks, finish, expected, finished) in cases {
        let found = read("ollama:m", &request, &blocks, finish);
        assert_eq!(found, ModelReply { blocks: expected, finish: finished }, "{blocks:?}");
    }
}

#[test]
fn a_tool_of_the_program_keeps_its_name_beside_the_answer_tool() {
    let mut request = ModelRequest { schema: Some(json(&score())), ..conversation() };
    request.tools[0].name = "final_answer".to_owned();
    let body = encode("ollama:m", &request)["body"].clone();
    let names: Vec<&str> = body["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["function"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["final_answer", "list", "final_answer_"]);
}
