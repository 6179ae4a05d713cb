//! The exact bytes of a streamed reply, without a server.

use crate::encode::{self, Telling, Turn};
use crate::{Reply, Request, Usage, Wire};
use serde_json::{Value, json};

/// A streamed reply, as bytes.
#[derive(Clone, Debug)]
pub struct RecordedStream {
    /// The wire.
    pub wire: Wire,
    /// What it is an example of.
    pub name: String,
    /// The body, after chunks are put together.
    pub bytes: Vec<u8>,
    /// Where the terminal event counts by the rules of server-sent events, its empty line included: a client that saw
    /// fewer bytes must not accept the reply.
    pub terminal_at: usize,
    /// What the model said.
    pub reply: Reply,
    /// The usage told.
    pub usage: Usage,
}

/// Records the stream of a reply in pieces of at most `piece_bytes` bytes; `ascii` escapes everything else in JSON.
pub fn record_stream(
    wire: Wire,
    name: &str,
    reply: Reply,
    piece_bytes: usize,
    ascii: bool,
) -> RecordedStream {
    let mut request = Request::new(wire, "fake-model", &[], json!({}));
    request.stream = true;
    request.encrypted_reasoning = true;
    request.push_prompt(&"The question that was asked. ".repeat(7), false);
    record(&request, name, reply, piece_bytes, ascii)
}

fn record(
    request: &Request,
    name: &str,
    reply: Reply,
    piece_bytes: usize,
    ascii: bool,
) -> RecordedStream {
    let usage = Usage {
        input: request.input_tokens(),
        output: reply.output_tokens(),
        thinking: reply.thinking_tokens(),
        ..Usage::default()
    };
    let turn = Turn {
        request,
        reply: &reply,
        usage,
        telling: Telling::Truth,
        finish: true,
        piece_bytes,
        ascii,
    };
    let mut bytes = Vec::new();
    let mut terminal_at = 0;
    for event in encode::stream(&turn) {
        bytes.extend_from_slice(&event.bytes);
        if event.terminal {
            // A carriage return alone ends a line: the event counts before the last line feed has come.
            terminal_at = bytes.len() - usize::from(event.bytes.ends_with(b"\r\n"));
        }
    }
    RecordedStream { wire: request.wire, name: name.to_owned(), bytes, terminal_at, reply, usage }
}

/// A small schema that structured answers in tests have.
pub(crate) fn answer() -> Value {
    json!({
        "verdict": "über-gut",
        "score": 0.75,
        "reasons": ["fast", "\"quoted\"", "line\nbreak", "日本語", "🦀🦀"],
        "nested": { "empty": {}, "none": null, "deep": [[1, 2], []] },
    })
}
