//! The simulated host: virtual clock, journal in memory, mock subagents. One thread, one seed.

use crate::books::Books;
use crate::plan::unknown_program;
use crate::queue::Queue;
use crate::{Faults, OnCancel, Plan, Plans, Random, Setup, Stopped, Told};
use loopwright_host::RunHost;
use loopwright_protocol::{
    Command, Dispatch, Entry, Event, Json, Outcome, ProgramText, Progress, TimerId, Work,
};
use loopwright_types::{Attempt, CallId, Code, Diagnostic, Failure, Micros, Reason, Usage};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// What the calendar holds.
#[derive(Debug)]
enum Happening {
    /// The sync under way ends; so many entries are durable then.
    Synced(u64),
    /// An attempt ends. Ignored when its plan changed since (`revision`); `None` is a report too many.
    Ended {
        call: CallId,
        attempt: Attempt,
        revision: Option<u32>,
        outcome: Outcome,
        usage: Usage,
    },
    Progressed {
        call: CallId,
        attempt: Attempt,
        progress: Progress,
    },
    /// A timer is due. Ignored when it was moved or dropped since (`revision`).
    Due {
        timer: TimerId,
        revision: u32,
    },
    Told(Told),
}

/// An attempt that has not ended.
#[derive(Debug)]
struct Running {
    revision: u32,
    on_cancel: OnCancel,
}

/// What outlives a process: how subagents behave, which programs are saved.
pub(crate) struct World {
    pub plans: Box<dyn Plans>,
    pub programs: HashMap<String, ProgramText>,
}

/// A host for one run; see the crate's documentation. Implements the same traits as a real one.
pub struct SimHost {
    now: Micros,
    calendar: Queue<Happening>,
    random: Random,
    plans: Box<dyn Plans>,
    programs: HashMap<String, ProgramText>,
    setup: Setup,
    entries: Vec<Entry>,
    durable: u64,
    /// The process dies when so many entries are durable.
    crash_at: Option<u64>,
    syncs: u64,
    syncing: bool,
    running: HashMap<(CallId, Attempt), Running>,
    timers: HashMap<TimerId, u32>,
    books: Rc<RefCell<Books>>,
    events: u64,
    stopped: Option<Stopped>,
}

impl SimHost {
    pub(crate) fn new(
        now: Micros,
        setup: Setup,
        world: World,
        entries: Vec<Entry>,
        books: Rc<RefCell<Books>>,
    ) -> Self {
        let World { plans, programs } = world;
        let durable = entries.len() as u64;
        let mut host = Self {
            now,
            calendar: Queue::new(),
            random: Random::new(setup.seed),
            plans,
            programs,
            setup,
            entries,
            durable,
            crash_at: None,
            syncs: 0,
            syncing: false,
            running: HashMap::new(),
            timers: HashMap::new(),
            books,
            events: 0,
            stopped: None,
        };
        if let Some(after) = setup.pause_after {
            host.tell(after, Told::Pause);
        }
        if let Some(after) = setup.cancel_after {
            host.tell(after, Told::Cancel);
        }
        host
    }

    /// The clock.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Somebody tells the run this so much later.
    pub(crate) fn tell(&mut self, after: Micros, told: Told) {
        self.push(after, Happening::Told(told));
    }

    /// Lets the process die when so many entries are durable, and no more.
    pub(crate) fn crash_at(&mut self, count: Option<u64>) {
        self.crash_at = count;
    }

    /// All entries written, how many of them are durable, what stopped the host, if anything did, and the world it
    /// ran in.
    pub(crate) fn into_journal(self) -> (Vec<Entry>, u64, Option<Stopped>, World) {
        let world = World { plans: self.plans, programs: self.programs };
        (self.entries, self.durable, self.stopped, world)
    }

    fn faults(&self) -> &Faults {
        &self.setup.faults
    }

    fn push(&mut self, after: Micros, what: Happening) {
        let tie = if self.setup.shuffled { self.random.bits() } else { 0 };
        self.calendar.push(self.now.after(after), tie, what);
    }

    fn stop(&mut self, why: Stopped) -> Diagnostic {
        let diagnostic = Diagnostic::new(Code::JOURNAL_FAILED, why.to_string());
        self.stopped = Some(why);
        diagnostic
    }

    fn append(&mut self, entry: Entry) -> Result<(), Diagnostic> {
        let number = self.entries.len() as u64;
        if self.faults().append_failing == Some(number) {
            self.books.borrow_mut().sync_failed();
            return Err(self.stop(Stopped::AppendFailed { number }));
        }
        self.books.borrow_mut().append(&entry);
        self.entries.push(entry);
        Ok(())
    }

    /// Group commit: one sync at a time, and it takes everything appended before it began.
    fn sync(&mut self) {
        let count = self.entries.len() as u64;
        if !self.syncing && count > self.durable {
            self.syncing = true;
            self.push(self.setup.sync_delay, Happening::Synced(count));
        }
    }

    fn dispatch(&mut self, dispatch: &Dispatch) {
        self.books.borrow_mut().dispatch(dispatch, self.now);
        let (call, attempt) = (dispatch.call, dispatch.attempt);
        let plan = self.plan(dispatch);
        for (after, progress) in plan.progress {
            self.push(after, Happening::Progressed { call, attempt, progress });
        }
        self.running.insert((call, attempt), Running { revision: 0, on_cancel: plan.on_cancel });
        let Some(latency) = plan.latency else { return };
        let (outcome, usage) = (plan.outcome, plan.usage);
        for repeat in plan.repeats {
            let (outcome, after) = (outcome.clone(), latency.after(repeat));
            let again = Happening::Ended { call, attempt, revision: None, outcome, usage };
            self.push(after, again);
        }
        let revision = Some(0);
        self.push(latency, Happening::Ended { call, attempt, revision, outcome, usage });
    }

