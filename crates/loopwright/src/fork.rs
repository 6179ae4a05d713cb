//! A recorded run again, from what it has: calls that ask the same of the same get the recorded outcome, only the
//! others run. What that will be is found out before anything is spent.

mod again; // recorded reads, read again
mod cost; // what a call is expected to cost
mod host; // the host of a forecast
mod plan; // what would be done

pub use cost::Cost;
pub use plan::{ForkPlan, PlannedCall, Standing, Why};

use crate::options::RunOptions;
use crate::prepare::{PrepareError, Run, workspace_of};
use crate::resume::nothing_recorded;
use loopwright_engine::{Recorded, Refusal};
use loopwright_journal::{Error, Store};
use loopwright_program::Program;
use loopwright_protocol::{Entry, ForkedFrom, Json, ProgramText, RunStart};
use loopwright_types::{CallId, Code, Diagnostic, RunId, SettingError};
use std::path::{Path, PathBuf};

/// What a fork is asked to be; what is absent is as it was in the old run.
#[derive(Clone, Debug)]
pub struct ForkOptions {
    /// The old run.
    pub from: RunId,
    /// Another program's file.
    pub program: Option<PathBuf>,
    /// This call of the old run and those called after it are made again.
    pub at: Option<CallId>,
    /// Other arguments.
    pub args: Option<Json>,
    /// Another workspace.
    pub workspace: Option<PathBuf>,
    /// Another directory of definitions that goes before the workspace's.
    pub agents_dir: Option<PathBuf>,
    /// Another model for subagents that do not name a driver.
    pub model: Option<String>,
    /// Settings that differ from the old run's, by name.
    pub set: Vec<(String, String)>,
    /// The settings file's tables of providers and models.
    pub tables: toml::Table,
    /// Where runs are recorded.
    pub data_dir: PathBuf,
    /// Where the compiled guest is kept between processes.
    pub cache_dir: Option<PathBuf>,
    /// Answers are taken over though a file that was read for them has changed.
    pub keep_stale: bool,
    /// Outcomes of calls that had effects, and answers of people, are taken over.
    pub reuse_effects: bool,
}

/// A fork that is ready to begin, and what it will do.
pub struct Fork {
    run: Run,
    plan: ForkPlan,
}

impl Fork {
    /// What it will do.
    pub fn plan(&self) -> &ForkPlan {
        &self.plan
    }

    /// The run to execute.
    pub fn into_run(self) -> Run {
        self.run
    }
}

impl Run {
    /// Prepares a fork of a recorded run and finds out what it will do. The old run may have ended or not.
    ///
    /// # Errors
    /// When the old run cannot be read or has no such call, and as [`Run::prepare`].
    pub fn fork(options: &ForkOptions) -> Result<Fork, PrepareError> {
        let (start, entries) = old_run(&options.data_dir, &options.from)?;
        let count = entries.len() as u64 + 1; // and its start
        let again = std::iter::once(Entry::RunStarted(Box::new(start.clone()))).chain(entries);
        let mut past = Recorded::read(again).expect("it begins with its start");
        let mut run = prepared(options, &start)?;
        for (name, model) in past.models() {
            // Names that only calls gave mean what they mean today.
            let model = run.providers.resolve(name).unwrap_or_else(|_| model.clone());
            run.start.models.entry(name.clone()).or_insert(model);
        }
        if let Some(at) = options.at {
            if !past.calls().iter().any(|call| call.entry.call == at) {
                return Err(no_call(&options.from, at).into());
            }
            past.refuse_from(at);
        }
        if options.reuse_effects {
            past.accept_effects();
        }
        let stale = again::changed_reads(&past, &run.tools);
        if !options.keep_stale {
            stale.iter().for_each(|call| past.refuse(*call, Refusal::Stale));
        }
        run.start.from = Some(Box::new(ForkedFrom {
            run: options.from.clone(),
            entries: count,
            at: options.at,
            edited: run.start.program.digest != start.program.digest,
            reuse_effects: options.reuse_effects,
            stale: if options.keep_stale { Vec::new() } else { stale.clone() },
        }));
        let (past, plan) = plan::plan(&run, past, &stale)?;
        run.past = Some(past);
        Ok(Fork { run, plan })
    }
}

