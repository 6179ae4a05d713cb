//! Restoring a run from its journal, to go on with it.

use crate::call::State;
use crate::engine::Engine;
use crate::past::Past;
use loopwright_host::Guests;
use loopwright_protocol::{CallKind, Decision, Entry, Json, Request, Work};
use loopwright_types::{Attempt, CallId, Code, Diagnostic, Effects, Micros, Position, RunStatus};

/// What was read back of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replayed {
    /// Turns run.
    pub turns: u64,
    /// Calls compared.
    pub calls: u64,
    /// The program's value, where the run has one.
    pub result: Option<Json>,
}

/// The first difference between a program and its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The call that differs, where it is a call.
    pub call: Option<CallId>,
    /// The program's line that made it, where that is known.
    pub place: Option<Position>,
    /// What the journal has.
    pub recorded: String,
    /// What the program did.
    pub replayed: String,
}

impl Mismatch {
    /// The difference between an entry of the journal and what was made instead.
    pub(crate) fn of(recorded: &Entry, made: Option<&Entry>) -> Box<Self> {
        let call = call_of(recorded).or_else(|| made.and_then(call_of));
        let place = made.and_then(place_of).or_else(|| place_of(recorded));
        let is_call = |entry: &Entry| matches!(entry, Entry::Called(_));
        let (recorded, replayed) = match (recorded, made) {
            (recorded, Some(made)) if is_call(made) && !is_call(recorded) => {
                ("no further call".to_owned(), shown(made))
            }
            (recorded, Some(made)) if shown(recorded) != shown(made) => {
                (shown(recorded), shown(made))
            }
            (recorded, Some(made)) => (whole(recorded), whole(made)),
            (recorded, None) if is_call(recorded) => (shown(recorded), "no call".to_owned()),
            (recorded, None) => (shown(recorded), "nothing of the kind".to_owned()),
        };
        Box::new(Self { call, place, recorded, replayed })
    }

    /// As an error for people, both sides shown.
    pub fn diagnostic(&self) -> Diagnostic {
        let call = self.call.map_or_else(String::new, |call| format!(" at call `{call}`"));
        let place = self.place.map_or_else(String::new, |place| {
            format!(" (line `{}`, column `{}`)", place.line, place.column)
        });
        let message = format!(
            "the program does not match its journal{call}{place}: recorded `{}`, now `{}`",
            self.recorded, self.replayed
        );
        Diagnostic::new(Code::JOURNAL_MISMATCH, message)
            .hint("the same program text, interpreter and settings replay a run exactly")
    }
}

fn call_of(entry: &Entry) -> Option<CallId> {
    Some(match entry {
        Entry::Called(call) => call.call,
        Entry::Stepped(step) => step.call,
        Entry::AttemptStarted(start) => start.call,
        Entry::AttemptEnded(end) => end.call,
        Entry::Settled(settled) => settled.call,
        _ => return None,
    })
}

fn place_of(entry: &Entry) -> Option<Position> {
    match entry {
        Entry::Called(call) => call.position,
        Entry::Logged(log) => log.position,
        _ => None,
    }
}

/// The part of an entry that says most.
fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Called(call) => call.request.text().to_owned(),
        Entry::GuestEnded { value, .. } => value.as_ref().map_or("an error", Json::text).to_owned(),
        other => whole(other),
    }
}

fn whole(entry: &Entry) -> String {
    String::from_utf8_lossy(&entry.encode()).into_owned()
}

/// Why a run cannot be restored.
#[derive(Clone, Debug, PartialEq)]
pub enum ResumeError {
    /// The program does something else than its journal says.
    Mismatch(Box<Mismatch>),
    /// It cannot go on at all: it has ended, or there is no room for its guests.
    Refused(Diagnostic),
}

impl ResumeError {
    /// As an error for people.
    pub fn diagnostic(&self) -> Diagnostic {
        match self {
            Self::Mismatch(mismatch) => mismatch.diagnostic(),
            Self::Refused(diagnostic) => diagnostic.clone(),
        }
    }
}

/// A process that serves an attempt of which no end was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The call.
    pub call: CallId,
    /// The attempt.
    pub attempt: Attempt,
    /// Its process id, which is also its process group.
    pub pid: u32,
    /// Its start time in clock ticks since boot.
    pub start_ticks: u64,
}

