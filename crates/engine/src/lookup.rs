//! Calls in doubt, and what became of them: where the host can look an effect up by its key, it is asked before a person
//! is. A lookup is a read: it is journalled like any attempt and may be repeated freely.

use crate::call::State;
use crate::engine::Engine;
use loopwright_protocol::{
    CallKind, Command, Decision, Dispatch, Entry, Found, Outcome, Request, StartEntry, TimerId,
    Work,
};
use loopwright_types::{Attempt, Bug, CallId, Code, Failure, Reason, Usage};

/// Characters of a lookup's own words in the question to a person.
const WORDS_MAX: usize = 300;

/// What is known of a call in doubt.
#[derive(Debug, Default)]
pub(crate) struct InDoubt {
    /// The attempt that was sent, and of whose result nothing is known.
    pub of: Attempt,
    /// The lookup under way.
    pub lookup: Option<Attempt>,
    /// Its time was up, and it is being ended.
    late: bool,
    /// What the last lookup said, which found nothing out.
    pub unknown: Option<String>,
    /// What a person said while a lookup was under way: carried out when that has ended.
    decision: Option<Decision>,
}

impl Engine {
    /// The call waits until it is known what became of its last attempt.
    pub(crate) fn doubt(&mut self, id: CallId) {
        let now = self.now;
        let call = &mut self.calls[id.0 as usize];
        (call.state, call.since) = (State::Doubt, now);
        let of = Attempt(call.attempts);
        call.doubt = Some(Box::new(InDoubt { of, ..InDoubt::default() }));
        self.parked += 1;
        self.want_lookup(id);
    }

    /// Has the call looked up, where that is possible.
    pub(crate) fn want_lookup(&mut self, id: CallId) {
        if self.has_lookup(id) {
            self.to_look_up.insert(id);
        }
    }

    /// Whether it can be looked up what became of an attempt of the call.
    pub(crate) fn has_lookup(&self, id: CallId) -> bool {
        let call = &self.calls[id.0 as usize];
        match (call.kind, call.target) {
            (CallKind::Tool, _) => match (call.request.as_deref(), &call.step) {
                (Some(Request::Tool(tool)), _) => self.tool_has_lookup(&tool.name),
                (_, Some(step)) => match &step.work {
                    Some(Work::Tool { name, .. }) => self.tool_has_lookup(name),
                    _ => false,
                },
                _ => false,
            },
            (CallKind::Task | CallKind::Agent, Some(target)) => {
                self.subagents[target].lookup && !self.has_loop(id)
            }
            _ => false,
        }
    }

    fn tool_has_lookup(&self, name: &str) -> bool {
        self.tools.iter().find(|tool| tool.answers_to(name)).is_some_and(|tool| tool.lookup)
    }

    /// Whether this attempt looks up what became of another one.
    pub(crate) fn is_lookup(&self, id: CallId, attempt: Attempt) -> bool {
        let doubt = self.calls[id.0 as usize].doubt.as_ref();
        doubt.is_some_and(|doubt| doubt.lookup == Some(attempt))
    }

    /// Sends lookups that wait, as many at once as other work.
    pub(crate) fn schedule_lookups(&mut self) {
        if self.to_look_up.is_empty() {
            return;
        }
        let is_under_way = |call: &&crate::call::Call| {
            let lookup = call.doubt.as_ref().and_then(|doubt| doubt.lookup);
            lookup.is_some() && lookup == call.active
        };
        let mut under_way = self.calls.iter().filter(is_under_way).count();
        while under_way < self.options.concurrency
            && let Some(id) = self.to_look_up.pop_first()
        {
            let call = &self.calls[id.0 as usize];
            if call.state == State::Doubt && call.active.is_none() {
                self.start_lookup(id);
                under_way += 1;
            }
        }
    }

