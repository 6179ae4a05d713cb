//! `run`: a program from its file to its result.

mod approve; // questions on the terminal
pub(super) mod arguments; // `--args`
mod signals; // Ctrl-C, SIGTERM, SIGHUP, SIGCONT

use crate::args;
use crate::failure::{Failure, draw};
use crate::place::{absolute, cache_dir, data_dir};
use crate::progress::Progress;
use crate::settings::resolve;
use crate::terminal::Terminal;
use approve::TerminalApprover;
use loopwright::program::frame::Severity;
use loopwright::protocol::{Entry, Json};
use loopwright::types::{Diagnostic, RunStatus, Usage};
use loopwright::view::{escape_json, escape_lines, finish_json};
use loopwright::{Run, RunOptions, RunReport};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts of the programs of a run by file name, for code frames.
type Sources = Arc<Mutex<HashMap<String, String>>>;

/// Runs a program to its end; the exit code says how it ended.
///
/// # Errors
/// When the run cannot begin, or its journal cannot be written.
pub fn run(terminal: &Terminal, args: args::Run) -> Result<u8, Failure> {
    let progress = Progress::start(terminal, args.json, args.quiet);
    go(terminal, &progress, || prepare(args))
}

/// Prepares a run and executes it.
///
/// # Errors
/// As [`run`].
pub(super) fn go(
    terminal: &Terminal,
    progress: &Progress,
    prepare: impl FnOnce() -> Result<Run, Failure>,
) -> Result<u8, Failure> {
    let ended = prepare().and_then(|run| execute(terminal, run, progress));
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
    let resolved = resolve(&args.workspace.workspace, &args.settings.set)?;
    let options = RunOptions {
        args: args.args.as_deref().map(arguments::read).transpose()?,
        data_dir: data_dir(args.data_dir.data_dir.as_deref())?,
        cache_dir: cache_dir(),
        program: args.program,
        workspace: args.workspace.workspace,
        agents_dir: args.agents.as_deref().map(absolute),
        model: args.model,
        tables: resolved.tables,
        settings: resolved.settings,
    };
    Ok(Run::prepare(options)?)
}

fn execute(terminal: &Terminal, run: Run, progress: &Progress) -> Result<u8, Failure> {
    let sources = Sources::default();
    let program = run.program();
    note(&sources, &program.name, &program.source);
    if !progress.is_quiet() && !run.warnings().is_empty() {
        progress.pause();
        for warning in run.warnings() {
            tell(terminal, &sources, warning, Severity::Warning);
        }
        progress.resume();
    }
    signals::watch(run.canceller(), progress.clone());
    let approver = TerminalApprover::new(*terminal, progress.clone());
    let (mut show, seen) = (progress.observer(), Arc::clone(&sources));
    let observer = Box::new(move |entry: &Entry| {
        if let Entry::GuestStarted { program, .. } = entry {
            note(&seen, &program.name, &program.source);
        }
        show(entry);
    });
    let id = run.id().clone();
    let report = run.execute(observer, Arc::new(approver));
    progress.finish(terminal);
    let report = report.map_err(|error| {
        terminal.tell(&format!("run {id} stopped: what was durable is kept"));
        Failure::from(error)
    })?;
    deliver(terminal, &sources, &report, progress)?;
    Ok(report.status.exit_code())
}

/// The result to stdout, why there is none to stderr.
fn deliver(
    terminal: &Terminal,
    sources: &Sources,
    report: &RunReport,
    progress: &Progress,
) -> Result<(), Failure> {
    match (&report.error, report.status) {
        (None, _) | (_, RunStatus::Cancelled) => {} // whoever cancelled knows
        (Some(error), RunStatus::Parked) => tell(terminal, sources, error, Severity::Warning),
        (Some(error), _) => tell(terminal, sources, error, Severity::Error),
    }
    if progress.is_events() {
        let RunReport { run, status, result, error, failures, usage, .. } = report;
        let end =
            finish_json(Some(run), *status, result.as_ref(), error.as_ref(), failures, *usage);
        return terminal.out(&(end + "\n"));
    }
    if !progress.is_quiet() && !terminal.is_live() {
        terminal.tell(&format!("see: loopwright show {}", report.run));
    }
    match &report.result {
        Some(result) => terminal.out(&shown(result, terminal.out_is_terminal())),
        None => Ok(()),
    }
}

/// A string as its text, anything else as JSON on one line. A terminal gets no text that it would act on.
fn shown(result: &Json, to_terminal: bool) -> String {
    match result.read::<String>() {
        Ok(text) if to_terminal => escape_lines(&text) + "\n",
        Ok(text) if text.ends_with('\n') => text,
        Ok(text) => text + "\n",
        Err(_) => format!("{}\n", escape_json(result.text())),
    }
}

fn note(sources: &Sources, name: &str, source: &str) {
    let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
    sources.entry(name.to_owned()).or_insert_with(|| source.to_owned());
}

/// A diagnostic with its code frame, where its file is one of the run's programs.
fn tell(terminal: &Terminal, sources: &Sources, diagnostic: &Diagnostic, severity: Severity) {
    let sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
    let file = diagnostic.location.as_ref().map(|at| &at.file);
    let source = file.and_then(|file| sources.get(file)).map(String::as_str);
    terminal.tell(&draw(terminal, diagnostic, source, severity));
}
