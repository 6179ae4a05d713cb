//! `show`: one run as a tree, or one of its tasks in full.

use super::runs::open;
use crate::args::Show;
use crate::failure::{Failure, draw};
use crate::terminal::Terminal;
use loopwright::journal::Store;
use loopwright::nothing_recorded;
use loopwright::program::frame::Severity;
use loopwright::protocol::Entry;
use loopwright::types::{CallId, Code, Diagnostic, RunId};
use loopwright::view::{RunView, TaskSearch, Tree, run_json, tree};

/// Log lines that the tree shows.
const LOGS_MAX: usize = 20;

/// Prints a run or a task.
///
/// # Errors
/// When there is no such run or task, or its record cannot be read at all.
pub fn show(terminal: &Terminal, args: &Show) -> Result<u8, Failure> {
    let store = open(terminal, args.data_dir.data_dir.as_deref())?;
    let row = store.find(&args.run).map_err(|error| error.diagnostic())?;
    if let Some(task) = args.task {
        return one_task(terminal, &store, &row.id, CallId(task), args.json);
    }
    let mut view = RunView::new();
    let damage = each(&store, &row.id, |entry| view.apply(entry))?;
    if view.header().is_none() {
        return Err(damage.unwrap_or_else(|| nothing_recorded(&row.id)).into());
    }
    let text = if args.json {
        run_json(&view, row.interrupted).unwrap_or_default() + "\n"
    } else {
        let (paint, columns) = (terminal.paint_out(), terminal.columns_out());
        let interrupted = row.interrupted;
        tree(&view, Tree { paint, columns, logs_max: LOGS_MAX, interrupted })
    };
    terminal.out(&text)?;
    if row.interrupted {
        terminal.tell("the process that ran this is gone: the record ends where it was stopped");
    }
    Ok(damaged(terminal, damage))
}

/// A record that ends early is shown as far as it goes, and said to be damaged.
fn damaged(terminal: &Terminal, damage: Option<Diagnostic>) -> u8 {
    let Some(damage) = damage else { return 0 };
    terminal.tell(&draw(terminal, &damage, None, Severity::Error));
    1
}

fn one_task(
    terminal: &Terminal,
    store: &Store,
    run: &RunId,
    task: CallId,
    json: bool,
) -> Result<u8, Failure> {
    let mut search = TaskSearch::new(task);
    let damage = each(store, run, |entry| search.take(entry))?;
    let step_of = search.step_of();
    let Some(detail) = search.found() else {
        let step = step_of.map(|of| format!("; it is a step of task `{of}`")).unwrap_or_default();
        let message = format!("run `{run}` has no task `{task}`{step}");
        let hint = match step_of {
            Some(of) => format!("`loopwright show {run} --task {of}` shows it"),
            None => format!("`loopwright show {run}` shows the numbers of its tasks"),
        };
        let missing = || Diagnostic::new(Code::RUN_UNKNOWN, message).hint(hint);
        return Err(damage.unwrap_or_else(missing).into());
    };
    let text = if json { detail.json() + "\n" } else { detail.text(terminal.paint_out()) };
    terminal.out(&text)?;
    Ok(damaged(terminal, damage))
}

/// Passes each entry of a run; what ends the record early comes back.
fn each(
    store: &Store,
    run: &RunId,
    mut take: impl FnMut(&Entry),
) -> Result<Option<Diagnostic>, Failure> {
    for entry in store.read(run).map_err(|error| error.diagnostic())? {
        match entry {
            Ok((_, entry)) => take(&entry),
            Err(error) => return Ok(Some(error.diagnostic())),
        }
    }
    Ok(None)
}
