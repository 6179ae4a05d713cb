//! `worktrees`: what subagents left in worktrees, listed, removed, applied.

use super::table::{Colour, table};
use crate::args::{
    Worktrees as Args, WorktreesApply, WorktreesClean, WorktreesCommand, WorktreesPlace,
};
use crate::failure::Failure;
use crate::place::{absolute, data_dir};
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::journal::Store;
use loopwright::types::{Diagnostic, Failure as CallFailure, RunId, RunStatus};
use loopwright::view::{Paint, escape, escape_json, escape_lines};
use loopwright::worktrees::{
    ApplyReport, Change, CleanOutcome, Cleaned, Fate, Leftover, LeftoverState, Worktrees,
};
use serde::Serialize;
use std::collections::HashMap;

/// A leftover as `--json` prints it: the report's own names, and how its run stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftOut<'a> {
    #[serde(flatten)]
    leftover: &'a Leftover,
    run_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// The worktrees of a repository and the runs that made them.
struct Place {
    worktrees: Worktrees,
    runs: HashMap<RunId, &'static str>,
}

impl Place {
    fn open(args: &WorktreesPlace) -> Result<Self, Failure> {
        let workspace = absolute(&args.workspace.workspace);
        let settings = resolve(&workspace, &args.settings.set)?.settings;
        let data_dir = data_dir(args.data_dir.data_dir.as_deref())?;
        let store = Store::open_read_only(&data_dir).map_err(|error| error.diagnostic())?;
        let rows = store.runs(usize::MAX).map_err(|error| error.diagnostic())?;
        let status = |row: &loopwright::journal::RunRow| match row.status {
            _ if row.live => RunStatus::Running.as_str(),
            _ if row.interrupted => "interrupted",
            status => status.as_str(),
        };
        let runs = rows.iter().map(|row| (row.id.clone(), status(row))).collect();
        Ok(Self { worktrees: Worktrees::new(&workspace, &data_dir, &settings), runs })
    }

    /// How a run stands; one that the journal does not know is gone.
    fn status(&self, run: &RunId) -> &'static str {
        self.runs.get(run).copied().unwrap_or("gone")
    }

    /// Those of runs that no process works on.
    fn leftovers(&self) -> Result<Vec<Leftover>, Failure> {
        let is_live = |run: &RunId| self.status(run) == RunStatus::Running.as_str();
        self.worktrees.leftovers(&is_live, &|| false).map_err(failed)
    }

    /// Whether a run may still go on and want what it left.
    fn may_go_on(&self, run: &RunId) -> bool {
        ["parked", "interrupted", "cancelled", "paused"].contains(&self.status(run))
    }
}

/// Lists, cleans or applies.
///
/// # Errors
/// When the workspace is in no repository, or git fails.
pub fn worktrees(terminal: &Terminal, args: &Args) -> Result<u8, Failure> {
    match &args.command {
        None => list(terminal, args),
        Some(WorktreesCommand::Clean(clean)) => self::clean(terminal, clean),
        Some(WorktreesCommand::Apply(apply)) => self::apply(terminal, apply),
    }
}

fn list(terminal: &Terminal, args: &Args) -> Result<u8, Failure> {
    let place = Place::open(&args.place)?;
    let found = place.leftovers()?;
    if args.json {
        let out = |leftover| left_out(&place, leftover, None);
        return print(terminal, &found.iter().map(out).collect::<Vec<_>>());
    }
    if found.is_empty() {
        terminal.tell("no worktrees are left");
        return Ok(0);
    }
    let rows: Vec<Vec<(String, Colour)>> =
        found.iter().map(|it| cells(&place, it, state(it.state))).collect();
    show(terminal, "STATE", &rows)
}

fn clean(terminal: &Terminal, args: &WorktreesClean) -> Result<u8, Failure> {
    let place = Place::open(&args.place)?;
    let mut found = place.leftovers()?;
    let all = found.len();
    found.retain(|it| args.all || !place.may_go_on(&it.run));
    let spared = all - found.len();
    let done = match args.dry_run {
        true => found.into_iter().map(|leftover| planned(leftover, args.force)).collect(),
        false => place.worktrees.clean(&found, args.force, &|| false).map_err(failed)?,
    };
    let code = u8::from(done.iter().any(|it| matches!(it.outcome, CleanOutcome::Failed(_))));
    if args.json {
        let out: Vec<LeftOut<'_>> = done
            .iter()
            .map(|it: &Cleaned| left_out(&place, &it.leftover, Some(&it.outcome)))
            .collect();
        return print(terminal, &out).map(|_| code);
    }
    for it in &done {
        if let CleanOutcome::Failed(failure) = &it.outcome {
            terminal.tell(&format!("{}: {}", escape(&it.leftover.slot), escape(&failure.message)));
        }
    }
    if done.is_empty() {
        terminal.tell("nothing to remove");
    } else {
        let word = |it: &Cleaned| outcome(&it.outcome, args.dry_run);
        let rows: Vec<_> = done.iter().map(|it| cells(&place, &it.leftover, word(it))).collect();
        show(terminal, "OUTCOME", &rows)?;
    }
    if done.iter().any(|it| it.outcome == CleanOutcome::Kept) {
        terminal.tell("what is kept holds changes: apply them, or remove them with `--force`");
    }
    if spared > 0 {
        terminal.tell(&format!(
            "{spared} of runs that may go on were left alone: `--all` takes them too"
        ));
    }
    Ok(code)
}

