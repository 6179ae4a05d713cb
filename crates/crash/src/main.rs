//! The long search: `cargo run --release -p loopwright-crash -- [--crashes N] [--first SEED]`. It prints how many
//! crashes were recovered from and checked, or the seed that broke a promise.

use loopwright_crash::{Found, journal, run};
use std::process::ExitCode;
use std::time::Instant;

/// Crashes of the long search.
const CRASHES: u64 = 1_000_000;

/// Seeds between two looks at the count.
const SEEDS: u64 = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let (wanted, first) = (number("--crashes").unwrap_or(CRASHES), number("--first").unwrap_or(0));
    let searches: [(&str, fn(u64) -> Result<u64, String>); 2] =
        [("runs", run::case), ("journal", journal::case)];
    for (name, case) in searches {
        // Most are of whole runs.
        let wanted = if name == "runs" { wanted - wanted / 5 } else { wanted / 5 };
        let (begin, mut found, mut seed) = (Instant::now(), Found::default(), first);
        while found.crashes < wanted {
            match loopwright_crash::search(seed..seed + SEEDS, case) {
                Ok(more) => {
                    found.cases += more.cases;
                    found.crashes += more.crashes;
                }
                Err((seed, before, what)) => {
                    let crashes = found.crashes + before.crashes;
                    println!("{name}: seed {seed} (after {crashes} crashes): {what}");
                    return ExitCode::FAILURE;
                }
            }
            seed += SEEDS;
            if seed % (100 * SEEDS) == 0 {
                let rate = found.crashes as f64 / begin.elapsed().as_secs_f64();
                println!("{name}: {} crashes in {} cases, {rate:.0}/s", found.crashes, found.cases);
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        let rate = found.crashes as f64 / seconds;
        println!(
            "{name}: {} crashes in {} cases, 0 violations, {seconds:.0} s, {rate:.0}/s",
            found.crashes, found.cases
        );
    }
    ExitCode::SUCCESS
}
