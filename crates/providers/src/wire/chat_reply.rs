//! OpenAI Chat Completions: the streamed reply. It is whole after `[DONE]`, with a finish reason.

use super::Told;
use super::common::{malformed, native, parse, told_error};
use crate::failure::{WireError, one_line};
use crate::sse::SseEvent;
use loopwright_protocol::{Block, Finish, ModelReply};
use loopwright_types::Usage;
use serde_json::{Value, json};

#[derive(Default)]
pub(super) struct Reply {
    text: String,
    thinking: String,
    /// The member in which a server tells its thinking.
    thinking_name: &'static str,
    refusal: String,
    calls: Vec<Call>,
    finish_reason: Option<String>,
    told: Told,
}

#[derive(Default)]
struct Call {
    index: u64,
    id: String,
    name: String,
    arguments: String,
}

impl Reply {
    pub(super) fn event(&mut self, event: &SseEvent) -> Result<bool, WireError> {
        if event.data.trim() == "[DONE]" {
            return Ok(true);
        }
        let value = parse(&event.data)?;
        let is_error = event.name == "error" || value.get("error").is_some_and(|it| !it.is_null());
        if is_error {
            return Err(told_error(&value));
        }
        let Some(choices) = value.get("choices").and_then(Value::as_array) else {
            // Some servers tell the usage without a list of choices.
            return match value.get("usage") {
                Some(usage) => self.count(usage).then_some(false).ok_or_else(no_choices),
                None => Err(no_choices()),
            };
        };
        if let Some(usage) = value.get("usage") {
            self.count(usage);
        }
        for choice in choices {
            if choice["index"].as_u64().unwrap_or(0) == 0 {
                self.choice(choice);
            }
        }
        Ok(false)
    }

    fn choice(&mut self, choice: &Value) {
        let delta = &choice["delta"];
        self.text.push_str(delta["content"].as_str().unwrap_or_default());
        self.refusal.push_str(delta["refusal"].as_str().unwrap_or_default());
        for name in ["reasoning_content", "reasoning"] {
            if let Some(text) = delta[name].as_str().filter(|it| !it.is_empty()) {
                self.thinking_name = name;
                self.thinking.push_str(text);
                break;
            }
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(call);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish_reason = Some(reason.to_owned());
        }
    }

    /// Pieces of a call share an index. Some servers give every call index 0, or none: there a new id is a new call.
    fn call(&mut self, piece: &Value) {
        let id = piece["id"].as_str().unwrap_or_default();
        let name = piece["function"]["name"].as_str().unwrap_or_default();
        let given = piece["index"].as_u64();
        let known = match given {
            Some(index) => self.calls.iter().rposition(|call| call.index == index),
            None => self.calls.len().checked_sub(1),
        };
        let is_new = |call: &Call| {
            !name.is_empty() && !id.is_empty() && !call.id.is_empty() && call.id != id
        };
        let at = match known {
            Some(at) if !is_new(&self.calls[at]) => at,
            _ => {
                let index = given.unwrap_or(self.calls.len() as u64);
                self.calls.push(Call { index, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        match &piece["function"]["arguments"] {
            Value::String(text) => call.arguments.push_str(text),
            // Not of the form, but what is meant is clear.
            object @ Value::Object(_) => call.arguments.push_str(&object.to_string()),
            _ => {}
        }
    }

    /// Whether it is a usage, or none.
    pub(super) fn count(&mut self, usage: &Value) -> bool {
        if !usage.is_object() {
            return usage.is_null();
        }
        let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
        let read =
            count("/prompt_tokens_details/cached_tokens").or(count("/prompt_cache_hit_tokens"));
        self.told.is_whole = count("/completion_tokens").is_some();
        self.told.usage = Usage {
            input_tokens: count("/prompt_tokens").unwrap_or(0),
            output_tokens: count("/completion_tokens").unwrap_or(0),
            cache_read_tokens: read.unwrap_or(0),
            cache_write_tokens: count("/prompt_tokens_details/cache_write_tokens").unwrap_or(0),
            ..Usage::default()
        };
        true
    }

    /// The content so far: names and arguments of calls, too.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = [&self.thinking, &self.text, &self.refusal].map(String::as_str);
        let calls = self.calls.iter().flat_map(|call| [call.name.as_str(), &call.arguments]);
        texts.into_iter().chain(calls)
    }

    pub(super) fn told(&self) -> Told {
        self.told
    }

    pub(super) fn finish(self, tag: &str) -> Result<ModelReply, WireError> {
        let has_calls = !self.calls.is_empty();
        let finish = match self.finish_reason.as_deref() {
            Some("content_filter") => Finish::Refusal,
            Some("stop") if !self.refusal.is_empty() => Finish::Refusal,
            Some("stop") if has_calls => Finish::Tools,
            Some("stop") => Finish::End,
            Some("tool_calls" | "function_call") => Finish::Tools,
            Some("length") => Finish::Length,
            Some(other) => {
                return malformed(format!("the finish reason `{}` is not known", one_line(other)));
            }
            None => return malformed("no finish reason"),
        };
        let mut blocks = Vec::new();
        if !self.thinking.is_empty() {
            let item = json!({ self.thinking_name: self.thinking });
            blocks.push(native(tag, self.thinking, &item));
        }
        let text = self.text + &self.refusal;
        if !text.is_empty() {
            blocks.push(Block::Text { text });
        }
        blocks.extend(self.calls.into_iter().map(|call| {
            let arguments = Some(call.arguments).filter(|it| !it.trim().is_empty());
            Block::ToolUse {
                id: call.id,
                name: call.name,
                arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
            }
        }));
        Ok(ModelReply { blocks, finish })
    }
}

fn no_choices() -> WireError {
    WireError::Malformed("a chunk without `choices`".to_owned())
}
