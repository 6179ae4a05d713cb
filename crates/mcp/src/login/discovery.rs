//! The authorization server of a server, and whether its tokens are to be bound to a key.

use super::requests::{Proving, document};
use crate::dpop::{ALGORITHM, Key, is_named};
use crate::server::Server;
use crate::tokens::Tokens;
use reqwest::Url;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, WWWAuthenticateParams,
};
use serde_json::Value;
use std::sync::Arc;

/// What was found.
pub(super) struct Found {
    /// Knows the metadata.
    pub(super) manager: AuthorizationManager,
    pub(super) metadata: AuthorizationMetadata,
    /// Where the tokens to come go.
    pub(super) tokens: Tokens,
}

/// A manager that knows nothing yet and whose requests for tokens carry no proofs.
pub(super) async fn plain(url: &str, tokens: &Tokens) -> Result<AuthorizationManager, AuthError> {
    let mut manager = AuthorizationManager::new(url).await?;
    manager.set_credential_store(tokens.clone());
    Ok(manager)
}

/// The same, but its requests for tokens are proven with the key of `tokens`.
pub(super) async fn proving(url: &str, tokens: &Tokens) -> Result<AuthorizationManager, AuthError> {
    let server = Url::parse(url).map_err(|error| AuthError::InternalError(error.to_string()))?;
    let client = Arc::new(Proving::new(server, tokens.clone()));
    let mut manager = AuthorizationManager::new_with_oauth_http_client(url, client).await?;
    manager.set_credential_store(tokens.clone());
    Ok(manager)
}

/// Finds the authorization server for a login.
pub(super) async fn discover(
    server: &Server,
    url: &str,
    tokens: &Tokens,
) -> Result<Found, AuthError> {
    let challenge = server.challenge();
    let challenge = challenge.as_deref();
    let mut tokens = tokens.clone();
    let mut manager = plain(url, &tokens).await?;
    let mut metadata = manager.resolve_metadata_from_challenge(challenge).await?.metadata;
    let was_bound = tokens.binding().is_ok_and(|it| it.is_some());
    if wants_bound(&metadata, challenge, was_bound, url).await {
        let key = Key::new().map_err(AuthError::InternalError)?;
        tokens = tokens.bound_to(key);
        // The library's way of asking is chosen when a manager is made, and what it found cannot be handed on.
        manager = proving(url, &tokens).await?;
        metadata = manager.resolve_metadata_from_challenge(challenge).await?.metadata;
    }
    manager.set_metadata(metadata.clone());
    Ok(Found { manager, metadata, tokens })
}

/// Whether tokens are to be bound: the resource takes such tokens, and the authorization server gives them out. Many
/// authorization servers offer them to all, and most resources would not know what to do with one.
async fn wants_bound(
    metadata: &AuthorizationMetadata,
    challenge: Option<&str>,
    was_bound: bool,
    url: &str,
) -> bool {
    // A server that says nothing wants what it wanted before.
    let is_taken = challenge.map_or(was_bound, is_named);
    let offered = metadata.additional_fields.get("dpop_signing_alg_values_supported");
    match offered.and_then(Value::as_array) {
        None => is_taken,
        Some(all) if !all.iter().any(|it| it == ALGORITHM) => false,
        Some(_) => is_taken || is_required(challenge, url).await,
    }
}

/// Whether the resource's metadata say that it takes no other tokens (RFC 9728, section 2).
async fn is_required(challenge: Option<&str>, url: &str) -> bool {
    let Ok(server) = Url::parse(url) else { return false };
    let named = challenge.and_then(|challenge| {
        WWWAuthenticateParams::parse(challenge, &server).resource_metadata_url
    });
    let at = named.unwrap_or_else(|| {
        let mut at = server.clone();
        let path = server.path().trim_end_matches('/');
        at.set_path(&format!("/.well-known/oauth-protected-resource{path}"));
        at
    });
    document(&server, &at).await["dpop_bound_access_tokens_required"] == true
}
