//! OpenAI Responses: items in order, each event numbered, ended by `response.completed` or `response.incomplete`.

use super::Turn;
use crate::event::{Event, pieces};
use crate::{Part, Stop, Usage, random, time};
use serde_json::{Value, json};

struct Writer<'a> {
    turn: &'a Turn<'a>,
    events: Vec<Event>,
}

impl Writer<'_> {
    fn push(&mut self, name: &str, mut data: Value, content: usize) {
        data["type"] = json!(name);
        data["sequence_number"] = json!(self.events.len());
        self.events.push(Event::named(name, &data).content(content));
    }

    fn item(&mut self, index: usize, part: &Part) {
        let done = item(self.turn, index, part, "completed");
        let id = done["id"].clone();
        let mut added = item(self.turn, index, part, "in_progress");
        let emptied = if added["arguments"].is_string() {
            ("arguments", json!(""))
        } else {
            ("content", json!([]))
        };
        match part {
            Part::Thinking(_) => added["summary"] = json!([]),
            _ => added[emptied.0] = emptied.1,
        }
        let named = if let Part::Call { name, .. } = part { name.len() } else { 0 };
        self.push(
            "response.output_item.added",
            json!({ "output_index": index, "item": added }),
            named,
        );
        match part {
            Part::Thinking(text) => {
                let place = json!({ "item_id": id, "output_index": index, "summary_index": 0 });
                let names = ["reasoning_summary_part", "reasoning_summary_text"];
                let whole = |text: &str| json!({ "type": "summary_text", "text": text });
                self.texts(names, &place, (text, "text"), &whole);
            }
            Part::Text(text) => {
                let place = json!({ "item_id": id, "output_index": index, "content_index": 0 });
                let whole = |text: &str| output_text(text);
                self.texts(["content_part", "output_text"], &place, (text, "text"), &whole);
            }
            Part::Refusal(text) => {
                let place = json!({ "item_id": id, "output_index": index, "content_index": 0 });
                let whole = |text: &str| json!({ "type": "refusal", "refusal": text });
                self.texts(["content_part", "refusal"], &place, (text, "refusal"), &whole);
            }
            Part::Call { name, arguments, .. } => {
                let place = json!({ "item_id": id, "output_index": index });
                for piece in pieces(arguments, self.turn.piece_bytes) {
                    let delta = with(&place, "delta", json!(piece));
                    self.push("response.function_call_arguments.delta", delta, piece.len());
                }
                let finished =
                    with(&with(&place, "arguments", json!(arguments)), "name", json!(name));
                self.push("response.function_call_arguments.done", finished, 0);
            }
        }
        self.push("response.output_item.done", json!({ "output_index": index, "item": done }), 0);
    }

    /// A part that is opened, filled piece by piece and closed.
    fn texts(
        &mut self,
        names: [&str; 2],
        place: &Value,
        text: (&str, &str),
        whole: &dyn Fn(&str) -> Value,
    ) {
        let ([part, kind], (text, key)) = (names, text);
        self.push(&format!("response.{part}.added"), with(place, "part", whole("")), 0);
        for piece in pieces(text, self.turn.piece_bytes) {
            let mut delta = with(place, "delta", json!(piece));
            if kind == "output_text" {
                delta["logprobs"] = json!([]);
            }
            self.push(&format!("response.{kind}.delta"), delta, piece.len());
        }
        self.push(&format!("response.{kind}.done"), with(place, key, json!(text)), 0);
        self.push(&format!("response.{part}.done"), with(place, "part", whole(text)), 0);
    }
}

fn with(place: &Value, key: &str, value: Value) -> Value {
    let mut place = place.clone();
    place[key] = value;
    place
}

fn output_text(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

pub(super) fn stream(turn: &Turn<'_>) -> Vec<Event> {
    let mut writer = Writer { turn, events: Vec::new() };
    let begun = response(turn, "in_progress", &[]);
    writer.push("response.created", json!({ "response": begun }), 0);
    writer.push("response.in_progress", json!({ "response": begun }), 0);
    for (index, part) in turn.reply.parts.iter().enumerate() {
        writer.item(index, part);
    }
    // Without a finish reason the last event is what is missing: it carries the status.
    if turn.finish {
        let body = whole(turn);
        let status = if body["status"] == "completed" {
            "response.completed"
        } else {
            "response.incomplete"
        };
        writer.push(status, json!({ "response": body }), 0);
        if let Some(last) = writer.events.last_mut() {
            last.terminal = true;
            last.told = turn.told(turn.usage);
        }
    }
    writer.events
}

pub(super) fn whole(turn: &Turn<'_>) -> Value {
    let in_words = turn.reply.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let reason = match turn.reply.stop {
        Stop::Length => Some("max_output_tokens"),
        Stop::Refusal if !in_words => Some("content_filter"),
        _ => None,
    };
    let status = if reason.is_some() { "incomplete" } else { "completed" };
    let item = |(index, part)| item(turn, index, part, "completed");
    let output: Vec<Value> = turn.reply.parts.iter().enumerate().map(item).collect();
    let mut body = response(turn, status, &output);
    if let Some(reason) = reason {
        body["incomplete_details"] = json!({ "reason": reason });
    }
    if let Some(usage) = turn.told(turn.usage) {
        body["usage"] = full_usage(usage);
    }
    if !turn.finish {
        body["status"] = Value::Null;
    }
    body
}

fn item(turn: &Turn<'_>, index: usize, part: &Part, status: &str) -> Value {
    let id = |prefix: &str| format!("{}x{index}", turn.id(prefix));
    match part {
        Part::Thinking(text) => {
            let mut item = json!({
                "id": id("rs_"),
                "type": "reasoning",
                "summary": [{ "type": "summary_text", "text": text }],
            });
            if turn.request.encrypted_reasoning {
                item["encrypted_content"] = json!(random::signature(text));
            }
            item
        }
        Part::Text(text) => json!({
            "id": id("msg_"), "type": "message", "role": "assistant", "status": status, "content": [output_text(text)],
        }),
        Part::Refusal(text) => json!({
            "id": id("msg_"), "type": "message", "role": "assistant", "status": status,
            "content": [{ "type": "refusal", "refusal": text }],
        }),
        Part::Call { name, arguments, .. } => json!({
            "id": id("fc_"), "type": "function_call", "status": status, "name": name, "arguments": arguments,
            "call_id": turn.call_id(part, index, "call_"),
        }),
    }
}

fn response(turn: &Turn<'_>, status: &str, output: &[Value]) -> Value {
    json!({
        "id": turn.id("resp_"),
        "object": "response",
        "created_at": time::unix_seconds(),
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": turn.request.body["instructions"],
        "max_output_tokens": turn.request.max_tokens,
        "model": turn.request.model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": turn.request.body["reasoning"],
        "store": turn.request.body["store"],
        "temperature": 1.0,
        "text": turn.request.body["text"],
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": null,
        "metadata": {},
    })
}

fn full_usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt(),
        "input_tokens_details": { "cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.thinking },
        "total_tokens": usage.total(),
    })
}
