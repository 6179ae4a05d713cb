//! One run and its lives, from one seed.

use super::books::Books;
use super::host::World;
use super::life::{Ended, Life, PATH, options};
use super::program::{Expected, Program};
use loopwright_disk::{Crash, Disk, Fault, Image, Plan};
use loopwright_journal::Store;
use loopwright_protocol::RunFinish;
use loopwright_simulator::{Queue, Random, START};
use loopwright_types::{Micros, RunStatus};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

/// Lives in which nothing goes wrong any more, at most: parked runs need another one.
const CALM_LIVES_MAX: u64 = 4;

/// Set, it has every life print what it read and made.
pub(super) const TRACE: &str = "LOOPWRIGHT_CRASH_TRACE";

/// A run that can be crashed.
pub struct Case {
    disk: Disk,
    world: Rc<RefCell<World>>,
    program: Program,
    random: Random,
    crashes: u64,
}

/// A disk with an empty journal, so that most cases need not make it.
fn formatted() -> &'static Image {
    static FORMATTED: OnceLock<Image> = OnceLock::new();
    FORMATTED.get_or_init(|| {
        let disk = Disk::new(0);
        let options = options(&disk, &Arc::default(), 0);
        let store = Store::open_inline(disk.vfs(), Path::new(PATH), options);
        drop(store.expect("a healthy disk"));
        disk.image()
    })
}

impl Case {
    /// The case of this seed.
    pub fn new(seed: u64) -> Self {
        Self::of(seed, Program::draw(seed))
    }

    /// The case of this seed with another program.
    pub fn of(seed: u64, program: Program) -> Self {
        let disk = Disk::new(seed);
        if !seed.is_multiple_of(8) {
            disk.load(formatted());
        }
        let world = World {
            now: START,
            time: Arc::new(AtomicU64::new(START.0)),
            calendar: Queue::new(),
            random: Random::new(seed).fork(3),
            books: Books::default(),
            life: 0,
            seed,
            happened: 0,
        };
        let (world, random) = (Rc::new(RefCell::new(world)), Random::new(seed).fork(4));
        Self { disk, world, program, random, crashes: 0 }
    }

    /// Crashes the run some times. Returns how often.
    ///
    /// # Errors
    /// What was broken.
    pub fn go(mut self) -> Result<u64, String> {
        let crashes_max = 1 + self.random.below(12);
        self.run(None, crashes_max)?;
        Ok(self.crashes)
    }

    fn plan(&mut self) -> (Plan, Option<u64>) {
        let from = self.disk.operations();
        let reach = [4, 16, 48][self.random.below(3) as usize];
        let at = from + self.random.below(reach);
        let faults = [Fault::Write, Fault::Full, Fault::Sync, Fault::Read, Fault::Name];
        let calm = Plan::default();
        match self.random.below(12) {
            0 => (Plan { fault: Some((at, faults[self.random.below(5) as usize])), ..calm }, None),
            1 | 2 => {
                let happened = self.world.borrow().happened;
                (calm, Some(happened + 1 + self.random.below(40)))
            }
            _ => (Plan { crash_at: Some(at), ..calm }, None),
        }
    }

    fn live(&mut self, plan: Plan, kill_at: Option<u64>, undecided: bool) -> Result<Ended, String> {
        self.world.borrow_mut().life += 1;
        self.disk.plan(plan);
        if std::env::var_os(TRACE).is_some() {
            println!("from operation {}: {plan:?}, killed at {kill_at:?}", self.disk.operations());
        }
        let mut guests = (self.program.guests)();
        let life = Life {
            disk: &self.disk,
            world: Rc::clone(&self.world),
            program: &self.program,
            guests: &mut *guests,
            kill_at,
            undecided,
        };
        let ended = life.live();
        let broken = std::mem::take(&mut self.world.borrow_mut().books.broken);
        match broken.is_empty() {
            true => ended,
            false => Err(broken.join("; ")),
        }
    }

