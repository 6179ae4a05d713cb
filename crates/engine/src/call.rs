//! One call's state, from the guest's record to its delivery.

use crate::lanes::SubagentIndex;
use crate::lookup::InDoubt;
use crate::loops::Loop;
use loopwright_protocol::{CallKind, Feedback, Model, Request, SettleEntry, TaskRequest, Work};
use loopwright_schema::Validator;
use loopwright_types::{Attempt, CallId, Failure, GuestId, Micros, Position, Slot, Usage};
use std::sync::Arc;

/// The bridge's bits of a call (`docs/design/bridge.md`).
pub(crate) mod bits {
    /// Dialect B: some failures become `null`.
    pub const NULL_ON_FAILURE: u32 = 1;
    /// The completion carries a receipt.
    pub const TRACKED: u32 = 2;
    /// The program looks at the outcome itself.
    pub const OBSERVED: u32 = 4;
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for a slot.
    Queued,
    /// An attempt is under way, or its intent is being made durable.
    Running,
    /// Waits for its next attempt.
    Backoff,
    /// Waits for a timer, a nested program or a person.
    Waiting,
    /// Waits for something outside the run: a raised ceiling, a person who is not there.
    Parked,
    /// Its attempt ended with the process that served it, or was ended with its run; `sent` says whether it may have
    /// done anything.
    Interrupted {
        /// Whether it may have done anything.
        sent: bool,
    },
    /// It was sent, nothing is known of its result, and it may not be repeated by itself.
    Doubt,
    /// Has its final outcome.
    Settled,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub guest: GuestId,
    pub slot: Slot,
    pub kind: CallKind,
    pub bits: u32,
    pub position: Option<Position>,
    pub state: State,
    /// Attempts decided so far, lookups included.
    pub attempts: u32,
    /// How many of them looked up what became of another one.
    pub lookups: u32,
    /// The attempt whose idempotency key the last one went out under that was no lookup.
    pub key: Attempt,
    /// Whether the next one goes out under the same key: it repeats what may be known there.
    pub same_key: bool,
    /// What is known while the call is in doubt.
    pub doubt: Option<Box<InDoubt>>,
    /// The attempt whose end the host still owes; it may outlive the call's settling.
    pub active: Option<Attempt>,
    /// Whether the active attempt's dispatch still waits for its intent to be durable.
    pub held: bool,
    /// The number of the next attempt's intent, where it was written ahead of its slot.
    pub ahead: Option<u64>,
    /// The lane whose slot the active attempt holds.
    pub lane: Option<SubagentIndex>,
    /// What the active attempt set aside: output tokens, all tokens, US dollars.
    pub reserved: Option<[f64; 3]>,
    /// When the first attempt was decided.
    pub started: Option<Micros>,
    /// When the last attempt was decided.
    pub since: Micros,
    /// When it is due by itself: a sleep's end, an approval's deadline.
    pub due: Option<Micros>,
    /// When its next attempt is due, while it waits for that.
    pub retry_at: Option<Micros>,
    /// Time since `started` in which no process served the run, or a person had to decide.
    pub away: Micros,
    /// All attempts' usage together.
    pub usage: Usage,
    /// The subagent type asked now: the request's, or the fallback's.
    pub target: Option<SubagentIndex>,
    /// What other kinds than tasks asked for.
    pub request: Option<Box<Request>>,
    /// What only a task needs; dropped when it settles.
    pub task: Option<Box<Task>>,
    /// The final outcome, from settling to delivery.
    pub settled: Option<Box<SettleEntry>>,
    /// The nested program's guest, for `workflow()`.
    pub child: Option<GuestId>,
    /// What only a step of a subagent's loop needs.
    pub step: Option<Box<StepState>>,
}

/// What only a step of a subagent's loop needs.
#[derive(Debug)]
pub(crate) struct StepState {
    /// The task it serves.
    pub task: CallId,
    /// What it asks for; kept until it is settled, because it may be sent again.
    pub work: Option<Work>,
    /// The model it asks.
    pub model: Option<Arc<Model>>,
    /// The provider's gate that it goes through.
    pub gate: Option<usize>,
    /// Its failures in a row, for the backoff.
    pub failures: u32,
    /// Why it waits for its provider, where only a person can change that.
    pub parked: Option<Failure>,
}

/// What only a task needs.
#[derive(Debug)]
pub(crate) struct Task {
    pub request: TaskRequest,
    pub schema: Option<Validator>,
    pub retries_left: u32,
    pub reasks_left: u32,
    pub feedback: Option<Feedback>,
    /// Failures of the current target in a row, for the backoff.
    pub failures: u32,
    /// Time that does not count: its provider was down.
    pub excused: Micros,
    /// Its subagent's loop, where it has one.
    pub own: Option<Box<Loop>>,
}

impl Call {
    /// A call that nothing has been done for yet.
    pub fn new(guest: GuestId, slot: Slot, kind: CallKind, position: Option<Position>) -> Self {
        Self {
            guest,
            slot,
            kind,
            bits: 0,
            position,
            state: State::Waiting,
            attempts: 0,
            lookups: 0,
            key: Attempt(0),
            same_key: false,
            doubt: None,
            active: None,
            held: false,
            ahead: None,
            lane: None,
            reserved: None,
            started: None,
            since: Micros(0),
            due: None,
            retry_at: None,
            away: Micros(0),
            usage: Usage::default(),
            target: None,
            request: None,
            task: None,
            settled: None,
            child: None,
            step: None,
        }
    }

    /// The task that this step serves.
    pub fn parent(&self) -> Option<CallId> {
        self.step.as_ref().map(|step| step.task)
    }

    /// Whether the final outcome is known.
    pub fn is_settled(&self) -> bool {
        self.state == State::Settled
    }
}
