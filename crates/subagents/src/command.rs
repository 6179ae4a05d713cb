//! The `command` driver: each attempt is one process in a group of its own.
//!
//! How it is started, followed and ended is in `loopwright-processes`.

mod answer; // the last line of output
mod attempt; // one process from start to end
mod output; // lines of progress
mod request; // what a command reads

use crate::definition::{CommandLine, Definition, Runner};
use attempt::Job;
use loopwright_host::Reporter;
use loopwright_processes::{Attempts, Signal, TimeLimits};
use loopwright_protocol::{Dispatch, Outcome, TaskWork};
use loopwright_types::{Attempt, CallId, Code, Failure, Reason, Settings, Usage};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which of a definition's commands is run.
struct Start {
    line: CommandLine,
    is_lookup: bool,
    limits: TimeLimits,
}

/// Runs commands.
pub(crate) struct CommandDriver {
    attempts: Attempts,
    workspace: Arc<Path>,
    answer_bytes_max: usize,
}

impl CommandDriver {
    pub(crate) fn new(settings: &Settings, workspace: &Path) -> Self {
        Self {
            attempts: Attempts::new("commands", attempt::GRACE * 3),
            workspace: PathBuf::from(workspace).into(),
            answer_bytes_max: settings.count("task.answer_bytes_max"),
        }
    }

    /// Starts the attempt; it ends in one report.
    pub(crate) fn dispatch(
        &self,
        dispatch: &Dispatch,
        work: &TaskWork,
        definition: &Arc<Definition>,
        reporter: Arc<dyn Reporter>,
    ) {
        let limits = TimeLimits::new(dispatch.timeout, definition.timeout);
        let Runner::Command(line) = &definition.runner else {
            unreachable!("only commands are given to this driver");
        };
        let job = Start { line: line.clone(), is_lookup: false, limits };
        self.start(job, dispatch, work, definition, reporter);
    }

    /// Runs the definition's lookup: it finds out what became of the attempt that went out under this key.
    pub(crate) fn look_up(
        &self,
        dispatch: &Dispatch,
        work: &TaskWork,
        definition: &Arc<Definition>,
        reporter: Arc<dyn Reporter>,
    ) {
        let line = definition.lookup.clone().expect("only definitions with a lookup are looked up");
        // Its time is the engine's to measure.
        let job = Start { line, is_lookup: true, limits: TimeLimits::default() };
        self.start(job, dispatch, work, definition, reporter);
    }

    fn start(
        &self,
        start: Start,
        dispatch: &Dispatch,
        work: &TaskWork,
        definition: &Arc<Definition>,
        reporter: Arc<dyn Reporter>,
    ) {
        let (call, attempt) = (dispatch.call, dispatch.attempt);
        let told = Arc::clone(&reporter);
        let job = |watched| {
            let Start { line, is_lookup, limits } = start;
            let job = Job {
                call,
                attempt,
                definition: Arc::clone(definition),
                line,
                is_lookup,
                root: work.root.as_ref().map(PathBuf::from),
                request: request::request(dispatch, work, definition, limits.least_ms()),
                mark: format!("{}/{call}/{attempt}", dispatch.run),
                key: dispatch.key(),
                limits,
                answer_bytes_max: self.answer_bytes_max,
                reporter,
                watched,
            };
            attempt::run(job, Arc::clone(&self.workspace))
        };
        let tell = Arc::clone(&told);
        let ended = move |(outcome, usage)| tell.ended(call, attempt, outcome, usage);
        if let Err(cause) = self.attempts.start((call, attempt), job, ended) {
            let message = format!("no command can be started: {cause}");
            let failure = Failure::new(Reason::Provider, Code::COMMAND_NOT_STARTED, message);
            told.ended(call, attempt, Outcome::Failed(failure.not_sent()), Usage::default());
        }
    }

    /// Ends the attempt and everything it started.
    pub(crate) fn cancel(&self, call: CallId, attempt: Attempt) {
        self.attempts.cancel((call, attempt));
    }

    /// Sends the signal to every command that is under way.
    pub(crate) fn signal_all(&self, signal: Signal) {
        self.attempts.signal_all(signal);
    }

    /// Lets its thread go if no command is under way.
    pub(crate) fn rest(&self) {
        self.attempts.rest();
    }

    /// Ends all attempts and waits until they are gone, a few seconds at most.
    pub(crate) fn shutdown(&self) {
        self.attempts.shutdown();
    }
}
