//! One process: it opens the journal, resumes the run or begins it, and goes on until the run ends or the disk dies.

use super::case::TRACE;
use super::guests::Watched;
use super::host::{Host, Reports, World};
use super::program::Program;
use super::work::effects;
use loopwright_disk::Disk;
use loopwright_engine::{Engine, Resume, ResumeError, drive, drive_resumed};
use loopwright_host::Guests;
use loopwright_journal::{Error, Options, Store, Synced};
use loopwright_protocol::{Decision, Entry, Outcome, RunFinish};
use loopwright_types::{Effects, Micros, RunStatus};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

pub(super) const PATH: &str = "/run.db";
/// How a life ended.
pub(super) enum Ended {
    /// With the run, or the run waits.
    Run(Box<RunFinish>),
    /// The run had ended before, and its journal says how.
    Before(Box<RunFinish>),
    /// The process died.
    Died,
}

/// What a life needs.
pub(super) struct Life<'a> {
    pub disk: &'a Disk,
    pub world: Rc<RefCell<World>>,
    pub program: &'a Program,
    pub guests: &'a mut dyn Guests,
    pub kill_at: Option<u64>,
    /// Calls in doubt are left undecided.
    pub undecided: bool,
}

/// How the journal is opened by the process of this number.
pub(super) fn options(disk: &Disk, time: &Arc<AtomicU64>, name: u64) -> Options {
    let time = Arc::clone(time);
    Options {
        inline_bytes_max: 500,
        checkpoint_bytes: 200_000,
        clock: Arc::new(move || Micros(time.load(Ordering::Relaxed))),
        owner: format!("process-{name}"),
        // Only one process lives at a time, and each that is asked about is another one.
        gone: Arc::new(|_| true),
        sync_names: Arc::new(disk.directory()),
        ..Options::default()
    }
}

fn synced() -> (Synced, Reports) {
    let reports = Reports::default();
    let sink = Arc::clone(&reports);
    let push = move |report| sink.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    (Box::new(push), reports)
}

