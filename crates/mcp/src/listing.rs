//! What a server lists, read page by page and checked item by item: one bad tool does not take the others with it.

use crate::connection::Connection;
use crate::failure;
use crate::limits::Limits;
use loopwright_types::Failure;
use rmcp::model::{
    ClientRequest, ListToolsRequest, PaginatedRequestParams, ServerResult, Tool as ListedTool,
};
use rmcp::service::{PeerRequestOptions, ServiceError};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Pages that one list may have.
const PAGES_MAX: usize = 1000;
/// Longest name of a tool, in characters.
const NAME_CHARS_MAX: usize = 128;

/// The tools of a server, and what is wrong with those that are left out.
#[derive(Default)]
pub(crate) struct Tools {
    pub(crate) tools: Vec<Listed>,
    pub(crate) complaints: Vec<String>,
}

/// One tool as its server describes it, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    /// The server's own name of it.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) input: Value,
    pub(crate) output: Option<Value>,
}

/// Lists all tools.
///
/// # Errors
/// When the server does not answer, or not with a list.
pub(crate) async fn tools(
    server: &str,
    connection: &Connection,
    limits: &Limits,
) -> Result<Tools, Failure> {
    let info = connection.peer.peer_info();
    if info.is_some_and(|it| it.capabilities.tools.is_none()) {
        return Ok(Tools::default());
    }
    let mut found = Tools::default();
    let mut names = BTreeSet::new();
    let mut cursor = None;
    let mut cursors = BTreeSet::new();
    for _ in 0..PAGES_MAX {
        let (items, next) = page(server, connection, limits, cursor).await?;
        for item in items {
            if found.tools.len() == limits.items_max {
                let max = limits.items_max;
                found
                    .complaints
                    .push(format!("only its first {max} tools are used (`mcp.tools_max`)"));
                return Ok(found);
            }
            match item.and_then(check) {
                Ok(tool) if !names.insert(tool.name.clone()) => {
                    found.complaints.push(format!("it lists the tool `{}` twice", tool.name));
                }
                Ok(tool) => found.tools.push(tool),
                Err(complaint) => found.complaints.push(complaint),
            }
        }
        match next {
            Some(next) if !cursors.insert(next.clone()) => break,
            Some(next) => cursor = Some(next),
            None => return Ok(found),
        }
    }
    found.complaints.push("its list of tools has no end".to_owned());
    Ok(found)
}

type Items = Vec<Result<ListedTool, String>>;

async fn page(
    server: &str,
    connection: &Connection,
    limits: &Limits,
    cursor: Option<String>,
) -> Result<(Items, Option<String>), Failure> {
    let params = cursor.map(|it| PaginatedRequestParams::default().with_cursor(Some(it)));
    let request = ListToolsRequest { params, ..ListToolsRequest::default() };
    let result = ask(server, connection, limits, ClientRequest::ListToolsRequest(request)).await?;
    let no_list = || failure::protocol(server, "its answer to `tools/list` holds no list of tools");
    match result {
        ServerResult::ListToolsResult(list) => {
            Ok((list.tools.into_iter().map(Ok).collect(), list.next_cursor))
        }
        // A list that is not one as a whole may still hold tools that are.
        ServerResult::CustomResult(custom) => {
            let tools = custom.0.get("tools").and_then(Value::as_array).ok_or_else(no_list)?;
            let next = custom.0.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            Ok((tools.iter().map(lenient).collect(), next))
        }
        _ => Err(no_list()),
    }
}

fn lenient(value: &Value) -> Result<ListedTool, String> {
    serde_json::from_value(value.clone()).map_err(|error| {
        let name = value.get("name").and_then(Value::as_str).unwrap_or("?");
        format!("its tool `{}` is described wrongly: {error}", failure::line(name))
    })
}

/// Sends a request that has no effect and waits for its result.
pub(crate) async fn ask(
    server: &str,
    connection: &Connection,
    limits: &Limits,
    request: ClientRequest,
) -> Result<ServerResult, Failure> {
    let method = request.method().to_owned();
    let options = PeerRequestOptions::with_timeout(limits.timeout);
    let sent = connection.peer.send_request_with_option(request, options).await;
    let result = match sent {
        Ok(handle) => handle.await_response().await,
        Err(error) => Err(error),
    };
    match result {
        Ok(result) => Ok(result),
        Err(ServiceError::Timeout { timeout }) => {
            let millis = timeout.as_millis();
            Err(failure::timeout(server, &format!("`{method}`"), millis, "mcp.timeout_ms"))
        }
        Err(error) => Err(failed(server, connection, &error).await),
    }
}

/// The failure of a request, with what is known of how the server ended.
pub(crate) async fn failed(server: &str, connection: &Connection, error: &ServiceError) -> Failure {
    use crate::stdio::{Fault, fault_of};
    if let ServiceError::McpError(data) = error {
        match fault_of(data) {
            Some(Fault::TooLarge(size)) => {
                let setting = "mcp.message_bytes_max";
                return failure::too_large(server, "an answer", Some(size), setting);
            }
            Some(Fault::Malformed(cause)) => {
                return failure::protocol(server, &format!("an answer is no message: {cause}"));
            }
            None => {}
        }
    }
    let ended = match error {
        ServiceError::TransportClosed | ServiceError::TransportSend(_) => {
            connection.last_words().await
        }
        _ => None,
    };
    failure::of_service(server, error, ended)
}

/// What a tool must have to be used.
fn check(tool: ListedTool) -> Result<Listed, String> {
    let shown = failure::line(&tool.name);
    let has_length = (1..=NAME_CHARS_MAX).contains(&tool.name.chars().count());
    if !has_length || tool.name.chars().any(char::is_control) {
        return Err(format!("its tool `{shown}` has a name that cannot be used"));
    }
    if !is_object_schema(&tool.input_schema) {
        return Err(format!(
            "its tool `{shown}` takes no object: the input schema has another `type`"
        ));
    }
    let output = tool.output_schema.map(|it| Value::Object(Arc::unwrap_or_clone(it)));
    Ok(Listed {
        name: tool.name.into_owned(),
        description: tool.description.unwrap_or_default().into_owned(),
        input: Value::Object(Arc::unwrap_or_clone(tool.input_schema)),
        output,
    })
}

/// Whether the schema is one of objects. A missing `type` is forgiven: the protocol has no other arguments.
fn is_object_schema(schema: &Map<String, Value>) -> bool {
    schema.get("type").is_none_or(|it| it == "object")
}
