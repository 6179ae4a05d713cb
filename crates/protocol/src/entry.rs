//! Journal entries: what a run did, in the order in which it became true. Everything shown of a run is
//! derived from these, and replay needs nothing else.

mod form; // what every kind of entry has

use crate::{
    CallKind, DecideEntry, ForkedFrom, Json, Model, Outcome, ProgramText, Progress, ResumeEntry,
    Reused, RunFinish, Subagent, Tool, WorktreeReport,
};
use loopwright_types::{
    Attempt, CallId, Diagnostic, Digest, Effects, Failure, GuestId, Micros, Position, Reason,
    RunId, ScopeId, Settings, Slot, TurnId, Usage,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the entries' serialised form; a record with another one is refused by its number.
///
/// It rises when a version that is in use would misread what is written now: a field or kind of entry that it does not
/// know, or one that means something else. Version 1 was in use before the first release only: it has no resumes, no
/// forks and other digests of calls. From the first release on, what an older version wrote is read.
pub const FORMAT_VERSION: u16 = 2;

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The run's inputs. Always the first.
    RunStarted(Box<RunStart>),
    /// A nested program's guest begins.
    GuestStarted {
        /// Its name.
        guest: GuestId,
        /// The `workflow()` call it serves.
        call: CallId,
        /// Its program, pinned here.
        program: Box<ProgramText>,
        /// Its arguments.
        #[serde(
            default,
            deserialize_with = "crate::json::present",
            skip_serializing_if = "Option::is_none"
        )]
        args: Option<Json>,
    },
    /// A turn begins: everything the guest could read, and what was settled before the pump.
    Turn(TurnEntry),
    /// The guest made a call.
    Called(Box<CallEntry>),
    /// A subagent's loop made a step: a request to a model, a call of a tool, its worktree.
    Stepped(Box<StepEntry>),
    /// Work that needs this provider waits until it answers again: its breaker is open.
    ProviderDown {
        /// When.
        now: Micros,
        /// The provider.
        provider: String,
        /// The last of its failures.
        failure: Failure,
    },
    /// The provider answers again.
    ProviderUp {
        /// When.
        now: Micros,
        /// The provider.
        provider: String,
    },
    /// An attempt is about to be dispatched: the intent.
    AttemptStarted(StartEntry),
    /// Attempts whose intents were written ahead of their slots have gone out since the entry before. Tells
    /// people when they really began; nothing is decided by it.
    Dispatched {
        /// When this was written.
        now: Micros,
        /// Which.
        attempts: Vec<(CallId, Attempt)>,
    },
    /// An attempt under way told something.
    Progressed {
        /// The call.
        call: CallId,
        /// The attempt.
        attempt: Attempt,
        /// When.
        now: Micros,
        /// What.
        progress: Progress,
    },
    /// An attempt ended and the call goes on (retry, re-ask, fallback) or was already settled.
    AttemptEnded(EndEntry),
    /// The call has its final outcome; delivered to the guest only after this is durable.
    Settled(Box<SettleEntry>),
    /// A log line or captured console output.
    Logged(LogEntry),
    /// The program entered a phase.
    Phase {
        /// Which guest.
        guest: GuestId,
        /// Its title.
        title: String,
    },
    /// A scope was cancelled by the program.
    ScopeCancelled {
        /// Which guest.
        guest: GuestId,
        /// Which scope.
        scope: ScopeId,
        /// When.
        now: Micros,
        /// Why.
        reason: Reason,
    },
    /// A thrown error was turned into `null` by `parallel` or `pipeline`.
    Dropped {
        /// Which guest.
        guest: GuestId,
        /// The error as the guest tells it.
        error: Json,
    },
    /// The program's coverage report.
    Coverage {
        /// Which guest.
        guest: GuestId,
        /// As the guest tells it.
        report: Json,
    },
    /// A guest was stopped from outside its deterministic limits: the run stops, what was under way stays open.
    GuestStopped {
        /// Which guest.
        guest: GuestId,
        /// When.
        now: Micros,
        /// Why.
        error: Diagnostic,
    },
    /// A rejection that nothing handled.
    Unhandled {
        /// Which guest.
        guest: GuestId,
        /// The error.
        error: Diagnostic,
    },
    /// The main program of a guest ended, with a value or an error; calls may still be under way.
    GuestEnded {
        /// Which guest.
        guest: GuestId,
        /// Its value.
        #[serde(
            default,
            deserialize_with = "crate::json::present",
            skip_serializing_if = "Option::is_none"
        )]
        value: Option<Json>,
        /// Its error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Diagnostic>,
    },
    /// The operator asked for the end.
    CancelRequested {
        /// When.
        now: Micros,
    },
    /// The operator asked the run to wait: what is under way ends, nothing new begins.
    PauseRequested {
        /// When.
        now: Micros,
    },
    /// The run has ended or waits. The last of a run that was not killed, unless it was resumed.
    RunFinished(Box<RunFinish>),
    /// Another process goes on with the run.
    Resumed(Box<ResumeEntry>),
    /// A call in doubt was decided.
    Decided(DecideEntry),
}

