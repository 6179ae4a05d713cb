//! A recorded run, prepared to go on in this process: everything that can refuse it is looked at before it is taken.

use crate::clock::Clock;
use crate::execute::{WhenRecorded, synced};
use crate::mail::Mail;
use crate::prepare::{Around, PrepareError, Run, open_interpreter};
use crate::requests::Requests;
use crate::toolbox::Toolbox;
use loopwright_engine::{Doubt, Engine, Recorded, Resume, ResumeError};
use loopwright_interpreter::{GAS_PER_MS, Guests, Interpreter};
use loopwright_journal::{Error, RunRow, Store, Writer};
use loopwright_protocol::{Entry, RunStart, Subagent};
use loopwright_providers::ModelDriver;
use loopwright_subagents::{Drivers, Orphan, Registry, end_orphans, is_running};
use loopwright_types::{Code, Diagnostic, RunId, RunStatus};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a run that an ended process still holds is waited for.
const LET_GO: Duration = Duration::from_secs(2);

/// Everything that is chosen before a run goes on. The rest is in its record.
#[derive(Clone, Debug)]
pub struct ResumeOptions {
    /// The run.
    pub run: RunId,
    /// Where it is recorded.
    pub data_dir: PathBuf,
    /// Where the compiled guest is kept between processes; absent compiles it each time.
    pub cache_dir: Option<PathBuf>,
    /// The workspace, where it is no longer where it was.
    pub workspace: Option<PathBuf>,
    /// The settings file's tables of providers and models; empty is none.
    pub tables: toml::Table,
    /// The operator's ceiling on all tokens from here on; 0 is none, absent leaves it.
    pub tokens: Option<u64>,
    /// The operator's ceiling on millionths of a US dollar from here on; 0 is none, absent leaves it.
    pub usd_micros: Option<u64>,
    /// Whether it goes on without subagents and tools that are gone: work that is left for them fails for good. A fork
    /// also goes on without the run that it was forked from: what is left is done again.
    pub allow_missing: bool,
}

/// A run that this process has taken.
pub(crate) struct Taken {
    pub writer: Writer,
    pub engine: Engine,
    pub requests: Requests,
}

/// What a run was started with, without reading more of it.
///
/// # Errors
/// When there is no such run, or its record is damaged at its beginning.
pub fn start_of(store: &Store, run: &RunId) -> Result<RunStart, Diagnostic> {
    let first = store.read(run).map_err(|error| error.diagnostic())?.next();
    match first.transpose().map_err(|error| error.diagnostic())? {
        Some((_, Entry::RunStarted(start))) => Ok(*start),
        _ => Err(nothing_recorded(run)),
    }
}

/// Why there is nothing to read of a run whose process died before its first entry was durable.
pub fn nothing_recorded(run: &RunId) -> Diagnostic {
    let message = format!("run `{run}` was stopped before anything of it was recorded");
    Diagnostic::new(Code::RUN_EMPTY, message).hint(
        "nothing was done yet: start it again with `loopwright run`; `loopwright prune --status interrupted` clears it away",
    )
}

impl Run {
    /// Prepares a recorded run to go on where its record ends: surroundings as they were, program and answers from the
    /// record. Finished work is not done again.
    ///
    /// # Errors
    /// When another process has it, it has ended, its record is damaged, its program no longer fits the record, or
    /// something that it needs is gone.
    pub fn resume(options: ResumeOptions) -> Result<Self, PrepareError> {
        let store = Store::open_read_only(&options.data_dir).map_err(|error| error.diagnostic())?;
        let row = released(&store, options.run.as_str())?;
        check_row(&store, &row)?;
        let start = start_of(&store, &row.id)?;
        let settings = &start.settings;
        let interpreter = interpreter(&start, options.cache_dir.clone())?;
        let workspace = workspace(&start, options.workspace)?;
        let agents_dir = start.agents_dir.as_ref().map(PathBuf::from);
        let around = Around::open(
            &workspace,
            &options.data_dir,
            agents_dir,
            overridden(&start),
            &options.tables,
            settings,
        )?;
        let Around { registry, providers, tools, told } = around.rehearsed(start.rehearsal);
        let mut warnings = told;
        warnings.extend(changes(&start, &registry));
        let mut gone = missing(&start, &registry, &tools);
        if let (false, Some(first)) = (options.allow_missing, gone.first()) {
            return Err(first.clone().into());
        }
        warnings.append(&mut gone);
        let mail = Mail::new();
        let (clock, recorded) = (Clock::start(), WhenRecorded::default());
        let guests =
            Guests::new(interpreter.clone(), settings).resting_in(options.data_dir.clone());
        let past = past(&store, &start, options.allow_missing, &mut warnings)?;
        let reading = Reading { store, run: row.id.clone() };
        let store = Store::open_shared(&options.data_dir, settings);
        let store = store.map_err(|error| error.diagnostic())?;
        let took = Took {
            store: store.clone(),
            synced: synced(&mail, clock, &recorded),
            is_over: row.status == RunStatus::Failed,
            tokens: options.tokens,
            usd_micros: options.usd_micros,
        };
        let (guests, mut taken) =
            crate::execute::on_own_thread(move || take(&reading, took, guests))??;
        if let Some(past) = past {
            taken.engine = taken.engine.with_past(past);
        }
        let servers = tools.servers_for_agents();
        let subagents = Drivers::new(&registry, settings, &workspace, servers);
        let models = ModelDriver::new(providers.clone(), settings);
        Ok(Self {
            start,
            store,
            subagents,
            models,
            providers,
            tools: Arc::new(tools),
            workspace,
            interpreter,
            guests,
            past: None,
            clock,
            mail,
            warnings,
            taken: Some(Box::new(taken)),
            recorded,
        })
    }
}

