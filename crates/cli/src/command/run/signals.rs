//! Ctrl-C once cancels and leaves a truthful record, twice ends at once. SIGTERM and SIGHUP count as Ctrl-C.
//! Commands under way get the signal too, and are killed at the second one.

use crate::progress::Progress;
use loopwright::Canceller;
use loopwright::subagents::Signal;
use loopwright::types::RunStatus;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Watches until the process ends. Without signals the run still runs; it can only not be cancelled.
pub fn watch(canceller: Canceller, progress: Progress) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCONT]) else { return };
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
