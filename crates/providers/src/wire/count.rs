//! How each wire counts the tokens of an input without answering it. All of it is free of charge.
//!
//! - Anthropic: `POST /v1/messages/count_tokens` takes what a request takes, without `max_tokens` and `stream`. Free, with
//!   a rate limit of its own; a count «may differ by a small amount» and hold tokens of the system's that are not billed
//!   (<https://platform.claude.com/docs/en/build-with-claude/token-counting>).
//! - Responses: `POST /responses/input_tokens`, «the exact count the model will receive»
//!   (<https://developers.openai.com/api/docs/guides/token-counting>; its members: `openai-node`,
//!   `src/resources/responses/input-tokens.ts`).
//! - Gemini: `POST /models/<model>:countTokens` with a `generateContentRequest` that names the model again, or with
//!   `contents` (<https://ai.google.dev/api/tokens>).
//! - Chat Completions: OpenAI has none. llama.cpp has `POST /chat/completions/input_tokens`, which takes a request as it is
//!   (its `tools/server/README.md`); vLLM has `POST /tokenize` beside `/v1` (its `TokenizeChatRequest`).

use super::Wire;
use reqwest::Url;
use serde_json::{Map, Value, json};

/// Which of a wire's two ways to count is meant; only Chat Completions has a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    #[default]
    First,
    /// vLLM's `/tokenize`.
    Tokenize,
}

/// Members of a request to count.
const ANTHROPIC: &[&str] =
    &["model", "system", "messages", "tools", "tool_choice", "thinking", "output_config"];
const RESPONSES: &[&str] =
    &["model", "instructions", "input", "tools", "tool_choice", "reasoning", "text"];
const TOKENIZE: &[&str] = &["model", "messages", "tools"];

impl Wire {
    /// Where it counts.
    pub(crate) fn count_url(self, base: &Url, model: &str, way: Way) -> Url {
        let mut url = self.url(base, model);
        url.set_query(None);
        if let Ok(mut path) = url.path_segments_mut() {
            match (self, way) {
                (Self::OpenaiChat, Way::Tokenize) => {
                    path.pop().pop();
                }
                (Self::Anthropic, _) => drop(path.push("count_tokens")),
                (Self::OpenaiResponses | Self::OpenaiChat, _) => drop(path.push("input_tokens")),
                (Self::Gemini, _) => drop(path.pop().push(&format!("{model}:countTokens"))),
            }
        }
        if (self, way) == (Self::OpenaiChat, Way::Tokenize) {
            let is_version = url.path().ends_with("/v1");
            if let Ok(mut path) = url.path_segments_mut() {
                if is_version {
                    path.pop();
                }
                path.push("tokenize");
            }
        }
        url
    }

    /// What counts the input of the request with this body.
    pub(crate) fn count_request(self, body: Value, model: &str, way: Way) -> Value {
        let some = |names: &[&str]| {
            let member = |name: &&str| Some(((*name).to_owned(), body.get(name)?.clone()));
            Value::Object(names.iter().filter_map(member).collect::<Map<_, _>>())
        };
        match (self, way) {
            (Self::Anthropic, _) => some(ANTHROPIC),
            (Self::OpenaiResponses, _) => some(RESPONSES),
            (Self::OpenaiChat, Way::First) => body,
            (Self::OpenaiChat, Way::Tokenize) => some(TOKENIZE),
            (Self::Gemini, _) => {
                let mut request = json!({ "model": format!("models/{model}") });
                if let (Value::Object(request), Value::Object(body)) = (&mut request, body) {
                    request.extend(body);
                }
                json!({ "generateContentRequest": request })
            }
        }
    }

    /// What counts a text, as a message that says nothing else: more than the text's tokens by what any message adds.
    pub(crate) fn count_text(self, text: &str, model: &str) -> Value {
        match self {
            Self::Anthropic | Self::OpenaiChat => {
                json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
            }
            Self::OpenaiResponses => json!({ "model": model, "input": text }),
            Self::Gemini => {
                json!({ "contents": [{ "role": "user", "parts": [{ "text": text }] }] })
            }
        }
    }

    /// The tokens that were counted.
    pub(crate) fn counted(answer: &Value) -> Option<u64> {
        // Anthropic, OpenAI and llama.cpp; Gemini; vLLM.
        let names = ["input_tokens", "totalTokens", "count"];
        names.iter().find_map(|name| answer.get(name)?.as_u64()).filter(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_asked_for_beside_the_request() {
        let cases = [
            (Wire::Anthropic, "https://a.example", Way::First, "/v1/messages/count_tokens"),
            (Wire::Anthropic, "https://a.example/x/v1", Way::First, "/x/v1/messages/count_tokens"),
            (
                Wire::OpenaiResponses,
                "https://a.example/v1",
                Way::First,
                "/v1/responses/input_tokens",
            ),
            (Wire::OpenaiChat, "http://a:1/v1/", Way::First, "/v1/chat/completions/input_tokens"),
            (Wire::OpenaiChat, "http://a:1/v1/", Way::Tokenize, "/tokenize"),
            (Wire::OpenaiChat, "http://a:1/x/v1", Way::Tokenize, "/x/tokenize"),
            (Wire::OpenaiChat, "http://a:1/x", Way::Tokenize, "/x/tokenize"),
            (Wire::Gemini, "https://a.example", Way::First, "/v1beta/models/m-1:countTokens"),
        ];
        for (wire, base, way, path) in cases {
            let url = wire.count_url(&Url::parse(base).unwrap(), "m-1", way);
            assert_eq!((url.path(), url.query()), (path, None), "{wire:?} {base}");
        }
    }

    #[test]
    fn a_count_is_read_from_every_server_and_a_zero_is_none() {
        let cases = [
            (json!({ "input_tokens": 7 }), Some(7)),
            (json!({ "object": "response.input_tokens", "input_tokens": 7 }), Some(7)),
            (json!({ "totalTokens": 7, "promptTokensDetails": [] }), Some(7)),
            (json!({ "count": 7, "max_model_len": 9, "tokens": [1] }), Some(7)),
            (json!({ "tokens": [] }), None),
            (json!({ "input_tokens": 0 }), None),
            (json!([7]), None),
        ];
        for (answer, count) in cases {
            assert_eq!(Wire::counted(&answer), count, "{answer}");
        }
    }
}
