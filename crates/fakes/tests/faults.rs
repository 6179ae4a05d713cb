//! Every fault, as it is seen on the wire and in the books.

mod support;

use loopwright_fakes::{
    Billing, Class, FakeProvider, Fault, FaultPlan, Options, Reply, ToolLoop, Wire, tokens,
};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::TcpStream;
use std::time::Duration;
use support::{Answer, Client, End, ask, ask_over, body, said, usage, with_schema, with_tool};

const LONG: &str = "A reply long enough to be cut in the middle, with 世界 and 🦀 in it.";

fn long(_: &loopwright_fakes::Request) -> Reply {
    Reply::text(LONG)
}

/// Asks once under a fault with little patience.
fn under(fault: Fault, wire: Wire, stream: bool) -> (FakeProvider, Answer) {
    let options = Options::script(long).faults(FaultPlan::always(fault));
    let provider = FakeProvider::start(Options { stall: Duration::from_secs(20), ..options });
    let stalls = matches!(fault, Fault::StallBeforeFirstByte | Fault::StallBetweenChunks);
    let patience = if stalls { Duration::from_millis(1_500) } else { Duration::from_secs(20) };
    let mut client = Client::connect(provider.address()).patience(patience);
    let mut request = body(wire, stream, "hi");
    match fault {
        Fault::InvalidToolArguments | Fault::DuplicateToolIds => request = with_tool(wire, request),
        Fault::SchemaInvalidAnswer => request = with_schema(wire, request, &support::schema()),
        _ => {}
    }
    let answer = ask_over(&mut client, wire, stream, &request);
    (provider, answer)
}

fn status_of(fault: Fault, wire: Wire) -> u16 {
    match fault {
        Fault::QuotaSpent if wire == Wire::Anthropic => 402,
        Fault::RateLimitSeconds(_)
        | Fault::RateLimitDate(_)
        | Fault::RateLimitBare
        | Fault::RetryAfterHuge => 429,
        Fault::RetryAfterNegative | Fault::RetryAfterGarbage | Fault::QuotaSpent => 429,
        Fault::Overloaded if wire == Wire::Anthropic => 529,
        Fault::Overloaded | Fault::Unavailable => 503,
        Fault::ServerError => 500,
        Fault::BadGateway => 502,
        Fault::GatewayTimeout => 504,
        Fault::WrongKey if wire == Wire::Gemini => 400,
        Fault::WrongKey => 401,
        Fault::Forbidden => 403,
        Fault::BadRequest | Fault::ContextTooLong => 400,
        Fault::UnknownModel => 404,
        Fault::RequestTooLarge => 413,
        Fault::ConnectionRefused | Fault::ResetBeforeResponse | Fault::CloseBeforeResponse => 0,
        Fault::NotHttp | Fault::StallBeforeFirstByte => 0,
        _ => 200,
    }
}

fn end_of(fault: Fault) -> End {
    match fault {
        Fault::ConnectionRefused | Fault::ResetBeforeResponse | Fault::ResetMidStream => End::Reset,
        Fault::CloseBeforeResponse | Fault::CutAt(_) => End::Cut,
        Fault::NotHttp => End::NotHttp,
        Fault::StallBeforeFirstByte | Fault::StallBetweenChunks => End::Stalled,
        Fault::InvalidChunkFraming => End::BadFraming,
        _ => End::Framed,
    }
}