    /// The system goes down and comes up again some time later.
    fn crash(&mut self, plan: &Plan) {
        let sync_failed = matches!(plan.fault, Some((_, Fault::Sync)));
        let power = sync_failed || self.random.chance(0.7);
        self.disk.crash(if power { Crash::Power } else { Crash::Kill });
        self.crashes += 1;
        let away = Micros(
            self.random.below([1000, 300_000, 100_000_000][self.random.clone().below(3) as usize]),
        );
        let mut world = self.world.borrow_mut();
        let random = &mut self.random;
        world.books.went_down(|| random.chance(0.4));
        let now = world.now.after(away);
        world.pass_to(now);
        self.disk.set_clock(now.0);
    }

    /// Goes from life to life. `first` is the plan of the first one.
    fn run(&mut self, first: Option<Plan>, crashes_max: u64) -> Result<(), String> {
        let (mut plan, mut kill_at) = match first {
            Some(plan) => (plan, None),
            None => self.plan(),
        };
        let mut calm = 0;
        loop {
            let undecided = calm == 0 && self.random.chance(0.2);
            let number = self.world.borrow().life + 1;
            let life = format!("life {number}, {plan:?}, killed at {kill_at:?}: ");
            let ended = self.live(plan, kill_at, undecided);
            match ended.map_err(|what| format!("{life}{what}"))? {
                Ended::Run(finish) if finish.status != RunStatus::Parked => {
                    return self.check_end(&finish, &plan);
                }
                Ended::Before(finish) => return self.check_end(&finish, &plan),
                Ended::Run(_) | Ended::Died => {}
            }
            self.crash(&plan);
            if self.crashes < crashes_max {
                (plan, kill_at) = self.plan();
            } else {
                (plan, kill_at) = (Plan::default(), None);
                calm += 1;
                if calm > CALM_LIVES_MAX {
                    return Err("the run does not come to its end".to_owned());
                }
            }
        }
    }

    /// The run has ended: what was told must still be there after one more crash, and be right.
    fn check_end(&mut self, finish: &RunFinish, plan: &Plan) -> Result<(), String> {
        if !self.program.has_races() {
            let result = finish.result.as_ref().map(|json| json.read().unwrap_or_default());
            let result: serde_json::Value = result.unwrap_or_default();
            let right = match &self.program.expected {
                Expected::Value(expected) if *expected == result => Ok(()),
                Expected::Value(expected) => Err(format!("{result}, should be {expected}")),
                Expected::Checked(check) => check(&result),
                Expected::Anything => Ok(()),
            };
            let right = right.and(match finish.status {
                RunStatus::Complete => Ok(()),
                status => Err(status.as_str().to_owned()),
            });
            right.map_err(|what| format!("the result is {what}; {:?}", finish.error))?;
        }
        self.crash(plan);
        match self.live(Plan::default(), None, false)? {
            Ended::Before(found)
                if (found.status, &found.result) == (finish.status, &finish.result) =>
            {
                Ok(())
            }
            _ => Err(format!("`{}` was told and is forgotten", finish.status.as_str())),
        }
    }
}

/// One case: a run that is crashed some times. Returns how often.
///
/// # Errors
/// What was broken.
pub fn case(seed: u64) -> Result<u64, String> {
    Case::new(seed).go()
}

/// How many operations of the disk the seed's run has if nothing goes wrong: its crash points.
///
/// # Errors
/// What was broken.
pub fn operations(seed: u64) -> Result<u64, String> {
    let mut case = Case::new(seed);
    case.live(Plan::default(), None, false)?;
    Ok(case.disk.operations())
}

/// The seed's run, crashed at this operation and then left alone.
///
/// # Errors
/// What was broken.
pub fn case_at(seed: u64, at: u64) -> Result<u64, String> {
    let mut case = Case::new(seed);
    case.run(Some(Plan { crash_at: Some(at), ..Plan::default() }), 1)?;
    Ok(case.crashes)
}
