//! What a configuration has, for people to look at. Never a key.

use crate::config::Providers;
use crate::key::KeyReference;
use crate::resolve::built_in_aliases;
use crate::wire::Wire;

/// A provider as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderInfo {
    /// Its name.
    pub name: String,
    /// How it is asked.
    pub wire: Wire,
    /// Where it is; holds no user, password or query.
    pub base_url: String,
    /// The host of that address, with its port where it is not the scheme's own.
    pub host: String,
    /// Where its key is; absent where it needs none.
    pub key: Option<KeyInfo>,
    /// Requests under way at once, where the configuration says so.
    pub concurrency: Option<u32>,
}

/// Where a key is, as settings write it, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// `env:NAME` (of several variables the one that is set, else all of them with ` or `), `file:PATH` or
    /// `keyring:SERVICE/USER`.
    pub reference: String,
    /// Whether it is there.
    pub status: KeyStatus,
}

/// Whether a key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// It can be read.
    Present,
    /// It cannot.
    Missing,
    /// Nobody looked: asking the desktop's keyring takes time and may ask somebody to unlock it.
    /// [`Providers::check_key`] does.
    Unchecked,
}

/// A name that stands for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName {
    /// The name.
    pub name: String,
    /// What kind of name it is.
    pub kind: NameKind,
    /// What the configuration says it stands for, in this one step.
    pub target: String,
}

/// What kind a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// Of `[models]`, `aliases`.
    Configured,
    /// One that definitions written for other agents use.
    BuiltIn,
    /// `small`, `medium` or `large`.
    Tier,
}

impl Providers {
    /// All providers, by name.
    pub fn list(&self) -> Vec<ProviderInfo> {
        let info = |provider: &crate::config::Provider| {
            let host = provider.base_url.host_str().unwrap_or_default();
            let port = provider.base_url.port().map(|port| format!(":{port}")).unwrap_or_default();
            ProviderInfo {
                name: provider.name.clone(),
                wire: provider.wire,
                base_url: provider.base_url.to_string(),
                host: format!("{host}{port}"),
                key: provider.key.as_ref().map(|key| self.key_info(key)),
                concurrency: provider.concurrency,
            }
        };
        self.providers.values().map(|provider| info(provider)).collect()
    }

    fn key_info(&self, key: &KeyReference) -> KeyInfo {
        let is_there = || match key.read("", &self.variables) {
            Ok(_) => KeyStatus::Present,
            Err(_) => KeyStatus::Missing,
        };
        let status = if key.is_slow() { KeyStatus::Unchecked } else { is_there() };
        KeyInfo { reference: key.shown(&self.variables), status }
    }

    /// The names that stand for models: one's own, the built-in ones that these do not replace, then the tiers.
    pub fn model_names(&self) -> Vec<ModelName> {
        let aliases = &self.models.aliases;
        let own = aliases.iter().map(|(name, target)| (name.clone(), NameKind::Configured, target));
        let mut names: Vec<ModelName> = own
            .map(|(name, kind, target)| ModelName { name, kind, target: target.clone() })
            .collect();
        for (name, target) in built_in_aliases() {
            let (name, target) = ((*name).to_owned(), (*target).to_owned());
            names.push(ModelName { name, kind: NameKind::BuiltIn, target });
        }
        for name in ["small", "medium", "large"] {
            if let Some(target) = self.step(name) {
                names.push(ModelName { name: name.to_owned(), kind: NameKind::Tier, target });
            }
        }
        names.retain(|it| it.kind == NameKind::Configured || !aliases.contains_key(&it.name));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::providers;

    const SETTINGS: &str = "
        [models]
        aliases = { sonnet = \"local:big\", fast = \"small\" }
        tiers = { large = \"opus\" }
        [providers.local]
        wire = \"openai-chat\"
        base_url = \"http://localhost:8000/v1\"
        key = \"file:/nowhere/at/all\"
        concurrency = 3
        [providers.mistral]
        key = \"keyring:mistral/me\"";

    #[test]
    fn keys_are_told_by_reference_and_never_by_value() {
        let variables =
            [("OPENAI_API_KEY", "sk-very-secret"), ("GOOGLE_API_KEY", "sk-very-secret")];
        let read = providers(SETTINGS, &variables).unwrap();
        let list = read.list();
        assert!(!format!("{list:?}").contains("very-secret"), "{list:?}");
        let key = |name: &str| {
            let key = list.iter().find(|it| it.name == name).unwrap().key.clone();
            key.map(|key| (key.reference, key.status))
        };
        let cases = [
            ("openai", "env:OPENAI_API_KEY", KeyStatus::Present),
            ("gemini", "env:GOOGLE_API_KEY", KeyStatus::Present),
            ("anthropic", "env:ANTHROPIC_API_KEY", KeyStatus::Missing),
            ("local", "file:/nowhere/at/all", KeyStatus::Missing),
            ("mistral", "keyring:mistral/me", KeyStatus::Unchecked),
        ];
        for (name, reference, status) in cases {
            assert_eq!(key(name), Some((reference.to_owned(), status)), "{name}");
        }
        assert_eq!(key("ollama"), None);
        let none = providers("", &[]).unwrap().list();
        let gemini = none.iter().find(|it| it.name == "gemini").unwrap().key.clone().unwrap();
        assert_eq!(gemini.reference, "env:GEMINI_API_KEY or env:GOOGLE_API_KEY");
        let local = list.iter().find(|it| it.name == "local").unwrap();
        assert_eq!((local.host.as_str(), local.concurrency), ("localhost:8000", Some(3)));
    }

    #[test]
    fn every_name_leads_to_what_is_told_of_it() {
        let read = providers(SETTINGS, &[]).unwrap();
        let names = read.model_names();
        let told: Vec<(&str, NameKind, &str)> =
            names.iter().map(|it| (it.name.as_str(), it.kind, it.target.as_str())).collect();
        assert_eq!(
            told,
            [
                ("fast", NameKind::Configured, "small"),
                ("sonnet", NameKind::Configured, "local:big"),
                ("haiku", NameKind::BuiltIn, "anthropic:claude-haiku-5-5"),
                ("opus", NameKind::BuiltIn, "anthropic:claude-opus-5-5"),
                ("small", NameKind::Tier, "anthropic:claude-haiku-5-5"),
                ("medium", NameKind::Tier, "anthropic:claude-sonnet-5-5"),
                ("large", NameKind::Tier, "opus"),
            ]
        );
        for it in names {
            assert_eq!(read.resolve(&it.name).unwrap(), read.resolve(&it.target).unwrap());
        }
    }
}
