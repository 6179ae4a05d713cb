//! Anthropic Messages: the order of roles, and calls with their results.

use super::anthropic::marked;
use crate::blocks::{block_text, content_text, named_of, push, signed};
use crate::error::ApiError;
use crate::{Block, Request, Role};
use serde_json::Value;
use std::collections::HashSet;

pub(super) fn parse(messages: &[Value], request: &mut Request) -> Result<(), ApiError> {
    let mut open: Vec<String> = Vec::new();
    let mut ids = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let role = role(message, index)?;
        let blocks = blocks(message, index, role, index + 1 == messages.len(), request)?;
        results_first(&blocks, &open, index)?;
        open.clear();
        for block in &blocks {
            if let Block::Call { id, .. } = block {
                if !ids.insert(id.clone()) {
                    return Err(ApiError::invalid("messages: `tool_use` ids must be unique"));
                }
                open.push(id.clone());
            }
        }
        push(&mut request.messages, role, blocks);
    }
    if let Some(id) = open.first() {
        let last = messages.len() - 1;
        return Err(unanswered(last, id));
    }
    thinking_kept(request)
}

fn role(message: &Value, index: usize) -> Result<Role, ApiError> {
    match message["role"].as_str() {
        Some("user") => Ok(Role::User),
        Some("assistant") if index == 0 => {
            Err(ApiError::invalid("messages: first message must use the \"user\" role"))
        }
        Some("assistant") => Ok(Role::Assistant),
        Some("system") if index > 0 => Ok(Role::System),
        other => Err(ApiError::invalid(format!(
            "messages: Unexpected role \"{}\". The Messages API accepts a top-level `system` parameter, not \"system\" \
             as an input message role.",
            other.unwrap_or_default()
        ))),
    }
}

fn blocks(
    message: &Value,
    index: usize,
    role: Role,
    last: bool,
    request: &mut Request,
) -> Result<Vec<Block>, ApiError> {
    let empty = || {
        ApiError::invalid(format!(
            "messages.{index}: all messages must have non-empty content except for the optional final assistant message"
        ))
    };
    let content = match &message["content"] {
        Value::String(text) if text.is_empty() => return Err(empty()),
        Value::String(text) => vec![serde_json::json!({ "type": "text", "text": text })],
        Value::Array(list) if list.is_empty() && !(last && role == Role::Assistant) => {
            return Err(empty());
        }
        Value::Array(list) => list.clone(),
        _ => return Err(ApiError::invalid(format!("messages.{index}.content: Field required"))),
    };
    let mut blocks = Vec::new();
    for (position, value) in content.iter().enumerate() {
        let place = format!("messages.{index}.content.{position}");
        let block = block(value, &place, role)?;
        let mark = marked(value, &place)?;
        if mark && matches!(block, Block::Thinking { .. }) {
            return Err(ApiError::invalid(format!(
                "{place}.thinking.cache_control: Extra inputs are not permitted"
            )));
        }
        request.push_prompt(&block_text(&block), mark);
        blocks.push(block);
    }
    if let (true, Role::Assistant, Some(Block::Text(text))) = (last, role, blocks.last())
        && text.ends_with(char::is_whitespace)
    {
        return Err(ApiError::invalid(
            "messages: final assistant content cannot end with trailing whitespace",
        ));
    }
    Ok(blocks)
}

fn block(value: &Value, place: &str, role: Role) -> Result<Block, ApiError> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let required = |key: &str| {
        text(key).ok_or_else(|| ApiError::invalid(format!("{place}.{key}: Field required")))
    };
    let kind = required("type")?;
    let block = match (kind.as_str(), role) {
        ("text", _) => {
            let text = required("text")?;
            if text.is_empty() {
                return Err(ApiError::invalid("messages: text content blocks must be non-empty"));
            }
            Block::Text(text)
        }
        ("thinking", Role::Assistant) => {
            let (text, signature) = (required("thinking")?, required("signature")?);
            if !signed(&text, Some(&signature)) {
                return Err(ApiError::invalid(format!(
                    "{place}: Invalid `signature` in `thinking` block"
                )));
            }
            Block::Thinking { text, signature: Some(signature) }
        }
        ("redacted_thinking", Role::Assistant) => {
            Block::Thinking { text: String::new(), signature: Some(required("data")?) }
        }
        ("tool_use", Role::Assistant) => {
            let (id, name) = (required("id")?, required("name")?);
            if !named_of(&id, "_-", 256) {
                return Err(ApiError::invalid(format!(
                    "{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
                )));
            }
            if !value["input"].is_object() {
                return Err(ApiError::invalid(format!(
                    "{place}.tool_use.input: Input should be a valid dictionary"
                )));
            }
            Block::Call { id, name, arguments: value["input"].clone(), signature: None }
        }
        ("tool_result", Role::User) => Block::Result {
            id: required("tool_use_id")?,
            text: content_text(&value["content"]),
            error: value["is_error"].as_bool().unwrap_or(false),
        },
        ("image" | "document" | "search_result", Role::User) => Block::Other(value.clone()),
        _ => {
            return Err(ApiError::invalid(format!(
                "{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags for role \
                 {role:?}"
            )));
        }
    };
    Ok(block)
}

/// Every call of the turn before is answered, at the start of this message, and nothing else is.
fn results_first(blocks: &[Block], open: &[String], index: usize) -> Result<(), ApiError> {
    let mut answered = HashSet::new();
    let mut other_seen = false;
    for (position, block) in blocks.iter().enumerate() {
        let Block::Result { id, .. } = block else {
            other_seen = true;
            continue;
        };
        if !open.contains(id) {
            return Err(ApiError::invalid(format!(
                "messages.{index}.content.{position}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                 `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        if !answered.insert(id.clone()) {
            return Err(ApiError::invalid(format!(
                "messages.{index}.content.{position}: each tool_use must have a single result. Found multiple \
                 `tool_result` blocks with id: {id}"
            )));
        }
        if other_seen {
            return Err(ApiError::invalid(format!(
                "messages.{index}: `tool_result` blocks must come first in the content of the message"
            )));
        }
    }
    match open.iter().find(|id| !answered.contains(*id)) {
        Some(id) => Err(unanswered(index.saturating_sub(1), id)),
        None => Ok(()),
    }
}

fn unanswered(index: usize, id: &str) -> ApiError {
    ApiError::invalid(format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. Each `tool_use` \
         block must have a corresponding `tool_result` block in the next message."
    ))
}

/// While tools are being used with thinking on, the turn in progress keeps the thinking it started with.
fn thinking_kept(request: &Request) -> Result<(), ApiError> {
    let enabled = request.body["thinking"]["type"] == "enabled";
    let last = request.messages.iter().rposition(|message| message.role == Role::Assistant);
    let (true, Some(index)) = (enabled, last) else { return Ok(()) };
    let blocks = &request.messages[index].blocks;
    let calls = blocks.iter().any(|block| matches!(block, Block::Call { .. }));
    match blocks.first() {
        Some(Block::Thinking { .. }) => Ok(()),
        _ if calls => Err(ApiError::invalid(format!(
            "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When \
             `thinking` is enabled, a final `assistant` message must start with a thinking block"
        ))),
        _ => Ok(()),
    }
}
