//! The traits through which the engine's commands reach the world. No implementation lives here.
//!
//! The seam is an idempotent outbox keyed by (run, call, attempt) and one durable total order of
//! completions per run: a distributed host is one more implementation of the same traits.

use loopwright_protocol::{
    Command, Dispatch, Event, GuestStart, Outcome, Progress, TurnInput, TurnReport,
};
use loopwright_types::{Attempt, CallId, Diagnostic, GuestId, Micros, Usage};
use std::sync::Arc;

/// Carries out a run's commands and reports what happens.
///
/// Entries become durable in the order in which they were appended; [`Event::Synced`] says how far.
/// A host that cannot append any more returns an error: the run stops at once, nothing more is
/// dispatched or delivered.
pub trait RunHost {
    /// Takes the commands in order and leaves the vector empty. Guest commands never reach a host.
    ///
    /// # Errors
    /// When the journal cannot be written.
    fn submit(&mut self, commands: &mut Vec<Command>) -> Result<(), Diagnostic>;

    /// The host's clock: what a turn took is visible in the entries after it.
    fn now(&self) -> Micros;

    /// Waits until something happened and adds it to `events`. Adds nothing when the run has been quiet for long
    /// enough that it may rest; called again, it waits on.
    ///
    /// # Errors
    /// When the journal cannot be written.
    fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnostic>;
}

/// Makes and drives the guests of one run.
pub trait Guests {
    /// Makes a guest and loads its program; nothing of it runs before its first turn.
    ///
    /// # Errors
    /// When there is no room or the program does not load.
    fn start(&mut self, guest: GuestId, start: &GuestStart) -> Result<(), Diagnostic>;

    /// Runs one turn. A guest that cannot go on says so in the report's `stop`.
    fn turn(&mut self, guest: GuestId, input: &TurnInput) -> TurnReport;

    /// Drops a guest; unknown ones are ignored.
    fn end(&mut self, guest: GuestId);

    /// The run waits, and may do so for days: guests may give up their memory until their next turn, which they must
    /// not be able to notice.
    fn rest(&mut self) {}
}

/// Where an attempt reports to; cheap to clone, usable from any thread.
pub trait Reporter: Send + Sync {
    /// The attempt ended. Reported exactly once per dispatch, also when it was cancelled.
    fn ended(&self, call: CallId, attempt: Attempt, outcome: Outcome, usage: Usage);

    /// The attempt tells how it goes.
    fn progressed(&self, call: CallId, attempt: Attempt, progress: Progress);
}

/// Serves attempts of one kind of subagent or of tools.
///
/// `dispatch` returns at once; the attempt goes on elsewhere and ends in one [`Reporter::ended`].
/// Only the engine retries: a driver reports the failure and its class and is done.
pub trait Driver: Send + Sync {
    /// Starts the attempt.
    fn dispatch(&self, dispatch: Dispatch, reporter: Arc<dyn Reporter>);

    /// Ends the attempt and everything it started; unknown or ended ones are ignored.
    fn cancel(&self, call: CallId, attempt: Attempt);

    /// Ends all attempts, waiting a short while for their processes to go.
    fn shutdown(&self);

    /// The run waits, and may do so for days: threads that serve nothing now are let go until the next dispatch.
    fn rest(&self) {}
}
