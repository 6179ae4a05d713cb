//! Fifty recorded streams, varied in wire, content and how it is cut into pieces.

use crate::record::{answer, record_stream};
use crate::{Part, RecordedStream, Reply, Stop, Wire};
use serde_json::json;

/// The stories told on every wire: a name, the reply, the size of pieces, whether everything outside ASCII is escaped.
fn stories() -> Vec<(&'static str, Reply, usize, bool)> {
    let unicode = "Grüße — 日本語 🦀👩‍👩‍👧 e\u{301} \u{2028}\u{FEFF} \u{1F1E9}\u{1F1EA} end";
    let hard = json!({
        "path": "src/ma\"in\\.rs", "text": "tab\t newline\n nul \u{0} quote \" slash / back \\ 🦀", "n": -1.5e-7,
        "list": [true, null, {}],
    });
    vec![
        ("a short text", Reply::text("Paris."), 24, false),
        (
            "a text in pieces of one byte",
            Reply::text("Twelve words, cut as small as can be: é🦀."),
            1,
            false,
        ),
        ("unicode", Reply::text(unicode), 5, false),
        ("unicode escaped", Reply::text(unicode), 5, true),
        (
            "a text that looks like the protocol",
            Reply::text(
                "data: [DONE]\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\r\n\r\n\"finishReason\":\"STOP\"",
            ),
            16,
            false,
        ),
        ("one tool call", Reply::call("read_file", &json!({ "path": "README.md" })), 7, false),
        (
            "text and three tool calls",
            Reply::text("I look at three files.")
                .and_call("read_file", &json!({ "path": "a" }))
                .and_call("grep", &hard)
                .and_call("ls", &json!({})),
            9,
            false,
        ),
        (
            "thinking, text, a call with escapes",
            Reply::text("Now.")
                .thinking("First… then, perhaps, 思考.")
                .and_call("edit_file", &hard),
            6,
            true,
        ),
        ("a structured answer", Reply::text(answer().to_string()), 11, false),
        (
            "thinking and a structured answer",
            Reply::text(answer().to_string()).thinking("Which shape?"),
            64,
            true,
        ),
        (
            "a text stopped by the limit",
            Reply::text("This goes on and").stop(Stop::Length),
            8,
            false,
        ),
        ("nothing said", Reply::parts([]), 24, false),
    ]
}

/// Fifty recorded streams: twelve stories on each of the four wires, and a pause and a refusal.
pub fn recorded_streams() -> Vec<RecordedStream> {
    let mut streams: Vec<RecordedStream> = stories()
        .into_iter()
        .flat_map(|(name, reply, piece_bytes, ascii)| {
            Wire::ALL.map(|wire| record_stream(wire, name, reply.clone(), piece_bytes, ascii))
        })
        .collect();
    let paused = Reply::text("Searching on.").stop(Stop::Pause);
    streams.push(record_stream(Wire::Anthropic, "a pause", paused, 24, false));
    let refused =
        Reply::parts([Part::Refusal("I cannot help with that.".to_owned())]).stop(Stop::Refusal);
    streams.push(record_stream(Wire::Responses, "a refusal", refused, 6, false));
    streams
}
