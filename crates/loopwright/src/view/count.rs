//! Calls by status.

use super::CallStatus;
use serde::Serialize;

/// How many calls are in each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Waiting for a free place.
    pub queued: u32,
    /// Under way.
    pub running: u32,
    /// Between two attempts.
    pub retrying: u32,
    /// Gave the program a value.
    pub done: u32,
    /// Gave the program nothing.
    pub failed: u32,
    /// Ended on request.
    pub cancelled: u32,
}

impl Counts {
    /// All calls.
    pub fn total(self) -> u32 {
        self.unfinished() + self.done + self.failed + self.cancelled
    }

    /// Calls that have no outcome yet.
    pub fn unfinished(self) -> u32 {
        self.queued + self.running + self.retrying
    }

    pub(super) fn add(&mut self, status: CallStatus) {
        *self.of(status) += 1;
    }

    pub(super) fn shift(&mut self, from: CallStatus, to: CallStatus) {
        let count = self.of(from);
        debug_assert!(*count > 0, "a call was counted when it was made");
        *count = count.saturating_sub(1);
        self.add(to);
    }

    fn of(&mut self, status: CallStatus) -> &mut u32 {
        match status {
            CallStatus::Queued => &mut self.queued,
            CallStatus::Running => &mut self.running,
            CallStatus::Retrying => &mut self.retrying,
            CallStatus::Done => &mut self.done,
            CallStatus::Failed => &mut self.failed,
            CallStatus::Cancelled => &mut self.cancelled,
        }
    }

    /// The counts that are not zero, most interesting first: `3 done, 2 running, 1 failed`.
    pub fn words(self) -> String {
        let all = [
            (self.done, "done"),
            (self.running, "running"),
            (self.retrying, "retrying"),
            (self.queued, "queued"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
        ];
        let parts: Vec<String> = all
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{} {word}", super::figure(u64::from(*count))))
            .collect();
        if parts.is_empty() { "0 tasks".to_owned() } else { parts.join(", ") }
    }
}
