//! Tokens that a provider used and did not tell: of a reply that broke off most wires tell nothing, and it is billed.

use crate::attempt::Spent;
use crate::count::Counted;
use crate::wire::Told;
use loopwright_protocol::{Block, Message, ModelRequest};
use loopwright_types::Usage;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a model's tokens are worth in bytes, learnt from what its provider tells, for as long as the process lives. What
/// comes of it is in the journal, so a replay needs none of it.
#[derive(Default)]
pub(crate) struct Estimates {
    models: Mutex<HashMap<String, Ratios>>,
}

/// What a request used, and how much of it the provider counted afterwards: a part of what is marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub usage: Usage,
    pub counted: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ratios {
    input: Ratio,
    output: Ratio,
}

/// Bytes and the tokens that they were.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    bytes: u64,
    tokens: u64,
}

/// What is assumed before anything is told, and how much of it: three bytes, so that an estimate is rather too high than
/// too low. Text in English has about four to a token, code and JSON about three.
const START: Ratio = Ratio { bytes: 300, tokens: 100 };
/// So many tokens back a ratio looks: what a model is asked for changes in the course of a run.
const TOKENS_MAX: u64 = 1_000_000;
/// Most bytes of a token, over a whole text.
const BYTES_MAX: u64 = 8;
/// Most tokens of a byte of output. There is more than one where a model thinks and does not show it.
const HIDDEN_MAX: u64 = 4;

impl Default for Ratio {
    fn default() -> Self {
        START
    }
}

impl Ratio {
    fn learn(&mut self, bytes: usize, tokens: u64) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.tokens = self.tokens.saturating_add(tokens);
        while self.tokens > TOKENS_MAX {
            (self.bytes, self.tokens) = (self.bytes.div_ceil(2), self.tokens.div_ceil(2));
        }
    }

    /// Tokens of so many bytes; `most` of one byte.
    fn tokens(self, bytes: usize, most: u64) -> u64 {
        let bytes = bytes as u64;
        let learnt = u128::from(bytes) * u128::from(self.tokens);
        let learnt = learnt.div_ceil(u128::from(self.bytes.max(1)));
        let learnt = u64::try_from(learnt).unwrap_or(u64::MAX);
        learnt.clamp(bytes.div_ceil(BYTES_MAX), bytes.saturating_mul(most))
    }

    /// Whether the model writes more than it shows: no text has two tokens for three bytes.
    fn is_hiding(self) -> bool {
        self.tokens.saturating_mul(3) > self.bytes.saturating_mul(2)
    }
}

impl Estimates {
    fn models(&self) -> MutexGuard<'_, HashMap<String, Ratios>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request used: what was told as it was told, and for the rest what was counted, or else an estimate from the
    /// bytes: the input's where none was told, the output's since tokens were last told. Thinking that a provider does
    /// not show is in it as far as the model's other replies had such.
    pub(crate) fn usage(
        &self,
        spent: &Spent,
        counted: Counted,
        request: &ModelRequest,
        is_reply: bool,
    ) -> Used {
        let Told { mut usage, written, untold, .. } = spent.told;
        let bytes = input_bytes(request);
        let mut models = self.models();
        let ratios = models.entry(request.model.clone()).or_default();
        let mut of_provider = 0;
        if usage.input_tokens > 0 {
            ratios.input.learn(bytes, usage.input_tokens);
        } else {
            of_provider += counted.input.unwrap_or(0);
            usage.input_tokens = counted.input.unwrap_or_else(|| ratios.input.tokens(bytes, 1));
            usage.estimated_tokens = usage.input_tokens;
        }
        let told = usage.output_tokens;
        let estimate = |bytes| ratios.output.tokens(bytes, HIDDEN_MAX);
        if spent.told.has_output() {
            match is_reply {
                true if written > 0 => ratios.output.learn(written, told),
                true => {}
                false => usage.output_tokens += estimate(untold),
            }
        } else {
            let estimated = estimate(written);
            let output = match counted.output {
                Some(counted) if ratios.output.is_hiding() => estimated.max(counted),
                Some(counted) => counted,
                None => estimated,
            };
            // What was told at the start is part of it.
            usage.output_tokens = output.max(told);
            of_provider += counted.output.unwrap_or(0).saturating_sub(told);
        }
        // A provider that keeps to the limit writes no more; one that does not shows it by its bytes.
        let most = request.output_tokens_max.max(told).max(written as u64 / BYTES_MAX);
        usage.output_tokens = usage.output_tokens.min(most);
        usage.estimated_tokens += usage.output_tokens - told;
        Used { usage, counted: of_provider.min(usage.estimated_tokens) }
    }
}

