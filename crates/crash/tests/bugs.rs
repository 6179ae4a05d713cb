//! Each bug of `crates/types/src/bug.rs`, switched on: the search must find it within 10,000 runs. One that it does not
//! find means that the search is too weak.
//!
//! `cargo test -p loopwright-crash --features deliberate-faults --test bugs -- --nocapture` prints how many each needed.

use loopwright_crash::{journal, run};
use loopwright_types::Bug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs within which each must be found.
const RUNS_MAX: u64 = 10_000;

/// Threads that look, at least.
const THREADS_MIN: usize = 8;

/// How many runs it took, and what was said; whole runs and runs of the journal alone take turns.
fn find(bug: Bug) -> Option<(u64, String)> {
    (0..RUNS_MAX).find_map(|number| {
        let case = if number % 2 == 0 { run::case } else { journal::case };
        Bug::switch(Some(bug));
        let said = catch_unwind(AssertUnwindSafe(|| case(number / 2)));
        Bug::switch(None);
        let what = match said {
            Ok(Ok(_)) => return None,
            Ok(Err(what)) => what,
            Err(panic) => match panic.downcast_ref::<String>() {
                Some(text) => format!("panic: {text}"),
                None => format!("panic: {}", panic.downcast_ref::<&str>().unwrap_or(&"?")),
            },
        };
        Some((number + 1, what))
    })
}

#[test]
fn the_search_finds_every_bug_that_was_put_in_on_purpose() {
    // What all cases share is made without any.
    (0..9).for_each(|seed| assert!(run::case(seed).is_ok() && journal::case(seed).is_ok()));
    journal::prepare();
    std::panic::set_hook(Box::new(|_| {}));
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let look = || {
        while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            match find(*bug) {
                Some((runs, what)) => {
                    let what: String = what.replace('\n', " ").chars().take(160).collect();
                    println!("{bug:?}: {runs} runs: {what}");
                }
                None => missed.lock().unwrap().push(bug),
            }
        }
    };
    // A bug is switched on for a thread alone.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).max(THREADS_MIN);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(look))));
    let missed = missed.into_inner().unwrap();
    let _ = std::panic::take_hook();
    assert!(Bug::ALL.len() >= 25 && missed.is_empty(), "not found: {missed:?}");
}
