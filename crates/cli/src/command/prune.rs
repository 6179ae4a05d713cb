//! `prune`: runs that nobody needs any more.

use super::detach::log_of;
use crate::args;
use crate::failure::{Failure, draw};
use crate::place::data_dir;
use crate::terminal::Terminal;
use loopwright::journal::{Error, Prune, Pruned, Store};
use loopwright::program::frame::Severity;
use loopwright::types::{Code, Diagnostic, Micros, RunId, RunStatus};
use loopwright::view::{figure, to_line};
use serde::Serialize;

/// What was done, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrunedOut<'a> {
    dry_run: bool,
    deleted: &'a [RunId],
    entries: u64,
    spared: &'a [RunId],
}

/// Deletes runs by rules, with the logs of those that went on in the background.
///
/// # Errors
/// When a rule cannot be understood, or the journal cannot be written.
pub fn prune(terminal: &Terminal, args: &args::Prune) -> Result<u8, Failure> {
    let rules = Prune {
        older_than: args.older_than.as_deref().map(age).transpose()?,
        keep_last: args.keep,
        statuses: args.status.iter().map(|status| RunStatus::from(*status)).collect(),
        force: args.force,
        dry_run: args.dry_run,
    };
    let directory = data_dir(args.data_dir.data_dir.as_deref())?;
    // Where nothing was recorded there is nothing to delete, and nothing is made.
    let exists = Store::open_read_only(&directory).and_then(|store| store.list(1));
    let is_empty = exists.map_err(|error| error.diagnostic())? == Default::default();
    let pruned = if is_empty {
        Pruned::default()
    } else {
        let store = Store::open(&directory).map_err(|error| error.diagnostic())?;
        store.prune(&rules).map_err(|error| error.diagnostic())?
    };
    let told = |error: &Error| draw(terminal, &error.diagnostic(), None, Severity::Warning);
    pruned.damage.iter().for_each(|error| terminal.tell(&told(error)));
    if !args.dry_run {
        for run in &pruned.deleted {
            let _ = std::fs::remove_file(log_of(&directory, run)); // most have none
        }
    }
    show(terminal, args, &pruned).map(|()| 0)
}

fn show(terminal: &Terminal, args: &args::Prune, pruned: &Pruned) -> Result<(), Failure> {
    let Pruned { deleted, entries, spared, .. } = pruned;
    if args.json {
        let out = PrunedOut { dry_run: args.dry_run, deleted, entries: *entries, spared };
        return terminal.out(&(to_line(&out) + "\n"));
    }
    let ids: String = deleted.iter().map(|run| format!("{run}\n")).collect();
    terminal.out(&ids)?;
    let word = if args.dry_run { "would be deleted" } else { "deleted" };
    let count = figure(deleted.len() as u64);
    let noun = if deleted.len() == 1 { "run" } else { "runs" };
    let room = if args.dry_run || deleted.is_empty() { "" } else { "; their room is used again" };
    terminal.tell(&format!("{count} {noun} {word}, {} entries{room}", figure(*entries)));
    if !spared.is_empty() {
        let spared: Vec<String> = spared.iter().map(RunId::to_string).collect();
        terminal.tell(&format!(
            "left alone, because they wait or are being executed (`--force` takes them too): {}",
            spared.join(", ")
        ));
    }
    Ok(())
}

/// `90s`, `30m`, `12h`, `30d`, `8w`.
fn age(typed: &str) -> Result<Micros, Diagnostic> {
    let wrong = || {
        Diagnostic::new(Code::USAGE, format!("`--older-than {typed}` is not an age"))
            .hint("write a number and a unit: `90s`, `30m`, `12h`, `30d` or `8w`")
    };
    let at = typed.len().saturating_sub(1);
    let (number, unit) = typed.split_at_checked(at).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Micros(number.saturating_mul(seconds).saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        for (typed, seconds) in [("90s", 90), ("2m", 120), ("1h", 3600), ("1d", 86_400)] {
            assert_eq!(age(typed).unwrap(), Micros(seconds * 1_000_000), "{typed}");
        }
        for wrong in ["", "d", "30", "1.5h", "-1d", "3y", "é"] {
            assert_eq!(age(wrong).unwrap_err().code, Code::USAGE, "{wrong}");
        }
    }
}
