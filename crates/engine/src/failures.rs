//! What follows from a failed attempt: a retry, a fallback, the end of the call.

use crate::call::State;
use crate::engine::Engine;
use crate::task::budget_spent;
use loopwright_protocol::{Command, Fallback, Outcome, TimerId};
use loopwright_types::{Attempt, Bug, CallId, Effects, Failure, Usage};

impl Engine {
    /// A failed attempt: again after a wait where that repeats no effect, else for good.
    pub(crate) fn after_failure(
        &mut self,
        id: CallId,
        attempt: Attempt,
        failure: Failure,
        usage: Usage,
    ) {
        let repeatable =
            Bug::RetryEffects.is_on() || !failure.sent || self.effects(id) == Effects::None;
        let over = self.own_budget(id).contains(&0.0);
        let (seed, base, longest) = (self.seed, self.options.backoff, self.options.backoff_max);
        let now = self.now;
        let call = &mut self.calls[id.0 as usize];
        let task = call.task.as_mut().expect("only tasks are retried");
        if !(failure.retryable && repeatable && task.retries_left > 0) {
            return self.give_up(id, failure, None, attempt, usage);
        }
        if over {
            let spent = budget_spent("of the task");
            return self.give_up(id, spent, Some(Outcome::Failed(failure)), attempt, usage);
        }
        task.retries_left -= 1;
        task.failures += 1;
        let wait = crate::jitter::backoff(seed, id, Attempt(task.failures), base, longest);
        let at = now.after(wait);
        (call.state, call.retry_at) = (State::Backoff, Some(at));
        self.attempt_ended(id, attempt, Outcome::Failed(failure), usage, Some(at));
        self.out.push(Command::SetTimer { timer: TimerId::Retry(id), at });
    }

    /// The subagent failed for good: the fallback stands in, if there is one. `raw` is how the attempt
    /// ended where that is not the failure itself.
    pub(crate) fn give_up(
        &mut self,
        id: CallId,
        failure: Failure,
        raw: Option<Outcome>,
        attempt: Attempt,
        usage: Usage,
    ) {
        let fallback = self.task_mut(id).request.fallback.take();
        let target = match &fallback {
            Some(Fallback::Subagent(name)) => self.names.get(name).copied(),
            _ => None,
        };
        // Where no attempt was begun (its worktree could not be made) there is none to end.
        if attempt.0 > 0 && (raw.is_some() || target.is_some()) {
            let outcome = raw.unwrap_or_else(|| Outcome::Failed(failure.clone()));
            self.attempt_ended(id, attempt, outcome, usage, None);
        }
        match (fallback, target) {
            (Some(Fallback::Value(value)), _) => {
                self.conclude(id, Outcome::Done(value), Some(failure));
            }
            (_, Some(target)) => {
                self.release_slot(id);
                self.calls[id.0 as usize].target = Some(target);
                let (retries, reasks) = (self.options.retries, self.options.schema_retries);
                let task = self.task_mut(id);
                task.retries_left = task.request.retries.unwrap_or(retries);
                task.reasks_left = reasks;
                (task.failures, task.feedback) = (0, None);
                self.enqueue(id);
            }
            (_, None) => self.conclude(id, Outcome::Failed(failure), None),
        }
    }

    /// No subagent will be asked any more: the fallback value stands in, if there is one.
    pub(crate) fn fail(&mut self, id: CallId, failure: Failure) {
        let task = self.calls[id.0 as usize].task.as_mut();
        match task.and_then(|task| task.request.fallback.take()) {
            Some(Fallback::Value(value)) => {
                self.settle_with(id, Outcome::Done(value), Some(failure));
            }
            _ => self.settle(id, Outcome::Failed(failure)),
        }
    }
}
