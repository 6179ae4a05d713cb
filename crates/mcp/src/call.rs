//! One call from request to answer. It is sent once: what went wrong is reported and never repeated from here.

use crate::answer::{self, Called, Promise};
use crate::connection::Connection;
use crate::failure;
use crate::handler::answer_input;
use crate::listing;
use crate::server::Server;
use loopwright_types::Failure;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam,
    ClientRequest, InputRequiredResult, RequestId, RequestMetaObject, ServerResult,
};
use rmcp::service::{PeerRequestOptions, ServiceError};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The idempotency key in the `_meta` of a call.
const KEY: &str = "loopwright/idempotencyKey";
/// How often a server may ask for more before a call is given up.
const ROUNDS_MAX: usize = 10;
/// How long the news that a call was cancelled may take to go out.
const NEWS: Duration = Duration::from_secs(2);

/// Turns of the runtime that what was read before an answer may take to be handed over.
const TURNS: usize = 16;

/// What is called.
pub(crate) struct Call {
    /// The tool as programs name it.
    pub(crate) tool: String,
    /// The server's own name of it.
    pub(crate) wire_name: String,
    pub(crate) arguments: Map<String, Value>,
    pub(crate) promise: Promise,
    /// What the server may know the call by, however often it is sent.
    pub(crate) key: Option<String>,
    /// Where progress goes.
    pub(crate) progress: Sender<String>,
    /// Tells when the caller gives up.
    pub(crate) cancelled: oneshot::Receiver<()>,
}

/// Calls a tool over this connection.
pub(crate) async fn run(
    server: &Server,
    connection: &Arc<Connection>,
    mut call: Call,
) -> Result<Value, Failure> {
    let declined = connection.inbox.declined();
    let result = rounds(server, connection, &mut call).await;
    let questions = connection.inbox.declined_since(declined);
    let has_failed = result.as_ref().map_or(true, |it| it.is_error == Some(true));
    if has_failed && !questions.is_empty() {
        return Err(failure::input(server.name(), &questions));
    }
    let called = Called {
        server: server.name(),
        tool: &call.tool,
        promise: &call.promise,
        result_bytes_max: server.limits().result_bytes_max,
    };
    answer::value(&called, result?)
}

/// Sends the request, and again with what the server asked for: the protocol's own way of going on with one call.
async fn rounds(
    server: &Server,
    connection: &Arc<Connection>,
    call: &mut Call,
) -> Result<CallToolResult, Failure> {
    let mut params = CallToolRequestParams::new(call.wire_name.clone());
    params.arguments = Some(call.arguments.clone());
    params.meta = call.key.clone().map(|key| {
        let mut meta = RequestMetaObject::new();
        meta.insert(KEY.to_owned(), Value::String(key));
        meta
    });
    for _ in 0..ROUNDS_MAX {
        match once(server, connection, call, params.clone()).await? {
            ServerResult::CallToolResult(result) => return Ok(result),
            // An answer without any content is read as one of these.
            ServerResult::EmptyResult(_) | ServerResult::TaskAckResult(_) => {
                return Ok(CallToolResult::default());
            }
            ServerResult::InputRequiredResult(result) => {
                answer_all(server, connection, result, &mut params).await?;
            }
            ServerResult::CreateTaskResult(_) => {
                let cause = "it answered with a task of its own, which nobody asked for";
                return Err(failure::protocol(server.name(), cause));
            }
            _ => {
                let cause = format!("its answer to `{}` is not the result of a tool", call.tool);
                return Err(failure::protocol(server.name(), &cause));
            }
        }
    }
    let cause = format!("it asked for more {ROUNDS_MAX} times without an end");
    Err(failure::protocol(server.name(), &cause))
}

/// Puts answers to what the server asked into the request, and its own state back.
async fn answer_all(
    server: &Server,
    connection: &Connection,
    result: InputRequiredResult,
    params: &mut CallToolRequestParams,
) -> Result<(), Failure> {
    let (mut answers, mut refused) = (std::collections::BTreeMap::new(), Vec::new());
    for (key, request) in result.input_requests.unwrap_or_default() {
        match answer_input(server, &connection.inbox, request).await {
            Ok(answer) => {
                answers.insert(key, answer);
            }
            Err(question) => refused.push(question),
        }
    }
    if !refused.is_empty() {
        return Err(failure::input(server.name(), &refused));
    }
    params.input_responses = (!answers.is_empty()).then_some(answers);
    params.request_state = result.request_state;
    Ok(())
}

async fn once(
    server: &Server,
    connection: &Arc<Connection>,
    call: &mut Call,
    params: CallToolRequestParams,
) -> Result<ServerResult, Failure> {
    let limits = server.limits();
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let options = PeerRequestOptions::with_timeout(limits.timeout)
        .reset_timeout_on_progress()
        .with_max_total_timeout(limits.timeout_total);
    let sent = connection.peer.send_cancellable_request(request, options).await;
    let handle = match sent {
        Ok(handle) => handle,
        Err(error) => {
            return Err(listing::failed(server.name(), connection, &error).await.not_sent());
        }
    };
    let (id, token) = (handle.id.clone(), handle.progress_token.clone());
    connection.inbox.follow(token.clone(), call.progress.clone());
    let answered = tokio::select! {
        answered = handle.await_response() => Some(answered),
        Ok(()) = &mut call.cancelled => None,
    };
    // Progress that came before the answer is handed over by tasks of their own, which are next in line.
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    connection.inbox.forget(&token);
    match answered {
        Some(Ok(result)) => Ok(result),
        Some(Err(ServiceError::Timeout { timeout })) => {
            Err(late(server, connection, &call.tool, timeout))
        }
        Some(Err(error)) => {
            if let Some(challenge) = error.auth_challenge() {
                server.challenged(challenge);
            }
            Err(listing::failed(server.name(), connection, &error).await)
        }
        None => {
            tell_cancelled(connection, id).await;
            Err(failure::cancelled(&call.tool))
        }
    }
}

fn late(server: &Server, connection: &Connection, tool: &str, after: Duration) -> Failure {
    let total = server.limits().timeout_total;
    let setting = if after == total { "mcp.timeout_total_ms" } else { "mcp.timeout_ms" };
    let what = format!("the call of `{tool}`");
    let mut failure = failure::timeout(server.name(), &what, after.as_millis(), setting);
    if let Some(complaint) = connection.complained() {
        failure.message.push_str(&format!("; {complaint}"));
    }
    failure
}

async fn tell_cancelled(connection: &Connection, id: RequestId) {
    let reason = Some("the call was cancelled".to_owned());
    let params = CancelledNotificationParam::new(Some(id), reason);
    // A server that does not take the news is not waited for.
    let _ = timeout(NEWS, connection.peer.notify_cancelled(params)).await;
}
