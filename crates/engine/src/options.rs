//! The settings the engine decides by, read once.

use loopwright_types::{Micros, Settings};

/// Numbers taken from the settings at the start of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub gas_per_turn: u64,
    pub concurrency: usize,
    pub concurrency_per_provider: usize,
    pub concurrency_per_subagent: usize,
    pub tasks_max: u64,
    pub calls_max: u64,
    pub workflow_depth_max: u64,
    pub retries: u32,
    pub schema_retries: u32,
    pub backoff: Micros,
    pub backoff_max: Micros,
    pub timeout: Micros,
    /// Time for one lookup.
    pub lookup_timeout: Micros,
    /// Turn limit of a subagent's loop, where neither call nor definition has one.
    pub turns_max: u32,
    /// Output tokens of one reply; 0 is the model's own limit.
    pub output_tokens_max: u64,
    /// Retries of one request to a model.
    pub provider_retries: u32,
    /// Failures in a row after which a provider is down.
    pub breaker_failures: u32,
    /// Longest time between two probes of a provider that is down.
    pub probe_max: Micros,
    /// Bytes of a shared prefix from which siblings wait for the first response.
    pub cache_prefix_bytes: u64,
    pub schema_limits: loopwright_schema::Limits,
    pub value_limits: [u64; 3],
    pub items_max: u64,
    /// Operator ceilings: all tokens, micro-dollars; 0 is none.
    pub ceiling_tokens: u64,
    pub ceiling_usd_micros: u64,
}

impl Options {
    /// Reads the settings. `gas_per_ms` is the interpreter's calibration.
    pub fn new(settings: &Settings, gas_per_ms: u64) -> Self {
        let small = |name| u32::try_from(settings.integer(name)).unwrap_or(u32::MAX);
        let millis = |name| Micros::from_millis(settings.integer(name));
        Self {
            gas_per_turn: settings.integer("guest.cpu_ms").saturating_mul(gas_per_ms),
            concurrency: settings.count("run.concurrency"),
            concurrency_per_provider: settings.count("run.concurrency_per_provider"),
            concurrency_per_subagent: settings.count("run.concurrency_per_subagent"),
            tasks_max: settings.integer("run.tasks_max"),
            calls_max: settings.integer("run.calls_max"),
            workflow_depth_max: settings.integer("run.workflow_depth_max"),
            retries: small("task.retries"),
            schema_retries: small("task.schema_retries"),
            backoff: millis("task.backoff_ms"),
            backoff_max: millis("task.backoff_max_ms"),
            timeout: millis("task.timeout_ms"),
            lookup_timeout: millis("task.lookup_timeout_ms"),
            turns_max: small("task.turns_max"),
            output_tokens_max: settings.integer("model.output_tokens_max"),
            provider_retries: small("provider.retries"),
            breaker_failures: small("provider.breaker_failures").max(1),
            probe_max: millis("provider.probe_max_ms"),
            cache_prefix_bytes: settings.integer("provider.cache_prefix_tokens").saturating_mul(4),
            schema_limits: loopwright_schema::Limits {
                bytes_max: settings.count("schema.bytes_max"),
                depth_max: settings.count("schema.depth_max"),
            },
            value_limits: [
                settings.integer("guest.value_bytes_max"),
                settings.integer("guest.value_depth_max"),
                settings.integer("guest.value_keys_max"),
            ],
            items_max: settings.integer("run.items_per_call_max"),
            ceiling_tokens: settings.integer("budget.tokens"),
            ceiling_usd_micros: settings.integer("budget.usd_micros"),
        }
    }
}
