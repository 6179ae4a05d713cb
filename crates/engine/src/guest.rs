//! A guest's state, and what the records of its turns ask.

use crate::call::State;
use crate::engine::Engine;
use loopwright_protocol::{
    CallKind, Command, Completion, Entry, Json, LogEntry, MainState, Outcome, Record, RecordKind,
    TurnEntry, TurnInput, TurnReport,
};
use loopwright_types::{
    Bug, CallId, Code, Diagnostic, GuestId, Micros, Position, Reason, ScopeId, TurnId,
};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};

/// One guest: the program (0) or a nested one.
#[derive(Debug)]
pub(crate) struct Guest {
    /// The file name for diagnostics.
    pub name: String,
    /// The `workflow()` call it serves; `None` for the program itself.
    pub call: Option<CallId>,
    /// How many programs it is nested in.
    pub depth: u64,
    pub phase: Option<String>,
    /// Calls without a final outcome.
    pub unsettled: BTreeSet<CallId>,
    /// Durably settled calls that the next turn delivers, in order.
    pub deliverable: Vec<CallId>,
    /// Calls whose outcome was not delivered yet, settled ones included.
    pub owed: usize,
    /// Has had no turn yet.
    pub fresh: bool,
    pub main: MainState,
    pub value: Option<Json>,
    pub error: Option<Diagnostic>,
    /// No more turns.
    pub ended: bool,
    pub scopes: HashMap<ScopeId, Scope>,
}

/// One async scope.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub children: Vec<ScopeId>,
    pub calls: Vec<CallId>,
    pub cancelled: bool,
}

/// What the prelude tells the engine (`docs/design/bridge.md`, "Notes").
#[derive(Deserialize)]
#[serde(tag = "note", rename_all = "lowercase")]
enum Note {
    Scope {
        id: ScopeId,
        parent: ScopeId,
    },
    Cancel {
        scope: ScopeId,
        #[serde(default = "cancelled")]
        reason: Reason,
    },
    Phase {
        title: String,
    },
    Dropped {},
    Coverage {
        total: u64,
        done: u64,
    },
}

fn cancelled() -> Reason {
    Reason::Cancelled
}

/// An error as a guest tells it.
#[derive(Deserialize)]
#[serde(default)]
struct GuestError {
    name: String,
    message: String,
    stack: String,
    #[serde(deserialize_with = "known_code")]
    code: Option<Code>,
    hint: Option<String>,
    reason: Option<String>,
}

impl Default for GuestError {
    fn default() -> Self {
        let (name, message) = ("Error".to_owned(), "<unreadable>".to_owned());
        Self { name, message, stack: String::new(), code: None, hint: None, reason: None }
    }
}

impl GuestError {
    /// Whether it only says that its call was cancelled: nobody has to handle that.
    fn is_cancellation(&self) -> bool {
        self.reason.as_deref() == Some(Reason::Cancelled.as_str())
    }
}

/// A program may give its errors any `code`; only ours mean something here.
fn known_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Code>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let number = text.and_then(|text| text.strip_prefix("LW")?.parse().ok());
    Ok(number.map(Code).filter(|code| code.title().is_some()))
}

#[derive(Deserialize)]
struct Log {
    level: String,
    text: String,
}

impl Guest {
    /// A guest whose program has not run yet.
    pub fn new(name: String, call: Option<CallId>, depth: u64) -> Self {
        Self {
            name,
            call,
            depth,
            phase: None,
            unsettled: BTreeSet::new(),
            deliverable: Vec::new(),
            owed: 0,
            fresh: true,
            main: MainState::Pending,
            value: None,
            error: None,
            ended: false,
            scopes: HashMap::new(),
        }
    }
}

impl Engine {
    /// Starts a turn that delivers everything deliverable.
    pub(crate) fn begin_turn(&mut self, id: GuestId) {
        let settled = std::mem::take(&mut self.guests[id.0 as usize].deliverable);
        let budget = self.ledger.readable();
        self.turn_with(id, settled, budget);
    }

    /// Starts a turn that delivers these calls.
    pub(crate) fn turn_with(&mut self, id: GuestId, settled: Vec<CallId>, budget: [f64; 6]) {
        assert!(self.turning.is_none(), "a run has one turn at a time");
        self.turning = Some(id);
        let guest = &mut self.guests[id.0 as usize];
        assert!(!guest.ended, "a guest that has ended gets no more turns");
        guest.fresh = false;
        guest.owed -= settled.len();
        let mut order = settled.clone();
        if Bug::OrderByStart.is_on() && self.past.is_some() {
            order.sort_unstable();
        }
        let mut completions: Vec<Completion> =
            order.iter().filter_map(|call| self.completion(*call)).collect();
        if Bug::DeliverTwice.is_on() && self.past.is_none() {
            completions.extend(completions.first().cloned());
        }
        let now = self.now;
        let readable = budget.map(|figure| figure.is_finite().then_some(figure));
        self.tell_dispatched();
        let turn = TurnId(self.turns);
        self.turns += 1;
        self.append(Entry::Turn(TurnEntry { turn, guest: id, now, budget: readable, settled }));
        let gas = self.options.gas_per_turn;
        let mut input = Box::new(TurnInput { now, gas, budget, completions });
        if Bug::LiveClock.is_on() && self.past.is_some() {
            input.now = Micros(now.0 + 1);
        }
        self.out.push(Command::Turn { guest: id, input });
    }

