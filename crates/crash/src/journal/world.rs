//! Disk, clock and stores of one case.

use super::model::Model;
use super::steps::{Life, Stop};
use crate::entries;
use loopwright_disk::{Crash, Disk, Fault, Image, Plan};
use loopwright_journal::{Options, Prune, Store};
use loopwright_protocol::Entry;
use loopwright_simulator::Random;
use loopwright_types::{Micros, RunId};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

const PATH: &str = "/journal.db";

/// Small, so that a few entries have values of their own.
const INLINE_BYTES_MAX: usize = 256;

/// Small, so that a life may see the log moved.
const CHECKPOINT_BYTES: usize = 100_000;

/// Everything of one case that outlives its processes.
pub(super) struct World {
    pub disk: Disk,
    pub time: Arc<AtomicU64>,
    pub gone: Arc<Mutex<Vec<String>>>,
    pub random: Random,
    pub model: Model,
    pub names: u64,
    pub steps: u64,
    pub crashes: u64,
}

/// A run in a file, to be imported.
pub(super) struct Exported {
    pub run: RunId,
    pub path: PathBuf,
    pub entries: Vec<Entry>,
    _directory: tempfile::TempDir,
}

/// Made once for all cases, by a journal on a disk of its own.
pub(super) fn exported() -> &'static Exported {
    static EXPORTED: OnceLock<Exported> = OnceLock::new();
    EXPORTED.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory to write to");
        let path = directory.path().join("run");
        let mut world = World::new(0);
        let store = world.open().expect("a store on a healthy disk");
        let run = RunId::parse("imported").expect("a valid name");
        let writer = store
            .create(&entries::start(&run, world.now()), Box::new(|_| {}))
            .expect("a run in an empty journal");
        let mut entries = vec![Entry::RunStarted(Box::new(entries::start(&run, world.now())))];
        entries.extend((1..9).map(|place| entries::entry(&run, place, &mut world.random)));
        writer.append(entries.clone());
        writer.close().expect("a healthy disk");
        store.export(&run, &path).expect("a directory that can be written");
        Exported { run, path, entries, _directory: directory }
    })
}

/// A disk with an empty journal, closed in order: made once, so that most cases need not make it again.
fn formatted() -> &'static Image {
    static FORMATTED: OnceLock<Image> = OnceLock::new();
    FORMATTED.get_or_init(|| {
        let mut world = World::new(0);
        drop(world.open().expect("a store on a healthy disk"));
        world.disk.image()
    })
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            disk: Disk::new(seed),
            time: Arc::new(AtomicU64::new(1 << 40)),
            gone: Arc::default(),
            random: Random::new(seed).fork(1),
            model: Model::default(),
            names: 0,
            steps: 0,
            crashes: 0,
        }
    }

    pub fn now(&self) -> Micros {
        Micros(self.time.load(Ordering::Relaxed))
    }

    pub fn pass(&self, micros: u64) {
        self.time.fetch_add(micros, Ordering::Relaxed);
        self.disk.set_clock(self.now().0);
    }

    pub fn owner(&self) -> String {
        format!("owner-{}", self.names)
    }

    /// Whoever opens the journal next is somebody else.
    pub fn options(&mut self) -> Options {
        self.names += 1;
        let (time, gone) = (Arc::clone(&self.time), Arc::clone(&self.gone));
        let is_gone = move |owner: &str| {
            let gone = gone.lock().unwrap_or_else(PoisonError::into_inner);
            gone.iter().any(|name| name == owner)
        };
        Options {
            inline_bytes_max: INLINE_BYTES_MAX,
            checkpoint_bytes: CHECKPOINT_BYTES,
            clock: Arc::new(move || Micros(time.load(Ordering::Relaxed))),
            owner: self.owner(),
            gone: Arc::new(is_gone),
            sync_names: Arc::new(self.disk.directory()),
            ..Options::default()
        }
    }

    pub fn open(&mut self) -> Result<Store, loopwright_journal::Error> {
        let options = self.options();
        Store::open_inline(self.disk.vfs(), Path::new(PATH), options)
    }

    pub fn is_known_to_be_gone(&self, owner: String) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).push(owner);
    }

    /// The database as SQLite alone sees it.
    pub fn database(&self) -> Result<Connection, String> {
        let opened =
            Connection::open_with_flags_and_vfs(PATH, OpenFlags::default(), self.disk.vfs());
        opened.map_err(|error| format!("open: {error}"))
    }

    /// One life: from opening the journal to the crash, or to the end of its steps.
    fn live(&mut self, plan: Plan) -> Result<(), String> {
        self.disk.plan(plan);
        let first = self.names + 1;
        let ended = Life::open(self).and_then(|mut life| {
            let mut steps = || {
                for _ in 0..=self.random.below(10) {
                    life.step(self)?;
                    self.steps += 1;
                }
                Ok(())
            };
            let ended = steps();
            // Ended in order, or in the middle of whatever it did.
            if self.random.chance(0.5) {
                let crash_at = Some(self.disk.operations());
                self.disk.plan(Plan { crash_at, ..Plan::default() });
            }
            drop(life);
            ended
        });
        let sync_failed = matches!(plan.fault, Some((_, Fault::Sync))) && self.disk.has_failed();
        match ended {
            Err(Stop::Broken(what)) => return Err(what),
            Err(Stop::Failed) | Ok(()) => {}
        }
        // What a failed sync has lost shows once the system starts again.
        let power = sync_failed || self.random.chance(0.7);
        self.disk.crash(if power { Crash::Power } else { Crash::Kill });
        self.crashes += 1;
        if self.random.chance(0.7) {
            (first..=self.names).for_each(|name| self.is_known_to_be_gone(format!("owner-{name}")));
        } else {
            self.pass(Options::default().lease.0 + 1);
        }
        Ok(())
    }

    /// Opens the journal, perhaps crashing on the way, and holds it against the model.
    fn recover(&mut self) -> Result<(), String> {
        if self.random.chance(0.2) {
            let crash_at = Some(self.disk.operations() + self.random.below(6));
            self.disk.plan(Plan { crash_at, ..Plan::default() });
            let opened = self.open();
            if let Err(error) = &opened
                && !self.disk.has_failed()
            {
                return Err(format!("open: {error}"));
            }
            drop(opened);
            self.disk.crash(Crash::Power);
            self.crashes += 1;
        }
        let store = self.open().map_err(|error| format!("open: {error}"))?;
        self.model.reconcile(&store)
    }

    /// Nothing is left over once everything was cleared away, and every page is whole.
    fn check_room(&mut self) -> Result<(), String> {
        let store = self.open().map_err(|error| format!("open: {error}"))?;
        let rules = Prune { keep_last: usize::MAX, ..Prune::default() };
        let pruned = store.prune(&rules).map_err(|error| format!("prune: {error}"))?;
        if !(pruned.deleted.is_empty() && pruned.damage.is_empty()) {
            return Err(format!("prune: {pruned:?}"));
        }
        drop(store);
        let database = self.database()?;
        let queries = [
            ("PRAGMA integrity_check", "ok"),
            ("SELECT count(*) FROM blobs WHERE number NOT IN (SELECT blob FROM uses)", "0"),
            ("SELECT count(*) FROM uses WHERE run NOT IN (SELECT number FROM runs)", "0"),
            ("SELECT count(*) FROM entries WHERE row >> 40 NOT IN (SELECT number FROM runs)", "0"),
            ("SELECT count(*) FROM leases WHERE run NOT IN (SELECT number FROM runs)", "0"),
            ("SELECT count(*) FROM runs WHERE number NOT IN (SELECT run FROM leases)", "0"),
        ];
        for (query, expected) in queries {
            let text = format!("SELECT CAST(x AS TEXT) FROM ({query})");
            let text = match query.starts_with("PRAGMA") {
                true => query.to_owned(),
                false => text.replacen("count(*)", "count(*) AS x", 1),
            };
            let found: String = database
                .query_row(&text, [], |row| row.get(0))
                .map_err(|error| format!("{query}: {error}"))?;
            if found != expected {
                return Err(format!("{query}: {found}"));
            }
        }
        Ok(())
    }
}

