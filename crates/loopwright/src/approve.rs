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

/// Asks people. Called on a thread of its own, one question at a time.
pub trait Approver: Send + Sync {
    /// Asks and waits for the answer: `true` or `false`, or one of the request's choices. `cancelled` turns
    /// true when the answer is no longer wanted.
    fn ask(&self, request: &ApproveRequest, cancelled: &dyn Fn() -> bool) -> Answer;
}

/// Nobody is there.
#[derive(Clone, Copy, Debug)]
pub struct Unattended;

impl Approver for Unattended {
    fn ask(&self, _request: &ApproveRequest, _cancelled: &dyn Fn() -> bool) -> Answer {
        Answer::Absent
    }
}
