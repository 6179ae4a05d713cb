//! A request in neutral form, whatever wire it came over.

use crate::{Wire, random, tokens};
use serde_json::Value;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The client's side, tool results included.
    User,
    /// The model.
    Assistant,
    /// An instruction among the messages.
    System,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Text.
    Text(String),
    /// Thinking passed back, with its signature (or encrypted content) if it came along.
    Thinking {
        /// The thinking, empty where the wire carries only the signature.
        text: String,
        /// Signature, encrypted content or thought signature.
        signature: Option<String>,
    },
    /// A tool call of the model.
    Call {
        /// Its id; Gemini may leave it out.
        id: String,
        /// The tool.
        name: String,
        /// The arguments.
        arguments: Value,
        /// The thought signature that came with it (Gemini).
        signature: Option<String>,
    },
    /// The result of a tool call.
    Result {
        /// The id of the call it answers.
        id: String,
        /// The result as text.
        text: String,
        /// Whether the tool failed, where the wire says so.
        error: bool,
    },
    /// An image, a document or anything else that tests do not look into.
    Other(Value),
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Its pieces, in order.
    pub blocks: Vec<Block>,
}

/// A tool on offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub schema: Value,
}

/// What the request says about using tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The model decides.
    #[default]
    Auto,
    /// No tool may be called.
    None,
    /// Some tool must be called.
    Any,
    /// This tool must be called.
    Tool(String),
}

/// A request in neutral form.
#[derive(Clone, Debug)]
pub struct Request {
    /// The wire it came over.
    pub wire: Wire,
    /// Its place in the order of arrival, from 0.
    pub number: u64,
    /// How often this very prompt was asked before.
    pub attempt: u64,
    /// The model asked.
    pub model: String,
    /// The system prompt.
    pub system: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The tools on offer.
    pub tools: Vec<Tool>,
    /// Whether a tool must be called.
    pub choice: Choice,
    /// The schema of a structured answer, where asked for natively.
    pub schema: Option<Value>,
    /// Whether the reply is to be streamed.
    pub stream: bool,
    /// Whether a stream is to tell its usage (Chat; the other wires always do).
    pub stream_usage: bool,
    /// Whether the model is to think.
    pub thinking: bool,
    /// Whether encrypted reasoning is to be returned (Responses).
    pub encrypted_reasoning: bool,
    /// The limit of output tokens, if the request has one.
    pub max_tokens: Option<u64>,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The routing key of the prompt cache (OpenAI).
    pub cache_key: String,
    /// Ends of the prompt's pieces, in bytes of [`Request::prompt`].
    pub boundaries: Vec<usize>,
    /// The ends among [`Request::boundaries`] that carry a cache mark (Anthropic), in bytes.
    pub marks: Vec<usize>,
    /// The prompt as one text (tools, system, messages): what input tokens and cache prefixes are counted over.
    pub prompt: String,
    /// The request's body.
    pub body: Value,
}

impl Request {
    pub(crate) fn new(wire: Wire, model: &str, headers: &[(String, String)], body: Value) -> Self {
        Self {
            wire,
            number: 0,
            attempt: 0,
            model: model.to_owned(),
            system: String::new(),
            messages: Vec::new(),
            tools: Vec::new(),
            choice: Choice::Auto,
            schema: None,
            stream: false,
            stream_usage: true,
            thinking: false,
            encrypted_reasoning: false,
            max_tokens: None,
            headers: headers.to_vec(),
            cache_key: String::new(),
            boundaries: Vec::new(),
            marks: Vec::new(),
            prompt: String::new(),
            body,
        }
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The input tokens of the whole prompt.
    pub fn input_tokens(&self) -> u64 {
        tokens(self.prompt.len())
    }

    /// The text of the last message of the user.
    pub fn last_user_text(&self) -> String {
        let is_user = |message: &&Message| message.role == Role::User;
        let texts = |message: &Message| {
            let text = |block: &Block| match block {
                Block::Text(text) => Some(text.clone()),
                _ => None,
            };
            message.blocks.iter().filter_map(text).collect::<Vec<_>>().join("\n")
        };
        let mut found = self.messages.iter().rev().filter(is_user).map(texts);
        found.find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// The tool results since the model last spoke, as (call id, text).
    pub fn results(&self) -> Vec<(&str, &str)> {
        let since = self.messages.iter().rposition(|message| message.role == Role::Assistant);
        let tail = &self.messages[since.map_or(0, |index| index + 1)..];
        fn result(block: &Block) -> Option<(&str, &str)> {
            match block {
                Block::Result { id, text, .. } => Some((id, text)),
                _ => None,
            }
        }
        tail.iter().flat_map(|message| &message.blocks).filter_map(result).collect()
    }

    /// How many turns of the model in this conversation called tools.
    pub fn tool_turns(&self) -> usize {
        let calls = |message: &&Message| {
            message.role == Role::Assistant
                && message.blocks.iter().any(|block| matches!(block, Block::Call { .. }))
        };
        self.messages.iter().filter(calls).count()
    }

    /// A hash of model, key and prompt: the same question has the same one, however often it is asked.
    pub fn fingerprint(&self) -> u64 {
        random::hash(format!("{:?} {} {}", self.wire, self.model, self.prompt).as_bytes())
    }

    /// Adds a piece to the prompt's text; `marked` if a cache mark sits on it.
    pub(crate) fn push_prompt(&mut self, piece: &str, marked: bool) {
        self.prompt.push_str(piece);
        self.prompt.push('\n');
        self.boundaries.push(self.prompt.len());
        if marked {
            self.marks.push(self.prompt.len());
        }
    }
}
