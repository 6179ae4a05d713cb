//! One provider: its wire, where it is, where its key is.

use super::{Structured, read_table, settings_error};
use crate::key::{KeyReference, Variables};
use crate::wire::Wire;
use loopwright_types::Diagnostic;
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A provider as configured.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub name: String,
    pub wire: Wire,
    pub base_url: Url,
    pub key: Option<KeyReference>,
    pub headers: Vec<(HeaderName, HeaderText)>,
    pub concurrency: Option<u32>,
    pub structured: Option<Structured>,
}

/// The value of an extra header.
#[derive(Clone, Debug)]
pub(crate) enum HeaderText {
    Plain(String),
    Secret(KeyReference),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderTable {
    wire: Option<Wire>,
    base_url: Option<String>,
    key: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    concurrency: Option<std::num::NonZeroU32>,
    structured: Option<Structured>,
}

/// Name, wire, base URL, variables of the key, variable of the base URL.
type BuiltIn = (&'static str, Wire, &'static str, &'static [&'static str], Option<&'static str>);

const BUILT_IN: &[BuiltIn] = &[
    (
        "anthropic",
        Wire::Anthropic,
        "https://api.anthropic.com",
        &["ANTHROPIC_API_KEY"],
        Some("ANTHROPIC_BASE_URL"),
    ),
    (
        "openai",
        Wire::OpenaiResponses,
        "https://api.openai.com/v1",
        &["OPENAI_API_KEY"],
        Some("OPENAI_BASE_URL"),
    ),
    (
        "gemini",
        Wire::Gemini,
        "https://generativelanguage.googleapis.com",
        &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        None,
    ),
    ("ollama", Wire::OpenaiChat, "http://localhost:11434/v1", &[], None),
    ("cerebras", Wire::OpenaiChat, "https://api.cerebras.ai/v1", &["CEREBRAS_API_KEY"], None),
    ("deepseek", Wire::OpenaiChat, "https://api.deepseek.com/v1", &["DEEPSEEK_API_KEY"], None),
    ("groq", Wire::OpenaiChat, "https://api.groq.com/openai/v1", &["GROQ_API_KEY"], None),
    ("mistral", Wire::OpenaiChat, "https://api.mistral.ai/v1", &["MISTRAL_API_KEY"], None),
    ("moonshot", Wire::OpenaiChat, "https://api.moonshot.ai/v1", &["MOONSHOT_API_KEY"], None),
    ("openrouter", Wire::OpenaiChat, "https://openrouter.ai/api/v1", &["OPENROUTER_API_KEY"], None),
    ("xai", Wire::OpenaiChat, "https://api.x.ai/v1", &["XAI_API_KEY"], None),
];

/// The providers that need no configuration.
pub(super) fn built_in(variables: &Variables) -> Result<Vec<Provider>, Diagnostic> {
    let provider = |(name, wire, base_url, keys, variable): &BuiltIn| {
        let set = variable.and_then(|variable| {
            variables(variable).filter(|it| !it.trim().is_empty()).map(|it| (variable, it))
        });
        let base_url = match set {
            Some((variable, text)) => read_url(text.trim(), variable, !keys.is_empty())?,
            None => Url::parse(base_url).expect("checked by a test"),
        };
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        Ok(Provider {
            name: (*name).to_owned(),
            wire: *wire,
            base_url,
            key: (!keys.is_empty()).then_some(KeyReference::Variables(keys)),
            headers: Vec::new(),
            concurrency: None,
            structured: None,
        })
    };
    BUILT_IN.iter().map(provider).collect()
}

/// Reads `[providers.<name>]` over what is built in under that name.
pub(super) fn read(
    name: &str,
    value: &toml::Value,
    base: Option<&Provider>,
) -> Result<Provider, Diagnostic> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        let message = format!("`providers.{name}` is no name for a provider");
        return Err(settings_error(message).hint("use letters, digits, `-`, `_` and `.`"));
    }
    let read: ProviderTable = read_table(value, &format!("providers.{name}"))?;
    let missing = |field: &str, hint: &str| {
        settings_error(format!("`providers.{name}.{field}` is missing")).hint(hint)
    };
    let key = match &read.key {
        Some(text) => Some(KeyReference::parse(text, &format!("providers.{name}.key"))?),
        None => base.and_then(|it| it.key.clone()),
    };
    let wire = read.wire.or(base.map(|it| it.wire)).ok_or_else(|| {
        missing("wire", "one of `anthropic`, `openai-responses`, `openai-chat`, `gemini`")
    })?;
    let base_url = match (&read.base_url, base) {
        (Some(text), _) => read_url(text, &format!("providers.{name}.base_url"), key.is_some())?,
        (None, Some(base)) => base.base_url.clone(),
        (None, None) => {
            return Err(missing("base_url", "such as `http://localhost:8000/v1`"));
        }
    };
    let headers = read.headers.iter().map(|(header, value)| read_header(name, header, value));
    Ok(Provider {
        name: name.to_owned(),
        wire,
        base_url,
        key,
        headers: headers.collect::<Result<_, _>>()?,
        concurrency: read.concurrency.map(std::num::NonZeroU32::get),
        structured: read.structured,
    })
}

