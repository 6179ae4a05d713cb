//! Logging in at a server's authorization server (OAuth 2.1 with PKCE): discovery, client, consent, tokens.

mod callback; // where the browser comes back to
mod discovery; // the authorization server, and what kind of tokens to ask it for
mod requests; // requests for tokens
mod signed; // signed statements (JWT)
mod unattended; // tokens without anybody's consent

use crate::config::{Endpoint, Grant};
use crate::failure;
use crate::server::Server;
use crate::tokens::Tokens;
use callback::Callback;
use discovery::{Found, discover};
use loopwright_types::{Code, Failure, Reason};
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationRequest, AuthorizationSession, OAuthClientConfig,
    WWWAuthenticateParams,
};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The name that people see when they are asked to consent.
const CLIENT_NAME: &str = "Loopwright";

/// Opens the page on which a person consents.
pub trait Browser: Send + Sync {
    /// Opens the address; may block until the page was left.
    ///
    /// # Errors
    /// When it cannot be opened. The login fails with the error.
    fn open(&self, url: &str) -> std::io::Result<()>;
}

/// Knows the stored tokens of a server, and how to refresh them.
pub(crate) async fn manager(
    server: &Server,
    url: &str,
    tokens: &Tokens,
) -> Result<AuthorizationManager, Failure> {
    if server.definition().oauth.grant != Grant::AuthorizationCode {
        let fetched = unattended::fetch(server, url, tokens).await;
        return fetched.map_err(|cause| no_login(server, &cause));
    }
    let unreadable = |error| {
        failure::not_started(server.name(), &format!("its stored login cannot be read: {error}"))
    };
    let is_bound = tokens.binding().map_err(unreadable)?.is_some();
    let mut manager = new_manager(server, url, tokens, is_bound).await?;
    let stored = tokens.credentials().map_err(unreadable)?;
    let Some(stored) = stored else { return Ok(manager) };
    match manager.initialize_from_store().await {
        Ok(true) => {
            let oauth = &server.definition().oauth;
            let secret = oauth.client_secret.clone().or_else(|| tokens.client_secret());
            if let Some(secret) = secret {
                let config =
                    OAuthClientConfig::new(stored.client_id, url).with_client_secret(secret);
                manager.configure_client(config).map_err(|it| refused(server, &it))?;
            }
        }
        Ok(false) => {}
        // The token may do without: only its refresh needs the authorization server.
        Err(_) => manager = new_manager(server, url, tokens, is_bound).await?,
    }
    Ok(manager)
}

async fn new_manager(
    server: &Server,
    url: &str,
    tokens: &Tokens,
    is_bound: bool,
) -> Result<AuthorizationManager, Failure> {
    let created = match is_bound {
        true => discovery::proving(url, tokens).await,
        false => discovery::plain(url, tokens).await,
    };
    created.map_err(|error| refused(server, &error))
}

/// Logs in, and lets the next call open a connection with the new tokens.
pub(crate) async fn login(
    server: Arc<Server>,
    browser: Arc<dyn Browser>,
    patience: Duration,
) -> Result<(), Failure> {
    let (Endpoint::Http { url, .. }, Some(tokens)) =
        (&server.definition().endpoint, server.tokens())
    else {
        let cause = "it is a program on this machine, which needs none".to_owned();
        return Err(no_login(&server, &cause));
    };
    if server.definition().oauth.grant != Grant::AuthorizationCode {
        // There is nobody to ask: the next connection fetches a token.
        server.close().await;
        return Ok(());
    }
    if server.challenge().is_none() {
        // How a server wants its login is said by its refusal.
        let _ = server.connected().await;
    }
    let port = server.definition().oauth.callback_port;
    let callback = Callback::bind(port).await.map_err(|error| {
        no_login(&server, &format!("port {port} of the loopback address cannot be used: {error}"))
    })?;
    let session = session(&server, url, &tokens, &callback).await?;
    let consented = consent(&server, &callback, &session, browser);
    let waited = timeout(patience, consented).await;
    let address = waited.map_err(|_| {
        let seconds = patience.as_secs();
        no_login(&server, &format!("nobody came back from the browser within {seconds} s"))
    })??;
    let exchanged = session.handle_callback_url(&address).await;
    exchanged.map_err(|error| refused(&server, &error))?;
    server.satisfied();
    server.close().await;
    Ok(())
}

