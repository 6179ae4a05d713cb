//! Streamable HTTP with tokens that may be bound to a key. Those that are not go out as the library sends them.

use crate::dpop::{Key, Nonce, PROOF, WANTS_NONCE};
use crate::tokens::Tokens;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::auth::AuthError;
use rmcp::transport::common::client_side_sse::BoxedSseResponse;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

type Headers = HashMap<HeaderName, HeaderValue>;
type HttpError = StreamableHttpError<reqwest::Error>;

/// A client for one server.
#[derive(Clone)]
pub(crate) struct Bound {
    http: Client,
    tokens: Tokens,
    nonce: Nonce,
}

impl Bound {
    pub(crate) fn new(http: Client, tokens: Tokens) -> Self {
        Self { http, tokens, nonce: Nonce::default() }
    }

    /// Sends a request as often as the server's nonces need it, which is twice at most.
    async fn call<T, F, Later>(
        &self,
        method: &Method,
        url: &str,
        token: Option<String>,
        headers: Headers,
        send: F,
    ) -> Result<T, HttpError>
    where
        F: Fn(Option<String>, Headers) -> Later + Send + Sync,
        Later: Future<Output = Result<T, HttpError>> + Send,
    {
        // Read for each request: another process may have logged in.
        let binding = match &token {
            Some(_) => self.tokens.binding()?,
            None => None,
        };
        let (Some(token), Some(key)) = (&token, binding) else { return send(token, headers).await };
        let key = Key::read(&key).ok_or(AuthError::AuthorizationRequired)?;
        let with = |nonce: Option<&str>| proven(&headers, &key, method, url, token, nonce);
        let error = match send(None, with(self.nonce.get().as_deref())?).await {
            Err(error) if is_challenge(method, &error) => error,
            outcome => return outcome,
        };
        match self.fetch_nonce(&headers, &key, url, token).await? {
            Some(nonce) => send(None, with(Some(&nonce))?).await,
            None => Err(error),
        }
    }

    /// Asks for the nonce that a refusal held in a header which the library keeps to itself. The request is one that
    /// has no effect even where it is not refused: its body is no message.
    async fn fetch_nonce(
        &self,
        headers: &Headers,
        key: &Key,
        url: &str,
        token: &str,
    ) -> Result<Option<String>, HttpError> {
        let headers = proven(headers, key, &Method::POST, url, token, None)?;
        let request = self.http.post(url).headers(headers.into_iter().collect());
        let request = request.header(CONTENT_TYPE, "application/json").body("{}");
        let request = request.header(ACCEPT, "application/json, text/event-stream");
        let answer = request.send().await.map_err(HttpError::Client)?;
        Ok(self.nonce.keep(answer.headers()))
    }
}

/// The headers with a token and the proof that it is ours.
fn proven(
    headers: &Headers,
    key: &Key,
    method: &Method,
    url: &str,
    token: &str,
    nonce: Option<&str>,
) -> Result<Headers, HttpError> {
    let unusable = |cause: String| HttpError::UnexpectedServerResponse(Cow::Owned(cause));
    let url = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
    let proof = key.proof(method, &url, Some(token), nonce).map_err(unusable)?;
    let shown = HeaderValue::from_str(&format!("DPoP {token}"));
    let mut shown = shown.map_err(|_| unusable("its token cannot be sent".to_owned()))?;
    shown.set_sensitive(true);
    let mut headers = headers.clone();
    headers.extend([(AUTHORIZATION, shown), (PROOF, proof)]);
    Ok(headers)
}

/// Whether a server refused a request because it wants its nonce in the proof.
fn is_challenge(method: &Method, error: &HttpError) -> bool {
    match error {
        HttpError::AuthRequired(error) => error.www_authenticate_header.contains(WANTS_NONCE),
        // The library does not say how the end of a session was refused.
        HttpError::Client(error) if method == Method::DELETE => {
            error.status() == Some(StatusCode::UNAUTHORIZED)
        }
        _ => false,
    }
}

impl StreamableHttpClient for Bound {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let send = |token, headers| {
            let (to, session) = (Arc::clone(&uri), session_id.clone());
            let message = message.clone();
            self.http
                .post_message_with_response_limits(to, message, session, token, headers, limits)
        };
        self.call(&Method::POST, &uri, auth_header, custom_headers, send).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<BoxedSseResponse, HttpError> {
        let size = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            size,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<BoxedSseResponse, HttpError> {
        let send = |token, headers| {
            let (to, session, last) = (Arc::clone(&uri), session_id.clone(), last_event_id.clone());
            let size = max_sse_event_size;
            self.http.get_stream_with_max_sse_event_size(to, session, last, token, headers, size)
        };
        self.call(&Method::GET, &uri, auth_header, custom_headers, send).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), HttpError> {
        let send = |token, headers| {
            let (to, session) = (Arc::clone(&uri), Arc::clone(&session_id));
            self.http.delete_session(to, session, token, headers)
        };
        self.call(&Method::DELETE, &uri, auth_header, custom_headers, send).await
    }
}
