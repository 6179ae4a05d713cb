//! `wait`: until a run of another process ends or waits.

use super::ending::{Show, Sources};
use super::runs::open;
use super::stop::{not_live, until_stopped};
use crate::args::Wait;
use crate::failure::Failure;
use crate::terminal::Terminal;
use loopwright::RunReport;
use loopwright::journal::{Error, RunRow, Store};
use loopwright::protocol::Entry;
use loopwright::types::{Code, Diagnostic};

/// Waits, and shows the end as `run` does; the exit code is the one of `run`.
///
/// # Errors
/// When there is no such run, or its process goes away without having ended it.
pub fn wait(terminal: &Terminal, args: &Wait) -> Result<u8, Failure> {
    let given = args.run.data_dir.data_dir.as_deref();
    let store = open(terminal, given)?;
    let row = store.find(&args.run.run).map_err(|error| error.diagnostic())?;
    let row = until_stopped(&store, &row)?;
    if row.interrupted {
        return Err(not_live(&row).into());
    }
    let sources = Sources::default();
    let report = last(&store, &row, &sources)?;
    if !args.json {
        terminal.tell(&format!("run {} {}", row.id, row.status.as_str()));
    }
    let show = Show {
        sources: &sources,
        data_dir: given,
        json: args.json,
        quiet: false,
        background: false,
    };
    show.deliver(terminal, &report)?;
    Ok(report.status.exit_code())
}

/// What the run's last entry says; its first one has the program's text.
fn last(store: &Store, row: &RunRow, sources: &Sources) -> Result<RunReport, Diagnostic> {
    let told = |error: Error| error.diagnostic();
    if let Some(first) = store.read(&row.id).map_err(told)?.next() {
        sources.take(&first.map_err(told)?.1);
    }
    let last = store.read_from(&row.id, row.entries.saturating_sub(1)).map_err(told)?.next();
    match last.transpose().map_err(told)? {
        Some((_, Entry::RunFinished(finish))) => Ok(RunReport::of(row.id.clone(), *finish)),
        _ => {
            let message = format!("run `{}` has no last entry", row.id);
            Err(Diagnostic::new(Code::JOURNAL_DAMAGED, message))
        }
    }
}
