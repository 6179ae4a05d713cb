//! `export`, `import` and `verify`: a run as a file, and whether its record is whole.

use super::runs::open;
use crate::args::{Export, Import, Verify};
use crate::failure::Failure;
use crate::place::data_dir;
use crate::terminal::Terminal;
use loopwright::journal::{Store, Verified};
use loopwright::types::{Code, Diagnostic, Digest, RunId};
use loopwright::view::{escape, figure, to_line};
use serde::Serialize;

/// What `verify --json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifiedOut<'a> {
    run_id: &'a RunId,
    entries: u64,
    head: String,
}

/// Writes a run into a file, and prints its head.
///
/// # Errors
/// When there is no such run, it is damaged, or the file cannot be written.
pub fn export(terminal: &Terminal, args: &Export) -> Result<u8, Failure> {
    let store = open(terminal, args.data_dir.data_dir.as_deref())?;
    let row = store.find(&args.run).map_err(|error| error.diagnostic())?;
    let verified = store.export(&row.id, &args.file).map_err(|error| error.diagnostic())?;
    let file = args.file.display().to_string();
    terminal.tell(&format!(
        "run {}: {} entries written to {}",
        row.id,
        figure(verified.count),
        escape(&file)
    ));
    terminal.out(&format!("{}\n", head(&verified))).map(|()| 0)
}

/// Takes a run from a file, and prints its id.
///
/// # Errors
/// When the file is damaged, or another run of this id is here.
pub fn import(terminal: &Terminal, args: &Import) -> Result<u8, Failure> {
    let directory = data_dir(args.data_dir.data_dir.as_deref())?;
    let store = Store::open(&directory).map_err(|error| error.diagnostic())?;
    let imported = store.import(&args.file).map_err(|error| error.diagnostic())?;
    let (run, entries) = (&imported.run, figure(imported.verified.count));
    terminal.tell(&match imported.existed {
        true => format!("run {run} was here already"),
        false => format!("run {run}: {entries} entries taken"),
    });
    terminal.out(&format!("{run}\n")).map(|()| 0)
}

/// Checks every record of a run, and prints its head.
///
/// # Errors
/// When something is damaged, or is not what it was when the head was kept.
pub fn verify(terminal: &Terminal, args: &Verify) -> Result<u8, Failure> {
    let store = open(terminal, args.data_dir.data_dir.as_deref())?;
    let row = store.find(&args.run).map_err(|error| error.diagnostic())?;
    let verified = match &args.head {
        None => store.verify(&row.id),
        Some(kept) => store.verify_against(&row.id, &read_head(kept)?),
    };
    let verified = verified.map_err(|error| error.diagnostic())?;
    if args.json {
        let (entries, head) = (verified.count, verified.head.to_string());
        let out = VerifiedOut { run_id: &row.id, entries, head };
        return terminal.out(&(to_line(&out) + "\n")).map(|()| 0);
    }
    let kept = if args.head.is_some() { ", and it has all that it had then" } else { "" };
    let entries = figure(verified.count);
    terminal.tell(&format!("run {}: {entries} entries, each as it was written{kept}", row.id));
    terminal.out(&format!("{}\n", head(&verified))).map(|()| 0)
}

fn head(verified: &Verified) -> String {
    format!("{}:{}", verified.count, verified.head)
}

fn read_head(typed: &str) -> Result<Verified, Diagnostic> {
    let read = || {
        let (count, head) = typed.split_once(':')?;
        Some(Verified { count: count.parse().ok()?, head: Digest::parse(head)? })
    };
    read().ok_or_else(|| {
        Diagnostic::new(Code::USAGE, format!("`--head {typed}` is not a head")).hint(
            "`loopwright verify` and `export` print it: a number, `:` and 64 hexadecimal digits",
        )
    })
}
