//! Names to models: `provider:model`, `provider/model`, an alias, a tier, or the bare name of a known model.

use crate::catalog::Catalog;
use crate::config::{Providers, backticks};
use loopwright_protocol::Model;
use loopwright_types::{Code, Diagnostic};

/// Names that definitions written for other agents use.
const ALIASES: &[(&str, &str)] = &[
    ("haiku", "anthropic:claude-haiku-5-5"),
    ("opus", "anthropic:claude-opus-5-5"),
    ("sonnet", "anthropic:claude-sonnet-5-5"),
];

/// Small, medium and large of the providers that have all three; the first with a key in the environment counts.
const TIERS: &[(&str, [&str; 3])] = &[
    ("anthropic", ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"]),
    ("openai", ["gpt-6-luna", "gpt-6.1-terra", "gpt-6.1-sol"]),
    ("gemini", ["gemini-flash-lite-latest", "gemini-flash-latest", "gemini-pro-latest"]),
];

/// Output tokens of one reply where neither the settings nor the table say: providers want a number.
const OUTPUT_TOKENS: u64 = 8192;
/// What is asked for at most where the settings do not say: some providers count what is asked against their limits.
const OUTPUT_TOKENS_ASKED: u64 = 32_000;
/// How many steps an alias may take.
const STEPS_MAX: usize = 8;

/// Names that definitions written for other agents use, and what they stand for.
pub(crate) fn built_in_aliases() -> &'static [(&'static str, &'static str)] {
    ALIASES
}

impl Providers {
    /// The model of this name. An alias or tier may name another; a bare name must be in the price table. After
    /// `provider:` any model name is taken, because providers offer new ones every week: one that the table does not
    /// know has no price.
    ///
    /// # Errors
    /// [`Code::MODEL_UNKNOWN`] or [`Code::PROVIDER_UNKNOWN`], with the nearest names.
    pub fn resolve(&self, name: &str) -> Result<Model, Diagnostic> {
        let mut name = name.trim().to_owned();
        for _ in 0..STEPS_MAX {
            match self.step(&name) {
                Some(next) if next != name => name = next,
                _ => return self.pin(&name),
            }
        }
        let message = format!("the model alias `{name}` never comes to a model");
        Err(Diagnostic::new(Code::MODEL_UNKNOWN, message).hint("see `[models.aliases]`"))
    }

    /// What an alias, tier or bare name stands for.
    pub(crate) fn step(&self, name: &str) -> Option<String> {
        if let Some(target) = self.models.aliases.get(name) {
            return Some(target.clone());
        }
        let tiers = &self.models.tiers;
        let size = ["small", "medium", "large"].iter().position(|tier| *tier == name);
        if let Some(size) = size {
            let own = [&tiers.small, &tiers.medium, &tiers.large][size];
            return Some(own.clone().unwrap_or_else(|| self.tier(size)));
        }
        if let Some((_, target)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            return Some((*target).to_owned());
        }
        if self.split(name).is_some() {
            return None;
        }
        let known = self.known().find(|full| full.split_once(':').is_some_and(|it| it.1 == name));
        known.map(str::to_owned)
    }

    fn tier(&self, size: usize) -> String {
        let has_key = |provider: &str| {
            let key = self.providers.get(provider).and_then(|it| it.key.as_ref());
            key.is_some_and(|key| key.is_in_environment(&self.variables))
        };
        let (provider, models) =
            TIERS.iter().find(|(provider, _)| has_key(provider)).unwrap_or(&TIERS[0]);
        format!("{provider}:{}", models[size])
    }

    /// Splits at the first `:` or `/` where a provider's name is before it.
    fn split<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        let at = name.find([':', '/'])?;
        let (provider, model) = (&name[..at], &name[at + 1..]);
        (self.providers.contains_key(provider) && !model.is_empty()).then_some((provider, model))
    }

    /// Full names of all models with a price, one's own first.
    fn known(&self) -> impl Iterator<Item = &str> {
        let own = self.models.prices.keys().map(String::as_str);
        own.chain(Catalog::built_in().names())
    }

    fn pin(&self, name: &str) -> Result<Model, Diagnostic> {
        let Some((provider, model)) = self.split(name) else { return Err(self.unknown(name)) };
        let full = format!("{provider}:{model}");
        let catalog = Catalog::built_in();
        let priced = catalog.find(&full);
        let wire = self.provider(provider)?.wire;
        let entry = catalog.find_like(&full, wire, model);
        let own = self.models.prices.get(&full);
        let can = own.and_then(|it| it.output_tokens_max).or(entry.and_then(|it| it.reply));
        let asked = self.models.output_tokens_max;
        let output_tokens_max = match (asked, can) {
            (Some(asked), Some(can)) => asked.min(can),
            (Some(asked), None) => asked,
            (None, Some(can)) => can.min(OUTPUT_TOKENS_ASKED),
            (None, None) => OUTPUT_TOKENS,
        };
        Ok(Model {
            concurrency: self.concurrency(provider),
            provider: provider.to_owned(),
            output_tokens_max: output_tokens_max.max(1),
            context_tokens: own
                .and_then(|it| it.context_tokens)
                .or(entry.and_then(|it| it.context)),
            price: own.map(|it| it.price()).or(priced.map(|it| catalog.price(it))),
            name: full,
        })
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        if let Some((provider, model)) = name.split_once([':', '/']) {
            // `provider:` alone, or the provider is unknown.
            if let Err(error) = self.provider(provider)
                && !model.is_empty()
            {
                return error;
            }
        }
        let message = format!("there is no model `{name}`");
        let aliases = self.models.aliases.keys().map(String::as_str);
        let aliases = aliases.chain(ALIASES.iter().map(|(alias, _)| *alias));
        let bare = self.known().map(|full| full.split_once(':').map_or(full, |it| it.1));
        let near = nearest(name, aliases.chain(bare), 3);
        let hint = match near.is_empty() {
            true => "write `provider:model`, an alias of `[models.aliases]`, or `small`, `medium`, `large`".to_owned(),
            false => format!("did you mean {}? others are written `provider:model`", backticks(near.into_iter())),
        };
        Diagnostic::new(Code::MODEL_UNKNOWN, message).hint(hint)
    }

    /// Models of a provider whose names are like this one's, for a hint.
    pub(crate) fn models_like(&self, full: &str) -> Vec<String> {
        nearest(full, self.known(), 3).into_iter().map(str::to_owned).collect()
    }
}

