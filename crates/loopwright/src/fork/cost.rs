//! What a call is expected to cost: what the call it resembles used, at today's price where its model is another one;
//! else what calls of its subagent type used on average.

use loopwright_engine::{Part, Recorded, RecordedCall};
use loopwright_protocol::{CallEntry, Model, Outcome, RunStart, TaskRequest};
use loopwright_types::Usage;
use std::collections::HashMap;

/// An expected cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// It costs nothing: no subagent is asked.
    Free,
    /// As the recorded call of this number, or one like it on average.
    Expected(Usage),
    /// Nothing like it was recorded.
    Unknown,
}

impl Cost {
    /// Tokens and money, as far as they are known.
    pub fn usage(self) -> Usage {
        match self {
            Self::Expected(usage) => usage,
            Self::Free | Self::Unknown => Usage::default(),
        }
    }
}

/// Prices calls of one fork.
pub(super) struct Prices<'a> {
    start: &'a RunStart,
    past: &'a Recorded,
    means: HashMap<String, Usage>,
}

impl<'a> Prices<'a> {
    pub fn new(start: &'a RunStart, past: &'a Recorded) -> Self {
        let mut sums: HashMap<String, (Usage, u64)> = HashMap::new();
        for call in past.calls().iter().filter(|call| gave_an_answer(call)) {
            if let Some(subagent) = &call.entry.subagent {
                let sum = sums.entry(subagent.clone()).or_default();
                sum.0.add(call.usage());
                sum.1 += 1;
            }
        }
        let means = sums.into_iter().map(|(name, (sum, count))| (name, part(sum, count)));
        Self { start, past, means: means.collect() }
    }

    /// The cost of a call that resembles this one of the past.
    pub fn of(&self, call: &CallEntry, like: Option<usize>, changed: &[Part]) -> Cost {
        let Some(subagent) = call.subagent.as_ref().filter(|_| call.kind.is_task()) else {
            return Cost::Free;
        };
        let like = like.map(|at| &self.past.calls()[at]).filter(|call| gave_an_answer(call));
        let usage = like.map(RecordedCall::usage).or_else(|| self.means.get(subagent).copied());
        let Some(usage) = usage else { return Cost::Unknown };
        let price = self.model(call).and_then(|model| model.price.as_ref());
        match price.filter(|_| like.is_none() || changed.contains(&Part::Model)) {
            Some(price) => Cost::Expected(Usage { usd_micros: price.of(usage), ..usage }),
            None => Cost::Expected(usage),
        }
    }

    fn model(&self, call: &CallEntry) -> Option<&Model> {
        let request: TaskRequest = call.request.read().ok()?;
        let defined = || {
            let mut subagents = self.start.subagents.iter();
            subagents.find(|it| Some(&it.name) == call.subagent.as_ref())?.model.clone()
        };
        let name = request.model.or_else(defined).or_else(|| self.start.model.clone())?;
        self.start.models.get(&name)
    }
}

/// What a failed call used says little of what its success will use.
fn gave_an_answer(call: &RecordedCall) -> bool {
    let settled = call.settled.as_ref();
    settled.is_some_and(|it| matches!(it.outcome, Outcome::Done(_))) && !call.usage().is_zero()
}

fn part(sum: Usage, count: u64) -> Usage {
    let of = |n: u64| n.div_ceil(count.max(1));
    Usage {
        input_tokens: of(sum.input_tokens),
        output_tokens: of(sum.output_tokens),
        cache_read_tokens: of(sum.cache_read_tokens),
        cache_write_tokens: of(sum.cache_write_tokens),
        usd_micros: of(sum.usd_micros),
        estimated_tokens: of(sum.estimated_tokens),
    }
}
