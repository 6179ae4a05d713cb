//! Anthropic Messages: the request.

use super::common::{arguments, call_id, parse, value};
use super::{Asked, Plan};
use crate::schema;
use loopwright_protocol::{Block, Message};
use serde_json::{Value, json};

const ID_BYTES_MAX: usize = 64;
/// Least thinking budget the API takes.
const BUDGET_MIN: u64 = 1024;

pub(super) fn encode(asked: &Asked, plan: &Plan) -> Value {
    let request = asked.request;
    let mut body = json!({
        "model": asked.model,
        "max_tokens": request.output_tokens_max,
        "stream": true,
    });
    if !plan.system.is_empty() {
        body["system"] = json!([{ "type": "text", "text": plan.system }]);
    }
    let messages: Vec<Value> =
        request.messages.iter().filter_map(|message| encode_message(asked, message)).collect();
    body["messages"] = Value::Array(messages);
    let mut tools: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "input_schema": schema::parameters(&value(&tool.input)),
            })
        })
        .collect();
    let is_thinking = think(asked, &mut body);
    if let Some((name, parameters)) = &plan.tool {
        tools.push(json!({
            "name": name,
            "description": "Gives the final answer.",
            "input_schema": parameters,
        }));
        // A forced tool and thinking exclude each other; the system prompt asks for the call then.
        if !is_thinking && !asked.entry.is_some_and(|it| it.is_unforced()) {
            body["tool_choice"] = match request.tools.is_empty() {
                true => json!({ "type": "tool", "name": name }),
                false => json!({ "type": "any" }),
            };
        }
    }
    if !tools.is_empty() {
        body["tools"] = Value::Array(tools);
    }
    if let Some(schema) = &plan.native {
        body["output_config"]["format"] = json!({ "type": "json_schema", "schema": schema });
    }
    if request.cache {
        mark(&mut body);
    }
    body
}

/// Ends the parts that stay the same over requests with a cache breakpoint: tools, system, conversation.
fn mark(body: &mut Value) {
    for pointer in ["/tools", "/system"] {
        if let Some(last) =
            body.pointer_mut(pointer).and_then(Value::as_array_mut).and_then(|it| it.last_mut())
        {
            last["cache_control"] = json!({ "type": "ephemeral" });
        }
    }
    let last =
        body.pointer_mut("/messages").and_then(Value::as_array_mut).and_then(|it| it.last_mut());
    let blocks = last.and_then(|it| it["content"].as_array_mut());
    if let Some(block) = blocks.and_then(|it| it.last_mut())
        && matches!(block["type"].as_str(), Some("text" | "tool_result" | "tool_use"))
    {
        block["cache_control"] = json!({ "type": "ephemeral" });
    }
}

/// Sets thinking by the effort; whether it is on. Newer models decide themselves how much to think.
fn think(asked: &Asked, body: &mut Value) -> bool {
    let is_adaptive = asked.entry.is_none_or(|it| it.is_adaptive());
    let Some(effort) = asked.effort() else { return false };
    if is_adaptive {
        body["thinking"] = json!({ "type": "adaptive" });
        body["output_config"] = json!({ "effort": effort });
        return true;
    }
    let budget = match effort {
        "low" => 2048,
        "medium" => 8192,
        _ => 24_576,
    };
    // Thinking counts into `max_tokens`: half is left for the answer.
    let budget = budget.min(asked.request.output_tokens_max / 2);
    if budget < BUDGET_MIN || !can_think(asked) {
        return false;
    }
    body["thinking"] = json!({ "type": "enabled", "budget_tokens": budget });
    true
}

/// With a budget, a turn that called tools must go back with its thinking: one without (of another provider) forbids it.
fn can_think(asked: &Asked) -> bool {
    let tag = asked.tag();
    let last = asked.request.messages.iter().rev().find_map(|message| match message {
        Message::Assistant { blocks } => Some(blocks),
        _ => None,
    });
    let Some(blocks) = last else { return true };
    let calls = blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    !calls || matches!(blocks.first(), Some(Block::Native { wire, .. }) if *wire == tag)
}

fn encode_message(asked: &Asked, message: &Message) -> Option<Value> {
    let tag = asked.tag();
    let (role, blocks): (_, Vec<Value>) = match message {
        Message::User { text } => ("user", text_block(text).into_iter().collect()),
        Message::Assistant { blocks } => {
            ("assistant", blocks.iter().filter_map(|block| encode_block(block, &tag)).collect())
        }
        Message::Tools { results } => {
            let blocks = results.iter().map(|result| {
                let mut block = json!({
                    "type": "tool_result",
                    "tool_use_id": call_id(&result.id, ID_BYTES_MAX, true),
                    "content": result.text,
                });
                if result.is_error {
                    block["is_error"] = json!(true);
                }
                block
            });
            ("user", blocks.collect())
        }
    };
    // The API refuses messages and texts that are empty.
    (!blocks.is_empty()).then(|| json!({ "role": role, "content": blocks }))
}

fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({ "type": "text", "text": text }))
}

fn encode_block(block: &Block, tag: &str) -> Option<Value> {
    match block {
        Block::Text { text } => text_block(text),
        Block::ToolUse { id, name, arguments: text } => Some(json!({
            "type": "tool_use",
            "id": call_id(id, ID_BYTES_MAX, true),
            "name": name,
            "input": arguments(text),
        })),
        Block::Native { wire, item, .. } if wire == tag => parse(item.text()).ok(),
        Block::Native { .. } => None,
    }
}
