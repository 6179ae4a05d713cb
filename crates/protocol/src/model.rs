//! What is asked of a model and what it answers, in no provider's words. The wires are `providers`'.

use crate::Json;
use loopwright_types::{Micros, Usage};
use serde::{Deserialize, Serialize};

/// A model that a run may ask, pinned in its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its full name, `provider:model`.
    pub name: String,
    /// The provider: the key of caps, breaker and retry budget.
    pub provider: String,
    /// Most output tokens of one reply.
    pub output_tokens_max: u64,
    /// Tokens of input and output together that it can take in; absent is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Requests under way at once that the configuration allows its provider; absent is the run's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// What it costs; absent is not known, and counts as nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// Prices in millionths of a US dollar per million tokens: 3 dollars per million is `3_000_000`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Price {
    /// Input tokens that no cache held.
    pub input: u64,
    /// Output tokens, thinking included.
    pub output: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input tokens written to it.
    pub cache_write: u64,
    /// Where the figures come from.
    pub source: String,
    /// Of which day they are, `YYYY-MM-DD`.
    pub date: String,
}

impl Price {
    /// The price of this usage in millionths of a dollar, rounded up. Of the input tokens those read from and
    /// written to the cache have prices of their own.
    pub fn of(&self, usage: Usage) -> u64 {
        let cached = usage.cache_read_tokens.saturating_add(usage.cache_write_tokens);
        let plain = usage.input_tokens.saturating_sub(cached);
        let parts = [
            (plain, self.input),
            (usage.cache_read_tokens, self.cache_read),
            (usage.cache_write_tokens, self.cache_write),
            (usage.output_tokens, self.output),
        ];
        let sum: u128 =
            parts.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price)).sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// One request to a model. The idempotency key is the dispatch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// The model's full name, `provider:model`.
    pub model: String,
    /// The system prompt; empty is none.
    pub system: String,
    /// The conversation so far, oldest first; the last is the user's or tool results.
    pub messages: Vec<Message>,
    /// Tools the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// The JSON Schema of the final answer, as the program gave it; absent is text. A wire asks for it natively, or
    /// by a forced tool, or in words, and gives the answer back as the JSON text of [`Block::Text`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Json>,
    /// Most output tokens of this reply; enforced by the provider.
    pub output_tokens_max: u64,
    /// How hard to think: `minimal`, `low`, `medium`, `high`, or the provider's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Whether to mark system prompt, tools and conversation for the provider's prompt cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cache: bool,
}

/// A tool as a model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name, made of letters, digits, `_` and `-` only: providers take nothing else.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input: Json,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Message {
    /// From the person or program that asks.
    User {
        /// What it says.
        text: String,
    },
    /// From the model.
    Assistant {
        /// In the order in which the model wrote them.
        blocks: Vec<Block>,
    },
    /// Results of the tool calls of the message before, in their order.
    Tools {
        /// One for each call.
        results: Vec<ToolResult>,
    },
}

/// A part of a model's message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case")]
pub enum Block {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A wish to call a tool.
    ToolUse {
        /// The provider's name for the call, made unique within the reply.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments as the model wrote them: text that may not be JSON.
        arguments: String,
    },
    /// What the provider wants back verbatim with the next request: thinking with its signature, reasoning items.
    Native {
        /// The wire that wrote it; another leaves it out.
        wire: String,
        /// The thinking's text, for people.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
        /// The item as it came. Serialised as text: a member of a tagged value cannot be passed on unread.
        #[serde(with = "crate::json::as_text")]
        item: Json,
    },
}

/// What a tool gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call's id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The result or the error, as text for the model.
    pub text: String,
    /// Whether it is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

/// A whole reply: a finish reason was seen and every block is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelReply {
    /// In the order in which the model wrote them.
    pub blocks: Vec<Block>,
    /// Why it stopped.
    pub finish: Finish,
}

/// Why a model stopped writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done.
    End,
    /// It wants tools called.
    Tools,
    /// The output limit cut it off: no answer.
    Length,
    /// It, or a filter of the provider, refused.
    Refusal,
    /// The provider paused a long turn: ask again with the same conversation.
    Pause,
}

/// Limits that a provider told with a response, and how much of them is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderLimits {
    /// Requests.
    pub requests: Option<Window>,
    /// Tokens of any kind, or of input where the provider counts them apart.
    pub tokens: Option<Window>,
    /// Output tokens, where the provider counts them apart.
    pub output_tokens: Option<Window>,
}

/// One limit of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The most in one period.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// How long from now until it is whole again.
    pub reset: Micros,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_with_a_native_item_reads_back_letter_by_letter() {
        let item = Json::parse(r#"{"z": 1.50, "a":[ ]}"#.to_owned()).unwrap();
        let native = Block::Native { wire: "w".to_owned(), text: String::new(), item };
        let reply = ModelReply { blocks: vec![native.clone()], finish: Finish::End };
        assert_eq!(Json::of(&reply).read::<ModelReply>().unwrap(), reply);
        let message = Message::Assistant { blocks: vec![native] };
        assert_eq!(Json::of(&message).read::<Message>().unwrap(), message);
    }

    #[test]
    fn cached_tokens_have_their_own_price_and_fractions_round_up() {
        let price = Price {
            input: 3_000_000,
            output: 15_000_000,
            cache_read: 300_000,
            cache_write: 3_750_000,
            ..Price::default()
        };
        let usage = |input_tokens, output_tokens, cache_read_tokens, cache_write_tokens| Usage {
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            ..Usage::default()
        };
        assert_eq!(price.of(usage(1_000_000, 0, 0, 0)), 3_000_000);
        assert_eq!(price.of(usage(1000, 100, 800, 100)), 300 + 240 + 375 + 1500);
        assert_eq!(price.of(usage(1, 0, 1, 0)), 1);
        assert_eq!(price.of(usage(5, 0, 9, 0)), 3, "a provider that miscounts costs no less");
    }
}
