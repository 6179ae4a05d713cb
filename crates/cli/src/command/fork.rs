//! `fork`: a recorded run again; only what changed is asked again.

mod confirm; // a question before anything is spent
mod json; // the plan as JSON
mod table; // the plan as a table

use super::detach;
use super::run::{arguments, watched};
use super::runs::open;
use crate::args;
use crate::failure::{Failure, draw};
use crate::place::{absolute, cache_dir, data_dir};
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::program::frame::Severity;
use loopwright::protocol::Entry;
use loopwright::types::{CallId, Code, Diagnostic, RunId};
use loopwright::{Fork, ForkOptions, ForkPlan, Run};
use std::path::PathBuf;

/// Forks a run, after saying what that will do; the exit code says how the fork ended.
///
/// # Errors
/// When the fork cannot begin or is not confirmed, or its journal cannot be written.
pub fn fork(terminal: &Terminal, args: args::Fork) -> Result<u8, Failure> {
    let (plan_only, yes, watch) = (args.plan, args.yes, args.watch);
    let typed = args.data_dir.data_dir.clone();
    let (fork, damage) = prepare(terminal, args)?;
    if watch.detached {
        // What is there to be seen and asked was so before this process was started.
        return watched(terminal, watch, typed.as_deref(), || Ok(fork.into_run()));
    }
    if watch.json && (plan_only || !watch.detach) {
        terminal.out(&(json::plan(fork.plan()) + "\n"))?;
    } else if !watch.quiet || plan_only {
        let (paint, columns) = (terminal.paint_err(), terminal.columns_err());
        terminal.tell(&table::plan(fork.plan(), paint, columns));
    }
    if let Some(damage) = damage {
        // What the lost part did is not known, so the plan cannot count its effects.
        if !yes && !plan_only && !confirm::can_ask(terminal) {
            return Err(damage.into());
        }
        terminal.tell(&draw(terminal, &damage, None, Severity::Warning));
    }
    if plan_only {
        return Ok(0);
    }
    if !yes && !may_go(terminal, fork.plan())? {
        terminal.tell("nothing was run");
        return Ok(0);
    }
    if watch.detach {
        return detach::start(terminal, typed.as_deref(), watch.json);
    }
    watched(terminal, watch, typed.as_deref(), || Ok(fork.into_run()))
}

/// Whether to go on: somebody at a terminal is asked before anything is spent. Where nobody is, money may be spent, as
/// with `run`, but nothing is done twice that has effects.
fn may_go(terminal: &Terminal, plan: &ForkPlan) -> Result<bool, Failure> {
    if !plan.spends() {
        return Ok(true);
    }
    if confirm::can_ask(terminal) {
        return Ok(confirm::ask());
    }
    let repeated = plan.repeats_effects();
    if repeated == 0 {
        return Ok(true);
    }
    let calls = if repeated == 1 { "call that has" } else { "calls that have" };
    let message = format!("the fork would make `{repeated}` {calls} effects again");
    Err(Diagnostic::new(Code::FORK_EFFECTS, message)
        .hint("`--reuse-effects` takes over what they gave, `--yes` lets them happen again")
        .into())
}

/// Everything typed, read and forecast, and what of the old run's record is damaged.
fn prepare(terminal: &Terminal, args: args::Fork) -> Result<(Fork, Option<Diagnostic>), Failure> {
    let given = args.given;
    let store = open(terminal, args.data_dir.data_dir.as_deref())?;
    let from = store.find(&args.run).map_err(|error| error.diagnostic())?.id;
    let workspace = match &args.workspace {
        Some(workspace) => workspace.clone(),
        None => workspace_of(&store, &from)?,
    };
    let damage = store.verify(&from).err().filter(loopwright::journal::Error::is_damage);
    let damage = damage.map(|error| {
        Diagnostic::new(error.code(), error.to_string()).hint(
            "a fork takes over what lies before the damage and makes everything else again, effects included; `--yes` does so",
        )
    });
    drop(store);
    let resolved = resolve(&workspace, &given.settings.set)?;
    let set = given.settings.set.iter().filter_map(|flag| flag.split_once('='));
    let options = ForkOptions {
        from,
        program: args.program,
        at: args.at.map(CallId),
        args: given.args.as_deref().map(arguments::read).transpose()?,
        workspace: args.workspace,
        agents_dir: given.agents.as_deref().map(absolute),
        model: given.model,
        set: set.map(|(name, value)| (name.trim().to_owned(), value.to_owned())).collect(),
        tables: resolved.tables,
        data_dir: data_dir(args.data_dir.data_dir.as_deref())?,
        cache_dir: cache_dir(),
        keep_stale: args.keep_stale,
        reuse_effects: args.reuse_effects,
    };
    let fork = Run::fork(&options)?;
    Ok((fork, damage))
}

/// The workspace that the old run had: its settings file says where models are.
fn workspace_of(store: &loopwright::journal::Store, run: &RunId) -> Result<PathBuf, Failure> {
    let mut entries = store.read(run).map_err(|error| error.diagnostic())?;
    match entries.next() {
        Some(Ok((_, Entry::RunStarted(start)))) => Ok(PathBuf::from(start.workspace)),
        Some(Err(error)) => Err(error.diagnostic().into()),
        _ => Err(loopwright::nothing_recorded(run).into()),
    }
}
