//! The four wire formats and where they live.

use serde::Serialize;

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// Anthropic Messages: `POST /v1/messages`; counts at `/v1/messages/count_tokens`.
    Anthropic,
    /// OpenAI Chat Completions: `POST /v1/chat/completions`; counts, where [`crate::Options::chat_counts`] says so, at
    /// `/v1/chat/completions/input_tokens`.
    Chat,
    /// OpenAI Responses: `POST /v1/responses`; counts at `/v1/responses/input_tokens`.
    Responses,
    /// Gemini: `POST /v1beta/models/{model}:streamGenerateContent?alt=sse` and `:generateContent`; `/v1` too. Counts at
    /// `:countTokens`.
    Gemini,
}

impl Wire {
    /// Every wire format.
    pub const ALL: [Self; 4] = [Self::Anthropic, Self::Chat, Self::Responses, Self::Gemini];

    /// The word used in reports and test names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Gemini => "gemini",
        }
    }

    /// What the official SDK of the wire wants as its base URL, after scheme, host and port.
    pub(crate) fn base_path(self) -> &'static str {
        match self {
            Self::Anthropic | Self::Gemini => "",
            Self::Chat | Self::Responses => "/v1",
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub wire: Wire,
    /// The model named in the path (Gemini).
    pub model: Option<String>,
    /// Whether the path asks for a stream (Gemini); elsewhere the body does.
    pub stream: bool,
    /// Whether the input is only to be counted.
    pub count: bool,
    /// The query has `alt=sse`.
    pub sse: bool,
    /// The query's `key`.
    pub key: Option<String>,
}

impl Route {
    /// The route of a request's target, if it is one of ours.
    pub fn of(target: &str) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let value = |name: &str| {
            query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)
        };
        let mut route = Self {
            wire: Wire::Anthropic,
            model: None,
            stream: false,
            count: false,
            sse: value("alt").is_some_and(|(_, value)| value == "sse"),
            key: value("key").map(|(_, value)| value.to_owned()),
        };
        match path {
            "/v1/messages" => {}
            "/v1/messages/count_tokens" => route.count = true,
            "/v1/chat/completions/input_tokens" => {
                (route.wire, route.count) = (Wire::Chat, true);
            }
            "/v1/responses/input_tokens" => (route.wire, route.count) = (Wire::Responses, true),
            "/v1/chat/completions" => route.wire = Wire::Chat,
            "/v1/responses" => route.wire = Wire::Responses,
            _ => {
                let versioned = ["/v1beta/models/", "/v1/models/"];
                let rest = versioned.iter().find_map(|prefix| path.strip_prefix(prefix))?;
                let (model, method) = rest.rsplit_once(':')?;
                route.wire = Wire::Gemini;
                route.model = Some(model.to_owned());
                (route.stream, route.count) = match method {
                    "streamGenerateContent" => (true, false),
                    "generateContent" => (false, false),
                    "countTokens" => (false, true),
                    _ => return None,
                };
            }
        }
        Some(route)
    }

    /// The wire whose error bodies an unknown path gets.
    pub fn nearest(target: &str) -> Wire {
        match target {
            _ if target.contains("enerateContent") => Wire::Gemini,
            _ if target.contains("/v1beta") => Wire::Gemini,
            _ if target.contains("/messages") => Wire::Anthropic,
            _ if target.contains("/responses") => Wire::Responses,
            _ => Wire::Chat,
        }
    }
}
