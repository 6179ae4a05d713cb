//! What a person answers to a run from another process; a journal keeps it until the run has taken it.

use crate::{Decision, Json};
use loopwright_types::CallId;
use serde::{Deserialize, Serialize};

/// An answer to one call of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonAnswer {
    /// The answer that `approve()` resolves to: `true`, `false`, or one of the choices.
    Given {
        /// The question's call.
        call: CallId,
        /// The answer.
        value: Json,
        /// What the person said to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
    },
    /// None of the choices: the call fails as a thing that nobody approved.
    Rejected {
        /// The question's call.
        call: CallId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
    },
    /// What is to become of a call that was sent and of whose result nothing is known.
    Decided {
        /// The call.
        call: CallId,
        /// What.
        decision: Decision,
    },
}

impl PersonAnswer {
    /// The call that is answered.
    pub fn call(&self) -> CallId {
        match self {
            Self::Given { call, .. } | Self::Rejected { call, .. } | Self::Decided { call, .. } => {
                *call
            }
        }
    }
}
