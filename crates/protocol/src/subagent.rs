//! A subagent definition as plain data: what the engine decides by and the journal pins.

use loopwright_types::{Digest, Effects};
use serde::{Deserialize, Serialize};

/// One subagent type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subagent {
    /// Its name, as programs say it.
    pub name: String,
    /// What it is for, as people and models read it.
    pub description: String,
    /// The driver that serves it: `acp`, `command`, `mock` or `model`.
    pub driver: String,
    /// The key of the provider cap: the model's provider, else the driver.
    pub provider: String,
    /// Its model, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What running it may do to the world.
    pub effects: Effects,
    /// Attempts of this type under way at once, below `run.concurrency_per_subagent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Its tools; absent is all that are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// The tools it must not use, though they are among those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools_denied: Vec<String>,
    /// Its system prompt, where a model serves it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system_prompt: String,
    /// Turn limit of its loop, where the task gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Whether its driver can look up what became of an attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lookup: bool,
    /// Digest of the whole definition, system prompt and driver settings included.
    pub digest: Digest,
    /// The file it came from, for people; absent for built-in ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}