    /// Writes the intent of a lookup and holds it back until that is durable.
    pub(crate) fn start_lookup(&mut self, id: CallId) {
        self.to_look_up.remove(&id);
        let (now, timeout) = (self.now, self.options.lookup_timeout);
        let work = Work::LookUp(Box::new(self.work_in_doubt(id)));
        let call = &mut self.calls[id.0 as usize];
        assert!(call.active.is_none(), "one attempt at a time");
        let doubt = call.doubt.as_deref_mut().expect("only calls in doubt are looked up");
        call.attempts += 1;
        call.lookups += 1;
        let (attempt, of) = (Attempt(call.attempts), doubt.of);
        (doubt.lookup, doubt.late) = (Some(attempt), false);
        (call.active, call.held) = (Some(attempt), true);
        let key = if Bug::LookUpOtherKey.is_on() { attempt } else { call.key };
        self.active += 1;
        let number = self.append(Entry::AttemptStarted(StartEntry {
            call: id,
            attempt,
            now,
            subagent: None,
            effects: None,
            ahead: false,
            reask: false,
            key: (key != of).then_some(key),
            looks_up: Some(of),
        }));
        let (run, call, timeout) = (self.run.clone(), id, Some(timeout));
        let dispatch = Dispatch { run, call, attempt, key, timeout, work };
        self.hold_until(number, Command::Dispatch(Box::new(dispatch)));
        self.limit_lookup(id);
    }

    /// What was sent.
    fn work_in_doubt(&self, id: CallId) -> Work {
        match (self.calls[id.0 as usize].kind, self.request(id)) {
            (CallKind::Task | CallKind::Agent, _) => self.task_work(id),
            (_, Some(Request::Tool(tool))) => {
                Work::Tool { name: tool.name, args: tool.args, root: None, grant: None }
            }
            _ => self.step_work(id),
        }
    }

    /// Sets the end of the time of a lookup under way.
    pub(crate) fn limit_lookup(&mut self, id: CallId) {
        let under_way = |doubt: &InDoubt| doubt.lookup.is_some() && !doubt.late;
        if self.calls[id.0 as usize].doubt.as_deref().is_some_and(under_way) {
            let at = self.now.after(self.options.lookup_timeout);
            self.out.push(Command::SetTimer { timer: TimerId::Lookup(id), at });
        }
    }

    /// A lookup has had its time: it is ended.
    pub(crate) fn lookup_is_late(&mut self, id: CallId) {
        let call = &mut self.calls[id.0 as usize];
        let Some(doubt) = call.doubt.as_deref_mut() else { return };
        let Some(attempt) = doubt.lookup.filter(|_| !doubt.late) else { return };
        if call.held {
            return self.limit_lookup(id); // it waits for the disk: its time has not begun
        }
        doubt.late = true;
        self.out.push(Command::CancelAttempt { call: id, attempt });
    }

    /// A lookup is lost with the process that had it; the next one asks again.
    pub(crate) fn forget_lookup(&mut self, id: CallId) {
        if let Some(doubt) = self.calls[id.0 as usize].doubt.as_deref_mut() {
            doubt.lookup = None;
        }
    }

