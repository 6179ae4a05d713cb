//! E3: 60 hidden findings, each round finds each with probability p, until d rounds in a row bring nothing new.

use super::{experiment, simulate};
use loopwright_protocol::{Dispatch, Work};
use loopwright_simulator::{Plan, Random, Simulated, Simulation};

pub const HIDDEN: usize = 60;
/// (p, d)
pub const CASES: [(f64, usize); 2] = [(0.3, 2), (0.1, 2)];

/// Expected rounds and recall: a Markov chain over what is still unseen and how many rounds were dry.
pub fn theory(p: f64, d: usize) -> (f64, f64) {
    // By unseen findings: rounds from here, and how many stay unseen, with no dry round so far.
    let mut from: Vec<(f64, f64)> = Vec::with_capacity(HIDDEN + 1);
    for unseen in 0..=HIDDEN {
        let dry = (1.0 - p).powi(unseen as i32);
        let (mut rounds, mut left) = (0.0, 0.0);
        for found in 1..=unseen {
            let chance = binomial(unseen, found, p);
            rounds += chance * from[unseen - found].0;
            left += chance * from[unseen - found].1;
        }
        // Backwards from the d-th dry round, where it ends with these unseen.
        let mut state = (0.0, unseen as f64);
        for _ in 0..d {
            state = (1.0 + dry * state.0 + rounds, dry * state.1 + left);
        }
        from.push(state);
    }
    let (rounds, left) = from[HIDDEN];
    (rounds, 1.0 - left / HIDDEN as f64)
}

fn binomial(n: usize, k: usize, p: f64) -> f64 {
    let choose: f64 = (1..=k).map(|i| (n - k + i) as f64 / i as f64).product();
    choose * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
}

/// Each searcher finds each hidden finding with probability `p`; of the findings every fifth does not hold.
fn finding(p: f64) -> impl FnMut(&Dispatch, &mut Random) -> Plan + 'static {
    move |dispatch: &Dispatch, random: &mut Random| {
        let Work::Task(task) = &dispatch.work else { unreachable!("only tasks are called") };
        if let Some(finding) = task.prompt.strip_prefix("verify ") {
            let holds = finding.parse::<usize>().unwrap() % 5 != 0;
            return Plan::done(if holds { "holds" } else { "refuted" }).after_ms(10);
        }
        let found: Vec<usize> = (0..HIDDEN).filter(|_| random.chance(p)).collect();
        Plan::done(serde_json::json!({ "findings": found })).after_ms(10)
    }
}

/// The real program's run.
pub fn run(name: &str, p: f64, d: usize, seed: u64) -> Simulated {
    let simulation = Simulation::new(experiment(name), seed)
        .args(&serde_json::json!({ "dry": d }))
        .plans(finding(p));
    simulate(simulation)
}

/// Rounds and recall of the real program's run.
pub fn measured(p: f64, d: usize, seed: u64) -> (f64, f64) {
    let result = run("loop_until_dry.ts", p, d, seed).result();
    let seen = result["seen"].as_f64().unwrap();
    (result["rounds"].as_f64().unwrap(), seen / HIDDEN as f64)
}
