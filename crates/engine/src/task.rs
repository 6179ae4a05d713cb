//! Attempts: what is dispatched, what follows from how it ended, and how a call is settled.

use crate::budget::{Admission, figures, spent_figures};
use crate::call::State;
use crate::engine::Engine;
use crate::lanes::SubagentIndex;
use loopwright_protocol::{
    BUDGET_NONE, CallKind, Command, Dispatch, EndEntry, Entry, Feedback, Json, Outcome, Request,
    StartEntry, TaskWork, Work,
};
use loopwright_types::{Attempt, Bug, CallId, Code, Effects, Failure, Micros, Reason, Usage};

impl Engine {
    /// Puts a call with a task or tool into its queue.
    pub(crate) fn enqueue(&mut self, id: CallId) {
        let call = &mut self.calls[id.0 as usize];
        call.state = State::Queued;
        if self.past.is_some() {
            return; // what waits is looked at when the run goes on
        }
        match (call.kind, call.target) {
            (CallKind::Model, _) => self.queue_model(id),
            (_, Some(lane)) => self.lanes.push(lane, id),
            (_, None) => self.tool_lane.push(0, id),
        }
    }

    /// Starts queued work while there is room.
    pub(crate) fn schedule(&mut self) {
        if self.ending.is_some() || self.pausing || self.is_reusing() {
            return;
        }
        if self.is_forecast() {
            return self.forecast();
        }
        self.resolve_again();
        self.schedule_lookups();
        loop {
            self.schedule_tools();
            self.call_probes();
            if self.schedule_tasks() {
                self.look_ahead();
            }
            if !self.schedule_models() {
                return;
            }
        }
    }

    fn schedule_tools(&mut self) {
        while let Some((_, id)) =
            self.tool_lane.pop(|id| self.calls[id.0 as usize].state == State::Queued)
        {
            self.start_tool(id);
        }
    }

    /// A tool call has its slot.
    pub(crate) fn start_tool(&mut self, id: CallId) {
        let work = match self.request(id) {
            Some(Request::Tool(tool)) => {
                Work::Tool { name: tool.name, args: tool.args, root: None, grant: None }
            }
            _ => self.step_work(id),
        };
        self.start_attempt(id, Some(0), work, false);
    }

