//! Requests as each wire has them, checked as strictly as the real services do.

mod anthropic;
mod anthropic_messages;
mod chat;
mod gemini;
mod gemini_contents;
mod responses;

use crate::error::{self, ApiError};
use crate::http::HttpRequest;
use crate::wire::Route;
use crate::{Options, Request, Wire};
use serde_json::Value;

/// The neutral form of a request, or the error that the real service would answer.
pub(crate) fn parse(
    http: &HttpRequest,
    route: &Route,
    options: &Options,
) -> Result<Request, ApiError> {
    let request = request(http, route, &body(http, route, options)?, options)?;
    match options.context_tokens {
        Some(limit) if request.input_tokens() > limit => {
            Err(error::context_too_long(route.wire, request.input_tokens(), limit))
        }
        _ => Ok(request),
    }
}

/// The body of a request whose key is right.
pub(crate) fn body(
    http: &HttpRequest,
    route: &Route,
    options: &Options,
) -> Result<Value, ApiError> {
    check_key(http, route, &options.key)?;
    if http.too_large {
        return Err(error::too_large(route.wire));
    }
    let content_type = http.header("content-type").unwrap_or_default();
    if !content_type.to_ascii_lowercase().starts_with("application/json") {
        return Err(ApiError::invalid(format!(
            "Unsupported content type: '{content_type}'. This API method only accepts 'application/json' requests."
        )));
    }
    let body: Value = serde_json::from_slice(&http.body).map_err(|error| {
        ApiError::invalid(format!("We could not parse the JSON body of your request: {error}"))
    })?;
    match body.is_object() {
        true => Ok(body),
        false => Err(ApiError::invalid("the body must be a JSON object")),
    }
}

/// The neutral form of a body.
pub(crate) fn request(
    http: &HttpRequest,
    route: &Route,
    body: &Value,
    options: &Options,
) -> Result<Request, ApiError> {
    let wire = route.wire;
    let request = match wire {
        Wire::Anthropic => anthropic::parse(http, body)?,
        Wire::Chat => chat::parse(http, body)?,
        Wire::Responses => responses::parse(http, body)?,
        Wire::Gemini => gemini::parse(http, route, body)?,
    };
    match &options.models {
        Some(models) if !models.contains(&request.model) => {
            Err(error::unknown_model(wire, &request.model))
        }
        _ => Ok(request),
    }
}

fn check_key(http: &HttpRequest, route: &Route, key: &str) -> Result<(), ApiError> {
    let bearer = || http.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let given = match route.wire {
        Wire::Anthropic => http.header("x-api-key").or_else(bearer),
        Wire::Chat | Wire::Responses => bearer(),
        Wire::Gemini => http.header("x-goog-api-key").or(route.key.as_deref()),
    };
    match given {
        None | Some("") => Err(error::missing_key(route.wire)),
        Some(given) if given != key => Err(error::wrong_key(route.wire)),
        Some(_) => Ok(()),
    }
}

/// The wires whose unknown arguments are refused with one message differ only in its words.
fn model(body: &Value, missing: ApiError) -> Result<&str, ApiError> {
    body["model"].as_str().filter(|model| !model.is_empty()).ok_or(missing)
}
