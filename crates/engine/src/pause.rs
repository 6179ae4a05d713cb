//! A pause: what is under way ends and is journalled, nothing new begins, and the run ends as paused. Questions to
//! people are taken back: they are asked again when the run goes on.

use crate::call::State;
use crate::engine::Engine;
use crate::finish::Ending;
use loopwright_protocol::{CallKind, Command, Entry};
use loopwright_types::{CallId, Code, Diagnostic, RunStatus};

impl Engine {
    /// The operator wants the run to wait.
    pub(crate) fn pause_run(&mut self) {
        if self.ending.is_some() || self.pausing {
            return;
        }
        self.pausing = true;
        self.tell_dispatched();
        let now = self.now;
        self.append(Entry::PauseRequested { now });
        let asked = |(_, call): &(usize, &crate::call::Call)| {
            call.kind == CallKind::Approve && !call.is_settled() && !call.held
        };
        let asked = self.calls.iter().enumerate().filter(asked);
        let asked: Vec<Command> = asked
            .filter_map(|(index, call)| {
                let (call, attempt) = (CallId(index as u32), call.active?);
                Some(Command::CancelAttempt { call, attempt })
            })
            .collect();
        self.out.extend(asked);
    }

    /// A question that nobody answers now: it waits for a person, and the run for it.
    pub(crate) fn put_off(&mut self, id: CallId) {
        self.forget_attempt(id);
        self.calls[id.0 as usize].state = State::Parked;
        self.parked += 1;
    }

    /// Ends a run that pauses once nothing is under way any more.
    pub(crate) fn try_to_pause(&mut self) {
        let at_rest = self.active == 0 && self.turning.is_none();
        if !(self.pausing && at_rest && self.ending.is_none()) {
            return;
        }
        let error = Diagnostic::new(Code::PARKED, "the run was paused by the operator")
            .hint(format!("`loopwright resume {}` goes on with it", self.run));
        let (status, error) = (RunStatus::Paused, Some(error));
        self.ending = Some(Ending { status, result: None, error, external: false, written: false });
    }
}