/// What else is to be seen of a fault, streamed or whole.
fn check_body(fault: Fault, wire: Wire, stream: bool, answer: &Answer) {
    let place = format!(
        "{fault:?} {wire:?} {stream}: {}",
        answer.text().chars().take(3_000).collect::<String>()
    );
    let parses = || {
        if stream {
            answer.events().iter().all(|event| event.is_object() || *event == json!("[DONE]"))
        } else {
            serde_json::from_slice::<Value>(&answer.body).is_ok()
        }
    };
    match fault {
        Fault::RateLimitSeconds(seconds) => {
            assert_eq!(answer.header("retry-after"), Some(&*seconds.to_string()))
        }
        Fault::RateLimitDate(_) => assert!(answer.header("retry-after").unwrap().ends_with(" GMT")),
        Fault::RateLimitBare => assert_eq!(answer.header("retry-after"), None),
        Fault::RetryAfterHuge => assert_eq!(answer.header("retry-after"), Some("1000000000")),
        Fault::RetryAfterNegative => assert_eq!(answer.header("retry-after"), Some("-5")),
        Fault::RetryAfterGarbage => {
            assert!(answer.header("retry-after").unwrap().starts_with("soon"))
        }
        Fault::QuotaSpent => {
            let word = match wire {
                Wire::Anthropic => "billing_error",
                Wire::Chat | Wire::Responses => "insufficient_quota",
                Wire::Gemini => "PerDay",
            };
            assert!(answer.text().contains(word), "{place}");
        }
        Fault::CutAt(at) => assert_eq!(answer.body.len() as u64, at),
        Fault::CorruptEvent => assert!(!parses(), "{place}"),
        Fault::InvalidUtf8 => assert!(std::str::from_utf8(&answer.body).is_err(), "{place}"),
        Fault::BadGateway | Fault::WrongContentType => {
            assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{place}");
            assert!(answer.text().starts_with("<!DOCTYPE html>"), "{place}");
        }
        Fault::Unavailable | Fault::EmptyBody => assert!(answer.body.is_empty(), "{place}"),
        Fault::FakeGzip => {
            assert_eq!(answer.header("content-encoding"), Some("gzip"));
            assert_ne!(answer.body[..2], [0x1F, 0x8B]);
        }
        Fault::MissingFinishReason => {
            let words = ["end_turn", "\"stop\"", "response.completed", "STOP"];
            assert!(parses() && !words.iter().any(|word| answer.text().contains(word)), "{place}");
            assert!(stream || answer.json()["status"].is_null(), "{place}");
        }
        Fault::ErrorEventMidStream => {
            assert!(answer.text().to_lowercase().contains("error"), "{place}")
        }
        Fault::OversizedReply(mebibytes) => assert!(answer.body.len() > (mebibytes as usize) << 20),
        Fault::MissingUsage => assert_eq!(usage(wire, stream, answer), None, "{place}"),
        Fault::ZeroUsage => assert_eq!(usage(wire, stream, answer), Some((0, 0, 0)), "{place}"),
        Fault::UnknownEvents => assert!(answer.text().contains("novel") && parses(), "{place}"),
        Fault::InvalidToolArguments => {
            let word = if wire == Wire::Gemini { "MALFORMED_FUNCTION_CALL" } else { "src/ma" };
            assert!(answer.text().contains(word), "{place}");
        }
        Fault::SchemaInvalidAnswer => {
            assert!(said(wire, stream, answer).contains("unexpected"), "{place}")
        }
        Fault::DuplicateToolIds => {
            assert!(answer.text().matches("call_twice").count() >= 2, "{place}")
        }
        Fault::SlowDrip => assert_eq!(said(wire, stream, answer), LONG),
        _ => {}
    }
}

#[test]
fn there_are_more_than_twenty_four_faults_each_with_its_name() {
    let names: HashSet<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    assert_eq!(names.len(), Fault::ALL.len());
    assert!(names.len() >= 24, "{}", names.len());
}

#[test]
fn every_fault_has_its_effect_on_every_wire_streamed_and_whole() {
    for &fault in Fault::ALL {
        let fault =
            if let Fault::OversizedReply(_) = fault { Fault::OversizedReply(1) } else { fault };
        std::thread::scope(|scope| {
            for (wire, stream) in
                Wire::ALL.into_iter().flat_map(|wire| [(wire, true), (wire, false)])
            {
                scope.spawn(move || {
                    let (_provider, answer) = under(fault, wire, stream);
                    let place = format!("{fault:?} {wire:?} {stream}");
                    assert_eq!(answer.status, status_of(fault, wire), "{place}");
                    assert_eq!(answer.end, end_of(fault), "{place}: {} bytes", answer.body.len());
                    check_body(fault, wire, stream, &answer);
                });
            }
        });
    }
}

