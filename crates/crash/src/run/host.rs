//! Clock, journal and providers, as one life of the process sees them.

use super::books::Books;
use super::work::{Key, latency, looked_up, outcome};
use loopwright_disk::Disk;
use loopwright_host::RunHost;
use loopwright_journal::{Error, Store, Writer};
use loopwright_protocol::{Command, Dispatch, Entry, Event, Found, Outcome, TimerId, Work};
use loopwright_simulator::{Queue, Random};
use loopwright_types::{Attempt, CallId, Code, Diagnostic, Failure, Micros, Reason, Usage};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Happenings after which a life that should have ended counts as stuck.
const HAPPENINGS_MAX: u64 = 20_000;

/// What the calendar holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// A provider ends what it was asked; the number of the question.
    Ends(usize),
    /// The same answer comes once more.
    Again(usize),
    /// What was appended is written.
    Commit { life: u64 },
    /// A timer is due.
    Due { life: u64, timer: TimerId, revision: u32 },
}

/// Everything outside the process: it outlives all crashes.
pub(super) struct World {
    pub now: Micros,
    /// The same for the journal's leases.
    pub time: Arc<AtomicU64>,
    pub calendar: Queue<Happening>,
    pub random: Random,
    pub books: Books,
    pub life: u64,
    pub seed: u64,
    pub happened: u64,
}

impl World {
    pub fn pass_to(&mut self, now: Micros) {
        self.now = self.now.max(now);
        self.time.store(self.now.0, Ordering::Relaxed);
    }

    pub fn push(&mut self, after: Micros, what: Happening) {
        let tie = self.random.bits();
        self.calendar.push(self.now.after(after), tie, what);
    }

    fn dispatch(&mut self, dispatch: &Dispatch) {
        let life = self.life;
        let number = self.books.ask(life, dispatch);
        let after = latency(dispatch, self.seed, life);
        self.push(after, Happening::Ends(number));
        if self.random.chance(0.1) {
            let later = Micros(self.random.below(100_000));
            self.push(after.after(later), Happening::Again(number));
        }
    }

    /// The provider is done with it, and so is its effect.
    pub fn end(&mut self, number: usize) -> Outcome {
        if let Some(ended) = &self.books.asked[number].ended {
            return ended.clone();
        }
        let asked = &self.books.asked[number];
        let (work, key) = match &asked.work {
            Work::LookUp(sent) => (&**sent, Key::of(sent)),
            work => (work, asked.key.clone()),
        };
        // The same key is the same to a provider, whichever attempt and process sends it: it has the answer already.
        let same = self.books.asked.iter().find(|one| {
            (one.call, one.under) == (asked.call, asked.under)
                && one.key == key
                && one.ended.as_ref().is_some_and(is_final)
        });
        let same = same.and_then(|one| one.ended.clone());
        let ended = match (&asked.work, same) {
            (Work::LookUp(_), same) => looked_up(same.as_ref(), &mut self.random),
            (_, Some(ended)) => ended,
            (_, None) => {
                let ended = outcome(work, self.books.answered(&key));
                if matches!(ended, Outcome::Done(_)) {
                    self.books.does(number);
                }
                ended
            }
        };
        self.books.asked[number].ended = Some(ended.clone());
        ended
    }
}

pub(super) type Reports = Arc<Mutex<Vec<Result<u64, Error>>>>;

/// What a life's host does with the run's entries.
pub(super) struct Host<'d> {
    pub world: Rc<RefCell<World>>,
    disk: &'d Disk,
    store: Store,
    writer: Writer,
    reports: Reports,
    /// Entries of the run, those of lives before included.
    appended: u64,
    durable: u64,
    /// When entries wait: a commit is in the calendar.
    commits: bool,
    sync_delay: Micros,
    timers: HashMap<TimerId, u32>,
    active: HashMap<(CallId, Attempt), usize>,
    intents: HashMap<(CallId, Attempt), u64>,
    /// Answers that the engine got, and how many entries there were when it had dealt with them.
    given: Vec<(usize, Option<u64>)>,
    turns: Vec<(u64, usize)>,
    /// The process is killed at this happening.
    kill_at: Option<u64>,
}

