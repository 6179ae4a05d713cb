//! How long an attempt may take.

use loopwright_types::{Code, Failure, Micros, Reason};
use std::time::Duration;

/// What its task has left, and what its definition allows one attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeLimits {
    task: Option<Duration>,
    own: Option<Duration>,
}

impl TimeLimits {
    /// Of the task, and of the definition; without one there is none.
    pub fn new(task: Option<Micros>, own: Option<Micros>) -> Self {
        let duration = |micros: Micros| Duration::from_micros(micros.0);
        Self { task: task.map(duration), own: own.map(duration) }
    }

    /// The one that is over first.
    pub fn least(self) -> Option<Duration> {
        self.task.into_iter().chain(self.own).min()
    }

    /// The same in whole milliseconds.
    pub fn least_ms(self) -> Option<u64> {
        self.least().and_then(|limit| u64::try_from(limit.as_millis()).ok())
    }

    /// The failure of an attempt of this subagent that took longer. It may be tried again where only the attempt's own
    /// time is over.
    pub fn exceeded(self, subagent: &str) -> Failure {
        let is_own = self.own.is_some_and(|own| self.task.is_none_or(|task| own < task));
        let millis = self.least().unwrap_or_default().as_millis();
        let message = format!("subagent `{subagent}` did not answer within `{millis}` ms");
        let failure = Failure::new(Reason::Timeout, Code::TASK_TIMEOUT, message);
        match is_own {
            true => failure.hint("raise `timeout` in its definition").retryable(),
            false => failure.hint("raise `timeoutMs` of the task, or `task.timeout_ms`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_is_over_first_is_told_and_only_the_attempts_own_may_be_tried_again() {
        let cases = [
            (Some(5000), Some(7000), 5, "task.timeout_ms", false),
            (Some(5000), Some(5000), 5, "task.timeout_ms", false),
            (Some(5000), Some(3000), 3, "its definition", true),
            (None, Some(3000), 3, "its definition", true),
            (Some(5000), None, 5, "task.timeout_ms", false),
        ];
        for (task, own, least, hint, may_retry) in cases {
            let limits = TimeLimits::new(task.map(Micros), own.map(Micros));
            assert_eq!(limits.least_ms(), Some(least));
            let failure = limits.exceeded("a");
            assert!(failure.message.contains(&format!("`{least}` ms")), "{}", failure.message);
            assert!(failure.hint.is_some_and(|it| it.contains(hint)), "{hint}");
            assert_eq!(failure.retryable, may_retry);
        }
        assert_eq!(TimeLimits::default().least_ms(), None);
    }
}
