//! A run goes on in another process: what was under way there is lost with it. What repeats no effect is sent
//! again; the rest is in doubt until it is decided.

use crate::call::State;
use crate::engine::Engine;
use loopwright_protocol::{
    CallKind, Command, DecideEntry, Decision, Entry, Outcome, Request, ResumeEntry, TimerId, Work,
};
use loopwright_types::{
    Attempt, Bug, CallId, Code, Diagnostic, Effects, Failure, GuestId, Micros, Reason, RunStatus,
    Usage,
};

/// Calls in doubt that are named one by one.
const DOUBTS_TOLD_MAX: usize = 20;

impl Engine {
    /// The first step of a restored run: writes what the process before could not write any more, and that another
    /// one goes on.
    pub(crate) fn set_out(&mut self, now: Micros) {
        if self.past.is_none() {
            return; // a run that is live goes on already
        }
        self.stop_deferring();
        self.pass_told();
        self.advance(None);
        let outset = std::mem::take(&mut self.outset);
        let entry = ResumeEntry {
            now: now.max(self.now),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: outset.epoch,
            tokens: outset.tokens,
            usd_micros: outset.usd_micros,
            lost: self.under_way().filter(|_| !Bug::ForgetLost.is_on()).collect(),
        };
        self.resume_from(&entry);
        self.advance(None);
        for (call, decision) in outset.decisions {
            self.decide(call, decision);
        }
        let Some(mut past) = self.past.take() else { return };
        let guests = std::mem::take(&mut self.out).into_iter().filter(|command| {
            use Command::{DropGuest, StartGuest, Turn};
            matches!(command, StartGuest { .. } | Turn { .. } | DropGuest { .. })
        });
        self.out = past.take_made().map(|entry| Command::Append(Box::new(entry))).collect();
        self.out.extend(guests);
        self.take_up();
    }

