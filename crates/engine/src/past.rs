//! A run's past, read back: each entry of the journal is turned into the event or the decision that caused it
//! and goes through the engine's own functions. What they write is held against the journal instead of being
//! appended; what they send was sent by the process before. So the engine arrives where that one stopped.

use crate::engine::Engine;
use crate::resume::{Mismatch, ResumeError};
use loopwright_host::Guests;
use loopwright_protocol::{Command, Decision, EndEntry, Entry, Record, TurnReport};
use loopwright_types::{Attempt, CallId, Code, Diagnostic, GuestId};
use std::collections::{HashMap, VecDeque};

/// What a run that is being restored has been through.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Entries that the engine made and the journal has not confirmed yet.
    made: VecDeque<Entry>,
    /// What the guest did in the turn that was taken up last, as far as the journal has not shown it.
    report: Option<Report>,
    /// A provider's going down or coming up, told before the end of the request that showed it.
    told: Vec<Entry>,
    /// Guests that could not be started.
    unborn: HashMap<GuestId, Diagnostic>,
    /// Processes that serve attempts: process id and start time in clock ticks.
    pub processes: HashMap<(CallId, Attempt), (u32, u64)>,
}

/// A turn whose records are taken one by one.
#[derive(Debug)]
struct Report {
    guest: GuestId,
    records: VecDeque<Record>,
    rest: TurnReport,
    /// The process before was stopped in the midst of it, and the run ended by that.
    stopped: bool,
}

/// What a restored run goes on with.
#[derive(Debug, Default)]
pub(crate) struct Outset {
    pub epoch: u64,
    pub tokens: Option<u64>,
    pub usd_micros: Option<u64>,
    pub decisions: Vec<(CallId, Decision)>,
}

impl Past {
    /// Keeps an entry that the engine made.
    pub fn made(&mut self, entry: Entry) {
        self.made.push_back(entry);
    }

    /// The turn under way was stopped from outside.
    pub fn stop_report(&mut self) {
        if let Some(report) = &mut self.report {
            report.stopped = true;
        }
    }

    /// The run was resumed: a turn that was stopped goes on.
    pub fn go_on(&mut self) {
        if let Some(report) = &mut self.report {
            report.stopped = false;
        }
    }

    /// Everything that the engine made and the journal does not have.
    pub fn take_made(&mut self) -> impl Iterator<Item = Entry> {
        std::mem::take(&mut self.made).into_iter()
    }
}

impl Engine {
    /// The state of restoring.
    fn past_mut(&mut self) -> &mut Past {
        self.past.as_mut().expect("a run that is restored has a past")
    }

    /// Takes the next entry of the journal.
    pub(crate) fn restore(
        &mut self,
        entry: Entry,
        guests: &mut dyn Guests,
    ) -> Result<(), ResumeError> {
        self.begin_deferred(Some(&entry));
        let is_told = matches!(entry, Entry::ProviderDown { .. } | Entry::ProviderUp { .. });
        if is_told && self.past_mut().made.is_empty() {
            self.advance(Some(&entry));
            if self.past_mut().made.is_empty() {
                self.past_mut().told.push(entry);
                return Ok(());
            }
        }
        if !matches!(entry, Entry::AttemptEnded(_) | Entry::Settled(_)) {
            self.pass_told();
        }
        if self.past_mut().made.is_empty() {
            self.cause(&entry, guests)?;
        }
        for told in std::mem::take(&mut self.past_mut().told) {
            let made = self.past_mut().made.pop_front();
            self.compare(told, made)?;
            self.confirm();
        }
        let made = self.past_mut().made.pop_front();
        self.compare(entry, made)?;
        self.confirm();
        Ok(())
    }

    /// What was told of a provider stands alone where the process ended before it wrote the end of the request.
    pub(crate) fn pass_told(&mut self) {
        for _ in std::mem::take(&mut self.past_mut().told) {
            self.appended += 1;
            self.confirm();
        }
    }

    /// What is in the journal is durable.
    fn confirm(&mut self) {
        self.set_durable(self.durable + 1);
    }

    /// Does again what caused the entry.
    fn cause(&mut self, entry: &Entry, guests: &mut dyn Guests) -> Result<(), ResumeError> {
        self.advance(Some(entry));
        if self.past_mut().made.is_empty() {
            if let Some(now) = entry.time().filter(|_| !matches!(entry, Entry::Resumed(_))) {
                self.tick(now);
            }
            self.redo(entry);
        }
        self.carry_out(guests)
    }

