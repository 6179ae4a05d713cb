//! What a run has spent and what it may still spend.
//!
//! Two kinds of ceiling: the program's (`meta.budget`) makes calls fail with `budget`; the operator's
//! (`budget.*` settings) makes no call fail: what does not fit waits, and the run parks.

use loopwright_protocol::{BUDGET_NONE, Budget};
use loopwright_types::Usage;

/// Output tokens, all tokens, US dollars.
type Figures = [f64; 3];

/// The run's ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    spent: Usage,
    reserved: Figures,
    /// Attempts that have set something aside.
    holders: usize,
    program: Figures,
    operator: Figures,
}

/// What the ledger says of one more attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It fits.
    Fits,
    /// It may fit when attempts under way have settled.
    Later,
    /// The program's ceiling is reached.
    ProgramSpent,
    /// The operator's ceiling is reached.
    OperatorSpent,
}

/// A ceiling as three figures; what is absent does not bind.
pub(crate) fn figures(budget: Option<Budget>) -> Figures {
    let budget = budget.unwrap_or_default();
    [budget.output_tokens, budget.tokens, budget.usd].map(|figure| figure.unwrap_or(BUDGET_NONE))
}

/// Usage as three figures.
pub(crate) fn spent_figures(usage: Usage) -> Figures {
    [usage.output_tokens as f64, usage.tokens() as f64, usage.usd_micros as f64 / 1e6]
}

impl Ledger {
    /// `tokens` and `usd_micros` are the operator's ceilings, 0 for none.
    pub fn new(program: Option<Budget>, tokens: u64, usd_micros: u64) -> Self {
        let ceiling = |n: u64, unit: f64| if n == 0 { BUDGET_NONE } else { n as f64 / unit };
        let operator = [BUDGET_NONE, ceiling(tokens, 1.0), ceiling(usd_micros, 1e6)];
        let spent = Usage::default();
        Self { spent, reserved: [0.0; 3], holders: 0, program: figures(program), operator }
    }

    /// The operator's ceilings change; `None` leaves one as it is.
    pub fn set_ceilings(&mut self, tokens: Option<u64>, usd_micros: Option<u64>) {
        let new = Self::new(None, tokens.unwrap_or(0), usd_micros.unwrap_or(0)).operator;
        if tokens.is_some() {
            self.operator[1] = new[1];
        }
        if usd_micros.is_some() {
            self.operator[2] = new[2];
        }
    }

    /// Whether an attempt that may use up to `own` can start. A ceiling without a figure reserves
    /// nothing: it counts when it is reported.
    pub fn admit(&self, own: Figures) -> Admission {
        let spent = spent_figures(self.spent);
        for (ceilings, verdict) in
            [(self.program, Admission::ProgramSpent), (self.operator, Admission::OperatorSpent)]
        {
            for i in 0..3 {
                let wanted = if own[i].is_finite() { own[i] } else { 0.0 };
                if spent[i] >= ceilings[i] || spent[i] + wanted > ceilings[i] {
                    return verdict;
                }
                if spent[i] + self.reserved[i] + wanted > ceilings[i] {
                    return Admission::Later;
                }
            }
        }
        Admission::Fits
    }

    /// Sets aside what an attempt may use.
    pub fn reserve(&mut self, own: Figures) {
        self.holders += 1;
        self.each(own, |reserved, wanted| *reserved += wanted);
    }

    /// Gives back what was set aside.
    pub fn release(&mut self, own: Figures) {
        assert!(self.holders > 0, "what was set aside is given back once");
        self.holders -= 1;
        self.each(own, |reserved, wanted| *reserved = (*reserved - wanted).max(0.0));
        if self.holders == 0 {
            self.reserved = [0.0; 3]; // fractions of a dollar do not add up to nothing by themselves
        }
    }

    fn each(&mut self, own: Figures, apply: impl Fn(&mut f64, f64)) {
        for (reserved, wanted) in self.reserved.iter_mut().zip(own) {
            if wanted.is_finite() {
                apply(reserved, wanted);
            }
        }
    }

    /// Counts what an attempt used.
    pub fn charge(&mut self, usage: Usage) {
        self.spent.add(usage);
    }

    /// Everything used so far.
    pub fn spent(&self) -> Usage {
        self.spent
    }

    /// The six figures a guest can read: spent and ceiling of each.
    pub fn readable(&self) -> [f64; 6] {
        let spent = spent_figures(self.spent);
        let ceiling = |i: usize| self.program[i].min(self.operator[i]);
        [spent[0], ceiling(0), spent[1], ceiling(1), spent[2], ceiling(2)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_make_a_task_wait_and_spending_makes_it_fail() {
        let program = Budget { output_tokens: Some(100.0), ..Budget::default() };
        let mut ledger = Ledger::new(Some(program), 0, 0);
        let own = figures(Some(Budget { output_tokens: Some(60.0), ..Budget::default() }));
        assert_eq!(ledger.admit(own), Admission::Fits);
        ledger.reserve(own);
        assert_eq!(ledger.admit(own), Admission::Later);
        ledger.release(own);
        ledger.charge(Usage { output_tokens: 50, ..Usage::default() });
        assert_eq!(ledger.admit(own), Admission::ProgramSpent);
        assert_eq!(ledger.admit(figures(None)), Admission::Fits);
        ledger.charge(Usage { output_tokens: 50, ..Usage::default() });
        assert_eq!(ledger.admit(figures(None)), Admission::ProgramSpent);
    }

    #[test]
    fn nothing_stays_set_aside_when_everyone_has_given_back() {
        let usd = |usd: f64| figures(Some(Budget { usd: Some(usd), ..Budget::default() }));
        let program = Budget { usd: Some(0.05), ..Budget::default() };
        let mut ledger = Ledger::new(Some(program), 0, 0);
        (0..3).for_each(|_| ledger.reserve(usd(0.1)));
        (0..3).for_each(|_| ledger.release(usd(0.1)));
        assert_eq!(ledger.admit(usd(0.05)), Admission::Fits);
    }

    #[test]
    fn the_operators_ceiling_is_told_apart_from_the_programs() {
        let mut ledger = Ledger::new(None, 10, 0);
        ledger.charge(Usage { input_tokens: 10, ..Usage::default() });
        assert_eq!(ledger.admit(figures(None)), Admission::OperatorSpent);
        assert_eq!(ledger.readable()[2..4], [10.0, 10.0]);
    }
}
