//! One simulated run: what goes in, what came out.

use crate::books::Books;
use crate::host::World;
use crate::plan::{Plan, Plans, Timed, echo};
use crate::watch::WatchedGuests;
use crate::{Random, SimHost, audit};
use loopwright_engine::{Engine, Recorded, Verdict, drive};
use loopwright_host::Guests;
use loopwright_protocol::{
    Dispatch, Entry, ForkedFrom, Json, ProgramText, RunFinish, RunStart, SettleEntry, Subagent,
};
use loopwright_types::{
    CallId, Diagnostic, Digest, Effects, GuestId, Micros, RunId, RunStatus, Settings, Usage,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use thiserror::Error;

/// When simulated runs begin: 2026-01-01T00:00:00Z.
pub const START: Micros = Micros(1_767_225_600_000_000);
/// Any calibration does where the guests count no gas of their own.
const GAS_PER_MS: u64 = 10_000;

/// What a host does wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// This sync fails, counted from 1.
    pub sync_failing: Option<u64>,
    /// The entry of this number, counted from 0, cannot be appended.
    pub append_failing: Option<u64>,
    /// The clock shown to the engine goes back now and then, by up to five seconds.
    pub clock_goes_back: bool,
    /// Dropped and moved timers are reported all the same.
    pub timers_stay: bool,
    /// Progress is reported also of attempts that have ended.
    pub progress_late: bool,
}

/// How the simulated host is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Seed of everything the host draws.
    pub seed: u64,
    /// Things of one moment come in a seeded order, together or one by one; else in order of insertion.
    pub shuffled: bool,
    /// How long a sync takes; what is appended meanwhile becomes durable with the next one.
    pub sync_delay: Micros,
    /// A run with more happenings than this is stopped.
    pub events_max: u64,
    /// The operator cancels the run this long after its start.
    pub cancel_after: Option<Micros>,
    /// The operator pauses the run this long after its start.
    pub pause_after: Option<Micros>,
    /// What goes wrong.
    pub faults: Faults,
}

/// Why a simulated run did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stopped {
    /// Nothing can ever happen any more.
    #[error("nothing can happen any more at `{now}`: `{running}` attempts never end")]
    Deadlock {
        /// The clock.
        now: Micros,
        /// Attempts that have not ended.
        running: usize,
    },
    /// The backstop of happenings was reached.
    #[error("stopped after `{events}` happenings")]
    Backstop {
        /// The backstop.
        events: u64,
    },
    /// The fault plan failed this sync.
    #[error("sync `{number}` failed")]
    SyncFailed {
        /// Counted from 1.
        number: u64,
    },
    /// The process died when so many entries were durable.
    #[error("the process died after `{entries}` entries")]
    Crashed {
        /// Durable entries.
        entries: u64,
    },
    /// The fault plan refused this entry.
    #[error("entry `{number}` cannot be appended")]
    AppendFailed {
        /// Counted from 0.
        number: u64,
    },
}

/// A run to be simulated.
pub struct Simulation {
    /// The run's inputs.
    pub start: RunStart,
    /// The host.
    pub setup: Setup,
    /// Virtual time per call of the interpreter's calibration.
    pub gas_per_ms: u64,
    pub(crate) plans: Box<dyn Plans>,
    pub(crate) programs: HashMap<String, ProgramText>,
    pub(crate) past: Option<Recorded>,
}

/// What a simulated run left behind.
pub struct Simulated {
    /// The run's status, or why there is none.
    pub ended: Result<RunStatus, Stopped>,
    /// Every entry written, durable or not.
    pub entries: Vec<Entry>,
    /// How many of them are durable.
    pub durable: u64,
    /// The simulator's own record.
    pub books: Books,
    /// From the start of the run to its end.
    pub elapsed: Micros,
}

impl Simulation {
    /// A run of the program with the subagent type `general-purpose` (effects `none`), default settings,
    /// instant syncs, and attempts that end at once.
    pub fn new(program: ProgramText, seed: u64) -> Self {
        let start = RunStart {
            run: RunId::parse("simulated").expect("a valid name"),
            now: START,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            interpreter: Digest::of(b"simulated"),
            program,
            args: None,
            settings: Settings::default(),
            seed,
            subagents: vec![subagent("general-purpose")],
            tools: Vec::new(),
            models: Default::default(),
            model: None,
            agents_dir: None,
            rehearsal: false,
            from: None,
            workspace: "/workspace".to_owned(),
        };
        let setup = Setup {
            seed,
            shuffled: false,
            sync_delay: Micros(0),
            events_max: 10_000_000,
            cancel_after: None,
            pause_after: None,
            faults: Faults::default(),
        };
        let plans = Box::new(echo);
        let programs = HashMap::new();
        Self { start, setup, gas_per_ms: GAS_PER_MS, plans, programs, past: None }
    }

    /// Sets one of the run's settings.
    ///
    /// # Panics
    /// When the name or the value is not valid.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.start.settings.set(name, value).unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// Adds a subagent type, or replaces the one of that name.
    #[must_use]
    pub fn subagent(mut self, subagent: Subagent) -> Self {
        self.start.subagents.retain(|known| known.name != subagent.name);
        self.start.subagents.push(subagent);
        self
    }

    /// Decides what every dispatch does.
    #[must_use]
    pub fn plans(mut self, plans: impl Plans + 'static) -> Self {
        self.plans = Box::new(plans);
        self
    }

    /// Decides what every dispatch does, by the time at which it goes out.
    #[must_use]
    pub fn timed_plans(
        mut self,
        plans: impl FnMut(&Dispatch, Micros, &mut Random) -> Plan + 'static,
    ) -> Self {
        self.plans = Box::new(Timed(plans));
        self
    }

