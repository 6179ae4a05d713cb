//! The endpoints that count the tokens of a request's input without answering it.
//!
//! Written from Anthropic's `messages/count_tokens`, OpenAI's `responses/input_tokens`, Gemini's `models.countTokens` and
//! llama.cpp's `chat/completions/input_tokens`: each takes what the request takes, without what only matters for the reply.

use crate::blocks::unknown_key;
use crate::error::ApiError;
use crate::http::HttpRequest;
use crate::wire::Route;
use crate::{Options, Wire, parse};
use serde_json::{Value, json};

/// Anthropic: `max_tokens` and `stream` are no inputs of a count.
const ANTHROPIC: [&str; 10] = [
    "messages",
    "model",
    "cache_control",
    "context_management",
    "mcp_servers",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];
const RESPONSES: [&str; 12] = [
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "personality",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

/// The tokens of the input, or the error that the real service would answer.
pub(crate) fn input(http: &HttpRequest, route: &Route, options: &Options) -> Result<u64, ApiError> {
    let mut body = parse::body(http, route, options)?;
    match route.wire {
        Wire::Anthropic => {
            if let Some(key) = unknown_key(&body, &ANTHROPIC) {
                return Err(ApiError::invalid(format!("{key}: Extra inputs are not permitted")));
            }
            body["max_tokens"] = json!(u64::MAX);
        }
        Wire::Responses => {
            if let Some(key) = unknown_key(&body, &RESPONSES) {
                return Err(ApiError::invalid(format!("Unknown parameter: '{key}'.")));
            }
        }
        Wire::Gemini => body = gemini(body, route)?,
        Wire::Chat => {}
    }
    Ok(parse::request(http, route, &body, options)?.input_tokens())
}

/// Either contents, or a whole request that names its model.
fn gemini(mut body: Value, route: &Route) -> Result<Value, ApiError> {
    if let Some(key) = unknown_key(&body, &["contents", "generateContentRequest"]) {
        return Err(ApiError::invalid(format!(
            "Invalid JSON payload received. Unknown name \"{key}\": Cannot find field."
        )));
    }
    let whole = body["generateContentRequest"].take();
    if whole.is_null() {
        return Ok(json!({ "contents": body["contents"] }));
    }
    if !body["contents"].is_null() {
        return Err(ApiError::invalid(
            "contents and generate_content_request are mutually exclusive",
        ));
    }
    let Value::Object(mut whole) = whole else {
        return Err(ApiError::invalid("generate_content_request must be an object"));
    };
    let model = format!("models/{}", route.model.as_deref().unwrap_or_default());
    match whole.remove("model") {
        Some(Value::String(given)) if given == model => Ok(Value::Object(whole)),
        _ => Err(ApiError::invalid(
            "* CountTokensRequest.generate_content_request.model: model does not match",
        )),
    }
}

/// The body of the answer.
pub(crate) fn reply(wire: Wire, tokens: u64) -> Value {
    match wire {
        Wire::Anthropic => json!({ "input_tokens": tokens }),
        Wire::Chat | Wire::Responses => {
            json!({ "object": "response.input_tokens", "input_tokens": tokens })
        }
        Wire::Gemini => json!({
            "totalTokens": tokens,
            "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": tokens }],
        }),
    }
}