/// A fork that goes on still takes over what the old run has. Without that it goes on only where that was said.
fn past(
    store: &Store,
    start: &RunStart,
    allow_missing: bool,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Option<Recorded>, Diagnostic> {
    let Some(from) = &start.from else { return Ok(None) };
    match crate::fork::past_of(store, from) {
        Err(error) if allow_missing => {
            warnings.push(error);
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// The run's row, once a process that has ended has let go of the run: one that was killed in the middle of starting
/// another holds its lock until that one runs its own program, and only from then on can what it started be found.
fn released(store: &Store, run: &str) -> Result<RunRow, Diagnostic> {
    let until = Instant::now() + LET_GO;
    loop {
        let row = store.find(run).map_err(|error| error.diagnostic())?;
        let has_ended = row.live && row.owner.is_some_and(|owner| !is_running(owner.pid));
        if !has_ended || Instant::now() >= until {
            return Ok(row);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the run may be taken at all, as far as its row says.
fn check_row(store: &Store, row: &RunRow) -> Result<(), Diagnostic> {
    let run = row.id.clone();
    if row.live {
        return Err(live(row));
    }
    let over = match row.status {
        RunStatus::Complete | RunStatus::Degraded => true,
        // One that was stopped by something outside the program may have more luck now.
        RunStatus::Failed => {
            let last = store.read_from(&run, row.entries.saturating_sub(1));
            let last = last.map_err(|error| error.diagnostic())?.next().transpose();
            let last = last.map_err(|error| error.diagnostic())?;
            !matches!(last, Some((_, Entry::RunFinished(finish))) if finish.external)
        }
        _ => false,
    };
    if over {
        let error = Error::RunEnded { run: run.clone(), status: row.status };
        return Err(error.diagnostic().hint(format!(
            "there is nothing left to do; `loopwright show {run}` shows what it did, `loopwright run` starts a new one"
        )));
    }
    Ok(())
}

/// Another process has the run: which, and since when.
pub(crate) fn live(row: &RunRow) -> Diagnostic {
    let told = Error::RunLive { run: row.id.clone() }.diagnostic();
    let Some(owner) = row.owner else { return told };
    let since = crate::view::timestamp(owner.since)[..19].replace('T', " ");
    let message =
        format!("run `{}` is being executed by process {} since {since} UTC", row.id, owner.pid);
    let run = &row.id;
    let hint = format!(
        "`loopwright wait {run}` waits for its end; `loopwright pause {run}` or `loopwright cancel {run}` stops it there"
    );
    Diagnostic::new(told.code, message).hint(hint)
}

/// The interpreter, which must be the one that the record was made with.
///
/// # Errors
/// When it is another one, or there is none.
pub(crate) fn interpreter(
    start: &RunStart,
    cache_dir: Option<PathBuf>,
) -> Result<Interpreter, Diagnostic> {
    let interpreter = open_interpreter(cache_dir)?;
    if interpreter.hash() != start.interpreter {
        let message = format!("run `{}` was made by another version of the interpreter", start.run);
        let hint =
            format!("use Loopwright {} for it; `loopwright show` still shows it", start.version);
        return Err(Diagnostic::new(Code::JOURNAL_MISMATCH, message).hint(hint));
    }
    Ok(interpreter)
}

fn workspace(start: &RunStart, given: Option<PathBuf>) -> Result<PathBuf, Diagnostic> {
    let named = given.unwrap_or_else(|| PathBuf::from(&start.workspace));
    named.canonicalize().map_err(|error| {
        let message = format!("the workspace `{}` of the run is gone: {error}", named.display());
        Diagnostic::new(Code::WORKSPACE_GONE, message).hint(
            "the program is in the record, its files are not: bring them back, or name where they are now with `--workspace`",
        )
    })
}

/// The model that was asked for in place of the definitions' own.
fn overridden(start: &RunStart) -> Option<String> {
    let named = start.settings.text("model.default");
    start.model.clone().filter(|model| model == "mock" || model != named)
}

/// What is no longer what it was when the run began: worth a warning, because work that is left is done by what is
/// there now.
fn changes(start: &RunStart, registry: &Registry) -> Vec<Diagnostic> {
    let now = registry.subagents();
    let is_other = |was: &&Subagent| {
        let is = now.iter().find(|subagent| subagent.name == was.name);
        is.is_some_and(|is| is.digest != was.digest)
    };
    let was = start.subagents.iter().filter(|subagent| subagent.driver != "invalid");
    let told = was.filter(is_other).map(|subagent| {
        let (name, file) = (&subagent.name, file_of(subagent));
        let message = format!("subagent `{name}` is not what it was when the run began");
        Diagnostic::new(Code::DEFINITION_CHANGED, message)
            .hint(format!("bring `{file}` back as it was, or cancel and start a new run"))
    });
    told.collect()
}

fn file_of(subagent: &Subagent) -> &str {
    subagent.source.as_deref().unwrap_or("its file")
}

/// Subagents and tools that the run began with and that are gone: what is left for them would fail for good.
fn missing(start: &RunStart, registry: &Registry, tools: &Toolbox) -> Vec<Diagnostic> {
    let (now, known) = (registry.subagents(), tools.tools());
    let told = |message: String, hint: String| {
        let hint = format!("{hint}; `--allow-missing` goes on without");
        Diagnostic::new(Code::DEFINITION_CHANGED, message).hint(hint)
    };
    let was = start.subagents.iter().filter(|subagent| subagent.driver != "invalid");
    let subagents = was.filter(|was| !now.iter().any(|subagent| subagent.name == was.name));
    let subagents = subagents.map(|subagent| {
        let message = format!("subagent `{}` is gone: tasks for it would fail", subagent.name);
        told(message, format!("bring `{}` back", file_of(subagent)))
    });
    let tools = start.tools.iter().filter(|tool| !known.iter().any(|now| now.name == tool.name));
    let tools = tools.map(|tool| {
        let message = format!("tool `{}` is gone: calls of it would fail", tool.name);
        told(message, "`loopwright tools` tells why a server did not start".to_owned())
    });
    subagents.chain(tools).collect()
}

/// The record as it is before the run is taken.
struct Reading {
    store: Store,
    run: RunId,
}

/// How the run is taken.
struct Took {
    store: Store,
    synced: loopwright_journal::Synced,
    is_over: bool,
    tokens: Option<u64>,
    usd_micros: Option<u64>,
}

/// Restores the run, takes it, and ends what the process before has left.
fn take(reading: &Reading, took: Took, mut guests: Guests) -> Result<(Guests, Taken), Diagnostic> {
    let told = |error: Error| error.diagnostic();
    let run = &reading.run;
    let mut resume = Resume::new(&mut guests, GAS_PER_MS);
    let mut count = 0;
    let feed = |resume: &mut Resume<'_>, count: &mut u64| {
        for entry in reading.store.read_from(run, *count).map_err(told)? {
            let (_, entry) = entry.map_err(told)?;
            resume.entry(entry).map_err(|error| refused(&error, run))?;
            *count += 1;
        }
        Ok::<(), Diagnostic>(())
    };
    feed(&mut resume, &mut count)?;
    let writer = match took.is_over {
        false => took.store.resume(run, took.synced),
        true => took.store.resume_ended(run, took.synced),
    };
    let writer = writer.map_err(|error| match error {
        Error::RunLive { .. } => took.store.find(run.as_str()).map_or_else(told, |row| live(&row)),
        other => told(other),
    })?;
    feed(&mut resume, &mut count)?; // what another process added meanwhile
    let mut requests = Requests::default();
    for (call, decision) in requests.preload(took.store.requests(run).map_err(told)?) {
        resume.decide(call, decision);
    }
    let orphans = resume.orphans();
    let orphans: Vec<Orphan> = orphans
        .iter()
        .map(|orphan| Orphan { pid: orphan.pid, start_ticks: orphan.start_ticks })
        .collect();
    end_orphans(run, &orphans);
    resume.set_epoch(writer.epoch());
    resume.set_ceilings(took.tokens, took.usd_micros);
    let engine = resume.finish();
    Ok((guests, Taken { writer, engine, requests }))
}

fn refused(error: &ResumeError, run: &RunId) -> Diagnostic {
    let told = error.diagnostic();
    if told.code != Code::JOURNAL_MISMATCH {
        return told;
    }
    told.hint(format!(
        "`loopwright replay {run}` shows both sides; nothing was done and nothing is lost"
    ))
}

/// Calls of a run that were sent and of whose results nothing is known.
///
/// # Errors
/// When there is no such run, its record is damaged, or its program does not fit it.
pub fn doubts(
    store: &Store,
    run: &RunId,
    cache_dir: Option<PathBuf>,
) -> Result<Vec<Doubt>, Diagnostic> {
    let start = start_of(store, run)?;
    let mut guests = Guests::new(interpreter(&start, cache_dir)?, &start.settings);
    let (store, run) = (store.clone(), run.clone());
    crate::execute::on_own_thread(move || {
        let mut resume = Resume::new(&mut guests, GAS_PER_MS);
        for entry in store.read(&run).map_err(|error| error.diagnostic())? {
            let (_, entry) = entry.map_err(|error| error.diagnostic())?;
            resume.entry(entry).map_err(|error| refused(&error, &run))?;
        }
        Ok(resume.doubts())
    })?
}
