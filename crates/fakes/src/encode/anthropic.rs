//! Anthropic Messages: `message_start`, blocks in order, `message_delta`, `message_stop`.

use super::Turn;
use crate::event::{Event, pieces};
use crate::{Part, Stop, Usage, random};
use serde_json::{Value, json};

pub(super) fn stream(turn: &Turn<'_>) -> Vec<Event> {
    // Real streams begin with an output of one token and correct it at the end.
    let first = turn.told(Usage { output: 1, thinking: 0, ..turn.usage });
    let mut message = message(turn, &[]);
    message["stop_reason"] = Value::Null;
    if let Some(usage) = first {
        message["usage"] = full_usage(usage);
    }
    let start = json!({ "type": "message_start", "message": message });
    let mut events = vec![Event::named("message_start", &start).told(first)];
    for (index, part) in turn.reply.parts.iter().enumerate() {
        block(turn, index, part, &mut events);
        if index == 0 {
            events.insert(2, Event::named("ping", &json!({ "type": "ping" })));
        }
    }
    let mut delta = json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason(turn), "stop_sequence": null },
    });
    let last = turn.told(turn.usage);
    if let Some(usage) = last {
        delta["usage"] = full_usage(usage);
    }
    if turn.reply.stop == Stop::Refusal {
        delta["delta"]["stop_details"] = refusal_details();
    }
    events.push(Event::named("message_delta", &delta).told(last));
    events.push(Event::named("message_stop", &json!({ "type": "message_stop" })).terminal());
    events
}

fn block(turn: &Turn<'_>, index: usize, part: &Part, events: &mut Vec<Event>) {
    let (start, kind, key, text, named) = match part {
        Part::Thinking(text) => (
            json!({ "type": "thinking", "thinking": "", "signature": "" }),
            "thinking_delta",
            "thinking",
            text,
            0,
        ),
        Part::Text(text) | Part::Refusal(text) => {
            (json!({ "type": "text", "text": "" }), "text_delta", "text", text, 0)
        }
        Part::Call { name, arguments, .. } => {
            let id = turn.call_id(part, index, "toolu_");
            let start = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
            (start, "input_json_delta", "partial_json", arguments, name.len())
        }
    };
    let started = json!({ "type": "content_block_start", "index": index, "content_block": start });
    events.push(Event::named("content_block_start", &started).content(named));
    let mut delta = |delta: Value, bytes: usize| {
        let data = json!({ "type": "content_block_delta", "index": index, "delta": delta });
        events.push(Event::named("content_block_delta", &data).content(bytes));
    };
    if matches!(part, Part::Call { .. }) {
        delta(json!({ "type": kind, "partial_json": "" }), 0);
    }
    for piece in pieces(text, turn.piece_bytes) {
        delta(json!({ "type": kind, key: piece }), piece.len());
    }
    if let Part::Thinking(text) = part {
        delta(json!({ "type": "signature_delta", "signature": random::signature(text) }), 0);
    }
    events.push(Event::named(
        "content_block_stop",
        &json!({ "type": "content_block_stop", "index": index }),
    ));
}

pub(super) fn whole(turn: &Turn<'_>) -> Value {
    let block = |(index, part): (usize, &Part)| match part {
        Part::Thinking(text) => {
            json!({ "type": "thinking", "thinking": text, "signature": random::signature(text) })
        }
        Part::Text(text) | Part::Refusal(text) => json!({ "type": "text", "text": text }),
        Part::Call { name, arguments, .. } => {
            let input = serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
            json!({ "type": "tool_use", "id": turn.call_id(part, index, "toolu_"), "name": name, "input": input })
        }
    };
    let content: Vec<Value> = turn.reply.parts.iter().enumerate().map(block).collect();
    let mut message = message(turn, &content);
    if let Some(usage) = turn.told(turn.usage) {
        message["usage"] = full_usage(usage);
    }
    if turn.reply.stop == Stop::Refusal {
        message["stop_details"] = refusal_details();
    }
    message
}

fn message(turn: &Turn<'_>, content: &[Value]) -> Value {
    json!({
        "id": turn.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": turn.request.model,
        "content": content,
        "stop_reason": stop_reason(turn),
        "stop_sequence": null,
    })
}

fn refusal_details() -> Value {
    json!({ "type": "refusal", "category": null, "explanation": null })
}

fn stop_reason(turn: &Turn<'_>) -> Option<&'static str> {
    turn.finish.then_some(match turn.reply.stop {
        Stop::End => "end_turn",
        Stop::Tools => "tool_use",
        Stop::Length => "max_tokens",
        Stop::Refusal => "refusal",
        Stop::Pause => "pause_turn",
    })
}

fn full_usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": usage.output,
        "output_tokens_details": { "thinking_tokens": usage.thinking },
        "service_tier": "standard",
    })
}