/// The names that differ in at most a third of their characters, nearest first.
pub(crate) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    count: usize,
) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> = known
        .filter(|other| *other != name)
        .map(|other| (edits(name, other), other))
        .filter(|(distance, other)| *distance * 3 <= other.len())
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.truncate(count);
    scored.into_iter().map(|(_, other)| other).collect()
}

/// Levenshtein distance in bytes; a name too long for any model is far from all.
fn edits(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > b.len() {
        return usize::MAX / 3;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::providers;

    const SETTINGS: &str = r#"
        [models]
        output_tokens_max = 50000
        aliases = { fast = "small", house = "gateway/anthropic/claude:free", round = "trip", trip = "round" }
        tiers = { large = "ollama:llama3.2:3b" }
        [models.prices."gateway:anthropic/claude:free"]
        input = 1.5
        output = 2.0
        output_tokens_max = 4000
        [providers.gateway]
        wire = "openai-chat"
        base_url = "https://gateway.example.com/v1"
        key = "env:GATEWAY_KEY"
    "#;

    #[test]
    fn every_way_to_name_a_model_leads_to_its_full_name() {
        let read = providers(SETTINGS, &[("OPENAI_API_KEY", "k")]).unwrap();
        let cases = [
            ("anthropic:claude-opus-4-5", "anthropic:claude-opus-4-5"),
            ("anthropic/claude-opus-4-5", "anthropic:claude-opus-4-5"),
            ("claude-opus-4-5", "anthropic:claude-opus-4-5"),
            ("sonnet", "anthropic:claude-sonnet-5-5"),
            ("fast", "openai:gpt-6-luna"),
            ("medium", "openai:gpt-6.1-terra"),
            ("large", "ollama:llama3.2:3b"),
            ("house", "gateway:anthropic/claude:free"),
            ("gateway/meta/llama", "gateway:meta/llama"),
            (" openai:gpt-99 ", "openai:gpt-99"),
        ];
        for (name, full) in cases {
            let model = read.resolve(name).unwrap();
            assert_eq!(model.name, full, "{name}");
            assert_eq!(full.split_once(':').unwrap().0, model.provider);
        }
        let nobody = providers("", &[]).unwrap();
        assert_eq!(nobody.resolve("small").unwrap().name, "anthropic:claude-haiku-5-5");
    }

    #[test]
    fn prices_and_limits_come_from_the_settings_then_the_table_then_nowhere() {
        let read = providers(SETTINGS, &[]).unwrap();
        let model = |name: &str| read.resolve(name).unwrap();
        let house = model("house");
        let price = house.price.unwrap();
        assert_eq!(
            (price.input, price.output, price.cache_read),
            (1_500_000, 2_000_000, 1_500_000)
        );
        assert_eq!((price.source.as_str(), house.output_tokens_max), ("settings", 4000));
        let opus = model("opus");
        assert_eq!(opus.output_tokens_max, 50_000);
        assert_eq!(opus.context_tokens, Some(1_000_000));
        assert!(opus.price.unwrap().source.starts_with("LiteLLM"));
        assert_eq!(model("openai:gpt-99").price, None);
        let passed_on = model("gateway:gpt-4.1");
        assert_eq!(
            (passed_on.price, passed_on.output_tokens_max),
            (None, 32_768),
            "limits, no price"
        );
        let plain = providers("", &[]).unwrap();
        assert_eq!(plain.resolve("opus").unwrap().output_tokens_max, OUTPUT_TOKENS_ASKED);
        assert_eq!(plain.resolve("ollama:qwen").unwrap().output_tokens_max, OUTPUT_TOKENS);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_ones() {
        let read = providers(SETTINGS, &[]).unwrap();
        let cases = [
            ("claude-opus-4-55", Code::MODEL_UNKNOWN, "`claude-opus-4-5`"),
            ("sonet", Code::MODEL_UNKNOWN, "`sonnet`"),
            ("antropic:claude", Code::PROVIDER_UNKNOWN, "`anthropic`"),
            ("zzz:claude", Code::PROVIDER_UNKNOWN, "`[providers.zzz]`"),
            ("openai:", Code::MODEL_UNKNOWN, "`provider:model`"),
            ("", Code::MODEL_UNKNOWN, "`provider:model`"),
            ("round", Code::MODEL_UNKNOWN, "`[models.aliases]`"),
        ];
        for (name, code, hint) in cases {
            let error = read.resolve(name).unwrap_err();
            assert_eq!(error.code, code, "{name}: {error}");
            assert!(error.hint.as_ref().unwrap().contains(hint), "{name}: {error}");
        }
    }

    #[test]
    fn built_in_aliases_and_tiers_are_in_the_price_table() {
        let tiers = TIERS
            .iter()
            .flat_map(|(provider, models)| models.map(|model| format!("{provider}:{model}")));
        let aliases = ALIASES.iter().map(|(_, target)| (*target).to_owned());
        for name in tiers.chain(aliases) {
            assert!(Catalog::built_in().find(&name).is_some(), "{name}");
        }
    }
}
