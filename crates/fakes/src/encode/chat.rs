//! OpenAI Chat Completions: chunks, a finish reason, the usage where asked for, `[DONE]`.

use super::Turn;
use crate::event::{Event, pieces};
use crate::{Choice, Part, Stop, Usage, time};
use serde_json::{Value, json};

pub(super) fn stream(turn: &Turn<'_>) -> Vec<Event> {
    let first = json!({ "role": "assistant", "content": "", "refusal": null });
    let mut events = vec![chunk(turn, &first, None)];
    let mut calls = 0;
    for part in &turn.reply.parts {
        let (key, text) = match part {
            // OpenAI keeps reasoning to itself here; compatible servers send it under this name.
            Part::Thinking(text) => ("reasoning_content", text),
            Part::Text(text) => ("content", text),
            Part::Refusal(text) => ("refusal", text),
            Part::Call { name, arguments, .. } => {
                call(turn, part, calls, (name, arguments), &mut events);
                calls += 1;
                continue;
            }
        };
        for piece in pieces(text, turn.piece_bytes) {
            events.push(chunk(turn, &json!({ key: piece }), None).content(piece.len()));
        }
    }
    if let Some(reason) = finish_reason(turn) {
        events.push(chunk(turn, &json!({}), Some(reason)));
    }
    let told = turn.told(turn.usage).filter(|_| turn.request.stream_usage);
    if let Some(usage) = told {
        let mut last = base(turn, "chat.completion.chunk");
        last["choices"] = json!([]);
        last["usage"] = full_usage(usage);
        events.push(Event::data(&last).told(told));
    }
    events.push(Event::new("data: [DONE]\n\n").terminal());
    events
}

fn call(turn: &Turn<'_>, part: &Part, index: usize, call: (&str, &str), events: &mut Vec<Event>) {
    let (name, arguments) = call;
    let id = turn.call_id(part, index, "call_");
    let function = json!({ "name": name, "arguments": "" });
    let start = json!({ "index": index, "id": id, "type": "function", "function": function });
    events.push(chunk(turn, &json!({ "tool_calls": [start] }), None).content(name.len()));
    for piece in pieces(arguments, turn.piece_bytes) {
        let delta =
            json!({ "tool_calls": [{ "index": index, "function": { "arguments": piece } }] });
        events.push(chunk(turn, &delta, None).content(piece.len()));
    }
}

fn chunk(turn: &Turn<'_>, delta: &Value, finish_reason: Option<&str>) -> Event {
    let mut chunk = base(turn, "chat.completion.chunk");
    chunk["choices"] =
        json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason }]);
    if turn.request.stream_usage {
        chunk["usage"] = Value::Null;
    }
    Event::data(&chunk)
}

fn base(turn: &Turn<'_>, object: &str) -> Value {
    json!({
        "id": turn.id("chatcmpl-"),
        "object": object,
        "created": time::unix_seconds(),
        "model": turn.request.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    })
}

pub(super) fn whole(turn: &Turn<'_>) -> Value {
    let joined = |wanted: fn(&Part) -> Option<&String>| {
        let texts: Vec<&str> =
            turn.reply.parts.iter().filter_map(wanted).map(String::as_str).collect();
        if texts.is_empty() { Value::Null } else { json!(texts.concat()) }
    };
    let mut message = json!({
        "role": "assistant",
        "content": joined(|part| if let Part::Text(text) = part { Some(text) } else { None }),
        "refusal": joined(|part| if let Part::Refusal(text) = part { Some(text) } else { None }),
        "annotations": [],
    });
    let thinking = joined(|part| if let Part::Thinking(text) = part { Some(text) } else { None });
    if !thinking.is_null() {
        message["reasoning_content"] = thinking;
    }
    let calls = turn.reply.parts.iter().filter(|part| matches!(part, Part::Call { .. }));
    let calls: Vec<Value> = calls
        .enumerate()
        .filter_map(|(index, part)| {
            let Part::Call { name, arguments, .. } = part else { return None };
            let id = turn.call_id(part, index, "call_");
            Some(json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }))
        })
        .collect();
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let mut body = base(turn, "chat.completion");
    body["choices"] = json!([{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(turn) }]);
    if let Some(usage) = turn.told(turn.usage) {
        body["usage"] = full_usage(usage);
    }
    body
}

fn finish_reason(turn: &Turn<'_>) -> Option<&'static str> {
    let in_words = turn.reply.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    // A call of a named tool finishes with `stop`: the documented exception.
    let forced = matches!(turn.request.choice, Choice::Tool(_));
    turn.finish.then_some(match turn.reply.stop {
        Stop::Tools if !forced => "tool_calls",
        Stop::End | Stop::Pause | Stop::Tools => "stop",
        Stop::Length => "length",
        Stop::Refusal if in_words => "stop",
        Stop::Refusal => "content_filter",
    })
}

fn full_usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt(),
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}
