//! Errors as providers document them, each with what it asks for.

use super::*;

fn class(status: u16, body: &str) -> (Code, FailureClass) {
    let failure = ToldError::of_status(status, body).failure("provider `p`", "m");
    (failure.code, failure.class.unwrap())
}

#[test]
fn every_documented_error_has_its_class() {
    use FailureClass::{Never, Park, Switch, Wait};
    let anthropic = |kind: &str, message: &str| {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
    };
    let openai = |kind: &str, code: &str, message: &str| {
        format!(
            r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}}}}"#
        )
    };
    let gemini = |status: &str, message: &str, details: &str| {
        format!(
            r#"{{"error":{{"code":400,"message":"{message}","status":"{status}","details":[{details}]}}}}"#
        )
    };
    let balance = "Your credit balance is too low to access the API";
    let long = "prompt is too long: 208310 tokens > 200000 maximum";
    let tpm = "Request too large for gpt-4o in organization o on tokens per min (TPM): Limit 30000, Requested 50000";
    let spent = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"type":"x","error_code":"contract_spend_limit_reached"}}}"#;
    let cases = [
        (400, anthropic("invalid_request_error", "messages: empty"), Code::REQUEST_REFUSED, Never),
        (400, anthropic("invalid_request_error", balance), Code::QUOTA_SPENT, Park),
        (400, anthropic("invalid_request_error", long), Code::CONTEXT_TOO_LONG, Switch),
        (401, anthropic("authentication_error", "invalid x-api-key"), Code::KEY_REFUSED, Never),
        (402, anthropic("billing_error", "m"), Code::QUOTA_SPENT, Park),
        (403, anthropic("permission_error", "m"), Code::KEY_REFUSED, Never),
        (404, anthropic("not_found_error", "model: claude-x"), Code::MODEL_UNKNOWN, Switch),
        (413, anthropic("request_too_large", "m"), Code::REQUEST_REFUSED, Never),
        (429, anthropic("rate_limit_error", "m"), Code::RATE_LIMITED, Wait),
        (429, spent.to_owned(), Code::QUOTA_SPENT, Park),
        (500, anthropic("api_error", "m"), Code::PROVIDER_OVERLOADED, Wait),
        (504, anthropic("timeout_error", "m"), Code::PROVIDER_OVERLOADED, Wait),
        (529, anthropic("overloaded_error", "Overloaded"), Code::PROVIDER_OVERLOADED, Wait),
        (401, openai("invalid_request_error", "invalid_api_key", "m"), Code::KEY_REFUSED, Never),
        (404, openai("invalid_request_error", "model_not_found", "m"), Code::MODEL_UNKNOWN, Switch),
        (429, openai("insufficient_quota", "insufficient_quota", "m"), Code::QUOTA_SPENT, Park),
        (429, openai("requests", "rate_limit_exceeded", "m"), Code::RATE_LIMITED, Wait),
        (429, openai("tokens", "rate_limit_exceeded", tpm), Code::RATE_LIMITED, Switch),
        (
            400,
            openai("invalid_request_error", "context_length_exceeded", "m"),
            Code::CONTEXT_TOO_LONG,
            Switch,
        ),
        (
            400,
            openai("invalid_request_error", "content_policy_violation", "m"),
            Code::MODEL_REFUSED,
            Switch,
        ),
        (
            400,
            openai("invalid_request_error", "unsupported_parameter", "m"),
            Code::FEATURE_UNSUPPORTED,
            Switch,
        ),
        (
            400,
            openai("invalid_request_error", "", "tools is not supported in this model"),
            Code::FEATURE_UNSUPPORTED,
            Switch,
        ),
        (
            503,
            openai("service_unavailable_error", "slow_down", "m"),
            Code::PROVIDER_OVERLOADED,
            Wait,
        ),
        (
            400,
            gemini("INVALID_ARGUMENT", "API key not valid", r#"{"reason":"API_KEY_INVALID"}"#),
            Code::KEY_REFUSED,
            Never,
        ),
        (400, gemini("INVALID_ARGUMENT", "m", ""), Code::REQUEST_REFUSED, Never),
        (404, gemini("NOT_FOUND", "models/x is not found", ""), Code::MODEL_UNKNOWN, Switch),
        (
            429,
            gemini("RESOURCE_EXHAUSTED", "You exceeded your current quota", ""),
            Code::RATE_LIMITED,
            Wait,
        ),
        (
            429,
            gemini(
                "RESOURCE_EXHAUSTED",
                "m",
                r#"{"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}"#,
            ),
            Code::QUOTA_SPENT,
            Park,
        ),
        (
            503,
            gemini("UNAVAILABLE", "The model is overloaded", ""),
            Code::PROVIDER_OVERLOADED,
            Wait,
        ),
        (404, r#"{"error":"model 'x' not found"}"#.to_owned(), Code::MODEL_UNKNOWN, Switch),
        (404, "<html>nginx</html>".to_owned(), Code::REQUEST_REFUSED, Never),
        (502, "<html>bad gateway</html>".to_owned(), Code::PROVIDER_OVERLOADED, Wait),
        (520, String::new(), Code::PROVIDER_OVERLOADED, Wait),
        (408, String::new(), Code::PROVIDER_OVERLOADED, Wait),
        (307, String::new(), Code::REQUEST_REFUSED, Never),
        (422, r#"{"detail":"m"}"#.to_owned(), Code::REQUEST_REFUSED, Never),
        (418, String::new(), Code::REQUEST_REFUSED, Never),
    ];
    for (status, body, code, expected) in cases {
        assert_eq!(class(status, &body), (code, expected), "{status} {body}");
    }
}

#[test]
fn errors_inside_a_stream_are_classed_by_their_words() {
    use FailureClass::{Never, Park, Switch, Wait};
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
