//! Requests and tokens per window, and the headers that tell about them.

use crate::{Wire, time};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests a window.
    pub requests: u64,
    /// Tokens a window, input and output together.
    pub tokens: u64,
    /// The window; real ones are a minute, tests want less.
    pub window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 4_000, tokens: 2_000_000, window: Duration::from_secs(60) }
    }
}

/// What is left after a request was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub admitted: bool,
    limits: Limits,
    requests: u64,
    tokens: u64,
    /// Until the oldest counted request leaves the window.
    pub reset: Duration,
}

/// A sliding window over what was admitted.
pub(crate) struct Window {
    limits: Limits,
    admitted: Mutex<VecDeque<(Instant, u64)>>,
}

impl Window {
    pub fn new(limits: Limits) -> Self {
        Self { limits, admitted: Mutex::default() }
    }

    /// Counts a request of so many tokens, if it fits.
    pub fn admit(&self, tokens: u64) -> Standing {
        let now = Instant::now();
        let limits = self.limits;
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        while admitted.front().is_some_and(|(at, _)| now.duration_since(*at) >= limits.window) {
            admitted.pop_front();
        }
        let spent: u64 = admitted.iter().map(|(_, tokens)| tokens).sum();
        // A request over the whole limit could never run: it is let in when the window is empty.
        let fits = spent + tokens <= limits.tokens || admitted.is_empty();
        let fits = fits && (admitted.len() as u64) < limits.requests;
        if fits {
            admitted.push_back((now, tokens));
        }
        let spent = if fits { spent + tokens } else { spent };
        let reset = admitted.front().map_or(Duration::ZERO, |(at, _)| {
            limits.window.saturating_sub(now.duration_since(*at))
        });
        Standing {
            admitted: fits,
            limits,
            requests: limits.requests.saturating_sub(admitted.len() as u64),
            tokens: limits.tokens.saturating_sub(spent),
            reset,
        }
    }
}

impl Standing {
    /// The headers of the wire's family; Gemini sends none.
    pub fn headers(&self, wire: Wire) -> Vec<(&'static str, String)> {
        let Limits { requests, tokens, .. } = self.limits;
        match wire {
            Wire::Anthropic => {
                let reset = time::rfc3339(SystemTime::now() + self.reset);
                vec![
                    ("anthropic-ratelimit-requests-limit", requests.to_string()),
                    ("anthropic-ratelimit-requests-remaining", self.requests.to_string()),
                    ("anthropic-ratelimit-requests-reset", reset.clone()),
                    ("anthropic-ratelimit-tokens-limit", tokens.to_string()),
                    ("anthropic-ratelimit-tokens-remaining", self.tokens.to_string()),
                    ("anthropic-ratelimit-tokens-reset", reset.clone()),
                    ("anthropic-ratelimit-input-tokens-limit", tokens.to_string()),
                    ("anthropic-ratelimit-input-tokens-remaining", self.tokens.to_string()),
                    ("anthropic-ratelimit-input-tokens-reset", reset.clone()),
                    ("anthropic-ratelimit-output-tokens-limit", tokens.to_string()),
                    ("anthropic-ratelimit-output-tokens-remaining", self.tokens.to_string()),
                    ("anthropic-ratelimit-output-tokens-reset", reset),
                ]
            }
            Wire::Chat | Wire::Responses => {
                let reset = short_duration(self.reset);
                vec![
                    ("x-ratelimit-limit-requests", requests.to_string()),
                    ("x-ratelimit-remaining-requests", self.requests.to_string()),
                    ("x-ratelimit-reset-requests", reset.clone()),
                    ("x-ratelimit-limit-tokens", tokens.to_string()),
                    ("x-ratelimit-remaining-tokens", self.tokens.to_string()),
                    ("x-ratelimit-reset-tokens", reset),
                ]
            }
            Wire::Gemini => Vec::new(),
        }
    }
}

/// `17ms`, `1.5s`, `6m0s`: how OpenAI writes the time until a reset.
fn short_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{}s", millis as f64 / 1_000.0),
        _ => format!("{}m{}s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_until_a_reset_is_written_as_openai_writes_it() {
        for (millis, text) in [(17, "17ms"), (1_500, "1.5s"), (2_000, "2s"), (360_000, "6m0s")] {
            assert_eq!(short_duration(Duration::from_millis(millis)), text);
        }
    }
}