impl<'d> Host<'d> {
    pub fn new(
        world: Rc<RefCell<World>>,
        disk: &'d Disk,
        store: Store,
        writer: Writer,
        reports: Reports,
        kill_at: Option<u64>,
    ) -> Self {
        let delays = [0, 1, 5_000, 40_000];
        let sync_delay = delays[world.borrow_mut().random.below(4) as usize];
        Self {
            world,
            disk,
            store,
            appended: writer.entries(),
            durable: writer.entries(),
            writer,
            reports,
            commits: false,
            sync_delay: Micros(sync_delay),
            timers: HashMap::new(),
            active: HashMap::new(),
            intents: HashMap::new(),
            given: Vec::new(),
            turns: Vec::new(),
            kill_at,
        }
    }

    /// Gives the run up in order.
    pub fn close(self) -> Result<(), Error> {
        self.writer.close()
    }

    fn append(&mut self, entry: Entry) {
        match &entry {
            Entry::AttemptStarted(start) => {
                self.intents.insert((start.call, start.attempt), self.appended);
            }
            Entry::Turn(turn) => self.turns.push((self.appended, turn.turn.0 as usize + 1)),
            _ => {}
        }
        self.appended += 1;
        self.writer.append(vec![entry]);
    }

    fn dispatch(&mut self, dispatch: &Dispatch) {
        let key = (dispatch.call, dispatch.attempt);
        let mut world = self.world.borrow_mut();
        let intended = self.intents.get(&key).is_none_or(|number| *number < self.durable);
        world.books.demand(intended, || format!("{key:?} is sent before its intent is durable"));
        self.active.insert(key, world.books.asked.len());
        world.dispatch(dispatch);
    }

    fn cancel(&mut self, call: CallId, attempt: Attempt) {
        let Some(number) = self.active.get(&(call, attempt)).copied() else { return };
        let mut world = self.world.borrow_mut();
        let asked = &mut world.books.asked[number];
        if asked.ended.is_none() {
            let failure = Failure::new(Reason::Cancelled, Code::CANCELLED, "ended on request");
            asked.ended = Some(Outcome::Failed(failure));
            world.push(Micros(0), Happening::Ends(number));
        }
    }

    /// What waits is written; returns what there is to tell.
    fn commit(&mut self) -> Result<Option<Event>, Diagnostic> {
        self.commits = false;
        self.store.commit();
        let reports: Vec<_> =
            self.reports.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        let mut told = None;
        for report in reports {
            match report {
                Ok(count) => told = Some(count),
                Err(error) => return Err(error.diagnostic()),
            }
        }
        if self.disk.is_dead() {
            return Err(dead("the disk is dead"));
        }
        let Some(count) = told else { return Ok(None) };
        let mut world = self.world.borrow_mut();
        let known = count <= self.appended;
        world.books.demand(known, || format!("{count} entries reported, {} known", self.appended));
        let count = count.min(self.appended);
        self.durable = count;
        let turns = self.turns.iter().filter(|(number, _)| *number < count);
        if let Some(turns) = turns.map(|(_, turns)| *turns).max() {
            world.books.turns_are_durable(turns);
        }
        for (number, _) in self.given.extract_if(.., |(_, by)| by.is_some_and(|by| by <= count)) {
            world.books.asked[number].sure = true;
        }
        let now = world.now;
        Ok(Some(Event::Synced { count, now }))
    }

