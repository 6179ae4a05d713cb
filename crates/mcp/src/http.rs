//! Streamable HTTP: what is sent with every request, and where redirects may lead.

use crate::bound::Bound;
use crate::failure;
use crate::limits::Limits;
use crate::login;
use crate::server::Server;
use loopwright_types::Failure;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::AuthClient;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

const REDIRECTS_MAX: usize = 5;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Whether the configured headers hold the credentials, so that no login is wanted.
pub(crate) fn has_credentials(headers: &BTreeMap<String, String>) -> bool {
    headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"))
}

/// A transport that sends the configured headers and nothing else.
pub(crate) fn plain(
    url: &str,
    headers: &BTreeMap<String, String>,
    limits: &Limits,
) -> Result<StreamableHttpClientTransport<reqwest::Client>, String> {
    let config = config(url, headers, limits)?;
    Ok(StreamableHttpClientTransport::with_client(client()?, config))
}

/// A transport that adds the stored token, refreshed when it is old, and proves that it is ours where it is bound to a
/// key. Without one the server is asked all the same, and its refusal says how to log in.
pub(crate) async fn authorised(
    server: &Server,
    url: &str,
    headers: &BTreeMap<String, String>,
) -> Result<StreamableHttpClientTransport<AuthClient<Bound>>, Failure> {
    let not_started = |cause: String| failure::not_started(server.name(), &cause);
    let config = config(url, headers, server.limits()).map_err(not_started)?;
    let tokens = server.tokens().ok_or_else(|| not_started("it has no address".to_owned()))?;
    let manager = login::manager(server, url, &tokens).await?;
    let client = Bound::new(client().map_err(not_started)?, tokens);
    let client = AuthClient::new(client, manager);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

fn config(
    url: &str,
    headers: &BTreeMap<String, String>,
    limits: &Limits,
) -> Result<StreamableHttpClientTransportConfig, String> {
    let mut custom = HashMap::new();
    for (name, value) in headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`{name}` is no name of a header"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| format!("the header `{name}` has a value that cannot be sent"))?;
        value.set_sensitive(true);
        custom.insert(key, value);
    }
    Ok(StreamableHttpClientTransportConfig::with_uri(url)
        .custom_headers(custom)
        .max_sse_event_size(limits.message_bytes_max)
        .max_json_response_size(limits.message_bytes_max)
        // It would send the interrupted call again, which may then happen twice.
        .reinit_on_expired_session(false))
}

/// Only redirects that keep the request as it is, to the same place: others would lose the message or carry headers
/// to strangers.
fn client() -> Result<reqwest::Client, String> {
    let policy = Policy::custom(|attempt| {
        let keeps = matches!(attempt.status().as_u16(), 307 | 308);
        let first = attempt.previous().first().map(reqwest::Url::origin);
        if !keeps || first != Some(attempt.url().origin()) {
            attempt.stop()
        } else if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("too many redirects")
        } else {
            attempt.follow()
        }
    });
    // Idle connections are not kept: a reused one whose body was left unread stalls for 40 ms on Linux.
    let client = reqwest::Client::builder().redirect(policy).connect_timeout(CONNECT);
    client.pool_max_idle_per_host(0).build().map_err(|error| failure::causes(&error))
}
