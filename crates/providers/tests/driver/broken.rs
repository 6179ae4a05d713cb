//! Replies that do not count, and what they ask for.

use crate::books::{Books, Ended, KEY, ask, ask_with, dispatch, driver, length, provider, request};
use crate::server::Server;
use loopwright_host::Driver;
use loopwright_protocol::{Outcome, Work};
use loopwright_types::{Code, FailureClass, Micros, Reason};
use std::collections::VecDeque;
use std::sync::Arc;

const STREAMS: [&str; 4] = ["anthropic-text", "responses-text", "chat-text", "gemini-text"];

/// Asks many at once, never more than 64, and gives each how it ended.
fn ask_all(models: &[String]) -> Vec<Ended> {
    let server = Server::start();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    let mut left: VecDeque<(u32, &String)> = (0..).zip(models).collect();
    let mut sent = 0;
    while let Some((call, model)) = left.pop_front() {
        driver.dispatch(dispatch(call, request(model), None), books.clone());
        sent += 1;
        if sent >= 64 {
            books.wait_for(sent - 63);
        }
    }
    books.wait(models.len())
}

#[test]
fn a_connection_cut_at_any_byte_is_never_a_reply() {
    let mut models = Vec::new();
    for stream in STREAMS {
        for end in 0..=length(stream) {
            models.push((format!("{}:cut.{end}.{stream}", provider(stream)), end, stream));
        }
    }
    let names: Vec<String> = models.iter().map(|it| it.0.clone()).collect();
    let mut replies = 0;
    for ((name, end, stream), ended) in models.iter().zip(ask_all(&names)) {
        // Gemini has no terminal event: there only a body that ends as it should is whole.
        let may_count = *end == length(stream) && *stream != "gemini-text";
        match &ended.outcome {
            Outcome::Done(_) => {
                assert!(may_count, "{name} was taken as a reply");
                replies += 1;
            }
            Outcome::Failed(failure) => {
                assert!(!may_count, "{name}: {failure:?}");
                assert_eq!(failure.class, Some(FailureClass::Wait), "{name}: {failure:?}");
                assert_eq!(failure.code, Code::REPLY_CUT, "{name}: {failure:?}");
                assert!(failure.retryable && failure.sent, "{name}: {failure:?}");
            }
        }
    }
    assert_eq!(replies, 3);
}

#[test]
fn a_body_that_ends_too_early_as_if_nothing_were_amiss_is_never_a_reply() {
    let mut models = Vec::new();
    for stream in STREAMS {
        for end in (0..=length(stream)).rev().step_by(7) {
            models.push((format!("{}:end.{end}.{stream}", provider(stream)), end, stream));
        }
    }
    let names: Vec<String> = models.iter().map(|it| it.0.clone()).collect();
    for ((name, end, stream), ended) in models.iter().zip(ask_all(&names)) {
        match &ended.outcome {
            Outcome::Done(_) => assert_eq!(*end, length(stream), "{name}"),
            Outcome::Failed(failure) => {
                assert_ne!(*end, length(stream), "{name}: {failure:?}");
                assert_eq!(failure.class, Some(FailureClass::Wait), "{name}: {failure:?}");
            }
        }
    }
}

#[test]
fn tokens_told_before_a_cut_are_counted() {
    let end = length("anthropic-tools") - 40;
    let ended = ask(&format!("anthropic:cut.{end}.anthropic-tools"));
    assert_eq!(ended.failure().code, Code::REPLY_CUT);
    assert_eq!((ended.usage.input_tokens, ended.usage.output_tokens), (1110, 70));
    assert_eq!((ended.usage.cache_read_tokens, ended.usage.cache_write_tokens), (1000, 100));
    let ended = ask("anthropic:whole.anthropic-overloaded");
    assert_eq!(ended.failure().code, Code::PROVIDER_OVERLOADED);
    // One output token was told at the start, and no more than that has come.
    assert_eq!((ended.usage.input_tokens, ended.usage.output_tokens), (25, 1));
    assert_eq!((ended.usage.estimated_tokens, ended.messages().len()), (0, 0), "{ended:?}");
}