/// A call that was sent, of whose result nothing is known, and that is not repeated by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// The call.
    pub call: CallId,
    /// The attempt.
    pub attempt: Attempt,
    /// The task that it is a step of, where it is one.
    pub task: Option<CallId>,
    /// Its kind.
    pub kind: CallKind,
    /// The tool or the subagent type.
    pub name: String,
    /// Its name for people, where the program gave one.
    pub label: Option<String>,
    /// What it may have done.
    pub effects: Effects,
    /// Whether it can be looked up what became of it: that is done when the run goes on.
    pub has_lookup: bool,
    /// What the last lookup said, which did not find out what became of it.
    pub looked_up: Option<String>,
    /// The program's line that made it.
    pub position: Option<Position>,
    /// Since when: its dispatch, or when a process found it open.
    pub since: Micros,
}

/// A run on its way back from its journal. Feed it the entries in their order, then [`Resume::finish`].
pub struct Resume<'g> {
    guests: &'g mut dyn Guests,
    gas_per_ms: u64,
    engine: Option<Engine>,
    replayed: Replayed,
    /// Whether the run has an outcome.
    ended: bool,
    /// Whether a run that has an outcome may be read to its end.
    whole: bool,
}

impl<'g> Resume<'g> {
    /// Nothing read yet. The guests are those that the run goes on with; `gas_per_ms` is the interpreter's
    /// calibration.
    pub fn new(guests: &'g mut dyn Guests, gas_per_ms: u64) -> Self {
        let replayed = Replayed::default();
        Self { guests, gas_per_ms, engine: None, replayed, ended: false, whole: false }
    }

    /// The same for a run that is only read.
    pub(crate) fn reading(guests: &'g mut dyn Guests, gas_per_ms: u64) -> Self {
        Self { whole: true, ..Self::new(guests, gas_per_ms) }
    }

    /// Takes the next entry. Nothing is dispatched.
    ///
    /// # Errors
    /// The first difference between what the program does and what the journal has, or why the run cannot go on.
    pub fn entry(&mut self, entry: Entry) -> Result<(), ResumeError> {
        if self.ended {
            let made = Mismatch::of(&entry, None);
            return Err(ResumeError::Mismatch(made));
        }
        self.count(&entry)?;
        if let Entry::RunStarted(start) = &entry
            && self.engine.is_none()
        {
            let mut engine = Engine::new((**start).clone(), self.gas_per_ms);
            engine.past = Some(Box::new(Past::default()));
            engine.defer_begins();
            self.engine = Some(engine);
        }
        match &mut self.engine {
            Some(engine) => engine.restore(entry, self.guests),
            None => Err(ResumeError::Mismatch(Mismatch::of(&entry, None))),
        }
    }

    fn count(&mut self, entry: &Entry) -> Result<(), ResumeError> {
        match entry {
            Entry::Turn(_) => self.replayed.turns += 1,
            Entry::Called(_) => self.replayed.calls += 1,
            Entry::RunFinished(finish) => {
                let waits = finish.status.waits() || finish.status == RunStatus::Cancelled;
                self.ended = !finish.external && !waits;
                if self.ended && !self.whole {
                    let message = format!("the run has ended: `{}`", finish.status.as_str());
                    return Err(ResumeError::Refused(
                        Diagnostic::new(Code::RUN_ENDED, message)
                            .hint("only a run with work left can be resumed; start a new one"),
                    ));
                }
                self.replayed.result.clone_from(&finish.result);
            }
            _ => {}
        }
        Ok(())
    }

    /// What a program did beyond its journal, where the run is whole.
    pub(crate) fn surplus(&mut self) -> Option<Box<Mismatch>> {
        let made = self.engine.as_mut().filter(|_| self.ended)?.surplus()?;
        let is_call = matches!(made, Entry::Called(_));
        is_call.then(|| {
            let (call, place) = (call_of(&made), place_of(&made));
            let (recorded, replayed) = ("no further call".to_owned(), shown(&made));
            Box::new(Mismatch { call, place, recorded, replayed })
        })
    }

    /// Processes that the process before may have left behind.
    pub fn orphans(&self) -> Vec<Orphan> {
        let Some((engine, past)) =
            self.engine.as_ref().and_then(|it| Some((it, it.past.as_ref()?)))
        else {
            return Vec::new();
        };
        let mut orphans: Vec<Orphan> = past
            .processes
            .iter()
            .filter(|((call, attempt), _)| engine.is_active(*call, *attempt))
            .map(|((call, attempt), (pid, start_ticks))| {
                let (call, attempt) = (*call, *attempt);
                Orphan { call, attempt, pid: *pid, start_ticks: *start_ticks }
            })
            .collect();
        orphans.sort_unstable_by_key(|orphan| orphan.call);
        orphans
    }

