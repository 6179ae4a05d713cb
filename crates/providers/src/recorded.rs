//! Tests with streams that a fake server recorded: read whole however cut, never accepted short, never a panic.

use crate::failure::WireError;
use crate::sse::SseReader;
use crate::wire::{Decoder, Told, Wire};
use loopwright_fakes as fakes;
use loopwright_fakes::{Part, Random, RecordedStream, Stop, recorded_streams};
use loopwright_protocol::{Block, Finish, ModelReply};

fn wire(wire: fakes::Wire) -> Wire {
    match wire {
        fakes::Wire::Anthropic => Wire::Anthropic,
        fakes::Wire::Chat => Wire::OpenaiChat,
        fakes::Wire::Responses => Wire::OpenaiResponses,
        fakes::Wire::Gemini => Wire::Gemini,
    }
}

/// Reads a body as an attempt does; it ends as HTTP says it should, however short it is.
struct Body {
    reader: SseReader,
    decoder: Decoder,
}

impl Body {
    fn new(stream: &RecordedStream) -> Self {
        Self { reader: SseReader::default(), decoder: wire(stream.wire).decoder("fake", 0) }
    }

    /// `true` after the terminal event.
    fn feed(&mut self, bytes: &[u8]) -> Result<bool, WireError> {
        let mut events = Vec::new();
        let fed = self.reader.feed(bytes, &mut events);
        for event in events {
            if self.decoder.event(&event)? {
                return Ok(true);
            }
        }
        fed.map(|()| false).map_err(|_| WireError::Malformed("it is not UTF-8".to_owned()))
    }

    /// What becomes of it if the body ends here.
    fn end(&self) -> Result<(), WireError> {
        if self.reader.is_inside() { Err(WireError::Cut) } else { self.decoder.end() }
    }
}

fn read(
    stream: &RecordedStream,
    bytes: &[u8],
    piece: usize,
) -> Result<(ModelReply, Told), WireError> {
    let mut body = Body::new(stream);
    for piece in bytes.chunks(piece) {
        if body.feed(piece)? {
            let told = body.decoder.told();
            return Ok((body.decoder.finish()?, told));
        }
    }
    body.end()?;
    let told = body.decoder.told();
    Ok((body.decoder.finish()?, told))
}

/// Text, thinking and calls (name and arguments), as said and as read.
type Content = (String, String, Vec<(String, serde_json::Value)>);

fn said(stream: &RecordedStream) -> Content {
    let mut content = Content::default();
    for part in &stream.reply.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => content.0.push_str(text),
            Part::Thinking(text) => content.1.push_str(text),
            Part::Call { name, arguments, .. } => {
                content.2.push((name.clone(), serde_json::from_str(arguments).unwrap()));
            }
        }
    }
    content
}

fn heard(reply: &ModelReply) -> Content {
    let mut content = Content::default();
    for block in &reply.blocks {
        match block {
            Block::Text { text } => content.0.push_str(text),
            Block::Native { text, .. } => content.1.push_str(text),
            Block::ToolUse { name, arguments, .. } => {
                content.2.push((name.clone(), serde_json::from_str(arguments).unwrap()));
            }
        }
    }
    content
}

#[test]
fn recorded_streams_are_read_whole_in_pieces_of_any_size() {
    for stream in recorded_streams() {
        for piece in [1, 2, 3, 7, 64, usize::MAX] {
            let place = format!("{:?} {} in pieces of {piece}", stream.wire, stream.name);
            let (reply, told) = read(&stream, &stream.bytes, piece)
                .unwrap_or_else(|error| panic!("{place}: {error:?}"));
            assert_eq!(heard(&reply), said(&stream), "{place}");
            let finish = match stream.reply.stop {
                Stop::End => Finish::End,
                Stop::Tools => Finish::Tools,
                Stop::Length => Finish::Length,
                Stop::Refusal => Finish::Refusal,
                Stop::Pause => Finish::Pause,
            };
            assert_eq!(reply.finish, finish, "{place}");
            let usage = (told.usage.input_tokens, told.usage.output_tokens, told.is_whole);
            assert_eq!(usage, (stream.usage.prompt(), stream.usage.output, true), "{place}");
        }
    }
}

#[test]
fn no_stream_cut_before_the_end_of_its_terminal_event_is_accepted() {
    let (mut streams, mut cuts) = (0, 0);
    for stream in recorded_streams() {
        streams += 1;
        let mut body = Body::new(&stream);
        // The state after so many bytes is the state of a body cut there: no need to begin again for each.
        for at in 0..stream.terminal_at {
            let place = format!("{:?} {} cut after {at} bytes", stream.wire, stream.name);
            assert!(body.end().is_err(), "{place}");
            cuts += 1;
            let done = body
                .feed(&stream.bytes[at..=at])
                .unwrap_or_else(|error| panic!("{place}: {error:?}"));
            assert!(!done || at + 1 == stream.terminal_at, "{place}");
        }
    }
    assert_eq!(streams, 50);
    println!("{cuts} cuts of {streams} streams, none accepted");
}

