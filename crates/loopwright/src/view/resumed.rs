//! A run that goes on in another process: what was open stays open, and what was under way is lost with the process
//! that had it.

use super::step::StepState;
use super::{CallStatus, RunView};
use loopwright_protocol::{CallKind, DecideEntry, Decision, ResumeEntry};
use loopwright_types::CallId;

/// Why an attempt that went out is under way no more.
pub(super) const LOST: &str = "lost with its process";

impl RunView {
    pub(super) fn resumed(&mut self, entry: &ResumeEntry) {
        self.tick(entry.now);
        self.resumes += 1;
        (self.cancel_requested, self.pause_requested) = (false, false);
        // What the end of the process before left without an outcome is open again.
        let left =
            |call: &&super::CallView| call.status == CallStatus::Cancelled && call.ended.is_none();
        let left: Vec<CallId> = self.calls.values().filter(left).map(|call| call.call).collect();
        for call in left {
            if let Some(view) = self.shift(call, CallStatus::Queued) {
                let group = view.group;
                self.open_groups.insert(group);
            }
        }
        for (call, attempt) in &entry.lost {
            if self.costs(*call) && !self.is_lookup(*call, *attempt) {
                self.lost.insert(*call);
            }
            if let Some(step) = self.steps.get_mut(call) {
                step.state = StepState::Retrying(None);
            }
            if self.is_open(*call)
                && let Some(view) = self.shift(*call, CallStatus::Retrying)
            {
                view.note = Some(LOST.into());
            }
        }
    }

    /// Whether an attempt of the call does anything: a question is only asked again.
    fn costs(&self, call: CallId) -> bool {
        let asks = |kind| matches!(kind, CallKind::Approve | CallKind::Workflow | CallKind::Sleep);
        self.calls.get(&call).is_none_or(|view| !asks(view.kind))
    }

    pub(super) fn decided(&mut self, entry: &DecideEntry) {
        self.tick(entry.now);
        if entry.decision != Decision::Repeat {
            self.lost.remove(&entry.call);
        }
    }

    /// An attempt goes out: whether it repeats one that was lost.
    pub(super) fn repeats(&mut self, call: CallId) {
        if self.lost.remove(&call) {
            self.repeated += 1;
        }
    }

    /// How often another process went on with the run.
    pub fn resumes(&self) -> u32 {
        self.resumes
    }

    /// Attempts that were sent again because the process that had them ended. What the lost ones used is not known.
    pub fn repeated(&self) -> u32 {
        self.repeated
    }

    /// Attempts that were lost and neither repeated nor decided so far.
    pub fn lost(&self) -> usize {
        self.lost.len()
    }

    /// What a resume meant, in words; nothing for a run that no other process went on with.
    pub fn resumed_words(&self) -> Option<String> {
        let times = match self.resumes {
            0 => return None,
            1 => "once".to_owned(),
            2 => "twice".to_owned(),
            times => format!("{times} times"),
        };
        let sent = match self.repeated {
            0 => "; nothing was sent twice".to_owned(),
            1 => "; 1 attempt was sent again: the price of the lost one is not known".to_owned(),
            many => format!(
                "; {many} attempts were sent again: the price of the lost ones is not known"
            ),
        };
        let looked_up = self.looked_up_words().map(|words| format!("; {words}"));
        Some(times + &sent + &looked_up.unwrap_or_default())
    }
}

/// A decision as a word.
pub(super) fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Repeat => "repeat",
        Decision::Fail => "fail",
        Decision::Done(_) => "done",
    }
}

/// `3 attempts were lost with the process before`.
pub(super) fn lost_words(view: &RunView, entry: &ResumeEntry) -> String {
    match entry
        .lost
        .iter()
        .filter(|(call, at)| view.costs(*call) && !view.is_lookup(*call, *at))
        .count()
    {
        0 => "nothing was under way".to_owned(),
        1 => "1 attempt was lost with the process before".to_owned(),
        many => format!("{many} attempts were lost with the process before"),
    }
}
