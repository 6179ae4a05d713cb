//! Gemini: the order of turns, function calls with their responses, thought signatures.

use super::gemini::known;
use crate::blocks::push;
use crate::error::ApiError;
use crate::{Block, Message, Request, Role, random};
use serde_json::Value;

pub(super) fn parse(contents: &Value, request: &mut Request) -> Result<(), ApiError> {
    let contents =
        contents.as_array().filter(|contents| !contents.is_empty()).ok_or_else(|| {
            ApiError::invalid("* GenerateContentRequest.contents: contents is not specified\n")
        })?;
    for (index, content) in contents.iter().enumerate() {
        known(content, &format!("contents[{index}]"), &["role", "parts"])?;
        let role = match content["role"].as_str() {
            None | Some("user" | "function") => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(ApiError::invalid("Please use a valid role: user, model.")),
        };
        let parts = content["parts"].as_array().filter(|parts| !parts.is_empty()).ok_or_else(|| {
            ApiError::invalid(format!("* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"))
        })?;
        let mut blocks = Vec::new();
        for (position, value) in parts.iter().enumerate() {
            blocks.push(part(value, index, position, role)?);
        }
        if request.model.starts_with("gemini-3") {
            first_call_signed(&blocks, index)?;
        }
        push(&mut request.messages, role, blocks);
    }
    turns(&request.messages)
}

fn part(value: &Value, index: usize, position: usize, role: Role) -> Result<Block, ApiError> {
    let place = format!("contents[{index}].parts[{position}]");
    let fields = [
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "functionResponse",
        "inlineData",
        "fileData",
        "executableCode",
        "codeExecutionResult",
        "videoMetadata",
        "partMetadata",
        "mediaResolution",
    ];
    known(value, &place, &fields)?;
    // The field is `bytes`: both alphabets of base64 are right, and SDKs send the other one back.
    let normal = |text: &str| text.replace('-', "+").replace('_', "/");
    let signature = value["thoughtSignature"].as_str().map(normal);
    let call = &value["functionCall"];
    if call.is_object() {
        known(call, &format!("{place}.function_call"), &["id", "name", "args"])?;
        let name = call["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() || role != Role::Assistant {
            return Err(ApiError::invalid(format!(
                "* GenerateContentRequest.{place}.function_call.name: Name cannot be empty.\n"
            )));
        }
        let arguments = call["args"].clone();
        if !arguments.is_object() && !arguments.is_null() {
            return Err(ApiError::invalid(format!(
                "Invalid value at '{place}.function_call.args' (type.googleapis.com/google.protobuf.Struct)"
            )));
        }
        if signature.as_ref().is_some_and(|given| *given != random::signature(&name)) {
            return Err(ApiError::invalid("Corrupted thought signature."));
        }
        let id = call["id"].as_str().unwrap_or_default().to_owned();
        return Ok(Block::Call { id, name, arguments, signature });
    }
    let response = &value["functionResponse"];
    if response.is_object() {
        return function_response(response, &place);
    }
    match value["text"].as_str() {
        Some(text) if value["thought"] == true => {
            Ok(Block::Thinking { text: text.to_owned(), signature })
        }
        Some(text) => Ok(Block::Text(text.to_owned())),
        None if value["inlineData"].is_object() || value["fileData"].is_object() => {
            Ok(Block::Other(value.clone()))
        }
        None => Err(ApiError::invalid(format!(
            "* GenerateContentRequest.{place}.data: required oneof field 'data' must have one initialized field\n"
        ))),
    }
}

fn function_response(response: &Value, place: &str) -> Result<Block, ApiError> {
    known(
        response,
        &format!("{place}.function_response"),
        &["id", "name", "response", "willContinue", "scheduling", "parts"],
    )?;
    let name = response["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::invalid(format!(
            "* GenerateContentRequest.{place}.function_response.name: Name cannot be empty.\n"
        )));
    }
    if !response["response"].is_object() {
        return Err(ApiError::invalid(format!(
            "Invalid value at '{place}.function_response.response' (type.googleapis.com/google.protobuf.Struct)"
        )));
    }
    let id = response["id"].as_str().unwrap_or(name).to_owned();
    let error = response["response"].get("error").is_some();
    Ok(Block::Result { id, text: response["response"].to_string(), error })
}

/// Models of the third generation demand the thought signature of the first call of a turn back.
fn first_call_signed(blocks: &[Block], index: usize) -> Result<(), ApiError> {
    let first = blocks.iter().find(|block| matches!(block, Block::Call { .. }));
    match first {
        Some(Block::Call { name, signature: None, .. }) => Err(ApiError::invalid(format!(
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work \
             correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call \
             `default_api:{name}` , position {index}."
        ))),
        _ => Ok(()),
    }
}

/// Responses come right after calls, as many as there were, and calls come right after the user or responses.
fn turns(messages: &[Message]) -> Result<(), ApiError> {
    let calls = |message: &Message| {
        message.blocks.iter().filter(|block| matches!(block, Block::Call { .. })).count()
    };
    let results = |message: &Message| {
        message.blocks.iter().filter(|block| matches!(block, Block::Result { .. })).count()
    };
    let mut open = 0;
    for (index, message) in messages.iter().enumerate() {
        let (called, answered) = (calls(message), results(message));
        if answered > 0 && open == 0 {
            return Err(ApiError::invalid(
                "Please ensure that function response turn comes immediately after a function call turn.",
            ));
        }
        if answered != open {
            return Err(ApiError::invalid(
                "Please ensure that the number of function response parts is equal to the number of function call parts of \
                 the function call turn.",
            ));
        }
        if called > 0 && index == 0 {
            return Err(ApiError::invalid(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
            ));
        }
        open = called;
    }
    if open > 0 {
        return Err(ApiError::invalid(
            "Please ensure that the number of function response parts is equal to the number of function call parts of the \
             function call turn.",
        ));
    }
    match messages.last() {
        Some(Message { role: Role::User, .. }) => Ok(()),
        _ => Err(ApiError::invalid(
            "Please ensure that single turn requests end with a user role or the role field is empty.",
        )),
    }
}
