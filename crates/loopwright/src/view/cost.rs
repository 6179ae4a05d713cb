//! What a task's work cost and what it spared: tokens that stayed out of the program, what prompt caches saved.

use super::figure;
use loopwright_protocol::{Json, Model, Outcome, Price, RunStart, SettleEntry};
use loopwright_types::Usage;
use std::collections::BTreeMap;

/// Bytes that count as one token where no provider has counted.
const BYTES_PER_TOKEN: u64 = 4;

/// The models that a run's steps ask, by their full names.
#[derive(Clone, Debug, Default)]
pub(super) struct Models(BTreeMap<String, Model>);

impl Models {
    /// Takes the models that the run pinned.
    pub(super) fn pinned(&mut self, start: &RunStart) {
        start.models.values().for_each(|model| self.add(model.clone()));
    }

    /// Takes the value of a step that looked a model up.
    pub(super) fn resolved(&mut self, value: &Json) {
        if let Ok(model) = value.read::<Model>() {
            self.add(model);
        }
    }

    fn add(&mut self, model: Model) {
        self.0.entry(model.name.clone()).or_insert(model);
    }

    /// The provider that serves a model; the part before the colon where the model is not known.
    pub(super) fn provider<'a>(&'a self, model: &'a str) -> &'a str {
        match self.0.get(model) {
            Some(known) => &known.provider,
            None => model.split([':', '/']).next().unwrap_or(model),
        }
    }

    pub(super) fn price(&self, model: &str) -> Option<&Price> {
        self.0.get(model).and_then(|model| model.price.as_ref())
    }
}

/// Tokens of tasks and what of them the program saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Tokens that stayed in the subagents' own contexts: input and output, less what came back.
    pub stayed_out_tokens: u64,
    /// Tokens of the values handed on to the program, four bytes of JSON each.
    pub came_back_tokens: u64,
}

impl Context {
    /// One task's.
    pub(super) fn of(usage: Usage, came_back_tokens: u64) -> Self {
        let stayed_out_tokens = usage.tokens().saturating_sub(came_back_tokens);
        Self { stayed_out_tokens, came_back_tokens }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.stayed_out_tokens = self.stayed_out_tokens.saturating_add(other.stayed_out_tokens);
        self.came_back_tokens = self.came_back_tokens.saturating_add(other.came_back_tokens);
    }

    /// In words; nothing where no tokens were counted.
    pub fn words(self) -> Option<String> {
        (self.stayed_out_tokens > 0).then(|| {
            format!(
                "{} tokens stayed out of the program; {} came back",
                figure(self.stayed_out_tokens),
                figure(self.came_back_tokens)
            )
        })
    }
}

/// Tokens of what an outcome brings into the program. A fallback value is the program's own; a salvaged text is
/// in the receipt.
pub(super) fn came_back_tokens(settle: &SettleEntry) -> u64 {
    let tokens = |bytes: usize| (bytes as u64).div_ceil(BYTES_PER_TOKEN);
    let value = match &settle.outcome {
        Outcome::Done(value) if !settle.fallback => tokens(value.text().len()),
        _ => 0,
    };
    value + settle.salvage.as_ref().map_or(0, |text| tokens(text.len()))
}

/// Prompt caches: what was read and written, and what it is worth where prices are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Input tokens read.
    pub read_tokens: u64,
    /// Of these, tokens whose price is known.
    pub priced_tokens: u64,
    /// Input tokens written.
    pub written_tokens: u64,
    saved: u128,
    extra: u128,
}

impl Cache {
    /// Counts what an attempt at a request used.
    pub(super) fn count(&mut self, price: Option<&Price>, usage: Usage) {
        self.read_tokens = self.read_tokens.saturating_add(usage.cache_read_tokens);
        self.written_tokens = self.written_tokens.saturating_add(usage.cache_write_tokens);
        let Some(price) = price else { return };
        self.priced_tokens = self.priced_tokens.saturating_add(usage.cache_read_tokens);
        let worth = |tokens: u64, dear: u64, cheap: u64| {
            u128::from(tokens).saturating_mul(u128::from(dear.saturating_sub(cheap)))
        };
        let saved = worth(usage.cache_read_tokens, price.input, price.cache_read);
        let extra = worth(usage.cache_write_tokens, price.cache_write, price.input);
        self.saved = self.saved.saturating_add(saved);
        self.extra = self.extra.saturating_add(extra);
    }

    /// What reading cost less than the same tokens uncached, in millionths of a dollar; nothing where no price
    /// is known.
    pub fn saved_usd_micros(self) -> Option<u64> {
        (self.priced_tokens > 0).then(|| micros(self.saved))
    }

    /// What writing cost more than the same tokens uncached, in millionths of a dollar.
    pub fn extra_usd_micros(self) -> u64 {
        micros(self.extra)
    }

