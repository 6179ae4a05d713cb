//! A call begins: it is numbered, journalled and checked before anything is spent on it.

use crate::call::{Call, Task};
use crate::engine::Engine;
use crate::identity::{Identity, SUBAGENT_DEFAULT};
use loopwright_protocol::{
    CallEntry, CallKind, Command, Entry, Fallback, Json, Outcome, Request, TaskRequest, TimerId,
    Work,
};
use loopwright_types::{
    CallId, Code, Failure, GuestId, Micros, Position, Reason, ScopeId, Slot, TurnId,
};

/// Driver name of a definition that could not be read; its description says why.
const DRIVER_INVALID: &str = "invalid";

/// The isolation that gives a subagent a git worktree of its own.
pub(crate) const WORKTREE: &str = "worktree";

/// What a call record holds beside its request.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub guest: GuestId,
    pub slot: Slot,
    pub bits: u32,
    pub scope: ScopeId,
    pub position: Option<Position>,
}

/// A call that is numbered and journalled, and not begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub id: CallId,
    pub identity: Identity,
    request: Result<Request, String>,
    cancelled: bool,
}

impl Engine {
    /// Takes a call record.
    pub(crate) fn on_call(&mut self, origin: Origin, kind: u32, json: Json) {
        let id = CallId(u32::try_from(self.calls.len()).expect("calls are counted in 32 bits"));
        let kind = CallKind::from_number(kind);
        let request = kind
            .ok_or_else(|| format!("unknown call kind {kind:?}"))
            .and_then(|kind| Request::read(kind, &json).map_err(|error| error.to_string()));
        let kind = kind.unwrap_or(CallKind::Task);
        let identity = self.identifier.identify(kind, request.as_ref().ok(), &json);
        self.enter(id, &origin, kind, request.as_ref().ok(), json, &identity);
        let cancelled = self.join_scope(id, origin.guest, origin.scope);
        if kind.is_task() {
            self.tally.tasks += 1;
        }
        self.begin_or_defer(Begun { id, identity, request, cancelled });
    }

    /// Takes a call's outcome over from the past, or begins it.
    pub(crate) fn begin_call(&mut self, begun: Begun) {
        let Begun { id, identity, request, cancelled } = begun;
        let may = !cancelled && self.calls.len() as u64 <= self.options.calls_max;
        let reused = self.take_over(id, identity, may);
        let subagent = request.as_ref().ok().and_then(subagent_of);
        let refused = match request {
            _ if cancelled => Err(crate::cancel::failure(Reason::Cancelled).not_sent()),
            Err(message) => {
                Err(Failure::new(Reason::Program, Code::CALL_MALFORMED, message).not_sent())
            }
            Ok(_) if self.calls.len() as u64 > self.options.calls_max => {
                Err(calls_limit(self.options.calls_max))
            }
            Ok(_) if reused => Ok(()),
            Ok(Request::Approve(_)) if self.is_forecast() => {
                self.forecast_call(id);
                Ok(())
            }
            Ok(Request::Task(task)) => self.begin_task(id, *task, subagent.as_deref()),
            Ok(other) => self.begin_other(id, other),
        };
        if let Err(failure) = refused {
            self.settle(id, Outcome::Failed(failure));
        }
    }

    /// Numbers and journals the call.
    fn enter(
        &mut self,
        id: CallId,
        origin: &Origin,
        kind: CallKind,
        request: Option<&Request>,
        json: Json,
        identity: &Identity,
    ) {
        let subagent = request.and_then(subagent_of);
        let target = subagent.as_ref().and_then(|name| self.names.get(name).copied());
        let due = match request {
            Some(Request::Sleep(sleep)) => Some(crate::task::millis(sleep.ms)),
            Some(Request::Approve(approve)) => approve.deadline_ms.map(crate::task::millis),
            _ => None,
        };
        let due = due.map(|wait| self.now.after(wait));
        let call = Call::new(origin.guest, origin.slot, kind, origin.position);
        self.calls.push(Call { bits: origin.bits, target, due, ..call });
        let guest = &mut self.guests[origin.guest.0 as usize];
        guest.unsettled.insert(id);
        guest.owed += 1;
        let phase = match request {
            Some(Request::Task(task)) if task.phase.is_some() => task.phase.clone(),
            _ => guest.phase.clone(),
        };
        let entry = CallEntry {
            call: id,
            guest: origin.guest,
            turn: TurnId(self.turns - 1),
            now: self.now,
            due,
            slot: origin.slot,
            kind,
            bits: origin.bits,
            scope: origin.scope,
            position: origin.position,
            phase,
            subagent,
            request: json,
            digest: identity.digest,
        };
        self.append(Entry::Called(Box::new(entry)));
    }

    /// Adds the call to its scope; says whether that is cancelled already.
    fn join_scope(&mut self, id: CallId, guest: GuestId, scope: ScopeId) -> bool {
        let guest = &mut self.guests[guest.0 as usize];
        match guest.scopes.get_mut(&scope) {
            Some(scope) if scope.cancelled => true,
            Some(scope) => {
                scope.calls.push(id);
                false
            }
            None => false,
        }
    }