/// The past of a fork that goes on, as it was decided when it began.
///
/// # Errors
/// When the old run is gone or has less than it had then: what was to be taken over would be done again.
pub(crate) fn past_of(store: &Store, from: &ForkedFrom) -> Result<Recorded, Diagnostic> {
    let lost = |error: &Error| {
        let run = &from.run;
        let message = format!("the run that this one was forked from is lost: {error}");
        Diagnostic::new(error.code(), message).hint(format!(
            "bring the record of `{run}` back from a backup or an export (`loopwright import`); `--allow-missing` goes on \
             without it and does again, effects included, what is not taken over yet"
        ))
    };
    let mut entries = Vec::new();
    let read = store.read(&from.run).map_err(|error| lost(&error))?;
    for entry in read.take(usize::try_from(from.entries).unwrap_or(usize::MAX)) {
        entries.push(entry.map_err(|error| lost(&error))?.1);
    }
    let found = entries.len() as u64;
    let missing = || {
        let (run, last) = (from.run.clone(), from.entries.saturating_sub(1).max(found));
        lost(&Error::Damaged { run, first: found, last, what: "missing".to_owned() })
    };
    if found < from.entries {
        return Err(missing());
    }
    let mut past = Recorded::read(entries).ok_or_else(missing)?;
    if let Some(at) = from.at {
        past.refuse_from(at);
    }
    if from.reuse_effects {
        past.accept_effects();
    }
    from.stale.iter().for_each(|call| past.refuse(*call, Refusal::Stale));
    Ok(past)
}

/// The old run's start and what follows it, as far as it can be read.
fn old_run(data_dir: &Path, run: &RunId) -> Result<(RunStart, Vec<Entry>), Diagnostic> {
    let store = Store::open_read_only(data_dir).map_err(|error| error.diagnostic())?;
    let mut read = store.read(run).map_err(|error| error.diagnostic())?;
    let missing = || nothing_recorded(run);
    let first = read.next().ok_or_else(missing)?.map_err(|error| error.diagnostic())?;
    let Entry::RunStarted(start) = first.1 else { return Err(missing()) };
    let mut entries = Vec::new();
    for entry in read {
        match entry {
            Ok((_, entry)) => entries.push(entry),
            // A damaged record is worth what comes before the damage.
            Err(error) if error.is_damage() => break,
            Err(error) => return Err(error.diagnostic()),
        }
    }
    Ok((*start, entries))
}

fn prepared(options: &ForkOptions, start: &RunStart) -> Result<Run, PrepareError> {
    let mut settings = start.settings.clone();
    for (name, value) in &options.set {
        settings.set(name, value).map_err(|error| {
            let code = match error {
                SettingError::Unknown { .. } => Code::SETTING_UNKNOWN,
                _ => Code::SETTING_INVALID,
            };
            Diagnostic::new(code, error.to_string())
        })?;
    }
    // The model of a setting is that setting's again; one that was asked for stays asked for.
    let default = start.settings.text("model.default");
    let model = options.model.clone().or_else(|| start.model.clone().filter(|it| it != default));
    let path = options.workspace.clone().unwrap_or_else(|| PathBuf::from(&start.workspace));
    let workspace = workspace_of(&path)?;
    let (program, text) = match &options.program {
        Some(file) => crate::modules::load(&workspace, file, &file.display().to_string())?,
        None => recorded(&start.program)?,
    };
    let given = options.set.iter().any(|(name, _)| name == "run.seed");
    let mut run = Run::of(
        RunOptions {
            program: options.program.clone().unwrap_or_default(),
            workspace: path,
            args: options.args.clone().or_else(|| start.args.clone()),
            agents_dir: options
                .agents_dir
                .clone()
                .or_else(|| start.agents_dir.as_ref().map(PathBuf::from)),
            model,
            tables: options.tables.clone(),
            settings,
            data_dir: options.data_dir.clone(),
            cache_dir: options.cache_dir.clone(),
        },
        workspace,
        (program, text),
        false,
    )?;
    if !given {
        run.start.seed = start.seed; // what was drawn is drawn again
    }
    Ok(run)
}

/// The old run's program, with the libraries it had then.
fn recorded(text: &ProgramText) -> Result<(Program, ProgramText), PrepareError> {
    let program = loopwright_program::parse(&text.name, &text.source)?;
    Ok((program, text.clone()))
}

fn no_call(run: &RunId, at: CallId) -> Diagnostic {
    let message = format!("run `{run}` has no task `{at}` to fork at");
    Diagnostic::new(Code::FORK_AT_UNKNOWN, message)
        .hint(format!("`loopwright show {run}` shows the numbers of its tasks"))
}