/// The entry of one request under a fault, when the server is done with it.
fn check_books(fault: Fault, wire: Wire) {
    let (provider, _) = under(fault, wire, true);
    // A stalled server writes its books when the client has hung up.
    let entry = loop {
        let entry = provider.report().entries[0].clone();
        if entry.ended.is_some() {
            break entry;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(entry.fault, Some(fault), "{wire:?}");
    assert_eq!(provider.report().faults.get(fault.name()), Some(&1));
    assert_eq!(entry.complete, fault.expected_class(wire) == Class::Succeeds, "{fault:?} {wire:?}");
    let billed = entry.billed;
    match fault.billing() {
        Billing::Nothing => assert_eq!(billed.total(), 0, "{fault:?} {wire:?}"),
        Billing::Sent => assert!(billed.input > 0, "{fault:?} {wire:?}"),
        Billing::Whole => {
            assert!(billed.input > 0 && billed.output > 0, "{fault:?} {wire:?}")
        }
    }
    if fault.billing() == Billing::Sent && !matches!(fault, Fault::OversizedReply(_)) {
        assert!(billed.output < tokens(LONG.len()), "{fault:?} {wire:?} {billed:?}");
    }
}

#[test]
fn every_fault_is_billed_and_booked_as_it_says() {
    for &fault in Fault::ALL {
        let fault =
            if let Fault::OversizedReply(_) = fault { Fault::OversizedReply(1) } else { fault };
        std::thread::scope(|scope| {
            for wire in Wire::ALL {
                scope.spawn(move || check_books(fault, wire));
            }
        });
    }
}

#[test]
fn a_cut_at_any_byte_bills_the_input_and_the_output_that_left() {
    for wire in Wire::ALL {
        let whole = {
            let provider = FakeProvider::start(Options::script(long));
            ask(&provider, wire, true, &body(wire, true, "hi")).body
        };
        let provider = FakeProvider::start(Options::script(long));
        let mut last = 0;
        for at in (0..=whole.len()).step_by(97).chain([whole.len() - 1]) {
            provider.set_faults(FaultPlan::always(Fault::CutAt(at as u64)));
            let answer = ask(&provider, wire, true, &body(wire, true, "hi"));
            assert_eq!(answer.end, End::Cut);
            assert_eq!(answer.body.len(), at, "{wire:?}");
            let entry = provider.report().entries.pop().unwrap();
            assert_eq!(entry.billed.input, tokens("hi\n".len()), "{wire:?} {at}");
            assert!(
                entry.billed.output >= last && entry.body_bytes == at as u64,
                "{wire:?} {at} {entry:?}"
            );
            last = entry.billed.output;
            // Where the wire says so as it goes, the client was told exactly what is billed.
            if let (Wire::Gemini, Some(told)) = (wire, entry.told) {
                assert_eq!(told.output, entry.billed.output);
            }
        }
        assert_eq!(last, tokens(LONG.len()), "{wire:?}");
    }
}

#[test]
fn plans_go_by_number_by_prompt_by_chance_and_by_switch() {
    let plan = FaultPlan::none()
        .at(0, Fault::ServerError)
        .prompt("beta", 2, Fault::Overloaded)
        .first(2, Fault::BadRequest);
    let provider = FakeProvider::start(Options::default().faults(plan));
    let status = |prompt: &str| {
        ask(&provider, Wire::Anthropic, true, &body(Wire::Anthropic, true, prompt)).status
    };
    let statuses = ["a", "a", "a", "beta", "beta", "beta"].map(status);
    assert_eq!(statuses, [500, 400, 200, 529, 529, 200]);
    provider.set_outage(true);
    assert_eq!(status("a"), 503);
    provider.set_outage(false);
    assert_eq!(status("a"), 200);
    assert_eq!(provider.report().faults["Unavailable"], 1);
}

#[test]
fn chance_depends_on_the_seed_and_the_prompt_and_not_on_the_order() {
    let faults = [Fault::ServerError, Fault::Overloaded, Fault::RateLimitBare];
    let run = |seed: u64, backwards: bool| {
        let plan = FaultPlan::none().chance(0.3, &faults, seed);
        let provider = FakeProvider::start(Options::default().faults(plan));
        let mut client = Client::connect(provider.address());
        let mut prompts: Vec<usize> = (0..100).collect();
        if backwards {
            prompts.reverse();
        }
        let mut statuses: Vec<(usize, u16)> = prompts
            .into_iter()
            .map(|prompt| {
                let body = body(Wire::Chat, false, &format!("prompt {prompt}"));
                (prompt, ask_over(&mut client, Wire::Chat, false, &body).status)
            })
            .collect();
        statuses.sort_unstable();
        statuses
    };
    let first = run(1, false);
    assert_eq!(first, run(1, true));
    assert_ne!(first, run(2, false));
    let hits = first.iter().filter(|(_, status)| *status != 200).count();
    assert!((15..=45).contains(&hits), "{hits}");
}

#[test]
fn an_outage_lasts_from_when_to_when() {
    let provider = FakeProvider::start(Options {
        outage: Some(Duration::ZERO..Duration::from_secs(600)),
        ..Options::default()
    });
    assert_eq!(ask(&provider, Wire::Chat, true, &body(Wire::Chat, true, "hi")).status, 503);
    let provider = FakeProvider::start(Options {
        outage: Some(Duration::from_secs(600)..Duration::from_secs(900)),
        ..Options::default()
    });
    assert_eq!(ask(&provider, Wire::Chat, true, &body(Wire::Chat, true, "hi")).status, 200);
}

#[test]
fn nobody_listens_on_a_closed_port() {
    let url = FakeProvider::closed_port(Wire::Chat);
    let address = url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn faults_of_the_content_leave_requests_alone_that_they_do_not_fit() {
    let options = Options::script(ToolLoop { turns: 1, calls: 2 });
    let provider = FakeProvider::start(options.faults(FaultPlan::always(Fault::DuplicateToolIds)));
    let answer = ask(&provider, Wire::Chat, true, &body(Wire::Chat, true, "no tools"));
    assert_eq!(said(Wire::Chat, true, &answer), "echo: no tools");
    assert_eq!(provider.report().entries[0].fault, None);
}
