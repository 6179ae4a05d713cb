//! Why a guest was stopped for good.

use loopwright_types::{Code, Diagnostic, Location};

/// What stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopCause {
    /// The turn's gas was used up. Deterministic.
    Gas,
    /// The heap limit was reached. Deterministic.
    Memory,
    /// The native stack ran out inside the engine (JavaScript's own recursion limit is an error that programs can catch).
    Stack,
    /// The turn wrote more than its limit. Deterministic.
    Output,
    /// The wall clock's safety stop. Depends on the machine: never an outcome to journal.
    Safety,
    /// The guest broke: a defect in the engine, or an attack on it.
    Trap,
}

/// A guest was stopped and cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.diagnostic().message)]
pub struct Stop {
    /// What stopped it.
    pub cause: StopCause,
    /// The author's line, when it is known.
    pub location: Option<Location>,
    /// For a trap: what happened.
    pub detail: String,
    /// What the program had logged in the turn, where the stop is one of its own limits.
    pub logs: Vec<crate::Record>,
}

impl Stop {
    pub(crate) fn new(cause: StopCause) -> Self {
        Self { cause, location: None, detail: String::new(), logs: Vec::new() }
    }

    pub(crate) fn trap(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::new(StopCause::Trap) }
    }

    /// Whether the same journal gives the same stop on every machine.
    pub fn is_deterministic(&self) -> bool {
        matches!(self.cause, StopCause::Gas | StopCause::Memory | StopCause::Output)
    }

    /// As an error for a person.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, message, hint) = match self.cause {
            StopCause::Gas => (
                Code::GUEST_CPU,
                "the program computed for too long between two waits".to_owned(),
                "look for a loop that does not end, do less per step, or raise `guest.cpu_ms`",
            ),
            StopCause::Memory => (
                Code::GUEST_MEMORY,
                "the program ran out of memory".to_owned(),
                "keep less at once, pass paths instead of contents, or raise `guest.memory_mb`",
            ),
            StopCause::Stack => (
                Code::GUEST_STACK,
                "the program recursed too deeply".to_owned(),
                "turn the recursion into a loop",
            ),
            StopCause::Output => (
                Code::OUTPUT_FLOOD,
                "the program wrote more in one turn than its limit".to_owned(),
                "log less, await in between, or raise `guest.output_bytes_max`",
            ),
            StopCause::Safety => (
                Code::GUEST_SAFETY_STOP,
                "the program did not answer and was stopped from outside".to_owned(),
                "one built-in operation took too long: work on smaller pieces, or raise `guest.safety_ms`",
            ),
            StopCause::Trap => (
                Code::GUEST_TRAP,
                format!("the sandbox stopped the program: {}", self.detail),
                "the host is unharmed; please report the program that did this",
            ),
        };
        Diagnostic { code, message, location: self.location.clone(), hint: Some(hint.to_owned()) }
    }
}
