//! Inputs and outputs of one turn.

pub(crate) mod run; // one turn inside one instance

use crate::Record;
use loopwright_types::{Micros, Slot};

/// How a host call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompletionStatus {
    /// The JSON is a failure.
    Failed = 0,
    /// The JSON is the value.
    Done = 1,
    /// The JSON is `{"value", "receipt"}`, for a call with the `TRACKED` bit.
    DoneTracked = 2,
}

/// The answer to one host call.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// The call's slot, from its record.
    pub slot: Slot,
    /// How it ended.
    pub status: CompletionStatus,
    /// What the program gets, as JSON.
    pub json: &'a [u8],
}

/// Everything one turn depends on, besides the guest itself.
#[derive(Clone, Copy, Debug)]
pub struct TurnInput<'a> {
    /// Virtual time, for `Date`.
    pub now: Micros,
    /// Ticks of gas; see [`crate::GAS_PER_MS`].
    pub gas: u64,
    /// Output tokens spent and ceiling, all tokens and ceiling, money in dollars and ceiling; a ceiling may be infinite.
    pub budget: [f64; 6],
    /// Answers, settled in this order before the program runs.
    pub completions: &'a [Completion<'a>],
}

impl Default for TurnInput<'_> {
    /// Time 0, two seconds' gas, no ceilings, no completions.
    fn default() -> Self {
        let none = f64::INFINITY;
        Self {
            now: Micros(0),
            gas: 2000 * crate::GAS_PER_MS,
            budget: [0.0, none, 0.0, none, 0.0, none],
            completions: &[],
        }
    }
}

/// Whether the program itself has ended. Calls may still be pending then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MainState {
    /// It waits.
    Pending,
    /// A result record was written.
    Fulfilled,
    /// An error record was written.
    Rejected,
}

/// What came out of one turn.
#[derive(Clone, Debug)]
pub struct TurnOutput {
    /// In the order in which the program wrote them.
    pub records: Vec<Record>,
    /// Gas used in this turn.
    pub ticks: u64,
    /// Calls not yet settled.
    pub pending: u32,
    /// Whether the program has ended.
    pub main: MainState,
}
