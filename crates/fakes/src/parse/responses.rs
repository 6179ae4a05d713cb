//! OpenAI Responses.

use super::chat::{choice, function, required, schema_format, unknown};
use super::model;
use crate::blocks::{content_text, push, render, unknown_key};
use crate::error::{ApiError, Kind};
use crate::http::HttpRequest;
use crate::{Block, Request, Role, Wire, random};
use serde_json::Value;

const KNOWN: [&str; 31] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

pub(super) fn parse(http: &HttpRequest, body: &Value) -> Result<Request, ApiError> {
    if let Some(key) = unknown_key(body, &KNOWN) {
        return Err(unknown(key));
    }
    let name = model(body, required("model"))?.to_owned();
    let mut request = Request::new(Wire::Responses, &name, &http.headers, body.clone());
    request.stream = body["stream"].as_bool().unwrap_or(false);
    request.system = body["instructions"].as_str().unwrap_or_default().to_owned();
    request.cache_key = body["prompt_cache_key"].as_str().unwrap_or_default().to_owned();
    request.max_tokens = body["max_output_tokens"].as_u64();
    if let Some(most) = request.max_tokens.filter(|most| *most < 16) {
        return Err(ApiError::invalid(format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {most} instead."
        ))
        .param("max_output_tokens")
        .code("integer_below_min_value"));
    }
    request.thinking = body["reasoning"].is_object();
    let include = body["include"].as_array();
    request.encrypted_reasoning = include
        .is_some_and(|include| include.iter().any(|item| item == "reasoning.encrypted_content"));
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        if tool["type"] != "function" {
            return Err(required(&format!("tools[{index}].type")));
        }
        let known = [
            "type",
            "name",
            "description",
            "parameters",
            "strict",
            "defer_loading",
            "allowed_callers",
            "output_schema",
        ];
        if let Some(key) = unknown_key(tool, &known) {
            return Err(unknown(&format!("tools[{index}].{key}")));
        }
        if tool.get("parameters").is_none() {
            return Err(required(&format!("tools[{index}].parameters")));
        }
        request.tools.push(function(tool, &format!("tools[{index}]"), false)?);
    }
    request.choice = choice(&body["tool_choice"], &body["tool_choice"]["name"], &request.tools)?;
    let format = &body["text"]["format"];
    request.schema = match format["type"].as_str() {
        Some("json_schema") => Some(schema_format(format, "text.format", "text.format")?),
        Some("text" | "json_object") => None,
        None if format.is_null() => None,
        _ => {
            return Err(ApiError::invalid("Invalid value for 'text.format.type'.")
                .param("text.format.type"));
        }
    };
    match &body["input"] {
        Value::String(text) => {
            push(&mut request.messages, Role::User, vec![Block::Text(text.clone())])
        }
        Value::Array(items) if !items.is_empty() => input(items, &mut request)?,
        _ => return Err(required("input")),
    }
    render(&mut request);
    Ok(request)
}

fn input(items: &[Value], request: &mut Request) -> Result<(), ApiError> {
    let mut open: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let place = format!("input[{index}]");
        let text = |key: &str| {
            let missing = || required(&format!("{place}.{key}"));
            item[key].as_str().map(str::to_owned).ok_or_else(missing)
        };
        match item["type"].as_str() {
            None | Some("message") => message(item, &place, request)?,
            Some("function_call") => {
                let (id, name, arguments) = (text("call_id")?, text("name")?, text("arguments")?);
                let arguments =
                    serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
                if open.contains(&id) {
                    return Err(ApiError::invalid(format!(
                        "Duplicate item found with call_id {id}."
                    ))
                    .param("input"));
                }
                open.push(id.clone());
                let call = Block::Call { id, name, arguments, signature: None };
                push(&mut request.messages, Role::Assistant, vec![call]);
            }
            Some("function_call_output") => {
                let id = text("call_id")?;
                if item["output"].is_null() {
                    return Err(required(&format!("{place}.output")));
                }
                let Some(position) = open.iter().position(|call| *call == id) else {
                    return Err(ApiError::invalid(format!(
                        "No tool call found for function call output with call_id {id}."
                    ))
                    .param("input"));
                };
                open.remove(position);
                let text = content_text(&item["output"]);
                push(
                    &mut request.messages,
                    Role::User,
                    vec![Block::Result { id, text, error: false }],
                );
            }
            Some("reasoning") => {
                let block = reasoning(item, &text("id")?, request.body["store"] == false)?;
                push(&mut request.messages, Role::Assistant, vec![block]);
            }
            Some(other) => {
                return Err(ApiError::invalid(format!("Invalid value: '{other}'."))
                    .param(format!("{place}.type"))
                    .code("invalid_value"));
            }
        }
    }
    match open.first() {
        Some(id) => Err(ApiError::invalid(format!("No tool output found for function call {id}."))
            .param("input")),
        None => Ok(()),
    }
}

fn message(item: &Value, place: &str, request: &mut Request) -> Result<(), ApiError> {
    let role = match item["role"].as_str() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        _ => return Err(required(&format!("{place}.role"))),
    };
    if item["content"].is_null() {
        return Err(required(&format!("{place}.content")));
    }
    let allowed: &[&str] = match role {
        Role::Assistant => &["output_text", "refusal"],
        _ => &["input_text", "input_image", "input_file"],
    };
    for (index, part) in item["content"].as_array().into_iter().flatten().enumerate() {
        let kind = part["type"].as_str().unwrap_or_default();
        if !allowed.contains(&kind) {
            let quoted: Vec<String> = allowed.iter().map(|kind| format!("'{kind}'")).collect();
            return Err(ApiError::invalid(format!(
                "Invalid value: '{kind}'. Supported values are: {}.",
                quoted.join(", ")
            ))
            .param(format!("{place}.content[{index}]"))
            .code("invalid_value"));
        }
    }
    let text = content_text(&item["content"]);
    match role {
        Role::System => request.system.push_str(&text),
        _ => push(&mut request.messages, role, vec![Block::Text(text)]),
    }
    Ok(())
}

/// Reasoning passed back: without a store it must carry the encrypted content that this server gave.
fn reasoning(item: &Value, id: &str, stateless: bool) -> Result<Block, ApiError> {
    let signature = item["encrypted_content"].as_str().map(str::to_owned);
    if !item["summary"].is_array() {
        return Err(required("input.summary"));
    }
    let text = content_text(&item["summary"]);
    match &signature {
        None if stateless => Err(ApiError::new(
            404,
            Kind::NotFound,
            format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with \
                 `store` set to true, or remove this item from your input."
            ),
        )
        .param("input")),
        Some(given) if *given != random::signature(&text) => Err(ApiError::invalid(format!(
            "The encrypted content for item {id} could not be verified."
        ))
        .code("invalid_encrypted_content")),
        _ => Ok(Block::Thinking { text, signature }),
    }
}
