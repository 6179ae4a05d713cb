//! Random programs whose processes die at random moments, again and again.

use crate::chaos::simulation_of;
use loopwright_engine::replay;
use loopwright_protocol::{Decision, Entry};
use loopwright_simulator::{Crashes, Random, Stopped};
use loopwright_types::{Effects, Micros};

/// One run with up to four crashes: the books and the audit hold, and the whole journal can be replayed.
fn try_seed(seed: u64) -> u64 {
    let mut random = Random::new(seed).fork(77);
    let (simulation, guests) = simulation_of(seed);
    let entries = simulation.run(&mut guests()).entries.len() as u64;
    let mut at: Vec<u64> =
        (0..1 + random.below(4)).map(|_| 1 + random.below(entries + entries / 2)).collect();
    at.sort_unstable();
    at.dedup();
    let (simulation, guests) = simulation_of(seed);
    let mut crashes = Crashes::at(at.clone());
    crashes.down = Micros::from_millis([0, 1, 700, 3_600_000][random.below(4) as usize]);
    crashes.reopened = random.below(3) as u32;
    crashes.tokens = random.chance(0.5).then_some(0);
    let answer = random.below(4);
    let crashes = crashes.deciding(move |doubt| {
        assert_ne!(doubt.effects, Effects::None);
        Some(match answer {
            0 => return None,
            1 => Decision::Repeat,
            2 => Decision::Fail,
            _ => Decision::Done(loopwright_protocol::Json::of("looked up")),
        })
    });
    let run = simulation.run_through(crashes, &guests);
    let run = run.unwrap_or_else(|error| panic!("seed {seed} at {at:?}: {}", error.diagnostic()));
    if std::env::var_os("LOOPWRIGHT_SIMULATOR_SEED").is_some() {
        run.entries.iter().for_each(|entry| println!("{entry:?}"));
        println!("{:?}", run.ended);
    }
    match &run.ended {
        Ok(_) | Err(Stopped::SyncFailed { .. } | Stopped::AppendFailed { .. }) => {}
        Err(why) => panic!("seed {seed} at {at:?}: {why}"),
    }
    let resumed = run.entries.iter().filter(|entry| matches!(entry, Entry::Resumed(_))).count();
    let durable = run.entries[..run.durable as usize].to_vec();
    let replayed = replay(durable, &mut guests(), 1);
    replayed.unwrap_or_else(|error| panic!("seed {seed} at {at:?}: {}", error.diagnostic()));
    resumed as u64
}

#[test]
fn random_runs_go_on_after_random_crashes_and_keep_every_promise() {
    let long = std::env::var_os("LOOPWRIGHT_LONG").is_some();
    let asked = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let first = asked("LOOPWRIGHT_SIMULATOR_FIRST").unwrap_or(0);
    let seeds = asked("LOOPWRIGHT_SIMULATOR_SEEDS").unwrap_or(if long { 100_000 } else { 1000 });
    let resumed: u64 = (first..first + seeds).map(try_seed).sum();
    assert!(resumed > seeds, "{resumed} resumes of {seeds} runs");
}

/// Runs a single seed, for looking at one that failed.
#[test]
fn the_seed_asked_for_goes_on() {
    if let Some(seed) = std::env::var("LOOPWRIGHT_SIMULATOR_SEED").ok().and_then(|n| n.parse().ok())
    {
        try_seed(seed);
    }
}
