//! Anthropic Messages: the streamed reply. It is whole after `message_stop`, with a stop reason and every block ended.

use super::Told;
use super::common::{malformed, native, parse, told_error};
use crate::failure::{WireError, one_line};
use crate::sse::SseEvent;
use loopwright_protocol::{Block, Finish, ModelReply};
use loopwright_types::Usage;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Reply {
    has_started: bool,
    blocks: BTreeMap<u64, Open>,
    stop_reason: Option<String>,
    counts: Counts,
    is_whole: bool,
}

/// A block and what was added to it.
struct Open {
    start: Value,
    text: String,
    signature: String,
    has_ended: bool,
}

/// As the provider counts: input without what the cache had a part in.
#[derive(Default)]
struct Counts {
    input: u64,
    output: u64,
    read: u64,
    write: u64,
}

impl Counts {
    /// Later figures are totals, not additions.
    fn take(&mut self, usage: &Value) {
        let places = [
            ("input_tokens", &mut self.input),
            ("output_tokens", &mut self.output),
            ("cache_read_input_tokens", &mut self.read),
            ("cache_creation_input_tokens", &mut self.write),
        ];
        for (name, place) in places {
            if let Some(count) = usage.get(name).and_then(Value::as_u64) {
                *place = count;
            }
        }
    }
}

impl Reply {
    pub(super) fn event(&mut self, event: &SseEvent) -> Result<bool, WireError> {
        let value = parse(&event.data)?;
        let kind = value.get("type").and_then(Value::as_str).unwrap_or(&event.name);
        match kind {
            "error" => return Err(told_error(&value)),
            "message_start" => {
                if std::mem::replace(&mut self.has_started, true) {
                    return malformed("a second `message_start`");
                }
                self.counts.take(&value["message"]["usage"]);
            }
            "ping" => {}
            _ if !self.has_started => return malformed("no `message_start` at the start"),
            "content_block_start" => self.start(&value)?,
            "content_block_delta" => self.delta(&value)?,
            "content_block_stop" => self.open(&value)?.has_ended = true,
            "message_delta" => {
                if let Some(reason) = value["delta"]["stop_reason"].as_str() {
                    self.stop_reason = Some(reason.to_owned());
                }
                self.count(&value["usage"]);
            }
            "message_stop" => return Ok(true),
            // The API may add events; those known are enough.
            _ => {}
        }
        Ok(false)
    }

    fn start(&mut self, value: &Value) -> Result<(), WireError> {
        let (Some(index), Some(start)) = (value["index"].as_u64(), value.get("content_block"))
        else {
            return malformed("a `content_block_start` without index or block");
        };
        let member = |name: &str| start[name].as_str().unwrap_or_default().to_owned();
        let text = match start["type"].as_str() {
            Some("text") => member("text"),
            Some("thinking") => member("thinking"),
            _ => String::new(),
        };
        let open =
            Open { start: start.clone(), text, signature: member("signature"), has_ended: false };
        match self.blocks.insert(index, open) {
            None => Ok(()),
            Some(_) => malformed("two blocks of one index"),
        }
    }

    fn open(&mut self, value: &Value) -> Result<&mut Open, WireError> {
        let index = value["index"].as_u64();
        let open = index.and_then(|index| self.blocks.get_mut(&index));
        match open {
            Some(open) if !open.has_ended => Ok(open),
            _ => malformed("a piece of a block that is not open"),
        }
    }

    fn delta(&mut self, value: &Value) -> Result<(), WireError> {
        let open = self.open(value)?;
        let delta = &value["delta"];
        let text = |name: &str| delta[name].as_str().unwrap_or_default();
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => open.text.push_str(text("text")),
            "input_json_delta" => open.text.push_str(text("partial_json")),
            "thinking_delta" => open.text.push_str(text("thinking")),
            "signature_delta" => open.signature.push_str(text("signature")),
            // Citations and what may come.
            _ => {}
        }
        Ok(())
    }

    /// The reply is spoilt and is read on for its tokens: they count without a start, too.
    pub(super) fn recover(&mut self) {
        self.has_started = true;
    }

    /// Tokens as every event that tells any tells them, and a whole reply does.
    pub(super) fn count(&mut self, usage: &Value) {
        self.counts.take(usage);
        self.is_whole |= usage.get("output_tokens").is_some_and(Value::is_u64);
    }

    /// The content so far: names and arguments of calls, too.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.blocks.values().flat_map(|open| [open.tool(), open.text.as_str()])
    }

    pub(super) fn told(&self) -> Told {
        let Counts { input, output, read, write } = self.counts;
        let usage = Usage {
            input_tokens: input.saturating_add(read).saturating_add(write),
            output_tokens: output,
            cache_read_tokens: read,
            cache_write_tokens: write,
            ..Usage::default()
        };
        Told { usage, is_whole: self.is_whole, ..Told::default() }
    }

    pub(super) fn finish(self, tag: &str) -> Result<ModelReply, WireError> {
        if self.blocks.values().any(|open| !open.has_ended) {
            return malformed("a block without its end");
        }
        let finish = match self.stop_reason.as_deref() {
            Some("end_turn" | "stop_sequence") => Finish::End,
            Some("tool_use") => Finish::Tools,
            Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
            Some("refusal") => Finish::Refusal,
            Some("pause_turn") => Finish::Pause,
            Some(other) => {
                return malformed(format!("the stop reason `{}` is not known", one_line(other)));
            }
            None => return malformed("no stop reason"),
        };
        let blocks = self.blocks.into_values().map(|open| open.block(tag)).collect();
        Ok(ModelReply { blocks, finish })
    }
}

impl Open {
    /// The name of the tool that it calls.
    fn tool(&self) -> &str {
        match self.start["type"].as_str() {
            Some("tool_use") => self.start["name"].as_str().unwrap_or_default(),
            _ => "",
        }
    }

    fn block(self, tag: &str) -> Block {
        match self.start["type"].as_str() {
            Some("text") => Block::Text { text: self.text },
            Some("tool_use") => {
                let member = |name: &str| self.start[name].as_str().unwrap_or_default().to_owned();
                // Arguments come in pieces; a server that has them at once may put them into the start.
                let arguments = match (self.text.is_empty(), self.start.get("input")) {
                    (false, _) => self.text.clone(),
                    (true, Some(input @ Value::Object(_))) => input.to_string(),
                    (true, _) => "{}".to_owned(),
                };
                Block::ToolUse { id: member("id"), name: member("name"), arguments }
            }
            Some("thinking") => {
                let item = json!({
                    "type": "thinking",
                    "thinking": self.text,
                    "signature": self.signature,
                });
                native(tag, self.text, &item)
            }
            // Redacted thinking, and blocks of tools that run at the provider.
            _ => native(tag, String::new(), &self.start),
        }
    }
}
