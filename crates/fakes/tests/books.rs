//! The provider's books: caching, rate limits, concurrency, keys.

mod support;

use loopwright_fakes::{
    FakeProvider, Limits, Options, Reply, Request, Usage, Wire, generate, recorded_streams,
};
use loopwright_fakes::{Random, tokens};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Barrier;
use std::time::Duration;
use support::{Client, ask, ask_over, body, headers, target, usage};

/// An Anthropic request: a long system prompt with a mark, then a question.
fn marked(question: &str) -> Value {
    let mut body = body(Wire::Anthropic, false, question);
    let text = "A long system prompt. ".repeat(400);
    body["system"] =
        json!([{ "type": "text", "text": text, "cache_control": { "type": "ephemeral" } }]);
    body
}

#[test]
fn a_marked_prefix_is_written_once_and_read_afterwards() {
    let provider = FakeProvider::start(Options::default());
    let usages = ["one", "two"].map(|question| {
        let answer = ask(&provider, Wire::Anthropic, false, &marked(question)).json();
        let number = |key: &str| answer["usage"][key].as_u64().unwrap();
        (
            number("input_tokens"),
            number("cache_creation_input_tokens"),
            number("cache_read_input_tokens"),
        )
    });
    let prefix = tokens("A long system prompt. ".len() * 400 + 1);
    assert_eq!(usages[0], (1, prefix, 0));
    assert_eq!(usages[1], (1, 0, prefix));
    let billed = provider.report().billed;
    assert_eq!((billed.cache_write, billed.cache_read, billed.input), (prefix, prefix, 2));
}

#[test]
fn siblings_that_start_before_the_first_reply_begins_pay_for_the_prefix_again() {
    // Nobody is answered before all three have arrived.
    let all = Barrier::new(3);
    let script = move |request: &Request| {
        if request.number < 3 {
            all.wait();
        }
        Reply::text("done")
    };
    let provider = FakeProvider::start(Options::script(script));
    std::thread::scope(|scope| {
        for question in ["one", "two", "three"] {
            let provider = &provider;
            scope.spawn(move || ask(provider, Wire::Anthropic, false, &marked(question)));
        }
    });
    let report = provider.report();
    assert_eq!((report.peak_concurrency, report.billed.cache_read), (3, 0), "{:?}", report.billed);
    ask(&provider, Wire::Anthropic, false, &marked("four"));
    assert!(provider.report().billed.cache_read > 0);
}

#[test]
fn a_conversation_that_grows_reads_what_it_wrote_the_turn_before() {
    let provider = FakeProvider::start(Options { least_cache_tokens: 16, ..Options::default() });
    let mark = json!({ "type": "ephemeral" });
    let text = |text: &str| json!({ "type": "text", "text": text.repeat(30) });
    let mut messages = vec![json!({ "role": "user", "content": [text("first ")] })];
    let mut reads = Vec::new();
    for _ in 0..3 {
        let mut request = body(Wire::Anthropic, false, "x");
        let mut marked = messages.clone();
        marked.last_mut().unwrap()["content"][0]["cache_control"] = mark.clone();
        request["messages"] = json!(marked);
        let answer = ask(&provider, Wire::Anthropic, false, &request).json();
        reads.push(answer["usage"]["cache_read_input_tokens"].as_u64().unwrap());
        messages.push(json!({ "role": "assistant", "content": [text("reply ")] }));
        messages.push(json!({ "role": "user", "content": [text("more ")] }));
    }
    assert!(reads[0] == 0 && reads[1] > 0 && reads[2] > reads[1], "{reads:?}");
}

#[test]
fn other_wires_cache_long_prefixes_by_themselves() {
    let provider = FakeProvider::start(Options::default());
    for wire in [Wire::Chat, Wire::Responses, Wire::Gemini] {
        let prompt = "The same long beginning. ".repeat(300);
        let cached = ["a", "b"].map(|end| {
            let request = body(wire, true, &format!("{prompt}{end}"));
            usage(wire, true, &ask(&provider, wire, true, &request)).unwrap()
        });
        let total = tokens(prompt.len() + 2);
        assert_eq!((cached[0].0, cached[0].1), (total, 0), "{wire:?}");
        assert_eq!((cached[1].0, cached[1].1), (total, total / 128 * 128), "{wire:?}");
        let short = ask(&provider, wire, true, &body(wire, true, "short"));
        assert_eq!(usage(wire, true, &short).unwrap().1, 0);
    }
}

#[test]
fn the_window_turns_away_what_is_too_much_and_tells_what_is_left() {
    let limits = Limits { requests: 2, tokens: 1_000_000, window: Duration::from_secs(60) };
    for (wire, remaining, form) in [
        (
            Wire::Anthropic,
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ),
        (Wire::Chat, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ] {
        let provider = FakeProvider::start(Options { limits: Some(limits), ..Options::default() });
        let answers = [(); 3].map(|()| ask(&provider, wire, true, &body(wire, true, "hi")));
        assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 429]);
        let left = answers.each_ref().map(|answer| answer.header(remaining).unwrap().to_owned());
        assert_eq!(left, ["1", "0", "0"]);
        let reset = answers[2].header(form).unwrap();
        assert!(
            if wire == Wire::Anthropic { reset.ends_with('Z') } else { reset.ends_with('s') },
            "{reset}"
        );
        let seconds: u64 = answers[2].header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
        let report = provider.report();
        assert_eq!((report.rate_limited, report.complete), (1, 2));
    }
}