    /// Starts queued tasks; says whether it stopped for want of slots.
    fn schedule_tasks(&mut self) -> bool {
        while let Some((lane, id)) =
            self.lanes.pop(|id| self.calls[id.0 as usize].state == State::Queued)
        {
            if self.wait_unbegun(id) {
                self.lanes.release(lane);
                continue;
            }
            if self.task(id).own.as_ref().is_some_and(|own| own.waiting.is_some()) {
                // It goes on with a request, which is held against the budgets when it is sent.
                let call = &mut self.calls[id.0 as usize];
                (call.state, call.lane) = (State::Running, Some(lane));
                self.serve(id);
                continue;
            }
            let own = self.own_budget(id);
            if own.contains(&0.0) {
                self.lanes.release(lane);
                self.fail(id, budget_spent("of the task"));
                continue;
            }
            // A loop sets aside what each of its requests may cost, not the whole.
            let wanted = if self.has_loop(id) { [BUDGET_NONE; 3] } else { own };
            match self.ledger.admit(wanted) {
                Admission::Fits => {
                    let call = &mut self.calls[id.0 as usize];
                    (call.state, call.lane) = (State::Running, Some(lane));
                    self.serve(id);
                }
                Admission::Later => {
                    self.lanes.release(lane);
                    self.lanes.push(lane, id);
                    return false;
                }
                Admission::ProgramSpent => {
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

    /// A task has its slot: what serves its subagent decides how it goes on.
    pub(crate) fn serve(&mut self, id: CallId) {
        if let Some(step) = self.task_mut(id).own.as_mut().and_then(|own| own.waiting.take()) {
            return self.go_on(id, step);
        }
        let task = self.task(id);
        let has_worktree = task.own.as_ref().is_some_and(|own| own.worktree.is_some());
        if task.request.isolation.is_some() && !has_worktree {
            return self.begin_worktree(id);
        }
        if self.has_loop(id) {
            return self.begin_loop(id);
        }
        let own = self.past.is_none().then(|| self.own_budget(id));
        if let Some(own) = own {
            self.ledger.reserve(own);
        }
        let reask = self.task(id).feedback.is_some();
        let work = self.task_work(id);
        let call = &mut self.calls[id.0 as usize];
        call.reserved = own;
        let lane = call.lane.take();
        self.start_attempt(id, lane, work, reask);
    }

    /// What the call may still use of its own ceiling.
    pub(crate) fn own_budget(&self, id: CallId) -> [f64; 3] {
        let call = &self.calls[id.0 as usize];
        let mut used = call.usage;
        let task = call.task.as_ref();
        // Failed attempts of a step under way are paid for already.
        let open = task.and_then(|task| task.own.as_ref()).into_iter().flat_map(|own| &own.open);
        open.for_each(|step| used.add(self.calls[step.0 as usize].usage));
        let mut own = figures(task.and_then(|task| task.request.budget));
        for (left, used) in own.iter_mut().zip(spent_figures(used)) {
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

    pub(crate) fn task_work(&self, id: CallId) -> Work {
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
            root: task
                .own
                .as_ref()
                .and_then(|own| own.worktree.as_ref())
                .map(|worktree| worktree.path.clone()),
            feedback: task.feedback.clone(),
        }))
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
        let effects = self.effects_of(id, &work);
        let call = &mut self.calls[id.0 as usize];
        assert!(call.active.is_none(), "one attempt at a time");
        call.attempts += 1;
        let attempt = Attempt(call.attempts);
        if !std::mem::take(&mut call.same_key) {
            call.key = attempt;
        }
        let key = call.key;
        call.state = State::Running;
        call.active = Some(attempt);
        call.lane = lane;
        call.held = true;
        call.since = now;
        let first = call.started.is_none();
        call.started.get_or_insert(now);
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
                let entry = StartEntry {
                    call: id,
                    attempt,
                    now,
                    subagent,
                    effects,
                    ahead: false,
                    reask,
                    key: (key != attempt).then_some(key),
                    looks_up: None,
                };
                if Bug::ForgetIntent.is_on() && effects.is_some() && self.past.is_none() {
                    let run = self.run.clone();
                    let dispatch = Dispatch { run, call: id, attempt, key, timeout: None, work };
                    return self.hold(Command::Dispatch(Box::new(dispatch)));
                }
                self.append(Entry::AttemptStarted(entry))
            }
        };
        let left = match self.calls[id.0 as usize].parent() {
            // Whether a provider is back is asked with the host's own patience.
            Some(task) if self.is_excused(task) => None,
            Some(task) => self.time_left(task),
            None => self.time_left(id),
        };
        if first {
            self.set_deadline(id, timeout);
        }
        let run = self.run.clone();
        let dispatch = Dispatch { run, call: id, attempt, key, timeout: left, work };
        self.hold_until(number, Command::Dispatch(Box::new(dispatch)));
    }

    /// An attempt ended, wanted or not.
    pub(crate) fn on_ended(
        &mut self,
        id: CallId,
        attempt: Attempt,
        outcome: Outcome,
        usage: Usage,
    ) {
        let settled = self.calls.get(id.0 as usize).is_none_or(|call| call.is_settled());
        let anyhow = Bug::TakeAnyEnd.is_on() && !settled;
        if !self.is_active(id, attempt) && !anyhow {
            return; // a second report of the same attempt: the outbox is idempotent
        }
        self.forget_attempt(id);
        let usage = self.priced(id, usage);
        self.ledger.charge(usage);
        let call = &mut self.calls[id.0 as usize];
        call.usage.add(usage);
        let kind = call.kind;
        if call.is_settled() {
            match &outcome {
                Outcome::Done(_) if kind == CallKind::Model => self.model_succeeded(id),
                Outcome::Failed(failure) if kind == CallKind::Model => {
                    self.gate_failed(id, failure);
                }
                _ => {}
            }
            self.attempt_ended(id, attempt, outcome.clone(), usage, None);
            return self.left_by(id, &outcome);
        }
        if self.is_lookup(id, attempt) {
            return self.lookup_ended(id, attempt, outcome, usage);
        }
        if self.is_interrupted() {
            return self.interrupted(id, attempt, outcome, usage);
        }
        self.take_end(id, attempt, outcome, usage);
    }

    /// An attempt that is wanted ended.
    pub(crate) fn take_end(
        &mut self,
        id: CallId,
        attempt: Attempt,
        outcome: Outcome,
        usage: Usage,
    ) {
        self.ending_of = Some((id, attempt, usage));
        match (self.calls[id.0 as usize].kind, outcome) {
            (CallKind::Model, outcome) => self.model_ended(id, attempt, outcome, usage),
            (CallKind::Workflow, Outcome::Done(program)) => {
                if let Some(Request::Workflow(request)) = self.request(id) {
                    self.run_nested(id, &program, request.args.as_ref());
                }
            }
            (CallKind::Approve, Outcome::Failed(failure))
                if failure.code == Code::PARKED || self.pausing =>
            {
                if !usage.is_zero() {
                    self.attempt_ended(id, attempt, Outcome::Failed(failure), usage, None);
                }
                self.put_off(id);
            }
            (CallKind::Task | CallKind::Agent, Outcome::Done(value)) => {
                self.check_answer(id, attempt, value, usage);
            }
            (CallKind::Task | CallKind::Agent, Outcome::Failed(failure)) => {
                self.after_failure(id, attempt, failure, usage);
            }
            (_, outcome) => self.settle(id, outcome),
        }
        self.ending_of = None;
    }

    /// Journals how an attempt ended where the call goes on, or was settled already.
    pub(crate) fn attempt_ended(
        &mut self,
        call: CallId,
        attempt: Attempt,
        outcome: Outcome,
        usage: Usage,
        retry_at: Option<Micros>,
    ) {
        self.end_attempt(EndEntry {
            call,
            attempt,
            now: self.now,
            outcome,
            usage,
            retry_at,
            answer: None,
        });
    }

    fn end_attempt(&mut self, entry: EndEntry) {
        self.ending_of.take_if(|(ended, ..)| *ended == entry.call);
        self.append(Entry::AttemptEnded(entry));
    }

    /// The host owes no more end for this call: its slot and what it set aside are given back.
    pub(crate) fn forget_attempt(&mut self, id: CallId) {
        let call = &mut self.calls[id.0 as usize];
        if call.active.take().is_none() {
            return;
        }
        let reserved = call.reserved.take();
        self.active -= 1;
        if let Some(reserved) = reserved {
            self.ledger.release(reserved);
        }
        self.release_slot(id);
    }

    /// Gives the call's slot to others.
    pub(crate) fn release_slot(&mut self, id: CallId) {
        let call = &mut self.calls[id.0 as usize];
        match call.lane.take() {
            Some(lane) if call.kind == CallKind::Tool => self.tool_lane.release(lane),
            Some(lane) => self.lanes.release(lane),
            None => {}
        }
    }

    /// An answer counts only when it matches the schema; else it goes back with the errors.
    pub(crate) fn check_answer(&mut self, id: CallId, attempt: Attempt, value: Json, usage: Usage) {
        let Err(errors) = self.validate(id, &value) else {
            return self.conclude(id, Outcome::Done(value), None);
        };
        let failure = answer_invalid(&errors);
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
        let (call, now, outcome, answer) = (id, self.now, Outcome::Failed(failure), Some(value));
        self.end_attempt(EndEntry { call, attempt, now, outcome, usage, retry_at: None, answer });
        self.enqueue(id);
    }

    /// Holds an answer against its schema; the errors come one a line.
    pub(crate) fn validate(&self, id: CallId, value: &Json) -> Result<(), String> {
        let Some(schema) = &self.task(id).schema else { return Ok(()) };
        let read: serde_json::Value =
            value.read().map_err(|error| format!("the answer cannot be read: {error}"))?;
        schema.check(&read).map_err(|violations| loopwright_schema::describe(&violations))
    }

    /// What a call other than a task asked for.
    pub(crate) fn request(&self, id: CallId) -> Option<Request> {
        self.calls[id.0 as usize].request.as_deref().cloned()
    }
}

pub(crate) fn budget_spent(whose: &str) -> Failure {
    Failure::new(Reason::Budget, Code::BUDGET_SPENT, format!("the budget {whose} is spent"))
        .hint("`budget.remaining()` tells how much is left before a call")
        .not_sent()
}

pub(crate) fn answer_invalid(errors: &str) -> Failure {
    let first = errors.lines().next().unwrap_or_default();
    Failure::new(
        Reason::Schema,
        Code::ANSWER_INVALID,
        format!("the answer does not match its schema: {first}"),
    )
    .hint("the journal keeps every answer: `loopwright show --task` prints them")
}

/// Milliseconds from a program, which may be fractional or huge.
pub(crate) fn millis(ms: f64) -> Micros {
    // A cast from float saturates and takes NaN for zero: both are what a wait wants.
    Micros((ms * 1000.0) as u64)
}
