//! What a tool answered, as the value that programs and models get.

use crate::failure;
use loopwright_protocol::{Found, Json};
use loopwright_schema::{Limits, Validator, compile, describe};
use loopwright_types::{Code, Failure, Reason};
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;

/// Stands for content that a newer revision brought.
const UNKNOWN: &str = "[content of a kind that is not known here]";

/// What a tool says of its results.
#[derive(Clone)]
pub(crate) enum Promise {
    /// Nothing: they are text.
    Text,
    /// They are structures that fit this.
    Fits(Validator),
    /// They are structures, of which nothing can be checked.
    Unknown,
}

impl Promise {
    /// # Errors
    /// Why results cannot be checked against the tool's schema.
    pub(crate) fn of(schema: Option<&Value>, limits: &Limits) -> Result<Self, String> {
        let Some(schema) = schema else { return Ok(Self::Text) };
        compile(schema, limits).map(Self::Fits).map_err(|error| failure::line(&error.message))
    }

    fn is_structure(&self) -> bool {
        !matches!(self, Self::Text)
    }
}

/// What is known of the call whose answer is read.
pub(crate) struct Called<'a> {
    pub(crate) server: &'a str,
    /// The tool as programs name it.
    pub(crate) tool: &'a str,
    pub(crate) promise: &'a Promise,
    pub(crate) result_bytes_max: usize,
}

/// The structured content where the tool promises one, else its content as text.
///
/// # Errors
/// When the tool reports an error (its text is the message), when it promised a structure and sent another or none, and
/// when the result is over its limit.
pub(crate) fn value(called: &Called<'_>, result: CallToolResult) -> Result<Value, Failure> {
    let text = text(&result.content);
    let size = match &result.structured_content {
        Some(value) if called.promise.is_structure() || text.is_empty() => length(value),
        _ => text.len(),
    };
    if size > called.result_bytes_max {
        let what = format!("the result of `{}`", called.tool);
        let setting = "mcp.result_bytes_max";
        return Err(failure::too_large(called.server, &what, Some(size), setting));
    }
    if result.is_error == Some(true) {
        return Err(refused(called, &text, result.structured_content.as_ref()));
    }
    match result.structured_content {
        Some(value) if called.promise.is_structure() => kept(called, value),
        None if called.promise.is_structure() => {
            Err(failure::result(called.server, called.tool, "it has no structured content"))
        }
        // Without a promise the result is text, always: where there is nothing else, the structure's.
        Some(value) if text.is_empty() => Ok(Value::String(value.to_string())),
        _ => Ok(Value::String(text)),
    }
}

/// What a lookup tool says about a call of the tool that `called` tells of: `{"status": "done", "result": …}`,
/// `{"status": "not_done"}` or `{"status": "unknown", "message": "…"}`. The result is held to what the tool promises.
///
/// # Errors
/// When it is none of these, and as for [`value`].
pub(crate) fn found(called: &Called<'_>, answer: Value) -> Result<Found, Failure> {
    let odd = |cause: String| failure::result(called.server, called.tool, &cause);
    let mut answer = match answer {
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|_| odd("the answer of its lookup is not JSON".to_owned()))?,
        other => other,
    };
    let status = answer["status"].as_str().unwrap_or_default().to_owned();
    match status.as_str() {
        "done" => {
            let result = answer["result"].take();
            let value = match (called.promise.is_structure(), result) {
                (true, result) => kept(called, result)?,
                (false, Value::String(text)) => Value::String(text),
                (false, other) => Value::String(other.to_string()),
            };
            Ok(Found::Done(Json::of(&value)))
        }
        "not_done" => Ok(Found::NotDone),
        "unknown" => {
            let said = answer["message"].as_str().unwrap_or("it cannot tell");
            Ok(Found::Unknown(failure::line(said)))
        }
        other => Err(odd(format!(
            "the answer of its lookup has the status `{}`, not `done`, `not_done` or `unknown`",
            failure::line(other)
        ))),
    }
}

/// The structure, if it is of the shape that was promised.
fn kept(called: &Called<'_>, value: Value) -> Result<Value, Failure> {
    let Promise::Fits(validator) = called.promise else { return Ok(value) };
    match validator.check(&value) {
        Ok(()) => Ok(value),
        Err(violations) => Err(failure::result(called.server, called.tool, &describe(&violations))),
    }
}

/// The tool's own text, for the model to act on.
fn refused(called: &Called<'_>, text: &str, structured: Option<&Value>) -> Failure {
    let said = match structured {
        _ if !text.trim().is_empty() => text.trim().to_owned(),
        Some(value) => value.to_string(),
        None => format!("the tool `{}` failed and said nothing more", called.tool),
    };
    Failure::new(Reason::Provider, Code::TOOL_FAILED, said)
}

