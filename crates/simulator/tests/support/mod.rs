//! Shared by the tests and benches of real programs: the real interpreter under the simulation.
#![allow(dead_code)] // each uses its own part

pub mod elimination; // E7: who wins a tournament
pub mod search; // E3: searching until nothing new turns up
pub mod stages; // E2: barrier and pipeline

use loopwright_engine::{Replayed, replay};
use loopwright_interpreter::{GAS_PER_MS, Guests, Interpreter, Options, run_on_big_stack};
use loopwright_protocol::{Json, ProgramText};
use loopwright_simulator::{Simulated, Simulation};
use loopwright_types::Settings;
use std::path::Path;
use std::sync::OnceLock;

/// One interpreter for the whole process; its compiled code is kept between builds.
pub fn interpreter() -> &'static Interpreter {
    static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();
    INTERPRETER.get_or_init(|| {
        let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-cache"));
        let options = Options { cache_dir, pool: 16, ..Options::default() };
        Interpreter::new(options).expect("the interpreter starts")
    })
}

/// Source text as a program that can run.
pub fn program(name: &str, source: &str) -> ProgramText {
    let parsed =
        loopwright_program::parse(name, source).unwrap_or_else(|report| panic!("{report}"));
    ProgramText {
        name: parsed.name,
        source: parsed.source,
        digest: parsed.digest,
        code: parsed.code,
        strict: parsed.strict,
        prefix_columns: parsed.prefix_columns,
        modules: Vec::new(),
        meta: parsed.meta.map(|meta| Json::of(&meta.raw)),
    }
}

/// One of the programs of the experiments.
pub fn experiment(name: &str) -> ProgramText {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name);
    let source = std::fs::read_to_string(&path).expect("the program is there");
    program(name, &source)
}

/// Runs a simulation on the real interpreter.
pub fn simulate(mut simulation: Simulation) -> Simulated {
    let interpreter = interpreter();
    simulation.start.interpreter = interpreter.hash();
    simulation.gas_per_ms = GAS_PER_MS;
    let mut guests = Guests::new(interpreter.clone(), &simulation.start.settings);
    simulation.run(&mut guests)
}

/// Runs the guests of a finished run again from its journal.
pub fn replay_of(run: &Simulated) -> Replayed {
    let mut guests = Guests::new(interpreter().clone(), &settings(run));
    match replay(run.entries.clone(), &mut guests, GAS_PER_MS) {
        Ok(replayed) => replayed,
        Err(mismatch) => panic!("{}", mismatch.diagnostic()),
    }
}

fn settings(run: &Simulated) -> Settings {
    match run.entries.first() {
        Some(loopwright_protocol::Entry::RunStarted(start)) => start.settings.clone(),
        other => panic!("not a run's first entry: {other:?}"),
    }
}

/// Runs many simulations on a stack that guests may recurse on, without a thread for each turn.
pub fn on_big_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    run_on_big_stack(work)
}

/// Mean and its standard error.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
    /// Of how many.
    pub n: u32,
}

/// The mean of some draws.
pub fn estimate(draws: impl IntoIterator<Item = f64>) -> Estimate {
    let (mut n, mut mean, mut squares) = (0u32, 0.0, 0.0);
    for draw in draws {
        n += 1;
        let step = draw - mean;
        mean += step / f64::from(n);
        squares += step * (draw - mean);
    }
    let variance = squares / f64::from(n - 1);
    Estimate { mean, error: (variance / f64::from(n)).sqrt(), n }
}
