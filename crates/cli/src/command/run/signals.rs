//! Ctrl-C once cancels and leaves a truthful record, twice ends at once. SIGTERM and SIGHUP count as Ctrl-C.
//! Commands under way get the signal too, and are killed at the second one.
//!
//! These signals are handled, not ignored, so that every program that we start has their defaults, even where a shell
//! that started us in the background made us ignore SIGINT. Only SIGHUP stays ignored where it was: that is `nohup`.

use crate::progress::Progress;
use loopwright::Canceller;
use loopwright::subagents::Signal;
use loopwright::types::RunStatus;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Watches until the process ends. Without signals the run still runs; it can only not be cancelled.
pub fn watch(canceller: Canceller, progress: Progress) {
    let mut watched = vec![SIGINT, SIGTERM, SIGCONT];
    if !is_ignored(SIGHUP) {
        watched.push(SIGHUP);
    }
    let Ok(mut signals) = Signals::new(watched) else { return };
    std::thread::spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            if signal == SIGCONT {
                progress.forget_screen(); // the shell has written where the live view was
            } else if asked {
                canceller.forward(Signal::Kill); // nothing of ours outlives us
                progress.pause();
                std::process::exit(i32::from(RunStatus::Cancelled.exit_code()));
            } else {
                asked = true;
                let is_interrupt = signal == SIGINT;
                canceller.forward(if is_interrupt { Signal::Interrupt } else { Signal::Terminate });
            }
        }
    });
}

/// Whether whoever started us made us ignore the signal; not known without `/proc`.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}
