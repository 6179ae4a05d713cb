//! Attempts: what is dispatched, what follows from how it ended, and how a call is settled.

use crate::budget::{Admission, figures, spent_figures};
use crate::call::{State, bits};
use crate::engine::Engine;
use crate::lanes::SubagentIndex;
use loopwright_protocol::{
    CallKind, Command, Dispatch, EndEntry, Entry, Fallback, Feedback, Json, Outcome, Request,
    SettleEntry, StartEntry, TaskWork, TimerId, Work,
};
use loopwright_types::{Attempt, CallId, Code, Effects, Failure, Micros, Reason, Usage};

impl Engine {
    /// Puts a call with a task or tool into its queue.
    pub(crate) fn enqueue(&mut self, id: CallId) {
        let call = &mut self.calls[id.0 as usize];
        call.state = State::Queued;
        match call.target {
            Some(lane) => self.lanes.push(lane, id),
            None => self.tool_lane.push(0, id),
        }
    }

    /// Starts queued work while there is room.
    pub(crate) fn schedule(&mut self) {
        if self.ending.is_some() {
            return;
        }
        while let Some((_, id)) =
            self.tool_lane.pop(|id| self.calls[id.0 as usize].state == State::Queued)
        {
            if let Some(Request::Tool(tool)) = self.take_request(id) {
                self.start_attempt(
                    id,
                    Some(0),
                    Work::Tool { name: tool.name, args: tool.args, root: None },
                    false,
                );
            }
        }
        if self.schedule_tasks() {
            self.look_ahead();
        }
    }

    /// Starts queued tasks; says whether it stopped for want of slots.
    fn schedule_tasks(&mut self) -> bool {
        while let Some((lane, id)) =
            self.lanes.pop(|id| self.calls[id.0 as usize].state == State::Queued)
        {
            let own = self.own_budget(id);
            if own.contains(&0.0) {
                self.lanes.release(lane);
                self.fail(id, budget_spent("of the task"));
                continue;
            }
            match self.ledger.admit(own) {
                Admission::Fits => {
                    self.ledger.reserve(own);
                    self.calls[id.0 as usize].reserved = Some(own);
                    let reask = self.task(id).feedback.is_some();
                    let work = self.task_work(id);
                    self.start_attempt(id, Some(lane), work, reask);
                }
                Admission::Later if self.lanes.running() > 1 => {
                    self.lanes.release(lane);
                    self.lanes.push(lane, id);
                    return false;
                }
                Admission::Later | Admission::ProgramSpent => {
                    self.lanes.release(lane);
                    self.settle(id, Outcome::Failed(budget_spent("of the program")));
                }
                Admission::OperatorSpent => {
                    self.lanes.release(lane);
                    self.calls[id.0 as usize].state = State::Parked;
                    self.parked += 1;
                }
            }
        }
        true
    }

    /// What the call may still use of its own ceiling.
    fn own_budget(&self, id: CallId) -> [f64; 3] {
        let call = &self.calls[id.0 as usize];
        let mut own = figures(call.task.as_ref().and_then(|task| task.request.budget));
        for (left, used) in own.iter_mut().zip(spent_figures(call.usage)) {
            *left = (*left - used).max(0.0);
        }
        own
    }

    pub(crate) fn task(&self, id: CallId) -> &crate::call::Task {
        self.calls[id.0 as usize].task.as_deref().expect("a call with a target has its task")
    }

    pub(crate) fn task_mut(&mut self, id: CallId) -> &mut crate::call::Task {
        let call = &mut self.calls[id.0 as usize];
        call.task.as_deref_mut().expect("a call with a target has its task")
    }

    fn task_work(&self, id: CallId) -> Work {
        let task = self.task(id);
        let request = &task.request;
        let target = self.calls[id.0 as usize].target.expect("a task has a target");
        Work::Task(Box::new(TaskWork {
            subagent: self.subagents[target].name.clone(),
            prompt: request.prompt.clone(),
            schema: request.schema.clone(),
            label: request.label.clone(),
            model: request.model.clone(),
            tools: request.tools.clone(),
            max_turns: request.max_turns,
            effort: request.effort.clone(),
            root: None,
            feedback: task.feedback.clone(),
        }))
    }

