//! What the host tells the engine. Every event carries the host's clock.

use crate::{Json, TimerId, TurnReport};
use loopwright_types::{Attempt, CallId, Failure, GuestId, Micros, Usage};
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The run begins.
    Started {
        /// The host's clock.
        now: Micros,
    },
    /// Another process goes on with the run; the first event of an engine that was restored.
    Resumed {
        /// The host's clock.
        now: Micros,
    },
    /// A call in doubt was decided. Ignored where the call is not in doubt.
    Decided {
        /// The call.
        call: CallId,
        /// How.
        decision: crate::Decision,
        /// The host's clock.
        now: Micros,
    },
    /// A guest ran a turn; the answer to [`crate::Command::Turn`].
    Turned {
        /// Which guest.
        guest: GuestId,
        /// What it did.
        report: Box<TurnReport>,
        /// The host's clock after it.
        now: Micros,
    },
    /// All entries up to this count are durable.
    Synced {
        /// How many entries of this run are durable.
        count: u64,
        /// The host's clock.
        now: Micros,
    },
    /// An attempt ended, also one that was cancelled.
    Ended {
        /// The call.
        call: CallId,
        /// The attempt.
        attempt: Attempt,
        /// How.
        outcome: Outcome,
        /// What it used, failed attempts included.
        usage: Usage,
        /// The host's clock.
        now: Micros,
    },
    /// An attempt tells how it goes.
    Progressed {
        /// The call.
        call: CallId,
        /// The attempt.
        attempt: Attempt,
        /// What it tells.
        progress: Progress,
        /// The host's clock.
        now: Micros,
    },
    /// A timer is due.
    Due {
        /// Which.
        timer: TimerId,
        /// The host's clock.
        now: Micros,
    },
    /// The operator wants the run to end.
    CancelRequested {
        /// The host's clock.
        now: Micros,
    },
    /// The operator wants the run to wait: what is under way may end, nothing new begins.
    PauseRequested {
        /// The host's clock.
        now: Micros,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With this value.
    Done(Json),
    /// With this failure.
    Failed(Failure),
}

/// News from an attempt under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// A process serves it; so that an orphan can be found after a crash.
    Process {
        /// Its process id, which is also its process group.
        pid: u32,
        /// Its start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
        start_ticks: u64,
    },
    /// A line for people.
    Message(String),
    /// The first byte of a model's response arrived. Decides who goes next; not journalled.
    Began,
    /// The limits that a provider told with its response. Decides who goes next; not journalled.
    Limits(crate::ProviderLimits),
}
