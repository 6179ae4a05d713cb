//! Providers and models as configured: what is built in, overlaid by `[providers.<name>]` and `[models]`.

mod models; // `[models]`: aliases, tiers, prices
mod provider; // one provider

pub(crate) use models::Models;
pub(crate) use provider::{HeaderText, Provider};

use crate::key::Variables;
use crate::resolve::nearest;
use loopwright_types::{Code, Diagnostic};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How a model is asked for an answer of a certain shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Structured {
    /// By the provider's own structured output.
    Native,
    /// By a tool whose arguments are the answer.
    Tool,
    /// In words.
    Prompt,
}

/// All providers and models of a configuration.
#[derive(Clone)]
pub struct Providers {
    pub(crate) providers: BTreeMap<String, Arc<Provider>>,
    pub(crate) models: Models,
    pub(crate) variables: Variables,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providers").field("providers", &self.providers).finish_non_exhaustive()
    }
}

impl Providers {
    /// Reads `[providers.<name>]` and `[models]` of a settings file over what is built in; other tables are not
    /// looked at. `variables` looks up an environment variable.
    ///
    /// # Errors
    /// [`Code::PROVIDER_SETTINGS`] when a table has a wrong form, a key instead of a reference to one, or a base URL
    /// that cannot be used. A key that is missing is not an error here: see [`Self::check_key`].
    pub fn read(
        settings: &toml::Table,
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self, Diagnostic> {
        let variables: Variables = Arc::new(variables);
        let mut providers: BTreeMap<String, Provider> = BTreeMap::new();
        for provider in provider::built_in(&variables)? {
            providers.insert(provider.name.clone(), provider);
        }
        for (name, value) in table(settings, "providers")?.into_iter().flatten() {
            let base = providers.remove(name);
            providers.insert(name.clone(), provider::read(name, value, base.as_ref())?);
        }
        let models = Models::read(table(settings, "models")?)?;
        let providers = providers.into_iter().map(|(name, it)| (name, Arc::new(it))).collect();
        Ok(Self { providers, models, variables })
    }

    /// The same, looking variables up in this process's environment.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn from_environment(settings: &toml::Table) -> Result<Self, Diagnostic> {
        Self::read(settings, |name| std::env::var(name).ok())
    }

    /// The names of all providers, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// The most requests under way at once at a provider, where the configuration says so.
    pub fn concurrency(&self, provider: &str) -> Option<u32> {
        self.providers.get(provider)?.concurrency
    }

    /// Reads the provider's key and forgets it again. May ask the desktop's keyring, which can take seconds.
    ///
    /// # Errors
    /// [`Code::KEY_MISSING`] when it has none, [`Code::PROVIDER_UNKNOWN`] when there is no such provider.
    pub fn check_key(&self, provider: &str) -> Result<(), Diagnostic> {
        let provider = self.provider(provider)?;
        match &provider.key {
            Some(key) => key.read(&provider.shown(), &self.variables).map(drop),
            None => Ok(()),
        }
    }

    /// The provider of this name.
    pub(crate) fn provider(&self, name: &str) -> Result<&Arc<Provider>, Diagnostic> {
        self.providers.get(name).ok_or_else(|| {
            let message = format!("there is no model provider `{name}`");
            let near = nearest(name, self.names(), 3);
            let hint = match near.is_empty() {
                true => format!(
                    "known are {}; others are configured in `[providers.{name}]`",
                    backticks(self.names())
                ),
                false => format!(
                    "did you mean {}? others are configured in `[providers.<name>]`",
                    backticks(near.into_iter())
                ),
            };
            Diagnostic::new(Code::PROVIDER_UNKNOWN, message).hint(hint)
        })
    }
}

/// Names in backticks, separated by commas.
pub(crate) fn backticks<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

pub(crate) fn settings_error(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::PROVIDER_SETTINGS, message)
}

fn table<'a>(settings: &'a toml::Table, name: &str) -> Result<Option<&'a toml::Table>, Diagnostic> {
    match settings.get(name) {
        None => Ok(None),
        Some(toml::Value::Table(table)) => Ok(Some(table)),
        Some(other) => {
            Err(settings_error(format!("`{name}` must be a table and is {}", other.type_str())))
        }
    }
}

