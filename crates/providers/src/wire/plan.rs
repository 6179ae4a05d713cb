//! How to ask for an answer of a certain shape: natively, by a forced tool, or in words; and how to read it.

use super::{Asked, Wire, common};
use crate::config::Structured;
use crate::schema::{self, Dialect, Lowered};
use loopwright_protocol::{Block, Finish, ModelReply};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const TOOL: &str = "final_answer";

/// What was decided.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The system prompt, with instructions where they are needed.
    pub system: String,
    /// The schema for native structured output.
    pub native: Option<Value>,
    /// The tool whose arguments are the answer, and its parameters.
    pub tool: Option<(String, Value)>,
    is_wrapped: bool,
    is_prompt: bool,
    /// The schema as given, where strict mode adds `null`s to take out again.
    prune: Option<Value>,
}

impl Plan {
    /// Decides; `configured` is what the settings say of this model.
    pub(crate) fn new(asked: &Asked, configured: Option<Structured>) -> Self {
        let mut plan = Self { system: asked.request.system.clone(), ..Self::default() };
        let Some(schema) = &asked.request.schema else { return plan };
        let schema = common::value(schema);
        let mut mode = configured.or(asked.provider.structured).unwrap_or_else(|| default(asked));
        if mode == Structured::Native {
            match schema::lower(&schema, dialect(asked.provider.wire)) {
                Some(Lowered { schema: lowered, is_wrapped }) => {
                    plan.native = Some(lowered);
                    plan.is_wrapped = is_wrapped;
                    let is_strict = dialect(asked.provider.wire) == Dialect::Strict;
                    plan.prune = is_strict.then(|| schema.clone());
                }
                None => mode = Structured::Tool,
            }
        }
        if mode == Structured::Tool {
            match schema::as_tool(&schema) {
                Some(Lowered { schema: lowered, is_wrapped }) => {
                    let name = free_name(asked);
                    plan.say(&format!(
                        "When you are done, give your final answer by calling the tool `{name}`, once and with \
                         nothing after it. Write no answer outside of that call."
                    ));
                    plan.is_wrapped = is_wrapped;
                    plan.tool = Some((name, lowered));
                }
                None => mode = Structured::Prompt,
            }
        }
        if mode == Structured::Prompt {
            plan.is_prompt = true;
            plan.say(&format!(
                "Your final answer must be one JSON value that matches this JSON Schema, without any other text \
                 and without a code fence:\n{schema}"
            ));
        }
        plan
    }

    fn say(&mut self, instruction: &str) {
        if !self.system.is_empty() {
            self.system.push_str("\n\n");
        }
        self.system.push_str(instruction);
    }

    /// Makes the answer the JSON text of one text block.
    pub(crate) fn read(&self, mut reply: ModelReply) -> ModelReply {
        if let Some((name, _)) = &self.tool {
            reply = self.read_tool(reply, name);
        }
        if reply.finish != Finish::End
            || (!self.is_wrapped && !self.is_prompt && self.prune.is_none())
        {
            return reply;
        }
        let mut text = String::new();
        let mut place = None;
        let mut blocks = Vec::with_capacity(reply.blocks.len());
        for block in std::mem::take(&mut reply.blocks) {
            match block {
                Block::Text { text: part } => {
                    place.get_or_insert(blocks.len());
                    text.push_str(&part);
                }
                other => blocks.push(other),
            }
        }
        if let Some(place) = place {
            blocks.insert(place, Block::Text { text: self.answer(text) });
        }
        reply.blocks = blocks;
        reply
    }

    /// The call of the answer tool becomes the text. Beside calls of other tools it came too early: it is left out.
    fn read_tool(&self, mut reply: ModelReply, tool: &str) -> ModelReply {
        let is_answer =
            |block: &Block| matches!(block, Block::ToolUse { name, .. } if name == tool);
        let is_call = |block: &Block| matches!(block, Block::ToolUse { .. });
        let answers = reply.blocks.iter().filter(|block| is_answer(block)).count();
        if answers == 0 {
            return reply;
        }
        if reply.blocks.iter().filter(|block| is_call(block)).count() > answers {
            reply.blocks.retain(|block| !is_answer(block));
            return reply;
        }
        let mut is_first = true;
        let blocks = std::mem::take(&mut reply.blocks);
        let read = blocks.into_iter().filter_map(|block| match block {
            Block::ToolUse { arguments, .. } => {
                std::mem::take(&mut is_first).then_some(Block::Text { text: arguments })
            }
            // What it says around the call is no part of the answer.
            Block::Text { .. } => None,
            native @ Block::Native { .. } => Some(native),
        });
        reply.blocks = read.collect();
        if reply.finish == Finish::Tools {
            reply.finish = Finish::End;
        }
        reply
    }

    fn answer(&self, text: String) -> String {
        let mut text = if self.is_prompt { without_fence(&text).to_owned() } else { text };
        if self.is_wrapped {
            // As raw text: numbers stay as they were written.
            let wrapper = serde_json::from_str::<BTreeMap<&str, &RawValue>>(&text);
            let inner = wrapper.ok().filter(|it| it.len() == 1);
            if let Some(inner) = inner.as_ref().and_then(|it| it.get(schema::WRAPPER)) {
                text = inner.get().to_owned();
            }
        }
        if let Some(schema) = &self.prune
            && let Ok(answer) = serde_json::from_str::<Value>(&text)
        {
            let mut pruned = answer.clone();
            schema::prune(&mut pruned, schema, schema);
            if pruned != answer {
                text = pruned.to_string();
            }
        }
        text
    }
}

fn dialect(wire: Wire) -> Dialect {
    match wire {
        Wire::Anthropic => Dialect::Anthropic,
        Wire::OpenaiResponses | Wire::OpenaiChat => Dialect::Strict,
        Wire::Gemini => Dialect::Gemini,
    }
}

/// What is known to work. Native output and tools in one request: Gemini 2 refuses them, and servers that constrain
/// what is written (Ollama, vLLM) keep the model from calling a tool then.
fn default(asked: &Asked) -> Structured {
    let has_tools = !asked.request.tools.is_empty();
    let is_old_gemini = ["gemini-1", "gemini-2"].iter().any(|it| asked.model.starts_with(it));
    let is_lookalike = asked.provider.wire == Wire::OpenaiChat && !asked.provider.is_openai();
    let is_apart = has_tools && (is_old_gemini || is_lookalike);
    let has_none = asked.entry.is_some_and(|it| it.is_unstructured());
    if is_apart || has_none { Structured::Tool } else { Structured::Native }
}

fn free_name(asked: &Asked) -> String {
    let mut name = TOOL.to_owned();
    while asked.request.tools.iter().any(|tool| tool.name == name) {
        name.push('_');
    }
    name
}

/// The text inside a Markdown fence, if the whole text is one.
fn without_fence(text: &str) -> &str {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix("```").and_then(|it| it.strip_suffix("```"));
    match inner.and_then(|it| it.split_once('\n')) {
        Some((_, body)) if !body.contains("```") => body.trim(),
        _ => trimmed,
    }
}
