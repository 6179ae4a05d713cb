//! Gemini: the request.

use super::common::{arguments, is_given, parse, value};
use super::{Asked, Plan};
use crate::schema;
use loopwright_protocol::{Block, Message, ToolResult};
use serde_json::{Value, json};

pub(super) fn encode(asked: &Asked, plan: &Plan) -> Value {
    let request = asked.request;
    let tag = asked.tag();
    let contents: Vec<Value> =
        request.messages.iter().filter_map(|message| encode_message(message, &tag)).collect();
    let mut config = json!({ "maxOutputTokens": request.output_tokens_max });
    if let Some(schema) = &plan.native {
        config["responseMimeType"] = json!("application/json");
        config["responseJsonSchema"] = schema.clone();
    }
    if let Some(effort) = asked.effort() {
        config["thinkingConfig"] = thinking(asked.model, effort);
    }
    let mut body = json!({ "contents": contents, "generationConfig": config });
    if !plan.system.is_empty() {
        body["systemInstruction"] = json!({ "parts": [{ "text": plan.system }] });
    }
    let mut functions: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            function(&tool.name, &tool.description, &schema::parameters(&value(&tool.input)))
        })
        .collect();
    if let Some((name, parameters)) = &plan.tool {
        functions.push(function(name, "Gives the final answer.", parameters));
        let mut choice = json!({ "mode": "ANY" });
        if request.tools.is_empty() {
            choice["allowedFunctionNames"] = json!([name]);
        }
        body["toolConfig"] = json!({ "functionCallingConfig": choice });
    }
    if !functions.is_empty() {
        body["tools"] = json!([{ "functionDeclarations": functions }]);
    }
    body
}

fn function(name: &str, description: &str, parameters: &Value) -> Value {
    json!({ "name": name, "description": description, "parametersJsonSchema": parameters })
}

/// Gemini 2 takes a budget of tokens, later ones a level.
fn thinking(model: &str, effort: &str) -> Value {
    if !model.starts_with("gemini-2") {
        return json!({ "thinkingLevel": effort.to_uppercase(), "includeThoughts": true });
    }
    let budget = match effort {
        "minimal" => 512,
        "low" => 2048,
        "medium" => 8192,
        _ => 24_576,
    };
    json!({ "thinkingBudget": budget, "includeThoughts": true })
}

fn encode_message(message: &Message, tag: &str) -> Option<Value> {
    let (role, parts): (_, Vec<Value>) = match message {
        Message::User { text } => ("user", vec![json!({ "text": text })]),
        Message::Assistant { blocks } => ("model", encode_blocks(blocks, tag)),
        Message::Tools { results } => ("user", results.iter().map(encode_result).collect()),
    };
    (!parts.is_empty()).then(|| json!({ "role": role, "parts": parts }))
}

fn encode_result(result: &ToolResult) -> Value {
    let key = if result.is_error { "error" } else { "output" };
    let mut response = json!({ "name": result.name, "response": { key: result.text } });
    if is_given(&result.id) {
        response["id"] = json!(result.id);
    }
    json!({ "functionResponse": response })
}

/// A signature belongs to the part after it, and goes back in that part; one with nothing after it in an empty one.
fn encode_blocks(blocks: &[Block], tag: &str) -> Vec<Value> {
    let mut parts = Vec::new();
    let mut signature: Option<Value> = None;
    for block in blocks {
        let mut part = match block {
            Block::Text { text } if text.is_empty() => continue,
            Block::Text { text } => json!({ "text": text }),
            Block::ToolUse { id, name, arguments: text } => {
                let mut call = json!({ "name": name, "args": arguments(text) });
                if is_given(id) {
                    call["id"] = json!(id);
                }
                json!({ "functionCall": call })
            }
            Block::Native { wire, item, .. } if wire == tag => {
                let item = parse(item.text()).unwrap_or_default();
                if let Some(found) = item.get("thoughtSignature") {
                    parts.extend(signature.replace(found.clone()).as_ref().map(alone));
                }
                continue;
            }
            Block::Native { .. } => continue,
        };
        if let Some(signature) = signature.take() {
            part["thoughtSignature"] = signature;
        }
        parts.push(part);
    }
    parts.extend(signature.as_ref().map(alone));
    parts
}

fn alone(signature: &Value) -> Value {
    json!({ "text": "", "thoughtSignature": signature })
}