    /// What a settled call hands to its guest; its state is given up here.
    fn completion(&mut self, id: CallId) -> Option<Completion> {
        let call = &mut self.calls[id.0 as usize];
        let settled = call.settled.take()?;
        Some(crate::deliver::completion(call.slot, call.bits, &settled))
    }

    /// Takes what a guest did in its turn.
    pub(crate) fn on_turned(&mut self, id: GuestId, report: TurnReport) {
        self.tell_dispatched();
        let mut report = report;
        if !self.guests[id.0 as usize].ended && !self.is_interrupted() {
            for record in std::mem::take(&mut report.records) {
                self.on_record(id, record);
            }
        }
        self.turned(id, report);
    }

    /// The records of a turn are taken: how its guest stands.
    pub(crate) fn turned(&mut self, id: GuestId, report: TurnReport) {
        self.turning.take_if(|turning| *turning == id);
        if self.guests[id.0 as usize].ended || self.is_interrupted() {
            return;
        }
        let guest = &mut self.guests[id.0 as usize];
        guest.main = report.main;
        if let Some(stop) = report.stop {
            self.guest_failed(id, stop, report.stop_is_external);
            return;
        }
        let stuck = guest.main == MainState::Pending && report.pending == 0;
        if stuck && guest.deliverable.is_empty() {
            let stop = Diagnostic::new(
                Code::NEVER_SETTLES,
                "the program waits for something that can never happen: no call is under way",
            )
            .hint("a promise that nothing resolves was awaited; await task(), agent(), tools.* or sleep()");
            self.guest_failed(id, stop, false);
            return;
        }
        self.mark_ready(id);
    }

    pub(crate) fn on_record(&mut self, id: GuestId, record: Record) {
        match record.kind {
            RecordKind::Call { slot, kind, bits } => {
                let (scope, position) = (record.scope, record.position);
                let origin = crate::begin::Origin { guest: id, slot, bits, scope, position };
                self.on_call(origin, kind, record.json);
            }
            RecordKind::Log => {
                let fallback = Log { level: "log".to_owned(), text: record.json.text().to_owned() };
                let Log { level, text } = record.json.read().unwrap_or(fallback);
                let (now, position) = (self.now, record.position);
                self.append(Entry::Logged(LogEntry { guest: id, now, level, text, position }));
            }
            RecordKind::Note => self.on_note(id, &record.json),
            // Work that lost a race was cancelled on purpose, and its own promises with it.
            RecordKind::Unhandled
                if record.json.read().is_ok_and(|error: GuestError| error.is_cancellation()) => {}
            RecordKind::Unhandled => {
                let error =
                    self.diagnose(id, &record.json, record.position, Code::UNHANDLED_REJECTION);
                self.tally.unhandled += 1;
                self.note_failure(format!("{}unhandled: {}", place(&error), error.message));
                self.append(Entry::Unhandled { guest: id, error });
            }
            RecordKind::Result => {
                self.guests[id.0 as usize].value = Some(record.json.clone());
                let (value, error) = (Some(record.json), None);
                self.append(Entry::GuestEnded { guest: id, value, error });
            }
            RecordKind::Error => {
                let error = self.diagnose(id, &record.json, record.position, Code::PROGRAM_THREW);
                self.guests[id.0 as usize].error = Some(error.clone());
                let (value, error) = (None, Some(error));
                self.append(Entry::GuestEnded { guest: id, value, error });
            }
        }
    }

    fn on_note(&mut self, id: GuestId, json: &Json) {
        let guest = &mut self.guests[id.0 as usize];
        match json.read() {
            Ok(Note::Scope { id: scope, parent }) => {
                let cancelled = guest.scopes.get(&parent).is_some_and(|scope| scope.cancelled);
                guest.scopes.insert(scope, Scope { cancelled, ..Scope::default() });
                guest.scopes.entry(parent).or_default().children.push(scope);
            }
            Ok(Note::Cancel { scope, reason }) => self.cancel_scope(id, scope, reason),
            Ok(Note::Phase { title }) => {
                guest.phase = Some(title.clone());
                self.append(Entry::Phase { guest: id, title });
            }
            Ok(Note::Dropped {}) => {
                self.tally.dropped += 1;
                let error = self.diagnose(id, json, None, Code::PROGRAM_THREW);
                // A call's own failure has been told already.
                if !json.text().contains(r#""reason":"#) {
                    self.note_failure(format!("a thrown error became `null`: {}", error.message));
                }
                self.append(Entry::Dropped { guest: id, error: json.clone() });
            }
            Ok(Note::Coverage { total, done }) => {
                self.tally.cover(total, done);
                self.append(Entry::Coverage { guest: id, report: json.clone() });
            }
            Err(error) => {
                // Only our own prelude writes notes: an unreadable one is a defect worth seeing.
                let text = format!("unreadable note from the prelude: {error}");
                let (now, level) = (self.now, "error".to_owned());
                self.append(Entry::Logged(LogEntry {
                    guest: id,
                    now,
                    level,
                    text,
                    position: None,
                }));
            }
        }
    }

