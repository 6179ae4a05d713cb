//! Why a call gave the program nothing: a typed reason, a stable code and text an author can act on.

use crate::{Code, Micros};
use serde::{Deserialize, Serialize};

/// The kind of failure, as programs see it in `TaskError.reason` and `settle()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The answer never matched the response schema, or the schema cannot be used.
    Schema,
    /// The subagent, tool or provider failed.
    Provider,
    /// The call's time ran out.
    Timeout,
    /// A budget set by the program, the task or `meta` is spent.
    Budget,
    /// A limit of the run was reached.
    Limit,
    /// Not allowed: unknown subagent or tool, refused by policy or by a person.
    Policy,
    /// Cancelled by the program (a loser of a race) or by the operator.
    Cancelled,
    /// The program's own code threw.
    Program,
}

impl Reason {
    /// The word used in programs, output and the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Provider => "provider",
            Self::Timeout => "timeout",
            Self::Budget => "budget",
            Self::Limit => "limit",
            Self::Policy => "policy",
            Self::Cancelled => "cancelled",
            Self::Program => "program",
        }
    }
}

/// What a failure of a provider asks of whoever decides what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    /// The same request fails again wherever it is sent: it is wrong, or not allowed.
    Never,
    /// The same request may succeed later: too many requests, an overload, a cut connection.
    Wait,
    /// The same request fails here again, but another model or provider may answer it.
    Switch,
    /// Nothing succeeds here before a person or the provider acts: a spent quota.
    Park,
}

/// A failure of one attempt or one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The typed reason.
    pub reason: Reason,
    /// The stable error code.
    pub code: Code,
    /// One line, lower-case, values in backticks.
    pub message: String,
    /// What the author can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same attempt may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// What a provider's failure asks for; absent for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// How long the provider asked to be left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Micros>,
    /// Whether the request may have reached the subagent; `false` means nothing was sent, so a retry repeats nothing.
    #[serde(default = "yes")]
    pub sent: bool,
}

fn yes() -> bool {
    true
}

impl Failure {
    /// A failure that is final and whose request was sent; adjust the public fields where it is not.
    pub fn new(reason: Reason, code: Code, message: impl Into<String>) -> Self {
        Self {
            reason,
            code,
            message: message.into(),
            hint: None,
            retryable: false,
            class: None,
            retry_after: None,
            sent: true,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, marked as worth another try.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// The same as a provider's failure of this class.
    #[must_use]
    pub fn class(mut self, class: FailureClass) -> Self {
        self.class = Some(class);
        self.retryable = class == FailureClass::Wait;
        self
    }

    /// The same, marked as never sent.
    #[must_use]
    pub fn not_sent(mut self) -> Self {
        self.sent = false;
        self
    }
}