impl Life<'_> {
    /// An error of the journal breaks a promise unless the disk is dead.
    fn journal<T>(&self, what: &str, done: Result<T, Error>) -> Result<Option<T>, String> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(_) if self.disk.has_failed() => Ok(None),
            Err(error) => Err(format!("{what}: {error}")),
        }
    }

    /// # Errors
    /// What was broken.
    pub fn live(self) -> Result<Ended, String> {
        self.world.borrow_mut().books.begin_life();
        let (time, life) = {
            let world = self.world.borrow();
            (Arc::clone(&world.time), world.life)
        };
        let options = options(self.disk, &time, life);
        let opened = Store::open_inline(self.disk.vfs(), Path::new(PATH), options);
        let Some(store) = self.journal("open", opened)? else { return Ok(Ended::Died) };
        let run = self.program.start.run.clone();
        let entries = match store.read(&run) {
            Err(Error::RunUnknown { .. }) => None,
            other => {
                let read = other.and_then(|entries| {
                    entries
                        .map(|found| found.map(|(_, entry)| entry))
                        .collect::<Result<Vec<_>, _>>()
                });
                let Some(entries) = self.journal("read", read)? else { return Ok(Ended::Died) };
                Some(entries)
            }
        };
        let asked = self.world.borrow().books.asked.len();
        if entries.as_ref().is_none_or(Vec::is_empty) && asked > 0 {
            return Err("the run is gone".to_owned());
        }
        let (synced, reports) = synced();
        let writer = match &entries {
            None => store.create(&self.program.start, synced),
            Some(entries) => {
                if let Some(Entry::RunFinished(finish)) = entries.last()
                    && !matches!(finish.status, RunStatus::Parked | RunStatus::Cancelled)
                {
                    return Ok(Ended::Before(finish.clone()));
                }
                store.resume(&run, synced)
            }
        };
        let Some(writer) = self.journal("begin", writer)? else { return Ok(Ended::Died) };
        let epoch = writer.epoch();
        let host =
            Host::new(Rc::clone(&self.world), self.disk, store, writer, reports, self.kill_at);
        self.go(host, entries.unwrap_or_default(), epoch)
    }

    fn go(self, mut host: Host<'_>, entries: Vec<Entry>, epoch: u64) -> Result<Ended, String> {
        let world = Rc::clone(&self.world);
        let mut guests = Watched {
            inner: self.guests,
            world: Rc::clone(&world),
            asked: HashMap::new(),
            races: self.program.has_races(),
        };
        let mut finish = None;
        let trace = std::env::var_os(TRACE).is_some();
        if trace {
            println!("life {}", world.borrow().life);
            entries.iter().for_each(|entry| println!("  read {}", text(entry)));
        }
        let mut observe = |entry: &Entry| {
            if trace {
                println!("  made {}", text(entry));
            }
            if let Entry::RunFinished(end) = entry {
                finish = Some(end.clone());
            }
        };
        let now = world.borrow().now;
        let ended = if entries.is_empty() {
            let mut engine = Engine::new(self.program.start.clone(), self.program.gas_per_ms);
            drive(&mut engine, &mut host, &mut guests, now, &mut observe)
        } else {
            let resumed = resume(
                entries,
                &mut guests,
                self.program.gas_per_ms,
                &world,
                epoch,
                self.undecided,
            );
            let mut engine = resumed.map_err(|error| format!("resume: {}", error.diagnostic()))?;
            drive_resumed(&mut engine, &mut host, &mut guests, now, &mut observe)
        };
        match (ended, finish) {
            (Ok(ended), Some(finish)) => {
                let waits = ended.status == RunStatus::Parked;
                world.borrow_mut().books.told = (!waits).then_some(ended.status);
                if world.borrow_mut().random.chance(0.5) && !self.disk.is_dead() {
                    let closed = host.close();
                    if let Err(error) = closed
                        && !self.disk.has_failed()
                    {
                        return Err(format!("close: {error}"));
                    }
                } else {
                    self.disk.die();
                }
                Ok(Ended::Run(finish))
            }
            (Ok(_), None) => Err("the run ended without its last entry".to_owned()),
            (Err(_), _) if self.disk.has_failed() => Ok(Ended::Died),
            (Err(error), _) if error.message == "killed" => Ok(Ended::Died),
            (Err(error), _) => Err(error.to_string()),
        }
    }
}

fn resume(
    entries: Vec<Entry>,
    guests: &mut dyn Guests,
    gas_per_ms: u64,
    world: &Rc<RefCell<World>>,
    epoch: u64,
    undecided: bool,
) -> Result<Engine, ResumeError> {
    let mut resume = Resume::new(guests, gas_per_ms);
    for entry in entries {
        resume.entry(entry)?;
    }
    resume.set_epoch(epoch.saturating_sub(1));
    let doubts = if undecided { Vec::new() } else { resume.doubts() };
    for doubt in doubts {
        let mut world = world.borrow_mut();
        // What can be looked up is left to the engine, mostly; a person is asked when that came to nothing.
        let is_left = doubt.has_lookup && doubt.looked_up.is_none() && world.random.chance(0.9);
        if is_left {
            continue;
        }
        // Somebody looks what became of it.
        let number = world.books.asked.iter().rposition(|one| {
            (one.call, one.attempt) == (doubt.call, doubt.attempt)
                && effects(&one.work) != Effects::None
        });
        let number = number.filter(|number| !world.books.asked[*number].lost);
        let decision = match number.map(|number| world.end(number)) {
            Some(Outcome::Done(value)) => Decision::Done(value),
            Some(Outcome::Failed(_)) => Decision::Fail,
            None => {
                // A call in doubt that was never sent, or whose repeat never was.
                let sent = world
                    .books
                    .asked
                    .iter()
                    .rfind(|one| one.call == doubt.call && effects(&one.work) != Effects::None);
                if let Some((work, under)) = sent.map(|one| (one.work.clone(), one.under)) {
                    world.books.was_not_done(&work, under);
                }
                Decision::Repeat
            }
        };
        drop(world);
        resume.decide(doubt.call, decision);
    }
    Ok(resume.finish())
}

fn text(entry: &Entry) -> String {
    String::from_utf8_lossy(&entry.encode()).into_owned()
}