    /// In words; nothing where no cache was used.
    pub fn words(self) -> Option<String> {
        if self.read_tokens == 0 && self.written_tokens == 0 {
            return None;
        }
        let mut told = format!("{} tokens read", figure(self.read_tokens));
        if let Some(saved) = self.saved_usd_micros() {
            told.push_str(&format!(", {} saved", money(saved)));
            let unknown = self.read_tokens.saturating_sub(self.priced_tokens);
            if unknown > 0 {
                told.push_str(&format!(" (without {} of unknown price)", figure(unknown)));
            }
        }
        if self.written_tokens > 0 {
            told.push_str(&format!("; {} written", figure(self.written_tokens)));
        }
        if self.extra_usd_micros() > 0 {
            told.push_str(&format!(", {} extra", money(self.extra_usd_micros())));
        }
        Some(told)
    }
}

/// Tokens times a price per million tokens, in millionths of a dollar.
fn micros(product: u128) -> u64 {
    u64::try_from(product / 1_000_000).unwrap_or(u64::MAX)
}

/// Dollars: cents from one dollar on, hundredths of a cent below.
pub fn money(usd_micros: u64) -> String {
    if usd_micros >= 1_000_000 {
        let cents = usd_micros.saturating_add(5_000) / 10_000;
        return format!("${}.{:02}", figure(cents / 100), cents % 100);
    }
    format!("$0.{:04}", usd_micros / 100)
}

/// Tokens and money in words.
pub(super) fn usage(usage: Usage) -> String {
    told(usage, " tokens")
}

/// The same in a row with other facts: `900 in (800 cached), 340 out, $0.0123`.
pub(super) fn usage_short(usage: Usage) -> String {
    told(usage, "")
}

fn told(usage: Usage, unit: &str) -> String {
    let mut told = format!("{}{unit} in", figure(usage.input_tokens));
    if usage.cache_read_tokens > 0 {
        told.push_str(&format!(" ({} cached)", figure(usage.cache_read_tokens)));
    }
    told.push_str(&format!(", {}{unit} out", figure(usage.output_tokens)));
    told.push_str(&estimated(usage));
    if usage.usd_micros > 0 {
        told.push_str(&format!(", {}", money(usage.usd_micros)));
    }
    told
}

/// What of the tokens no provider told; nothing where all were told.
pub(super) fn estimated(usage: Usage) -> String {
    match usage.estimated_tokens {
        0 => String::new(),
        tokens => format!(" ({} estimated)", figure(tokens)),
    }
}

/// What is in `all` and not yet in `counted`.
pub(super) fn less(all: Usage, counted: Usage) -> Usage {
    Usage {
        input_tokens: all.input_tokens.saturating_sub(counted.input_tokens),
        output_tokens: all.output_tokens.saturating_sub(counted.output_tokens),
        cache_read_tokens: all.cache_read_tokens.saturating_sub(counted.cache_read_tokens),
        cache_write_tokens: all.cache_write_tokens.saturating_sub(counted.cache_write_tokens),
        usd_micros: all.usd_micros.saturating_sub(counted.usd_micros),
        estimated_tokens: all.estimated_tokens.saturating_sub(counted.estimated_tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_reads_well_from_fractions_of_a_cent_to_thousands() {
        let cases = [
            (0, "$0.0000"),
            (24_650, "$0.0246"),
            (999_999, "$0.9999"),
            (2_194_999, "$2.19"),
            (2_195_000, "$2.20"),
            (1_234_567_890, "$1,234.57"),
        ];
        for (micros, text) in cases {
            assert_eq!(money(micros), text);
        }
    }

    #[test]
    fn a_cache_is_worth_what_its_prices_say_and_unknown_prices_are_named() {
        let price = Price {
            input: 3_000_000,
            output: 15_000_000,
            cache_read: 300_000,
            cache_write: 3_750_000,
            ..Price::default()
        };
        let usage = |cache_read_tokens, cache_write_tokens| Usage {
            input_tokens: 1_000_000,
            cache_read_tokens,
            cache_write_tokens,
            ..Usage::default()
        };
        let mut cache = Cache::default();
        assert_eq!(cache.words(), None);
        cache.count(None, usage(1000, 0));
        assert_eq!(cache.words().unwrap(), "1,000 tokens read");
        cache.count(Some(&price), usage(812_000, 40_000));
        let words = "813,000 tokens read, $2.19 saved (without 1,000 of unknown price); 40,000 written, $0.0300 extra";
        assert_eq!(cache.words().unwrap(), words);
        // A price list in which reading is dearer saves nothing, and counts as no debt either.
        let odd = Price { cache_read: 9_000_000, ..price };
        cache.count(Some(&odd), usage(1_000_000, 0));
        assert_eq!(cache.saved_usd_micros(), Some(2_192_400));
    }
}
