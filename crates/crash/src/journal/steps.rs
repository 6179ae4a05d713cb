//! The operations of one life.

use super::model::{Open, Run};
use super::world::{World, exported};
use crate::entries;
use loopwright_journal::{Control, Error, Prune, Store, Synced, Writer};
use loopwright_protocol::{Entry, Json};
use loopwright_types::{RunId, RunStatus};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs beyond which no more are made.
const RUNS_MAX: usize = 6;

/// Why a life ended before its steps did.
pub(super) enum Stop {
    /// The disk died, or did something wrong.
    Failed,
    /// The journal broke a promise.
    Broken(String),
}

type Reports = Arc<Mutex<Vec<Result<u64, Error>>>>;

/// A run that this life writes.
struct Hand {
    writer: Writer,
    reports: Reports,
}

/// A store and the runs it writes.
pub(super) struct Life {
    hands: BTreeMap<RunId, Hand>,
    /// None only while it is opened again.
    store: Option<Store>,
}

fn synced() -> (Synced, Reports) {
    let reports = Reports::default();
    let sink = Arc::clone(&reports);
    let push = move |report| sink.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    (Box::new(push), reports)
}

/// An error counts against the journal unless the disk went wrong.
fn failed(world: &World, what: &str, error: &dyn std::fmt::Display) -> Stop {
    match world.disk.has_failed() {
        true => Stop::Failed,
        false => Stop::Broken(format!("{what}: {error}")),
    }
}

fn demand(kept: bool, what: impl FnOnce() -> String) -> Result<(), Stop> {
    if kept { Ok(()) } else { Err(Stop::Broken(what())) }
}

