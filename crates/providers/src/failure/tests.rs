//! Errors as providers document them, each with what it asks for.

use super::*;
use FailureClass::{Never, Park, Switch, Wait};

fn check(cases: &[(u16, String, Code, FailureClass)]) {
    for (status, body, code, class) in cases {
        let failure = ToldError::of_status(*status, body).failure("provider `p`", "m");
        assert_eq!((failure.code, failure.class), (*code, Some(*class)), "{status} {body}");
    }
}

#[test]
fn errors_of_anthropic_have_their_class() {
    let error = |kind: &str, message: &str| {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
    };
    let balance = "Your credit balance is too low to access the API";
    let long = "prompt is too long: 208310 tokens > 200000 maximum";
    let spent = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m",
        "details":{"type":"x","error_code":"contract_spend_limit_reached"}}}"#;
    check(&[
        (400, error("invalid_request_error", "messages: empty"), Code::REQUEST_REFUSED, Never),
        (400, error("invalid_request_error", balance), Code::QUOTA_SPENT, Park),
        (400, error("invalid_request_error", long), Code::CONTEXT_TOO_LONG, Switch),
        (401, error("authentication_error", "invalid x-api-key"), Code::KEY_REFUSED, Never),
        (402, error("billing_error", "m"), Code::QUOTA_SPENT, Park),
        (403, error("permission_error", "m"), Code::KEY_REFUSED, Never),
        (404, error("not_found_error", "model: claude-x"), Code::MODEL_UNKNOWN, Switch),
        (413, error("request_too_large", "m"), Code::REQUEST_REFUSED, Switch),
        (429, error("rate_limit_error", "m"), Code::RATE_LIMITED, Wait),
        (429, spent.to_owned(), Code::QUOTA_SPENT, Park),
        (500, error("api_error", "m"), Code::PROVIDER_OVERLOADED, Wait),
        (504, error("timeout_error", "m"), Code::PROVIDER_OVERLOADED, Wait),
        (529, error("overloaded_error", "Overloaded"), Code::PROVIDER_OVERLOADED, Wait),
    ]);
}

#[test]
fn errors_of_openai_have_their_class() {
    let error = |kind: &str, code: &str, message: &str| {
        format!(
            r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}}}}"#
        )
    };
    let tpm = "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 50000";
    let refused = "invalid_request_error";
    check(&[
        (401, error(refused, "invalid_api_key", "m"), Code::KEY_REFUSED, Never),
        (404, error(refused, "model_not_found", "m"), Code::MODEL_UNKNOWN, Switch),
        (429, error("insufficient_quota", "insufficient_quota", "m"), Code::QUOTA_SPENT, Park),
        (429, error("requests", "rate_limit_exceeded", "m"), Code::RATE_LIMITED, Wait),
        (429, error("tokens", "rate_limit_exceeded", tpm), Code::RATE_LIMITED, Switch),
        (400, error(refused, "context_length_exceeded", "m"), Code::CONTEXT_TOO_LONG, Switch),
        (400, error(refused, "content_policy_violation", "m"), Code::MODEL_REFUSED, Switch),
        (400, error(refused, "unsupported_parameter", "m"), Code::FEATURE_UNSUPPORTED, Switch),
        (400, error(refused, "", "tools are not supported"), Code::FEATURE_UNSUPPORTED, Switch),
        (
            503,
            error("service_unavailable_error", "slow_down", "m"),
            Code::PROVIDER_OVERLOADED,
            Wait,
        ),
    ]);
}

#[test]
fn errors_of_gemini_have_their_class() {
    let error = |status: &str, message: &str, details: &str| {
        format!(
            r#"{{"error":{{"code":400,"message":"{message}","status":"{status}","details":[{details}]}}}}"#
        )
    };
    let key = r#"{"reason":"API_KEY_INVALID"}"#;
    let day = r#"{"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}"#;
    let quota = "You exceeded your current quota";
    check(&[
        (400, error("INVALID_ARGUMENT", "API key not valid", key), Code::KEY_REFUSED, Never),
        (400, error("INVALID_ARGUMENT", "m", ""), Code::REQUEST_REFUSED, Never),
        (404, error("NOT_FOUND", "models/x is not found", ""), Code::MODEL_UNKNOWN, Switch),
        (429, error("RESOURCE_EXHAUSTED", quota, ""), Code::RATE_LIMITED, Wait),
        (429, error("RESOURCE_EXHAUSTED", quota, day), Code::QUOTA_SPENT, Park),
        (503, error("UNAVAILABLE", "overloaded", ""), Code::PROVIDER_OVERLOADED, Wait),
    ]);
}

#[test]
fn errors_of_others_and_of_what_stands_between_have_their_class() {
    let text = |text: &str| text.to_owned();
    check(&[
        (404, text(r#"{"error":"model 'x' not found"}"#), Code::MODEL_UNKNOWN, Switch),
        (404, text("<html>nginx</html>"), Code::REQUEST_REFUSED, Never),
        (502, text("<html>bad gateway</html>"), Code::PROVIDER_OVERLOADED, Wait),
        (520, text(""), Code::PROVIDER_OVERLOADED, Wait),
        (408, text(""), Code::PROVIDER_OVERLOADED, Wait),
        (307, text(""), Code::REQUEST_REFUSED, Never),
        (422, text(r#"{"detail":"m"}"#), Code::REQUEST_REFUSED, Never),
        (418, text(""), Code::REQUEST_REFUSED, Never),
    ]);
}

#[test]
fn errors_inside_a_stream_are_classed_by_their_words() {
    let cases = [
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Wait),
        (r#"{"type":"error","code":"rate_limit_exceeded","message":"m","param":null}"#, Wait),
        (r#"{"code":"server_error","message":"m"}"#, Wait),
        (r#"{"code":"insufficient_quota","message":"m"}"#, Park),
        (r#"{"code":"invalid_prompt","message":"m"}"#, Switch),
        (r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, Never),
        (r#"{"error":{"message":"something new","type":"never_seen"}}"#, Wait),
    ];
    for (text, expected) in cases {
        let told = ToldError::of(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(told.failure("p", "m").class, Some(expected), "{text}");
    }
    assert_eq!(ToldError::of(&serde_json::json!({"id": "x"})), None);
}

#[test]
fn a_wait_inside_a_gemini_error_is_passed_on() {
    let body = r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"17s"}]}}]"#;
    let failure = ToldError::of_status(429, body).failure("p", "m");
    assert_eq!(failure.retry_after, Some(Micros(17_000_000)));
}

#[test]
fn foreign_text_becomes_one_bounded_line() {
    assert_eq!(one_line("a `b`\n\tc\u{1b}[2J"), "a 'b' c [2J");
    let long = one_line(&"é".repeat(5000));
    assert!(long.len() <= TEXT_MAX + 4 && long.ends_with('…'), "{}", long.len());
    let failure = ToldError::of_status(418, "tea\npot").failure("provider `p`", "m");
    assert_eq!(failure.message, "provider `p` refused the request (418): `tea pot`");
}
