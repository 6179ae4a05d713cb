//! The transcript of one subagent and what follows from each reply.

use crate::{answer, prompt, repair};
use loopwright_protocol::{
    Block, Feedback, Finish, Json, Message, ModelReply, ModelRequest, ToolResult, ToolSpec,
};
use loopwright_types::{Code, Failure, FailureClass, Reason};
use serde_json::Value;

/// Pauses and empty replies in a row after which a model is given up.
const STALLS_MAX: u32 = 3;

/// What a subagent's loop begins with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The definition's system prompt.
    pub system: String,
    /// The task.
    pub prompt: String,
    /// Tools in reach.
    pub tools: Vec<ToolSpec>,
    /// The JSON Schema of the answer.
    pub schema: Option<Json>,
    /// Most requests to the model, re-asks excepted; 0 is no limit.
    pub turns_max: u32,
    /// An answer of an earlier attempt and what was wrong with it.
    pub feedback: Option<Feedback>,
}

/// One tool call that a model asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The provider's id.
    pub id: String,
    /// The tool as the model named it.
    pub name: String,
    /// Its arguments, or why they cannot be read.
    pub arguments: Result<Value, String>,
}

/// What follows from a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// These tools are to be called; then [`Conversation::take_results`] and the next request.
    Call(Vec<ToolCall>),
    /// The subagent is done. The value is not validated yet: the engine does that.
    Answer(Json),
    /// The answer is not JSON though a schema is wanted: these are the errors, for a re-ask.
    Unreadable(String),
    /// The same conversation is sent again.
    Again,
    /// The model gave no answer.
    Failed(Failure),
}

/// One subagent's transcript.
#[derive(Clone, Debug)]
pub struct Conversation {
    system: String,
    tools: Vec<ToolSpec>,
    schema: Option<Json>,
    messages: Vec<Message>,
    turns: u32,
    turns_max: u32,
    stalls: u32,
    /// Text of the last reply, for salvage.
    last_text: String,
}

impl Conversation {
    /// Begins a conversation.
    pub fn new(setup: Setup) -> Self {
        let system =
            prompt::system_prompt(&setup.system, setup.schema.as_ref(), !setup.tools.is_empty());
        let mut conversation = Self {
            system,
            tools: setup.tools,
            schema: setup.schema,
            messages: vec![Message::User { text: setup.prompt }],
            turns: 0,
            turns_max: setup.turns_max,
            stalls: 0,
            last_text: String::new(),
        };
        if let Some(feedback) = setup.feedback {
            let text = feedback.answer.text().to_owned();
            conversation.messages.push(Message::Assistant { blocks: vec![Block::Text { text }] });
            conversation.correct(&feedback.errors);
        }
        conversation
    }

    /// The next request. On the last turn no tools are offered and the model is told so.
    pub fn request(
        &self,
        model: &str,
        output_tokens_max: u64,
        effort: Option<String>,
    ) -> ModelRequest {
        let mut messages = self.messages.clone();
        let is_last = self.is_last_turn() && !self.tools.is_empty();
        if is_last && self.turns > 0 {
            // The roles take turns: a correction and this are one message.
            match messages.last_mut() {
                Some(Message::User { text }) => {
                    text.push_str("\n\n");
                    text.push_str(prompt::LAST_TURN);
                }
                _ => messages.push(Message::User { text: prompt::LAST_TURN.to_owned() }),
            }
        }
        ModelRequest {
            model: model.to_owned(),
            system: self.system.clone(),
            messages,
            tools: if is_last { Vec::new() } else { self.tools.clone() },
            schema: self.schema.clone(),
            output_tokens_max,
            effort,
            cache: true,
        }
    }

    /// Bytes of everything that the next request holds: what its input tokens are estimated from.
    pub fn bytes(&self) -> usize {
        let tools = self
            .tools
            .iter()
            .map(|tool| tool.name.len() + tool.description.len() + tool.input.text().len() + 16);
        let messages = self.messages.iter().map(|message| match message {
            Message::User { text } => text.len() + 8,
            Message::Assistant { blocks } => blocks.iter().map(block_bytes).sum(),
            Message::Tools { results } => {
                results.iter().map(|result| result.text.len() + result.id.len() + 16).sum()
            }
        });
        self.system.len() + tools.sum::<usize>() + messages.sum::<usize>()
    }

    /// Bytes of the part that siblings share: system prompt and tools.
    pub fn prefix(&self) -> (&str, &[ToolSpec]) {
        (&self.system, &self.tools)
    }

    /// Requests answered so far.
    pub fn turns(&self) -> u32 {
        self.turns
    }

