//! What went wrong, in words an author can act on. Every failure names its server.

use loopwright_types::{Code, Failure, Reason};
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::streamable_http_client::StreamableHttpError;
use std::error::Error;

type HttpError = StreamableHttpError<reqwest::Error>;

/// Longest text of a server that a message quotes, in characters.
const QUOTE_CHARS_MAX: usize = 300;

/// A server did not come up; nothing was sent.
pub(crate) fn not_started(server: &str, cause: &str) -> Failure {
    let message = format!("the MCP server `{server}` did not start: {cause}");
    Failure::new(Reason::Provider, Code::MCP_NOT_STARTED, message).not_sent()
}

/// A server that was up is gone.
pub(crate) fn lost(server: &str, cause: &str) -> Failure {
    let message = format!("the connection to the MCP server `{server}` broke: {cause}");
    let hint = "the call may have had its effect; the next call starts the server anew";
    Failure::new(Reason::Provider, Code::MCP_LOST, message).hint(hint)
}

/// A server said something that the protocol does not allow.
pub(crate) fn protocol(server: &str, cause: &str) -> Failure {
    let message = format!("the MCP server `{server}` does not keep to the protocol: {cause}");
    Failure::new(Reason::Provider, Code::MCP_PROTOCOL, message)
        .hint("this is a fault of the server; a newer version of it may help")
}

/// A result that is not of the shape that its tool promised.
pub(crate) fn result(server: &str, tool: &str, cause: &str) -> Failure {
    let message = format!(
        "the result of `{tool}` does not fit the output schema that the MCP server `{server}` gives for it: {cause}"
    );
    let hint = "the call may have had its effect; this is a fault of the server, and a newer version of it may help";
    Failure::new(Reason::Provider, Code::MCP_RESULT, message).hint(hint)
}

/// Something a server sent is over a limit. `size` is in bytes where it is known.
pub(crate) fn too_large(server: &str, what: &str, size: Option<usize>, setting: &str) -> Failure {
    let size = size.map(|it| format!(" ({it} bytes)")).unwrap_or_default();
    let message =
        format!("{what} of the MCP server `{server}` is larger{size} than `{setting}` allows");
    let hint = format!("ask for less at a time, or raise the setting `{setting}`");
    Failure::new(Reason::Provider, Code::MCP_TOO_LARGE, message).hint(hint)
}

/// A server wants a token that we do not have.
pub(crate) fn login(server: &str, cause: &str) -> Failure {
    let message = format!("the MCP server `{server}` wants a login: {cause}");
    let hint = format!("run `loopwright mcp login {server}`, or give it a header in `.mcp.json`");
    Failure::new(Reason::Policy, Code::MCP_LOGIN, message).hint(hint).not_sent()
}

/// A server asked something that only a person could answer.
pub(crate) fn input(server: &str, questions: &[String]) -> Failure {
    let asked: Vec<String> = questions.iter().map(|it| format!("`{}`", line(it))).collect();
    let asked = asked.join(", ");
    let message = format!("the MCP server `{server}` asked for input during the call: {asked}");
    let hint = "nobody answers questions here: give the tool all it needs in its arguments";
    Failure::new(Reason::Policy, Code::MCP_INPUT, message).hint(hint)
}

/// A call was not answered in time.
pub(crate) fn timeout(server: &str, what: &str, millis: u128, setting: &str) -> Failure {
    let message =
        format!("the MCP server `{server}` did not answer {what} within {millis} ms (`{setting}`)");
    Failure::new(Reason::Timeout, Code::MCP_TIMEOUT, message)
        .hint(format!("raise the setting `{setting}` if the server needs more time"))
}

/// The call was given up by whoever made it.
pub(crate) fn cancelled(what: &str) -> Failure {
    Failure::new(Reason::Cancelled, Code::CANCELLED, format!("the call of `{what}` was cancelled"))
}

/// The background thread is gone.
pub(crate) fn ending(server: &str) -> Failure {
    not_started(server, "the run is ending")
}

