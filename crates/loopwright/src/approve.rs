//! Questions to people.

use loopwright_protocol::{ApproveRequest, Json};

/// A person's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Yes, or one of the choices.
    Given(Json),
    /// Nobody is there to ask: the run parks.
    Absent,
}

/// Asks people, one question at a time.
pub trait Approver: Send + Sync {
    /// Asks and waits for the answer: `true` or `false`, or one of the request's choices. `cancelled` turns
    /// true when the answer is no longer wanted. Called on a thread of its own.
    fn ask(&self, request: &ApproveRequest, cancelled: &dyn Fn() -> bool) -> Answer;

    /// Whether answers come only from other processes: then [`Approver::ask`] is not called, all questions wait at
    /// once, and none of them holds a thread.
    fn is_elsewhere(&self) -> bool {
        false
    }
}

/// Nobody is there, but somebody may answer from another process: the run goes on waiting.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere;

impl Approver for Elsewhere {
    fn ask(&self, _request: &ApproveRequest, _cancelled: &dyn Fn() -> bool) -> Answer {
        Answer::Absent
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}

/// Nobody is there.
#[derive(Clone, Copy, Debug)]
pub struct Unattended;

impl Approver for Unattended {
    fn ask(&self, _request: &ApproveRequest, _cancelled: &dyn Fn() -> bool) -> Answer {
        Answer::Absent
    }
}