    /// Attempts that the process before has sent and of whose end nothing is known.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (CallId, Attempt)> {
        let calls = (0..).map(CallId).zip(&self.calls).filter(|(_, call)| !call.held);
        calls.filter_map(|(id, call)| Some((id, call.active?)))
    }

    /// Calls without an outcome, oldest first. A program that has ended leaves none but those that look at a worktree
    /// that was left.
    fn open_calls(&self) -> Vec<CallId> {
        let unsettled = self.guests.iter().flat_map(|guest| &guest.unsettled);
        let mut open: Vec<CallId> = unsettled.copied().collect();
        open.sort_unstable();
        open
    }

    /// Another process goes on: what the one before had under way is lost, the time between does not count.
    pub(crate) fn resume_from(&mut self, entry: &ResumeEntry) {
        for gate in 0..self.gates.len() {
            if let Some(since) = self.gates[gate].down_since() {
                self.excuse(gate, since);
            }
        }
        let away = entry.now.since(self.now);
        self.tick(entry.now);
        self.append(Entry::Resumed(Box::new(entry.clone())));
        self.ledger.set_ceilings(entry.tokens, entry.usd_micros);
        let waits = |status: RunStatus| status.waits() || status == RunStatus::Cancelled;
        self.ending.take_if(|ending| ending.external || waits(ending.status));
        self.pausing = false;
        self.gates.iter_mut().for_each(crate::gate::Gate::resumed);
        for (id, attempt) in &entry.lost {
            if self.is_active(*id, *attempt) {
                self.forget_attempt(*id);
                let is_lookup = self.is_lookup(*id, *attempt);
                self.forget_lookup(*id);
                let call = &mut self.calls[id.0 as usize];
                if is_lookup && !call.is_settled() {
                    continue; // what it was to find out is as open as before
                }
                if !call.is_settled() {
                    call.state = State::Interrupted { sent: true };
                    continue;
                }
                let ended = Outcome::Failed(crate::cancel::failure(Reason::Cancelled));
                self.left_by(*id, &ended);
            }
        }
        if let Some(past) = &mut self.past {
            past.go_on();
        }
        let open = self.open_calls();
        for id in &open {
            self.pass_time(*id, away);
        }
        for id in open {
            match self.calls[id.0 as usize].state {
                State::Interrupted { sent } if sent && self.effects_now(id) != Effects::None => {
                    self.doubt(id);
                }
                State::Interrupted { .. } => match self.take_decision(id) {
                    Some(decision) => self.as_decided(id, decision),
                    None => self.again_under_same_key(id),
                },
                State::Doubt => self.want_lookup(id),
                State::Parked => {
                    self.parked -= 1;
                    self.again(id);
                }
                _ => {}
            }
        }
    }

    /// This much time does not count for the call.
    fn pass_time(&mut self, id: CallId, away: Micros) {
        let now = self.now;
        let call = &mut self.calls[id.0 as usize];
        if call.started.is_some() {
            call.away = call.away.after(away);
        }
        // What it waited for a person in the process before does not count either.
        let in_doubt = call.state == State::Doubt;
        let waited = if in_doubt { now.since(call.since.after(away)) } else { Micros(0) };
        if in_doubt {
            call.since = now;
        }
        let whole = call.parent().unwrap_or(id);
        let call = &mut self.calls[whole.0 as usize];
        call.away = call.away.after(waited);
        let call = &mut self.calls[id.0 as usize];
        if let Some(own) = call.task.as_mut().and_then(|task| task.own.as_mut()) {
            own.excused_until = now;
        }
    }

    /// What carrying out the call's next attempt may do.
    pub(crate) fn effects_now(&self, id: CallId) -> Effects {
        let call = &self.calls[id.0 as usize];
        match (call.kind, call.request.as_deref()) {
            _ if Bug::RepeatEffects.is_on() => Effects::None,
            (CallKind::Task | CallKind::Agent, _) => self.effects(id),
            (CallKind::Tool, Some(Request::Tool(tool))) => self.tool_effects(&tool.name),
            (CallKind::Tool, _) => match &self.step_state(id).work {
                Some(Work::Tool { name, .. }) => self.tool_effects(name),
                _ => Effects::None,
            },
            // A worktree that is made again leaves one that `clean` finds; looking at one again changes nothing.
            _ => Effects::None,
        }
    }

    /// Whether the call, or a step of it, is in doubt: its time stands still.
    pub(crate) fn is_in_doubt(&self, id: CallId) -> bool {
        let call = &self.calls[id.0 as usize];
        let own = call.task.as_ref().and_then(|task| task.own.as_ref());
        let mut steps = own.into_iter().flat_map(|own| &own.open);
        let doubtful = |id: &CallId| self.calls[id.0 as usize].state == State::Doubt;
        doubtful(&id) || steps.any(doubtful)
    }

    /// Sends the call's next attempt, or lets it wait for its turn.
    pub(crate) fn again(&mut self, id: CallId) {
        match (self.calls[id.0 as usize].kind, self.request(id)) {
            (CallKind::Task | CallKind::Agent | CallKind::Tool, _) => self.enqueue(id),
            (CallKind::Model, _) => self.queue_model(id),
            (CallKind::Resolve | CallKind::Worktree, _) => self.send_step(id),
            (_, Some(Request::Approve(approve))) => {
                self.start_attempt(id, None, Work::Approve(approve), false);
            }
            (_, Some(Request::Workflow(workflow))) => {
                let work = Work::LoadProgram { name: workflow.name };
                self.start_attempt(id, None, work, false);
            }
            (CallKind::Sleep | CallKind::Approve | CallKind::Workflow, _) => {}
        }
    }

    /// Takes the decision on a call in doubt; calls that are not in doubt are left alone.
    pub(crate) fn decide(&mut self, id: CallId, decision: Decision) {
        let Some(call) = self.calls.get(id.0 as usize) else { return };
        if call.state != State::Doubt {
            return;
        }
        let now = self.now;
        if Bug::ForgetDecision.is_on() {
            return;
        }
        self.append(Entry::Decided(DecideEntry { call: id, now, decision: decision.clone() }));
        self.leave_doubt(id);
        if !self.decide_after_lookup(id, &decision) {
            self.as_decided(id, decision);
        }
    }

    /// Carries out what a person decided.
    pub(crate) fn as_decided(&mut self, id: CallId, decision: Decision) {
        let call = &mut self.calls[id.0 as usize];
        let doubt = call.doubt.take();
        let attempt = doubt.map_or(Attempt(call.attempts), |doubt| doubt.of);
        match decision {
            Decision::Repeat => self.again_under_same_key(id),
            Decision::Fail => self.fail(id, given_up()),
            Decision::Done(value) => {
                // An answer that does not match fails: to ask the subagent again would repeat the effect.
                if let Some(task) = &mut self.calls[id.0 as usize].task {
                    task.reasks_left = 0;
                }
                self.take_end(id, attempt, Outcome::Done(value), Usage::default());
            }
        }
    }

    /// An attempt of a run that is being stopped ended: where it was cut off its call stays open.
    pub(crate) fn interrupted(
        &mut self,
        id: CallId,
        attempt: Attempt,
        outcome: Outcome,
        usage: Usage,
    ) {
        let kind = self.calls[id.0 as usize].kind;
        let failure = match outcome {
            Outcome::Failed(failure) if failure.reason == Reason::Cancelled => failure,
            // A program that is not run any more is not begun either.
            Outcome::Done(_) if kind == CallKind::Workflow => {
                crate::cancel::failure(Reason::Cancelled).not_sent()
            }
            outcome => return self.take_end(id, attempt, outcome, usage),
        };
        if kind == CallKind::Model {
            self.gate_failed(id, &failure);
        }
        self.calls[id.0 as usize].state = State::Interrupted { sent: failure.sent };
        self.attempt_ended(id, attempt, Outcome::Failed(failure), usage, None);
    }

    /// What waits is put where live runs look for it, and every timer is set again.
    fn take_up(&mut self) {
        if Bug::RunSettledAgain.is_on() {
            let calls = (0..).map(CallId).zip(&self.calls);
            let tools = calls.filter(|(_, call)| call.is_settled() && call.kind == CallKind::Tool);
            let again: Vec<CallId> = tools.map(|(id, _)| id).collect();
            for id in again {
                if self.request(id).is_some() {
                    self.start_tool(id);
                }
            }
        }
        for id in self.open_calls() {
            let call = &self.calls[id.0 as usize];
            match (call.state, call.kind) {
                (State::Queued, CallKind::Model) => self.retry_due(id),
                (State::Queued, _) => self.enqueue(id),
                (State::Backoff, _) => {
                    if let Some(at) = call.retry_at.filter(|_| !Bug::ForgetTimers.is_on()) {
                        self.out.push(Command::SetTimer { timer: TimerId::Retry(id), at });
                    }
                }
                (State::Doubt, _) => self.limit_lookup(id),
                (_, CallKind::Sleep) if Bug::ForgetTimers.is_on() => {}
                (_, CallKind::Sleep) => self.set_due(id, TimerId::Sleep(id)),
                (_, CallKind::Approve) => self.set_due(id, TimerId::Deadline(id)),
                (_, CallKind::Worktree) => self.limit_left(id),
                _ => {}
            }
            self.set_deadline(id, self.timeout(id));
        }
        for index in 0..self.guests.len() {
            self.mark_ready(GuestId(index as u32));
        }
    }

    /// Why a run waits that has calls in doubt.
    pub(crate) fn doubt_reason(&self) -> Option<Diagnostic> {
        let calls = (0..).map(CallId).zip(&self.calls);
        let doubts: Vec<_> = calls.filter(|(_, call)| call.state == State::Doubt).collect();
        let (_, first) = doubts.first()?;
        let told = doubts.iter().take(DOUBTS_TOLD_MAX);
        let mut names: Vec<String> = told
            .map(|(id, call)| {
                let unknown = call.doubt.as_ref().and_then(|doubt| doubt.unknown.as_ref());
                let unknown = unknown.map(|why| format!(" (looked up: {why})")).unwrap_or_default();
                format!("`{}` {id}{unknown}", call.kind.as_str())
            })
            .collect();
        if doubts.len() > DOUBTS_TOLD_MAX {
            names.push(format!("{} more", doubts.len() - DOUBTS_TOLD_MAX));
        }
        let message = format!(
            "sent by a process that has ended, and nothing is known of the result: {}",
            names.join(", ")
        );
        let diagnostic = Diagnostic::new(Code::IN_DOUBT, message)
            .hint(format!(
                "look whether it was done, then say so: `loopwright decide {} <call>` with `--repeat`, `--value JSON` or `--fail`",
                self.run
            ));
        let name = &self.guests[first.guest.0 as usize].name;
        Some(match first.position {
            Some(position) => diagnostic.at(name.clone(), position, 1),
            None => diagnostic,
        })
    }
}

fn given_up() -> Failure {
    let message = "it was sent and nothing is known of its result; a person gave it up";
    Failure::new(Reason::Policy, Code::IN_DOUBT, message)
}
