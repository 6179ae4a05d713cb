//! What went wrong with a request, and what it asks for: never, wait, switch or park.

use crate::headers::retry_delay;
use loopwright_types::{Code, Failure, FailureClass, Micros, Reason};
use serde_json::Value;

/// Longest text of a provider that is repeated in a message.
const TEXT_MAX: usize = 400;

/// Why a reply did not count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WireError {
    /// The stream ended before it was complete.
    Cut,
    /// Something that is not of the wire's form; says what.
    Malformed(String),
    /// The provider told an error.
    Told(ToldError),
}

/// An error as a provider tells it, with or without an HTTP status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ToldError {
    pub status: Option<u16>,
    /// Types, codes and statuses, lower-case.
    words: Vec<String>,
    pub message: String,
    /// A wait that stands in the error itself.
    wait: Option<Micros>,
    /// Whether it had the form of an error at all.
    is_formed: bool,
}

impl ToldError {
    /// Reads the body of a response with an error status.
    pub(crate) fn of_status(status: u16, body: &str) -> Self {
        let read = serde_json::from_str::<Value>(body).ok().and_then(|value| Self::of(&value));
        let is_page = body.trim_start().starts_with('<');
        let text = if is_page { "a web page and no error of a model provider" } else { body };
        let fallback = || Self { message: text.to_owned(), ..Self::default() };
        Self { status: Some(status), ..read.unwrap_or_else(fallback) }
    }

    /// Reads an error object in any of the usual forms; `None` when the value holds no error.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        // Gemini may answer with a list of one.
        let value = value.as_array().and_then(|list| list.first()).unwrap_or(value);
        let error = match value.get("error") {
            Some(Value::Null) | None => value,
            Some(error) => error,
        };
        let mut told = Self { is_formed: true, ..Self::default() };
        if let Value::String(message) = error {
            told.message.clone_from(message);
            return Some(told);
        }
        for name in ["type", "code", "status"] {
            told.words.extend(error.get(name).and_then(word));
        }
        let message = ["message", "detail"].iter().find_map(|name| error.get(name)?.as_str());
        told.message = message.unwrap_or_default().to_owned();
        if told.message.is_empty() && told.words.is_empty() {
            return None;
        }
        match error.get("details") {
            Some(Value::Array(details)) => details.iter().for_each(|it| told.add_detail(it)),
            Some(detail) => told.add_detail(detail),
            None => {}
        }
        Some(told)
    }

    /// An error that says nothing of itself.
    pub(crate) fn unnamed() -> Self {
        Self { message: "an error without a name".to_owned(), ..Self::default() }
    }

    fn add_detail(&mut self, detail: &Value) {
        for name in ["error_code", "type", "reason"] {
            self.words.extend(detail.get(name).and_then(word));
        }
        let delay = detail.get("retryDelay").and_then(Value::as_str);
        self.wait = self.wait.or(delay.and_then(retry_delay));
        let violations = detail.get("violations").and_then(Value::as_array);
        let ids = violations.into_iter().flatten().filter_map(|it| it.get("quotaId"));
        self.words.extend(ids.filter_map(word));
    }

    fn has(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    fn has_part(&self, parts: &[&str]) -> bool {
        self.words.iter().any(|word| parts.iter().any(|part| word.contains(part)))
    }

    fn says(&self, parts: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        parts.iter().any(|part| message.contains(part))
    }

    /// The code and class.
    fn class(&self) -> (Code, FailureClass) {
        use FailureClass::{Never, Park, Switch, Wait};
        let status = self.status.unwrap_or(0);
        if status == 402 || self.is_quota() {
            return (Code::QUOTA_SPENT, Park);
        }
        if self.is_too_long() {
            return (Code::CONTEXT_TOO_LONG, Switch);
        }
        if status == 429 || self.has(RATE) {
            // A request over the whole minute's tokens never fits, however long one waits.
            let never_fits = self.says(&["request too large for"]);
            return (Code::RATE_LIMITED, if never_fits { Switch } else { Wait });
        }
        if self.is_refusal() {
            return (Code::MODEL_REFUSED, Switch);
        }
        if matches!(status, 401 | 403) || self.has(KEY) {
            return (Code::KEY_REFUSED, Never);
        }
        if status == 413 || self.has(&["request_too_large"]) {
            // How many bytes are too many differs from provider to provider.
            return (Code::REQUEST_REFUSED, Switch);
        }
        if self.has(&["model_not_found", "not_found_error", "not_found"])
            || (status == 404 && self.is_formed && self.says(&["model"]))
        {
            return (Code::MODEL_UNKNOWN, Switch);
        }
        if matches!(status, 408 | 409 | 425 | 500..) || self.has(TROUBLE) {
            return (Code::PROVIDER_OVERLOADED, Wait);
        }
        let is_refused = (400..500).contains(&status) || self.has(REQUEST);
        if is_refused && self.is_unsupported() {
            return (Code::FEATURE_UNSUPPORTED, Switch);
        }
        match is_refused || (1..400).contains(&status) {
            true => (Code::REQUEST_REFUSED, Never),
            // An error inside a stream that nobody has described: the request had been accepted, so it may work later.
            false => (Code::PROVIDER_OVERLOADED, Wait),
        }
    }

    fn is_quota(&self) -> bool {
        let words = ["insufficient_quota", "billing", "spend_limit", "payment_required", "perday"];
        self.has_part(&words) || self.says(&["credit balance", "insufficient balance"])
    }

    fn is_too_long(&self) -> bool {
        let is_told = self.has(&["context_length_exceeded", "exceed_context_size_error"]);
        let says = [
            "prompt is too long",
            "maximum context length",
            "exceed context limit",
            "context window",
            "context size",
            "exceeds the maximum number of tokens",
        ];
        is_told || (self.status.is_none_or(|it| it == 400 || it == 413) && self.says(&says))
    }

    fn is_refusal(&self) -> bool {
        let words = [
            "content_filter",
            "content_policy",
            "bio_policy",
            "cyber_policy",
            "misalignment_policy",
        ];
        self.has_part(&words) || self.has(&["invalid_prompt"])
    }

    fn is_unsupported(&self) -> bool {
        let says = ["not supported", "does not support", "unsupported", "not available for"];
        self.has_part(&["unsupported"]) || self.says(&says)
    }

    /// The failure, naming the provider. `model` is what was asked.
    pub(crate) fn failure(&self, provider: &str, model: &str) -> Failure {
        let (code, class) = self.class();
        let what = match code {
            Code::QUOTA_SPENT => "has no quota or credit left".to_owned(),
            Code::CONTEXT_TOO_LONG => "cannot take a conversation this long".to_owned(),
            Code::RATE_LIMITED => "wants fewer requests".to_owned(),
            Code::KEY_REFUSED => "refused the key".to_owned(),
            Code::MODEL_UNKNOWN => format!("does not know the model `{model}`"),
            Code::PROVIDER_OVERLOADED => "is overloaded or failed".to_owned(),
            Code::MODEL_REFUSED => "refused to answer".to_owned(),
            Code::FEATURE_UNSUPPORTED => format!("does not support this with `{model}`"),
            _ => "refused the request".to_owned(),
        };
        let status = self.status.map(|status| format!(" ({status})")).unwrap_or_default();
        let mut message = format!("{provider} {what}{status}");
        let said = one_line(&self.message);
        if !said.is_empty() {
            message = format!("{message}: `{said}`");
        }
        let mut failure = Failure::new(Reason::Provider, code, message).class(class);
        failure.retry_after = self.wait;
        failure.hint = self.hint(code).map(str::to_owned);
        failure
    }

    fn hint(&self, code: Code) -> Option<&'static str> {
        match (code, self.status) {
            (Code::QUOTA_SPENT, _) => {
                Some("add credit or raise the limit at the provider, then resume the run")
            }
            (Code::KEY_REFUSED, _) => {
                Some("check that the key is the provider's, complete and not withdrawn")
            }
            (Code::MODEL_UNKNOWN, _) => Some("check the model's name, and that the key may use it"),
            (Code::CONTEXT_TOO_LONG, _) => {
                Some("give the task less text, or a model with a larger context")
            }
            (Code::REQUEST_REFUSED, Some(300..400)) => {
                Some("redirects are not followed with a key: correct `base_url`")
            }
            (Code::REQUEST_REFUSED, Some(404 | 405)) => {
                Some("check the provider's `base_url` and `wire`")
            }
            (Code::REQUEST_REFUSED, Some(400 | 422))
                if self.says(&["schema", "response_format"]) =>
            {
                Some("set `structured = \"tool\"` for this model if it is the schema of the answer")
            }
            (Code::REQUEST_REFUSED, Some(413)) => {
                Some("give the task less text, or a provider that takes larger requests")
            }
            (Code::FEATURE_UNSUPPORTED, _) => {
                Some("set `structured` or the effort for this model, or use another")
            }
            _ => None,
        }
    }
}

