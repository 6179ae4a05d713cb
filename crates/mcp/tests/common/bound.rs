//! A server and its authorization server, which give out tokens that are bound to a key and take no others (RFC 9449).

use crate::proof::{base64url, opened};
use crate::web::{Request, Response, Web, empty, json_response, older, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What it asks for and knows.
#[derive(Default)]
pub struct State {
    /// What the resource calls its scheme.
    pub scheme: &'static str,
    /// Kinds of signatures that the authorization server says it takes, if it says so.
    pub algorithms: Option<Value>,
    /// Whether the resource's metadata says that tokens have to be bound.
    pub is_required: bool,
    /// Whether the authorization server knows what a proof is.
    pub binds: bool,
    /// The nonces that proofs must have: at the token endpoint, and at the resource.
    pub nonces: [Option<String>; 2],
    /// Whether another nonce is wanted each time, there and there.
    pub is_endless: [bool; 2],
    /// Tokens given out so far; the newest is the only one that is valid.
    pub tokens: usize,
    /// What the newest is bound to.
    pub key: Option<Value>,
    /// Calls that were done.
    pub calls: usize,
    /// What was wrong with proofs.
    pub wrong: Vec<String>,
    /// Ids of proofs.
    pub seen: BTreeSet<String>,
}

pub fn server(state: State) -> (Web, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(state));
    let kept = Arc::clone(&state);
    (Web::start(move |origin, request| answer(&mut state.lock().unwrap(), origin, request)), kept)
}

fn answer(state: &mut State, origin: &str, request: &Request) -> Response {
    let path = request.target.split('?').next().unwrap_or_default();
    match path {
        "/mcp" => resource(state, origin, request),
        "/.well-known/oauth-protected-resource/mcp" => json_response(&json!({
            "resource": format!("{origin}/mcp"),
            "authorization_servers": [origin],
            "dpop_bound_access_tokens_required": state.is_required,
        })),
        "/.well-known/oauth-authorization-server" => {
            let mut metadata = json!({
                "issuer": origin,
                "authorization_endpoint": format!("{origin}/authorize"),
                "token_endpoint": format!("{origin}/token"),
                "registration_endpoint": format!("{origin}/register"),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                "code_challenge_methods_supported": ["S256"],
            });
            if let Some(all) = &state.algorithms {
                metadata["dpop_signing_alg_values_supported"] = all.clone();
            }
            json_response(&metadata)
        }
        "/register" => {
            let mut client = request.json();
            client["client_id"] = json!("registered");
            (201, json_response(&client).1, client.to_string())
        }
        "/authorize" => {
            let back = request.form("redirect_uri").unwrap();
            let given = request.form("state").unwrap();
            (302, vec![("location", format!("{back}?code=abc&state={given}"))], String::new())
        }
        "/token" => token(state, origin, request),
        _ => empty(404),
    }
}

/// Gives out a token, bound to the key of the proof if there is one.
fn token(state: &mut State, origin: &str, request: &Request) -> Response {
    let mut kind = "Bearer";
    if request.header("dpop").is_some() && state.binds {
        let proven = proven(state, request, 0, &format!("{origin}/token"), None);
        let key = match proven {
            Ok(key) => key,
            Err(refusal) => return refusal,
        };
        let is_refresh = request.form("grant_type").as_deref() == Some("refresh_token");
        if is_refresh && state.key.as_ref() != Some(&key) {
            state.wrong.push("a refresh with another key".to_owned());
        }
        state.key = Some(key);
        kind = "DPoP";
    } else {
        state.key = None;
    }
    state.tokens += 1;
    let number = state.tokens;
    json_response(&json!({
        "access_token": format!("token-{number}"),
        "refresh_token": format!("refresh-{number}"),
        "token_type": kind,
        "expires_in": 3600,
    }))
}

fn resource(state: &mut State, origin: &str, request: &Request) -> Response {
    let scheme = state.scheme;
    let challenge =
        format!("{scheme} resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\"");
    let refusal = (401, vec![("www-authenticate", challenge)], String::new());
    let token = format!("token-{}", state.tokens);
    let kind = if state.key.is_some() { "DPoP" } else { "Bearer" };
    if request.header("authorization") != Some(&format!("{kind} {token}")) {
        return refusal;
    }
    if state.key.is_some() {
        let proven = proven(state, request, 1, &format!("{origin}/mcp"), Some(&token));
        match proven {
            Ok(key) if state.key.as_ref() == Some(&key) => {}
            Ok(_) => state.wrong.push("a token with another key".to_owned()),
            Err(refusal) => return refusal,
        }
    }
    if request.json()["method"] == "tools/call" {
        state.calls += 1;
    }
    let (status, mut headers, body) = older(request, |_| text("fine"));
    if request.json()["method"] == "initialize" {
        headers.push(("mcp-session-id", "session".to_owned()));
    }
    (status, headers, body)
}

/// The key of a proof in which all is right (RFC 9449, section 4.3); else what is answered.
fn proven(
    state: &mut State,
    request: &Request,
    place: usize,
    url: &str,
    token: Option<&str>,
) -> Result<Value, Response> {
    let proofs: Vec<_> = request.headers.iter().filter(|it| it.0 == "dpop").collect();
    let opened = match &proofs[..] {
        [proof] => opened(&proof.1),
        _ => None,
    };
    let Some((header, claims)) = opened else {
        state.wrong.push(format!("{} proofs, none good", proofs.len()));
        return Err(empty(400));
    };
    let digest = token.map(|it| base64url(&loopwright_types::Digest::of(it.as_bytes()).0));
    let id = claims["jti"].as_str().unwrap_or_default().to_owned();
    let is_new = state.seen.insert(id);
    let mut hold = |is_right: bool, what: &str| {
        if !is_right {
            state.wrong.push(format!("{what}: {header} {claims}"));
        }
    };
    hold(header["typ"] == "dpop+jwt" && header["alg"] == "ES256", "header");
    hold(header["jwk"].get("d").is_none(), "private key");
    hold(is_new, "jti");
    hold(claims["htm"] == request.method.as_str(), "htm");
    hold(claims["htu"] == url, "htu");
    hold(claims.get("ath").cloned() == digest.map(|it| json!(it)), "ath");
    if state.is_endless[place] {
        let number = state.seen.len();
        state.nonces[place] = Some(format!("nonce-{number}"));
    }
    match &state.nonces[place] {
        Some(nonce) if claims["nonce"] != nonce.as_str() => {
            let (_, mut headers, body) = json_response(&json!({ "error": "use_dpop_nonce" }));
            headers.push(("dpop-nonce", nonce.clone()));
            if token.is_none() {
                return Err((400, headers, body));
            }
            headers.push(("www-authenticate", "DPoP error=\"use_dpop_nonce\"".to_owned()));
            Err((401, headers, body))
        }
        _ => Ok(header["jwk"].clone()),
    }
}