    fn ends(&mut self, number: usize, again: bool) -> Option<Event> {
        let mut world = self.world.borrow_mut();
        if world.books.asked[number].lost {
            return None;
        }
        let outcome = world.end(number);
        let (now, life) = (world.now, world.life);
        let asked = &world.books.asked[number];
        let (call, attempt, of) = (asked.call, asked.attempt, asked.life);
        // Looking a program up uses nothing.
        let usage = match asked.work {
            Work::LoadProgram { .. } => Usage::default(),
            _ => Usage { input_tokens: 3, output_tokens: 2, ..Usage::default() },
        };
        // What was asked in a life before comes to nobody, or late.
        if of != life && !world.random.chance(0.3) {
            return None;
        }
        if of == life && !again && self.active.remove(&(call, attempt)).is_some() {
            let asked = &world.books.asked[number];
            let (work, under) = (asked.work.clone(), asked.under);
            if let Work::LookUp(sent) = work
                && Found::of(&outcome) == Found::NotDone
            {
                world.books.was_not_done(&sent, under);
            }
            self.given.push((number, None));
        }
        Some(Event::Ended { call, attempt, outcome, usage, now })
    }

    fn happen(&mut self, what: Happening) -> Result<Option<Event>, Diagnostic> {
        let (own, now) = (self.world.borrow().life, self.world.borrow().now);
        Ok(match what {
            Happening::Ends(number) => self.ends(number, false),
            Happening::Again(number) => self.ends(number, true),
            Happening::Commit { life } if life == own => self.commit()?,
            Happening::Due { life, timer, revision } if life == own => {
                let current = self.timers.get(&timer) == Some(&revision);
                current.then_some(Event::Due { timer, now })
            }
            Happening::Commit { .. } | Happening::Due { .. } => None,
        })
    }
}

/// Whether the provider keeps this end: what was cancelled was not done, and may be asked for again.
fn is_final(ended: &Outcome) -> bool {
    !matches!(ended, Outcome::Failed(failure) if failure.reason == Reason::Cancelled)
}

/// The process ends here: nothing that it would still do happens.
fn dead(why: &str) -> Diagnostic {
    Diagnostic::new(Code::JOURNAL_FAILED, why)
}

impl RunHost for Host<'_> {
    fn submit(&mut self, commands: &mut Vec<Command>) -> Result<(), Diagnostic> {
        for command in commands.drain(..) {
            match command {
                Command::Append(entry) => self.append(*entry),
                Command::Dispatch(dispatch) => self.dispatch(&dispatch),
                Command::CancelAttempt { call, attempt } => self.cancel(call, attempt),
                Command::SetTimer { timer, at } => {
                    let revision = self.timers.entry(timer).or_default();
                    *revision += 1;
                    let revision = *revision;
                    let mut world = self.world.borrow_mut();
                    let (life, after) = (world.life, at.since(world.now));
                    world.push(after, Happening::Due { life, timer, revision });
                }
                Command::DropTimer { timer } => {
                    self.timers.entry(timer).and_modify(|revision| *revision += 1);
                }
                Command::Finish { .. }
                | Command::StartGuest { .. }
                | Command::Turn { .. }
                | Command::DropGuest { .. } => {}
            }
        }
        if self.appended > self.durable && !self.commits {
            self.commits = true;
            let mut world = self.world.borrow_mut();
            let life = world.life;
            world.push(self.sync_delay, Happening::Commit { life });
        }
        Ok(())
    }

    fn now(&self) -> Micros {
        self.world.borrow().now
    }

    fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnostic> {
        for (_, by) in &mut self.given {
            by.get_or_insert(self.appended);
        }
        loop {
            let next = self.world.borrow_mut().calendar.pop();
            let Some((at, what)) = next else {
                return Err(Diagnostic::new(Code::JOURNAL_FAILED, "nothing can happen any more"));
            };
            {
                let mut world = self.world.borrow_mut();
                world.pass_to(at);
                self.disk.set_clock(world.now.0);
                world.happened += 1;
                if self.kill_at.is_some_and(|kill_at| world.happened >= kill_at) {
                    self.disk.die();
                    return Err(dead("killed"));
                }
                if world.happened > HAPPENINGS_MAX {
                    return Err(Diagnostic::new(Code::JOURNAL_FAILED, "the run never ends"));
                }
            }
            if let Some(event) = self.happen(what)? {
                events.push(event);
            }
            let more = self.world.borrow().calendar.next_at() == Some(at)
                && self.world.borrow_mut().random.chance(0.5);
            if !events.is_empty() && !more {
                return Ok(());
            }
        }
    }
}
