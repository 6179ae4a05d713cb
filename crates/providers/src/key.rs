//! Keys by reference. A key is read when it is needed, never written down, and never shown.

use crate::config::settings_error;
use loopwright_types::{Code, Diagnostic};
use std::fmt;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Looks up an environment variable.
pub(crate) type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

const KEY_BYTES_MAX: usize = 16 * 1024;
const KEYRING_WAIT: Duration = Duration::from_secs(30);

/// A key's text; its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    fn read(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let is_plain = text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        match text.len() {
            0 => Err("is empty"),
            n if n > KEY_BYTES_MAX => Err("is far too long for a key"),
            _ if !is_plain => Err("holds spaces or characters that no key has"),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The key itself, for a header only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The text without the key, should somebody have put it in.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&self.0, "…")
    }
}

/// Where a key is.
#[derive(Clone, Debug)]
pub(crate) enum KeyReference {
    /// In the first of these environment variables that is set.
    Variables(Vec<String>),
    /// The first line of a file.
    File(String),
    /// In the desktop's keyring, under these names; read once.
    Keyring { service: String, user: String, found: Arc<OnceLock<Secret>> },
}

impl KeyReference {
    /// Reads `env:NAME`, `file:PATH` or `keyring:SERVICE/USER`. `at` names the setting in errors. What is no
    /// reference may be a key, so it is never repeated.
    pub(crate) fn parse(text: &str, at: &str) -> Result<Self, Diagnostic> {
        let refused = |cause: &str| {
            settings_error(format!("`{at}` {cause}"))
                .hint("write where the key is: `env:NAME`, `file:PATH` or `keyring:SERVICE/USER`")
        };
        match text.split_once(':') {
            Some(("env", name)) => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                let is_name = !name.is_empty()
                    && name.bytes().all(fits)
                    && !name.starts_with(|first: char| first.is_ascii_digit());
                let parsed = is_name.then(|| Self::Variables(vec![name.to_owned()]));
                parsed.ok_or_else(|| refused("does not name an environment variable"))
            }
            Some(("file", "")) => Err(refused("names no file")),
            Some(("file", path)) => Ok(Self::File(path.to_owned())),
            Some(("keyring", rest)) => match rest.split_once('/') {
                Some((service, user)) if !service.is_empty() && !user.is_empty() => {
                    let (service, user) = (service.to_owned(), user.to_owned());
                    Ok(Self::Keyring { service, user, found: Arc::default() })
                }
                _ => Err(refused("does not name a service and a user")),
            },
            _ => Err(refused("must say where the key is and never be the key itself")),
        }
    }

    /// As settings write it; of several variables the one that is set, else all of them.
    pub(crate) fn shown(&self, variables: &Variables) -> String {
        match self {
            Self::Variables(names) => {
                let is_set =
                    |name: &&String| variables(name).is_some_and(|it| !it.trim().is_empty());
                let names = match names.iter().find(is_set) {
                    Some(name) => std::slice::from_ref(name),
                    None => names.as_slice(),
                };
                let names: Vec<String> = names.iter().map(|name| format!("env:{name}")).collect();
                names.join(" or ")
            }
            Self::File(path) => format!("file:{path}"),
            Self::Keyring { service, user, .. } => format!("keyring:{service}/{user}"),
        }
    }

    /// Whether reading it may take a while.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::Keyring { found, .. } if found.get().is_none())
    }

    /// Whether an environment variable holds it; says nothing of files and keyrings.
    pub(crate) fn is_in_environment(&self, variables: &Variables) -> bool {
        let Self::Variables(names) = self else { return false };
        names.iter().any(|name| variables(name).is_some_and(|it| !it.trim().is_empty()))
    }

    /// Reads the key.
    pub(crate) fn read(&self, owner: &str, variables: &Variables) -> Result<Secret, Diagnostic> {
        let missing = |cause: String, hint: String| {
            Diagnostic::new(Code::KEY_MISSING, format!("{owner} has no key: {cause}")).hint(hint)
        };
        match self {
            Self::Variables(names) => {
                let set = names.iter().find_map(|name| {
                    variables(name).filter(|it| !it.trim().is_empty()).map(|it| (name, it))
                });
                let Some((name, text)) = set else {
                    let list = names.iter().map(|name| format!("`{name}`"));
                    let list = list.collect::<Vec<_>>().join(" or ");
                    let hint = format!("set {list} in the environment, or say where the key is");
                    return Err(missing(format!("{list} is not set"), hint));
                };
                let hint = || format!("set `{name}` to the key that the provider gave you");
                Secret::read(&text).map_err(|cause| missing(format!("`{name}` {cause}"), hint()))
            }
            Self::File(path) => {
                let hint =
                    || "put the key, and nothing else, into the file's first line".to_owned();
                let text = std::fs::read_to_string(path).map_err(|error| {
                    missing(format!("`{path}` cannot be read: {error}"), hint())
                })?;
                let line = text.lines().next().unwrap_or_default();
                Secret::read(line).map_err(|cause| missing(format!("`{path}` {cause}"), hint()))
            }
            Self::Keyring { service, user, found } => {
                if let Some(secret) = found.get() {
                    return Ok(secret.clone());
                }
                let store = format!(
                    "store it with `secret-tool store --label=\"{service}\" service {service} username {user}`"
                );
                let text = look_up("secret-tool", service, user)
                    .map_err(|cause| missing(cause, store.clone()))?;
                let secret = Secret::read(&text).map_err(|cause| {
                    missing(format!("the keyring's `{service}/{user}` {cause}"), store)
                })?;
                Ok(found.get_or_init(|| secret).clone())
            }
        }
    }
}

