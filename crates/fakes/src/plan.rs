//! When which fault is injected.

use crate::{Fault, Random, Request};

#[derive(Clone, Debug)]
enum Rule {
    Number(u64, Fault),
    First(u64, Fault),
    Always(Fault),
    Prompt(String, u64, Fault),
    Chance(f64, Vec<Fault>),
}

/// When which fault is injected; the first rule that fits a request decides.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    rules: Vec<Rule>,
    seed: u64,
}

impl FaultPlan {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// This fault on every request.
    pub fn always(fault: Fault) -> Self {
        Self::none().rule(Rule::Always(fault))
    }

    /// This fault on the first request only.
    pub fn once(fault: Fault) -> Self {
        Self::none().first(1, fault)
    }

    /// And this fault on the request with this number (from 0, in order of arrival).
    #[must_use]
    pub fn at(self, number: u64, fault: Fault) -> Self {
        self.rule(Rule::Number(number, fault))
    }

    /// And this fault on the first `count` requests.
    #[must_use]
    pub fn first(self, count: u64, fault: Fault) -> Self {
        self.rule(Rule::First(count, fault))
    }

    /// And this fault on the first `attempts` attempts at every prompt that contains `text`.
    #[must_use]
    pub fn prompt(self, text: impl Into<String>, attempts: u64, fault: Fault) -> Self {
        self.rule(Rule::Prompt(text.into(), attempts, fault))
    }

    /// And one of these faults with this probability.
    ///
    /// The seed decides per prompt and attempt, not per order of arrival: two runs of the same tasks meet the same
    /// faults, whatever their order.
    #[must_use]
    pub fn chance(mut self, probability: f64, faults: &[Fault], seed: u64) -> Self {
        self.seed = seed;
        self.rule(Rule::Chance(probability, faults.to_vec()))
    }

    fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    pub(crate) fn pick(&self, request: &Request) -> Option<Fault> {
        self.rules.iter().find_map(|rule| match rule {
            Rule::Number(number, fault) => (request.number == *number).then_some(*fault),
            Rule::First(count, fault) => (request.number < *count).then_some(*fault),
            Rule::Always(fault) => Some(*fault),
            Rule::Prompt(text, attempts, fault) => {
                let fits = request.attempt < *attempts && request.prompt.contains(text.as_str());
                fits.then_some(*fault)
            }
            Rule::Chance(probability, faults) => {
                let mut random = Random::new(
                    self.seed ^ request.fingerprint() ^ request.attempt.wrapping_mul(0x9E37_79B9),
                );
                let hit = random.chance(*probability) && !faults.is_empty();
                hit.then(|| faults[random.below(faults.len())])
            }
        })
    }
}
