//! What the scripted model says.

use crate::{Request, tokens};
use serde_json::Value;
use std::time::Duration;

/// A piece of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Thinking; the server signs it.
    Thinking(String),
    /// Text.
    Text(String),
    /// A tool call.
    Call {
        /// Its id; none lets the server choose one.
        id: Option<String>,
        /// The tool.
        name: String,
        /// The arguments as the model wrote them: usually JSON.
        arguments: String,
    },
    /// A refusal in words.
    Refusal(String),
}

impl Part {
    /// The bytes that count as output.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Thinking(text) | Self::Text(text) | Self::Refusal(text) => text.len(),
            Self::Call { name, arguments, .. } => name.len() + arguments.len(),
        }
    }
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was done.
    End,
    /// It wants tools called.
    Tools,
    /// It reached the limit of output tokens.
    Length,
    /// It will not answer.
    Refusal,
    /// It paused a long turn and wants to be called again (Anthropic's `pause_turn`; elsewhere as [`Stop::End`]).
    Pause,
}

/// A scripted reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its pieces, in order.
    pub parts: Vec<Part>,
    /// Why it ends.
    pub stop: Stop,
    /// Time the model takes on top of the server's latency.
    pub delay: Duration,
}

impl Reply {
    /// A reply of these parts; it stops for tools if there is a call.
    pub fn parts(parts: impl Into<Vec<Part>>) -> Self {
        let parts = parts.into();
        let calls = parts.iter().any(|part| matches!(part, Part::Call { .. }));
        Self { parts, stop: if calls { Stop::Tools } else { Stop::End }, delay: Duration::ZERO }
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::parts([Part::Text(text.into())])
    }

    /// One tool call.
    pub fn call(name: impl Into<String>, arguments: &Value) -> Self {
        Self::parts(Vec::new()).and_call(name, arguments)
    }

    /// A refusal in words.
    pub fn refusal(text: impl Into<String>) -> Self {
        Self { stop: Stop::Refusal, ..Self::parts([Part::Refusal(text.into())]) }
    }

    /// The structured answer a request asks for: a call of the forced tool, else JSON text.
    pub fn answer(request: &Request, value: &Value) -> Self {
        match &request.choice {
            crate::Choice::Tool(name) => Self::call(name, value),
            _ => Self::text(value.to_string()),
        }
    }

    /// The same with thinking before it.
    #[must_use]
    pub fn thinking(mut self, text: impl Into<String>) -> Self {
        self.parts.insert(0, Part::Thinking(text.into()));
        self
    }

    /// The same with one more call.
    #[must_use]
    pub fn and_call(mut self, name: impl Into<String>, arguments: &Value) -> Self {
        let arguments = arguments.to_string();
        self.parts.push(Part::Call { id: None, name: name.into(), arguments });
        self.stop = Stop::Tools;
        self
    }

    /// The same with another stop.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// The same after a delay.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// All of its text.
    pub fn all_text(&self) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.parts.iter().filter_map(text).collect()
    }

    /// Tokens of the output, thinking included.
    pub fn output_tokens(&self) -> u64 {
        tokens(self.parts.iter().map(Part::bytes).sum())
    }

    /// Tokens of the thinking alone.
    pub fn thinking_tokens(&self) -> u64 {
        let thinking = |part: &&Part| matches!(part, Part::Thinking(_));
        tokens(self.parts.iter().filter(thinking).map(Part::bytes).sum())
    }

    /// Cuts the reply where `max_tokens` are used up, as a model at its limit does.
    pub(crate) fn limit(&mut self, max_tokens: u64) {
        if self.output_tokens() <= max_tokens {
            return;
        }
        let mut left = max_tokens as usize * 4;
        let mut kept = Vec::new();
        for mut part in std::mem::take(&mut self.parts) {
            let fits = part.bytes() <= left;
            if !fits {
                match &mut part {
                    Part::Thinking(text) | Part::Text(text) | Part::Refusal(text) => {
                        text.truncate(text.floor_char_boundary(left));
                    }
                    Part::Call { name, arguments, .. } => {
                        let room = left.saturating_sub(name.len());
                        arguments.truncate(arguments.floor_char_boundary(room));
                    }
                }
            }
            left = left.saturating_sub(part.bytes());
            if part.bytes() > 0 {
                kept.push(part);
            }
            if !fits {
                break;
            }
        }
        self.parts = kept;
        self.stop = Stop::Length;
    }
}
