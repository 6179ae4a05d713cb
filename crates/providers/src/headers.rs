//! What response headers tell: how long to wait, what is left of the limits, the request's name at the provider.

use crate::time::{go_duration, http_date, rfc3339};
use loopwright_protocol::{ProviderLimits, Window};
use loopwright_types::Micros;
use reqwest::header::HeaderMap;
use std::time::{Duration, SystemTime};

/// The longest wait that is passed on: what is longer is nonsense, or a matter for a person.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn wait(seconds: f64) -> Option<Micros> {
    // A negative wait is none at all; one that is no number says nothing.
    let bounded = seconds.max(0.0).min(WAIT_MAX.as_secs_f64());
    (!seconds.is_nan()).then(|| micros(Duration::from_secs_f64(bounded)))
}

fn micros(duration: Duration) -> Micros {
    Micros(u64::try_from(duration.min(WAIT_MAX).as_micros()).unwrap_or(u64::MAX))
}

fn until(time: i64, now: SystemTime) -> Duration {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(u64::try_from(time).unwrap_or(0)).saturating_sub(now)
}

/// How long the provider wants to be left alone: `retry-after-ms`, or `retry-after` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Micros> {
    let ms = text(headers, "retry-after-ms").and_then(|it| it.parse::<f64>().ok());
    if let Some(found) = ms.and_then(|ms| wait(ms / 1000.0)) {
        return Some(found);
    }
    let value = text(headers, "retry-after")?;
    match value.parse::<f64>() {
        Ok(seconds) => wait(seconds),
        Err(_) => http_date(value).map(|time| micros(until(time, now))),
    }
}

/// A wait as Gemini writes it into an error: `17s`.
pub(crate) fn retry_delay(text: &str) -> Option<Micros> {
    go_duration(text).map(micros)
}

/// The limits, in whichever of the usual forms the provider tells them.
pub(crate) fn limits(headers: &HeaderMap, now: SystemTime) -> Option<ProviderLimits> {
    let anthropic = |what: &str| {
        let name = |part: &str| format!("anthropic-ratelimit-{what}-{part}");
        window(headers, &name("limit"), &name("remaining"), &name("reset"), now)
    };
    let openai = |what: &str| {
        let name = |part: &str| format!("x-ratelimit-{part}-{what}");
        window(headers, &name("limit"), &name("remaining"), &name("reset"), now)
    };
    let found = ProviderLimits {
        requests: anthropic("requests").or_else(|| openai("requests")),
        tokens: anthropic("input-tokens")
            .or_else(|| anthropic("tokens"))
            .or_else(|| openai("tokens")),
        output_tokens: anthropic("output-tokens"),
    };
    (found != ProviderLimits::default()).then_some(found)
}

/// One limit. What is missing of it: without what is left it says nothing; without the most, what is left is all.
fn window(
    headers: &HeaderMap,
    limit: &str,
    remaining: &str,
    reset: &str,
    now: SystemTime,
) -> Option<Window> {
    let count = |name: &str| {
        let value = text(headers, name)?.parse::<f64>().ok().filter(|it| *it >= 0.0)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
        Some(value as u64)
    };
    let remaining = count(remaining)?;
    let reset = text(headers, reset).and_then(|value| match value.parse::<f64>() {
        Ok(seconds) => wait(seconds),
        Err(_) => {
            go_duration(value).or_else(|| rfc3339(value).map(|time| until(time, now))).map(micros)
        }
    });
    let limit = count(limit).unwrap_or(remaining).max(remaining);
    Some(Window { limit, remaining, reset: reset.unwrap_or_default() })
}

/// The provider's own name for the request, for people who ask it about a failure.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = ["request-id", "x-request-id", "x-goog-request-id"]
        .into_iter()
        .find_map(|name| text(headers, name))?;
    let is_plain = id.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.:".contains(&it));
    (is_plain && (1..=80).contains(&id.len())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        list.iter().map(pair).collect()
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_643_232)
    }

    #[test]
    fn a_wait_is_read_in_every_form_and_capped_at_a_day() {
        let cases = [
            (vec![("retry-after", "7")], Some(7_000_000)),
            (vec![("retry-after", "0.25")], Some(250_000)),
            (vec![("retry-after-ms", "1500"), ("retry-after", "9")], Some(1_500_000)),
            (vec![("retry-after", "Wed, 25 Nov 2026 21:47:42 GMT")], Some(30_000_000)),
            (vec![("retry-after", "Wed, 25 Nov 2020 21:47:42 GMT")], Some(0)),
            (vec![("retry-after", "99999999999999999999")], Some(86_400_000_000)),
            (vec![("retry-after", "inf")], Some(86_400_000_000)),
            (vec![("retry-after", "Wed, 25 Nov 2999 21:47:42 GMT")], Some(86_400_000_000)),
            (vec![("retry-after", "-5")], Some(0)),
            (vec![("retry-after", "NaN")], None),
            (vec![("retry-after", "soon")], None),
            (vec![], None),
        ];
        for (list, expected) in cases {
            let found = retry_after(&headers(&list), now()).map(|it| it.0);
            assert_eq!(found, expected, "{list:?}");
        }
    }

    #[test]
    fn limits_are_read_from_anthropic_and_openai_headers() {
        let window = |limit, remaining, reset| {
            Some(Window { limit, remaining, reset: Micros::from_millis(reset) })
        };
        let anthropic = headers(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-25T21:47:42Z"),
            ("anthropic-ratelimit-tokens-remaining", "1"),
            ("anthropic-ratelimit-input-tokens-limit", "1000"),
            ("anthropic-ratelimit-input-tokens-remaining", "900"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-25T21:48:12Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "70"),
        ]);
        let expected = ProviderLimits {
            requests: window(50, 49, 30_000),
            tokens: window(1000, 900, 60_000),
            output_tokens: window(70, 70, 0),
        };
        assert_eq!(limits(&anthropic, now()), Some(expected));
        let openai = headers(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]);
        let expected = ProviderLimits {
            requests: window(60, 59, 1_000),
            tokens: window(150_000, 149_984, 360_000),
            output_tokens: None,
        };
        assert_eq!(limits(&openai, now()), Some(expected));
        let nonsense = headers(&[("x-ratelimit-remaining-requests", "-1")]);
        assert_eq!(limits(&nonsense, now()), None);
    }
}
