//! E2: 50 items through 3 stages of exponential(1) durations, behind barriers and in a pipeline.

use super::{Estimate, estimate, experiment, simulate};
use loopwright_protocol::{Dispatch, Work};
use loopwright_simulator::{Plan, Random, Simulation};
use loopwright_types::Micros;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

pub const ITEMS: usize = 50;
pub const STAGES: usize = 3;
/// One unit of time of the experiment.
const UNIT: f64 = 1e6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Barrier,
    Pipeline,
}

pub const CASES: [(Form, usize); 4] =
    [(Form::Barrier, 50), (Form::Pipeline, 50), (Form::Barrier, 8), (Form::Pipeline, 8)];

/// How long each stage of each item takes, in microseconds.
type Durations = [[u64; STAGES]; ITEMS];

pub fn durations(seed: u64) -> Durations {
    let mut random = Random::new(seed).fork(2);
    let mut all = [[0; STAGES]; ITEMS];
    all.iter_mut().flatten().for_each(|one| *one = random.exponential(UNIT).round() as u64);
    all
}

/// The makespan of the real program under the real engine, in microseconds of virtual time.
pub fn makespan(form: Form, cap: usize, seed: u64) -> u64 {
    let durations = durations(seed);
    let plans = move |dispatch: &Dispatch, _: &mut Random| {
        let Work::Task(task) = &dispatch.work else { unreachable!("only tasks are called") };
        let mut numbers = task.prompt.split(' ').filter_map(|word| word.parse::<usize>().ok());
        let (stage, item) = (numbers.next().unwrap(), numbers.next().unwrap());
        Plan::done("ok").after(Micros(durations[item][stage]))
    };
    let name = if form == Form::Barrier { "barrier.ts" } else { "pipeline.ts" };
    let simulation = Simulation::new(experiment(name), seed)
        .set("run.concurrency", &cap.to_string())
        .args(&serde_json::json!({ "items": ITEMS }))
        .plans(plans);
    let run = simulate(simulation);
    assert_eq!(run.result(), ITEMS, "{:?}", run.finish());
    run.elapsed.0
}

/// The makespan of the same durations by list scheduling, written down without the engine: a free server
/// takes the call that was made first.
pub fn scheduled(form: Form, cap: usize, durations: &Durations) -> u64 {
    if form == Form::Barrier {
        return (0..STAGES)
            .map(|stage| list(cap, (0..ITEMS).map(|item| vec![durations[item][stage]])))
            .sum();
    }
    list(cap, durations.iter().map(|stages| stages.to_vec()))
}

/// Chains of jobs on `cap` servers; a chain's next job joins the end of the queue when the one before is done.
fn list(cap: usize, chains: impl Iterator<Item = Vec<u64>>) -> u64 {
    let mut waiting: VecDeque<VecDeque<u64>> = chains.map(VecDeque::from).collect();
    let mut running = BinaryHeap::new();
    let mut now = 0;
    loop {
        while running.len() < cap
            && let Some(mut chain) = waiting.pop_front()
        {
            let job = chain.pop_front().expect("a waiting chain has a job");
            running.push(Reverse((now + job, chain)));
        }
        let Some(Reverse((end, chain))) = running.pop() else { return now };
        now = end;
        if !chain.is_empty() {
            waiting.push_back(chain);
        }
    }
}

/// The expected makespan in units: closed forms, a numeric integral, and for the pipeline at a cap a Monte
/// Carlo of the scheduler above, whose error is given.
pub fn theory(form: Form, cap: usize, draws: u64) -> Estimate {
    let exact = |mean| Estimate { mean, error: 0.0, n: 0 };
    let harmonic = |n: usize| (1..=n).map(|k| 1.0 / k as f64).sum::<f64>();
    match form {
        // While more than `cap` jobs are left one ends every 1/cap; the last ones one by one.
        Form::Barrier => {
            let full = ITEMS.saturating_sub(cap) as f64 / cap as f64;
            exact(STAGES as f64 * (full + harmonic(cap.min(ITEMS))))
        }
        Form::Pipeline if cap >= ITEMS => exact(longest_chain()),
        Form::Pipeline => estimate((0..draws).map(|seed| {
            scheduled(form, cap, &durations(seed.wrapping_add(1 << 40))) as f64 / UNIT
        })),
    }
}

/// The expected maximum of `ITEMS` sums of three exponential(1): the integral of 1 − F(t)ⁿ by Simpson's rule.
fn longest_chain() -> f64 {
    let tail = |t: f64| (-t).exp() * (1.0 + t + t * t / 2.0);
    let survival = |t: f64| 1.0 - (1.0 - tail(t)).powi(ITEMS as i32);
    let (steps, end) = (20_000, 60.0);
    let width = end / f64::from(steps);
    let inner: f64 = (1..steps)
        .map(|k| survival(f64::from(k) * width) * if k % 2 == 1 { 4.0 } else { 2.0 })
        .sum();
    (survival(0.0) + inner + survival(end)) * width / 3.0
}

/// The mean makespan of the real runs of these seeds, in units.
pub fn measured(form: Form, cap: usize, seeds: u64) -> Estimate {
    estimate((0..seeds).map(|seed| makespan(form, cap, seed) as f64 / UNIT))
}
