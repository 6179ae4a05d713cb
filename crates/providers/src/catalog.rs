//! The price table: what known models cost and how much they take. Written by `data/extract.py`.

use loopwright_protocol::Price;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The table with where it comes from.
#[derive(Debug, Deserialize)]
pub(crate) struct Catalog {
    source: String,
    date: String,
    models: BTreeMap<String, Entry>,
}

/// One model. Prices are millionths of a dollar per million tokens.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Entry {
    #[serde(rename = "in")]
    input: u64,
    #[serde(rename = "out")]
    output: u64,
    read: u64,
    write: u64,
    /// Tokens of input it takes.
    pub context: Option<u64>,
    /// Most tokens of one reply.
    pub reply: Option<u64>,
    #[serde(default, rename = "is")]
    flags: Vec<Flag>,
}

/// What is special about a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Flag {
    /// It thinks before it answers.
    Reasoning,
    /// It knows the effort `minimal`.
    Minimal,
    /// It decides itself how much to think; there is no token budget to set.
    Adaptive,
    /// It cannot be made to call a certain tool.
    Unforced,
    /// It has no native structured output.
    Unstructured,
}

impl Entry {
    pub(crate) fn is_reasoning(&self) -> bool {
        self.flags.contains(&Flag::Reasoning)
    }

    pub(crate) fn knows_minimal(&self) -> bool {
        self.flags.contains(&Flag::Minimal)
    }

    pub(crate) fn is_adaptive(&self) -> bool {
        self.flags.contains(&Flag::Adaptive)
    }

    pub(crate) fn is_unforced(&self) -> bool {
        self.flags.contains(&Flag::Unforced)
    }

    pub(crate) fn is_unstructured(&self) -> bool {
        self.flags.contains(&Flag::Unstructured)
    }
}

impl Catalog {
    /// The table compiled into this program.
    pub(crate) fn built_in() -> &'static Self {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| {
            serde_json::from_str(include_str!("../data/models.json")).expect("checked by a test")
        })
    }

    /// The entry of a model by its full name.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
        self.models.get(name)
    }

    /// Full names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The price of an entry, with its source and date.
    pub(crate) fn price(&self, entry: &Entry) -> Price {
        Price {
            input: entry.input,
            output: entry.output,
            cache_read: entry.read,
            cache_write: entry.write,
            source: self.source.clone(),
            date: self.date.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_its_source_and_day_and_has_plausible_prices() {
        let catalog = Catalog::built_in();
        assert!(catalog.source.starts_with("LiteLLM "), "{}", catalog.source);
        assert_eq!(catalog.date.len(), 10, "{}", catalog.date);
        assert!((50..=400).contains(&catalog.models.len()), "{}", catalog.models.len());
        for (name, entry) in &catalog.models {
            assert!(name.contains(':'), "{name}");
            assert!(entry.read <= entry.input, "{name} costs more from the cache");
            assert!(entry.output <= 1_000_000_000, "{name} costs over 1000 dollars a million");
        }
        let sonnet = catalog.price(catalog.find("anthropic:claude-sonnet-4-5").unwrap());
        assert_eq!((sonnet.input, sonnet.output), (3_000_000, 15_000_000));
        assert_eq!((sonnet.cache_read, sonnet.cache_write), (300_000, 3_750_000));
    }
}
