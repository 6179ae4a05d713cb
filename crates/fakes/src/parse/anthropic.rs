//! Anthropic Messages: top-level fields, system, tools.

use super::{anthropic_messages, model};
use crate::blocks::{list, named_of, strict_schema, unknown_key};
use crate::error::ApiError;
use crate::http::HttpRequest;
use crate::{Choice, Request, Tool, Wire};
use serde_json::Value;

const KNOWN: [&str; 20] = [
    "model",
    "max_tokens",
    "messages",
    "cache_control",
    "container",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "context_management",
    "mcp_servers",
];

pub(super) fn parse(http: &HttpRequest, body: &Value) -> Result<Request, ApiError> {
    let invalid = |message: String| ApiError::invalid(message);
    if http.header("anthropic-version").is_none() {
        return Err(invalid("anthropic-version: header is required".to_owned()));
    }
    if let Some(key) = unknown_key(body, &KNOWN) {
        return Err(invalid(format!("{key}: Extra inputs are not permitted")));
    }
    let name = model(body, invalid("model: Field required".to_owned()))?.to_owned();
    let mut request = Request::new(Wire::Anthropic, &name, &http.headers, body.clone());
    let max_tokens = match &body["max_tokens"] {
        Value::Null => return Err(invalid("max_tokens: Field required".to_owned())),
        value => value.as_u64().filter(|most| *most > 0).ok_or_else(|| {
            invalid("max_tokens: Input should be greater than or equal to 1".to_owned())
        })?,
    };
    request.max_tokens = Some(max_tokens);
    request.stream = match &body["stream"] {
        Value::Null => false,
        value => value
            .as_bool()
            .ok_or_else(|| invalid("stream: Input should be a valid boolean".to_owned()))?,
    };
    if let Some(temperature) = body["temperature"].as_f64()
        && !(0.0..=1.0).contains(&temperature)
    {
        return Err(invalid("temperature: range: 0..1".to_owned()));
    }
    tools(body, &mut request)?;
    thinking(body, &mut request, max_tokens)?;
    output_format(body, &mut request)?;
    system(body, &mut request)?;
    let missing = invalid("messages: at least one message is required".to_owned());
    if body["messages"].is_null() {
        return Err(invalid("messages: Field required".to_owned()));
    }
    anthropic_messages::parse(list(body, "messages", missing)?, &mut request)?;
    let marks = request.marks.len();
    if marks > 4 {
        return Err(invalid(format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {marks}."
        )));
    }
    if body["cache_control"].is_object() {
        // The automatic form: a mark on the last block.
        request.marks.extend(request.boundaries.last().copied());
    }
    Ok(request)
}

/// Whether a block carries a well-formed cache mark.
pub(super) fn marked(block: &Value, place: &str) -> Result<bool, ApiError> {
    let mark = &block["cache_control"];
    if mark.is_null() {
        return Ok(false);
    }
    if mark["type"] != "ephemeral" {
        return Err(ApiError::invalid(format!(
            "{place}.cache_control.type: Input should be 'ephemeral'"
        )));
    }
    match &mark["ttl"] {
        Value::Null => Ok(true),
        ttl if ttl == "5m" || ttl == "1h" => Ok(true),
        _ => Err(ApiError::invalid(format!(
            "{place}.cache_control.ttl: Input should be '5m' or '1h'"
        ))),
    }
}

