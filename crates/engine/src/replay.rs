//! Re-execution of a journalled run from its journal alone: the guests run again, turn by turn, with the
//! recorded clock, budget figures and completions; every call and value is compared with the record.
//! Nothing is dispatched.

use crate::options::Options;
use loopwright_host::Guests;
use loopwright_protocol::{
    BUDGET_NONE, CallEntry, Entry, GuestStart, Json, ProgramText, Record, RecordKind, RunStart,
    SettleEntry, TurnEntry, TurnInput, TurnReport,
};
use loopwright_types::{CallId, Code, Diagnostic, GuestId};
use std::collections::{HashMap, VecDeque};

/// What a replay went through.
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
    /// What the journal has.
    pub recorded: String,
    /// What the program did.
    pub replayed: String,
}

impl Mismatch {
    fn new(
        call: Option<CallId>,
        recorded: impl Into<String>,
        replayed: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self { call, recorded: recorded.into(), replayed: replayed.into() })
    }

    /// As an error for people, both sides shown.
    pub fn diagnostic(&self) -> Diagnostic {
        let call = self.call.map_or_else(String::new, |call| format!(" at call `{call}`"));
        let message = format!(
            "the program does not match its journal{call}: recorded `{}`, now `{}`",
            self.recorded, self.replayed
        );
        Diagnostic::new(Code::JOURNAL_MISMATCH, message)
            .hint("the same program text, interpreter and settings replay a run exactly")
    }
}

/// One guest while it is replayed: what it did that the journal has not confirmed yet.
#[derive(Default)]
struct Ahead {
    calls: VecDeque<Record>,
    logs: VecDeque<Json>,
    ended: Option<(RecordKind, Json)>,
}

struct Replay<'g> {
    guests: &'g mut dyn Guests,
    gas_per_ms: u64,
    start: Option<(Box<RunStart>, Options)>,
    calls: HashMap<CallId, CallEntry>,
    settled: HashMap<CallId, Box<SettleEntry>>,
    ahead: HashMap<GuestId, Ahead>,
    done: Replayed,
}

/// Replays the entries of one run in their order. `gas_per_ms` is the interpreter's calibration.
///
/// # Errors
/// The first difference between what the program does and what the journal has.
pub fn replay(
    entries: impl IntoIterator<Item = Entry>,
    guests: &mut dyn Guests,
    gas_per_ms: u64,
) -> Result<Replayed, Box<Mismatch>> {
    let mut replay = Replay {
        guests,
        gas_per_ms,
        start: None,
        calls: HashMap::new(),
        settled: HashMap::new(),
        ahead: HashMap::new(),
        done: Replayed::default(),
    };
    let mut whole = false;
    for entry in entries {
        whole = matches!(&entry, Entry::RunFinished(finish) if !finish.external);
        replay.entry(entry)?;
    }
    // A run that was killed or stopped from outside may have lost what its last turn did.
    if whole && let Some(record) = replay.ahead.values().find_map(|ahead| ahead.calls.front()) {
        return Err(Mismatch::new(None, "no further call", record.json.text()));
    }
    Ok(replay.done)
}