    /// The text of the last reply: what is salvaged when there is no answer.
    pub fn last_text(&self) -> &str {
        &self.last_text
    }

    fn is_last_turn(&self) -> bool {
        self.turns_max > 0 && self.turns + 1 >= self.turns_max
    }

    /// Takes a whole reply and says what follows.
    pub fn take_reply(&mut self, reply: ModelReply) -> Next {
        let was_last = self.is_last_turn();
        self.turns += 1;
        let ModelReply { blocks, finish } = reply;
        let calls: Vec<ToolCall> = blocks.iter().filter_map(tool_call).collect();
        let text = text_of(&blocks);
        if !text.is_empty() {
            self.last_text.clone_from(&text);
        }
        if !blocks.is_empty() {
            self.messages.push(Message::Assistant { blocks });
        }
        match finish {
            Finish::Refusal => Next::Failed(refused(&text)),
            Finish::Length => Next::Failed(cut_off()),
            Finish::Pause => self.stalled(),
            Finish::End | Finish::Tools if !calls.is_empty() => {
                self.stalls = 0;
                if was_last {
                    return Next::Failed(turn_limit(self.turns_max));
                }
                Next::Call(calls)
            }
            Finish::End | Finish::Tools => self.answered(&text),
        }
    }

    fn answered(&mut self, text: &str) -> Next {
        if self.schema.is_none() {
            if text.trim().is_empty() {
                return self.stalled();
            }
            self.stalls = 0;
            return Next::Answer(Json::of(text));
        }
        self.stalls = 0;
        match answer::read_answer(text) {
            Ok(json) => Next::Answer(json),
            Err(errors) => Next::Unreadable(errors),
        }
    }

    /// A reply that brought nothing: asked again a few times.
    fn stalled(&mut self) -> Next {
        self.stalls += 1;
        if self.stalls >= STALLS_MAX {
            return Next::Failed(empty());
        }
        if !matches!(self.messages.last(), Some(Message::Assistant { .. })) {
            return Next::Again;
        }
        self.messages.push(Message::User { text: "Go on.".to_owned() });
        Next::Again
    }

    /// Takes the results of the tools called, one for each call and in their order.
    pub fn take_results(&mut self, results: Vec<ToolResult>) {
        self.messages.push(Message::Tools { results });
    }

    /// Sends the last answer back with what is wrong with it.
    pub fn correct(&mut self, errors: &str) {
        if !matches!(self.messages.last(), Some(Message::Assistant { .. })) {
            // A model that said nothing at all: keep the roles in turn.
            let blocks = vec![Block::Text { text: "(nothing)".to_owned() }];
            self.messages.push(Message::Assistant { blocks });
        }
        self.messages.push(Message::User { text: prompt::correction(errors) });
        // A re-ask has a limit of its own.
        self.turns = self.turns.saturating_sub(1);
    }
}

fn block_bytes(block: &Block) -> usize {
    match block {
        Block::Text { text } => text.len(),
        Block::ToolUse { id, name, arguments } => id.len() + name.len() + arguments.len(),
        Block::Native { item, .. } => item.text().len(),
    }
}

fn text_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|block| match block {
        Block::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn tool_call(block: &Block) -> Option<ToolCall> {
    let Block::ToolUse { id, name, arguments } = block else { return None };
    let arguments = repair::read_arguments(arguments).map(|(value, _)| value);
    Some(ToolCall { id: id.clone(), name: name.clone(), arguments })
}

fn refused(text: &str) -> Failure {
    let first: String = text.chars().take(200).collect();
    let message = if first.is_empty() {
        "the model refused to answer".to_owned()
    } else {
        format!("the model refused to answer: `{}`", first.replace('`', "'").replace('\n', " "))
    };
    Failure::new(Reason::Provider, Code::MODEL_REFUSED, message).class(FailureClass::Switch).hint(
        "another model may answer: give a `fallback`, or say in the prompt what the task is for",
    )
}

fn cut_off() -> Failure {
    let message = "the reply was cut off by its output limit";
    Failure::new(Reason::Provider, Code::REPLY_LENGTH, message)
        .class(FailureClass::Switch)
        .hint("raise `model.output_tokens_max`, or ask for less in one answer")
}

fn turn_limit(turns: u32) -> Failure {
    let message = format!("the subagent was not done within `{turns}` turns");
    Failure::new(Reason::Provider, Code::TURN_LIMIT, message)
        .hint("raise `maxTurns` on the call or in the definition, or the setting `task.turns_max`")
}

fn empty() -> Failure {
    let message = "the model answered nothing, again and again";
    Failure::new(Reason::Provider, Code::REPLY_EMPTY, message).class(FailureClass::Switch)
}

#[cfg(test)]
mod tests;
