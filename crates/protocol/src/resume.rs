//! What is journalled when another process goes on with a run.

use crate::{Json, Outcome};
use loopwright_types::{Attempt, CallId, Micros};
use serde::{Deserialize, Serialize};

/// Another process goes on with a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResumeEntry {
    /// When.
    pub now: Micros,
    /// The version of Loopwright that goes on with it.
    pub version: String,
    /// How many processes served the run before, as the owner of the journal counts them.
    #[serde(default)]
    pub epoch: u64,
    /// The operator's ceiling on all tokens from here on, where it was raised; 0 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// The operator's ceiling on millionths of a dollar from here on, where it was raised; 0 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<u64>,
    /// Attempts that were under way and are lost with their process. How they ended and what they used is not
    /// known; this entry is their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<(CallId, Attempt)>,
}

/// A call in doubt was decided by a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecideEntry {
    /// The call.
    pub call: CallId,
    /// When.
    pub now: Micros,
    /// How.
    pub decision: Decision,
}

/// What is to become of a call that was sent and of whose result nothing is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It is sent again.
    Repeat,
    /// It has failed.
    Fail,
    /// It was done, with this value.
    Done(Json),
}

/// What a lookup found out about work that was sent and of whose result nothing is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It was done, with this result.
    Done(Json),
    /// It was not done: under the same key it may be sent again.
    NotDone,
    /// Nobody there can tell; why, in words.
    Unknown(String),
}

impl Found {
    /// The answer as a word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::NotDone => "not_done",
            Self::Unknown(_) => "unknown",
        }
    }

    /// What the end of a lookup means: one that failed, or whose answer cannot be read, has found out nothing.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done(json) => json.read().unwrap_or_else(|error| {
                Self::Unknown(format!("the lookup's answer cannot be read: {error}"))
            }),
            Outcome::Failed(failure) => {
                Self::Unknown(format!("the lookup failed: {}", failure.message))
            }
        }
    }
}
