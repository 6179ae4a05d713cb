//! A share of the search of whole runs. The long one is `cargo run --release -p loopwright-crash`.

use loopwright_crash::{run, search};

/// Seeds of this share; another number by `LOOPWRIGHT_CRASH_SEEDS`, one seed by `LOOPWRIGHT_CRASH_SEED`.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("LOOPWRIGHT_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LOOPWRIGHT_CRASH_SEEDS").unwrap_or(150),
    }
}

#[test]
fn a_run_survives_crashes_of_its_process_and_its_machine() {
    match search(seeds(), run::case) {
        Ok(found) => println!("{found:?}"),
        Err((seed, found, what)) => panic!("seed {seed} (after {found:?}): {what}"),
    }
}

#[test]
fn a_run_survives_a_crash_at_every_operation_of_its_disk() {
    for seed in 0..2 {
        let operations = run::operations(seed).unwrap();
        for at in 0..operations {
            run::case_at(seed, at).unwrap_or_else(|what| panic!("seed {seed}, at {at}: {what}"));
        }
    }
}
