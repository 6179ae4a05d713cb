//! While a provider is down, what waits for it holds no slot: others go on. One at a time gets a slot to ask whether
//! the provider is back; when it is, all of them queue for slots like the rest.

use crate::call::State;
use crate::engine::Engine;
use crate::gate::Admission;
use loopwright_types::CallId;

impl Engine {
    /// A request has to wait without a slot, or for one: says whether that was arranged.
    pub(crate) fn wait_apart(&mut self, step: CallId, gate: usize) -> bool {
        let task = self.step_state(step).task;
        if self.gates[gate].is_down() && !self.may_probe(gate) {
            self.gates[gate].aside.insert(step);
            self.rest(task);
            return true;
        }
        let has_slot = self.calls[task.0 as usize].lane.is_some();
        if !has_slot {
            self.call_back(step);
        }
        !has_slot
    }

    /// A task gives its slot up until its provider answers; its time stands still.
    pub(crate) fn rest(&mut self, task: CallId) {
        let now = self.now;
        self.task_loop(task).rests_since.get_or_insert(now);
        self.release_slot(task);
    }

    /// Whether a request that has its slot may ask a provider that is down now.
    fn may_probe(&mut self, gate: usize) -> bool {
        let now = self.now;
        self.gates[gate].admit(0, 0, now) == Admission::Go && !self.has_candidate(gate)
    }

    /// Whether a request with a slot waits for the provider.
    fn has_candidate(&mut self, gate: usize) -> bool {
        let calls = &self.calls;
        self.gates[gate].oldest(|id| calls[id.0 as usize].state == State::Queued).is_some()
    }

    /// The provider went down: all that wait for it give their slots up, those behind a sibling's prefix too.
    pub(crate) fn all_rest(&mut self, gate: usize) {
        let unsettled = self.guests.iter().flat_map(|guest| &guest.unsettled);
        let waits = |id: &&CallId| {
            let call = &self.calls[id.0 as usize];
            let is_here = call.step.as_ref().is_some_and(|step| step.gate == Some(gate));
            is_here && call.state == State::Queued
        };
        let waiting: Vec<CallId> = unsettled.filter(waits).copied().collect();
        self.gates[gate].empty_queue();
        for step in waiting {
            self.rest(self.step_state(step).task);
        }
    }

    /// The provider is back: all that waited apart queue for their slots.
    pub(crate) fn all_back(&mut self, gate: usize) {
        self.gates[gate].calling = None;
        for id in std::mem::take(&mut self.gates[gate].aside) {
            if self.calls[id.0 as usize].state == State::Queued {
                self.call_back(id);
            }
        }
    }

    /// A task that has not begun waits apart while its model's provider is down: says whether it does.
    pub(crate) fn wait_unbegun(&mut self, id: CallId) -> bool {
        if self.calls[id.0 as usize].started.is_some() || !self.has_loop(id) {
            return false;
        }
        let model = self.model_name(id).and_then(|name| self.models.get(&name));
        let Some(provider) = model.map(|model| &model.provider) else { return false };
        let gate = self.gates.iter().position(|gate| gate.is_down() && gate.name == *provider);
        let Some(gate) = gate.filter(|gate| self.gates[*gate].calling != Some(id)) else {
            return false;
        };
        self.gates[gate].aside.insert(id);
        true
    }

    /// Has one of those that wait apart get a slot where it is time to ask their provider again.
    pub(crate) fn call_probes(&mut self) {
        for gate in 0..self.gates.len() {
            let it = &self.gates[gate];
            if !it.is_down() || it.aside.is_empty() || self.has_candidate(gate) {
                continue;
            }
            let is_queued = |id: CallId| self.calls[id.0 as usize].state == State::Queued;
            if self.gates[gate].calling.is_some_and(is_queued) {
                continue;
            }
            match self.gates[gate].admit(0, 0, self.now) {
                Admission::Go => self.call_probe(gate),
                Admission::At(at) => self.set_gate_timer(gate, at),
                Admission::Wait => {}
            }
        }
    }

    /// The oldest goes, of those that have begun if there are any.
    fn call_probe(&mut self, gate: usize) {
        let calls = &self.calls;
        self.gates[gate].aside.retain(|id| calls[id.0 as usize].state == State::Queued);
        let task = |id: &CallId| calls[id.0 as usize].parent();
        let waiting = self.gates[gate].aside.iter().copied();
        let next = waiting.min_by_key(|id| (task(id).is_none(), task(id).unwrap_or(*id)));
        let Some(next) = next else { return };
        self.gates[gate].calling = Some(task(&next).unwrap_or(next));
        self.gates[gate].aside.remove(&next);
        self.call_back(next);
    }

    /// A request's task, or a task that has not begun, queues for a slot.
    pub(crate) fn call_back(&mut self, id: CallId) {
        let Some(task) = self.calls[id.0 as usize].parent() else { return self.enqueue(id) };
        self.calls[id.0 as usize].state = State::Waiting;
        self.task_loop(task).waiting = Some(id);
        self.enqueue(task);
    }

    /// A task that waited for a slot to go on with a request has it.
    pub(crate) fn go_on(&mut self, task: CallId, step: CallId) {
        self.calls[task.0 as usize].state = State::Running;
        self.queue_model(step);
    }

    /// A request of a task that rested goes out: the time until now does not count.
    pub(crate) fn came_back(&mut self, task: CallId, step: CallId) {
        let own = self.task_loop(task);
        own.waiting.take_if(|waiting| *waiting == step);
        if let Some(since) = own.rests_since.take() {
            self.excuse_task(task, since);
        }
    }
}
