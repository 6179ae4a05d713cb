//! `cancel` and `pause`: asked of whichever process executes the run.

use super::ending::go_on;
use super::runs::open;
use crate::args;
use crate::failure::Failure;
use crate::place::data_dir;
use crate::terminal::Terminal;
use loopwright::journal::{Control, Error, RunRow, Store};
use loopwright::nothing_recorded;
use loopwright::types::{Code, Diagnostic, RunStatus};
use std::time::Duration;

/// What a run is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// To let what is under way end and begin nothing new.
    Pause,
    /// To end.
    Cancel,
}

/// How often a run is looked at that somebody waits for.
const PERIOD: Duration = Duration::from_millis(100);

/// Asks, and waits until the run has stopped.
///
/// # Errors
/// When there is no such run, it has ended, or no process executes it.
pub fn stop(terminal: &Terminal, args: &args::Stop, stop: Stop) -> Result<u8, Failure> {
    let given = args.run.data_dir.data_dir.as_deref();
    let looked = open(terminal, given)?;
    let row = looked.find(&args.run.run).map_err(|error| error.diagnostic())?;
    if !row.live {
        return Err(not_live(&row).into());
    }
    let store = Store::open(&data_dir(given)?).map_err(|error| error.diagnostic())?;
    let control = match stop {
        Stop::Pause => Control::Pause,
        Stop::Cancel => Control::Cancel,
    };
    let receipt = store.request(&row.id, control).map_err(|error| error.diagnostic())?;
    drop(store);
    if !receipt.live {
        let row = looked.find(row.id.as_str()).map_err(|error| error.diagnostic())?;
        return Err(not_live(&row).into());
    }
    if args.no_wait {
        return Ok(0);
    }
    if terminal.err_is_terminal() && stop == Stop::Pause {
        terminal.tell("pausing: what is under way ends first; Ctrl-C ends only this waiting");
    }
    let row = until_stopped(&looked, &row)?;
    let (run, status) = (&row.id, row.status);
    match (stop, status) {
        _ if row.interrupted => return Err(not_live(&row).into()),
        (Stop::Pause, RunStatus::Paused | RunStatus::Parked)
        | (Stop::Cancel, RunStatus::Cancelled) => {
            terminal.tell(&format!("run {run} is {}", status.as_str()));
            terminal.tell(&go_on(run, given));
        }
        (_, status) => {
            terminal.tell(&format!("run {run} had ended before: {}", status.as_str()));
        }
    }
    Ok(0)
}

/// Waits until no process executes the run any more.
///
/// # Errors
/// When the journal cannot be read.
pub fn until_stopped(store: &Store, row: &RunRow) -> Result<RunRow, Diagnostic> {
    loop {
        let row = store.find(row.id.as_str()).map_err(|error| error.diagnostic())?;
        if !row.live {
            return Ok(row);
        }
        std::thread::sleep(PERIOD);
    }
}

/// Why nobody can be asked.
pub fn not_live(row: &RunRow) -> Diagnostic {
    let run = &row.id;
    if matches!(row.status, RunStatus::Complete | RunStatus::Degraded | RunStatus::Failed) {
        return Error::RunEnded { run: run.clone(), status: row.status }.diagnostic();
    }
    let how = if row.interrupted { "its process is gone" } else { row.status.as_str() };
    if row.interrupted && row.entries == 0 {
        return nothing_recorded(run);
    }
    Diagnostic::new(Code::RUN_NOT_LIVE, format!("no process executes run `{run}`: {how}"))
        .hint(format!("`loopwright resume {run}` goes on with it; `loopwright prune` deletes runs"))
}