    /// Calls that are in doubt. What is not decided stays so, and the run parks when nothing else is left to do.
    pub fn doubts(&self) -> Vec<Doubt> {
        self.engine.as_ref().map_or_else(Vec::new, Engine::doubts)
    }

    /// Decides a call in doubt. Calls that are not in doubt are left alone.
    pub fn decide(&mut self, call: CallId, decision: Decision) {
        if let Some(engine) = &mut self.engine {
            engine.outset.decisions.push((call, decision));
        }
    }

    /// How many processes served the run before.
    pub fn set_epoch(&mut self, epoch: u64) {
        if let Some(engine) = &mut self.engine {
            engine.outset.epoch = epoch;
        }
    }

    /// Raises the operator's ceilings on all tokens and on millionths of a dollar; `None` leaves one as it is, 0 is
    /// no ceiling.
    pub fn set_ceilings(&mut self, tokens: Option<u64>, usd_micros: Option<u64>) {
        if let Some(engine) = &mut self.engine {
            (engine.outset.tokens, engine.outset.usd_micros) = (tokens, usd_micros);
        }
    }

    /// What was read back so far.
    pub fn replayed(&self) -> Replayed {
        self.replayed.clone()
    }

    /// The engine as it stood when the process before ended; [`crate::drive_resumed`] goes on with it.
    ///
    /// # Panics
    /// When no entry was taken.
    pub fn finish(self) -> Engine {
        self.engine.expect("a run has at least its first entry")
    }
}

impl Engine {
    /// Restores a run from its entries, to go on with [`crate::drive_resumed`] and the same guests. To see what is
    /// left behind or in doubt before that, use [`Resume`].
    ///
    /// # Errors
    /// As [`Resume::entry`].
    pub fn resume(
        entries: impl IntoIterator<Item = Entry>,
        guests: &mut dyn Guests,
        gas_per_ms: u64,
    ) -> Result<Self, ResumeError> {
        let mut resume = Resume::new(guests, gas_per_ms);
        entries.into_iter().try_for_each(|entry| resume.entry(entry))?;
        match resume.engine {
            Some(engine) => Ok(engine),
            None => Err(ResumeError::Refused(
                Diagnostic::new(Code::JOURNAL_MISMATCH, "the run's journal has no entries")
                    .hint("nothing was done yet: start a new run"),
            )),
        }
    }

    fn doubts(&self) -> Vec<Doubt> {
        let calls = (0..).map(CallId).zip(&self.calls);
        let open = calls.filter(|(_, call)| !call.is_settled());
        let doubts = open.filter_map(|(id, call)| {
            let is_lookup = call.active.is_some_and(|attempt| self.is_lookup(id, attempt));
            let lost = call.active.is_some() && !call.held && !is_lookup;
            let open =
                lost || matches!(call.state, State::Doubt | State::Interrupted { sent: true });
            let effects = if open { self.effects_now(id) } else { Effects::None };
            (effects != Effects::None).then(|| self.doubt_of(id, effects))
        });
        doubts.collect()
    }

    fn doubt_of(&self, id: CallId, effects: Effects) -> Doubt {
        let call = &self.calls[id.0 as usize];
        let own = call.step.as_ref().and_then(|step| step.work.as_ref());
        let name = match (call.request.as_deref(), own, call.target) {
            (Some(Request::Tool(tool)), ..) => tool.name.clone(),
            (_, Some(Work::Tool { name, .. }), _) => name.clone(),
            (.., Some(target)) => self.subagents[target].name.clone(),
            _ => String::new(),
        };
        let task = call.parent();
        let named = self.calls[task.unwrap_or(id).0 as usize].task.as_ref();
        Doubt {
            call: id,
            attempt: call.doubt.as_ref().map_or(Attempt(call.attempts), |doubt| doubt.of),
            task,
            kind: call.kind,
            name,
            label: named.and_then(|task| task.request.label.clone()),
            effects,
            has_lookup: self.has_lookup(id),
            looked_up: call.doubt.as_ref().and_then(|doubt| doubt.unknown.clone()),
            position: call.position,
            since: call.since,
        }
    }
}
