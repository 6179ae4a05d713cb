//! HTTP clients and the headers of a request.

use super::Bounds;
use crate::config::{HeaderText, Provider, settings_error};
use crate::key::{KeyReference, Secret, Variables};
use loopwright_types::{Code, Diagnostic, Failure, FailureClass, Reason};
use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Clients, made when they are first needed: making one may read the system's certificates.
#[derive(Default)]
pub(crate) struct Clients(Mutex<Arc<Made>>);

#[derive(Default)]
struct Made {
    far: OnceLock<Result<Client, String>>,
    near: OnceLock<Result<Client, String>>,
    near_encrypted: OnceLock<Result<Client, String>>,
}

impl Clients {
    /// Forgets them: their connections end with the runtime that they were made in.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// The client for a provider. This machine's own servers are never asked through a proxy.
    pub(super) fn of(&self, provider: &Provider, bounds: &Bounds) -> Result<Client, Failure> {
        let made = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let is_encrypted = provider.base_url.scheme() == "https";
        let (place, is_near) = match (provider.is_loopback(), is_encrypted) {
            (false, _) => (&made.far, false),
            (true, true) => (&made.near_encrypted, true),
            (true, false) => (&made.near, true),
        };
        let made = place.get_or_init(|| make(is_near, is_encrypted, bounds));
        made.clone().map_err(|cause| {
            let message = format!("{} cannot be asked: {cause}", provider.shown());
            Failure::new(Reason::Provider, Code::PROVIDER_UNREACHABLE, message)
                .class(FailureClass::Never)
                .not_sent()
                .hint("are the system's certificates installed (the package `ca-certificates`)?")
        })
    }
}

fn make(is_near: bool, is_encrypted: bool, bounds: &Bounds) -> Result<Client, String> {
    // Another part of the program may have chosen one before.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut builder = Client::builder()
        .user_agent(concat!("loopwright/", env!("CARGO_PKG_VERSION")))
        // A redirect would carry the key to where nobody meant it to go.
        .redirect(reqwest::redirect::Policy::none())
        // Only the engine retries.
        .retry(reqwest::retry::never())
        .connect_timeout(bounds.connect);
    if is_near {
        builder = builder.no_proxy();
        if !is_encrypted {
            builder = builder.tls_certs_only([]);
        }
    }
    builder.build().map_err(|error| super::transport::cause(&error))
}

/// The headers of a request and the secrets in them.
pub(super) async fn headers(
    provider: &Provider,
    variables: &Variables,
    idempotency_key: &str,
) -> Result<(HeaderMap, Vec<Secret>), Diagnostic> {
    let mut headers = HeaderMap::new();
    let mut secrets = Vec::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    for (name, value) in provider.wire.headers() {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(idempotency_key) {
        headers.insert("idempotency-key", value);
    }
    if let Some(key) = &provider.key {
        let (name, before) = provider.wire.key_header();
        let name = HeaderName::from_static(name);
        add(&mut headers, &mut secrets, name, before, read(key, provider, variables).await?)?;
    }
    for (name, text) in &provider.headers {
        match text {
            HeaderText::Plain(text) => {
                let value = HeaderValue::from_str(text);
                headers.insert(name.clone(), value.map_err(|_| unusable(name))?);
            }
            HeaderText::Secret(key) => {
                let secret = read(key, provider, variables).await?;
                add(&mut headers, &mut secrets, name.clone(), "", secret)?;
            }
        }
    }
    Ok((headers, secrets))
}

fn add(
    headers: &mut HeaderMap,
    secrets: &mut Vec<Secret>,
    name: HeaderName,
    before: &str,
    secret: Secret,
) -> Result<(), Diagnostic> {
    let text = format!("{before}{}", secret.expose());
    let mut value = HeaderValue::from_str(&text).map_err(|_| unusable(&name))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    secrets.push(secret);
    Ok(())
}

fn unusable(name: &HeaderName) -> Diagnostic {
    settings_error(format!("the value of the header `{name}` cannot be sent"))
}

/// Reads a key; a keyring, which may take its time, on a thread of its own.
async fn read(
    key: &KeyReference,
    provider: &Provider,
    variables: &Variables,
) -> Result<Secret, Diagnostic> {
    if !key.is_slow() {
        return key.read(&provider.shown(), variables);
    }
    let (key, shown, variables) = (key.clone(), provider.shown(), variables.clone());
    let reading = tokio::task::spawn_blocking(move || key.read(&shown, &variables));
    reading.await.unwrap_or_else(|_| Err(settings_error("the keyring could not be read")))
}