impl Replay<'_> {
    fn entry(&mut self, entry: Entry) -> Result<(), Box<Mismatch>> {
        match entry {
            Entry::RunStarted(start) => {
                let options = Options::new(&start.settings, self.gas_per_ms);
                let (program, args) = (start.program.clone(), start.args.clone());
                self.start = Some((start, options));
                self.begin(GuestId(0), program, args.as_ref())
            }
            Entry::GuestStarted { guest, program, args, .. } => {
                self.begin(guest, *program, args.as_ref())
            }
            Entry::Turn(turn) => self.turn(&turn),
            Entry::Called(call) => self.called(*call),
            Entry::Settled(settled) => {
                self.settled.insert(settled.call, settled);
                Ok(())
            }
            Entry::Logged(log) => {
                let recorded = serde_json::json!({ "level": log.level, "text": log.text });
                match self.ahead(log.guest).logs.pop_front().map(|json| json.read()) {
                    Some(Ok::<serde_json::Value, _>(now)) if now == recorded => Ok(()),
                    now => {
                        let now =
                            now.map_or_else(|| "no log line".to_owned(), |now| format!("{now:?}"));
                        Err(Mismatch::new(None, recorded.to_string(), now))
                    }
                }
            }
            Entry::GuestEnded { guest, value, .. } => self.ended(guest, value),
            Entry::RunFinished(finish) => {
                self.done.result = finish.result;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn ahead(&mut self, guest: GuestId) -> &mut Ahead {
        self.ahead.entry(guest).or_default()
    }

    fn begin(
        &mut self,
        guest: GuestId,
        program: ProgramText,
        args: Option<&Json>,
    ) -> Result<(), Box<Mismatch>> {
        let Some((start, options)) = &self.start else {
            return Err(Mismatch::new(None, "a run's start", "a guest before it"));
        };
        let config = crate::deliver::config(&start.tools, &start.subagents, options, args);
        let seed = crate::jitter::guest_seed(start.seed, guest.0);
        let begun = self.guests.start(guest, &GuestStart { program, config, seed });
        begun.map_err(|error| Mismatch::new(None, "a guest that starts", error.to_string()))
    }

    fn turn(&mut self, turn: &TurnEntry) -> Result<(), Box<Mismatch>> {
        let Some((_, options)) = &self.start else {
            return Err(Mismatch::new(None, "a run's start", "a turn before it"));
        };
        let gas = options.gas_per_turn;
        if let Some(record) = self.ahead(turn.guest).calls.front() {
            return Err(Mismatch::new(None, "no further call in this turn", record.json.text()));
        }
        let mut completions = Vec::with_capacity(turn.settled.len());
        for call in &turn.settled {
            let (Some(settled), Some(made)) = (self.settled.remove(call), self.calls.remove(call))
            else {
                return Err(Mismatch::new(
                    Some(*call),
                    "a settled call",
                    "a call without an outcome",
                ));
            };
            completions.push(crate::deliver::completion(made.slot, made.bits, &settled));
        }
        let budget = turn.budget.map(|figure| figure.unwrap_or(BUDGET_NONE));
        let input = TurnInput { now: turn.now, gas, budget, completions };
        let TurnReport { records, .. } = self.guests.turn(turn.guest, &input);
        self.done.turns += 1;
        let ahead = self.ahead(turn.guest);
        for record in records {
            match record.kind {
                RecordKind::Call { .. } => ahead.calls.push_back(record),
                RecordKind::Log => ahead.logs.push_back(record.json),
                RecordKind::Result | RecordKind::Error => {
                    ahead.ended = Some((record.kind, record.json))
                }
                RecordKind::Unhandled | RecordKind::Note => {}
            }
        }
        Ok(())
    }

    fn called(&mut self, recorded: CallEntry) -> Result<(), Box<Mismatch>> {
        let id = recorded.call;
        let now = self.ahead(recorded.guest).calls.pop_front();
        let same = now.as_ref().is_some_and(|now| {
            let RecordKind::Call { slot, kind, bits } = now.kind else { return false };
            (slot, kind, bits) == (recorded.slot, recorded.kind as u32, recorded.bits)
                && (now.scope, now.position) == (recorded.scope, recorded.position)
                && now.json == recorded.request
        });
        if !same {
            let now = now.map_or_else(|| "no call".to_owned(), |now| now.json.text().to_owned());
            return Err(Mismatch::new(Some(id), recorded.request.text(), now));
        }
        self.done.calls += 1;
        self.calls.insert(id, recorded);
        Ok(())
    }

    fn ended(&mut self, guest: GuestId, value: Option<Json>) -> Result<(), Box<Mismatch>> {
        let now = self.ahead(guest).ended.take();
        let text = |value: &Option<Json>| value.as_ref().map_or("an error", Json::text).to_owned();
        match (now, value) {
            (Some((RecordKind::Result, now)), Some(recorded)) if now == recorded => Ok(()),
            (Some((RecordKind::Error, _)), None) => Ok(()),
            (now, recorded) => {
                let now = now.map(|(_, json)| json.text().to_owned());
                Err(Mismatch::new(
                    None,
                    text(&recorded),
                    now.unwrap_or_else(|| "no end".to_owned()),
                ))
            }
        }
    }
}
