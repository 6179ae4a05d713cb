//! `run`: a program from its file to its result.

mod approve; // questions on the terminal
pub(super) mod arguments; // `--args`
mod signals; // Ctrl-C, SIGTERM, SIGHUP, SIGCONT

use super::detach::{self, Background};
use super::ending::{Show, Sources};
use crate::args;
use crate::failure::Failure;
use crate::place::{absolute, cache_dir, data_dir};
use crate::progress::Progress;
use crate::settings::resolve;
use crate::terminal::Terminal;
use approve::TerminalApprover;
use loopwright::program::frame::Severity;
use loopwright::protocol::Entry;
use loopwright::types::{RunStatus, Usage};
use loopwright::view::{RunView, finish_json};
use loopwright::{Approver, Elsewhere, Run, RunOptions};
use std::path::Path;
use std::sync::Arc;

/// Runs a program to its end; the exit code says how it ended.
///
/// # Errors
/// When the run cannot begin, or its journal cannot be written.
pub fn run(terminal: &Terminal, args: args::Run) -> Result<u8, Failure> {
    if args.watch.detach {
        return detach::start(terminal, args.data_dir.data_dir.as_deref(), args.watch.json);
    }
    let typed = args.data_dir.data_dir.clone();
    let watch = args.watch;
    watched(terminal, watch, typed.as_deref(), || prepare(args))
}

/// Prepares a run and executes it in view.
///
/// # Errors
/// When the run cannot begin, or its journal cannot be written.
pub fn watched(
    terminal: &Terminal,
    watch: args::Watch,
    data_dir: Option<&Path>,
    prepare: impl FnOnce() -> Result<Run, Failure>,
) -> Result<u8, Failure> {
    let background = watch.detached.then(Background::enter);
    let progress = match background {
        None => Progress::start(terminal, watch.json, watch.quiet),
        Some(_) => Progress::lines(terminal),
    };
    let ended = prepare().and_then(|run| execute(terminal, run, &progress, background, data_dir));
    if ended.is_err() {
        progress.finish(terminal);
    }
    if let (Err(failure), true) = (&ended, progress.is_events()) {
        // A stream of events ends with its object whatever happens.
        let error = failure.diagnostics.first();
        let end = finish_json(None, RunStatus::Failed, None, error, &[], Usage::default());
        terminal.out(&(end + "\n"))?;
    }
    ended
}

/// Everything typed, read and checked.
fn prepare(args: args::Run) -> Result<Run, Failure> {
    let resolved = resolve(&args.workspace.workspace, &args.given.settings.set)?;
    let options = RunOptions {
        args: args.given.args.as_deref().map(arguments::read).transpose()?,
        data_dir: data_dir(args.data_dir.data_dir.as_deref())?,
        cache_dir: cache_dir(),
        program: args.program,
        workspace: args.workspace.workspace,
        agents_dir: args.given.agents.as_deref().map(absolute),
        model: args.given.model,
        tables: resolved.tables,
        settings: resolved.settings,
    };
    Ok(Run::prepare(options)?)
}

fn execute(
    terminal: &Terminal,
    run: Run,
    progress: &Progress,
    background: Option<Background>,
    data_dir: Option<&Path>,
) -> Result<u8, Failure> {
    let sources = Sources::default();
    let program = run.program();
    sources.note(&program.name, &program.source);
    let mut told = String::new();
    if !progress.is_quiet() {
        for warning in run.warnings() {
            told.push_str(sources.draw(terminal, warning, Severity::Warning).trim_end());
            told.push('\n');
        }
    }
    if !told.is_empty() {
        progress.pause();
        terminal.tell(&told);
        progress.resume();
    }
    signals::watch(run.canceller(), progress.clone());
    let approver: Arc<dyn Approver> = match background {
        None => Arc::new(TerminalApprover::new(*terminal, progress.clone())),
        Some(_) => Arc::new(Elsewhere),
    };
    let id = run.id().clone();
    let mut view = RunView::new();
    run.past(&mut |entry| {
        sources.take(entry);
        view.apply(entry);
    })?;
    let (mut show, seen) = (progress.observer(view), sources.clone());
    if let Some(background) = background {
        let id = id.clone();
        run.when_recorded(move || background.tell(&id, told));
    }
    let observer = Box::new(move |entry: &Entry| {
        seen.take(entry);
        show(entry);
    });
    let report = run.execute(observer, approver);
    progress.finish(terminal);
    let report = report.map_err(|error| {
        terminal.tell(&format!("run {id} stopped: what was durable is kept"));
        Failure::from(error)
    })?;
    let show = Show {
        sources: &sources,
        data_dir,
        json: progress.is_events(),
        quiet: progress.is_quiet(),
        background: background.is_some(),
    };
    show.deliver(terminal, &report)?;
    Ok(report.status.exit_code())
}
