//! Gemini: the streamed reply. It is whole when a chunk has told why it stopped and the body then ends as it should.

use super::Told;
use super::common::{malformed, native, parse, told_error};
use crate::failure::{WireError, one_line};
use crate::sse::SseEvent;
use loopwright_protocol::{Block, Finish, Json, ModelReply};
use loopwright_types::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Default)]
pub(super) struct Reply {
    parts: Vec<Piece>,
    finish_reason: Option<String>,
    block_reason: Option<String>,
    told: Told,
}

enum Piece {
    Text(String),
    Thought(String),
    Signature(String),
    Call(FunctionCall),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Chunk {
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate {
    index: u64,
    content: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    parts: Vec<Part>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Part {
    text: Option<String>,
    thought: bool,
    thought_signature: Option<String>,
    function_call: Option<FunctionCall>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FunctionCall {
    id: Option<String>,
    name: String,
    args: Option<Json>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Feedback {
    block_reason: Option<String>,
}

impl Reply {
    pub(super) fn event(&mut self, event: &SseEvent) -> Result<bool, WireError> {
        let value = parse(&event.data)?;
        if value.get("error").is_some() || value.as_array().is_some() {
            return Err(told_error(&value));
        }
        if !["candidates", "usageMetadata", "promptFeedback"]
            .iter()
            .any(|it| value.get(it).is_some())
        {
            return malformed("a chunk without candidates");
        }
        let chunk: Chunk = match serde_json::from_str(&event.data) {
            Ok(chunk) => chunk,
            Err(error) => {
                return malformed(format!(
                    "a chunk of another form: {}",
                    one_line(&error.to_string())
                ));
            }
        };
        if let Some(usage) = &chunk.usage_metadata {
            self.count(usage);
        }
        let blocked = chunk.prompt_feedback.and_then(|it| it.block_reason);
        self.block_reason = blocked.or(self.block_reason.take());
        for candidate in chunk.candidates.into_iter().filter(|it| it.index == 0) {
            for part in candidate.content.unwrap_or_default().parts {
                self.part(part);
            }
            self.finish_reason = candidate.finish_reason.or(self.finish_reason.take());
        }
        Ok(false)
    }

    fn part(&mut self, part: Part) {
        if let Some(signature) = part.thought_signature {
            self.parts.push(Piece::Signature(signature));
        }
        if let Some(call) = part.function_call {
            self.parts.push(Piece::Call(call));
        }
        let Some(text) = part.text.filter(|it| !it.is_empty()) else { return };
        match (self.parts.last_mut(), part.thought) {
            (Some(Piece::Text(so_far)), false) | (Some(Piece::Thought(so_far)), true) => {
                so_far.push_str(&text);
            }
            (_, false) => self.parts.push(Piece::Text(text)),
            (_, true) => self.parts.push(Piece::Thought(text)),
        }
    }

    pub(super) fn count(&mut self, usage: &Value) {
        let count = |name: &str| usage.get(name).and_then(Value::as_u64);
        let sum = |a: &str, b: &str| count(a).unwrap_or(0).saturating_add(count(b).unwrap_or(0));
        self.told.is_whole |= count("candidatesTokenCount").or(count("totalTokenCount")).is_some();
        self.told.usage = Usage {
            input_tokens: sum("promptTokenCount", "toolUsePromptTokenCount"),
            output_tokens: sum("candidatesTokenCount", "thoughtsTokenCount"),
            cache_read_tokens: count("cachedContentTokenCount").unwrap_or(0),
            cache_write_tokens: 0,
            ..Usage::default()
        };
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.is_some() || self.block_reason.is_some()
    }

    /// The content so far: names and arguments of calls, too.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|piece| match piece {
            Piece::Text(text) | Piece::Thought(text) => [text.as_str(), ""],
            Piece::Signature(_) => ["", ""],
            Piece::Call(call) => {
                [call.name.as_str(), call.args.as_ref().map_or("", |args| args.text())]
            }
        })
    }

    pub(super) fn told(&self) -> Told {
        self.told
    }

    pub(super) fn finish(self, tag: &str) -> Result<ModelReply, WireError> {
        let has_calls = self.parts.iter().any(|it| matches!(it, Piece::Call(_)));
        let finish = match (self.finish_reason.as_deref(), &self.block_reason) {
            (None, Some(_)) => Finish::Refusal,
            (None, None) => return Err(WireError::Cut),
            // The second is what some servers that speak like Gemini say.
            (Some("STOP" | "FUNCTION_CALL"), _) if has_calls => Finish::Tools,
            (Some("STOP"), _) => Finish::End,
            (Some("MAX_TOKENS" | "CONTINUATION"), _) => Finish::Length,
            (Some(reason), _) if REFUSALS.contains(&reason) => Finish::Refusal,
            (Some(other), _) => {
                return malformed(format!("it stopped for the reason `{}`", one_line(other)));
            }
        };
        let blocks = self.parts.into_iter().map(|piece| match piece {
            Piece::Text(text) => Block::Text { text },
            Piece::Thought(text) => {
                let item = json!({ "thought": true, "text": text });
                native(tag, text, &item)
            }
            Piece::Signature(signature) => {
                native(tag, String::new(), &json!({ "thoughtSignature": signature }))
            }
            Piece::Call(call) => Block::ToolUse {
                id: call.id.unwrap_or_default(),
                name: call.name,
                arguments: call.args.map_or_else(|| "{}".to_owned(), |it| it.text().to_owned()),
            },
        });
        Ok(ModelReply { blocks: blocks.collect(), finish })
    }
}

const REFUSALS: &[&str] = &[
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "ESCALATION",
    "PUP_LIMITED_DISABLED",
    "MODEL_ARMOR",
];
