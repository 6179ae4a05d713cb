//! Random programs, random subagents, random faults: whatever the engine is put through, the books and the
//! audit hold, the same seed gives the same journal, and the journal can be replayed.

use crate::chaos::simulation_of;
use loopwright_engine::replay;
use loopwright_protocol::Entry;
use loopwright_simulator::{ScriptedGuests, Simulated, Stopped};
use loopwright_types::RunStatus;
use std::collections::BTreeMap;

/// The run of one seed.
fn simulate(seed: u64) -> (Simulated, ScriptedGuests) {
    let (simulation, guests) = simulation_of(seed);
    (simulation.run(&mut guests()), guests())
}

fn try_seed(seed: u64) -> Result<RunStatus, Stopped> {
    let (run, mut guests) = simulate(seed);
    let (again, _) = simulate(seed);
    let differ = run.entries.iter().zip(&again.entries).position(|(one, other)| one != other);
    assert_eq!(differ, None, "seed {seed}: a second run differs at this entry");
    assert_eq!(run.entries.len(), again.entries.len(), "seed {seed}: a second run differs");
    for entry in &run.entries {
        let read = Entry::decode(&entry.encode());
        assert_eq!(read.as_ref().ok(), Some(entry), "seed {seed}: an entry reads back");
    }
    let durable = run.entries[..run.durable as usize].to_vec();
    let whole = run.ended.is_ok();
    match replay(durable, &mut guests, 1) {
        Ok(replayed) if whole => {
            assert_eq!(replayed.result, run.finish().result, "seed {seed}: replayed result");
        }
        Ok(_) => {}
        Err(mismatch) => panic!("seed {seed}: {}", mismatch.diagnostic()),
    }
    run.ended
}

fn try_seeds(seeds: std::ops::Range<u64>) -> BTreeMap<String, u32> {
    let mut ends = BTreeMap::new();
    for seed in seeds {
        let name = match try_seed(seed) {
            Ok(status) => status.as_str().to_owned(),
            Err(Stopped::SyncFailed { .. }) => "sync failed".to_owned(),
            Err(Stopped::AppendFailed { .. }) => "append failed".to_owned(),
            Err(why) => panic!("seed {seed}: {why}"),
        };
        *ends.entry(name).or_default() += 1;
    }
    ends
}

#[test]
fn thousands_of_random_runs_keep_every_promise() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let first = asked("LOOPWRIGHT_SIMULATOR_FIRST").unwrap_or(0);
    let seeds = asked("LOOPWRIGHT_SIMULATOR_SEEDS").unwrap_or(3000);
    let ends = try_seeds(first..first + seeds);
    for end in
        ["complete", "degraded", "failed", "parked", "cancelled", "sync failed", "append failed"]
    {
        assert!(ends.contains_key(end), "no run ended as {end}: {ends:?}");
    }
}

/// Runs a single seed, for looking at one that failed.
#[test]
fn the_seed_asked_for_keeps_every_promise() {
    if let Some(seed) = std::env::var("LOOPWRIGHT_SIMULATOR_SEED").ok().and_then(|n| n.parse().ok())
    {
        let (run, _) = simulate(seed);
        run.entries.iter().for_each(|entry| println!("{entry:?}"));
        println!("{:?} after {}", run.ended, run.elapsed);
        try_seed(seed).ok();
    }
}
