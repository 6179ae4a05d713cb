//! The provider's books: every request, what it would be billed, and what went wrong on purpose.

use crate::{Fault, Wire};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Tokens of a request, each counted in one place only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Input at full price: neither read from a cache nor written to one.
    pub input: u64,
    /// Input read from the prompt cache.
    pub cache_read: u64,
    /// Input written to the prompt cache.
    pub cache_write: u64,
    /// Output, thinking included.
    pub output: u64,
    /// The thinking in [`Usage::output`].
    pub thinking: u64,
}

impl Usage {
    /// All tokens.
    pub fn total(self) -> u64 {
        self.input + self.cache_read + self.cache_write + self.output
    }

    /// All tokens of the prompt.
    pub fn prompt(self) -> u64 {
        self.input + self.cache_read + self.cache_write
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.output += other.output;
        self.thinking += other.thinking;
    }
}

/// One request in the books.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its place in the order of arrival, from 0.
    pub number: u64,
    /// The wire.
    pub wire: Wire,
    /// The model, empty where the request could not be read.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// When it had arrived, since the server's start.
    pub arrived: Duration,
    /// When the server was done with it, since the server's start; none while it is served.
    pub ended: Option<Duration>,
    /// The status sent, 0 if none was.
    pub status: u16,
    /// The `idempotency-key` header.
    pub idempotency_key: Option<String>,
    /// A hash of the question: the same for every attempt at it.
    pub fingerprint: u64,
    /// The fault injected.
    pub fault: Option<Fault>,
    /// Why the request itself was refused, in the provider's words. A right client leaves none of these behind.
    pub refused: Option<String>,
    /// The whole reply left the server as it should.
    pub complete: bool,
    /// What a provider would bill.
    pub billed: Usage,
    /// The last usage that left the server in this reply in an event that can be read: what a client was told that
    /// reads to the end.
    pub told: Option<Usage>,
    /// Bytes of the body that left the server.
    pub body_bytes: u64,
}

/// One request to count the input of another, which is free: it is in no total.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// The wire.
    pub wire: Wire,
    /// The tokens counted; none where the request was turned away.
    pub tokens: Option<u64>,
    /// Why the request itself was refused, in the provider's words. A right client leaves none of these behind.
    pub refused: Option<String>,
}

/// Totals, and every entry.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Requests, failed and refused ones included.
    pub requests: u64,
    /// Requests by wire.
    pub by_wire: BTreeMap<Wire, u64>,
    /// Replies that left the server whole.
    pub complete: u64,
    /// What they were refused for, in order of arrival.
    pub refused: Vec<String>,
    /// Requests turned away by the rate limit (not by a fault).
    pub rate_limited: u64,
    /// Tokens billed, failed requests included.
    pub billed: Usage,
    /// Tokens billed for replies that did not leave whole.
    pub billed_failures: Usage,
    /// Requests without a whole reply that were billed.
    pub billed_failure_count: u64,
    /// Faults injected, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Most requests served at once.
    pub peak_concurrency: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Requests to count the input of others, in order of their answers: apart from the requests, and billed nothing.
    pub counts: Vec<Count>,
    /// Every request, in order of arrival.
    pub entries: Vec<Entry>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    counts: Vec<Count>,
    open: u64,
    peak: u64,
    connections: u64,
    /// How often each question was asked.
    asked: HashMap<u64, u64>,
}

pub(crate) struct Books {
    started: Instant,
    state: Mutex<State>,
}

impl Books {
    pub fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default() }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn connected(&self) {
        self.state().connections += 1;
    }

    /// Opens an entry and tells its number.
    pub fn open(&self, wire: Wire, idempotency_key: Option<String>) -> u64 {
        let arrived = self.elapsed();
        let mut state = self.state();
        let number = state.entries.len() as u64;
        state.open += 1;
        state.peak = state.peak.max(state.open);
        state.entries.push(Entry {
            number,
            wire,
            model: String::new(),
            stream: false,
            arrived,
            ended: None,
            status: 0,
            idempotency_key,
            fingerprint: 0,
            fault: None,
            refused: None,
            complete: false,
            billed: Usage::default(),
            told: None,
            body_bytes: 0,
        });
        number
    }

    pub fn counted(&self, count: Count) {
        self.state().counts.push(count);
    }

    pub fn update(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.state().entries.get_mut(number as usize) {
            change(entry);
        }
    }

    pub fn close(&self, number: u64) {
        let ended = self.elapsed();
        self.update(number, |entry| entry.ended = Some(ended));
        self.state().open -= 1;
    }

    /// Enters the question of a request, and tells how often it was asked before.
    pub fn asked(&self, number: u64, fingerprint: u64) -> u64 {
        self.update(number, |entry| entry.fingerprint = fingerprint);
        let mut state = self.state();
        let count = state.asked.entry(fingerprint).or_default();
        *count += 1;
        *count - 1
    }

    pub fn report(&self) -> Report {
        let state = self.state();
        let mut report = Report {
            requests: state.entries.len() as u64,
            peak_concurrency: state.peak,
            connections: state.connections,
            counts: state.counts.clone(),
            entries: state.entries.clone(),
            ..Report::default()
        };
        for entry in &state.entries {
            *report.by_wire.entry(entry.wire).or_default() += 1;
            report.complete += u64::from(entry.complete);
            report.refused.extend(entry.refused.clone());
            report.billed += entry.billed;
            if !entry.complete && entry.billed.total() > 0 {
                report.billed_failures += entry.billed;
                report.billed_failure_count += 1;
            }
            match entry.fault {
                Some(fault) => *report.faults.entry(fault.name()).or_default() += 1,
                None => report.rate_limited += u64::from(entry.status == 429),
            }
        }
        report
    }
}