/// The plan of a life: usually a crash, now and then a fault of the disk, now and then neither.
fn draw_plan(disk: &Disk, random: &mut Random) -> Plan {
    let from = disk.operations();
    let reach = [8, 40, 120][random.below(3) as usize];
    let at = from + random.below(reach);
    let faults = [Fault::Write, Fault::Full, Fault::Sync, Fault::Read, Fault::Name];
    match random.below(10) {
        0 => Plan { fault: Some((at, faults[random.below(5) as usize])), ..Plan::default() },
        1 => Plan::default(),
        _ => Plan { crash_at: Some(at), ..Plan::default() },
    }
}

/// Makes what all cases share.
pub fn prepare() {
    formatted();
    exported();
}

fn begin(seed: u64) -> World {
    let world = World::new(seed);
    // One case in eight also makes the journal.
    if !seed.is_multiple_of(8) {
        world.disk.load(formatted());
    }
    world
}

fn end(mut world: World, seed: u64) -> Result<u64, String> {
    if seed.is_multiple_of(4) {
        world.check_room()?;
    }
    if seed % 4 == 1 {
        super::damage::check(&mut world)?;
    }
    Ok(world.crashes)
}

/// One case: several lives on one disk. Returns how often it crashed.
///
/// # Errors
/// What was broken.
pub fn case(seed: u64) -> Result<u64, String> {
    let mut world = begin(seed);
    for _ in 0..=world.random.below(6) {
        let plan = draw_plan(&world.disk, &mut world.random);
        let life = format!("life {} of {plan:?}", world.crashes);
        world
            .live(plan)
            .and_then(|()| world.recover())
            .map_err(|what| format!("{life}: {what}"))?;
    }
    end(world, seed)
}

/// How many operations the seed's first life has if nothing goes wrong: its crash points.
///
/// # Errors
/// What was broken.
pub fn operations(seed: u64) -> Result<u64, String> {
    let mut world = begin(seed);
    world.live(Plan::default())?;
    let operations = world.disk.operations();
    world.recover()?;
    Ok(operations)
}

/// The seed's first life, crashed at this operation.
///
/// # Errors
/// What was broken.
pub fn case_at(seed: u64, at: u64) -> Result<u64, String> {
    let mut world = begin(seed);
    let told = |what| format!("crashed at operation {at}: {what}");
    world.live(Plan { crash_at: Some(at), ..Plan::default() }).map_err(told)?;
    world.recover().map_err(told)?;
    end(world, seed)
}
