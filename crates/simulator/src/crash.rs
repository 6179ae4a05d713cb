//! Processes that die, and those that go on with their runs.

use crate::books::Books;
use crate::host::World;
use crate::simulation::Stopped;
use crate::watch::WatchedGuests;
use crate::{SimHost, Simulated, Simulation};
use loopwright_engine::{Doubt, Engine, Resume, ResumeError, drive, drive_resumed};
use loopwright_host::Guests;
use loopwright_protocol::{Decision, Entry};
use loopwright_types::{CallId, Diagnostic, Micros, RunStatus};
use std::cell::RefCell;
use std::rc::Rc;

/// Answers a call in doubt, or leaves it open.
pub type Decide = Box<dyn Fn(&Doubt) -> Option<Decision>>;

/// What somebody tells a process while it serves the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What became of a call in doubt.
    Decided(CallId, Decision),
    /// The run is to end.
    Cancel,
    /// The run is to wait.
    Pause,
}

/// What happens to the processes of a run.
pub struct Crashes {
    /// The process dies when so many entries of the run are durable; each in its turn, in ascending order.
    pub at: Vec<u64>,
    /// How long it takes until the next process goes on.
    pub down: Micros,
    /// A run that waits, or was stopped with its work left, is resumed so often.
    pub reopened: u32,
    /// Answers doubts.
    pub decide: Decide,
    /// What is told to the process of this number, counted from 0, so long after it began.
    pub told: Vec<(u64, Micros, Told)>,
    /// The operator's ceiling on tokens from the second process on.
    pub tokens: Option<u64>,
    /// The run that a fork comes from is gone by the time of the second process.
    pub past_is_gone: bool,
}

impl Crashes {
    /// Dies at these points; the next process goes on at once, doubts stay.
    pub fn at(at: impl IntoIterator<Item = u64>) -> Self {
        let (at, down) = (at.into_iter().collect(), Micros(0));
        let decide = Box::new(|_: &Doubt| None);
        let told = Vec::new();
        Self { at, down, reopened: 0, decide, told, tokens: None, past_is_gone: false }
    }

    /// The same with this answer to every doubt.
    #[must_use]
    pub fn deciding(mut self, decide: impl Fn(&Doubt) -> Option<Decision> + 'static) -> Self {
        self.decide = Box::new(decide);
        self
    }
}

/// A run whose processes die.
struct Life {
    simulation: Simulation,
    books: Rc<RefCell<Books>>,
    crashes: Crashes,
    journal: Vec<Entry>,
    now: Micros,
    processes: u64,
}

/// How one process ended.
type End = (Result<RunStatus, Diagnostic>, Option<Stopped>);

impl Simulation {
    /// Runs it to its end while its processes die; each has guests of its own.
    ///
    /// # Errors
    /// When a run cannot be restored.
    ///
    /// # Panics
    /// When the engine breaks one of the promises that the books and the audit check.
    pub fn run_through<G: Guests>(
        self,
        crashes: Crashes,
        guests: impl Fn() -> G,
    ) -> Result<Simulated, ResumeError> {
        let (seed, began) = (self.setup.seed, self.start.now);
        let books = Rc::new(RefCell::new(Books::new(&self.start)));
        let (now, journal) = (began, Vec::new());
        let mut life = Life { simulation: self, books, crashes, journal, now, processes: 0 };
        let (ended, stopped) = loop {
            let (ended, stopped) = life.process(&mut guests())?;
            let waits = |entry: &Entry| {
                let Entry::RunFinished(end) = entry else { return false };
                end.external || end.status.waits() || end.status == RunStatus::Cancelled
            };
            if let (Some(Stopped::Crashed { .. }), Some(Entry::RunFinished(end))) =
                (&stopped, life.journal.last())
                && !life.journal.last().is_some_and(waits)
            {
                break (Ok(end.status), None); // it died after its work was done
            }
            match &stopped {
                Some(Stopped::Crashed { .. }) => {}
                None if life.crashes.reopened > 0 && life.journal.last().is_some_and(waits) => {
                    life.crashes.reopened -= 1;
                }
                _ => break (ended, stopped),
            }
            life.books.borrow_mut().process_ended(&life.journal);
            life.now = life.now.after(life.crashes.down);
        };
        let elapsed = life.now.since(began);
        let durable = life.journal.len() as u64;
        let books = Rc::into_inner(life.books).expect("host and guests are gone").into_inner();
        Ok(Simulated::checked(seed, ended, stopped, (life.journal, durable), books, elapsed))
    }
}

impl Life {
    /// One process, from its start to its end.
    fn process(&mut self, guests: &mut dyn Guests) -> Result<End, ResumeError> {
        let Simulation { start, setup, gas_per_ms, plans, programs, past } = &mut self.simulation;
        let plans = std::mem::replace(plans, Box::new(crate::echo));
        let world = World { plans, programs: std::mem::take(programs) };
        let journal = std::mem::take(&mut self.journal);
        let mut watched = WatchedGuests::new(guests, Rc::clone(&self.books));
        let mut engine = match journal.is_empty() {
            true => Engine::new(start.clone(), *gas_per_ms),
            false => {
                let mut resume = Resume::new(&mut watched, *gas_per_ms);
                for entry in &journal {
                    self.books.borrow_mut().reads(entry);
                    resume.entry(entry.clone())?;
                }
                for doubt in resume.doubts() {
                    if let Some(decision) = (self.crashes.decide)(&doubt) {
                        resume.decide(doubt.call, decision);
                    }
                }
                resume.set_epoch(self.processes);
                resume.set_ceilings(self.crashes.tokens, None);
                resume.finish()
            }
        };
        let is_first = journal.is_empty();
        if let Some(past) = past.as_ref().filter(|_| is_first || !self.crashes.past_is_gone) {
            engine = engine.with_past(past.clone());
        }
        let mut setup = *setup;
        if !is_first {
            (setup.cancel_after, setup.pause_after) = (None, None);
            setup.faults.sync_failing = None;
            setup.faults.append_failing = None;
        }
        setup.seed ^= self.processes << 32;
        let number = self.processes;
        self.processes += 1;
        let reached = journal.len() as u64;
        let books = Rc::clone(&self.books);
        let mut host = SimHost::new(self.now, setup, world, journal, books);
        while self.crashes.at.first().is_some_and(|at| *at <= reached) {
            self.crashes.at.remove(0);
        }
        host.crash_at(self.crashes.at.first().copied());
        for (_, after, told) in self.crashes.told.iter().filter(|(of, ..)| *of == number) {
            host.tell(*after, told.clone());
        }
        let run = if is_first { drive } else { drive_resumed };
        let ended = run(&mut engine, &mut host, &mut watched, self.now, &mut |_| {});
        self.now = host.now();
        let (mut entries, durable, stopped, world) = host.into_journal();
        if matches!(stopped, Some(Stopped::Crashed { .. })) {
            entries.truncate(durable as usize);
        }
        self.journal = entries;
        (self.simulation.plans, self.simulation.programs) = (world.plans, world.programs);
        Ok((ended.map(|ended| ended.status), stopped))
    }
}
