//! OpenAI Responses: the request. Nothing is stored at the provider: reasoning goes back and forth encrypted.

use super::common::{arguments_text, call_id, parse, result_text, value};
use super::{Asked, Plan};
use crate::schema;
use loopwright_protocol::{Block, Message};
use serde_json::{Value, json};

const ID_BYTES_MAX: usize = 64;

pub(super) fn encode(asked: &Asked, plan: &Plan) -> Value {
    let request = asked.request;
    let tag = asked.tag();
    let mut input = Vec::new();
    for message in &request.messages {
        encode_message(message, &tag, &mut input);
    }
    let mut body = json!({
        "model": asked.model,
        "input": input,
        "max_output_tokens": request.output_tokens_max,
        "store": false,
        "stream": true,
    });
    if !plan.system.is_empty() {
        body["instructions"] = json!(plan.system);
    }
    let mut tools: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            function(&tool.name, &tool.description, &schema::parameters(&value(&tool.input)))
        })
        .collect();
    if let Some((name, parameters)) = &plan.tool {
        tools.push(function(name, "Gives the final answer.", parameters));
        body["tool_choice"] = match request.tools.is_empty() {
            true => json!({ "type": "function", "name": name }),
            false => json!("required"),
        };
    }
    if !tools.is_empty() {
        body["tools"] = Value::Array(tools);
    }
    if let Some(schema) = &plan.native {
        body["text"] = json!({
            "format": { "type": "json_schema", "name": "answer", "schema": schema, "strict": true }
        });
    }
    if asked.is_reasoning() {
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    if let Some(effort) = asked.effort() {
        body["reasoning"] = json!({ "effort": effort });
    }
    if request.cache && asked.provider.is_openai() {
        body["prompt_cache_key"] = json!(asked.prefix_key());
    }
    body
}

/// Not strict: a tool's schema is anybody's, and strict mode refuses most of them.
fn function(name: &str, description: &str, parameters: &Value) -> Value {
    json!({
        "type": "function",
        "name": name,
        "description": description,
        "parameters": parameters,
        "strict": false,
    })
}

fn encode_message(message: &Message, tag: &str, input: &mut Vec<Value>) {
    match message {
        Message::User { text } => input.push(json!({ "role": "user", "content": text })),
        Message::Tools { results } => input.extend(results.iter().map(|result| {
            json!({
                "type": "function_call_output",
                "call_id": call_id(&result.id, ID_BYTES_MAX, false),
                "output": result_text(result),
            })
        })),
        Message::Assistant { blocks } => {
            let mut phase = None;
            for block in blocks {
                encode_block(block, tag, &mut phase, input);
            }
        }
    }
}

fn encode_block(block: &Block, tag: &str, phase: &mut Option<Value>, input: &mut Vec<Value>) {
    match block {
        Block::Text { text } if text.is_empty() => {}
        Block::Text { text } => {
            let mut message = json!({ "role": "assistant", "content": text });
            if let Some(phase) = phase.take() {
                message["phase"] = phase;
            }
            input.push(message);
        }
        Block::ToolUse { id, name, arguments } => input.push(json!({
            "type": "function_call",
            "call_id": call_id(id, ID_BYTES_MAX, false),
            "name": name,
            "arguments": arguments_text(arguments),
        })),
        Block::Native { wire, item, .. } if wire == tag => {
            let Ok(item) = parse(item.text()) else { return };
            match item.get("phase") {
                // What the message after it is: newer models want it back.
                Some(found) if item["type"] == "message" => *phase = Some(found.clone()),
                _ => input.push(item),
            }
        }
        Block::Native { .. } => {}
    }
}
