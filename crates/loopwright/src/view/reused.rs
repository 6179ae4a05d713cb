//! What a fork took over from the run that it comes from.

use super::cost::usage;
use super::json::UsageOut;
use super::{RunView, figure};
use loopwright_protocol::Reused;
use loopwright_types::{CallId, RunId, Usage};
use serde::Serialize;

/// Outcomes taken over, and what their work used when it was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct TakenOver {
    calls: u64,
    saved: Usage,
}

impl TakenOver {
    pub(super) fn count(&mut self, reused: Option<&Reused>) {
        if let Some(reused) = reused {
            self.calls += 1;
            self.saved.add(reused.saved);
        }
    }
}

/// Where a fork comes from, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ForkOut<'a> {
    run_id: &'a RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<CallId>,
    edited: bool,
    reuse_effects: bool,
    stale: &'a [CallId],
    taken_over: u64,
    saved: UsageOut,
}

/// The recorded call that an outcome was taken from, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReusedOut<'a> {
    run_id: &'a RunId,
    task: CallId,
    saved: UsageOut,
}

impl<'a> From<&'a Reused> for ReusedOut<'a> {
    fn from(reused: &'a Reused) -> Self {
        Self { run_id: &reused.run, task: reused.call, saved: reused.saved.into() }
    }
}

/// The same in words.
pub(super) fn origin(reused: &Reused) -> String {
    let mut words = format!("from run {}, task {}", reused.run, reused.call);
    if !reused.saved.is_zero() {
        words.push_str(&format!("; it used {}", usage(reused.saved)));
    }
    words
}

impl RunView {
    /// Where a fork comes from and what it took over: `of 2026…, program edited: 12 calls taken over, saved …`.
    pub(super) fn fork_words(&self) -> Option<String> {
        let from = self.header()?.from.as_ref()?;
        let mut words = format!("of {}", from.run);
        if let Some(at) = from.at {
            words.push_str(&format!(" at task {at}"));
        }
        if from.edited {
            words.push_str(", program edited");
        }
        let TakenOver { calls, saved } = self.reused;
        let plural = if calls == 1 { "" } else { "s" };
        words.push_str(&format!(": {} call{plural} taken over", figure(calls)));
        if !saved.is_zero() {
            words.push_str(&format!(", saved {}", usage(saved)));
        }
        if !from.stale.is_empty() {
            words.push_str(&format!("; {} stale", figure(from.stale.len() as u64)));
        }
        Some(words)
    }

    pub(super) fn fork_out(&self) -> Option<ForkOut<'_>> {
        let from = self.header()?.from.as_ref()?;
        Some(ForkOut {
            run_id: &from.run,
            at: from.at,
            edited: from.edited,
            reuse_effects: from.reuse_effects,
            stale: &from.stale,
            taken_over: self.reused.calls,
            saved: self.reused.saved.into(),
        })
    }
}
