//! `resume`: a recorded run goes on where its record ends.

use super::detach;
use super::run::watched;
use super::runs::open;
use crate::args;
use crate::failure::Failure;
use crate::place::{cache_dir, data_dir};
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::types::{Code, Diagnostic, Settings};
use loopwright::{ResumeOptions, Run, start_of};
use std::path::Path;

/// Goes on with a run to its end; the exit code says how it ended.
///
/// # Errors
/// When the run cannot go on, or its journal cannot be written.
pub fn resume(terminal: &Terminal, args: &args::Resume) -> Result<u8, Failure> {
    let given = args.data_dir.data_dir.as_deref();
    if args.program.is_some() {
        return super::fork::fork(terminal, forked(args));
    }
    if args.watch.detach {
        return detach::start(terminal, given, args.watch.json);
    }
    watched(terminal, args.watch, given, || prepare(terminal, args))
}

/// A run goes on with another program as a new run: what the old one has is taken over.
fn forked(args: &args::Resume) -> args::Fork {
    args::Fork {
        run: args.run.clone(),
        program: args.program.clone(),
        at: None,
        given: args::Given {
            settings: args::WithSettings { set: args.set.clone() },
            ..args::Given::default()
        },
        keep_stale: false,
        reuse_effects: false,
        plan: args.plan,
        yes: args.yes,
        watch: args.watch,
        workspace: args.workspace.clone(),
        data_dir: args::InDataDir { data_dir: args.data_dir.data_dir.clone() },
    }
}

fn prepare(terminal: &Terminal, args: &args::Resume) -> Result<Run, Failure> {
    let given = args.data_dir.data_dir.as_deref();
    let store = open(terminal, given)?;
    let run = store.find(&args.run).map_err(|error| error.diagnostic())?.id;
    let start = start_of(&store, &run)?;
    // Keys and addresses of providers are not recorded: they are where the workspace's settings name them.
    let recorded = Path::new(&start.workspace);
    let workspace = args.workspace.as_deref().unwrap_or(recorded);
    let resolved = resolve(workspace, &args.set)?;
    let [tokens, usd_micros] = ceilings(&args.set, &resolved.settings)?;
    Ok(Run::resume(ResumeOptions {
        run,
        data_dir: data_dir(given)?,
        cache_dir: cache_dir(),
        workspace: args.workspace.clone(),
        tables: resolved.tables,
        tokens,
        usd_micros,
        allow_missing: args.allow_missing,
    })?)
}

/// The only settings that a run can go on with otherwise than it began: what the program saw stays as it was.
fn ceilings(flags: &[String], settings: &Settings) -> Result<[Option<u64>; 2], Failure> {
    const NAMES: [&str; 2] = ["budget.tokens", "budget.usd_micros"];
    let mut ceilings = [None, None];
    for flag in flags {
        let name = flag.split_once('=').map_or(flag.as_str(), |(name, _)| name.trim());
        let Some(at) = NAMES.iter().position(|known| *known == name) else {
            let message =
                format!("`--set {flag}`: a run goes on with the settings that it began with");
            let hint = "only its ceilings can be raised: `budget.tokens` and `budget.usd_micros`";
            return Err(Diagnostic::new(Code::USAGE, message).hint(hint).into());
        };
        ceilings[at] = Some(settings.integer(NAMES[at]));
    }
    Ok(ceilings)
}
