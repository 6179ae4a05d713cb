//! Gemini: chunks of parts, each with the usage so far; the one with a finish reason is the last.

use super::Turn;
use crate::event::{Event, pieces};
use crate::{Part, Stop, Usage, random};
use serde_json::{Value, json};

pub(super) fn stream(turn: &Turn<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut sent = 0;
    let mut calls = 0;
    let mut send = |part: Value, bytes: usize| {
        sent += bytes;
        let body = chunk(turn, &[part], turn.told_after(sent), None);
        // The service ends its lines with CR LF.
        let bytes_of = format!("data: {body}\r\n\r\n");
        events.push(Event::new(bytes_of).content(bytes).told(turn.told_after(sent)));
    };
    if !malformed(turn) {
        for part in &turn.reply.parts {
            match part {
                Part::Thinking(text) => {
                    for piece in pieces(text, turn.piece_bytes) {
                        send(json!({ "text": piece, "thought": true }), piece.len());
                    }
                }
                Part::Text(text) => {
                    for piece in pieces(text, turn.piece_bytes) {
                        send(json!({ "text": piece }), piece.len());
                    }
                }
                Part::Call { .. } => {
                    send(function_call(turn, part, calls), part.bytes());
                    calls += 1;
                }
                Part::Refusal(_) => {}
            }
        }
    }
    let told = turn.told(turn.usage);
    // The last chunk has the finish reason and, by custom, an empty text.
    let body = chunk(turn, &[json!({ "text": "" })], told, Some(()));
    events.push(Event::new(format!("data: {body}\r\n\r\n")).told(told).terminal());
    events
}

/// The service notices arguments that are no object and gives no call at all.
fn malformed(turn: &Turn<'_>) -> bool {
    let broken = |part: &Part| match part {
        Part::Call { arguments, .. } => {
            !serde_json::from_str::<Value>(arguments).is_ok_and(|value| value.is_object())
        }
        _ => false,
    };
    turn.reply.parts.iter().any(broken)
}

fn function_call(turn: &Turn<'_>, part: &Part, index: usize) -> Value {
    let Part::Call { name, arguments, .. } = part else { return Value::Null };
    let args: Value = serde_json::from_str(arguments).unwrap_or(Value::Null);
    let call = json!({ "id": turn.call_id(part, index, "fc"), "name": name, "args": args });
    match index {
        0 => json!({ "functionCall": call, "thoughtSignature": random::signature(name) }),
        _ => json!({ "functionCall": call }),
    }
}

pub(super) fn whole(turn: &Turn<'_>) -> Value {
    let mut calls = 0;
    let mut parts = Vec::new();
    for part in turn.reply.parts.iter().filter(|_| !malformed(turn)) {
        match part {
            Part::Thinking(text) => parts.push(json!({ "text": text, "thought": true })),
            Part::Text(text) => parts.push(json!({ "text": text })),
            Part::Call { .. } => {
                parts.push(function_call(turn, part, calls));
                calls += 1;
            }
            Part::Refusal(_) => {}
        }
    }
    chunk(turn, &parts, turn.told(turn.usage), Some(()))
}

fn chunk(turn: &Turn<'_>, parts: &[Value], told: Option<Usage>, last: Option<()>) -> Value {
    let mut candidate = json!({ "index": 0 });
    let reason = finish_reason(turn);
    let blocked = last.is_some() && matches!(reason, "SAFETY" | "MALFORMED_FUNCTION_CALL");
    if !blocked {
        candidate["content"] = json!({ "role": "model", "parts": parts });
    }
    if last.is_some() && turn.finish {
        candidate["finishReason"] = json!(reason);
    }
    let mut body = json!({
        "candidates": [candidate],
        "modelVersion": turn.request.model,
        "responseId": turn.id("fake-"),
    });
    if let Some(usage) = told {
        body["usageMetadata"] = full_usage(usage);
    }
    body
}

fn finish_reason(turn: &Turn<'_>) -> &'static str {
    match turn.reply.stop {
        Stop::Length => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
        _ if malformed(turn) => "MALFORMED_FUNCTION_CALL",
        Stop::End | Stop::Tools | Stop::Pause => "STOP",
    }
}

/// Thinking is counted beside the answer here, not in it; fields that are zero are left out, as the service does.
fn full_usage(usage: Usage) -> Value {
    let mut metadata = json!({
        "promptTokenCount": usage.prompt(),
        "candidatesTokenCount": usage.output - usage.thinking,
        "totalTokenCount": usage.total(),
        "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": usage.prompt() }],
    });
    if usage.thinking > 0 {
        metadata["thoughtsTokenCount"] = json!(usage.thinking);
    }
    if usage.cache_read > 0 {
        metadata["cachedContentTokenCount"] = json!(usage.cache_read);
    }
    metadata
}
