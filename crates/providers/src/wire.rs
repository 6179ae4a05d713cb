//! Four forms of asking a model and reading its streamed answer. Each was written from its provider's public
//! reference and SDK types; none of them knows HTTP beyond a path and headers.

mod anthropic; // Anthropic Messages
mod anthropic_reply;
mod chat; // OpenAI Chat Completions, as many servers speak it
mod chat_reply;
mod common; // what the wires share
mod count; // tokens counted without an answer
mod gemini; // Gemini generateContent
mod gemini_reply;
mod plan; // how to ask for an answer of a certain shape
mod responses; // OpenAI Responses
mod responses_reply;

pub(crate) use count::Way;
pub(crate) use plan::Plan;

use crate::catalog::Entry;
use crate::config::Provider;
use crate::failure::WireError;
use crate::sse::SseEvent;
use loopwright_protocol::{ModelReply, ModelRequest};
use loopwright_types::Usage;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

/// A form of asking and answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// Anthropic Messages: `POST /v1/messages`.
    Anthropic,
    /// OpenAI Responses: `POST /responses`.
    OpenaiResponses,
    /// OpenAI Chat Completions: `POST /chat/completions`. Ollama, vLLM, llama.cpp and gateways speak it too.
    OpenaiChat,
    /// Gemini: `POST /models/<model>:streamGenerateContent`.
    Gemini,
}

/// What is asked, and of whom.
pub(crate) struct Asked<'a> {
    pub provider: &'a Provider,
    /// The model's name without its provider.
    pub model: &'a str,
    /// What the table knows of it.
    pub entry: Option<&'a Entry>,
    pub request: &'a ModelRequest,
}

/// What a provider told of a request's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub usage: Usage,
    /// Whether it told of the tokens of the whole reply, and not only of the input.
    pub is_whole: bool,
    /// Bytes of content that came.
    pub written: usize,
    /// Bytes of content that came after tokens were last told.
    pub untold: usize,
}

impl Told {
    /// Whether the tokens of the output were told, at least up to where they were last told: a zero for content that
    /// came is none, and neither is what Anthropic puts at the start.
    pub(crate) fn has_output(self) -> bool {
        self.is_whole && (self.usage.output_tokens > 0 || self.written == 0)
    }
}

impl Wire {
    /// The name used in settings and in [`loopwright_protocol::Block::Native`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenaiResponses => "openai-responses",
            Self::OpenaiChat => "openai-chat",
            Self::Gemini => "gemini",
        }
    }

    /// Where the request goes.
    pub(crate) fn url(self, base: &Url, model: &str) -> Url {
        let mut url = base.clone();
        let has_version = base
            .path_segments()
            .into_iter()
            .flatten()
            .any(|it| it.starts_with('v') && it.len() > 1);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            match self {
                Self::Anthropic if has_version => path.push("messages"),
                Self::Anthropic => path.extend(["v1", "messages"]),
                Self::OpenaiResponses => path.push("responses"),
                Self::OpenaiChat => path.extend(["chat", "completions"]),
                Self::Gemini => {
                    if !has_version {
                        path.push("v1beta");
                    }
                    path.push("models").push(&format!("{model}:streamGenerateContent"))
                }
            };
        }
        if self == Self::Gemini {
            url.set_query(Some("alt=sse"));
        }
        url
    }

    /// The header that carries the key, and what stands before the key in it.
    pub(crate) fn key_header(self) -> (&'static str, &'static str) {
        match self {
            Self::Anthropic => ("x-api-key", ""),
            Self::OpenaiResponses | Self::OpenaiChat => ("authorization", "Bearer "),
            Self::Gemini => ("x-goog-api-key", ""),
        }
    }

    /// Headers of every request.
    pub(crate) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Anthropic => &[("anthropic-version", "2023-06-01")],
            _ => &[],
        }
    }

    /// The request's body.
    pub(crate) fn encode(self, asked: &Asked, plan: &Plan) -> Value {
        match self {
            Self::Anthropic => anthropic::encode(asked, plan),
            Self::OpenaiResponses => responses::encode(asked, plan),
            Self::OpenaiChat => chat::encode(asked, plan),
            Self::Gemini => gemini::encode(asked, plan),
        }
    }

    /// A reader of the reply. `calls` counts the tool calls of the conversation so far, so that names made up here
    /// are new ones.
    pub(crate) fn decoder(self, provider: &str, calls: usize) -> Decoder {
        let form = match self {
            Self::Anthropic => Form::Anthropic(anthropic_reply::Reply::default()),
            Self::OpenaiResponses => Form::Responses(responses_reply::Reply::default()),
            Self::OpenaiChat => Form::Chat(chat_reply::Reply::default()),
            Self::Gemini => Form::Gemini(gemini_reply::Reply::default()),
        };
        Decoder { form, tag: common::tag(self, provider), calls, counted: 0 }
    }
}

