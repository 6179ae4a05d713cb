//! Resources and prompts of a server.

use crate::failure;
use crate::listing::ask;
use crate::server::Server;
use loopwright_types::Failure;
use rmcp::model::{
    ClientRequest, ListPromptsRequest, ListResourceTemplatesRequest, ListResourcesRequest,
    PaginatedRequestParams, ReadResourceRequest, ReadResourceRequestParams, ResourceContents,
    ServerResult,
};
use std::sync::Arc;

/// Pages that one list may have.
const PAGES_MAX: usize = 1000;

/// Something a server lets be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its address.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its media type, if the server says.
    pub mime_type: Option<String>,
    /// Its size in bytes, if the server says.
    pub size: Option<u64>,
}

/// A pattern of addresses (RFC 6570).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceTemplate {
    /// The pattern.
    pub uri_template: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
}

/// What is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceContent {
    /// Text.
    Text {
        /// Its address.
        uri: String,
        /// The text.
        text: String,
    },
    /// Bytes, in Base64.
    Blob {
        /// Its address.
        uri: String,
        /// The bytes in Base64.
        base64: String,
    },
}

/// A prompt that a server offers; what it says is the server's, and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its arguments and whether each must be given.
    pub arguments: Vec<(String, bool)>,
}

/// Reads a list page by page. `read` takes a page apart, or gives nothing for what is no page.
async fn all<T>(
    server: &Arc<Server>,
    method: &str,
    request: impl Fn(Option<PaginatedRequestParams>) -> ClientRequest,
    read: impl Fn(ServerResult) -> Option<(Vec<T>, Option<String>)>,
) -> Result<Vec<T>, Failure> {
    let connection = server.connected().await?;
    let limits = server.limits();
    let (mut items, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let params =
            cursor.take().map(|it| PaginatedRequestParams::default().with_cursor(Some(it)));
        let result = ask(server.name(), &connection, limits, request(params)).await?;
        let (page, next) = read(result).ok_or_else(|| {
            let cause = format!("its answer to `{method}` holds no list");
            failure::protocol(server.name(), &cause)
        })?;
        items.extend(page);
        if items.len() > limits.items_max {
            return Err(failure::too_large(server.name(), "a list", None, "mcp.tools_max"));
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(items);
        }
    }
    Err(failure::protocol(server.name(), &format!("its answer to `{method}` has no end")))
}

pub(crate) async fn list(server: Arc<Server>) -> Result<Vec<Resource>, Failure> {
    let request = |params| {
        ClientRequest::ListResourcesRequest(ListResourcesRequest {
            params,
            ..ListResourcesRequest::default()
        })
    };
    let read = |result| {
        let ServerResult::ListResourcesResult(list) = result else { return None };
        let item = |it: rmcp::model::Resource| Resource {
            uri: it.uri,
            name: it.name,
            description: it.description.unwrap_or_default(),
            mime_type: it.mime_type,
            size: it.size,
        };
        Some((list.resources.into_iter().map(item).collect(), list.next_cursor))
    };
    all(&server, "resources/list", request, read).await
}

pub(crate) async fn templates(server: Arc<Server>) -> Result<Vec<ResourceTemplate>, Failure> {
    let request = |params| {
        ClientRequest::ListResourceTemplatesRequest(ListResourceTemplatesRequest {
            params,
            ..ListResourceTemplatesRequest::default()
        })
    };
    let read = |result| {
        let ServerResult::ListResourceTemplatesResult(list) = result else { return None };
        let item = |it: rmcp::model::ResourceTemplate| ResourceTemplate {
            uri_template: it.uri_template,
            name: it.name,
            description: it.description.unwrap_or_default(),
        };
        Some((list.resource_templates.into_iter().map(item).collect(), list.next_cursor))
    };
    all(&server, "resources/templates/list", request, read).await
}

pub(crate) async fn prompts(server: Arc<Server>) -> Result<Vec<Prompt>, Failure> {
    let request = |params| {
        ClientRequest::ListPromptsRequest(ListPromptsRequest {
            params,
            ..ListPromptsRequest::default()
        })
    };
    let read = |result| {
        let ServerResult::ListPromptsResult(list) = result else { return None };
        let item = |it: rmcp::model::Prompt| {
            let arguments = it.arguments.unwrap_or_default().into_iter();
            let arguments = arguments.map(|it| (it.name, it.required == Some(true))).collect();
            Prompt { name: it.name, description: it.description.unwrap_or_default(), arguments }
        };
        Some((list.prompts.into_iter().map(item).collect(), list.next_cursor))
    };
    all(&server, "prompts/list", request, read).await
}

pub(crate) async fn read(
    server: Arc<Server>,
    uri: String,
) -> Result<Vec<ResourceContent>, Failure> {
    let connection = server.connected().await?;
    let limits = server.limits();
    let params = ReadResourceRequestParams::new(uri);
    let request = ClientRequest::ReadResourceRequest(ReadResourceRequest::new(params));
    let result = ask(server.name(), &connection, limits, request).await?;
    let contents = match result {
        ServerResult::ReadResourceResult(result) => result.contents,
        ServerResult::InputRequiredResult(_) => {
            let asked = "something, before it lets the resource be read".to_owned();
            return Err(failure::input(server.name(), &[asked]));
        }
        _ => {
            let cause = "its answer to `resources/read` holds no content";
            return Err(failure::protocol(server.name(), cause));
        }
    };
    let content = |it: ResourceContents| match it {
        ResourceContents::TextResourceContents { uri, text, .. } => {
            Some(ResourceContent::Text { uri, text })
        }
        ResourceContents::BlobResourceContents { uri, blob, .. } => {
            Some(ResourceContent::Blob { uri, base64: blob })
        }
        _ => None,
    };
    let contents: Vec<ResourceContent> = contents.into_iter().filter_map(content).collect();
    let length = |it: &ResourceContent| match it {
        ResourceContent::Text { text, .. } => text.len(),
        ResourceContent::Blob { base64, .. } => base64.len(),
    };
    let size: usize = contents.iter().map(length).sum();
    if size > limits.result_bytes_max {
        let setting = "mcp.result_bytes_max";
        return Err(failure::too_large(server.name(), "a resource", Some(size), setting));
    }
    Ok(contents)
}
