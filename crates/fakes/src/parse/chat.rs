//! OpenAI Chat Completions.

use super::model;
use crate::blocks::{content_text, list, named_of, push, render, strict_schema, unknown_key};
use crate::error::ApiError;
use crate::http::HttpRequest;
use crate::{Block, Choice, Request, Role, Tool, Wire};
use serde_json::Value;

const KNOWN: [&str; 35] = [
    "messages",
    "model",
    "audio",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

pub(super) fn parse(http: &HttpRequest, body: &Value) -> Result<Request, ApiError> {
    if let Some(key) = unknown_key(body, &KNOWN) {
        return Err(ApiError::invalid(format!("Unrecognized request argument supplied: {key}")));
    }
    let missing = ApiError::invalid("you must provide a model parameter");
    let name = model(body, missing)?.to_owned();
    let mut request = Request::new(Wire::Chat, &name, &http.headers, body.clone());
    request.stream = body["stream"].as_bool().unwrap_or(false);
    if !request.stream && !body["stream_options"].is_null() {
        return Err(ApiError::invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        )
        .param("stream_options"));
    }
    request.stream_usage = body["stream_options"]["include_usage"].as_bool().unwrap_or(false);
    if !body["max_tokens"].is_null() && !body["max_completion_tokens"].is_null() {
        return Err(ApiError::invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        ));
    }
    request.max_tokens = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64());
    request.cache_key = body["prompt_cache_key"].as_str().unwrap_or_default().to_owned();
    let functions = body["tools"].as_array().cloned().unwrap_or_default();
    for (index, tool) in functions.iter().enumerate() {
        let place = format!("tools[{index}]");
        if tool["type"] != "function" || !tool["function"].is_object() {
            return Err(required(&format!("{place}.function")));
        }
        let tool = function(&tool["function"], &format!("{place}.function"), true)?;
        request.tools.push(tool);
    }
    request.choice =
        choice(&body["tool_choice"], &body["tool_choice"]["function"]["name"], &request.tools)?;
    request.schema = response_format(&body["response_format"])?;
    let missing = required("messages");
    if body["messages"].is_null() {
        return Err(missing);
    }
    let empty = ApiError::invalid(
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an \
                                   empty array instead.",
    )
    .param("messages")
    .code("empty_array");
    messages(list(body, "messages", empty)?, &mut request)?;
    render(&mut request);
    Ok(request)
}

pub(super) fn required(place: &str) -> ApiError {
    ApiError::invalid(format!("Missing required parameter: '{place}'."))
        .param(place)
        .code("missing_required_parameter")
}

/// A function on offer: `{name, description, parameters, strict}`.
pub(super) fn function(value: &Value, place: &str, known_only: bool) -> Result<Tool, ApiError> {
    let name = value["name"].as_str().ok_or_else(|| required(&format!("{place}.name")))?;
    if !named_of(name, "_-", 64) {
        return Err(ApiError::invalid(format!(
            "Invalid '{place}.name': string does not match pattern. Expected a string that matches the pattern \
             '^[a-zA-Z0-9_-]+$'."
        ))
        .param(format!("{place}.name"))
        .code("invalid_value"));
    }
    if let Some(key) =
        unknown_key(value, &["name", "description", "parameters", "strict"]).filter(|_| known_only)
    {
        return Err(unknown(&format!("{place}.{key}")));
    }
    let schema = value.get("parameters").cloned().unwrap_or(Value::Null);
    if !schema.is_null() && schema["type"] != "object" {
        return Err(ApiError::invalid(format!(
            "Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got 'type: {}'.",
            schema["type"]
        ))
        .param(format!("{place}.parameters"))
        .code("invalid_function_parameters"));
    }
    if value["strict"] == true
        && let Err((context, rule)) = strict_schema(&schema, true)
    {
        return Err(ApiError::invalid(format!(
            "Invalid schema for function '{name}': In context={context}, {rule}"
        ))
        .param(format!("{place}.parameters"))
        .code("invalid_function_parameters"));
    }
    let description = value["description"].as_str().unwrap_or_default().to_owned();
    Ok(Tool { name: name.to_owned(), description, schema })
}

pub(super) fn unknown(place: &str) -> ApiError {
    ApiError::invalid(format!("Unknown parameter: '{place}'."))
        .param(place)
        .code("unknown_parameter")
}

pub(super) fn choice(value: &Value, name: &Value, tools: &[Tool]) -> Result<Choice, ApiError> {
    if !value.is_null() && tools.is_empty() {
        return Err(ApiError::invalid(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are \
                                      specified.",
        )
        .param("tool_choice"));
    }
    match (value.as_str(), name.as_str()) {
        (Some("auto"), _) => Ok(Choice::Auto),
        (Some("none"), _) => Ok(Choice::None),
        (Some("required"), _) => Ok(Choice::Any),
        (None, Some(name)) if tools.iter().any(|tool| tool.name == name) => {
            Ok(Choice::Tool(name.to_owned()))
        }
        (None, _) if value.is_null() => Ok(Choice::Auto),
        _ => Err(ApiError::invalid(format!("Invalid value for 'tool_choice': {value}"))
            .param("tool_choice")),
    }
}