/// Reads one streamed reply, event by event.
pub(crate) struct Decoder {
    form: Form,
    tag: String,
    calls: usize,
    /// Bytes of content when tokens were last told.
    counted: usize,
}

enum Form {
    Anthropic(anthropic_reply::Reply),
    Responses(responses_reply::Reply),
    Chat(chat_reply::Reply),
    Gemini(gemini_reply::Reply),
}

impl Form {
    fn told(&self) -> Told {
        match self {
            Self::Anthropic(reply) => reply.told(),
            Self::Responses(reply) => reply.told(),
            Self::Chat(reply) => reply.told(),
            Self::Gemini(reply) => reply.told(),
        }
    }

    fn texts(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Anthropic(reply) => Box::new(reply.texts()),
            Self::Responses(reply) => Box::new(reply.texts()),
            Self::Chat(reply) => Box::new(reply.texts()),
            Self::Gemini(reply) => Box::new(reply.texts()),
        }
    }

    fn written(&self) -> usize {
        self.texts().map(str::len).sum()
    }
}

impl Decoder {
    /// Takes an event; `true` when it was the terminal one.
    pub(crate) fn event(&mut self, event: &SseEvent) -> Result<bool, WireError> {
        let before = self.form.told();
        let result = match &mut self.form {
            Form::Anthropic(reply) => reply.event(event),
            Form::Responses(reply) => reply.event(event),
            Form::Chat(reply) => reply.event(event),
            Form::Gemini(reply) => reply.event(event),
        };
        if self.form.told() != before {
            self.counted = self.form.written();
        }
        result
    }

    /// The body ended as HTTP says it should. Only Gemini has no terminal event of its own: its last chunk says why
    /// it stopped.
    pub(crate) fn end(&self) -> Result<(), WireError> {
        match &self.form {
            Form::Gemini(reply) if reply.is_finished() => Ok(()),
            _ => Err(WireError::Cut),
        }
    }

    /// The reply is spoilt and is read on for its tokens alone: what [`Decoder::event`] says of it from here on means
    /// nothing but whether there is more to come.
    pub(crate) fn recover(&mut self) {
        if let Form::Anthropic(reply) = &mut self.form {
            reply.recover();
        }
    }

    /// Takes the tokens that a whole reply tells: some servers send one where a stream was asked for.
    pub(crate) fn take_whole(&mut self, reply: &Value) {
        match &mut self.form {
            Form::Anthropic(form) => form.count(&reply["usage"]),
            Form::Responses(form) => form.count(&reply["usage"]),
            Form::Chat(form) => drop(form.count(&reply["usage"])),
            Form::Gemini(form) => form.count(&reply["usageMetadata"]),
        }
    }

    /// The content so far, all of it as one text.
    pub(crate) fn text(&self) -> String {
        self.form.texts().collect()
    }

    /// The tokens told so far; also of a reply that does not count.
    pub(crate) fn told(&self) -> Told {
        let written = self.form.written();
        Told { written, untold: written.saturating_sub(self.counted), ..self.form.told() }
    }

    /// The reply, after its terminal event.
    pub(crate) fn finish(self) -> Result<ModelReply, WireError> {
        let mut reply = match self.form {
            Form::Anthropic(reply) => reply.finish(&self.tag)?,
            Form::Responses(reply) => reply.finish(&self.tag)?,
            Form::Chat(reply) => reply.finish(&self.tag)?,
            Form::Gemini(reply) => reply.finish(&self.tag)?,
        };
        common::name_calls(&mut reply.blocks, self.calls);
        common::check(&reply)?;
        Ok(reply)
    }
}

#[cfg(test)]
mod tests;
