//! What the wires share.

use super::{Asked, Wire};
use crate::failure::{ToldError, WireError, one_line};
use loopwright_protocol::{Block, Finish, Json, Message, ModelReply, ToolResult};
use loopwright_types::Digest;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Names of calls made up here, for providers that give none; never sent to those.
const OWN_CALL: &str = "lw_call_";

/// Who wrote a native block: another provider's server cannot read it even when it speaks the same wire.
pub(super) fn tag(wire: Wire, provider: &str) -> String {
    format!("{}@{provider}", wire.as_str())
}

impl Asked<'_> {
    /// The tag of native blocks that may go back.
    pub(super) fn tag(&self) -> String {
        tag(self.provider.wire, &self.provider.name)
    }

    pub(super) fn is_reasoning(&self) -> bool {
        self.effort().is_some() || self.entry.is_some_and(|it| it.is_reasoning())
    }

    /// The effort, as far as the model is known to take it: those that do not think refuse any.
    pub(super) fn effort(&self) -> Option<&str> {
        let effort = self.request.effort.as_deref()?;
        match self.entry {
            Some(entry) if !entry.is_reasoning() => None,
            Some(entry) if effort == "minimal" && !entry.knows_minimal() => Some("low"),
            _ => Some(effort),
        }
    }

    /// How many tool calls the conversation has.
    pub(crate) fn calls(&self) -> usize {
        let blocks = self.request.messages.iter().map(|message| match message {
            Message::Assistant { blocks } => {
                blocks.iter().filter(|block| matches!(block, Block::ToolUse { .. })).count()
            }
            _ => 0,
        });
        blocks.sum()
    }

    /// What siblings with the same start of a prompt share: a key for the provider's cache.
    pub(super) fn prefix_key(&self) -> String {
        let tools = serde_json::to_string(&self.request.tools).unwrap_or_default();
        let parts = [self.model.as_bytes(), self.request.system.as_bytes(), tools.as_bytes()];
        Digest::of_parts(parts).to_string()[..32].to_owned()
    }
}

/// Parses an event's data.
pub(super) fn parse(data: &str) -> Result<Value, WireError> {
    serde_json::from_str(data).map_err(|error| {
        WireError::Malformed(format!("not JSON: {}", one_line(&error.to_string())))
    })
}

pub(super) fn malformed<T>(what: impl Into<String>) -> Result<T, WireError> {
    Err(WireError::Malformed(what.into()))
}

/// The error that a value holds, or a nameless one.
pub(super) fn told_error(value: &Value) -> WireError {
    WireError::Told(ToldError::of(value).unwrap_or_else(ToldError::unnamed))
}

/// A native block of this text and item.
pub(super) fn native(tag: &str, text: String, item: &Value) -> Block {
    Block::Native { wire: tag.to_owned(), text, item: Json::of(item) }
}

/// A tool call's arguments as an object: what is none goes along as text, so that the model sees what it wrote.
pub(super) fn arguments(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => value,
        _ if text.trim().is_empty() => json!({}),
        _ => json!({ "invalid_arguments": text }),
    }
}

/// The same as JSON text; arguments that are an object stay letter by letter what they were.
pub(super) fn arguments_text(text: &str) -> String {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) if text.trim_start().starts_with('{') => text.to_owned(),
        _ => arguments(text).to_string(),
    }
}

/// A result's text where the wire has no place to say that it is an error.
pub(super) fn result_text(result: &ToolResult) -> String {
    if result.is_error { format!("Error: {}", result.text) } else { result.text.clone() }
}

/// A JSON text of ours as a value; broken ones, which cannot be, count as no constraint.
pub(super) fn value(json: &Json) -> Value {
    json.read().unwrap_or(Value::Bool(true))
}

/// A call's id as another provider takes it: of plain characters, at most `bytes_max` long.
pub(super) fn call_id(id: &str, bytes_max: usize, is_plain_only: bool) -> String {
    let is_plain = id.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
    if !id.is_empty() && id.len() <= bytes_max && (is_plain || !is_plain_only) {
        return id.to_owned();
    }
    format!("call_{}", &Digest::of(id.as_bytes()).to_string()[..32])
}

/// Whether the provider gave the call this id, and not we.
pub(super) fn is_given(id: &str) -> bool {
    !id.starts_with(OWN_CALL)
}

/// Gives calls without an id one, and makes equal ids differ.
pub(super) fn name_calls(blocks: &mut [Block], calls: usize) {
    let mut seen: HashSet<String> = HashSet::new();
    let mut count = calls;
    for block in blocks {
        let Block::ToolUse { id, .. } = block else { continue };
        if id.is_empty() {
            *id = format!("{OWN_CALL}{count}");
        }
        let given = id.clone();
        let mut number = 2;
        while !seen.insert(id.clone()) {
            *id = format!("{given}_{number}");
            number += 1;
        }
        count += 1;
    }
}

/// What no whole reply is.
pub(super) fn check(reply: &ModelReply) -> Result<(), WireError> {
    let mut calls = reply.blocks.iter().filter_map(|block| match block {
        Block::ToolUse { name, .. } => Some(name),
        _ => None,
    });
    if reply.finish == Finish::Tools && calls.clone().next().is_none() {
        return malformed("it stopped for a tool call and has none");
    }
    if calls.any(String::is_empty) {
        return malformed("a tool call names no tool");
    }
    Ok(())
}