/// Finds the authorization server, a client to be, and the scopes to ask for.
async fn session(
    server: &Server,
    url: &str,
    tokens: &Tokens,
    callback: &Callback,
) -> Result<AuthorizationSession, Failure> {
    let refuse = |error: AuthError| refused(server, &error);
    let found = discover(server, url, tokens).await.map_err(refuse)?;
    let Found { mut manager, metadata, tokens } = found;
    let takes_documents = metadata.additional_fields.get("client_id_metadata_document_supported");
    let takes_documents = takes_documents.is_some_and(|it| it == true);
    let scopes = scopes(server, url, &tokens, &manager).await;
    let oauth = &server.definition().oauth;
    let mut request = AuthorizationRequest::new(&callback.address)
        .with_client_name(CLIENT_NAME)
        .with_initial_scope_selection()
        .with_scopes(&scopes);
    let mut secret = None;
    if let Some(id) = &oauth.client_id {
        request = request.with_preregistered_client(id);
        if let Some(secret) = &oauth.client_secret {
            request = request.with_client_secret(secret);
        }
    } else if let Some(document) = oauth.client_metadata_url.as_ref().filter(|_| takes_documents) {
        request = request.with_client_metadata_url(document);
    } else {
        let asked: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let registered = manager.register_client(CLIENT_NAME, &callback.address, &asked).await;
        let client = registered.map_err(|error| {
            let hint =
                "give the server a client id: `\"oauth\": {\"clientId\": \"…\"}` in `.mcp.json`";
            refuse(error).hint(hint)
        })?;
        request = request.with_preregistered_client(client.client_id);
        if let Some(given) = &client.client_secret {
            request = request.with_client_secret(given);
        }
        secret = client.client_secret;
    }
    tokens
        .keep_client_secret(secret)
        .map_err(|error| no_login(server, &format!("its tokens cannot be stored: {error}")))?;
    AuthorizationSession::new(manager, request).await.map_err(|(_, error)| refuse(error))
}

/// What was configured; else what was granted before and is wanted besides; else what the server asks for.
async fn scopes(
    server: &Server,
    url: &str,
    tokens: &Tokens,
    manager: &AuthorizationManager,
) -> Vec<String> {
    let configured = &server.definition().oauth.scopes;
    if !configured.is_empty() {
        return configured.clone();
    }
    let mut scopes = manager.select_initial_scopes(&[]).await;
    let base = reqwest::Url::parse(url).ok();
    let challenge = server.challenge().zip(base);
    let wants_more = challenge.is_some_and(|(challenge, base)| {
        WWWAuthenticateParams::parse(&challenge, &base).is_insufficient_scope()
    });
    if wants_more && let Ok(Some(stored)) = tokens.credentials() {
        let more: Vec<String> =
            scopes.iter().filter(|it| !stored.granted_scopes.contains(it)).cloned().collect();
        scopes = stored.granted_scopes;
        scopes.extend(more);
    }
    scopes
}

/// Sends the person to the consent page and waits for the way back.
async fn consent(
    server: &Server,
    callback: &Callback,
    session: &AuthorizationSession,
    browser: Arc<dyn Browser>,
) -> Result<String, Failure> {
    let page = session.get_authorization_url().to_owned();
    let state = callback::state(&page).unwrap_or_default();
    let opened = tokio::task::spawn_blocking(move || browser.open(&page));
    let failed = async {
        match opened.await {
            Ok(Ok(())) => std::future::pending().await,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    };
    tokio::select! {
        biased;
        came = callback.wait(&state) => came.map_err(|cause| no_login(server, &cause)),
        cause = failed => Err(no_login(server, &format!("the browser cannot be opened: {cause}"))),
    }
}

/// Forgets the tokens.
pub(crate) async fn logout(server: Arc<Server>) -> Result<(), Failure> {
    if let Some(tokens) = server.tokens() {
        tokens.remove().map_err(|error| {
            no_login(&server, &format!("its tokens cannot be removed: {error}"))
        })?;
    }
    server.close().await;
    Ok(())
}

fn no_login(server: &Server, cause: &str) -> Failure {
    let name = server.name();
    let message = format!("no login at the MCP server `{name}`: {cause}");
    Failure::new(Reason::Policy, Code::MCP_LOGIN, message).not_sent()
}

fn refused(server: &Server, error: &(dyn Error + 'static)) -> Failure {
    no_login(server, &failure::causes(error))
}
