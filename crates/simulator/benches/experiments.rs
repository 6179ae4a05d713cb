//! Experiments E2, E3 and E7 in full: real programs, real engine, virtual clock; printed as one JSON object with
//! the machine's description. `--short` takes a small share of the seeds, to show that the bench still runs.

#[path = "../tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::time::Instant;
use support::{Estimate, elimination, estimate, on_big_stack, search, stages};

/// Draws for the theory that has no closed form.
const THEORY_DRAWS: u64 = 200_000;

fn main() {
    let short = std::env::args().any(|argument| argument == "--short");
    let seeds: u64 = if short { 20 } else { 2000 };
    let began = Instant::now();
    let experiments = on_big_stack(move || {
        json!({
            "barrier_and_pipeline": barrier_and_pipeline(seeds, short),
            "loop_until_dry": loop_until_dry(seeds),
            "tournament": tournament(seeds),
        })
    });
    let report = json!({
        "machine": machine(),
        "seeds": seeds,
        "wall_s": round(began.elapsed().as_secs_f64()),
        "experiments": experiments,
    });
    println!("{report:#}");
}

fn barrier_and_pipeline(seeds: u64, short: bool) -> Vec<Value> {
    let draws = if short { 2000 } else { THEORY_DRAWS };
    let case = |(form, cap)| {
        let theory = stages::theory(form, cap, draws);
        let measured = stages::measured(form, cap, seeds);
        json!({
            "form": format!("{form:?}").to_lowercase(),
            "cap": cap,
            "theory": round(theory.mean),
            "theory_error": round(theory.error),
            "makespan": shown(measured),
            "off_by": round(measured.mean / theory.mean - 1.0),
            "target": 0.02,
        })
    };
    stages::CASES.into_iter().map(case).collect()
}

fn loop_until_dry(seeds: u64) -> Vec<Value> {
    let case = |(p, d)| {
        let (rounds, recall) = search::theory(p, d);
        let runs: Vec<_> = (0..seeds).map(|seed| search::measured(p, d, seed)).collect();
        json!({
            "p": p,
            "dry_rounds": d,
            "rounds_theory": round(rounds),
            "rounds": shown(estimate(runs.iter().map(|run| run.0))),
            "recall_theory": round(recall),
            "recall": shown(estimate(runs.iter().map(|run| run.1))),
        })
    };
    search::CASES.into_iter().map(case).collect()
}

fn tournament(seeds: u64) -> Vec<Value> {
    let case = |judges| {
        let runs: Vec<_> = (0..seeds).map(|seed| elimination::run(judges, seed)).collect();
        json!({
            "judges": judges,
            "best_wins_theory": round(elimination::theory(judges)),
            "best_wins": shown(estimate(runs.iter().map(|run| f64::from(run.0)))),
            "depth_max": runs.iter().map(|run| run.1).max(),
        })
    };
    elimination::JUDGES.into_iter().map(case).collect()
}

fn shown(estimate: Estimate) -> Value {
    json!({ "mean": round(estimate.mean), "standard_error": round(estimate.error) })
}

fn round(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// Processor, cores and load, as the other benches describe them.
fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    json!({
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    })
}
