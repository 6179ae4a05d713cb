//! A call gets its final outcome: what it held is given back, what it means for the run is counted, and it is
//! delivered once it is durable.

use crate::call::{State, bits};
use crate::engine::Engine;
use crate::loops::Loop;
use loopwright_protocol::{CallKind, Command, Entry, Outcome, SettleEntry, TimerId};
use loopwright_types::{Bug, CallId, Failure, Reason};

impl Engine {
    /// Gives a call its final outcome: journalled now, delivered once that is durable.
    pub(crate) fn settle(&mut self, id: CallId, outcome: Outcome) {
        self.settle_with(id, outcome, None);
    }

    pub(crate) fn settle_with(&mut self, id: CallId, outcome: Outcome, hidden: Option<Failure>) {
        assert!(!self.calls[id.0 as usize].is_settled(), "a call is settled once");
        let cancelled = matches!(outcome, Outcome::Failed(_));
        let call = &mut self.calls[id.0 as usize];
        let waited = std::mem::replace(&mut call.state, State::Settled);
        self.parked -= usize::from(matches!(waited, State::Parked | State::Doubt));
        let mut own = self.leave_loop(id);
        if self.calls[id.0 as usize].step.is_none() {
            self.count(id, &outcome);
        }
        let call = &mut self.calls[id.0 as usize];
        if let (Some(attempt), false) = (call.active, call.held) {
            self.out.push(Command::CancelAttempt { call: id, attempt });
        }
        if call.started.is_some() {
            self.out.push(Command::DropTimer { timer: TimerId::Deadline(id) });
        }
        if call.doubt.take().is_some_and(|doubt| doubt.lookup.is_some()) {
            self.out.push(Command::DropTimer { timer: TimerId::Lookup(id) });
        }
        match (waited, call.kind) {
            (State::Backoff, _) => {
                self.out.push(Command::DropTimer { timer: TimerId::Retry(id) });
            }
            (State::Waiting, CallKind::Sleep) if cancelled => {
                self.out.push(Command::DropTimer { timer: TimerId::Sleep(id) });
            }
            _ => {}
        }
        if !Bug::RunSettledAgain.is_on() {
            call.request = None;
        }
        let guest = &mut self.guests[call.guest.0 as usize];
        guest.unsettled.remove(&id);
        let entry = SettleEntry {
            call: id,
            now: self.now,
            outcome,
            attempts: call.attempts - call.lookups,
            attempt: self
                .ending_of
                .take_if(|(ended, ..)| *ended == id)
                .map(|(_, attempt, _)| attempt),
            subagent: call.target.map(|target| self.subagents[target].name.clone()),
            usage: call.usage,
            started: call.started,
            salvage: own.salvage.filter(|_| cancelled || hidden.is_some()),
            worktree: own.report,
            reused: None,
            fallback: hidden.is_some(),
            hidden,
        };
        if call.step.is_some() {
            let gave_nothing = call.kind == CallKind::Model && cancelled;
            let outcome = entry.outcome.clone();
            self.append(Entry::Settled(Box::new(entry)));
            if gave_nothing {
                self.model_gave_nothing(id);
            }
            return self.step_settled(id, outcome);
        }
        let entry = Box::new(entry);
        call.settled = Some(entry.clone());
        self.append(Entry::Settled(entry));
        self.deliver_when_durable(id);
        if let Some((worktree, steps)) = own.left.take() {
            self.leave_worktree(id, worktree, &steps);
        }
    }

    /// Ends a task's loop: its steps are cancelled and its slot is free.
    fn leave_loop(&mut self, id: CallId) -> Loop {
        let open = self.calls[id.0 as usize].task.as_ref().and_then(|task| task.own.as_ref());
        let open = open.map_or_else(Vec::new, |own| own.open.clone());
        self.cancel_steps(id, &crate::cancel::failure(Reason::Cancelled));
        if self.calls[id.0 as usize].active.is_none() {
            self.release_slot(id);
        }
        let task = self.calls[id.0 as usize].task.take();
        let mut own = task.and_then(|task| task.own).map_or_else(Loop::default, |own| *own);
        if let Some(worktree) = own.worktree.take().filter(|_| own.report.is_none()) {
            let why = "its task ended before its subagent did: what became of it is told later";
            own.report = Some(crate::worktree::kept(Some(&worktree), why.to_owned()));
            own.left = Some((worktree, open));
        }
        let said = own.talk.as_ref().map(|talk| talk.last_text());
        let said = said.filter(|text| !text.is_empty()).map(str::to_owned);
        own.salvage = own.salvage.or(said);
        own
    }

    /// What the outcome means for the run's status.
    pub(crate) fn count(&mut self, id: CallId, outcome: &Outcome) {
        let call = &self.calls[id.0 as usize];
        if call.kind.is_task() && matches!(outcome, Outcome::Done(_)) {
            self.tally.done += 1;
        }
        let Outcome::Failed(failure) = outcome else { return };
        if failure.reason == Reason::Cancelled || self.ending.is_some() {
            return;
        }
        let nullable = matches!(failure.reason, Reason::Provider | Reason::Timeout);
        if call.bits & bits::NULL_ON_FAILURE != 0 && call.bits & bits::OBSERVED == 0 && nullable {
            self.tally.nulled += 1;
        }
        let name = &self.guests[call.guest.0 as usize].name;
        let place = call
            .position
            .map_or_else(String::new, |at| format!("{name}:{}:{}: ", at.line, at.column));
        let kind = call.kind.as_str();
        let line = format!("{place}{kind} {id}: {} ({})", failure.message, failure.reason.as_str());
        self.note_failure(line);
    }
}