#[test]
fn a_stream_that_lost_an_event_is_refused_or_whole_where_its_wire_says_everything_twice() {
    for stream in recorded_streams().iter().filter(|stream| stream.wire == fakes::Wire::Responses) {
        let text = std::str::from_utf8(&stream.bytes).unwrap();
        let events: Vec<&str> = text.split_inclusive("\n\n").collect();
        for lost in 0..events.len() - 1 {
            let rest = [&events[..lost], &events[lost + 1..]].concat().concat();
            let Ok((reply, _)) = read(stream, rest.as_bytes(), 4_096) else { continue };
            assert_eq!(heard(&reply), said(stream), "{} without {}", stream.name, events[lost]);
        }
    }
}

/// What a reply that counts cannot do without, looked for without reading the stream.
fn has_end(stream: &RecordedStream, bytes: &[u8]) -> bool {
    let marks: &[&str] = match stream.wire {
        fakes::Wire::Anthropic => &["message_stop"],
        fakes::Wire::Chat => &["[DONE]"],
        fakes::Wire::Responses => &["response.completed", "response.incomplete"],
        fakes::Wire::Gemini => &["finishReason"],
    };
    marks.iter().any(|mark| bytes.windows(mark.len()).any(|window| window == mark.as_bytes()))
}

/// A stream with one to four things done to it that networks, proxies and broken servers do.
fn mutated(streams: &[RecordedStream], index: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = streams[index].bytes.clone();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        let length = random.below((bytes.len() - at).min(200) + 1);
        match random.below(9) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let again = bytes[at..at + length].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let other = &streams[random.below(streams.len())].bytes;
                let from = random.below(other.len());
                let slice = other[from..(from + length).min(other.len())].to_vec();
                bytes.splice(at..at, slice);
            }
            5 => {
                let marks = b"{}[]\",:\n\r\\0-9ntf\x00\xff";
                bytes[at] = marks[random.below(marks.len())];
            }
            6 | 7 => shuffle_events(&mut bytes, random),
            _ => {
                let values = [
                    "null",
                    "-1",
                    "1e999",
                    "18446744073709551616",
                    "[]",
                    "{}",
                    "\"\\ud800\"",
                    "true",
                ];
                replace_value(&mut bytes, at, values[random.below(values.len())]);
            }
        }
    }
    bytes
}

/// Drops, repeats or swaps whole events.
fn shuffle_events(bytes: &mut Vec<u8>, random: &mut Random) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut events: Vec<&str> = text.split_inclusive("\n\n").collect();
    if text.contains("\r\n\r\n") {
        events = text.split_inclusive("\r\n\r\n").collect();
    }
    if events.is_empty() {
        return;
    }
    let (one, other) = (random.below(events.len()), random.below(events.len()));
    match random.below(3) {
        0 => drop(events.remove(one)),
        1 => events.insert(other, events[one]),
        _ => events.swap(one, other),
    }
    *bytes = events.concat().into_bytes();
}

/// Replaces the JSON value after the next colon by another.
fn replace_value(bytes: &mut Vec<u8>, at: usize, value: &str) {
    let Some(colon) = bytes[at..].iter().position(|byte| *byte == b':').map(|it| at + it + 1)
    else {
        return;
    };
    let until = bytes[colon..]
        .iter()
        .position(|byte| b",}\n".contains(byte))
        .map_or(bytes.len(), |it| colon + it);
    bytes.splice(colon..until, value.bytes());
}

#[test]
fn fuzzed_replies_never_panic_and_never_count_without_their_end() {
    let replies = std::env::var("LOOPWRIGHT_FUZZED_REPLIES").ok().and_then(|it| it.parse().ok());
    let replies: u64 = replies.unwrap_or(100_000);
    // The short ones: as varied, and a hundred thousand of them take seconds.
    let streams: Vec<RecordedStream> =
        recorded_streams().into_iter().filter(|stream| stream.bytes.len() < 4_000).collect();
    let mut accepted = 0;
    for seed in 0..replies {
        let mut random = Random::new(seed);
        let index = random.below(streams.len());
        let bytes = mutated(&streams, index, &mut random);
        let piece = 1 + random.below(300);
        let stream = &streams[index];
        let result =
            std::panic::catch_unwind(|| read(stream, &bytes, piece).map(|(reply, _)| reply));
        let result =
            result.unwrap_or_else(|_| panic!("seed {seed}: {:?} {}", stream.wire, stream.name));
        let Ok(reply) = result else { continue };
        accepted += 1;
        assert!(has_end(stream, &bytes), "seed {seed}: accepted {reply:?}");
        let calls = reply.blocks.iter().filter_map(|block| match block {
            Block::ToolUse { id, name, .. } => Some((id, name)),
            _ => None,
        });
        let ids: std::collections::HashSet<&String> = calls.clone().map(|(id, _)| id).collect();
        assert_eq!(
            ids.len(),
            calls.clone().count(),
            "seed {seed}: ids that are not unique: {reply:?}"
        );
        assert!(
            calls.clone().all(|(id, name)| !id.is_empty() && !name.is_empty()),
            "seed {seed}: {reply:?}"
        );
    }
    println!("{replies} fuzzed replies of {} streams, {accepted} still whole", streams.len());
}
