//! OpenAI Chat Completions: the request, as OpenAI and as the many servers that speak like it take it.

use super::common::{arguments_text, call_id, parse, result_text, value};
use super::{Asked, Plan};
use crate::schema;
use loopwright_protocol::{Block, Message};
use serde_json::{Value, json};

const ID_BYTES_MAX: usize = 64;

pub(super) fn encode(asked: &Asked, plan: &Plan) -> Value {
    let request = asked.request;
    let is_openai = asked.provider.is_openai();
    let tag = asked.tag();
    let mut messages = Vec::new();
    if !plan.system.is_empty() {
        messages.push(json!({ "role": "system", "content": plan.system }));
    }
    for message in &request.messages {
        encode_message(message, &tag, &mut messages);
    }
    let mut body = json!({
        "model": asked.model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    // The older name is the one that other servers know.
    let limit = if is_openai { "max_completion_tokens" } else { "max_tokens" };
    body[limit] = json!(request.output_tokens_max);
    let mut tools: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            function(&tool.name, &tool.description, &schema::parameters(&value(&tool.input)))
        })
        .collect();
    if let Some((name, parameters)) = &plan.tool {
        tools.push(function(name, "Gives the final answer.", parameters));
        if !asked.entry.is_some_and(|it| it.is_unforced()) {
            body["tool_choice"] = match request.tools.is_empty() {
                true => json!({ "type": "function", "function": { "name": name } }),
                false => json!("required"),
            };
        }
    }
    if !tools.is_empty() {
        body["tools"] = Value::Array(tools);
    }
    if let Some(schema) = &plan.native {
        body["response_format"] = json!({
            "type": "json_schema",
            "json_schema": { "name": "answer", "schema": schema, "strict": true }
        });
    }
    if let Some(effort) = asked.effort() {
        body["reasoning_effort"] = json!(effort);
    }
    if request.cache && is_openai {
        body["prompt_cache_key"] = json!(asked.prefix_key());
    }
    body
}

fn function(name: &str, description: &str, parameters: &Value) -> Value {
    json!({
        "type": "function",
        "function": { "name": name, "description": description, "parameters": parameters },
    })
}

fn encode_message(message: &Message, tag: &str, messages: &mut Vec<Value>) {
    match message {
        Message::User { text } => messages.push(json!({ "role": "user", "content": text })),
        Message::Tools { results } => messages.extend(results.iter().map(|result| {
            json!({
                "role": "tool",
                "tool_call_id": call_id(&result.id, ID_BYTES_MAX, false),
                "content": result_text(result),
            })
        })),
        Message::Assistant { blocks } => messages.extend(encode_assistant(blocks, tag)),
    }
}

fn encode_assistant(blocks: &[Block], tag: &str) -> Option<Value> {
    let mut message = json!({ "role": "assistant", "content": null });
    let (mut text, mut calls) = (String::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Text { text: part } => text.push_str(part),
            Block::ToolUse { id, name, arguments } => calls.push(json!({
                "id": call_id(id, ID_BYTES_MAX, false),
                "type": "function",
                "function": { "name": name, "arguments": arguments_text(arguments) },
            })),
            // Thinking goes back in the member it came in.
            Block::Native { wire, item, .. } if wire == tag => {
                if let Ok(Value::Object(members)) = parse(item.text()) {
                    members.into_iter().for_each(|(name, it)| message[name] = it);
                }
            }
            Block::Native { .. } => {}
        }
    }
    if text.is_empty() && calls.is_empty() {
        return None;
    }
    if !text.is_empty() {
        message["content"] = json!(text);
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    Some(message)
}
