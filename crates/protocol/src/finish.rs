//! A run's last entry.

use crate::Json;
use loopwright_types::{Diagnostic, Micros, RunStatus, Usage};
use serde::{Deserialize, Serialize};

/// How a run ended or why it waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFinish {
    /// When.
    pub now: Micros,
    /// How.
    pub status: RunStatus,
    /// The program's value.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub result: Option<Json>,
    /// Why there is no value, or why the run waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Diagnostic>,
    /// Whether `error` came from outside the program's deterministic limits: no outcome, a resume may try again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// Work that gave the program nothing, one line each (bounded).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// All calls' usage together.
    #[serde(default)]
    pub usage: Usage,
    /// Subagent tasks called.
    #[serde(default)]
    pub tasks: u32,
    /// Subagent tasks that gave a value.
    #[serde(default)]
    pub done: u32,
}
