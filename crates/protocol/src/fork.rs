//! Where a fork comes from, and what it took over: journalled, so that nothing of the old run is needed again.

use loopwright_types::{CallId, RunId, Usage};
use serde::{Deserialize, Serialize};

/// The run that another one was forked from, and what was decided then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkedFrom {
    /// The old run.
    pub run: RunId,
    /// Calls from this one on were made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<CallId>,
    /// Whether the program is another text than the old run's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
    /// Whether answers of calls that had effects were taken over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse_effects: bool,
    /// Calls of the old run whose recorded reads had changed on disk, made again for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<CallId>,
}

/// The recorded call that an outcome was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reused {
    /// The run in which the work was done.
    pub run: RunId,
    /// Its call there.
    pub call: CallId,
    /// What the work used then, and did not use again.
    #[serde(default, skip_serializing_if = "Usage::is_zero")]
    pub saved: Usage,
}
