//! What is left to say when a run has ended or waits: its result, why there is none, how to go on.

use crate::failure::{Failure, draw};
use crate::hint::typed;
use crate::terminal::Terminal;
use loopwright::RunReport;
use loopwright::program::frame::Severity;
use loopwright::protocol::{Entry, Json};
use loopwright::types::{CallId, Diagnostic, RunId, RunStatus};
use loopwright::view::{escape_json, escape_lines, finish_json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts of the programs of a run by file name, for code frames.
#[derive(Clone, Default)]
pub struct Sources(Arc<Mutex<HashMap<String, String>>>);

impl Sources {
    /// Takes the programs that an entry holds.
    pub fn take(&self, entry: &Entry) {
        match entry {
            Entry::RunStarted(start) => self.note(&start.program.name, &start.program.source),
            Entry::GuestStarted { program, .. } => self.note(&program.name, &program.source),
            _ => {}
        }
    }

    /// Remembers a program's text.
    pub fn note(&self, name: &str, source: &str) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.entry(name.to_owned()).or_insert_with(|| source.to_owned());
    }

    /// A diagnostic with its code frame, where its file is one of the run's programs.
    pub fn draw(&self, terminal: &Terminal, told: &Diagnostic, severity: Severity) -> String {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = told.location.as_ref().map(|at| &at.file);
        let source = file.and_then(|file| sources.get(file)).map(String::as_str);
        draw(terminal, told, source, severity)
    }
}

/// How a run's end is shown.
pub struct Show<'a> {
    /// Programs for code frames.
    pub sources: &'a Sources,
    /// The data directory as it was typed.
    pub data_dir: Option<&'a Path>,
    /// As one JSON object on stdout.
    pub json: bool,
    /// Only errors and the result.
    pub quiet: bool,
    /// Whether the result goes to stderr: a run in the background has its log there.
    pub background: bool,
}

impl Show<'_> {
    /// The result to stdout, why there is none to stderr.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn deliver(&self, terminal: &Terminal, report: &RunReport) -> Result<(), Failure> {
        let tell = |error, severity| terminal.tell(&self.sources.draw(terminal, error, severity));
        match (&report.error, report.status) {
            (None, _) | (_, RunStatus::Cancelled) => {} // whoever cancelled knows
            (Some(error), status) if status.waits() => tell(error, Severity::Warning),
            (Some(error), _) => tell(error, Severity::Error),
        }
        if self.json {
            let RunReport { run, status, result, error, failures, usage, .. } = report;
            let end =
                finish_json(Some(run), *status, result.as_ref(), error.as_ref(), failures, *usage);
            return terminal.out(&(end + "\n"));
        }
        if !self.quiet {
            if report.status.waits() || report.status == RunStatus::Cancelled {
                terminal.tell(&go_on(&report.run, self.data_dir));
            }
            if !terminal.is_live() {
                let (run, at) = (&report.run, typed(self.data_dir));
                terminal.tell(&format!("see: loopwright show {run}{at}"));
            }
        }
        match &report.result {
            Some(result) if self.background => terminal.tell(&shown(result, true)),
            Some(result) => terminal.out(&shown(result, terminal.out_is_terminal()))?,
            None => {}
        }
        Ok(())
    }
}

/// The line that goes on with a run.
pub fn go_on(run: &RunId, data_dir: Option<&Path>) -> String {
    format!("go on with it: loopwright resume {run}{}", typed(data_dir))
}

/// Tells that an answer or a decision waits for the run to go on, in the place of an earlier one where there is one.
pub fn kept(terminal: &Terminal, run: &RunId, call: CallId, again: bool, data_dir: Option<&Path>) {
    let place = if again { ", in the place of what was kept before" } else { "" };
    terminal.tell(&format!("kept for call {call} of run {run}{place}: taken when the run goes on"));
    terminal.tell(&go_on(run, data_dir));
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