/// Reads one table; errors name it and never quote its values, which may be keys.
fn read_table<T: for<'de> Deserialize<'de>>(
    value: &toml::Value,
    at: &str,
) -> Result<T, Diagnostic> {
    value.clone().try_into().map_err(|error: toml::de::Error| {
        let cause = error.message().lines().next().unwrap_or_default();
        settings_error(format!("`[{at}]` cannot be read: {cause}"))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn providers(
        toml: &str,
        variables: &[(&str, &str)],
    ) -> Result<Providers, Diagnostic> {
        let known: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Providers::read(&toml.parse().unwrap(), move |name| known.get(name).cloned())
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place_and_without_its_value() {
        let cases = [
            ("providers = 3", "`providers` must be a table and is integer"),
            ("[providers.x]\nwire = \"openai-chat\"", "`providers.x.base_url` is missing"),
            ("[providers.x]\nbase_url = \"http://localhost\"", "`providers.x.wire` is missing"),
            (
                "[providers.x]\nwire = \"open-ai\"\nbase_url = \"http://localhost\"",
                "`[providers.x]` cannot be read: unknown variant `open-ai`",
            ),
            (
                "[providers.openai]\nkey = \"sk-1\"",
                "`providers.openai.key` must say where the key is",
            ),
            (
                "[providers.openai]\nkye = \"env:A\"",
                "`[providers.openai]` cannot be read: unknown field `kye`",
            ),
            ("[providers.openai]\nbase_url = \"localhost:1\"", "`providers.openai.base_url` is no"),
            ("[providers.openai]\nbase_url = \"ftp://a\"", "`providers.openai.base_url` is no"),
            (
                "[providers.openai]\nbase_url = \"https://u:sk-1@a\"",
                "`providers.openai.base_url` holds a user or password",
            ),
            (
                "[providers.openai]\nbase_url = \"https://a/v1?key=sk-1\"",
                "`providers.openai.base_url` holds a query",
            ),
            (
                "[providers.openai]\nbase_url = \"http://example.com/v1\"",
                "`providers.openai.base_url` would send the key unencrypted",
            ),
            (
                "[providers.ollama.headers]\nAuthorization = \"Bearer sk-1\"",
                "`providers.ollama.headers.Authorization` must say where",
            ),
            (
                "[providers.ollama.headers]\n\"a b\" = \"1\"",
                "`providers.ollama.headers` has a name",
            ),
            ("[providers.\"a:b\"]\nwire = \"gemini\"", "`providers.a:b` is no name for a provider"),
            ("[models.aliases]\nfast = 3", "`[models]` cannot be read: invalid type"),
            ("[models.prices.\"a:b\"]\ninput = -1.0", "`models.prices.a:b` has a price"),
            ("[models.prices.ab]\ninput = 1.0", "`models.prices.ab` is not of the form"),
        ];
        for (toml, start) in cases {
            let error = providers(toml, &[]).map(drop).expect_err(toml);
            assert_eq!(error.code, Code::PROVIDER_SETTINGS, "{toml}");
            assert!(error.message.starts_with(start), "{toml}\n{}", error.message);
            assert!(!error.to_string().contains("sk-1"), "{error}");
        }
    }

    #[test]
    fn base_urls_come_from_the_usual_variables_and_settings_go_first() {
        let variables = [("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"), ("ANTHROPIC_BASE_URL", "")];
        let read = providers("", &variables).unwrap();
        assert_eq!(read.providers["openai"].base_url.as_str(), "http://127.0.0.1:1/v1");
        assert_eq!(read.providers["anthropic"].base_url.as_str(), "https://api.anthropic.com/");
        let toml = "[providers.openai]\nbase_url = \"http://localhost:2\"\nconcurrency = 7";
        let read = providers(toml, &variables).unwrap();
        assert_eq!(read.providers["openai"].base_url.as_str(), "http://localhost:2/");
        assert_eq!((read.concurrency("openai"), read.concurrency("gemini")), (Some(7), None));
        let wrong = providers("", &[("OPENAI_BASE_URL", "nonsense")]).unwrap_err();
        assert!(wrong.message.starts_with("`OPENAI_BASE_URL` is no"), "{wrong}");
    }

    #[test]
    fn keys_are_checked_before_anything_is_sent() {
        let read = providers("", &[("GOOGLE_API_KEY", "k")]).unwrap();
        assert!(read.check_key("gemini").is_ok());
        assert!(read.check_key("ollama").is_ok(), "a local server needs no key");
        let error = read.check_key("openai").unwrap_err();
        assert_eq!(error.code, Code::KEY_MISSING);
        assert_eq!(error.message, "provider `openai` has no key: `OPENAI_API_KEY` is not set");
        let error = read.check_key("opena").unwrap_err();
        assert_eq!(error.code, Code::PROVIDER_UNKNOWN);
        assert!(error.hint.unwrap().contains("did you mean `openai`"));
    }
}