    /// A guest's error as a diagnostic at the author's line.
    fn diagnose(
        &self,
        id: GuestId,
        json: &Json,
        position: Option<Position>,
        code: Code,
    ) -> Diagnostic {
        #[derive(Deserialize)]
        struct Dropped {
            error: GuestError,
        }
        let dropped = json.read::<Dropped>().map(|note| note.error);
        let error = dropped.or_else(|_| json.read()).unwrap_or_default();
        let name = &self.guests[id.0 as usize].name;
        let message = match (error.code, error.name.as_str()) {
            (Some(_), _) => error.message.clone(),
            (None, "Error") => format!("the program threw: {}", error.message),
            (None, name) => format!("the program threw {name}: {}", error.message),
        };
        let mut diagnostic = Diagnostic::new(error.code.unwrap_or(code), message);
        diagnostic.hint = error.hint;
        match frame_in(&error.stack, name).or(position) {
            Some(position) => diagnostic.at(name.clone(), position, 1),
            None => diagnostic,
        }
    }

    /// The last moment of a guest's main program and all its calls, if this is it.
    pub(crate) fn guest_is_done(&self, id: GuestId) -> bool {
        let guest = &self.guests[id.0 as usize];
        !guest.ended && guest.main != MainState::Pending && guest.owed == 0
    }

    /// Timers and deadlines.
    pub(crate) fn on_due(&mut self, timer: loopwright_protocol::TimerId, now: Micros) {
        use loopwright_protocol::TimerId;
        if self.is_interrupted() {
            return; // what is still open then is looked at when the run is resumed
        }
        let id = match timer {
            TimerId::Lookup(id) => return self.lookup_is_late(id),
            TimerId::Deadline(id) | TimerId::Retry(id) | TimerId::Sleep(id) => id,
            TimerId::Provider(gate) => {
                // What waits for the provider is looked at after every event.
                if let Some(gate) = self.gates.get_mut(gate as usize) {
                    gate.rung = gate.timer.take();
                }
                return;
            }
        };
        let Some(call) = self.calls.get(id.0 as usize).filter(|call| !call.is_settled()) else {
            return;
        };
        let (state, kind) = (call.state, call.kind);
        self.tell_dispatched_of(id);
        match (timer, state) {
            (TimerId::Sleep(_), _) if self.is_open_forecast() => {}
            (TimerId::Sleep(_), _) => self.settle(id, Outcome::Done(Json::null())),
            (TimerId::Retry(_), State::Backoff) if kind == CallKind::Model => {
                self.retry_due(id);
            }
            (TimerId::Retry(_), State::Backoff) => self.enqueue(id),
            (TimerId::Deadline(_), _) => self.deadline_passed(id, now),
            (TimerId::Retry(_) | TimerId::Provider(_) | TimerId::Lookup(_), _) => {}
        }
    }
}

/// `file:line:column: ` of an error that has a place.
fn place(error: &Diagnostic) -> String {
    error.location.as_ref().map_or_else(String::new, |at| {
        format!("{}:{}:{}: ", at.file, at.position.line, at.position.column)
    })
}

/// The first `name:line:column` in a stack trace.
fn frame_in(stack: &str, name: &str) -> Option<Position> {
    stack.lines().find_map(|line| {
        let after = &line[line.find(name)? + name.len()..];
        let mut numbers = after.strip_prefix(':')?.split(|c: char| !c.is_ascii_digit());
        let line = numbers.next()?.parse().ok()?;
        let column = numbers.next().and_then(|digits| digits.parse().ok()).unwrap_or(1);
        Some(Position { line, column })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_with_a_code_of_its_own_is_still_readable() {
        let read = |text: &str| serde_json::from_str::<GuestError>(text).unwrap();
        let error = read(r#"{"name":"Error","message":"no such file","code":"ENOENT"}"#);
        assert_eq!((error.message.as_str(), error.code), ("no such file", None));
        assert_eq!(read(r#"{"code":"LW0205"}"#).code, Some(Code::OPTION_INVALID));
        assert!(read(r#"{"code":"LW0504","reason":"cancelled"}"#).is_cancellation());
    }

    #[test]
    fn the_authors_frame_is_found_in_a_stack() {
        let stack = "    at <anonymous> (loopwright:prelude:9:1)\n    at f (dir/a b.ts:12:7)\n";
        assert_eq!(frame_in(stack, "dir/a b.ts"), Some(Position { line: 12, column: 7 }));
        assert_eq!(frame_in(stack, "other.ts"), None);
    }
}