fn read_header(
    provider: &str,
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderText), Diagnostic> {
    let at = format!("providers.{provider}.headers");
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| settings_error(format!("`{at}` has a name that is no header's: `{name}`")))?;
    let lower = header.as_str();
    let is_credential =
        ["auth", "key", "token", "secret", "cookie"].iter().any(|word| lower.contains(word));
    let is_reference = ["env:", "file:", "keyring:"].iter().any(|it| value.starts_with(it));
    if is_credential || is_reference {
        let reference = KeyReference::parse(value, &format!("{at}.{name}"))?;
        return Ok((header, HeaderText::Secret(reference)));
    }
    if reqwest::header::HeaderValue::from_str(value).is_err() {
        return Err(settings_error(format!("`{at}.{name}` is no header's value")));
    }
    Ok((header, HeaderText::Plain(value.to_owned())))
}

fn read_url(text: &str, at: &str, has_key: bool) -> Result<Url, Diagnostic> {
    let refused = |cause: &str, hint: &str| settings_error(format!("`{at}` {cause}")).hint(hint);
    let web = "is no web address that starts with `http://` or `https://`";
    let example = "such as `https://gateway.example.com/v1`";
    let url = Url::parse(text).map_err(|_| refused(web, example))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(refused(web, example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("holds a user or password", "say where the key is in `key`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("holds a query or fragment", "say where the key is in `key`"));
    }
    if has_key && url.scheme() == "http" && !is_near(&url) {
        return Err(refused("would send the key unencrypted", "write `https://`"));
    }
    Ok(url)
}

/// Whether the host is this machine or a private network's.
fn is_near(url: &Url) -> bool {
    if is_loopback(url) {
        return true;
    }
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse() {
        Ok(std::net::IpAddr::V4(ip)) => ip.is_private() || ip.is_link_local(),
        Ok(std::net::IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => {
            !host.contains('.')
                || [".local", ".internal", ".lan"].iter().any(|end| host.ends_with(end))
        }
    }
}

/// Whether the host is this machine: no proxy may come in between.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_ip =
        host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    is_ip || host == "localhost" || host.ends_with(".localhost")
}

impl Provider {
    /// The provider as errors name it.
    pub(crate) fn shown(&self) -> String {
        format!("provider `{}`", self.name)
    }

    /// Whether this is OpenAI itself and not a server that speaks like it: only there are its newer options known.
    pub(crate) fn is_openai(&self) -> bool {
        self.name == "openai"
            || self.base_url.host_str().is_some_and(|host| host.ends_with("openai.com"))
    }

    /// Whether it may be able to count tokens. Hosted services that speak Chat Completions cannot; a server that somebody
    /// named may.
    pub(crate) fn counts(&self) -> bool {
        let is_built_in = BUILT_IN.iter().any(|(name, ..)| *name == self.name);
        self.wire != Wire::OpenaiChat || !(is_built_in || self.is_openai())
    }

    /// Whether its address is this machine's.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.base_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_carries_a_key_only_on_near_networks() {
        let near = [
            "http://localhost:1",
            "http://127.3.0.1",
            "http://[::1]:8",
            "http://10.1.2.3/v1",
            "http://vllm:8000/v1",
            "http://gpu.internal/v1",
        ];
        for url in near {
            assert!(read_url(url, "u", true).is_ok(), "{url}");
        }
        for url in ["http://example.com", "http://8.8.8.8/v1", "http://127.0.0.1.example.com"] {
            assert!(read_url(url, "u", true).is_err(), "{url}");
            assert!(read_url(url, "u", false).is_ok(), "{url}");
        }
    }
}