    /// Adds a saved program for `workflow()`.
    #[must_use]
    pub fn saved(mut self, program: ProgramText) -> Self {
        self.programs.insert(program.name.clone(), program);
        self
    }

    /// Gives the program arguments.
    #[must_use]
    pub fn args(mut self, args: &serde_json::Value) -> Self {
        self.start.args = Some(Json::of(args));
        self
    }

    /// Changes how the host is set up.
    #[must_use]
    pub fn setup(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self
    }

    /// Takes outcomes over from a recorded run.
    #[must_use]
    pub fn past(mut self, past: Recorded) -> Self {
        self.start.from = Some(Box::new(ForkedFrom {
            run: past.run().clone(),
            entries: 0,
            at: None,
            edited: false,
            reuse_effects: false,
            stale: Vec::new(),
        }));
        self.past = Some(past);
        self
    }

    /// What the run would do as a fork of its past; `changed` as in [`Engine::forecasting`], no tool is free.
    ///
    /// # Panics
    /// When it has no past.
    pub fn forecast(self, guests: &mut dyn Guests, changed: bool) -> Vec<(CallId, Verdict)> {
        let (past, now) = (self.past.expect("a fork has a past"), self.start.now);
        let books = Rc::new(RefCell::new(Books::new(&self.start)));
        let world = World { plans: self.plans, programs: self.programs };
        let mut host = SimHost::new(now, self.setup, world, Vec::new(), books);
        let mut engine = Engine::new(self.start, self.gas_per_ms).forecasting(past, &[], changed);
        // It parks or deadlocks where an answer is not to be had: the rest is not forecast.
        let _ = drive(&mut engine, &mut host, guests, now, &mut |_| {});
        engine.forecasted().expect("it was only forecast").1
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When the engine breaks one of the promises that the books and the audit check.
    pub fn run(self, guests: &mut dyn Guests) -> Simulated {
        let (seed, now) = (self.setup.seed, self.start.now);
        let books = Rc::new(RefCell::new(Books::new(&self.start)));
        let kept = Rc::clone(&books);
        let world = World { plans: self.plans, programs: self.programs };
        let mut host = SimHost::new(now, self.setup, world, Vec::new(), kept);
        let mut engine = Engine::new(self.start, self.gas_per_ms);
        if let Some(past) = self.past {
            engine = engine.with_past(past);
        }
        let mut watched = WatchedGuests::new(guests, Rc::clone(&books));
        let ended = drive(&mut engine, &mut host, &mut watched, now, &mut |_| {});
        drop(watched);
        let elapsed = host.now().since(now);
        let (entries, durable, stopped, _) = host.into_journal();
        let ended = ended.map(|ended| ended.status);
        let books = Rc::into_inner(books).expect("host and guests are gone").into_inner();
        Simulated::checked(seed, ended, stopped, (entries, durable), books, elapsed)
    }
}

impl Simulated {
    /// What a run left behind, held against the books.
    pub(crate) fn checked(
        seed: u64,
        ended: Result<RunStatus, Diagnostic>,
        stopped: Option<Stopped>,
        (entries, durable): (Vec<Entry>, u64),
        mut books: Books,
        elapsed: Micros,
    ) -> Self {
        let ended = match (ended, stopped) {
            (_, Some(stopped)) => Err(stopped),
            (Ok(status), None) => Ok(status),
            (Err(error), None) => unreachable!("only the host's own stops are errors: {error}"),
        };
        let violations = audit::audit(&entries, &books, ended.as_ref().ok().copied());
        books.violations.extend(violations);
        let violations = books.violations.join("\n  ");
        if !violations.is_empty() && std::env::var_os("LOOPWRIGHT_SIMULATOR_SEED").is_some() {
            entries.iter().for_each(|entry| println!("{entry:?}"));
        }
        assert!(violations.is_empty(), "seed {seed}: broken promises:\n  {violations}");
        Self { ended, entries, durable, books, elapsed }
    }
}

impl Simulated {
    /// The run's last entry.
    ///
    /// # Panics
    /// When the run did not come to its end.
    pub fn finish(&self) -> &RunFinish {
        match (self.entries.last(), &self.ended) {
            (Some(Entry::RunFinished(finish)), Ok(_)) => finish,
            (_, ended) => panic!("the run did not end: {ended:?}"),
        }
    }

    /// The program's value; `null` when there is none.
    pub fn result(&self) -> serde_json::Value {
        let result = self.finish().result.as_ref();
        result.map_or_else(Default::default, |json| json.read().expect("a result is JSON"))
    }

    /// How a call ended.
    pub fn settled(&self, call: u32) -> Option<&SettleEntry> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Settled(settled) if settled.call == CallId(call) => Some(&**settled),
            _ => None,
        })
    }

    /// Guests that were started, the program included.
    pub fn guests(&self) -> Vec<GuestId> {
        let nested = self.entries.iter().filter_map(|entry| match entry {
            Entry::GuestStarted { guest, .. } => Some(*guest),
            _ => None,
        });
        std::iter::once(GuestId(0)).chain(nested).collect()
    }

    /// What every attempt used.
    pub fn usage(&self) -> Usage {
        self.books.usage()
    }
}

/// A subagent type served by the mock, with effects `none` and no cap of its own.
pub fn subagent(name: &str) -> Subagent {
    Subagent {
        name: name.to_owned(),
        description: format!("simulated {name}"),
        driver: "mock".to_owned(),
        provider: "mock".to_owned(),
        model: None,
        effects: Effects::None,
        concurrency: None,
        tools: None,
        tools_denied: Vec::new(),
        system_prompt: String::new(),
        max_turns: None,
        lookup: false,
        digest: Digest::of(name.as_bytes()),
        source: None,
    }
}