    /// Everything about a task that can be known to be wrong is known here.
    fn begin_task(
        &mut self,
        id: CallId,
        mut request: TaskRequest,
        subagent: Option<&str>,
    ) -> Result<(), Failure> {
        let most = self.options.tasks_max;
        if u64::from(self.tally.tasks) > most {
            let message = format!("the run has called {most} tasks (limit {most})");
            return Err(Failure::new(Reason::Limit, Code::TASK_LIMIT, message)
                .hint("raise `run.tasks_max` if the program is meant to call more")
                .not_sent());
        }
        let target = self.calls[id.0 as usize].target;
        let definition = target.map(|target| &self.subagents[target]);
        match definition {
            None => return Err(self.unknown_subagent(subagent.unwrap_or(SUBAGENT_DEFAULT))),
            Some(broken) if broken.driver == DRIVER_INVALID => {
                return Err(Failure::new(
                    Reason::Policy,
                    Code::DEFINITION_INVALID,
                    broken.description.clone(),
                )
                .hint("`loopwright agents` lists the definitions and what is wrong with them")
                .not_sent());
            }
            Some(_) => {}
        }
        if let Some(isolation) = request.isolation.as_deref().filter(|word| *word != WORKTREE) {
            let message = format!("`isolation: \"{isolation}\"` is not known");
            return Err(Failure::new(Reason::Policy, Code::UNSUPPORTED, message)
                .hint(
                    "`isolation: \"worktree\"` is; without it the subagent works in the workspace",
                )
                .not_sent());
        }
        let schema = match &request.schema {
            Some(json) => Some(self.schemas.get(json, &self.options.schema_limits)?),
            None => None,
        };
        match (&request.fallback, &schema) {
            (Some(Fallback::Value(value)), Some(schema)) => check_fallback(value, schema)?,
            (Some(Fallback::Subagent(name)), _) if !self.names.contains_key(name) => {
                return Err(self.unknown_subagent(name));
            }
            _ => {}
        }
        let retries_left = request.retries.unwrap_or(self.options.retries);
        let reasks_left = self.options.schema_retries;
        request.subagent = None;
        let task = Task {
            request,
            schema,
            retries_left,
            reasks_left,
            feedback: None,
            failures: 0,
            excused: Micros(0),
            own: None,
        };
        self.calls[id.0 as usize].task = Some(Box::new(task));
        self.enqueue(id);
        Ok(())
    }

    fn unknown_subagent(&self, name: &str) -> Failure {
        let known: Vec<String> =
            self.subagents.iter().take(20).map(|known| format!("`{}`", known.name)).collect();
        Failure::new(
            Reason::Policy,
            Code::SUBAGENT_UNKNOWN,
            format!("no subagent is named `{name}`"),
        )
        .hint(format!(
            "defined are {}; a definition is a file in `.loopwright/agents/`",
            known.join(", ")
        ))
        .not_sent()
    }

    fn begin_other(&mut self, id: CallId, request: Request) -> Result<(), Failure> {
        match request {
            Request::Tool(_) => {
                self.calls[id.0 as usize].request = Some(Box::new(request));
                self.enqueue(id);
            }
            Request::Sleep(_) => self.set_due(id, TimerId::Sleep(id)),
            Request::Approve(ref approve) => {
                let work = Work::Approve(approve.clone());
                self.calls[id.0 as usize].request = Some(Box::new(request));
                self.set_due(id, TimerId::Deadline(id));
                self.start_attempt(id, None, work, false);
            }
            Request::Workflow(ref workflow) => {
                let name = workflow.name.clone();
                self.calls[id.0 as usize].request = Some(Box::new(request));
                self.begin_workflow(id, name);
            }
            Request::Task(_) => unreachable!("tasks begin elsewhere"),
        }
        Ok(())
    }
}

impl Engine {
    /// Sets the timer of what is due by itself.
    pub(crate) fn set_due(&mut self, id: CallId, timer: TimerId) {
        if let Some(at) = self.calls[id.0 as usize].due {
            self.out.push(Command::SetTimer { timer, at });
        }
    }
}

/// The subagent type that a task asks for.
fn subagent_of(request: &Request) -> Option<String> {
    let Request::Task(task) = request else { return None };
    Some(task.subagent.clone().unwrap_or_else(|| SUBAGENT_DEFAULT.to_owned()))
}

fn calls_limit(most: u64) -> Failure {
    Failure::new(
        Reason::Limit,
        Code::CALL_LIMIT,
        format!("the run has made {most} calls (limit {most})"),
    )
    .hint("raise `run.calls_max` if the program is meant to make more")
    .not_sent()
}

/// A fallback value takes the answer's place, so it must match the answer's schema.
fn check_fallback(value: &Json, schema: &loopwright_schema::Validator) -> Result<(), Failure> {
    let read = value.read::<serde_json::Value>().unwrap_or_default();
    schema.check(&read).map_err(|violations| {
        let message = format!(
            "the fallback value does not match the schema: {}",
            loopwright_schema::describe(&violations)
        );
        Failure::new(Reason::Schema, Code::ANSWER_INVALID, message).not_sent()
    })
}