const RATE: &[&str] = &[
    "rate_limit_error",
    "rate_limit_exceeded",
    "rate_limited",
    "resource_exhausted",
    "too_many_requests",
    "ramp_limit_exceeded",
];
const KEY: &[&str] = &[
    "authentication_error",
    "permission_error",
    "invalid_api_key",
    "api_key_invalid",
    "unauthenticated",
    "permission_denied",
    "invalid_authentication",
];
const TROUBLE: &[&str] = &[
    "overloaded_error",
    "api_error",
    "timeout_error",
    "server_error",
    "internal_server_error",
    "internal",
    "unavailable",
    "deadline_exceeded",
    "slow_down",
    "server_is_overloaded",
];
const REQUEST: &[&str] =
    &["invalid_request_error", "invalid_argument", "failed_precondition", "bad_request"];

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.len() <= 200 => Some(text.to_lowercase()),
        _ => None,
    }
}

/// Foreign text as part of a message: one line, bounded, without characters that steer a terminal or end backticks.
pub(crate) fn one_line(text: &str) -> String {
    let plain = |it: char| match it {
        '`' => '\'',
        it if it.is_control() || it.is_whitespace() => ' ',
        it => it,
    };
    let mut line = String::new();
    for part in text.chars().take(4 * TEXT_MAX).map(plain).collect::<String>().split(' ') {
        if part.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
        if line.len() > TEXT_MAX {
            line.truncate(line.floor_char_boundary(TEXT_MAX));
            line.push('…');
            break;
        }
    }
    line
}

/// The failure of a reply that did not count.
pub(crate) fn of_wire(error: &WireError, provider: &str, model: &str) -> Failure {
    match error {
        WireError::Told(told) => told.failure(provider, model),
        WireError::Cut => {
            let message = format!("the reply of {provider} was cut off before its end");
            Failure::new(Reason::Provider, Code::REPLY_CUT, message).class(FailureClass::Wait)
        }
        WireError::Malformed(what) => {
            let message = format!("the reply of {provider} cannot be read: {what}");
            Failure::new(Reason::Provider, Code::REPLY_MALFORMED, message)
                .class(FailureClass::Wait)
                .hint("if this goes on, check the provider's `wire` and `base_url`")
        }
    }
}

#[cfg(test)]
mod tests;