/// What cleaning would do.
fn planned(leftover: Leftover, force: bool) -> Cleaned {
    let is_safe = matches!(leftover.state, LeftoverState::Incomplete | LeftoverState::Unchanged);
    let outcome = if is_safe || force { CleanOutcome::Removed } else { CleanOutcome::Kept };
    Cleaned { leftover, outcome }
}

fn apply(terminal: &Terminal, args: &WorktreesApply) -> Result<u8, Failure> {
    let place = Place::open(&args.place)?;
    let applied = place.worktrees.apply(&args.branch, args.dry_run, &|| false);
    let report = applied.map_err(failed)?;
    let code = u8::from(!report.fits);
    if args.json {
        return print(terminal, &report).map(|_| code);
    }
    terminal.out(&files(terminal.paint_out(), &report))?;
    for conflict in &report.conflicts {
        terminal.tell(&format!(
            "conflict: {}: {}",
            escape(&conflict.path),
            escape(&conflict.cause)
        ));
    }
    let count = report.files_total;
    let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    terminal.tell(&match (report.applied, report.fits) {
        (true, _) => format!("{files} applied; nothing is staged or committed"),
        (false, true) => format!("{files} would be applied"),
        (false, false) => "it does not fit: nothing would be changed".to_owned(),
    });
    Ok(code)
}

fn files(paint: Paint, report: &ApplyReport) -> String {
    let line = |file: &loopwright::worktrees::ApplyFile| {
        let change = match file.change {
            Change::Added => "added",
            Change::Modified => "modified",
            Change::Deleted => "deleted",
        };
        let (fate, colour): (&str, Colour) = match file.fate {
            Fate::Taken => ("", Paint::plain),
            Fate::Merged => ("  merged with changes here", Paint::plain),
            Fate::Already => ("  already there", Paint::dim),
            Fate::Conflict => ("  conflict", Paint::red),
        };
        format!("{change:<10}{}{}\n", escape_lines(&file.path), colour(paint, fate))
    };
    report.files.iter().map(line).collect()
}

fn left_out<'a>(
    place: &Place,
    leftover: &'a Leftover,
    outcome: Option<&'a CleanOutcome>,
) -> LeftOut<'a> {
    let (outcome, error) = match outcome {
        None => (None, None),
        Some(CleanOutcome::Removed) => (Some("removed"), None),
        Some(CleanOutcome::Kept) => (Some("kept"), None),
        Some(CleanOutcome::Failed(failure)) => (Some("failed"), Some(failure.message.as_str())),
    };
    LeftOut { leftover, run_status: place.status(&leftover.run), outcome, error }
}

fn print(terminal: &Terminal, out: &impl Serialize) -> Result<u8, Failure> {
    let text = serde_json::to_string(out).expect("our form has text keys only");
    terminal.out(&format!("{}\n", escape_json(&text))).map(|()| 0)
}

fn show(terminal: &Terminal, third: &str, rows: &[Vec<(String, Colour)>]) -> Result<u8, Failure> {
    let head = ["BRANCH", third, "RUN", "AGE", "MIB", "PATH"];
    terminal.out(&table(terminal.paint_out(), terminal.columns_out(), &head, rows)).map(|()| 0)
}

fn cells(place: &Place, it: &Leftover, third: (&'static str, Colour)) -> Vec<(String, Colour)> {
    let branch = it.branch.clone().unwrap_or_else(|| format!("{}/{} (no branch)", it.run, it.slot));
    vec![
        (branch, Paint::bold),
        (third.0.to_owned(), third.1),
        (place.status(&it.run).to_owned(), Paint::plain),
        (age(it.age_seconds), Paint::plain),
        (it.bytes.div_ceil(1 << 20).to_string(), Paint::plain),
        (it.path.clone().unwrap_or_default(), Paint::dim),
    ]
}

fn state(state: LeftoverState) -> (&'static str, Colour) {
    match state {
        LeftoverState::Incomplete => ("incomplete", Paint::plain),
        LeftoverState::Unchanged => ("unchanged", Paint::plain),
        LeftoverState::Changed => ("changed", Paint::yellow),
        LeftoverState::Unknown => ("unknown", Paint::yellow),
    }
}

fn outcome(outcome: &CleanOutcome, dry_run: bool) -> (&'static str, Colour) {
    match outcome {
        CleanOutcome::Removed if dry_run => ("would go", Paint::plain),
        CleanOutcome::Removed => ("removed", Paint::green),
        CleanOutcome::Kept => ("kept", Paint::yellow),
        CleanOutcome::Failed(_) => ("failed", Paint::red),
    }
}

/// In the largest unit that is not 0.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn failed(failure: CallFailure) -> Failure {
    let CallFailure { code, message, hint, .. } = failure;
    Diagnostic { code, message, location: None, hint }.into()
}
