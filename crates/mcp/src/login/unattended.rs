//! Tokens without anybody's consent: by a secret, a private key, or a statement that somebody else signed. Each
//! connection fetches its own, which costs a request or two. What is refused is not tried again or in another way.

use super::discovery::{Found, discover};
use super::requests::{TIMEOUT, send};
use super::signed::client_statement;
use crate::config::{Grant, IdentityProvider, OAuth};
use crate::dpop::{Key, Nonce};
use crate::failure::{causes, line};
use crate::server::Server;
use crate::tokens::Tokens;
use reqwest::{RequestBuilder, Url};
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, ClientCredentialsConfig,
    OAuthTokenResponse, StoredCredentials,
};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const CLIENT_STATEMENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// Fetches a token and stores it where the transport looks for it.
pub(super) async fn fetch(
    server: &Server,
    url: &str,
    tokens: &Tokens,
) -> Result<AuthorizationManager, String> {
    let refuse = |error: AuthError| causes(&error);
    let found = discover(server, url, tokens).await.map_err(refuse)?;
    let Found { mut manager, metadata, tokens } = found;
    let oauth = &server.definition().oauth;
    let scopes = match oauth.scopes.is_empty() {
        true => manager.select_initial_scopes(&[]).await,
        false => oauth.scopes.clone(),
    };
    if let (Grant::ClientCredentials, Some(secret)) = (oauth.grant, &oauth.client_secret) {
        let config = ClientCredentialsConfig::ClientSecret {
            client_id: oauth.client_id.clone().unwrap_or_default(),
            client_secret: secret.clone(),
            scopes,
            resource: Some(url.to_owned()),
        };
        manager.validate_client_credentials_metadata(&config).map_err(refuse)?;
        manager.configure_client_credentials(&config).map_err(refuse)?;
        manager.exchange_client_credentials(&config).await.map_err(refuse)?;
        return Ok(manager);
    }
    let endpoint = endpoint(&metadata.token_endpoint, url)?;
    let key = tokens.key().map_err(|error| error.to_string())?;
    let answer = by_statement(oauth, url, endpoint, &metadata, &scopes, key.as_ref()).await?;
    let token: OAuthTokenResponse = serde_json::from_value(answer)
        .map_err(|error| format!("the answer holds no token: {error}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|it| it.as_secs());
    let client = oauth.client_id.clone().unwrap_or_default();
    let stored =
        StoredCredentials::new(client, Some(token), scopes, now).with_issuer(metadata.issuer);
    tokens.keep(stored).map_err(|error| format!("its token cannot be stored: {error}"))?;
    Ok(manager)
}

/// Where the token is asked for. Statements are as good as a password: they go over TLS, or stay on this machine.
fn endpoint(address: &str, server: &str) -> Result<Url, String> {
    let is_local = |it: &Url| matches!(it.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let parsed = Url::parse(address).ok();
    let may = |it: &Url| {
        let beside = Url::parse(server).is_ok_and(|server| is_local(&server)) && is_local(it);
        it.scheme() == "https" || beside
    };
    parsed.filter(may).ok_or_else(|| {
        format!("no token is asked for at `{}`: it is no HTTPS address", line(address))
    })
}

async fn by_statement(
    oauth: &OAuth,
    url: &str,
    endpoint: Url,
    metadata: &AuthorizationMetadata,
    scopes: &[String],
    key: Option<&Key>,
) -> Result<Value, String> {
    let client = oauth.client_id.as_deref().unwrap_or_default();
    let issuer =
        metadata.issuer.as_deref().ok_or("the authorization server does not say its name")?;
    let scope = scopes.join(" ");
    let mut form = vec![("resource", url)];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    let (statement, jag);
    let mut secret = None;
    match oauth.grant {
        Grant::IdentityAssertion => {
            let provider =
                oauth.identity_provider.as_ref().ok_or("there is no identity provider")?;
            jag = vouched(oauth, provider, url, issuer).await?;
            form.extend([("grant_type", JWT_BEARER), ("assertion", &jag)]);
            secret = oauth.client_secret.as_deref();
        }
        Grant::JwtBearer => {
            let assertion = oauth.assertion.as_deref().unwrap_or_default();
            form.extend([
                ("grant_type", JWT_BEARER),
                ("assertion", assertion),
                ("client_id", client),
            ]);
        }
        _ => {
            let key = oauth.private_key.as_deref().unwrap_or_default();
            statement = client_statement(client, issuer, key)?;
            form.extend([
                ("grant_type", "client_credentials"),
                ("client_assertion_type", CLIENT_STATEMENT),
                ("client_assertion", &statement),
            ]);
        }
    }
    let methods = metadata.additional_fields.get("token_endpoint_auth_methods_supported");
    let takes = |method: &str| {
        methods.and_then(Value::as_array).is_some_and(|it| it.iter().any(|it| it == method))
    };
    let request = client_for_tokens()?.post(endpoint);
    let request = match secret {
        Some(secret) if takes("client_secret_post") && !takes("client_secret_basic") => {
            form.extend([("client_id", client), ("client_secret", secret)]);
            request
        }
        Some(secret) => request.basic_auth(encoded(client), Some(encoded(secret))),
        None => request,
    };
    ask(request, &form, key).await
}

/// Has the employer's identity provider vouch for the person at the authorization server.
async fn vouched(
    oauth: &OAuth,
    provider: &IdentityProvider,
    url: &str,
    issuer: &str,
) -> Result<String, String> {
    let form = [
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("subject_token", oauth.assertion.as_deref().unwrap_or_default()),
        ("subject_token_type", ID_TOKEN),
        ("audience", issuer),
        ("resource", url),
        ("client_id", &provider.client_id),
    ];
    let at = endpoint(&provider.token_endpoint, url)?;
    let answer = ask(client_for_tokens()?.post(at), &form, None).await?;
    let token = answer.get("access_token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| "the identity provider gave no token".to_owned())
}

fn client_for_tokens() -> Result<reqwest::Client, String> {
    let client =
        reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    client.build().map_err(|error| causes(&error))
}

fn encoded(text: &str) -> String {
    let url = Url::parse_with_params("http://a/", [("a", text)]);
    url.ok().and_then(|it| it.query().map(|it| it[2..].to_owned())).unwrap_or_default()
}

/// Sends a form, proven where there is a key; gives the answer, or what the server says is wrong with it.
async fn ask(
    request: RequestBuilder,
    form: &[(&str, &str)],
    key: Option<&Key>,
) -> Result<Value, String> {
    let url = Url::parse_with_params("http://a/", form).map_err(|error| causes(&error))?;
    let body = url.query().unwrap_or_default().to_owned();
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let (client, request) = request.build_split();
    let request = request.map_err(|error| causes(&error))?;
    let answer = send(&client, request, key, &Nonce::default()).await?;
    let value = answer.json();
    if answer.status.is_success() {
        return Ok(value);
    }
    let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let status = answer.status;
    Err(line(&format!("no token ({status}): {} {}", word("error"), word("error_description"))))
}