#[test]
fn tokens_count_against_the_window_too() {
    let limits = Limits { requests: 100, tokens: 100, window: Duration::from_secs(60) };
    let provider = FakeProvider::start(Options { limits: Some(limits), ..Options::default() });
    let statuses = [200, 240, 8].map(|bytes| {
        ask(&provider, Wire::Chat, true, &body(Wire::Chat, true, &"x".repeat(bytes))).status
    });
    assert_eq!(statuses, [200, 429, 200]);
}

#[test]
fn sixty_four_connections_are_served_at_once_and_kept_alive() {
    let all = Barrier::new(64);
    let script = move |_: &Request| {
        all.wait();
        Reply::text("done")
    };
    let provider = FakeProvider::start(Options::script(script));
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut client = Client::connect(provider.address());
                for _ in 0..2 {
                    let answer = ask_over(
                        &mut client,
                        Wire::Responses,
                        true,
                        &body(Wire::Responses, true, "hi"),
                    );
                    assert_eq!(answer.status, 200);
                }
            });
        }
    });
    let report = provider.report();
    assert_eq!((report.requests, report.complete, report.connections), (128, 128, 64));
    assert_eq!(report.peak_concurrency, 64);
}

#[test]
fn keys_of_idempotency_and_repeated_questions_are_in_the_books() {
    let provider = FakeProvider::start(Options::default());
    for key in ["k1", "k1", "k2"] {
        let mut all = headers(Wire::Chat, "sk-fake");
        all.push(("idempotency-key", key.to_owned()));
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = body(Wire::Chat, true, "same").to_string();
        Client::connect(provider.address()).send(
            "POST",
            &target(Wire::Chat, true),
            &all,
            body.as_bytes(),
        );
    }
    let entries = provider.report().entries;
    let keys: Vec<_> = entries.iter().map(|entry| entry.idempotency_key.clone().unwrap()).collect();
    assert_eq!(keys, ["k1", "k1", "k2"]);
    assert_eq!(entries.iter().map(|entry| entry.fingerprint).collect::<HashSet<_>>().len(), 1);
    assert!(entries.windows(2).all(|pair| pair[0].arrived <= pair[1].arrived));
    let json = serde_json::to_value(provider.report()).unwrap();
    assert_eq!(json["by_wire"]["chat"], 3);
}

#[test]
fn a_server_that_stalls_and_one_that_is_idle_stop_on_drop() {
    let delayed = |_: &Request| Reply::text("late").after(Duration::from_secs(600));
    let provider = FakeProvider::start(Options::script(delayed));
    let address = provider.address();
    let _idle = Client::connect(address);
    let waiting = std::thread::spawn(move || {
        let mut client = Client::connect(address);
        ask_over(&mut client, Wire::Chat, true, &body(Wire::Chat, true, "hi")).status
    });
    while provider.report().requests == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(provider);
    waiting.join().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn fifty_recorded_streams_end_where_they_say() {
    let streams = recorded_streams();
    assert_eq!(streams.len(), 50);
    assert_eq!(
        streams.iter().map(|stream| (stream.wire, &stream.name)).collect::<HashSet<_>>().len(),
        50
    );
    for stream in &streams {
        let text = std::str::from_utf8(&stream.bytes).unwrap();
        let last = match stream.wire {
            Wire::Anthropic => "message_stop",
            Wire::Chat => "data: [DONE]",
            Wire::Responses => "\"status\":\"",
            Wire::Gemini => "finishReason",
        };
        let events: Vec<&str> = text[..stream.terminal_at].split_inclusive("\n\n").collect();
        let events = if stream.wire == Wire::Gemini {
            vec![text.rsplit("data: ").next().unwrap()]
        } else {
            events
        };
        assert!(events.last().unwrap().contains(last), "{}: {:?}", stream.name, events.last());
        let line_feed = usize::from(stream.wire == Wire::Gemini);
        assert_eq!(stream.terminal_at, stream.bytes.len() - line_feed);
        assert_eq!(
            stream.usage,
            Usage {
                input: stream.usage.input,
                output: stream.reply.output_tokens(),
                thinking: stream.reply.thinking_tokens(),
                ..Usage::default()
            }
        );
    }
    assert!(streams.iter().filter(|stream| stream.bytes.is_ascii()).count() >= 8);
}

#[test]
fn generated_values_have_the_types_and_bounds_of_their_schema() {
    let schema = json!({
        "type": "object",
        "properties": {
            "n": { "type": "integer", "minimum": 3, "maximum": 5 },
            "s": { "type": "string", "minLength": 30, "maxLength": 31 },
            "l": { "type": "array", "items": { "$ref": "#/$defs/leaf" }, "minItems": 2, "maxItems": 3 },
            "o": { "anyOf": [{ "type": "boolean" }, { "type": "null" }] },
            "t": { "$ref": "#" },
        },
        "required": ["n", "s", "l", "o"],
        "$defs": { "leaf": { "enum": ["a", "b"] } },
    });
    for seed in 0..200 {
        let value = generate(&schema, &mut Random::new(seed));
        assert_eq!(value, generate(&schema, &mut Random::new(seed)));
        assert!((3..=5).contains(&value["n"].as_i64().unwrap()), "seed {seed}: {value}");
        assert!(
            (30..=31).contains(&value["s"].as_str().unwrap().chars().count()),
            "seed {seed}: {value}"
        );
        assert!((2..=3).contains(&value["l"].as_array().unwrap().len()), "seed {seed}: {value}");
        assert!(value["o"].is_boolean() || value["o"].is_null(), "seed {seed}: {value}");
    }
}