    /// Takes records of the turn under way until one of them makes an entry.
    pub(crate) fn advance(&mut self, next: Option<&Entry>) {
        loop {
            let past = self.past_mut();
            if !past.made.is_empty() && next.is_some() {
                return;
            }
            let Some(report) = past.report.as_mut().filter(|report| !report.stopped) else {
                return;
            };
            if matches!(next, Some(Entry::GuestStopped { .. })) {
                return; // the process before was stopped here
            }
            let (guest, record) = (report.guest, report.records.pop_front());
            let done = record.is_none().then(|| past.report.take()).flatten();
            if let Some(now) = next.and_then(Entry::time) {
                self.tick(now);
            }
            match (record, done) {
                (Some(record), _) => self.on_record(guest, record),
                (None, Some(done)) => self.turned(guest, done.rest),
                (None, None) => return,
            }
        }
    }

    /// Carries out what concerns guests; the rest was carried out by the process before.
    pub(crate) fn carry_out(&mut self, guests: &mut dyn Guests) -> Result<(), ResumeError> {
        for command in std::mem::take(&mut self.out) {
            match command {
                Command::StartGuest { guest, start } => {
                    if let Err(error) = guests.start(guest, &start) {
                        if error.code == Code::SANDBOX_SETUP {
                            return Err(ResumeError::Refused(error));
                        }
                        self.past_mut().unborn.insert(guest, error);
                    }
                }
                Command::Turn { guest, input } => {
                    let report = match self.past_mut().unborn.remove(&guest) {
                        Some(error) => TurnReport { stop: Some(error), ..TurnReport::default() },
                        None => guests.turn(guest, &input),
                    };
                    self.take_report(guest, report)?;
                }
                Command::DropGuest { guest } => guests.end(guest),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_report(&mut self, guest: GuestId, mut rest: TurnReport) -> Result<(), ResumeError> {
        if let (true, Some(stop)) = (rest.stop_is_external, rest.stop.take()) {
            return Err(ResumeError::Refused(stop));
        }
        let records = std::mem::take(&mut rest.records).into();
        self.past_mut().report = Some(Report { guest, records, rest, stopped: false });
        Ok(())
    }

    /// Holds what the engine made against what the journal has.
    fn compare(&mut self, recorded: Entry, made: Option<Entry>) -> Result<(), ResumeError> {
        match (recorded, made) {
            (Entry::Settled(recorded), Some(Entry::Settled(made)))
                if same_end(&recorded, &made) =>
            {
                // When an attempt began that went out ahead is known best to the process that sent it.
                let call = &mut self.calls[recorded.call.0 as usize];
                if call.settled.is_some() {
                    call.settled = Some(recorded);
                }
                Ok(())
            }
            (Entry::AttemptEnded(recorded), Some(Entry::AttemptEnded(made)))
                if recorded.retry_at.is_some()
                    && made.retry_at.is_some()
                    && recorded == (EndEntry { retry_at: recorded.retry_at, ..made.clone() }) =>
            {
                // How long a task waited for its slot, and so what is left of its time, is known best to the process
                // before.
                self.calls[recorded.call.0 as usize].retry_at = recorded.retry_at;
                Ok(())
            }
            (Entry::RunFinished(recorded), Some(Entry::RunFinished(made)))
                if (recorded.status, recorded.external) == (made.status, made.external)
                    && recorded.result == made.result =>
            {
                Ok(())
            }
            (recorded, Some(made)) if recorded == made => Ok(()),
            (recorded, made) => Err(ResumeError::Mismatch(Mismatch::of(&recorded, made.as_ref()))),
        }
    }

    /// What a program did that its whole journal does not have.
    pub(crate) fn surplus(&mut self) -> Option<Entry> {
        self.advance(None);
        self.past_mut().made.pop_front()
    }
}

/// Whether both say the same of the call.
fn same_end(
    one: &loopwright_protocol::SettleEntry,
    other: &loopwright_protocol::SettleEntry,
) -> bool {
    let what =
        |end: &loopwright_protocol::SettleEntry| (end.call, end.now, end.attempts, end.attempt);
    what(one) == what(other)
        && one.outcome == other.outcome
        && one.hidden == other.hidden
        && one.usage == other.usage
        && one.subagent == other.subagent
}
