//! OpenAI Responses: the streamed reply. It is whole after `response.completed` or `response.incomplete`, with every
//! item that was begun done. The items are taken whole as they are done; the deltas before say nothing more.

use super::Told;
use super::common::{malformed, native, parse, told_error};
use crate::failure::{WireError, one_line};
use crate::sse::SseEvent;
use loopwright_protocol::{Block, Finish, Json, ModelReply};
use loopwright_types::Usage;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Reply {
    /// Items by their place; begun ones are `None`.
    items: BTreeMap<u64, Option<Json>>,
    /// Places given here to items of servers that tell none, by the items' ids.
    places: BTreeMap<String, u64>,
    end: Option<End>,
    told: Told,
    /// Names of calls and all pieces: of a reply that breaks off nothing else is known.
    pieces: String,
}

enum End {
    Complete,
    Incomplete(String),
}

#[derive(Deserialize)]
struct Item {
    item: Json,
}

#[derive(Deserialize)]
struct Ended {
    response: Output,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    output: Vec<Json>,
}

impl Reply {
    pub(super) fn event(&mut self, event: &SseEvent) -> Result<bool, WireError> {
        let value = parse(&event.data)?;
        let kind = value.get("type").and_then(Value::as_str).unwrap_or(&event.name);
        match kind {
            "error" => return Err(told_error(&value)),
            "response.failed" => {
                self.count(&value["response"]["usage"]);
                return Err(told_error(&value["response"]));
            }
            "response.output_item.added" => {
                let place = self.place(&value);
                self.items.entry(place).or_insert(None);
                if value["item"]["type"] == "function_call" {
                    self.pieces.push_str(value["item"]["name"].as_str().unwrap_or_default());
                }
            }
            "response.output_item.done" => {
                let Ok(Item { item }) = serde_json::from_str(&event.data) else {
                    return malformed("an item that is done and not there");
                };
                let place = self.place(&value);
                self.items.insert(place, Some(item));
            }
            "response.completed" | "response.incomplete" => {
                self.count(&value["response"]["usage"]);
                self.end(kind, &value, &event.data)?;
                return Ok(true);
            }
            _ => self.pieces.push_str(value["delta"].as_str().unwrap_or_default()),
        }
        Ok(false)
    }

    /// An item's place as it is told; llama.cpp tells none, there it is that of the item's id.
    fn place(&mut self, value: &Value) -> u64 {
        if let Some(place) = value["output_index"].as_u64() {
            return place;
        }
        let next = self.items.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        match value["item"]["id"].as_str() {
            Some(id) => *self.places.entry(id.to_owned()).or_insert(next),
            None => next,
        }
    }

    fn end(&mut self, kind: &str, value: &Value, data: &str) -> Result<(), WireError> {
        let response = &value["response"];
        let is_complete = kind == "response.completed";
        let status = response["status"].as_str();
        if is_complete && status.is_some_and(|it| it != "completed") {
            return malformed("it says both that it is completed and that it is not");
        }
        let Ok(Ended { response: ended }) = serde_json::from_str(data) else {
            return malformed("an end without a response");
        };
        // Some servers tell the items, or some of them, only here.
        if !ended.output.is_empty()
            && (self.items.is_empty() || self.items.values().any(Option::is_none))
        {
            self.items = (0..).zip(ended.output.into_iter().map(Some)).collect();
        }
        let reason = || response["incomplete_details"]["reason"].as_str().unwrap_or_default();
        self.end =
            Some(if is_complete { End::Complete } else { End::Incomplete(reason().to_owned()) });
        Ok(())
    }

    pub(super) fn count(&mut self, usage: &Value) {
        let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
        self.told.is_whole = count("/output_tokens").is_some();
        self.told.usage = Usage {
            input_tokens: count("/input_tokens").unwrap_or(0),
            output_tokens: count("/output_tokens").unwrap_or(0),
            cache_read_tokens: count("/input_tokens_details/cached_tokens").unwrap_or(0),
            cache_write_tokens: count("/input_tokens_details/cache_write_tokens").unwrap_or(0),
            ..Usage::default()
        };
    }

    /// The content so far: names and arguments of calls, too.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.pieces.as_str())
    }

    pub(super) fn told(&self) -> Told {
        self.told
    }

    pub(super) fn finish(self, tag: &str) -> Result<ModelReply, WireError> {
        let end = match self.end {
            Some(End::Complete) => Finish::End,
            Some(End::Incomplete(reason)) => match reason.as_str() {
                "max_output_tokens" => Finish::Length,
                "content_filter" => Finish::Refusal,
                other => {
                    return malformed(format!(
                        "it is incomplete for the reason `{}`",
                        one_line(other)
                    ));
                }
            },
            None => return Err(WireError::Cut),
        };
        let (mut blocks, mut is_refused) = (Vec::new(), false);
        for item in self.items.into_values() {
            match item {
                Some(item) => is_refused |= add(&item, tag, &mut blocks)?,
                None if end == Finish::End => return malformed("an item without its end"),
                None => {}
            }
        }
        let calls = blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        let finish = match end {
            Finish::End if is_refused => Finish::Refusal,
            Finish::End if calls => Finish::Tools,
            other => other,
        };
        Ok(ModelReply { blocks, finish })
    }
}

/// Adds an item's blocks; whether it is a refusal.
fn add(item: &Json, tag: &str, blocks: &mut Vec<Block>) -> Result<bool, WireError> {
    let value = parse(item.text())?;
    let member = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let mut is_refused = false;
    match value["type"].as_str().unwrap_or_default() {
        "message" => {
            if let Some(phase) = value.get("phase").filter(|it| it.is_string()) {
                let mark = json!({ "type": "message", "phase": phase });
                blocks.push(native(tag, String::new(), &mark));
            }
            let mut text = String::new();
            for part in value["content"].as_array().into_iter().flatten() {
                is_refused |= part["type"] == "refusal";
                let said = part["text"].as_str().or(part["refusal"].as_str());
                text.push_str(said.unwrap_or_default());
            }
            blocks.push(Block::Text { text });
        }
        "function_call" => {
            let arguments = Some(member("arguments")).filter(|it| !it.is_empty());
            blocks.push(Block::ToolUse {
                id: member("call_id"),
                name: member("name"),
                arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
            });
        }
        // Reasoning, and items of tools that run at the provider.
        _ => {
            let parts = value["summary"].as_array().into_iter().flatten();
            let parts = parts.filter_map(|part| part["text"].as_str());
            let text = parts.collect::<Vec<_>>().join("\n\n");
            blocks.push(Block::Native { wire: tag.to_owned(), text, item: item.clone() });
        }
    }
    Ok(is_refused)
}