/// Bytes of everything that a model reads as its input.
fn input_bytes(request: &ModelRequest) -> usize {
    let tools = request.tools.iter();
    let tools = tools.map(|it| it.name.len() + it.description.len() + it.input.text().len());
    let schema = request.schema.as_ref().map_or(0, |it| it.text().len());
    let messages = request.messages.iter().map(|message| match message {
        Message::User { text } => text.len(),
        Message::Assistant { blocks } => blocks.iter().map(block_bytes).sum(),
        Message::Tools { results } => results.iter().map(|it| it.text.len()).sum(),
    });
    request.system.len() + tools.sum::<usize>() + schema + messages.sum::<usize>()
}

fn block_bytes(block: &Block) -> usize {
    match block {
        Block::Text { text } => text.len(),
        Block::ToolUse { name, arguments, .. } => name.len() + arguments.len(),
        Block::Native { item, .. } => item.text().len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopwright_types::Usage;

    fn request(bytes: usize) -> ModelRequest {
        ModelRequest {
            model: "p:m".to_owned(),
            system: "x".repeat(bytes),
            messages: Vec::new(),
            tools: Vec::new(),
            schema: None,
            output_tokens_max: 10_000,
            effort: None,
            cache: false,
        }
    }

    fn told(input: u64, output: u64, written: usize, is_whole: bool) -> Spent {
        let usage = Usage { input_tokens: input, output_tokens: output, ..Usage::default() };
        Spent {
            has_begun: true,
            told: Told { usage, is_whole, written, untold: 0 },
            text: String::new(),
        }
    }

    /// Bytes and tokens.
    type Replies = &'static [(usize, u64)];

    /// Input and output estimated of 3,000 bytes each, after replies of so many bytes and tokens.
    fn learnt(replies: Replies, counted: Counted) -> (u64, u64, u64) {
        let estimates = Estimates::default();
        for (bytes, tokens) in replies {
            let spent = told(*tokens, *tokens, *bytes, true);
            let used = estimates.usage(&spent, Counted::default(), &request(*bytes), true);
            assert_eq!(used.usage, spent.told.usage, "what was told is left alone");
        }
        let used = estimates.usage(&told(0, 0, 3_000, false), counted, &request(3_000), false);
        assert_eq!(used.usage.estimated_tokens, used.usage.tokens());
        (used.usage.input_tokens, used.usage.output_tokens, used.counted)
    }

    #[test]
    fn an_estimate_is_what_earlier_replies_were_worth_within_what_can_be() {
        let none = Counted::default();
        let cases: [(Replies, (u64, u64)); 6] = [
            (&[], (1_000, 1_000)),
            (&[(400_000, 100_000)], (751, 751)),
            // What came long ago counts for less than what comes now.
            (&[(40_000_000, 10_000_000), (5_000_000, 2_500_000)], (1_250, 1_250)),
            // No text has eight bytes to a token, none more tokens than bytes; what is not shown may have.
            (&[(1_000_000, 10)], (375, 375)),
            (&[(1_000, 1_000_000)], (3_000, 10_000)),
            (&[(4_000, 8_000), (0, 5)], (3_000, 5_652)),
        ];
        for (replies, expected) in cases {
            let (input, output, _) = learnt(replies, none);
            assert_eq!((input, output), expected, "{replies:?}");
        }
    }

    #[test]
    fn a_count_goes_before_an_estimate_but_not_where_a_model_is_known_to_hide_what_it_thinks() {
        let counted = Counted { input: Some(700), output: Some(600) };
        assert_eq!(learnt(&[], counted), (700, 600, 1_300));
        assert_eq!(learnt(&[], Counted { output: None, ..counted }), (700, 1_000, 700));
        let (input, output, _) = learnt(&[(40_000, 80_000)], counted);
        assert!(input == 700 && output > 5_000, "{output}");
    }

    #[test]
    fn a_limit_caps_an_estimate_unless_the_bytes_show_that_nobody_keeps_to_it() {
        let estimates = Estimates::default();
        let output = |told: &Spent| {
            let used = estimates.usage(told, Counted::default(), &request(3), false);
            used.usage.output_tokens
        };
        assert_eq!(output(&told(1, 0, 40_000, false)), 10_000);
        assert_eq!(output(&told(1, 0, 800_000, false)), 100_000);
        assert_eq!(output(&told(1, 1, 0, false)), 1, "what was told at the start is in it");
    }
}
