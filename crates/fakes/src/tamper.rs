//! Faults in what the model says and in the events that carry it.

use crate::encode::{Telling, Turn};
use crate::error::{ApiError, Kind};
use crate::event::Event;
use crate::{Choice, Fault, Part, Reply, Request, Stop, Wire};
use serde_json::{Value, json};

const PAGE: &str =
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>";

/// A page where an answer should be.
pub(crate) fn page() -> Vec<u8> {
    PAGE.as_bytes().to_vec()
}

/// Changes what the model says. Tells whether there was anything to change.
pub(crate) fn content(fault: Fault, request: &Request, reply: &mut Reply) -> bool {
    match fault {
        Fault::InvalidToolArguments => {
            let Some(name) = tool_name(request) else { return false };
            let broken = Part::Call { id: None, name, arguments: "{\"path\": \"src/ma".to_owned() };
            reply.parts.retain(|part| matches!(part, Part::Thinking(_)));
            reply.parts.push(broken);
            reply.stop = Stop::Tools;
        }
        Fault::DuplicateToolIds => {
            let Some(name) = tool_name(request) else { return false };
            if !reply.parts.iter().any(|part| matches!(part, Part::Call { .. })) {
                *reply = Reply::call(name.clone(), &json!({}));
            }
            let calls = |part: &&Part| matches!(part, Part::Call { .. });
            if reply.parts.iter().filter(calls).count() == 1 {
                let again = reply.parts.iter().find(calls).cloned();
                reply.parts.extend(again);
            }
            for part in &mut reply.parts {
                if let Part::Call { id, .. } = part {
                    *id = Some("call_twice".to_owned());
                }
            }
        }
        Fault::SchemaInvalidAnswer => {
            if request.schema.is_none() && !matches!(request.choice, Choice::Tool(_)) {
                return false;
            }
            *reply = Reply::answer(request, &json!({ "unexpected": [1, "two", null] }));
        }
        Fault::OversizedReply(mebibytes) => {
            let line = "all work and no play ";
            let mut text = line.repeat(((mebibytes as usize) << 20).div_ceil(line.len()));
            text.truncate((mebibytes as usize) << 20);
            *reply = Reply::text(text);
        }
        _ => return false,
    }
    true
}

fn tool_name(request: &Request) -> Option<String> {
    match &request.choice {
        Choice::Tool(name) => Some(name.clone()),
        Choice::None => None,
        _ => request.tools.first().map(|tool| tool.name.clone()),
    }
}

/// Changes what a reply tells about itself.
pub(crate) fn telling(fault: Fault, turn: &mut Turn<'_>) {
    match fault {
        Fault::MissingUsage => turn.telling = Telling::Nothing,
        Fault::ZeroUsage => turn.telling = Telling::Zeros,
        Fault::MissingFinishReason => turn.finish = false,
        _ => {}
    }
}

/// Changes the events of a reply.
pub(crate) fn events(fault: Fault, wire: Wire, stream: bool, events: &mut Vec<Event>) {
    let half = events.len() / 2;
    match fault {
        Fault::CorruptEvent => {
            let event = &mut events[half];
            let brace = event.bytes.iter().rposition(|byte| *byte == b'}').unwrap_or(0);
            let kept = event.bytes[..brace].len() * 2 / 3;
            event.bytes.truncate(kept);
            if stream {
                event.bytes.extend_from_slice(b"\n\n");
            }
            event.content = 0;
            event.broken = true;
        }
        Fault::InvalidUtf8 => {
            let event = &mut events[half];
            let quote = event.bytes.iter().rposition(|byte| *byte == b'"').unwrap_or(0);
            event.bytes.splice(quote..quote, [0xC3, 0x28, 0xFF]);
            event.broken = true;
        }
        Fault::MissingFinishReason => events.iter_mut().for_each(|event| event.terminal = false),
        Fault::ErrorEventMidStream => {
            events.truncate(if stream { half } else { 0 });
            events.push(error_event(wire, stream, events.len()));
        }
        Fault::UnknownEvents if stream => {
            let at = 1.min(events.len());
            events.splice(at..at, novelties(wire).map(Event::new));
        }
        Fault::UnknownEvents => {
            if let Ok(mut body) = serde_json::from_slice::<Value>(&events[0].bytes) {
                body["novel_field"] = json!({ "since": 2031 });
                events[0].bytes = body.to_string().into_bytes();
            }
        }
        _ => {}
    }
}

fn error_event(wire: Wire, stream: bool, number: usize) -> Event {
    let error = ApiError::new(503, Kind::Overloaded, "Overloaded");
    if !stream {
        return Event::new(error.body(wire, "req_fake").to_string());
    }
    match wire {
        Wire::Anthropic => Event::named("error", &error.anthropic()),
        Wire::Responses => Event::named(
            "error",
            &json!({
                "type": "error",
                "code": "server_error",
                "message": "The server had an error while processing your request.",
                "param": null,
                "sequence_number": number,
            }),
        ),
        Wire::Chat => Event::data(&error.body(wire, "req_fake")),
        Wire::Gemini => Event::new(format!("data: {}\r\n\r\n", error.body(wire, "req_fake"))),
    }
}

/// What a stream may have by its standards though no reference names it.
fn novelties(wire: Wire) -> [&'static str; 3] {
    let novel = match wire {
        Wire::Anthropic => "event: novel\ndata: {\"type\":\"novel\",\"index\":0}\n\n",
        Wire::Chat => {
            "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"m\",\"choices\":[],\"novel\":1}\n\n"
        }
        Wire::Responses => {
            "event: response.novel.delta\ndata: {\"type\":\"response.novel.delta\",\"sequence_number\":1}\n\n"
        }
        Wire::Gemini => {
            "data: {\"candidates\":[{\"index\":0,\"content\":{\"role\":\"model\",\"parts\":[{\"novelPart\":{\"since\":2031}}]},\"novelField\":1}]}\r\n\r\n"
        }
    };
    [": a comment keeps the line alive\n\n", novel, "retry: 1000\nid: 7\n\n"]
}
