//! The mock subagent's answers as plans: the same seed answers a simulated run as it answers a real one.

use crate::plan::{OnCancel, Plan, Plans, echo};
use crate::random::Random;
use loopwright_protocol::{Dispatch, Work};
use loopwright_subagents::{Definition, MockAnswers, Registry};
use loopwright_types::{Micros, Settings, Usage};

/// Plans by the `mock.*` settings: answers made up from the response schema, latencies, failures, hostile values.
/// What is no task behaves as in [`echo`].
#[derive(Debug)]
pub struct MockPlans {
    answers: MockAnswers,
    definitions: Registry,
}

impl MockPlans {
    /// For these settings; `definitions` give the figures that differ from them.
    pub fn new(settings: &Settings, definitions: impl IntoIterator<Item = Definition>) -> Self {
        Self { answers: MockAnswers::new(settings), definitions: Registry::of(definitions) }
    }
}

impl Plans for MockPlans {
    fn plan(&mut self, dispatch: &Dispatch, random: &mut Random) -> Plan {
        let Work::Task(task) = &dispatch.work else { return echo(dispatch, random) };
        let standard = Definition::default();
        let definition = self.definitions.get(&task.subagent).map_or(&standard, |known| known);
        let answer = self.answers.answer(definition, task, dispatch.call, dispatch.attempt);
        Plan {
            latency: Some(answer.latency),
            outcome: answer.outcome,
            usage: answer.usage,
            progress: Vec::new(),
            on_cancel: OnCancel::Ends { after: Micros(0), usage: Usage::default() },
            repeats: Vec::new(),
        }
    }
}