impl Life {
    pub fn open(world: &mut World) -> Result<Self, Stop> {
        match world.open() {
            Ok(store) => Ok(Self { hands: BTreeMap::new(), store: Some(store) }),
            Err(error) => Err(failed(world, "open", &error)),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    pub fn step(&mut self, world: &mut World) -> Result<(), Stop> {
        let pause = 1000 * world.random.below(4000);
        world.pass(pause);
        match world.random.below(21) {
            0..=5 => self.append(world, None),
            6 | 7 => self.create(world),
            8 => self.close(world),
            9 | 10 => self.resume(world),
            11 | 12 => self.request(world),
            13..=15 => self.acknowledge(world),
            16 => self.delete(world),
            17 => self.import(world),
            18 => self.reopen(world),
            19 => self.rival(world),
            _ => self.prune(world),
        }
    }

    /// A run of the model, that this life writes or does not write.
    fn some(&self, world: &mut World, written: bool) -> Option<RunId> {
        let fits = |id: &&RunId| self.hands.contains_key(*id) == written;
        let fitting: Vec<RunId> = world.model.runs.keys().filter(fits).cloned().collect();
        let at = world.random.below(fitting.len() as u64) as usize;
        fitting.get(at).cloned()
    }

    fn append(
        &mut self,
        world: &mut World,
        acknowledged: Option<&(RunId, u64)>,
    ) -> Result<(), Stop> {
        let mut ids: Vec<RunId> = match acknowledged {
            Some((id, _)) => vec![id.clone()],
            None => self.some(world, true).into_iter().collect(),
        };
        if world.random.chance(0.3) {
            ids.extend(self.some(world, true).filter(|id| !ids.contains(id)));
        }
        for id in &ids {
            let from = world.model.runs[id].entries.len() as u64;
            let (count, now) = (1 + world.random.below(6), world.now());
            let new: Vec<Entry> = (from..from + count)
                .map(|place| match place {
                    0 => Entry::RunStarted(Box::new(entries::start(id, now))),
                    _ => entries::entry(id, place, &mut world.random),
                })
                .collect();
            let run = world.model.runs.get_mut(id).expect("drawn from there");
            run.entries.extend(new.clone());
            let own = acknowledged.filter(|(of, _)| of == id).map(|(_, number)| *number);
            run.open = Some(Open::Append { acknowledged: own });
            let writer = &self.hands[id].writer;
            // Before or after its entries: both are one commit.
            let first = world.random.chance(0.5);
            own.iter().filter(|_| first).for_each(|number| writer.acknowledge(*number));
            let split = world.random.below(count) as usize;
            writer.append(new[..split].to_vec());
            writer.append(new[split..].to_vec());
            own.iter().filter(|_| !first).for_each(|number| writer.acknowledge(*number));
        }
        self.store().commit();
        for id in &ids {
            self.reported(world, id)?;
            let run = world.model.runs.get_mut(id).expect("it was there");
            run.open = None;
            if let Some((_, number)) = acknowledged.filter(|(of, _)| of == id) {
                run.requests.remove(number);
            }
        }
        if let Some(id) = ids.first().filter(|_| world.random.chance(0.2)) {
            let kept = self.store().head(id).map_err(|error| failed(world, "head", &error))?;
            world.model.runs.get_mut(id).expect("it was there").kept = Some(kept);
        }
        Ok(())
    }

    /// What the journal reported of the run since it was last asked.
    fn reported(&self, world: &mut World, id: &RunId) -> Result<(), Stop> {
        let mut reports = self.hands[id].reports.lock().unwrap_or_else(PoisonError::into_inner);
        let run = world.model.runs.get_mut(id).expect("it was there");
        let all = run.entries.len() as u64;
        // A report counts from when it is made, whatever comes after it.
        for report in reports.drain(..) {
            match report {
                Ok(count) => {
                    let known = (run.durable..=all).contains(&count);
                    demand(known, || format!("run `{id}`: {count} reported of {all}"))?;
                    run.durable = count;
                }
                Err(error) => return Err(failed(world, "append", &error)),
            }
        }
        if run.durable == all {
            return Ok(());
        }
        Err(failed(world, "append", &"no report"))
    }

    fn create(&mut self, world: &mut World) -> Result<(), Stop> {
        if world.model.runs.len() >= RUNS_MAX {
            return Ok(());
        }
        let id = RunId::parse(&format!("run-{}", world.model.listed)).expect("a valid name");
        world.model.listed += 1;
        let age = world.model.listed;
        let run = Run { age, open: Some(Open::Create), ..Run::default() };
        world.model.runs.insert(id.clone(), run);
        let (synced, reports) = synced();
        let created = self.store().create(&entries::start(&id, world.now()), synced);
        let writer = created.map_err(|error| failed(world, "create", &error))?;
        let run = world.model.runs.get_mut(&id).expect("inserted above");
        (run.open, run.epoch) = (None, writer.epoch());
        demand(writer.epoch() == 1, || format!("run `{id}` begins as epoch {}", writer.epoch()))?;
        self.hands.insert(id, Hand { writer, reports });
        Ok(())
    }

    fn close(&mut self, world: &mut World) -> Result<(), Stop> {
        let Some(id) = self.some(world, true) else { return Ok(()) };
        let hand = self.hands.remove(&id).expect("drawn from there");
        hand.writer.close().map_err(|error| failed(world, "close", &error))
    }

    fn resume(&mut self, world: &mut World) -> Result<(), Stop> {
        let Some(id) = self.some(world, false) else { return Ok(()) };
        let hand = Self::resumed(self.store(), world, &id)?;
        self.hands.insert(id, hand);
        Ok(())
    }

    fn resumed(store: &Store, world: &mut World, id: &RunId) -> Result<Hand, Stop> {
        world.model.runs.get_mut(id).expect("it was there").open = Some(Open::Resume);
        let (synced, reports) = synced();
        let resumed = store.resume(id, synced);
        let writer = resumed.map_err(|error| failed(world, "resume", &error))?;
        let run = world.model.runs.get_mut(id).expect("it was there");
        run.open = None;
        let (entries, epoch) = (run.entries.len() as u64, writer.epoch());
        demand(writer.entries() == entries, || {
            format!("run `{id}` goes on behind {} of {entries} entries", writer.entries())
        })?;
        let next = run.epoch + 1;
        let expected = next..=next + run.epochs_open;
        demand(expected.contains(&epoch), || format!("run `{id}`: epoch {epoch}, {expected:?}"))?;
        (run.epoch, run.epochs_open) = (epoch, 0);
        Ok(Hand { writer, reports })
    }

    fn request(&mut self, world: &mut World) -> Result<(), Stop> {
        let written = world.random.chance(0.5);
        let Some(id) = self.some(world, written) else { return Ok(()) };
        let control = match world.random.below(3) {
            0 => Control::Pause,
            1 => Control::Cancel,
            _ => Control::Answer(Json::of(&world.random.below(9))),
        };
        let run = world.model.runs.get_mut(&id).expect("it was there");
        run.open = Some(Open::Request(control.clone()));
        let asked = self.store().request(&id, control.clone());
        let receipt = asked.map_err(|error| failed(world, "request", &error))?;
        let run = world.model.runs.get_mut(&id).expect("it was there");
        run.open = None;
        let fresh = run.requests.insert(receipt.number, control).is_none();
        demand(fresh, || format!("two requests have number {}", receipt.number))?;
        demand(receipt.live == written, || format!("run `{id}`: live is {}", receipt.live))
    }

    fn acknowledge(&mut self, world: &mut World) -> Result<(), Stop> {
        let Some(id) = self.some(world, true) else { return Ok(()) };
        let first = world.model.runs[&id].requests.keys().next().copied();
        match first {
            Some(number) => self.append(world, Some(&(id, number))),
            None => Ok(()),
        }
    }

    fn delete(&mut self, world: &mut World) -> Result<(), Stop> {
        let Some(id) = self.some(world, false) else { return Ok(()) };
        world.model.runs.get_mut(&id).expect("it was there").open = Some(Open::Delete);
        self.store().delete(&id).map_err(|error| failed(world, "delete", &error))?;
        world.model.runs.remove(&id);
        Ok(())
    }

    fn import(&mut self, world: &mut World) -> Result<(), Stop> {
        let exported = exported();
        let id = &exported.run;
        if world.model.runs.contains_key(id) || world.model.runs.len() >= RUNS_MAX {
            return Ok(());
        }
        world.model.listed += 1;
        let run = Run {
            entries: exported.entries.clone(),
            durable: exported.entries.len() as u64,
            epoch: 1,
            age: world.model.listed,
            open: Some(Open::Create),
            ..Run::default()
        };
        world.model.runs.insert(id.clone(), run);
        let imported = self.store().import(&exported.path);
        imported.map_err(|error| failed(world, "import", &error))?;
        world.model.runs.get_mut(id).expect("inserted above").open = None;
        Ok(())
    }

    /// The store ends in order, which moves the log into the database, and is opened again.
    fn reopen(&mut self, world: &mut World) -> Result<(), Stop> {
        self.hands.clear();
        self.store = None;
        // Whoever drops a store is not told that the disk went wrong: its leases may still be there.
        if world.disk.has_failed() {
            return Err(Stop::Failed);
        }
        let opened = world.open().map_err(|error| failed(world, "open", &error))?;
        let store = self.store.insert(opened);
        world.model.reconcile(store).map_err(|what| match world.disk.has_failed() {
            true => Stop::Failed,
            false => Stop::Broken(what),
        })
    }

    /// Another store takes a run over, because it holds this one's process for dead, or its lease has run out.
    /// This one goes on as if nothing had happened, and must not write any more.
    fn rival(&mut self, world: &mut World) -> Result<(), Stop> {
        let Some(id) = self.some(world, true) else { return Ok(()) };
        let own = world.owner();
        let opened = world.open();
        let rival = opened.map_err(|error| failed(world, "open", &error))?;
        world.is_known_to_be_gone(own);
        let hand = Self::resumed(&rival, world, &id)?;
        let mut other = Self { hands: BTreeMap::from([(id.clone(), hand)]), store: Some(rival) };
        if world.random.chance(0.7) {
            other.append(world, None)?;
        }
        let late = self.hands.remove(&id).expect("drawn from there");
        // Whatever was reported before is told; this is not written.
        late.reports.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let place = world.model.runs[&id].entries.len() as u64 + 100;
        late.writer.append(vec![entries::entry(&id, place, &mut world.random)]);
        self.store().commit();
        let reports = late.reports.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fenced = matches!(reports.as_slice(), [Err(Error::Fenced { .. })]);
        if !fenced {
            return Err(failed(world, "a late entry", &format!("{reports:?}")));
        }
        let closed = late.writer.close();
        if !matches!(closed, Err(Error::Fenced { .. })) {
            return Err(failed(world, "a late close", &format!("{closed:?}")));
        }
        if world.random.chance(0.5) {
            other.append(world, None)?;
        }
        // From here on the other one is the process of this life.
        for (id, hand) in std::mem::take(&mut self.hands) {
            hand.writer.close().map_err(|error| failed(world, "close", &error))?;
            drop(id);
        }
        std::mem::swap(self, &mut other);
        Ok(())
    }

    fn prune(&mut self, world: &mut World) -> Result<(), Stop> {
        let keep_last = world.random.below(4) as usize;
        let mut ages: Vec<u64> = world.model.runs.values().map(|run| run.age).collect();
        ages.sort_unstable_by(|a, b| b.cmp(a));
        let named = ages.get(keep_last).copied().unwrap_or(0);
        let mut expected = Vec::new();
        for (id, run) in &mut world.model.runs {
            if run.age <= named && !self.hands.contains_key(id) {
                run.open = Some(Open::Delete);
                expected.push(id.clone());
            }
        }
        let rules = Prune { keep_last, statuses: vec![RunStatus::Running], ..Prune::default() };
        let pruned = self.store().prune(&rules).map_err(|error| failed(world, "prune", &error))?;
        let mut deleted = pruned.deleted;
        deleted.sort_unstable();
        demand(deleted == expected, || format!("pruned {deleted:?}, should be {expected:?}"))?;
        expected.iter().for_each(|id| drop(world.model.runs.remove(id)));
        Ok(())
    }
}
