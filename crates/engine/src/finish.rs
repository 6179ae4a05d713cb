//! How a run ends: with what status, what is said of work that gave nothing, and when it may stop.

use crate::call::State;
use crate::engine::Engine;
use loopwright_protocol::{Budget, CallKind, Command, Entry, Json, ProgramText, RunFinish};
use loopwright_types::{CallId, Code, Diagnostic, GuestId, Reason, RunStatus};
use serde::Deserialize;

/// Failures told one by one at the end of a run; more are counted.
const FAILURES_TOLD_MAX: usize = 100;

/// What decides between complete and degraded.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Tasks called.
    pub tasks: u32,
    /// Tasks that gave a value.
    pub done: u32,
    /// Failures that became `null` without the program having asked to see them.
    pub nulled: u64,
    /// Thrown errors that became `null`.
    pub dropped: u64,
    /// Rejections nobody handled.
    pub unhandled: u64,
    covered: Option<(u64, u64)>,
    told: Vec<String>,
    untold: u64,
}

/// A run on its way out: what it will say once every attempt has ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub status: RunStatus,
    pub result: Option<Json>,
    pub error: Option<Diagnostic>,
    pub external: bool,
    pub written: bool,
}

/// `meta.budget`: a number of output tokens or an object of ceilings.
pub(crate) fn meta_budget(program: &ProgramText) -> Option<Budget> {
    #[derive(Deserialize)]
    struct Meta {
        budget: Option<Budget>,
    }
    program.meta.as_ref()?.read::<Meta>().ok()?.budget
}

/// `meta.result`: the JSON Schema that the program promises its value matches.
pub(crate) fn meta_result(program: &ProgramText) -> Option<Json> {
    #[derive(Deserialize)]
    struct Meta {
        result: Option<Json>,
    }
    program.meta.as_ref()?.read::<Meta>().ok()?.result
}

impl Tally {
    /// Adds a coverage report; nested programs' reports add up.
    pub fn cover(&mut self, total: u64, done: u64) {
        let (all, finished) = self.covered.unwrap_or_default();
        self.covered = Some((all + total, finished + done));
    }

    /// The status of a run that has a result. Where the program registered its work items they decide;
    /// else any work that gave nothing without the program having looked at it does.
    fn status(&self) -> RunStatus {
        let lost = match self.covered {
            Some((total, 0)) if total > 0 => return RunStatus::Failed,
            Some((total, done)) => done < total,
            None => self.nulled + self.dropped > 0,
        };
        if lost || self.unhandled > 0 { RunStatus::Degraded } else { RunStatus::Complete }
    }
}

impl Engine {
    /// Remembers a line about work that gave nothing.
    pub(crate) fn note_failure(&mut self, line: String) {
        if self.tally.told.len() < FAILURES_TOLD_MAX {
            self.tally.told.push(line);
        } else {
            self.tally.untold += 1;
        }
    }

    /// The main program ended with a value and all its calls are over.
    pub(crate) fn end_with_result(&mut self, value: Json) {
        let mut status = self.tally.status();
        let mut error = (status == RunStatus::Failed).then(|| {
            Diagnostic::new(Code::PROGRAM_THREW, "not one of the registered work items was done")
                .hint("`loopwright show` tells why each of them failed")
        });
        if let Err(broken) = self.check_result(&value) {
            status = RunStatus::Failed;
            error = Some(broken);
        }
        self.end(Ending { status, result: Some(value), error, external: false, written: false });
    }

    /// A program that promises a form of its value in `meta.result` is held to it.
    fn check_result(&mut self, value: &Json) -> Result<(), Diagnostic> {
        let Some(schema) = self.result_schema.take() else { return Ok(()) };
        let broken = |message: String| Diagnostic::new(Code::ANSWER_INVALID, message);
        let schema = self.schemas.get(&schema, &self.options.schema_limits);
        let schema =
            schema.map_err(|failure| broken(format!("`meta.result`: {}", failure.message)))?;
        let read = value.read::<serde_json::Value>().map_err(|error| broken(error.to_string()))?;
        schema.check(&read).map_err(|violations| {
            let errors = loopwright_schema::describe(&violations).replace('\n', "; ");
            broken(format!("the program's value does not match `meta.result`: {errors}"))
                .hint("the value is kept: `loopwright show` prints it")
        })
    }

    /// The main program cannot go on.
    pub(crate) fn end_with_failure(&mut self, error: Diagnostic) {
        let (status, error) = (RunStatus::Failed, Some(error));
        self.end(Ending { status, result: None, error, external: false, written: false });
    }

    /// A guest was stopped from outside: no outcome of the run, which may be resumed.
    pub(crate) fn guest_stopped(&mut self, guest: GuestId, error: Diagnostic) {
        if self.ending.is_some() {
            return;
        }
        let now = self.now;
        self.append(Entry::GuestStopped { guest, now, error: error.clone() });
        let (status, error) = (RunStatus::Failed, Some(error));
        self.interrupt(Ending { status, result: None, error, external: true, written: false });
    }

