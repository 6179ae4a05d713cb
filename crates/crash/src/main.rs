//! The long search: `cargo run --release -p loopwright-crash -- [--crashes N] [--first SEED]`. It prints how many
//! crashes were recovered from and checked, or the seed that broke a promise.

use loopwright_crash::{Found, journal, run, search};
use std::process::ExitCode;
use std::time::Instant;

/// Crashes of the long search.
const CRASHES: u64 = 1_000_000;

/// Seeds between two looks at the count.
const SEEDS: u64 = 200;

/// Looks at the count between two lines of output.
const LOOKS: u64 = 10;

type Case = fn(u64) -> Result<u64, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let (wanted, first) = (number("--crashes").unwrap_or(CRASHES), number("--first").unwrap_or(0));
    // Most are of whole runs.
    let journals = wanted / 5;
    let searches: [(&str, Case, u64); 2] =
        [("runs", run::case, wanted - journals), ("journal", journal::case, journals)];
    for (name, case, wanted) in searches {
        if let Err(broken) = go(name, case, wanted, first) {
            println!("{broken}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn go(name: &str, case: Case, wanted: u64, first: u64) -> Result<(), String> {
    let (begin, processor, mut found, mut looks) =
        (Instant::now(), processor(), Found::default(), 0);
    while found.crashes < wanted {
        let seeds = first + looks * SEEDS..first + (looks + 1) * SEEDS;
        let more = search(seeds, case).map_err(|(seed, before, what)| {
            let crashes = found.crashes + before.crashes;
            format!("{name}: seed {seed} (after {crashes} crashes): {what}")
        })?;
        found.cases += more.cases;
        found.crashes += more.crashes;
        looks += 1;
        if looks % LOOKS == 0 || found.crashes >= wanted {
            let used = self::processor() - processor;
            println!(
                "{name}: {} crashes in {} cases, 0 violations, {:.0} s ({used:.0} s of one core): \
                 {:.0} crashes a second of one core",
                found.crashes,
                found.cases,
                begin.elapsed().as_secs_f64(),
                found.crashes as f64 / used
            );
        }
    }
    Ok(())
}

/// Seconds of processor time that this thread, the only one, has used.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}
