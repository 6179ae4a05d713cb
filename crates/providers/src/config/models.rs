//! `[models]`: aliases, tiers, prices of one's own, and how models answer.

use super::{Structured, read_table, settings_error};
use loopwright_protocol::Price;
use loopwright_types::Diagnostic;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the configuration says of models.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Models {
    /// Names of one's own.
    pub aliases: BTreeMap<String, String>,
    /// Names by size.
    pub tiers: Tiers,
    /// Prices and limits by full name, over the table's.
    pub prices: BTreeMap<String, PriceTable>,
    /// How to ask for structured answers, by full name.
    pub structured: BTreeMap<String, Structured>,
    /// Most output tokens of one reply, of every model.
    pub output_tokens_max: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tiers {
    pub small: Option<String>,
    pub medium: Option<String>,
    pub large: Option<String>,
}

/// Prices in US dollars per million tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceTable {
    input: f64,
    #[serde(default)]
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    #[serde(default)]
    date: String,
    pub context_tokens: Option<u64>,
    pub output_tokens_max: Option<u64>,
}

impl Models {
    pub(super) fn read(table: Option<&toml::Table>) -> Result<Self, Diagnostic> {
        let Some(table) = table else { return Ok(Self::default()) };
        let read: Self = read_table(&toml::Value::Table(table.clone()), "models")?;
        for (name, price) in &read.prices {
            if !name.contains(':') {
                let message = format!("`models.prices.{name}` is not of the form `provider:model`");
                return Err(settings_error(message));
            }
            let given =
                [Some(price.input), Some(price.output), price.cache_read, price.cache_write];
            if given.into_iter().flatten().any(|it| !(0.0..=1e6).contains(&it)) {
                let message = format!("`models.prices.{name}` has a price that is none");
                return Err(settings_error(message).hint("write US dollars per million tokens"));
            }
        }
        Ok(read)
    }
}

impl PriceTable {
    /// The price in the unit of the journal.
    pub(crate) fn price(&self) -> Price {
        // In range: checked when read.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let micros = |dollars: f64| (dollars * 1e6).round() as u64;
        Price {
            input: micros(self.input),
            output: micros(self.output),
            cache_read: micros(self.cache_read.unwrap_or(self.input)),
            cache_write: micros(self.cache_write.unwrap_or(self.input)),
            source: "settings".to_owned(),
            date: self.date.clone(),
        }
    }
}