    /// The effects an attempt may have: the definition's, tightened by the program.
    pub(crate) fn effects(&self, id: CallId) -> Effects {
        let call = &self.calls[id.0 as usize];
        match (&call.task, call.target) {
            (Some(task), Some(target)) => {
                let declared = task.request.effects.unwrap_or(Effects::None);
                self.subagents[target].effects.max(declared)
            }
            // Tools of this version only read; loading a program and asking a person change nothing.
            _ => Effects::None,
        }
    }

    /// Writes the intent and holds the dispatch back until it is durable.
    pub(crate) fn start_attempt(
        &mut self,
        id: CallId,
        lane: Option<SubagentIndex>,
        work: Work,
        reask: bool,
    ) {
        let now = self.now;
        let timeout = self.timeout(id);
        let effects = self.effects(id);
        let call = &mut self.calls[id.0 as usize];
        assert!(call.active.is_none(), "one attempt at a time");
        call.attempts += 1;
        let attempt = Attempt(call.attempts);
        call.state = State::Running;
        call.active = Some(attempt);
        call.lane = lane;
        call.held = true;
        let first = call.started.is_none();
        let began = *call.started.get_or_insert(now);
        self.active += 1;
        let subagent = match &work {
            Work::Task(work) => Some(work.subagent.clone()),
            _ => None,
        };
        let ahead = call.ahead.take();
        let effects = (effects != Effects::None).then_some(effects);
        let number = match ahead {
            Some(number) => {
                self.dispatched.push((id, attempt));
                number
            }
            None => {
                let ahead = false;
                let entry = StartEntry { call: id, attempt, now, subagent, effects, ahead, reask };
                self.append(Entry::AttemptStarted(entry))
            }
        };
        let left = timeout.map(|timeout| began.after(timeout).since(now));
        if let (true, Some(timeout)) = (first, timeout) {
            let timer = TimerId::Deadline(id);
            self.out.push(Command::SetTimer { timer, at: now.after(timeout) });
        }
        let run = self.run.clone();
        let dispatch = Dispatch { run, call: id, attempt, timeout: left, work };
        self.hold_until(number, Command::Dispatch(Box::new(dispatch)));
    }

    /// The whole task's time; approvals have their own deadline, tools the default.
    fn timeout(&self, id: CallId) -> Option<Micros> {
        let call = &self.calls[id.0 as usize];
        let own = match call.kind {
            // Nested programs are made of calls that each have their own time.
            CallKind::Approve | CallKind::Workflow => return None,
            CallKind::Task | CallKind::Agent => self.task(id).request.timeout_ms,
            _ => None,
        };
        Some(own.map_or(self.options.timeout, millis))
    }

    /// An attempt ended, wanted or not.
    pub(crate) fn on_ended(
        &mut self,
        id: CallId,
        attempt: Attempt,
        outcome: Outcome,
        usage: Usage,
    ) {
        if !self.is_active(id, attempt) {
            return; // a second report of the same attempt: the outbox is idempotent
        }
        self.forget_attempt(id);
        self.ledger.charge(usage);
        let call = &mut self.calls[id.0 as usize];
        call.usage.add(usage);
        if call.is_settled() {
            return self.attempt_ended(id, attempt, outcome, usage, None);
        }
        match (call.kind, outcome) {
            (CallKind::Workflow, Outcome::Done(program)) => {
                if let Some(Request::Workflow(request)) = self.take_request(id) {
                    self.run_nested(id, &program, request.args.as_ref());
                }
            }
            (CallKind::Approve, Outcome::Failed(failure)) if failure.code == Code::PARKED => {
                self.calls[id.0 as usize].state = State::Parked;
                self.parked += 1;
            }
            (CallKind::Task | CallKind::Agent, Outcome::Done(value)) => {
                self.check_answer(id, attempt, value, usage);
            }
            (CallKind::Task | CallKind::Agent, Outcome::Failed(failure)) => {
                self.after_failure(id, attempt, failure, usage);
            }
            (_, outcome) => self.settle(id, outcome),
        }
    }

    /// Journals how an attempt ended where the call goes on, or was settled already.
    fn attempt_ended(
        &mut self,
        call: CallId,
        attempt: Attempt,
        outcome: Outcome,
        usage: Usage,
        retry_at: Option<Micros>,
    ) {
        let now = self.now;
        self.append(Entry::AttemptEnded(EndEntry { call, attempt, now, outcome, usage, retry_at }));
    }

