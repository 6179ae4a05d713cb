//! How a fake provider is set up.

use crate::{Echo, Fault, FaultPlan, Limits, Script};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How long the server takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Until the first byte of a reply.
    pub first_byte: Duration,
    /// Between the chunks of a stream.
    pub between_chunks: Duration,
}

/// How a fake provider is set up; change what a test is about and leave the rest: `..Options::default()`.
#[derive(Clone)]
pub struct Options {
    /// What the model says.
    pub script: Arc<dyn Script>,
    /// The key that is right.
    pub key: String,
    /// The models there are; none means any.
    pub models: Option<Vec<String>>,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// From when to when, since the server's start, it is down altogether (503 on everything).
    pub outage: Option<Range<Duration>>,
    /// How long it takes.
    pub latency: Latency,
    /// The pause between pieces under [`crate::Fault::SlowDrip`].
    pub drip: Duration,
    /// How long a stalled reply stalls, if the client does not hang up before.
    pub stall: Duration,
    /// Its rate limit; none admits everything and sends no headers.
    pub limits: Option<Limits>,
    /// The context window in tokens; none is endless.
    pub context_tokens: Option<u64>,
    /// The longest request body, in bytes.
    pub most_body_bytes: usize,
    /// Prompts are cached from so many tokens on.
    pub least_cache_tokens: u64,
    /// Text, thinking and arguments are streamed in pieces of at most so many bytes.
    pub piece_bytes: usize,
    /// Whether the input of a Chat request can be counted: llama.cpp can, OpenAI cannot.
    pub chat_counts: bool,
    /// What goes wrong with every request to count: a fault that comes instead of an answer.
    pub count_fault: Option<Fault>,
    /// Everything outside ASCII is escaped in JSON, as servers written in Python do.
    pub ascii: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            script: Arc::new(Echo),
            key: "sk-fake".to_owned(),
            models: None,
            faults: FaultPlan::none(),
            outage: None,
            latency: Latency::default(),
            drip: Duration::from_millis(1),
            stall: Duration::from_secs(30),
            limits: None,
            context_tokens: None,
            most_body_bytes: 32 << 20,
            least_cache_tokens: 1_024,
            piece_bytes: 24,
            chat_counts: false,
            count_fault: None,
            ascii: false,
        }
    }
}

impl Options {
    /// The defaults with this script.
    pub fn script(script: impl Script) -> Self {
        Self { script: Arc::new(script), ..Self::default() }
    }

    /// The same with these faults.
    #[must_use]
    pub fn faults(mut self, faults: FaultPlan) -> Self {
        self.faults = faults;
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Options").field("faults", &self.faults).finish_non_exhaustive()
    }
}