    /// The operator wants the end.
    pub(crate) fn cancel_run(&mut self) {
        if self.ending.is_some() {
            return;
        }
        self.tell_dispatched();
        let now = self.now;
        self.append(Entry::CancelRequested { now });
        let error = Some(Diagnostic::new(Code::CANCELLED, "cancelled by the operator"));
        let status = RunStatus::Cancelled;
        self.interrupt(Ending { status, result: None, error, external: false, written: false });
    }

    /// Stops the run with its work left: what is under way is ended, and nothing is settled by that, so that the run
    /// may be resumed.
    fn interrupt(&mut self, ending: Ending) {
        self.ending = Some(ending);
        for index in 0..self.guests.len() {
            let guest = &self.guests[index];
            if guest.ended {
                continue;
            }
            let under_way = guest.unsettled.iter().filter_map(|id| {
                let call = &self.calls[id.0 as usize];
                call.active.filter(|_| !call.held).map(|attempt| (*id, attempt))
            });
            for (call, attempt) in under_way {
                self.out.push(Command::CancelAttempt { call, attempt });
            }
            if self.past.is_none() {
                self.out.push(Command::DropGuest { guest: GuestId(index as u32) });
            }
        }
    }

    /// Whether the run is being stopped with its work left.
    pub(crate) fn is_interrupted(&self) -> bool {
        let ending = self.ending.as_ref();
        ending.is_some_and(|ending| ending.external || ending.status == RunStatus::Cancelled)
    }

    fn end(&mut self, ending: Ending) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(ending);
        let why = crate::cancel::failure(Reason::Cancelled);
        for index in 0..self.guests.len() {
            self.end_guest(GuestId(index as u32), &why);
        }
    }

    /// Writes the last entry when every attempt has ended, or parks when nothing inside the run can
    /// move any more.
    pub(crate) fn try_to_finish(&mut self) {
        self.try_to_pause();
        if self.ending.is_none() && self.parked > 0 && !self.anything_moves() {
            let error = self.park_reason();
            let status = RunStatus::Parked;
            self.ending =
                Some(Ending { status, result: None, error, external: false, written: false });
        }
        if self.active > 0 {
            return;
        }
        if self.ending.as_ref().is_none_or(|ending| ending.written) {
            return;
        }
        self.tell_dispatched(); // nothing is written after the end
        self.write_end();
    }

    /// Writes the last entry.
    pub(crate) fn write_end(&mut self) {
        let Some(ending) = self.ending.as_mut() else { return };
        ending.written = true;
        let (status, external) = (ending.status, ending.external);
        let (result, error) = (ending.result.take(), ending.error.take());
        let mut failures = self.tally.told.clone();
        if self.tally.untold > 0 {
            failures.push(format!("and {} more", self.tally.untold));
        }
        let finish = RunFinish {
            now: self.now,
            status,
            result,
            error,
            external,
            failures,
            usage: self.ledger.spent(),
            tasks: self.tally.tasks,
            done: self.tally.done,
        };
        self.append(Entry::RunFinished(Box::new(finish)));
        self.hold(Command::Finish { status });
    }

    /// Whether anything but a raised ceiling or an absent person can move the run.
    fn anything_moves(&self) -> bool {
        let unsettled = self.guests.iter().filter(|guest| !guest.ended);
        self.active > 0
            || !self.to_look_up.is_empty()
            || unsettled.into_iter().any(|guest| {
                let waits = |id: &CallId| match self.calls[id.0 as usize].state {
                    State::Parked | State::Doubt => false,
                    // What could start has started: the rest waits for a slot, whose holder is looked at in its
                    // turn. Requests to a model may also wait for their provider.
                    State::Queued => self.calls[id.0 as usize].kind == CallKind::Model,
                    // A nested program moves if its own calls do, which are looked at in their turn.
                    State::Waiting => self.calls[id.0 as usize].child.is_none(),
                    // A subagent's loop moves if its steps do.
                    State::Running => self.calls[id.0 as usize].active.is_some(),
                    _ => true,
                };
                guest.unsettled.iter().any(waits)
            })
            || self.turning.is_some()
            || self.has_undelivered()
    }

    fn park_reason(&self) -> Option<Diagnostic> {
        if let Some(doubt) = self.doubt_reason() {
            return Some(doubt);
        }
        let parked = self.calls.iter().find(|call| call.state == State::Parked)?;
        let told = parked.step.as_ref().and_then(|step| step.parked.as_ref());
        let diagnostic = if let Some(failure) = told {
            let message = format!("the run waits for its provider: {}", failure.message);
            let diagnostic = Diagnostic::new(Code::PARKED, message);
            match &failure.hint {
                Some(hint) => diagnostic.hint(hint.clone()),
                None => diagnostic,
            }
        } else if parked.kind.is_task() || parked.step.is_some() {
            Diagnostic::new(Code::PARKED, "the operator's budget is spent: the run waits")
                .hint("raise `budget.tokens` or `budget.usd_micros`")
        } else {
            Diagnostic::new(Code::PARKED, "the run waits for a person's approval").hint(format!(
                "`loopwright approve {run}` or `loopwright reject {run}`, then `loopwright resume {run}`",
                run = self.run
            ))
        };
        let name = &self.guests[parked.guest.0 as usize].name;
        Some(match parked.position {
            Some(position) => diagnostic.at(name.clone(), position, 1),
            None => diagnostic,
        })
    }
}