/// A request that failed; `ended` is what is known of how the server's process ended.
pub(crate) fn of_service(server: &str, error: &ServiceError, ended: Option<String>) -> Failure {
    let refused = match error {
        ServiceError::TransportSend(sent) => is_unauthorized(sent.error.as_ref()),
        _ => false,
    };
    if refused || error.is_authorization_required() {
        return login(server, "it refused the request without one (401)");
    }
    if let Some(challenge) = error.auth_challenge() {
        return login(server, &format!("it wants more scopes: `{}`", line(challenge)));
    }
    match error {
        ServiceError::McpError(data) => {
            let said = line(&data.message);
            let code = data.code.0;
            let message = format!("the MCP server `{server}` answered with error {code}: {said}");
            Failure::new(Reason::Provider, Code::MCP_ERROR, message)
        }
        ServiceError::TransportClosed => {
            lost(server, &ended.unwrap_or_else(|| "it closed the connection".to_owned()))
        }
        ServiceError::UnexpectedResponse => {
            protocol(server, "its answer is not one to the request")
        }
        ServiceError::TransportSend(sent) => {
            let http = sent.error.downcast_ref();
            if let Some(HttpError::SessionExpired) = http {
                // The server does not know the session, so it did nothing.
                let cause = "it has forgotten the session (404)";
                return lost(server, cause).hint("the next call begins a new one").not_sent();
            }
            if let Some(HttpError::ResponseBodyTooLarge { .. }) = http {
                return too_large(server, "an answer", None, "mcp.message_bytes_max");
            }
            lost(server, &ended.unwrap_or_else(|| causes(sent.error.as_ref())))
        }
        other => lost(server, &ended.unwrap_or_else(|| causes(other))),
    }
}

/// Whether a server refused a first request for want of a login.
pub(crate) fn is_refused(error: &ClientInitializeError) -> bool {
    let plain = match error {
        ClientInitializeError::TransportError { error, .. } => {
            is_unauthorized(error.error.as_ref())
        }
        _ => false,
    };
    plain || error.is_authorization_required() || error.auth_challenge().is_some()
}

/// Whether this is a 401 that did not say what it wants.
fn is_unauthorized(error: &(dyn Error + 'static)) -> bool {
    let said = match error.downcast_ref() {
        Some(HttpError::UnexpectedServerResponse(said)) => said,
        _ => return false,
    };
    said.starts_with("HTTP 401")
}

/// What a failed start says, without the layers of the library around it.
pub(crate) fn of_start(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::ConnectionClosed(_) => "it closed the connection".to_owned(),
        ClientInitializeError::JsonRpcError(data) => {
            format!("it answered with error {}: {}", data.code.0, line(&data.message))
        }
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => of_start(fallback),
        ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
            let speaks: Vec<&str> = server_supported.iter().map(|it| it.as_str()).collect();
            format!("it speaks the revisions {}, none of which is known here", speaks.join(", "))
        }
        ClientInitializeError::ExpectedInitResult(_)
        | ClientInitializeError::ExpectedInitResponse(_) => {
            "its answer is not one to the first request".to_owned()
        }
        ClientInitializeError::TransportError { error, .. } => causes(error.error.as_ref()),
        other => causes(other),
    }
}

/// The causes of an error from the outermost that says something of its own: most layers repeat what they hold.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut all = vec![error.to_string()];
    let mut next = source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        all.retain(|outer| !outer.contains(&text));
        all.push(text);
        next = source(cause);
    }
    line(&all.join(": ").replace("ServerJsonRpcMessage", "a message of the protocol"))
}

fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref() {
        // The library does not name this one as a source.
        Some(HttpError::Client(cause)) => Some(cause),
        _ => error.source(),
    }
}

/// Text of a server as one short line: it is data, and may hold anything.
pub(crate) fn line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|it| !it.is_empty())
        .collect();
    let joined = words.join(" ");
    match joined.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &joined[..at]),
        None => joined,
    }
}
