//! Requests for tokens: to addresses that may be reached, with bounded answers, and with a proof where the tokens are
//! to be bound to a key.

use crate::dpop::{Key, Nonce, PROOF, WANTS_NONCE};
use crate::failure::causes;
use crate::tokens::Tokens;
use loopwright_types::is_public_address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, StatusCode, Url};
use rmcp::transport::auth::{OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRequest};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 1 << 20;
const FORM: &str = "application/x-www-form-urlencoded";

/// The library's type of an answer, which it gives no name that we could use.
type LibraryAnswer = <<OAuthHttpClientFuture<'static> as Future>::Output as IntoIterator>::Item;

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// The body; null where it is no JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn wants_nonce(&self) -> bool {
        self.status.is_client_error() && self.json()["error"] == WANTS_NONCE
    }
}

/// Sends a request; with a key it carries a proof, and is sent once more where the server wants its nonce in it.
pub(super) async fn send(
    client: &Client,
    request: Request,
    key: Option<&Key>,
    nonce: &Nonce,
) -> Result<Answer, String> {
    let Some(key) = key else { return send_once(client, request).await };
    let proven = |mut request: Request, nonce: Option<&str>| {
        let proof = key.proof(request.method(), request.url(), None, nonce)?;
        request.headers_mut().insert(PROOF, proof);
        Ok::<_, String>(request)
    };
    let again = request.try_clone();
    let answer = send_once(client, proven(request, nonce.get().as_deref())?).await?;
    let newer = nonce.keep(&answer.headers);
    let (Some(again), Some(newer), true) = (again, newer, answer.wants_nonce()) else {
        return Ok(answer);
    };
    let answer = send_once(client, proven(again, Some(&newer))?).await?;
    nonce.keep(&answer.headers);
    Ok(answer)
}

async fn send_once(client: &Client, request: Request) -> Result<Answer, String> {
    let mut answer = client.execute(request).await.map_err(|error| causes(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| causes(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err("the answer of the token endpoint has no end".to_owned());
        }
    }
    Ok(Answer { status: answer.status(), headers: answer.headers().clone(), body })
}

/// What the library sends its requests for tokens through where they are bound to a key. As strict as what it uses
/// otherwise: what a server's metadata name is not reached inside the network that we are in.
pub(super) struct Proving {
    server: Url,
    tokens: Tokens,
    nonce: Nonce,
}

impl Proving {
    pub(super) fn new(server: Url, tokens: Tokens) -> Self {
        Self { server, tokens, nonce: Nonce::default() }
    }

    async fn answer(&self, request: OAuthHttpRequest) -> Result<LibraryAnswer, String> {
        let timeout = request.timeout.unwrap_or(TIMEOUT);
        let request = Request::try_from(request.request).map_err(|error| causes(&error))?;
        let client = checked(&self.server, request.url(), timeout)?;
        // The library sends a form to the token endpoint only.
        let is_form = request.method() == Method::POST
            && request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes)
                == Some(FORM.as_bytes());
        let key = match is_form {
            // Under the library's lock, so that a refresh has the key of the token that it refreshes.
            true => self.tokens.key().map_err(|error| error.to_string())?,
            false => None,
        };
        let answer = send(&client, request, key.as_ref(), &self.nonce).await?;
        let mut out = LibraryAnswer::new(answer.body);
        *out.status_mut() = answer.status;
        *out.headers_mut() = answer.headers;
        Ok(out)
    }
}

impl OAuthHttpClient for Proving {
    // No redirect is followed, whatever the library allows: a proof is for one address.
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move { self.answer(request).await.map_err(Into::into) })
    }
}

/// Asks for a document of metadata; null where there is none.
pub(super) async fn document(server: &Url, at: &Url) -> Value {
    let Ok(client) = checked(server, at, TIMEOUT) else { return Value::Null };
    let answer = send_once(&client, Request::new(Method::GET, at.clone())).await;
    answer.ok().filter(|it| it.status.is_success()).map(|it| it.json()).unwrap_or_default()
}

/// A client for one request to an address that `server` named.
fn checked(server: &Url, to: &Url, timeout: Duration) -> Result<Client, String> {
    let reach = Reach::of(server);
    let host = to.host_str().unwrap_or_default().to_owned();
    // Hosts that are addresses are not looked up.
    let literal = host.trim_matches(['[', ']']).parse().ok();
    if literal.is_some_and(|it| !reach.permits(it)) {
        return Err(format!("`{host}` is no address that the server may send us to"));
    }
    let client = Client::builder().timeout(timeout).redirect(Policy::none());
    let client = client.dns_resolver(Arc::new(Checked { reach, host }));
    client.build().map_err(|error| causes(&error))
}