    /// Saved programs are the simulation's; everything else is the plans'.
    fn plan(&mut self, dispatch: &Dispatch) -> Plan {
        if let Work::LoadProgram { name } = &dispatch.work {
            return match self.programs.get(name) {
                Some(program) => Plan {
                    outcome: Outcome::Done(Json::of(program)),
                    ..Plan::done(serde_json::Value::Null)
                },
                None => Plan::failed(unknown_program(name)),
            };
        }
        let label = (u64::from(dispatch.call.0) << 32) | u64::from(dispatch.attempt.0);
        let mut random = Random::new(self.setup.seed).fork(label);
        self.plans.plan_at(dispatch, self.now, &mut random)
    }

    fn cancel(&mut self, call: CallId, attempt: Attempt) {
        self.books.borrow_mut().cancel(call, attempt, self.now);
        let Some(running) = self.running.get_mut(&(call, attempt)) else { return };
        let OnCancel::Ends { after, usage } = running.on_cancel else { return };
        running.revision += 1;
        running.on_cancel = OnCancel::Ignored;
        let revision = Some(running.revision);
        let failure = Failure::new(Reason::Cancelled, Code::CANCELLED, "ended on request");
        let outcome = Outcome::Failed(failure);
        self.push(after, Happening::Ended { call, attempt, revision, outcome, usage });
    }

    fn set_timer(&mut self, timer: TimerId, at: Micros) {
        let revision = self.timers.entry(timer).or_default();
        *revision += 1;
        let due = Happening::Due { timer, revision: *revision };
        self.push(at.since(self.now), due);
    }

    /// What the clock shows the engine; a broken clock goes back now and then.
    fn shown(&mut self) -> Micros {
        let back = if self.faults().clock_goes_back { self.random.below(5_000_000) } else { 0 };
        Micros(self.now.0.saturating_sub(back))
    }

    fn happen(&mut self, what: Happening) -> Result<Option<Event>, Diagnostic> {
        let now = self.shown();
        Ok(Some(match what {
            Happening::Synced(count) => {
                self.syncs += 1;
                if self.faults().sync_failing == Some(self.syncs) {
                    self.books.borrow_mut().sync_failed();
                    return Err(self.stop(Stopped::SyncFailed { number: self.syncs }));
                }
                self.syncing = false;
                if let Some(last) = self.crash_at.filter(|last| *last <= count) {
                    self.durable = last.max(self.durable);
                    return Err(self.stop(Stopped::Crashed { entries: self.durable }));
                }
                self.durable = count;
                self.books.borrow_mut().synced(count);
                self.sync();
                Event::Synced { count, now }
            }
            Happening::Ended { call, attempt, revision, outcome, usage } => {
                let key = (call, attempt);
                if let Some(revision) = revision {
                    let current = self.running.get(&key).map(|running| running.revision);
                    if current != Some(revision) {
                        return Ok(None);
                    }
                    self.running.remove(&key);
                }
                self.books.borrow_mut().end(key, &outcome, usage, self.now);
                Event::Ended { call, attempt, outcome, usage, now }
            }
            Happening::Progressed { call, attempt, progress } => {
                if !self.running.contains_key(&(call, attempt)) && !self.faults().progress_late {
                    return Ok(None);
                }
                Event::Progressed { call, attempt, progress, now }
            }
            Happening::Due { timer, revision } => {
                let current = self.timers.get(&timer) == Some(&revision);
                if !current && !self.faults().timers_stay {
                    return Ok(None);
                }
                Event::Due { timer, now }
            }
            Happening::Told(Told::Cancel) => Event::CancelRequested { now },
            Happening::Told(Told::Pause) => Event::PauseRequested { now },
            Happening::Told(Told::Decided(call, decision)) => {
                Event::Decided { call, decision, now }
            }
        }))
    }
}

impl RunHost for SimHost {
    fn submit(&mut self, commands: &mut Vec<Command>) -> Result<(), Diagnostic> {
        for command in commands.drain(..) {
            match command {
                Command::Append(entry) => self.append(*entry)?,
                Command::Dispatch(dispatch) => self.dispatch(&dispatch),
                Command::CancelAttempt { call, attempt } => self.cancel(call, attempt),
                Command::SetTimer { timer, at } => self.set_timer(timer, at),
                Command::DropTimer { timer } => {
                    self.timers.entry(timer).and_modify(|revision| *revision += 1);
                }
                Command::Finish { status } => self.books.borrow_mut().finish(status),
                Command::StartGuest { .. } | Command::Turn { .. } | Command::DropGuest { .. } => {
                    self.books.borrow_mut().violation("a guest command reached the host".into());
                }
            }
        }
        self.sync();
        Ok(())
    }

    fn now(&self) -> Micros {
        self.now
    }

    fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnostic> {
        loop {
            let Some((at, what)) = self.calendar.pop() else {
                let now = self.now;
                return Err(self.stop(Stopped::Deadlock { now, running: self.running.len() }));
            };
            assert!(at >= self.now, "virtual time only goes forward");
            self.now = at;
            self.events += 1;
            if self.events > self.setup.events_max {
                return Err(self.stop(Stopped::Backstop { events: self.setup.events_max }));
            }
            if let Some(event) = self.happen(what)? {
                events.push(event);
            }
            // Things of one moment arrive together or one by one: a seeded host tries both.
            let more = self.calendar.next_at() == Some(self.now)
                && (!self.setup.shuffled || self.random.chance(0.5));
            if !events.is_empty() && !more {
                return Ok(());
            }
        }
    }
}