/// Asks the desktop's keyring through libsecret's command, so that no library of it is linked.
fn look_up(program: &str, service: &str, user: &str) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(["lookup", "service", service, "username", user])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            format!("`secret-tool` (of libsecret), which reads the keyring, did not start: {error}")
        })?;
    let end = Instant::now() + KEYRING_WAIT;
    let status = loop {
        match child.try_wait().map_err(|error| format!("`secret-tool` was lost: {error}"))? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                // It may be waiting for somebody to unlock the keyring: nobody will.
                child.kill().ok();
                child.wait().ok();
                return Err("the keyring did not answer; is it locked?".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let mut text = String::new();
    if let Some(out) = child.stdout.take() {
        use std::io::Read;
        out.take(KEY_BYTES_MAX as u64 + 1)
            .read_to_string(&mut text)
            .map_err(|_| "the keyring gave something that is not text".to_owned())?;
    }
    match status.success() {
        true => Ok(text),
        false => Err(format!("the keyring has nothing under service `{service}`, user `{user}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Variables {
        Arc::new(|_| None)
    }

    #[test]
    fn a_literal_key_is_refused_and_never_repeated() {
        for text in ["sk-ant-very-secret", "env:sk-ant-very-secret", "very-secret", "Env:X", ""] {
            let error = KeyReference::parse(text, "providers.p.key").unwrap_err();
            assert_eq!(error.code, Code::PROVIDER_SETTINGS);
            assert!(!error.to_string().contains("very-secret"), "{error}");
        }
    }

    #[test]
    fn a_key_is_read_from_environment_and_file_and_hidden_from_debug() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sk-file\nsecond line\n").unwrap();
        let reference = format!("file:{}", file.path().display());
        let variables: Variables = Arc::new(|name| (name == "A").then(|| " sk-env\n".to_owned()));
        for (text, key) in [("env:A", "sk-env"), (reference.as_str(), "sk-file")] {
            let secret = KeyReference::parse(text, "k").unwrap().read("`p`", &variables).unwrap();
            assert_eq!(secret.expose(), key);
            assert_eq!(format!("{secret:?}"), "Secret(…)");
            assert_eq!(secret.scrub(&format!("bad key {key}!")), "bad key …!");
        }
    }

    #[test]
    fn the_keyring_is_asked_through_its_command() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let tells = script("tells", r#"printf '%s-%s-%s-%s-%s' "$@""#);
        let found = look_up(&tells, "a", "b").unwrap();
        assert_eq!(found, "lookup-service-a-username-b");
        let nothing = look_up(&script("nothing", "exit 1"), "a", "b").unwrap_err();
        assert_eq!(nothing, "the keyring has nothing under service `a`, user `b`");
        let absent = look_up("/nowhere/secret-tool", "a", "b").unwrap_err();
        assert!(
            absent.starts_with("`secret-tool` (of libsecret), which reads the keyring"),
            "{absent}"
        );
    }

    #[test]
    fn a_missing_key_says_where_it_was_looked_for() {
        let cases = [
            ("env:A", "provider `p` has no key: `A` is not set"),
            ("file:/nowhere/key", "provider `p` has no key: `/nowhere/key` cannot be read"),
        ];
        for (text, start) in cases {
            let error = KeyReference::parse(text, "k").unwrap().read("provider `p`", &none());
            let error = error.unwrap_err();
            assert_eq!(error.code, Code::KEY_MISSING);
            assert!(error.message.starts_with(start), "{}", error.message);
            assert!(error.hint.is_some());
        }
    }
}