    /// The host owes no more end for this call: its slot and what it set aside are given back.
    pub(crate) fn forget_attempt(&mut self, id: CallId) {
        let call = &mut self.calls[id.0 as usize];
        if call.active.take().is_none() {
            return;
        }
        let reserved = call.reserved.take();
        let (lane, tool) = (call.lane.take(), call.kind == CallKind::Tool);
        self.active -= 1;
        if let Some(reserved) = reserved {
            self.ledger.release(reserved);
        }
        match lane {
            Some(lane) if tool => self.tool_lane.release(lane),
            Some(lane) => self.lanes.release(lane),
            None => {}
        }
    }

    /// An answer counts only when it matches the schema; else it goes back with the errors.
    fn check_answer(&mut self, id: CallId, attempt: Attempt, value: Json, usage: Usage) {
        let Some(schema) = self.task(id).schema.clone() else {
            return self.settle(id, Outcome::Done(value));
        };
        let read: Result<serde_json::Value, _> = value.read();
        let errors = match read {
            Ok(read) => match schema.check(&read) {
                Ok(()) => return self.settle(id, Outcome::Done(value)),
                Err(violations) => loopwright_schema::describe(&violations),
            },
            Err(error) => format!("the answer cannot be read: {error}"),
        };
        let invalid = |errors: &str| {
            let first = errors.lines().next().unwrap_or_default();
            Failure::new(
                Reason::Schema,
                Code::ANSWER_INVALID,
                format!("the answer does not match its schema: {first}"),
            )
            .hint("the journal keeps every answer: `loopwright show --task` prints them")
        };
        let failure = invalid(&errors);
        let over = self.own_budget(id).contains(&0.0);
        let call = &mut self.calls[id.0 as usize];
        let task = call.task.as_mut().expect("only tasks have schemas");
        if task.reasks_left == 0 {
            // The raw answer stays in the journal, whatever becomes of the call.
            return self.give_up(id, failure, Some(Outcome::Done(value)), attempt, usage);
        }
        if over {
            let failure = budget_spent("of the task");
            return self.give_up(id, failure, Some(Outcome::Done(value)), attempt, usage);
        }
        task.reasks_left -= 1;
        task.feedback = Some(Feedback { answer: value.clone(), errors });
        self.attempt_ended(id, attempt, Outcome::Failed(failure), usage, None);
        self.enqueue(id);
    }

    /// A failed attempt: again after a wait where that repeats no effect, else for good.
    fn after_failure(&mut self, id: CallId, attempt: Attempt, failure: Failure, usage: Usage) {
        let repeatable = !failure.sent || self.effects(id) == Effects::None;
        let over = self.own_budget(id).contains(&0.0);
        let (seed, base, longest) = (self.seed, self.options.backoff, self.options.backoff_max);
        let now = self.now;
        let call = &mut self.calls[id.0 as usize];
        let task = call.task.as_mut().expect("only tasks are retried");
        if !(failure.retryable && repeatable && task.retries_left > 0) {
            return self.give_up(id, failure, None, attempt, usage);
        }
        if over {
            let spent = budget_spent("of the task");
            return self.give_up(id, spent, Some(Outcome::Failed(failure)), attempt, usage);
        }
        task.retries_left -= 1;
        task.failures += 1;
        let wait = crate::jitter::backoff(seed, id, Attempt(task.failures), base, longest);
        let at = now.after(wait);
        call.state = State::Backoff;
        self.attempt_ended(id, attempt, Outcome::Failed(failure), usage, Some(at));
        self.out.push(Command::SetTimer { timer: TimerId::Retry(id), at });
    }

