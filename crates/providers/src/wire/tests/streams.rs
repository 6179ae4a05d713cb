//! Recorded streams.

use super::{check, folder};
use crate::failure::{WireError, of_wire};
use crate::sse::SseReader;
use crate::wire::{Decoder, Wire};
use loopwright_protocol::ModelReply;
use serde_json::{Value, json};

fn wire(name: &str) -> Wire {
    match name.split('-').next() {
        Some("anthropic") => Wire::Anthropic,
        Some("responses") => Wire::OpenaiResponses,
        Some("chat") => Wire::OpenaiChat,
        _ => Wire::Gemini,
    }
}

/// Reads what came of a stream whose body then ended cleanly, as a proxy would end it.
fn read(name: &str, pieces: &[&[u8]]) -> (Result<ModelReply, WireError>, Value) {
    let mut decoder = wire(name).decoder("p", 0);
    let result = feed(&mut decoder, pieces);
    let told = decoder.told();
    let reply = result.and_then(|()| decoder.finish());
    (reply, json!({ "usage": told.usage, "whole": told.is_whole }))
}

fn feed(decoder: &mut Decoder, pieces: &[&[u8]]) -> Result<(), WireError> {
    let (mut reader, mut events) = (SseReader::default(), Vec::new());
    for piece in pieces {
        let fed = reader.feed(piece, &mut events);
        for event in events.drain(..) {
            if decoder.event(&event)? {
                return Ok(());
            }
        }
        fed.map_err(|_| WireError::Malformed("not UTF-8".to_owned()))?;
    }
    if reader.is_inside() { Err(WireError::Cut) } else { decoder.end() }
}

fn recorded() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder("streams")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "sse") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            found.push((name, std::fs::read(&path).unwrap()));
        }
    }
    assert!(found.len() >= 25, "{}", found.len());
    found.sort();
    found
}

#[test]
fn recorded_streams_become_what_their_golden_files_say() {
    for (name, bytes) in recorded() {
        let (result, mut found) = read(&name, &[&bytes]);
        match result {
            Ok(reply) => found["reply"] = json!(reply),
            Err(error) => found["failure"] = json!(of_wire(&error, "provider `p`", "m")),
        }
        check(&folder("streams").join(format!("{name}.json")), &found);
    }
}

#[test]
fn a_stream_reads_the_same_in_pieces_of_any_size() {
    for (name, bytes) in recorded() {
        let whole = read(&name, &[&bytes]);
        for size in [1, 2, 3, 7, 64] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(read(&name, &pieces), whole, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn a_stream_cut_at_any_byte_is_never_a_reply() {
    let mut cuts = 0;
    for (name, bytes) in recorded() {
        // Gemini has no terminal event; what follows the chunk with the finish reason is not missed. None does here.
        for end in 0..bytes.len() {
            let (result, _) = read(&name, &[&bytes[..end]]);
            assert!(result.is_err(), "{name} cut at {end} of {}: {result:?}", bytes.len());
            cuts += 1;
        }
    }
    assert!(cuts > 10_000, "{cuts}");
}

#[test]
fn a_stream_with_any_byte_spoilt_is_read_as_a_whole_or_not_at_all() {
    for (name, bytes) in recorded() {
        let whole = read(&name, &[&bytes]).0;
        // Every third byte, beginning elsewhere in each stream: all of them take long.
        for at in (name.len() % 3..bytes.len()).step_by(3) {
            let mut spoilt = bytes.clone();
            spoilt[at] = if spoilt[at] == 0x01 { 0x02 } else { 0x01 };
            // Control characters are no JSON: only what is left over (event names, comments) may hold one.
            if let Ok(reply) = read(&name, &[&spoilt]).0 {
                assert_eq!(Ok(reply), whole, "{name} spoilt at {at}");
            }
        }
    }
}
