//! Stored tokens: one file per server address, readable by its owner only.

use crate::dpop::Key;
use rmcp::transport::auth::{
    AuthError, CredentialRefreshGuard, CredentialStore, StoredCredentials,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// What a file holds.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Content {
    /// The server's address, for people who look into the file.
    url: String,
    /// Of a client that was registered at the last login.
    client_secret: Option<String>,
    credentials: Option<StoredCredentials>,
    /// How the server asked for more than there is.
    #[serde(default)]
    challenge: Option<String>,
    /// The private key that the tokens are bound to, where they are.
    #[serde(default)]
    dpop_key: Option<String>,
}

/// The tokens for one address.
#[derive(Clone)]
pub(crate) struct Tokens {
    path: PathBuf,
    url: String,
    /// Of a login that is under way: it replaces the stored one together with the tokens that are bound to it.
    key: Option<Key>,
}

impl Tokens {
    /// `directory` is made when the first token is stored.
    pub(crate) fn new(directory: &Path, server: &str, url: &str) -> Self {
        let name = crate::names::identifier(server, 24);
        let digest = loopwright_types::Digest::of(url.as_bytes()).to_string();
        let path = directory.join(format!("{name}-{}.json", &digest[..12]));
        Self { path, url: url.to_owned(), key: None }
    }

    /// The same file, for tokens that are bound to this key.
    pub(crate) fn bound_to(&self, key: Key) -> Self {
        Self { key: Some(key), ..self.clone() }
    }

    /// The key that requests for tokens are proven with: that of the login under way, else the stored one.
    pub(crate) fn key(&self) -> io::Result<Option<Key>> {
        match &self.key {
            Some(key) => Ok(Some(key.clone())),
            None => Ok(self.binding()?.as_deref().and_then(Key::read)),
        }
    }

    /// The key that the stored token is bound to, as it is stored; empty when it is lost, none when the token is not
    /// bound.
    pub(crate) fn binding(&self) -> io::Result<Option<String>> {
        let content = self.read()?;
        // The library tells the type only to those who link what it is made of.
        let token = content.credentials.and_then(|it| it.token_response);
        let token = serde_json::to_value(token)?;
        let kind = token.get("token_type").and_then(Value::as_str).unwrap_or_default();
        Ok(kind.eq_ignore_ascii_case("dpop").then(|| content.dpop_key.unwrap_or_default()))
    }

    fn read(&self) -> io::Result<Content> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let path = self.path.display();
                io::Error::new(ErrorKind::InvalidData, format!("`{path}` is damaged: {error}"))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Content::default()),
            Err(error) => Err(error),
        }
    }

    /// Whole or not at all: a token that is lost costs a login.
    fn write(&self, mut content: Content) -> io::Result<()> {
        content.url.clone_from(&self.url);
        self.make_directory()?;
        let new = self.path.with_extension(format!("new-{}", std::process::id()));
        let bytes = serde_json::to_vec_pretty(&content)?;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }

    fn make_directory(&self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)
    }

    /// The stored credentials.
    pub(crate) fn credentials(&self) -> io::Result<Option<StoredCredentials>> {
        self.read().map(|it| it.credentials)
    }

    /// The secret of the client that was registered at the last login.
    pub(crate) fn client_secret(&self) -> Option<String> {
        self.read().ok()?.client_secret
    }

    /// Keeps the secret of a client that was just registered.
    pub(crate) fn keep_client_secret(&self, secret: Option<String>) -> io::Result<()> {
        self.change(|content| content.client_secret = secret)
    }

    /// How the server last asked for more than there is.
    pub(crate) fn challenge(&self) -> Option<String> {
        self.read().ok()?.challenge
    }

    /// Keeps it, where there is a login at all. Without it the next login asks the server once more.
    pub(crate) fn keep_challenge(&self, challenge: Option<&str>) {
        if self.path.exists() {
            let _ = self.change(|content| content.challenge = challenge.map(str::to_owned));
        }
    }

    /// Keeps a token.
    pub(crate) fn keep(&self, credentials: StoredCredentials) -> io::Result<()> {
        self.change(|content| {
            content.credentials = Some(credentials);
            if let Some(key) = &self.key {
                content.dpop_key = Some(key.text().to_owned());
            }
        })
    }

    fn change(&self, change: impl FnOnce(&mut Content)) -> io::Result<()> {
        // A damaged file is of no use to anybody.
        let mut content = self.read().unwrap_or_default();
        change(&mut content);
        self.write(content)
    }

    /// Forgets everything.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until no other process refreshes these tokens: a refresh token often works once only.
    fn lock(&self) -> io::Result<File> {
        self.make_directory()?;
        let path = self.path.with_extension("lock");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    }
}

type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, AuthError>> + Send + 'a>>;

fn broken(error: &io::Error) -> AuthError {
    AuthError::CredentialStoreError(error.to_string())
}

// Written out as the library's macro would: the files are small, and reading them blocks for microseconds.
impl CredentialStore for Tokens {
    fn load<'a, 'b>(&'a self) -> Later<'b, Option<StoredCredentials>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(self.credentials().map_err(|it| broken(&it))))
    }

    fn save<'a, 'b>(&'a self, credentials: StoredCredentials) -> Later<'b, ()>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(self.keep(credentials).map_err(|it| broken(&it))))
    }

    fn clear<'a, 'b>(&'a self) -> Later<'b, ()>
    where
        'a: 'b,
        Self: 'b,
    {
        let cleared = self.change(|content| content.credentials = None);
        Box::pin(std::future::ready(cleared.map_err(|it| broken(&it))))
    }

    fn acquire_refresh_guard<'a, 'b>(&'a self) -> Later<'b, Option<CredentialRefreshGuard>>
    where
        'a: 'b,
        Self: 'b,
    {
        let tokens = self.clone();
        Box::pin(async move {
            let locked = tokio::task::spawn_blocking(move || tokens.lock()).await;
            let file =
                locked.map_err(io::Error::other).and_then(|it| it).map_err(|it| broken(&it))?;
            Ok(Some(CredentialRefreshGuard::new(file)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn tokens_are_kept_whole_and_for_their_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(&directory.path().join("mcp"), "../evil", "https://a.example/mcp");
        assert!(tokens.credentials().unwrap().is_none());
        let credentials =
            StoredCredentials::new("client".to_owned(), None, vec!["read".to_owned()], None);
        tokens.keep(credentials).unwrap();
        tokens.keep_client_secret(Some("secret".to_owned())).unwrap();
        assert_eq!(tokens.credentials().unwrap().unwrap().client_id, "client");
        assert_eq!(tokens.client_secret().as_deref(), Some("secret"));
        assert!(tokens.path.starts_with(directory.path().join("mcp")));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&tokens.path), 0o600);
        assert_eq!(mode(tokens.path.parent().unwrap()), 0o700);
        let other = Tokens::new(&directory.path().join("mcp"), "../evil", "https://b.example/mcp");
        assert!(
            other.credentials().unwrap().is_none(),
            "tokens go to the address they are for only"
        );
        tokens.remove().unwrap();
        tokens.remove().unwrap();
        assert!(tokens.credentials().unwrap().is_none());
    }
}
