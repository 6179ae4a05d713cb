//! One entry of the journal becomes the event or the decision that caused it.

use crate::call::State;
use crate::engine::Engine;
use crate::finish::Ending;
use loopwright_protocol::{
    BUDGET_NONE, CallKind, EndEntry, Entry, Json, Outcome, Progress, RunFinish, SettleEntry,
    StartEntry, StepEntry, TurnEntry, Work,
};
use loopwright_types::{Attempt, Bug, CallId, Failure, GuestId, Reason, Usage};

impl Engine {
    /// Does again what caused this entry. Where nothing can have caused it nothing is done, and the comparison says
    /// so.
    pub(crate) fn redo(&mut self, entry: &Entry) {
        match entry {
            Entry::RunStarted(_) => self.begin(),
            Entry::GuestStarted { call, program, .. } => {
                let Some(attempt) = self.call(*call).and_then(|call| call.active) else { return };
                let program = Outcome::Done(Json::of(program));
                self.on_ended(*call, attempt, program, Usage::default());
            }
            Entry::Turn(turn) => self.redo_turn(turn),
            Entry::Stepped(step) => self.redo_step(step),
            Entry::AttemptStarted(start) => self.redo_start(start),
            Entry::Dispatched { attempts, .. } => self.redo_dispatches(attempts),
            Entry::Progressed { call, attempt, progress, .. } => {
                if let Progress::Process { pid, start_ticks } = progress
                    && let Some(past) = &mut self.past
                {
                    past.processes.insert((*call, *attempt), (*pid, *start_ticks));
                }
                self.append(entry.clone());
            }
            Entry::AttemptEnded(end) => self.redo_end(end),
            Entry::Settled(settled) => self.redo_settled(settled),
            Entry::GuestStopped { guest, error, .. } => {
                self.guest_stopped(*guest, error.clone());
                if let Some(past) = &mut self.past {
                    past.stop_report();
                }
            }
            Entry::CancelRequested { .. } => self.cancel_run(),
            Entry::PauseRequested { .. } => self.pause_run(),
            Entry::RunFinished(finish) => self.redo_finish(finish),
            Entry::Resumed(resumed) => self.resume_from(resumed),
            Entry::Decided(decided) => self.decide(decided.call, decided.decision.clone()),
            // A turn's records cause these, and requests to a provider its going down and coming up.
            Entry::Called(_)
            | Entry::Logged(_)
            | Entry::Phase { .. }
            | Entry::ScopeCancelled { .. }
            | Entry::Dropped { .. }
            | Entry::Coverage { .. }
            | Entry::Unhandled { .. }
            | Entry::GuestEnded { .. }
            | Entry::ProviderDown { .. }
            | Entry::ProviderUp { .. } => {}
        }
    }

    fn call(&self, id: CallId) -> Option<&crate::call::Call> {
        self.calls.get(id.0 as usize)
    }

    /// A call that has no outcome yet.
    fn is_open(&self, id: CallId) -> bool {
        self.call(id).is_some_and(|call| !call.is_settled())
    }

    fn redo_turn(&mut self, turn: &TurnEntry) {
        let Some(guest) = self.guests.get_mut(turn.guest.0 as usize).filter(|guest| !guest.ended)
        else {
            return;
        };
        if self.turning.is_some() || self.turns != turn.turn.0 {
            return;
        }
        // What was settled after this turn began comes later.
        let n = turn.settled.len();
        if guest.deliverable.get(..n) != Some(&turn.settled) {
            return;
        }
        let settled = guest.deliverable.drain(..n).collect();
        let mut budget = turn.budget.map(|figure| figure.unwrap_or(BUDGET_NONE));
        if Bug::LiveBudget.is_on() {
            budget = self.ledger.readable();
            budget[0] += 1.0;
        }
        self.turn_with(turn.guest, settled, budget);
    }

    /// A task had its slot, or a name was looked up again.
    fn redo_step(&mut self, step: &StepEntry) {
        match step.kind {
            CallKind::Resolve => self.resolve_again(),
            CallKind::Worktree if !self.is_open(step.task) => self.finish_told(step.task),
            CallKind::Worktree if self.has_task(step.task) => {
                self.take_slot(step.task);
                self.serve(step.task);
            }
            _ => {}
        }
    }

    fn has_task(&self, id: CallId) -> bool {
        self.call(id).is_some_and(|call| call.task.is_some() && call.active.is_none())
    }

