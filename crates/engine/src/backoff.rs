//! A request to a model that failed waits before it is sent again.

use crate::call::State;
use crate::engine::Engine;
use crate::gate::asked_wait;
use loopwright_protocol::{Command, Outcome, TimerId};
use loopwright_types::{Attempt, CallId, Failure, Micros, Usage};

impl Engine {
    /// A failed request is sent again after a wait.
    pub(crate) fn back_off(
        &mut self,
        step: CallId,
        attempt: Attempt,
        failure: Failure,
        usage: Usage,
        wait: Micros,
    ) {
        self.model_gave_nothing(step); // siblings do not wait for its wait
        let at = self.now.after(wait);
        let call = &mut self.calls[step.0 as usize];
        (call.state, call.retry_at) = (State::Backoff, Some(at));
        self.release_slot(self.step_state(step).task); // others may use it meanwhile
        self.attempt_ended(step, attempt, Outcome::Failed(failure), usage, Some(at));
        self.out.push(Command::SetTimer { timer: TimerId::Retry(step), at });
    }

    /// A request's wait is over: its subagent needs a slot again.
    pub(crate) fn retry_due(&mut self, step: CallId) {
        let task = self.step_state(step).task;
        match self.calls[task.0 as usize].lane {
            Some(_) => self.queue_model(step),
            None => self.call_back(step),
        }
    }

    /// How long a request waits before it is sent again: what the provider asked for, else drawn with full
    /// jitter; never so long that the task's time would run out first.
    pub(crate) fn retry_wait(
        &mut self,
        step: CallId,
        task: CallId,
        gate: usize,
        failure: &Failure,
    ) -> Micros {
        let (base, longest) = (self.options.backoff, self.options.backoff_max);
        let failures = self.step_state(step).failures;
        let drawn = crate::jitter::backoff(self.seed, step, Attempt(failures), base, longest);
        let mut wait = asked_wait(failure).map_or(drawn, |asked| asked.max(drawn));
        if !self.gates[gate].take_retry() {
            // The provider's retries are spent: slowly from here, and not all at once.
            let spread =
                crate::jitter::backoff(self.seed, step, Attempt(failures), longest, longest);
            wait = wait.max(Micros(longest.0 / 2 + spread.0 / 2));
        }
        self.within_time(task, wait)
    }

    /// The wait, shortened where the task's time would run out first: a tenth is left for the last try.
    pub(crate) fn within_time(&self, task: CallId, wait: Micros) -> Micros {
        let started = self.calls[task.0 as usize].started;
        let left = self.timeout(task).zip(started).map(|(timeout, started)| {
            started.after(timeout).after(self.uncounted(task)).since(self.now)
        });
        left.map_or(wait, |left| wait.min(Micros(left.0 / 10 * 9)))
    }
}
