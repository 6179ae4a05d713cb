//! Intents written ahead: the tasks that go next have theirs made durable while they wait, so that a slot
//! that becomes free is filled at once instead of after a sync.

use crate::call::State;
use crate::engine::Engine;
use loopwright_protocol::{Entry, StartEntry};
use loopwright_types::{Attempt, CallId, Effects};

/// Most intents written ahead of their slots.
const AHEAD_MAX: usize = 256;

impl Engine {
    /// Whether starting the task twice would do no harm, and a driver starts it whole.
    fn may_go_ahead(&self, id: CallId) -> bool {
        self.effects(id) == Effects::None
            && self.task(id).request.isolation.is_none()
            && !self.has_loop(id)
    }

    /// Writes the intents of the tasks that go next, where starting them twice would do no harm: when a slot
    /// is free they go out at once instead of waiting for the disk.
    pub(crate) fn look_ahead(&mut self) {
        let most = self.options.concurrency.min(AHEAD_MAX);
        let wanted = |id: CallId| self.calls[id.0 as usize].state == State::Queued;
        let next = {
            let mut lanes = std::mem::take(&mut self.lanes);
            let next = lanes.look_ahead(most, wanted, |id| self.may_go_ahead(id));
            self.lanes = lanes;
            next
        };
        for id in next {
            // What had its slot before and was put back has its intent.
            if self.calls[id.0 as usize].ahead.is_none() {
                self.write_ahead(id);
            }
        }
    }

    /// Tells that a call's attempt went out, before anything that follows from it.
    pub(crate) fn tell_dispatched_of(&mut self, id: CallId) {
        if self.dispatched.iter().any(|(call, _)| *call == id) {
            self.tell_dispatched();
        }
    }

    /// Writes the intent of a task that waits for its slot.
    pub(crate) fn write_ahead(&mut self, id: CallId) {
        let (now, call) = (self.now, &self.calls[id.0 as usize]);
        let target = call.target.expect("a task has a target");
        let key = call.same_key.then_some(call.key);
        let entry = StartEntry {
            call: id,
            attempt: Attempt(call.attempts + 1),
            now,
            subagent: Some(self.subagents[target].name.clone()),
            effects: None,
            ahead: true,
            reask: self.task(id).feedback.is_some(),
            key,
            looks_up: None,
        };
        let number = self.append(Entry::AttemptStarted(entry));
        self.calls[id.0 as usize].ahead = Some(number);
    }

    /// Tells which attempts went out on intents written ahead.
    pub(crate) fn tell_dispatched(&mut self) {
        if !self.dispatched.is_empty() {
            let (now, attempts) = (self.now, std::mem::take(&mut self.dispatched));
            self.append(Entry::Dispatched { now, attempts });
        }
    }
}