    /// The task has a slot.
    fn take_slot(&mut self, id: CallId) {
        let call = &mut self.calls[id.0 as usize];
        let Some(target) = call.target.filter(|_| call.lane.is_none()) else { return };
        (call.state, call.lane) = (State::Running, Some(target));
        self.lanes.take(target);
    }

    fn redo_start(&mut self, start: &StartEntry) {
        let id = start.call;
        let Some(kind) = self.call(id).filter(|call| call.active.is_none()).map(|call| call.kind)
        else {
            return;
        };
        if !self.is_open(id) {
            return;
        }
        if let Some(of) = start.looks_up {
            let doubt = self.calls[id.0 as usize].doubt.as_ref();
            let is_wanted = doubt.is_some_and(|doubt| doubt.of == of);
            if is_wanted && self.calls[id.0 as usize].state == State::Doubt {
                self.start_lookup(id);
            }
            return;
        }
        match kind {
            CallKind::Task | CallKind::Agent if !self.has_task(id) => {}
            CallKind::Task | CallKind::Agent if start.ahead => self.write_ahead(id),
            CallKind::Task | CallKind::Agent => {
                self.take_slot(id);
                self.serve(id);
            }
            CallKind::Tool => {
                self.tool_lane.take(0);
                self.start_tool(id);
            }
            CallKind::Model => {
                let task = self.step_state(id).task;
                let (Some(gate), Work::Model(request)) =
                    (self.step_state(id).gate, self.step_work(id))
                else {
                    return;
                };
                self.take_slot(task);
                self.came_back(task, id);
                self.gates[gate].go(0, 0);
                self.start_attempt(id, None, Work::Model(request), false);
            }
            _ => {}
        }
    }

    fn redo_dispatches(&mut self, attempts: &[(CallId, Attempt)]) {
        for (id, attempt) in attempts {
            let written = self.call(*id).is_some_and(|call| {
                call.ahead.is_some() && call.attempts + 1 == attempt.0 && !call.is_settled()
            });
            if written && self.has_task(*id) {
                self.take_slot(*id);
                self.serve(*id);
            }
        }
        self.tell_dispatched();
    }

    fn redo_end(&mut self, end: &EndEntry) {
        self.forget_process(end.call, end.attempt);
        let outcome = end.answer.clone().map_or_else(|| end.outcome.clone(), Outcome::Done);
        self.on_ended(end.call, end.attempt, outcome, end.usage);
    }

    fn forget_process(&mut self, call: CallId, attempt: Attempt) {
        if let Some(past) = &mut self.past {
            past.processes.remove(&(call, attempt));
        }
    }

    fn redo_settled(&mut self, settled: &SettleEntry) {
        let id = settled.call;
        if !self.is_open(id) || Bug::ForgetSettled.is_on() {
            return;
        }
        // The steps of a task whose time is up are cancelled before it settles.
        let cancelled = |failure: &Failure| failure.reason == Reason::Cancelled;
        let by_task = matches!(&settled.outcome, Outcome::Failed(failure) if cancelled(failure));
        if let (true, None, Some(task)) =
            (by_task, settled.attempt, self.calls[id.0 as usize].parent())
            && self.is_open(task)
        {
            return self.time_is_up(task);
        }
        let call = &mut self.calls[id.0 as usize];
        call.started = settled.started.or(call.started);
        let (child, used) = (call.child, call.usage);
        if let Some(attempt) = settled.attempt {
            self.forget_process(id, attempt);
            let outcome = match &settled.hidden {
                Some(failure) => Outcome::Failed(failure.clone()),
                None => settled.outcome.clone(),
            };
            let Some(usage) = settled.usage.less(used) else { return };
            return self.on_ended(id, attempt, outcome, usage);
        }
        if let Some(child) = child {
            if self.guest_is_done(child) {
                self.guest_done(child);
            }
            return;
        }
        if !self.conclude_late(id) {
            self.settle_with(id, settled.outcome.clone(), settled.hidden.clone());
        }
    }

    fn redo_finish(&mut self, finish: &RunFinish) {
        if finish.status.waits() && self.ending.is_none() {
            let (status, error) = (finish.status, finish.error.clone());
            self.ending =
                Some(Ending { status, result: None, error, external: false, written: false });
        } else if self.ending.is_none() && !self.guests.is_empty() && self.guest_is_done(GuestId(0))
        {
            self.guest_done(GuestId(0));
        }
        if self.ending.as_ref().is_some_and(|ending| !ending.written) {
            self.write_end();
        }
    }
}