/// Bytes of the value as JSON, without writing it.
fn length(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
            self.0 += part.len();
            Ok(part.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A value in memory with text keys always serialises.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Text as it is, everything else as a line that says what it is and how large.
fn text(content: &[ContentBlock]) -> String {
    let parts: Vec<String> = content.iter().map(part).collect();
    parts.join("\n")
}

fn part(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => binary("image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => binary("audio", &audio.mime_type, &audio.data),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => {
                format!("[resource {uri}]\n{text}")
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                let kind = mime_type.as_deref().unwrap_or("application/octet-stream");
                binary(&format!("resource {uri}"), kind, blob)
            }
            _ => UNKNOWN.to_owned(),
        },
        ContentBlock::ResourceLink(link) => {
            let size = link.size.map(|it| format!(", {it} bytes")).unwrap_or_default();
            format!("[resource link {} {}{size}]", link.name, link.uri)
        }
        _ => UNKNOWN.to_owned(),
    }
}

fn binary(what: &str, kind: &str, base64: &str) -> String {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    let bytes = (base64.len() / 4 * 3).saturating_sub(padding);
    format!("[{what} {}, {bytes} bytes]", failure::line(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(result: Value, has_output_schema: bool) -> Result<Value, Failure> {
        let numbers = json!({
            "type": ["object", "array"],
            "properties": { "n": { "type": "number" } },
            "additionalProperties": { "type": "string" },
        });
        let promised = Some(&numbers).filter(|_| has_output_schema);
        let promise = Promise::of(promised, &Limits::default()).unwrap();
        let called =
            Called { server: "files", tool: "files.list", promise: &promise, result_bytes_max: 64 };
        value(&called, serde_json::from_value(result).unwrap())
    }

    #[test]
    fn an_answer_is_its_structure_where_one_was_promised_and_else_text() {
        let text = |it: &str| json!({"type": "text", "text": it});
        let cases = [
            (json!({"content": [text("a"), text("b")]}), false, json!("a\nb")),
            (json!({"content": [text("a")], "structuredContent": {"n": 1}}), true, json!({"n": 1})),
            (json!({"content": [text("a")], "structuredContent": {"n": 1}}), false, json!("a")),
            (json!({"content": [], "structuredContent": [1]}), false, json!("[1]")),
            (json!({"content": []}), false, json!("")),
            (
                json!({"content": [{"type": "image", "mimeType": "image/png", "data": "aGVsbG8="}]}),
                false,
                json!("[image image/png, 5 bytes]"),
            ),
            (
                json!({"content": [{"type": "resource", "resource": {"uri": "a://b", "text": "t"}}]}),
                false,
                json!("[resource a://b]\nt"),
            ),
            (
                json!({"content": [{"type": "resource_link", "name": "n", "uri": "a://b", "size": 9}]}),
                false,
                json!("[resource link n a://b, 9 bytes]"),
            ),
        ];
        for (result, promised, expected) in cases {
            assert_eq!(read(result.clone(), promised).unwrap(), expected, "{result}");
        }
    }

    #[test]
    fn a_schema_that_is_none_is_told_and_promises_nothing_that_could_be_checked() {
        let promise = Promise::of(Some(&json!({ "type": "nonsense" })), &Limits::default());
        let cause = promise.err().unwrap();
        assert!(cause.contains("the schema is not valid"), "{cause}");
    }

    #[test]
    fn an_answer_that_cannot_be_given_on_is_a_failure_that_says_why() {
        let long = "x".repeat(65);
        let cases = [
            (
                json!({"content": [{"type": "text", "text": "no such file\nuse ls"}], "isError": true}),
                false,
                Code::TOOL_FAILED,
                "no such file\nuse ls",
            ),
            (
                json!({"content": [], "isError": true}),
                true,
                Code::TOOL_FAILED,
                "the tool `files.list` failed and said nothing more",
            ),
            (
                json!({"content": [{"type": "text", "text": "a"}]}),
                true,
                Code::MCP_RESULT,
                "the result of `files.list` does not fit the output schema that the MCP server `files` gives for it: \
                 it has no structured content",
            ),
            (
                json!({"content": [{"type": "text", "text": "{}"}], "structuredContent": {"n": "1"}}),
                true,
                Code::MCP_RESULT,
                "the result of `files.list` does not fit the output schema that the MCP server `files` gives for it: \
                 n: `\"1\"` is not of type \"number\"",
            ),
            (
                json!({"content": [{"type": "text", "text": long}]}),
                false,
                Code::MCP_TOO_LARGE,
                "the result of `files.list` of the MCP server `files` is larger (65 bytes) than \
                 `mcp.result_bytes_max` allows",
            ),
            (
                json!({"content": [], "structuredContent": {"a": long}}),
                true,
                Code::MCP_TOO_LARGE,
                "the result of `files.list` of the MCP server `files` is larger (73 bytes) than \
                 `mcp.result_bytes_max` allows",
            ),
        ];
        for (result, promised, code, message) in cases {
            let failure = read(result, promised).unwrap_err();
            assert_eq!((failure.code, failure.message.as_str()), (code, message));
        }
    }
}