#[test]
fn what_a_message_adds_to_its_text_is_no_part_of_a_text_that_was_counted() {
    let server = Server::start();
    server.count();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    // All of the text has come, and not yet its tokens; Chat is first asked in a way that this server does not know.
    let cuts = [
        ("anthropic-text", "event: message_delta", (25, 14, 13)),
        ("anthropic-text", "event: message_delta", (25, 14, 13)),
        ("responses-text", "event: response.completed", (100, 12, 112)),
        ("chat-text", "\"usage\":{", (6, 4, 10)),
        ("chat-text", "\"usage\":{", (100, 12, 112)),
        ("gemini-text", "data: ", (100, 0, 100)),
    ];
    for (call, (stream, before, expected)) in (0..).zip(cuts) {
        let text = String::from_utf8(crate::server::fixture(stream)).unwrap();
        let end = text.find(before).unwrap();
        let model = format!("{}:cut.{end}.{stream}", provider(stream));
        driver.dispatch(dispatch(call, request(&model), None), books.clone());
        let ended = books.wait(call as usize + 1).remove(call as usize);
        assert_eq!(ended.failure().code, Code::REPLY_CUT, "{model}");
        let usage = ended.usage;
        let found = (usage.input_tokens, usage.output_tokens, usage.estimated_tokens);
        assert_eq!(found, expected, "{model}: {ended:?}");
        let how = if expected.0 == 6 { "10 are estimated" } else { "it counted" };
        assert!(ended.messages()[0].contains(how), "{ended:?}");
    }
}

#[test]
fn every_way_to_fail_has_its_code_and_class() {
    use FailureClass::{Never, Switch, Wait};
    let error = r#"{"error":{"message":"m","type":"t"}}"#;
    let cases = [
        ("chat:close".to_owned(), Code::REPLY_CUT, Wait, true),
        ("chat:garbage".to_owned(), Code::REPLY_CUT, Wait, true),
        ("closed:m".to_owned(), Code::PROVIDER_UNREACHABLE, Wait, false),
        ("keyless:m".to_owned(), Code::KEY_MISSING, Never, false),
        ("nobody:m".to_owned(), Code::PROVIDER_UNKNOWN, Never, false),
        ("chat:type.text/html".to_owned(), Code::REPLY_MALFORMED, Wait, true),
        (
            "chat:type.application/json.{\"choices\":[]}".to_owned(),
            Code::REPLY_MALFORMED,
            Wait,
            true,
        ),
        (format!("chat:type.application/json.{error}"), Code::PROVIDER_OVERLOADED, Wait, true),
        ("chat:type.text/event-stream.".to_owned(), Code::REPLY_MALFORMED, Wait, true),
        ("chat:type.text/event-stream.data: {oops~~".to_owned(), Code::REPLY_MALFORMED, Wait, true),
        (
            "chat:type.text/event-stream.data: [DONE]~~".to_owned(),
            Code::REPLY_MALFORMED,
            Wait,
            true,
        ),
        ("gemini:whole.gemini-malformed-call".to_owned(), Code::REPLY_MALFORMED, Wait, true),
        ("responses:whole.responses-failed".to_owned(), Code::PROVIDER_OVERLOADED, Wait, true),
        (format!("chat:status.307.{error}"), Code::REQUEST_REFUSED, Never, true),
        (format!("chat:status.400.{error}"), Code::REQUEST_REFUSED, Never, true),
        (format!("chat:status.429.{error}"), Code::RATE_LIMITED, Wait, true),
        (format!("chat:status.500.{error}"), Code::PROVIDER_OVERLOADED, Wait, true),
        (format!("chat:status.529.{error}"), Code::PROVIDER_OVERLOADED, Wait, true),
        (
            "chat:status.404.{\"error\":\"model not found\"}".to_owned(),
            Code::MODEL_UNKNOWN,
            Switch,
            true,
        ),
        ("chat:status.204.".to_owned(), Code::REQUEST_REFUSED, Never, true),
    ];
    for (model, code, class, is_sent) in cases {
        let ended = ask(&model);
        let failure = ended.failure();
        assert_eq!((failure.code, failure.class), (code, Some(class)), "{model}: {failure:?}");
        assert_eq!(failure.sent, is_sent, "{model}: {failure:?}");
        assert_eq!(failure.retryable, class == Wait, "{model}: {failure:?}");
        assert!(!failure.message.contains("127.0.0.1"), "{model}: {failure:?}");
        if code == Code::RATE_LIMITED {
            assert_eq!(failure.retry_after, Some(Micros(7_000_000)));
            assert!(failure.message.ends_with("(request `req_1`)"), "{}", failure.message);
        }
    }
}

#[test]
fn a_key_that_the_provider_sends_back_is_not_shown() {
    for name in ["anthropic", "responses", "chat", "gemini"] {
        let ended = ask(&format!("{name}:echo"));
        let failure = ended.failure();
        assert_eq!((failure.code, failure.class), (Code::KEY_REFUSED, Some(FailureClass::Never)));
        assert!(!failure.message.contains(&KEY[..12]), "{}", failure.message);
    }
}

