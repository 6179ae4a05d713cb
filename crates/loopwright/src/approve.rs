//! Questions to people.

use loopwright_protocol::{ApproveRequest, Json};
use std::time::Duration;

/// A person's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Yes, or one of the choices.
    Given(Json),
    /// Nobody is there to ask: the run parks.
    Absent,
}

/// Asks people. Called on a thread of its own, one question at a time unless it says otherwise.
pub trait Approver: Send + Sync {
    /// Asks and waits for the answer: `true` or `false`, or one of the request's choices. `cancelled` turns
    /// true when the answer is no longer wanted.
    fn ask(&self, request: &ApproveRequest, cancelled: &dyn Fn() -> bool) -> Answer;

    /// Whether several questions may be asked at a time.
    fn at_once(&self) -> bool {
        false
    }
}

/// How often a question that nobody is asked here looks whether its answer is still wanted.
const PERIOD: Duration = Duration::from_millis(250);

/// Nobody is there, but somebody may answer from another process: the run goes on waiting.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere;

impl Approver for Elsewhere {
    fn ask(&self, _request: &ApproveRequest, cancelled: &dyn Fn() -> bool) -> Answer {
        while !cancelled() {
            std::thread::sleep(PERIOD);
        }
        Answer::Absent
    }

    fn at_once(&self) -> bool {
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