/// Which addresses a server may send us to: public ones, and those of the kind that its own address is written with.
#[derive(Clone, Copy)]
struct Reach {
    own: Option<IpAddr>,
    is_local: bool,
}

impl Reach {
    fn of(server: &Url) -> Self {
        let host = server.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let own: Option<IpAddr> = host.parse().ok();
        let host = host.trim_end_matches('.');
        let is_local = host == "localhost" || host.ends_with(".localhost");
        Self { own, is_local: is_local || own.is_some_and(|it| it.is_loopback()) }
    }

    fn permits(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public_address(address)
            || self.own == Some(address)
            || self.is_local && address.is_loopback()
            || self.own.is_some_and(is_private) && is_private(address)
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => it.is_private() || it.octets()[0] == 100 && it.octets()[1] & 0xc0 == 64,
        IpAddr::V6(it) => it.is_unique_local(),
    }
}

/// Looks names up, and gives the addresses within reach.
struct Checked {
    reach: Reach,
    /// Other names are those of proxies, which the user chose.
    host: String,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let reach = (name == self.host).then_some(self.reach);
        Box::pin(async move {
            let look_up = move || (name.as_str(), 0).to_socket_addrs();
            let found: Vec<SocketAddr> = tokio::task::spawn_blocking(look_up).await??.collect();
            let permits = move |it: &SocketAddr| reach.is_none_or(|reach| reach.permits(it.ip()));
            if !found.iter().any(permits) {
                return Err("the name has no address that the server may send us to".into());
            }
            let permitted = found.into_iter().filter(permits);
            Ok(Box::new(permitted) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_sends_us_to_public_addresses_and_to_its_own_kind() {
        let cases = [
            ("https://a.example/mcp", "8.8.8.8", true),
            ("https://a.example/mcp", "2606:4700::1111", true),
            ("https://a.example/mcp", "127.0.0.1", false),
            ("https://a.example/mcp", "10.0.0.9", false),
            ("https://a.example/mcp", "169.254.169.254", false),
            ("https://a.example/mcp", "::ffff:127.0.0.1", false),
            ("http://localhost:8080/mcp", "127.0.0.1", true),
            ("http://localhost:8080/mcp", "::1", true),
            ("http://localhost:8080/mcp", "10.0.0.9", false),
            ("http://127.0.0.1/mcp", "127.0.0.2", true),
            ("http://[::1]/mcp", "127.0.0.1", true),
            ("http://10.0.0.1/mcp", "10.1.1.1", true),
            ("http://10.0.0.1/mcp", "fd00::1", true),
            ("http://10.0.0.1/mcp", "100.64.0.1", true),
            ("http://10.0.0.1/mcp", "127.0.0.1", false),
            ("http://10.0.0.1/mcp", "169.254.169.254", false),
            ("http://169.254.169.254/mcp", "169.254.169.254", true),
            ("http://8.8.8.8/mcp", "10.0.0.1", false),
        ];
        for (server, address, expected) in cases {
            let reach = Reach::of(&Url::parse(server).unwrap());
            assert_eq!(reach.permits(address.parse().unwrap()), expected, "{server} {address}");
        }
    }

    #[test]
    fn an_address_out_of_reach_is_refused_before_it_is_asked() {
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test may have been first
        let server = Url::parse("https://a.example/mcp").unwrap();
        for to in ["http://127.0.0.1:1/token", "http://[::1]/token", "https://169.254.169.254/"] {
            let refused = checked(&server, &Url::parse(to).unwrap(), TIMEOUT).unwrap_err();
            assert!(refused.contains("is no address that the server may send us to"), "{refused}");
        }
        let server = Url::parse("http://127.0.0.1/mcp").unwrap();
        checked(&server, &Url::parse("http://127.0.0.1:1/token").unwrap(), TIMEOUT).unwrap();
    }

    #[tokio::test]
    async fn a_name_gives_no_address_out_of_reach_unless_it_is_the_proxy_s() {
        let cases = [
            ("https://a.example/mcp", "localhost", false),
            ("http://localhost:8080/mcp", "localhost", true),
            ("https://a.example/mcp", "auth.example", true),
        ];
        for (server, host, expected) in cases {
            let reach = Reach::of(&Url::parse(server).unwrap());
            let checked = Checked { reach, host: host.to_owned() };
            let found = checked.resolve("localhost".parse().unwrap()).await;
            let found = found.map(|it| it.filter(|it| it.ip().is_loopback()).count());
            assert_eq!(found.is_ok_and(|it| it > 0), expected, "{server} {host}");
        }
    }
}
