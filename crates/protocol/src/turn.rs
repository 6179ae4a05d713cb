//! One turn of one guest, as the engine sees it; the bytes on the bridge are `interpreter`'s.

use crate::Json;
use loopwright_types::{Diagnostic, Digest, Micros, Position, ScopeId, Slot};
use serde::{Deserialize, Serialize};

/// A program made ready to run by `program`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramText {
    /// The file name as the author wrote it.
    pub name: String,
    /// The author's text.
    pub source: String,
    /// Digest of `source`.
    pub digest: Digest,
    /// The runnable text: types blanked, imports in front of line 1.
    pub code: String,
    /// Whether it runs in strict mode.
    pub strict: bool,
    /// Length of what was put in front of line 1, in code points.
    pub prefix_columns: u32,
    /// Modules it imports: name and ECMAScript module text.
    pub modules: Vec<(String, String)>,
    /// `meta`, where the program has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Json>,
}

/// How to start a guest.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestStart {
    /// The program.
    pub program: ProgramText,
    /// The config object of the bridge: arguments, tools, subagents.
    pub config: Json,
    /// Seed of `Math.random`.
    pub seed: u64,
}

/// No ceiling among the budget figures.
pub const BUDGET_NONE: f64 = f64::INFINITY;

/// Everything a turn depends on beside the guest's own state.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnInput {
    /// The run's clock during the whole turn.
    pub now: Micros,
    /// Gas for the turn, in interpreter ticks.
    pub gas: u64,
    /// Output tokens spent and ceiling, all tokens spent and ceiling, US dollars spent and ceiling.
    pub budget: [f64; 6],
    /// What is settled before the pump, in this order.
    pub completions: Vec<Completion>,
}

/// One settled call.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The guest's name for the call.
    pub slot: Slot,
    /// What `json` is.
    pub status: CompletionStatus,
    /// The value, the value with its receipt, or the failure.
    pub json: Json,
}

/// What a completion's JSON is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionStatus {
    /// A failure.
    Failed = 0,
    /// The value.
    Done = 1,
    /// `{"value", "receipt"}`.
    DoneTracked = 2,
}

/// What a guest did in one turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TurnReport {
    /// In the order in which the guest wrote them.
    pub records: Vec<Record>,
    /// Gas used.
    pub ticks: u64,
    /// Calls the guest still waits for.
    pub pending: u32,
    /// How the main program stands.
    pub main: MainState,
    /// Why the guest cannot go on, if so.
    pub stop: Option<Diagnostic>,
    /// Whether `stop` came from outside the guest's deterministic limits and so is no outcome of the program.
    pub stop_is_external: bool,
}

/// How the main program stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MainState {
    /// Still running or waiting.
    #[default]
    Pending,
    /// Ended; its result record was or is being reported.
    Fulfilled,
    /// Threw; its error record was or is being reported.
    Rejected,
}

/// One outbox record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// The scope it was made in.
    pub scope: ScopeId,
    /// The author's line and column; `None` where there is none.
    pub position: Option<Position>,
    /// Its payload.
    pub json: Json,
}

/// What an outbox record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A host call.
    Call {
        /// The guest's name for it.
        slot: Slot,
        /// Its kind's number on the bridge.
        kind: u32,
        /// The bits of `docs/design/bridge.md`.
        bits: u32,
    },
    /// A log line.
    Log,
    /// A rejection that nothing handled.
    Unhandled,
    /// The program's value.
    Result,
    /// The program threw.
    Error,
    /// From the prelude to the engine.
    Note,
}