fn tools(body: &Value, request: &mut Request) -> Result<(), ApiError> {
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        let place = format!("tools.{index}.custom");
        let name = tool["name"].as_str().unwrap_or_default();
        if !named_of(name, "_-", 128) {
            return Err(ApiError::invalid(format!(
                "{place}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )));
        }
        if request.tools.iter().any(|tool| tool.name == name) {
            return Err(ApiError::invalid("tools: Tool names must be unique."));
        }
        if tool["input_schema"].is_null() {
            return Err(ApiError::invalid(format!("{place}.input_schema: Field required")));
        }
        if tool["input_schema"]["type"] != "object" {
            return Err(ApiError::invalid(format!(
                "{place}.input_schema.type: Input should be 'object'"
            )));
        }
        let known = [
            "name",
            "description",
            "input_schema",
            "cache_control",
            "type",
            "strict",
            "defer_loading",
            "eager_input_streaming",
            "input_examples",
            "allowed_callers",
        ];
        if let Some(key) = unknown_key(tool, &known) {
            return Err(ApiError::invalid(format!(
                "{place}.{key}: Extra inputs are not permitted"
            )));
        }
        let description = tool["description"].as_str().unwrap_or_default().to_owned();
        let schema = tool["input_schema"].clone();
        request.push_prompt(&format!("{name} {description} {schema}"), marked(tool, &place)?);
        request.tools.push(Tool { name: name.to_owned(), description, schema });
    }
    let choice = &body["tool_choice"];
    request.choice = match choice["type"].as_str() {
        None if choice.is_null() => Choice::Auto,
        Some("auto") => Choice::Auto,
        Some("none") => Choice::None,
        Some("any") => Choice::Any,
        Some("tool") => Choice::Tool(choice["name"].as_str().unwrap_or_default().to_owned()),
        _ => {
            return Err(ApiError::invalid(
                "tool_choice: Input tag does not match any of the expected tags",
            ));
        }
    };
    if !choice.is_null() && request.tools.is_empty() {
        return Err(ApiError::invalid("tool_choice may only be specified while providing tools."));
    }
    match &request.choice {
        Choice::Tool(name) if !request.tools.iter().any(|tool| tool.name == *name) => {
            Err(ApiError::invalid(format!("Tool '{name}' not found in provided tools")))
        }
        _ => Ok(()),
    }
}

fn thinking(body: &Value, request: &mut Request, max_tokens: u64) -> Result<(), ApiError> {
    let thinking = &body["thinking"];
    request.thinking = match thinking["type"].as_str() {
        None if thinking.is_null() => return Ok(()),
        Some("disabled") => return Ok(()),
        Some("adaptive") => true,
        Some("enabled") => {
            let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
            if budget < 1024 {
                return Err(ApiError::invalid(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                ));
            }
            if budget >= max_tokens {
                return Err(ApiError::invalid(
                    "`max_tokens` must be greater than `thinking.budget_tokens`.",
                ));
            }
            true
        }
        _ => {
            return Err(ApiError::invalid(
                "thinking: Input tag does not match any of the expected tags",
            ));
        }
    };
    if matches!(request.choice, Choice::Any | Choice::Tool(_)) {
        return Err(ApiError::invalid(
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    if body["temperature"].as_f64().is_some_and(|temperature| temperature != 1.0) {
        return Err(ApiError::invalid(
            "`temperature` may only be set to 1 when thinking is enabled.",
        ));
    }
    Ok(())
}

/// Structured output; numeric, string and array limits are not supported there and are refused.
fn output_format(body: &Value, request: &mut Request) -> Result<(), ApiError> {
    let config = &body["output_config"];
    if let Some(key) = unknown_key(config, &["effort", "format", "task_budget"]) {
        return Err(ApiError::invalid(format!(
            "output_config.{key}: Extra inputs are not permitted"
        )));
    }
    let format = &config["format"];
    if format.is_null() {
        return Ok(());
    }
    if format["type"] != "json_schema" || !format["schema"].is_object() {
        return Err(ApiError::invalid("output_config.format.schema: Field required"));
    }
    let schema = &format["schema"];
    if strict_schema(schema, false).is_err() {
        return Err(ApiError::invalid(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        ));
    }
    if let Some((kind, property)) = unsupported(schema) {
        return Err(ApiError::invalid(format!(
            "output_config.format.schema: For '{kind}' type, property '{property}' is not supported"
        )));
    }
    request.schema = Some(schema.clone());
    Ok(())
}

fn unsupported(schema: &Value) -> Option<(String, String)> {
    let limits = [
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
    ];
    let object = schema.as_object()?;
    let kind = || schema["type"].as_str().unwrap_or("object").to_owned();
    if let Some(limit) = limits.iter().find(|limit| object.contains_key(**limit)) {
        return Some((kind(), (*limit).to_owned()));
    }
    if object.get("minItems").and_then(Value::as_u64).is_some_and(|least| least > 1) {
        return Some((kind(), "minItems".to_owned()));
    }
    let named = ["properties", "$defs"].into_iter().filter_map(|key| object.get(key)?.as_object());
    let listed = ["anyOf", "allOf"].into_iter().filter_map(|key| object.get(key)?.as_array());
    let mut children =
        named.flat_map(|all| all.values()).chain(listed.flatten()).chain(object.get("items"));
    children.find_map(unsupported)
}

fn system(body: &Value, request: &mut Request) -> Result<(), ApiError> {
    match &body["system"] {
        Value::Null => {}
        Value::String(text) => {
            request.system.clone_from(text);
            request.push_prompt(text, false);
        }
        Value::Array(blocks) => {
            for (index, block) in blocks.iter().enumerate() {
                let place = format!("system.{index}");
                let text = match (block["type"].as_str(), block["text"].as_str()) {
                    (Some("text"), Some("")) => {
                        return Err(ApiError::invalid(
                            "system: text content blocks must be non-empty",
                        ));
                    }
                    (Some("text"), Some(text)) => text,
                    _ => return Err(ApiError::invalid(format!("{place}.text: Field required"))),
                };
                request.system.push_str(text);
                request.push_prompt(text, marked(block, &place)?);
            }
        }
        _ => return Err(ApiError::invalid("system: Input should be a valid string")),
    }
    Ok(())
}
