//! A task's time: how much it has, and what does not count.

use crate::call::State;
use crate::engine::Engine;
use crate::task::millis;
use loopwright_protocol::{CallKind, Command, Outcome, TimerId};
use loopwright_types::{CallId, Code, Failure, Micros, Reason};

impl Engine {
    /// Starts a call's time, or moves its end.
    pub(crate) fn set_deadline(&mut self, id: CallId, timeout: Option<Micros>) {
        let call = &self.calls[id.0 as usize];
        if let (Some(timeout), Some(started)) = (timeout, call.started) {
            let at = started.after(timeout).after(self.uncounted(id));
            self.out.push(Command::SetTimer { timer: TimerId::Deadline(id), at });
        }
    }

    /// What is left of a task's time.
    pub(crate) fn time_left(&self, id: CallId) -> Option<Micros> {
        let call = &self.calls[id.0 as usize];
        let (timeout, started) = self.timeout(id).zip(call.started)?;
        Some(started.after(timeout).after(self.uncounted(id)).since(self.now))
    }

    /// Time that does not count: its provider was down, no process served the run, a person had to decide.
    pub(crate) fn uncounted(&self, id: CallId) -> Micros {
        let call = &self.calls[id.0 as usize];
        call.away.after(call.task.as_ref().map_or(Micros(0), |task| task.excused))
    }

    /// The whole task's time; approvals have their own deadline, steps their task's, tools the default.
    pub(crate) fn timeout(&self, id: CallId) -> Option<Micros> {
        let call = &self.calls[id.0 as usize];
        if call.step.is_some() {
            return None;
        }
        let own = match call.kind {
            // Nested programs are made of calls that each have their own time.
            CallKind::Approve | CallKind::Workflow => return None,
            CallKind::Task | CallKind::Agent => call.task.as_ref()?.request.timeout_ms,
            _ => None,
        };
        Some(own.map_or(self.options.timeout, millis))
    }

    /// A call's time is up: it is settled now, its attempt is ended in the background.
    pub(crate) fn deadline_passed(&mut self, id: CallId, _now: Micros) {
        if self.is_in_doubt(id) {
            return self.end_beside_doubt(id);
        }
        if self.is_excused(id) {
            return; // its time goes on when its provider answers again
        }
        self.time_is_up(id);
    }

    /// The task's time goes on when a person has decided. What else it has under way ends: the run waits for that
    /// person only when nothing moves any more.
    fn end_beside_doubt(&mut self, id: CallId) {
        let own = self.calls[id.0 as usize].task.as_ref().and_then(|task| task.own.as_ref());
        let open = own.map_or_else(Vec::new, |own| own.open.clone());
        for step in open {
            let call = &self.calls[step.0 as usize];
            if call.state != State::Doubt && !call.is_settled() {
                self.settle(step, Outcome::Failed(self.too_late(id)));
            }
        }
    }

    fn too_late(&self, id: CallId) -> Failure {
        let ms = self.timeout(id).unwrap_or_default().as_millis();
        Failure::new(Reason::Timeout, Code::TASK_TIMEOUT, format!("not done within `{ms}` ms"))
            .hint("raise `timeoutMs` on the call or the setting `task.timeout_ms`")
    }

    /// A call's time is up, whatever it waits for.
    pub(crate) fn time_is_up(&mut self, id: CallId) {
        if self.conclude_late(id) {
            return;
        }
        let call = &self.calls[id.0 as usize];
        let failure = if call.kind == CallKind::Worktree {
            let message = "the worktree was not looked at in time: it stays as it is";
            Failure::new(Reason::Timeout, Code::WORKTREE_FAILED, message)
        } else if call.kind == CallKind::Approve {
            Failure::new(Reason::Timeout, Code::DEADLINE, "nobody answered before the deadline")
        } else {
            self.too_late(id)
        };
        self.fail(id, failure);
    }

    /// Tasks that waited for a provider that was down are given that time back.
    pub(crate) fn excuse(&mut self, gate: usize, since: Micros) {
        let unsettled = self.guests.iter().flat_map(|guest| &guest.unsettled);
        let steps = unsettled.filter_map(|call| self.calls[call.0 as usize].step.as_ref());
        let waited: Vec<CallId> =
            steps.filter(|step| step.gate == Some(gate)).map(|step| step.task).collect();
        for task in waited {
            self.excuse_task(task, since);
        }
    }

    /// The time since then does not count for the task, as far as it was not given back already.
    pub(crate) fn excuse_task(&mut self, task: CallId, since: Micros) {
        let Some(started) = self.calls[task.0 as usize].started else { return };
        let now = self.now;
        let own = self.task_loop(task);
        let lost = now.since(since.max(started).max(own.excused_until));
        own.excused_until = now;
        let state = self.task_mut(task);
        state.excused = state.excused.after(lost);
        let timeout = self.timeout(task);
        self.set_deadline(task, timeout);
    }

    /// Whether the task's time stands still: its provider is down, or a person has to act.
    pub(crate) fn is_excused(&self, task: CallId) -> bool {
        let state = self.calls[task.0 as usize].task.as_ref();
        let Some(own) = state.and_then(|state| state.own.as_ref()) else { return false };
        own.rests_since.is_some()
            || own.open.iter().any(|step| {
                let is_down = |gate: usize| self.gates[gate].is_down();
                self.calls[step.0 as usize].state == State::Parked
                    || self.step_state(*step).gate.is_some_and(is_down)
            })
    }
}