fn response_format(format: &Value) -> Result<Option<Value>, ApiError> {
    match format["type"].as_str() {
        None if format.is_null() => Ok(None),
        Some("text" | "json_object") => Ok(None),
        Some("json_schema") => {
            schema_format(&format["json_schema"], "response_format.json_schema", "response_format")
                .map(Some)
        }
        _ => Err(ApiError::invalid("Invalid value for 'response_format.type'.")
            .param("response_format.type")),
    }
}

/// `{name, schema, strict}` of structured output, at `place`.
pub(super) fn schema_format(format: &Value, place: &str, param: &str) -> Result<Value, ApiError> {
    let name = format["name"].as_str().ok_or_else(|| required(&format!("{place}.name")))?;
    if !named_of(name, "_-", 64) {
        return Err(ApiError::invalid(format!(
            "Invalid '{place}.name': string does not match pattern. Expected a string that matches the pattern \
             '^[a-zA-Z0-9_-]+$'."
        ))
        .param(format!("{place}.name"))
        .code("invalid_value"));
    }
    let schema = &format["schema"];
    if !schema.is_object() {
        return Err(required(&format!("{place}.schema")));
    }
    let wrong = |message: String| {
        ApiError::invalid(message).param(param.to_owned()).code("invalid_json_schema")
    };
    if format["strict"] == true {
        if schema["type"] != "object" {
            return Err(wrong(format!(
                "Invalid schema for {param} '{name}': schema must be a JSON Schema of 'type: \"object\"', got 'type: {}'.",
                schema["type"]
            )));
        }
        if let Err((context, rule)) = strict_schema(schema, true) {
            return Err(wrong(format!(
                "Invalid schema for {param} '{name}': In context={context}, {rule}"
            )));
        }
    }
    Ok(schema.clone())
}

fn messages(messages: &[Value], request: &mut Request) -> Result<(), ApiError> {
    let mut open: Vec<String> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role =
            message["role"].as_str().ok_or_else(|| required(&format!("messages[{index}].role")))?;
        if role == "tool" {
            let id = message["tool_call_id"]
                .as_str()
                .ok_or_else(|| required(&format!("messages[{index}].tool_call_id")))?;
            let Some(position) = open.iter().position(|call| call == id) else {
                return Err(ApiError::invalid(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with \
                     'tool_calls'.",
                )
                .param(format!("messages.[{index}].role")));
            };
            open.remove(position);
            let text = content_text(&message["content"]);
            push(
                &mut request.messages,
                Role::User,
                vec![Block::Result { id: id.to_owned(), text, error: false }],
            );
            continue;
        }
        if !open.is_empty() {
            return Err(unanswered(&open));
        }
        match role {
            "system" | "developer" => request.system.push_str(&content_text(&message["content"])),
            "user" => {
                let text = content_text(&message["content"]);
                if message["content"].is_null() {
                    return Err(null_content(index));
                }
                push(&mut request.messages, Role::User, vec![Block::Text(text)]);
            }
            "assistant" => {
                let blocks = assistant(message, index, &mut open)?;
                push(&mut request.messages, Role::Assistant, blocks);
            }
            other => {
                return Err(ApiError::invalid(format!(
                    "Invalid value: '{other}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and \
                     'developer'."
                ))
                .param(format!("messages[{index}].role"))
                .code("invalid_value"));
            }
        }
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&open)) }
}

fn unanswered(open: &[String]) -> ApiError {
    ApiError::invalid(format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The \
         following tool_call_ids did not have response messages: {}",
        open.join(", ")
    ))
    .param("messages")
}

fn null_content(index: usize) -> ApiError {
    ApiError::invalid("Invalid value for 'content': expected a string, got null.")
        .param(format!("messages.[{index}].content"))
}

fn assistant(
    message: &Value,
    index: usize,
    open: &mut Vec<String>,
) -> Result<Vec<Block>, ApiError> {
    let known = ["role", "content", "tool_calls", "refusal", "name", "audio", "annotations"];
    if let Some(key) = unknown_key(message, &known) {
        return Err(unknown(&format!("messages[{index}].{key}")));
    }
    let mut blocks = Vec::new();
    let text = content_text(&message["content"]);
    if !text.is_empty() {
        blocks.push(Block::Text(text));
    }
    let calls = message["tool_calls"].as_array();
    if calls.is_some_and(Vec::is_empty) {
        return Err(ApiError::invalid(format!(
            "Invalid 'messages[{index}].tool_calls': empty array. Expected an array with minimum length 1, but got an empty \
             array instead."
        ))
        .code("empty_array"));
    }
    if calls.is_none() && message["content"].is_null() && message["refusal"].is_null() {
        return Err(null_content(index));
    }
    for (position, call) in calls.into_iter().flatten().enumerate() {
        let place = format!("messages[{index}].tool_calls[{position}]");
        let text = |value: &Value, key: &str| {
            value.as_str().map(str::to_owned).ok_or_else(|| required(&format!("{place}.{key}")))
        };
        if call["type"] != "function" {
            return Err(required(&format!("{place}.type")));
        }
        let (id, name) =
            (text(&call["id"], "id")?, text(&call["function"]["name"], "function.name")?);
        let arguments = text(&call["function"]["arguments"], "function.arguments")?;
        if open.contains(&id) {
            return Err(ApiError::invalid(format!(
                "Duplicate value for 'tool_call_id' of '{id}' in message[{index}]"
            )));
        }
        let arguments = serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
        open.push(id.clone());
        blocks.push(Block::Call { id, name, arguments, signature: None });
    }
    Ok(blocks)
}
