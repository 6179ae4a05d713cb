//! E7: 16 entries, a judge is right with probability 0.8, matches are decided by 1, 3 or 5 judges.

use super::{experiment, simulate};
use loopwright_protocol::{Dispatch, Work};
use loopwright_simulator::{Plan, Random, Simulation};
use serde_json::json;

pub const ENTRIES: usize = 16;
pub const JUDGES: [usize; 3] = [1, 3, 5];
const RIGHT: f64 = 0.8;
/// Milliseconds of one judgement.
const JUDGEMENT_MS: u64 = 10;

/// The probability that the best entry wins all its matches.
pub fn theory(judges: usize) -> f64 {
    let majority: f64 = (judges / 2 + 1..=judges)
        .map(|right| {
            let choose: f64 = (1..=right).map(|i| (judges - right + i) as f64 / i as f64).product();
            choose * RIGHT.powi(right as i32) * (1.0 - RIGHT).powi((judges - right) as i32)
        })
        .sum();
    majority.powi(ENTRIES.ilog2() as i32)
}

/// Whether the best entry won, and how many judgements after one another the tournament took.
pub fn run(judges: usize, seed: u64) -> (bool, u64) {
    let plans = |dispatch: &Dispatch, random: &mut Random| {
        let Work::Task(task) = &dispatch.work else { unreachable!("only tasks are called") };
        let strength: Vec<u32> =
            task.prompt.split(' ').filter_map(|word| word.parse().ok()).collect();
        let first = (strength[0] > strength[1]) == random.chance(RIGHT);
        Plan::done(json!({ "winner": if first { "a" } else { "b" } })).after_ms(JUDGEMENT_MS)
    };
    let simulation = Simulation::new(experiment("tournament.ts"), seed)
        .set("run.concurrency", "100")
        .args(&json!({ "entries": ENTRIES, "judges": judges }))
        .plans(plans);
    let run = simulate(simulation);
    let result = run.result();
    assert_eq!(result["rounds"], ENTRIES.ilog2());
    (result["best"] == true, run.elapsed.as_millis() / JUDGEMENT_MS)
}