    /// A lookup ended whose answer is still wanted, or was until a person spoke.
    pub(crate) fn lookup_ended(
        &mut self,
        id: CallId,
        attempt: Attempt,
        outcome: Outcome,
        usage: Usage,
    ) {
        let call = &mut self.calls[id.0 as usize];
        let Some(doubt) = call.doubt.as_deref_mut() else { return };
        let late = std::mem::take(&mut doubt.late);
        doubt.lookup = None;
        let decision = doubt.decision.take();
        let outcome = match outcome {
            Outcome::Failed(failure) if late && failure.reason == Reason::Cancelled => {
                Outcome::Failed(self.lookup_too_late())
            }
            outcome => outcome,
        };
        self.out.push(Command::DropTimer { timer: TimerId::Lookup(id) });
        self.attempt_ended(id, attempt, outcome.clone(), usage, None);
        if let Some(decision) = decision {
            return self.as_decided(id, decision);
        }
        let cut_off = matches!(&outcome, Outcome::Failed(it) if it.reason == Reason::Cancelled);
        if self.calls[id.0 as usize].state != State::Doubt || (cut_off && self.is_interrupted()) {
            return; // the process that goes on with the run asks again
        }
        match Found::of(&outcome) {
            Found::Done(_) if Bug::FoundIsForgotten.is_on() => self.send_under_same_key(id),
            Found::Unknown(_) if Bug::UnknownIsNotDone.is_on() => self.send_under_same_key(id),
            Found::Done(value) => {
                self.leave_doubt(id);
                self.take_found(id, value);
            }
            Found::NotDone => self.send_under_same_key(id),
            Found::Unknown(why) => {
                let why = why.chars().take(WORDS_MAX).collect();
                self.doubt_mut(id).unknown = Some(why);
            }
        }
    }

    fn doubt_mut(&mut self, id: CallId) -> &mut InDoubt {
        self.calls[id.0 as usize].doubt.get_or_insert_default()
    }

    /// It was not done: it is sent again, and whoever receives it knows it by its key.
    fn send_under_same_key(&mut self, id: CallId) {
        self.leave_doubt(id);
        self.again_under_same_key(id);
    }

    /// Sends the call's next attempt under the key of the one before, of whose result nothing is known.
    pub(crate) fn again_under_same_key(&mut self, id: CallId) {
        let call = &mut self.calls[id.0 as usize];
        call.same_key = !Bug::RepeatUnderNewKey.is_on();
        call.doubt = None;
        self.again(id);
    }

    /// The recorded result of what was done: it goes the way of any result. One that does not match fails: to ask the
    /// subagent again would repeat the effect.
    fn take_found(&mut self, id: CallId, value: loopwright_protocol::Json) {
        let call = &mut self.calls[id.0 as usize];
        call.doubt = None;
        match &mut call.task {
            Some(task) => {
                task.reasks_left = 0;
                self.check_answer(id, Attempt(0), value, Usage::default());
            }
            None => self.settle(id, Outcome::Done(value)),
        }
    }

    /// The call is in doubt no more: the time in which it was does not count.
    pub(crate) fn leave_doubt(&mut self, id: CallId) {
        let now = self.now;
        let call = &mut self.calls[id.0 as usize];
        let waited = now.since(call.since);
        call.state = State::Running;
        self.parked -= 1;
        let whole = self.calls[id.0 as usize].parent().unwrap_or(id);
        let call = &mut self.calls[whole.0 as usize];
        call.away = call.away.after(waited);
        self.set_deadline(whole, self.timeout(whole));
    }

    /// What a person said waits until a lookup under way has ended. Says whether there is one.
    pub(crate) fn decide_after_lookup(&mut self, id: CallId, decision: &Decision) -> bool {
        let call = &mut self.calls[id.0 as usize];
        let (held, doubt) = (call.held, call.doubt.as_deref_mut());
        let Some((attempt, doubt)) = doubt.and_then(|it| Some((it.lookup?, it))) else {
            return false;
        };
        doubt.decision = Some(decision.clone());
        call.state = State::Interrupted { sent: false };
        if !held {
            self.out.push(Command::CancelAttempt { call: id, attempt });
        }
        true
    }

    /// What was decided while a lookup was under way that was lost since.
    pub(crate) fn take_decision(&mut self, id: CallId) -> Option<Decision> {
        self.calls[id.0 as usize].doubt.as_deref_mut()?.decision.take()
    }

    fn lookup_too_late(&self) -> Failure {
        let ms = self.options.lookup_timeout.as_millis();
        let message = format!("no answer within `{ms}` ms");
        Failure::new(Reason::Timeout, Code::LOOKUP_FAILED, message)
            .hint("raise the setting `task.lookup_timeout_ms`")
    }
}
