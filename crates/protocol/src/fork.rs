//! Where a fork comes from, and what it took over: journalled, so that nothing of the old run is needed again.

use crate::{Json, Outcome};
use loopwright_types::{CallId, Digest, Effects, RunId, Usage};
use serde::{Deserialize, Serialize};

/// The run that another one was forked from, and what was decided then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkedFrom {
    /// The old run.
    pub run: RunId,
    /// Its entries that were read: those behind a damaged one were not, and others may have come since.
    pub entries: u64,
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

/// A tool called on the way to an answer, and a digest of what it gave: enough to see whether it gives the same today.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub args: Json,
    /// Digest of what it gave.
    pub gave: Digest,
}

impl Read {
    /// The digest of what a tool gave.
    pub fn digest(outcome: &Outcome) -> Digest {
        match outcome {
            Outcome::Done(value) => Digest::of_parts([b"done".as_slice(), value.text().as_bytes()]),
            Outcome::Failed(failure) => {
                let code = failure.code.to_string();
                let parts = ["failed", &code, &failure.message].map(str::as_bytes);
                Digest::of_parts(parts)
            }
        }
    }
}

/// The recorded call that an outcome was taken from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reused {
    /// The run in which the work was done.
    pub run: RunId,
    /// Its call there.
    pub call: CallId,
    /// What the work used then, and did not use again.
    #[serde(default, skip_serializing_if = "Usage::is_zero")]
    pub saved: Usage,
    /// What the work may have done then; absent is `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
    /// What was read for it, where it had no effects: a later fork looks at it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
}