    /// The subagent failed for good: the fallback stands in, if there is one. `raw` is how the attempt
    /// ended where that is not the failure itself.
    fn give_up(
        &mut self,
        id: CallId,
        failure: Failure,
        raw: Option<Outcome>,
        attempt: Attempt,
        usage: Usage,
    ) {
        let fallback = self.task_mut(id).request.fallback.take();
        let target = match &fallback {
            Some(Fallback::Subagent(name)) => self.names.get(name).copied(),
            _ => None,
        };
        if raw.is_some() || target.is_some() {
            let outcome = raw.unwrap_or_else(|| Outcome::Failed(failure.clone()));
            self.attempt_ended(id, attempt, outcome, usage, None);
        }
        match (fallback, target) {
            (Some(Fallback::Value(value)), _) => {
                self.settle_with(id, Outcome::Done(value), Some(failure));
            }
            (_, Some(target)) => {
                self.calls[id.0 as usize].target = Some(target);
                let (retries, reasks) = (self.options.retries, self.options.schema_retries);
                let task = self.task_mut(id);
                task.retries_left = task.request.retries.unwrap_or(retries);
                task.reasks_left = reasks;
                (task.failures, task.feedback) = (0, None);
                self.enqueue(id);
            }
            (_, None) => self.settle(id, Outcome::Failed(failure)),
        }
    }

    /// A call's time is up: it is settled now, its attempt is ended in the background.
    pub(crate) fn deadline_passed(&mut self, id: CallId, _now: Micros) {
        let call = &self.calls[id.0 as usize];
        let failure = if call.kind == CallKind::Approve {
            Failure::new(Reason::Timeout, Code::DEADLINE, "nobody answered before the deadline")
        } else {
            let ms = self.timeout(id).unwrap_or_default().as_millis();
            Failure::new(Reason::Timeout, Code::TASK_TIMEOUT, format!("not done within `{ms}` ms"))
                .hint("raise `timeoutMs` on the call or the setting `task.timeout_ms`")
        };
        self.fail(id, failure);
    }

    /// No subagent will be asked any more: the fallback value stands in, if there is one.
    fn fail(&mut self, id: CallId, failure: Failure) {
        let task = self.calls[id.0 as usize].task.as_mut();
        match task.and_then(|task| task.request.fallback.take()) {
            Some(Fallback::Value(value)) => {
                self.settle_with(id, Outcome::Done(value), Some(failure));
            }
            _ => self.settle(id, Outcome::Failed(failure)),
        }
    }

    /// Gives a call its final outcome: journalled now, delivered once that is durable.
    pub(crate) fn settle(&mut self, id: CallId, outcome: Outcome) {
        self.settle_with(id, outcome, None);
    }

    fn settle_with(&mut self, id: CallId, outcome: Outcome, hidden: Option<Failure>) {
        assert!(!self.calls[id.0 as usize].is_settled(), "a call is settled once");
        self.count(id, &outcome);
        let cancelled = matches!(outcome, Outcome::Failed(_));
        let call = &mut self.calls[id.0 as usize];
        if call.state == State::Parked {
            self.parked -= 1;
        }
        call.task = None;
        let waited = std::mem::replace(&mut call.state, State::Settled);
        if let (Some(attempt), false) = (call.active, call.held) {
            self.out.push(Command::CancelAttempt { call: id, attempt });
        }
        if call.started.is_some() {
            self.out.push(Command::DropTimer { timer: TimerId::Deadline(id) });
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
        let guest = &mut self.guests[call.guest.0 as usize];
        guest.unsettled.remove(&id);
        let entry = SettleEntry {
            call: id,
            now: self.now,
            outcome,
            attempts: call.attempts,
            subagent: call.target.map(|target| self.subagents[target].name.clone()),
            usage: call.usage,
            started: call.started,
            fallback: hidden.is_some(),
            hidden,
        };
        let entry = Box::new(entry);
        call.settled = Some(entry.clone());
        self.append(Entry::Settled(entry));
        self.deliver_when_durable(id);
    }

    /// What a call other than a task asked for; given once.
    fn take_request(&mut self, id: CallId) -> Option<Request> {
        self.calls[id.0 as usize].request.take().map(|request| *request)
    }

    /// What the outcome means for the run's status.
    fn count(&mut self, id: CallId, outcome: &Outcome) {
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

fn budget_spent(whose: &str) -> Failure {
    Failure::new(Reason::Budget, Code::BUDGET_SPENT, format!("the budget {whose} is spent"))
        .hint("`budget.remaining()` tells how much is left before a call")
        .not_sent()
}

/// Milliseconds from a program, which may be fractional or huge.
pub(crate) fn millis(ms: f64) -> Micros {
    // A cast from float saturates and takes NaN for zero: both are what a wait wants.
    Micros((ms * 1000.0) as u64)
}