/// A run's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStart {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub now: Micros,
    /// The version of Loopwright that ran it.
    pub version: String,
    /// Digest of guest and prelude: what a replay needs to be the same.
    pub interpreter: Digest,
    /// The program.
    pub program: ProgramText,
    /// The arguments; absent when none were given.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub args: Option<Json>,
    /// Every setting in force.
    pub settings: Settings,
    /// Seed of everything drawn in the run.
    pub seed: u64,
    /// Subagent definitions in reach.
    pub subagents: Vec<Subagent>,
    /// Tools in reach of programs and subagents.
    pub tools: Vec<Tool>,
    /// Models in reach, with their prices, by each name that asks for one: aliases, tiers and full names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, Model>,
    /// The model of subagents that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The workspace directory.
    pub workspace: String,
    /// The directory of definitions that went before the workspace's, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents_dir: Option<String>,
    /// Whether subagents were mocks and tools did nothing but read: a rehearsal of the program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
    /// The run that it was forked from, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<ForkedFrom>>,
}

/// What a guest could read in a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnEntry {
    /// The turn.
    pub turn: TurnId,
    /// Whose.
    pub guest: GuestId,
    /// The clock it saw.
    pub now: Micros,
    /// Output tokens spent and ceiling, all tokens spent and ceiling, US dollars spent and ceiling; `null` is no ceiling.
    pub budget: [Option<f64>; 6],
    /// Calls settled before the pump, in this order.
    pub settled: Vec<CallId>,
}

/// A call as the guest made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEntry {
    /// The call.
    pub call: CallId,
    /// Who made it.
    pub guest: GuestId,
    /// In which turn: calls of one line and turn are a wave.
    pub turn: TurnId,
    /// When.
    #[serde(default)]
    pub now: Micros,
    /// When a `sleep()` ends or an approval's deadline passes: these go on while no process serves the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Micros>,
    /// The guest's name for it.
    pub slot: Slot,
    /// Its kind.
    pub kind: CallKind,
    /// The bridge's bits.
    #[serde(default)]
    pub bits: u32,
    /// The scope it was made in.
    #[serde(default)]
    pub scope: ScopeId,
    /// The author's line and column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The progress group it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The subagent type, resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subagent: Option<String>,
    /// The request as the guest wrote it.
    pub request: Json,
    /// The call's identity: SHA-256 of its kind, whom it asks (subagent definition, model, tools in reach) and what
    /// (canonical request, without label, phase and limits).
    pub digest: Digest,
}

/// A step of a subagent's loop: a call like the program's, made for a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// The step's own name among the calls.
    pub call: CallId,
    /// The task it serves.
    pub task: CallId,
    /// When it was decided.
    pub now: Micros,
    /// What it is.
    pub kind: CallKind,
    /// The model's turn it belongs to, from 1; 0 for what precedes and follows the conversation.
    #[serde(default)]
    pub turn: u32,
    /// The model, the tool, or what is done with the worktree.
    pub name: String,
    /// The tool's arguments; absent for others. A model's request follows from the steps before.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub args: Option<Json>,
    /// SHA-256 of the kind and the whole request.
    pub digest: Digest,
}

/// An attempt's intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartEntry {
    /// The call.
    pub call: CallId,
    /// The attempt.
    pub attempt: Attempt,
    /// When it was decided.
    pub now: Micros,
    /// The subagent type asked, where it is not the call's own (a fallback).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subagent: Option<String>,
    /// What running it may do; absent is `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
    /// Whether the attempt still waits for a slot: written ahead, so that it need not wait for the disk then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ahead: bool,
    /// Whether it takes a failed answer back to the subagent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reask: bool,
    /// The attempt under whose idempotency key it goes out, where that is not its own: it repeats one of whose result
    /// nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Attempt>,
    /// The attempt that it looks up: it does nothing itself, and its end tells a [`crate::Found`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks_up: Option<Attempt>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndEntry {
    /// The call.
    pub call: CallId,
    /// The attempt.
    pub attempt: Attempt,
    /// When.
    pub now: Micros,
    /// How.
    pub outcome: Outcome,
    /// What it used.
    #[serde(default, skip_serializing_if = "Usage::is_zero")]
    pub usage: Usage,
    /// When the next attempt is due, if there is one after a wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Micros>,
    /// The answer that `outcome` finds fault with: it goes back to the subagent.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub answer: Option<Json>,
}

/// A call's final outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettleEntry {
    /// The call.
    pub call: CallId,
    /// When.
    pub now: Micros,
    /// What the program gets.
    pub outcome: Outcome,
    /// Attempts made; 0 when nothing was dispatched.
    pub attempts: u32,
    /// The attempt whose end brought the outcome; absent where something else did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// The subagent type asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subagent: Option<String>,
    /// All attempts' usage together.
    #[serde(default, skip_serializing_if = "Usage::is_zero")]
    pub usage: Usage,
    /// When the first attempt was decided; absent when nothing was dispatched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Micros>,
    /// Whether the outcome is the program's fallback value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
    /// The last failure, where a fallback value hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Failure>,
    /// What the model last said, where that was no answer: kept for people, never handed on as a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salvage: Option<String>,
    /// What became of its worktree, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<WorktreeReport>,
    /// The recorded call of another run whose outcome this is; nothing was done for it in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<Box<Reused>>,
}

/// A line the program wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Which guest.
    pub guest: GuestId,
    /// When.
    pub now: Micros,
    /// `log`, `info`, `warn`, `error` or `debug`.
    pub level: String,
    /// The line.
    pub text: String,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}
