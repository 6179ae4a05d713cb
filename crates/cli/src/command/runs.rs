//! `runs`: what was run, newest first.

use super::table::{Colour, table};
use crate::args::Runs;
use crate::failure::{Failure, draw};
use crate::place::data_dir;
use crate::terminal::Terminal;
use loopwright::journal::{RunRow, Store};
use loopwright::program::frame::Severity;
use loopwright::types::RunStatus;
use loopwright::view::{Paint, UsageOut, duration, figure, money, timestamp, to_line};
use serde::Serialize;

/// A run as `runs --json` prints it: public, stable names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowOut<'a> {
    id: &'a str,
    status: RunStatus,
    interrupted: bool,
    program: &'a str,
    started_at: String,
    ended_at: Option<String>,
    ms: Option<u64>,
    counts: CountsOut,
    usage: UsageOut,
    result_preview: Option<&'a str>,
    error: Option<&'a str>,
    entries: u64,
}

#[derive(Serialize)]
struct CountsOut {
    tasks: u32,
    done: u32,
    failed: u32,
}

impl<'a> From<&'a RunRow> for RowOut<'a> {
    fn from(row: &'a RunRow) -> Self {
        Self {
            id: row.id.as_str(),
            status: row.status,
            interrupted: row.interrupted,
            program: &row.program,
            started_at: timestamp(row.created),
            ended_at: row.ended.map(timestamp),
            ms: row.ended.map(|ended| ended.since(row.created).as_millis()),
            counts: CountsOut { tasks: row.tasks, done: row.done, failed: row.failed },
            usage: row.usage.into(),
            result_preview: row.result.as_deref(),
            error: row.error.as_deref(),
            entries: row.entries,
        }
    }
}

/// Prints the newest runs; 1 when the list is damaged, because then one may be missing.
///
/// # Errors
/// When the journal cannot be read.
pub fn runs(terminal: &Terminal, args: &Runs) -> Result<u8, Failure> {
    let store = open(terminal, args.data_dir.data_dir.as_deref())?;
    let listing = store.list(args.limit).map_err(|error| error.diagnostic())?;
    for damage in &listing.damage {
        terminal.tell(&draw(terminal, &damage.diagnostic(), None, Severity::Warning));
    }
    let code = u8::from(store.loss().is_some() || !listing.damage.is_empty());
    let rows = listing.rows;
    if args.json {
        let rows: Vec<RowOut<'_>> = rows.iter().map(RowOut::from).collect();
        return terminal.out(&(to_line(&rows) + "\n")).map(|()| code);
    }
    if rows.is_empty() && listing.damage.is_empty() {
        terminal.tell("no runs yet: `loopwright run <program>` makes the first one");
        return Ok(code);
    }
    let cells: Vec<Vec<(String, Colour)>> = rows.iter().map(cells).collect();
    let head = ["RUN", "STATUS", "STARTED (UTC)", "TOOK", "DONE", "TOKENS", "COST", "PROGRAM"];
    terminal.out(&table(terminal.paint_out(), terminal.columns_out(), &head, &cells)).map(|()| code)
}

/// Opens the journal to look at it, and says when something of it is gone.
///
/// # Errors
/// When there is none that can be read.
pub fn open(terminal: &Terminal, given: Option<&std::path::Path>) -> Result<Store, Failure> {
    let store = Store::open_read_only(&data_dir(given)?).map_err(|error| error.diagnostic())?;
    if let Some(loss) = store.loss() {
        terminal.tell(&draw(terminal, &loss.diagnostic(), None, Severity::Warning));
    }
    Ok(store)
}

fn cells(row: &RunRow) -> Vec<(String, Colour)> {
    let (status, colour): (&str, Colour) = match row.status {
        _ if row.interrupted => ("interrupted", Paint::yellow),
        RunStatus::Complete => ("complete", Paint::green),
        RunStatus::Failed => ("failed", Paint::red),
        RunStatus::Running => ("running", Paint::cyan),
        other => (other.as_str(), Paint::yellow),
    };
    let started = timestamp(row.created);
    let (tokens, usd) = (row.usage.tokens(), row.usage.usd_micros);
    vec![
        (row.id.to_string(), Paint::bold),
        (status.to_owned(), colour),
        (format!("{} {}", &started[..10], &started[11..19]), Paint::plain),
        (row.ended.map(|at| duration(at.since(row.created))).unwrap_or_default(), Paint::plain),
        (format!("{}/{}", row.done, row.tasks), Paint::plain),
        (if tokens > 0 { figure(tokens) } else { String::new() }, Paint::plain),
        (if usd > 0 { money(usd) } else { String::new() }, Paint::plain),
        (row.program.clone(), Paint::plain),
    ]
}