#[test]
fn each_deadline_ends_a_request_and_names_its_setting() {
    let text = "anthropic:stall.600.anthropic-tools";
    let short = |name: &'static str| [(name, "60")];
    let cases = [
        ("chat:silent", short("provider.first_byte_ms"), "`provider.first_byte_ms`"),
        ("chat:stall.0.chat-text", short("provider.first_byte_ms"), "`provider.first_byte_ms`"),
        (text, short("provider.idle_ms"), "`provider.idle_ms`"),
        (text, short("provider.attempt_ms"), "`provider.attempt_ms`"),
        ("chat:slow.20.chat-tools", short("provider.attempt_ms"), "`provider.attempt_ms`"),
    ];
    for (model, pairs, setting) in cases {
        let ended = ask_with(model, &pairs, None);
        let failure = ended.failure();
        assert_eq!(failure.code, Code::PROVIDER_DEADLINE, "{model}: {failure:?}");
        assert_eq!(failure.class, Some(FailureClass::Wait), "{model}: {failure:?}");
        assert!(failure.message.contains(setting), "{model}: {}", failure.message);
        assert_eq!(ended.has_begun(), model != "chat:silent" && !model.contains(".0."), "{model}");
        // Who hangs up on a provider that has the request and says nothing may have to pay for it.
        let usage = ended.usage;
        assert!(usage.input_tokens > 0, "{model}: {ended:?}");
        assert_eq!(usage.estimated_tokens == 0, model == text, "{model}: {ended:?}");
    }
    let ended = ask_with("chat:silent", &[], Some(Micros::from_millis(60)));
    assert_eq!(ended.failure().reason, Reason::Timeout);
    assert!(ended.failure().message.contains("the task's time"), "{ended:?}");
}

#[test]
fn a_flood_is_bounded() {
    let ended = ask_with("chat:flood", &[("provider.reply_bytes_max", "100000")], None);
    assert_eq!(ended.failure().code, Code::REPLY_TOO_LARGE);
    assert_eq!(ended.failure().class, Some(FailureClass::Switch));
}

#[test]
fn a_spoilt_reply_is_read_on_for_its_tokens_until_it_ends_or_is_silent_or_cancelled() {
    let spoilt = "anthropic:spoil.600.anthropic-tools";
    let ended = ask_with(spoilt, &[("provider.idle_ms", "60")], None);
    assert_eq!(ended.failure().code, Code::REPLY_MALFORMED, "{ended:?}");
    assert_eq!(ended.usage.input_tokens, 1110, "{ended:?}");
    for bound in [("provider.attempt_ms", "200"), ("provider.read_on_ms", "0")] {
        let ended = ask_with(spoilt, &[bound], None);
        assert_eq!(ended.failure().code, Code::REPLY_MALFORMED, "what was wrong first: {ended:?}");
        assert_eq!(ended.usage.input_tokens, 1110, "{ended:?}");
    }
    let server = Server::start();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    driver.dispatch(dispatch(0, request(spoilt), None), books.clone());
    books.wait_for_begin(0);
    driver.cancel(loopwright_types::CallId(0), loopwright_types::Attempt(1));
    let ended = books.wait(1).remove(0);
    assert_eq!(ended.failure().code, Code::CANCELLED);
    assert_eq!(ended.usage.input_tokens, 1110, "{ended:?}");
}

#[test]
fn a_cancelled_request_reports_the_tokens_told_so_far() {
    let server = Server::start();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    let work = request("anthropic:stall.600.anthropic-tools");
    driver.dispatch(dispatch(0, work, None), books.clone());
    // The first piece holds the tokens of the input.
    books.wait_for_begin(0);
    driver.cancel(loopwright_types::CallId(0), loopwright_types::Attempt(1));
    driver.cancel(loopwright_types::CallId(7), loopwright_types::Attempt(1));
    let ended = books.wait(1).remove(0);
    assert_eq!(ended.failure().code, Code::CANCELLED);
    assert_eq!(ended.usage.input_tokens, 1110, "{ended:?}");
}

#[test]
fn a_shutdown_ends_every_request_once_and_what_comes_after_it() {
    let server = Server::start();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    for call in 0..20 {
        driver.dispatch(dispatch(call, request("chat:silent"), None), books.clone());
    }
    driver.shutdown();
    assert_eq!(books.wait(20).len(), 20);
    driver.dispatch(dispatch(20, request("chat:whole.chat-text"), None), books.clone());
    let ended = books.wait(21);
    assert!(ended.iter().all(|it| it.failure().code == Code::CANCELLED), "{ended:?}");
    assert!(!ended[20].failure().sent);
}

#[test]
fn other_work_is_refused() {
    let server = Server::start();
    let driver = driver(&server, &[]);
    let books = Arc::new(Books::default());
    let mut other = dispatch(0, request("m"), None);
    other.work = Work::LoadProgram { name: "x".to_owned() };
    driver.dispatch(other, books.clone());
    assert_eq!(books.wait(1)[0].failure().code, Code::UNSUPPORTED);
}
