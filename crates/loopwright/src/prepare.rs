//! Everything before the first turn: read, parse, check. What can be known to be wrong is refused here, before
//! anything is written or spent.

use crate::clock::{self, Clock};
use crate::execute::{Canceller, WhenRecorded};
use crate::mail::Mail;
use crate::options::RunOptions;
use crate::resume::Taken;
use crate::toolbox::Toolbox;
use loopwright_interpreter::{Guests, Interpreter};
use loopwright_journal::Store;
use loopwright_program::{Program, Report};
use loopwright_protocol::{Entry, Json, Model, ProgramText, RunStart, Subagent, Tool};
use loopwright_providers::{ModelDriver, Providers};
use loopwright_subagents::{Definition, Drivers, LoadOptions, Registry, Runner};
use loopwright_types::{Code, Diagnostic, Digest, Effects, Position, RunId, Settings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The model that the mock driver plays.
const MOCK: &str = "mock";

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Something is wrong with the program.
    #[error("{0}")]
    Program(Report),
    /// Something is wrong around it.
    #[error("{0}")]
    Setup(Diagnostic),
}

impl From<Report> for PrepareError {
    fn from(report: Report) -> Self {
        Self::Program(report)
    }
}

impl From<Diagnostic> for PrepareError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Setup(diagnostic)
    }
}

/// A run that is ready to begin.
pub struct Run {
    pub(crate) start: RunStart,
    pub(crate) store: Store,
    pub(crate) subagents: Arc<Drivers>,
    pub(crate) models: ModelDriver,
    pub(crate) providers: Providers,
    pub(crate) tools: Arc<Toolbox>,
    pub(crate) workspace: PathBuf,
    pub(crate) interpreter: Interpreter,
    pub(crate) guests: Guests,
    /// A recorded run whose outcomes are taken over.
    pub(crate) past: Option<loopwright_engine::Recorded>,
    pub(crate) clock: Clock,
    pub(crate) mail: Arc<Mail>,
    pub(crate) warnings: Vec<Diagnostic>,
    /// A run that goes on.
    pub(crate) taken: Option<Box<Taken>>,
    pub(crate) recorded: WhenRecorded,
}

impl Run {
    /// Reads the program, its libraries and the subagent definitions, and opens sandbox and journal.
    ///
    /// # Errors
    /// Everything that can be known to be wrong before the first turn.
    pub fn prepare(options: RunOptions) -> Result<Self, PrepareError> {
        Self::prepared(options, false)
    }

    /// The same with the mock driver in place of every subagent, commands and agents included, and with tools that do
    /// nothing but read the workspace: to see whether a program goes through.
    ///
    /// # Errors
    /// As [`Run::prepare`].
    pub fn rehearse(options: RunOptions) -> Result<Self, PrepareError> {
        Self::prepared(options, true)
    }

    fn prepared(options: RunOptions, is_rehearsal: bool) -> Result<Self, PrepareError> {
        let workspace = workspace_of(&options.workspace)?;
        let name = options.program.display().to_string();
        let (program, text) = crate::modules::load(&workspace, &options.program, &name)?;
        Self::of(options, workspace, (program, text), is_rehearsal)
    }

    /// The same for a program that is read already.
    pub(crate) fn of(
        options: RunOptions,
        workspace: PathBuf,
        (program, text): (Program, ProgramText),
        is_rehearsal: bool,
    ) -> Result<Self, PrepareError> {
        check_args(&program, options.args.as_ref(), &options.settings)?;
        let (settings, agents_dir) = (options.settings, options.agents_dir);
        let (over, model) = asked_model(options.model, &settings);
        let around = Around::open(
            &workspace,
            &options.data_dir,
            agents_dir.clone(),
            over,
            &options.tables,
            &settings,
        )?;
        let Around { registry, providers, tools, told } = around.rehearsed(is_rehearsal);
        let models = pinned(&providers, &registry, model.as_deref())?;
        let interpreter = open_interpreter(options.cache_dir)?;
        let store =
            Store::open_shared(&options.data_dir, &settings).map_err(|error| error.diagnostic())?;
        let clock = Clock::start();
        let now = clock.now();
        let run = clock::run_id(now);
        let start = RunStart {
            run: run.clone(),
            now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            interpreter: interpreter.hash(),
            program: text,
            args: options.args,
            seed: seed(&settings),
            subagents: definitions(&registry),
            tools: tools.tools(),
            models,
            model,
            workspace: workspace.display().to_string(),
            agents_dir: agents_dir.map(|dir| dir.display().to_string()),
            from: None,
            rehearsal: is_rehearsal,
            settings,
        };
        let mut warnings = program.warnings;
        warnings.extend(told);
        let guests = Guests::new(interpreter.clone(), &start.settings).resting_in(options.data_dir);
        let servers = tools.servers_for_agents();
        let subagents = Drivers::new(&registry, &start.settings, &workspace, servers);
        let driver = ModelDriver::new(providers.clone(), &start.settings);
        let mail = Mail::new();
        Ok(Self {
            start,
            store,
            subagents,
            models: driver,
            providers,
            tools: Arc::new(tools),
            workspace,
            interpreter,
            guests,
            past: None,
            clock,
            mail,
            warnings,
            taken: None,
            recorded: WhenRecorded::default(),
        })
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.start.run
    }

    /// The program as it will run.
    pub fn program(&self) -> &ProgramText {
        &self.start.program
    }

    /// What is allowed but probably a mistake: in the program, and broken subagent definitions.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// What the run went through before it was taken, for those who show it; nothing for one that begins.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn past(&self, visit: &mut dyn FnMut(&Entry)) -> Result<(), Diagnostic> {
        let Some(taken) = &self.taken else { return Ok(()) };
        let entries = self.store.read(&self.start.run).map_err(|error| error.diagnostic())?;
        for entry in entries.take(usize::try_from(taken.writer.entries()).unwrap_or(usize::MAX)) {
            visit(&entry.map_err(|error| error.diagnostic())?.1);
        }
        Ok(())
    }

    /// Calls this once the first entry that this process adds is durable: the run is recorded from there on. Called
    /// on the journal's thread: it must not wait long.
    pub fn when_recorded(&self, tell: impl FnOnce() + Send + 'static) {
        *self.recorded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tell));
    }

    /// Reads how many commits (each with one sync) and entries the journal has made in this process.
    pub fn journal_stats(&self) -> impl Fn() -> (u64, u64) + use<> {
        let store = self.store.clone();
        move || {
            let stats = store.stats();
            (stats.commits, stats.entries)
        }
    }

    /// Asks this run to end, from any thread.
    pub fn canceller(&self) -> Canceller {
        Canceller {
            mail: Arc::clone(&self.mail),
            clock: self.clock,
            subagents: Arc::clone(&self.subagents),
        }
    }
}

/// The model in place of the definitions' own, and the one of those that name none.
fn asked_model(given: Option<String>, settings: &Settings) -> (Option<String>, Option<String>) {
    let named = Some(settings.text("model.default")).filter(|name| !name.is_empty());
    let over = given.or(named.filter(|name| *name == MOCK).map(str::to_owned));
    let model = over.clone().or(named.map(str::to_owned));
    (over, model)
}

/// The sandbox; compiled guests are kept in this directory. All runs of a process have one.
pub(crate) fn open_interpreter(cache_dir: Option<PathBuf>) -> Result<Interpreter, Diagnostic> {
    static OPEN: Mutex<Option<(Option<PathBuf>, Interpreter)>> = Mutex::new(None);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    match open.as_ref() {
        Some((kept_in, interpreter)) if *kept_in == cache_dir => return Ok(interpreter.clone()),
        _ => {}
    }
    let options =
        loopwright_interpreter::Options { cache_dir: cache_dir.clone(), ..Default::default() };
    let interpreter = Interpreter::new(options).map_err(|error| error.diagnostic())?;
    *open = Some((cache_dir, interpreter.clone()));
    Ok(interpreter)
}

/// The seed that the settings name, else a drawn one.
fn seed(settings: &Settings) -> u64 {
    match settings.integer("run.seed") {
        0 => clock::draw(),
        seed => seed,
    }
}

pub(crate) fn workspace_of(given: &Path) -> Result<PathBuf, Diagnostic> {
    given.canonicalize().map_err(|error| {
        let shown = given.display();
        Diagnostic::new(Code::USAGE, format!("cannot use the workspace `{shown}`: {error}"))
            .hint("name a directory that is there with `--workspace`")
    })
}

/// What surrounds a run: definitions, providers, tools.
pub(crate) struct Around {
    pub registry: Registry,
    pub providers: Providers,
    pub tools: Toolbox,
    /// What is broken or missing and does not keep the run from going.
    pub told: Vec<Diagnostic>,
}

impl Around {
    /// Reads definitions and configuration, opens the workspace and starts its MCP servers.
    ///
    /// # Errors
    /// What nothing can run without.
    pub fn open(
        workspace: &Path,
        data_dir: &Path,
        agents_dir: Option<PathBuf>,
        model: Option<String>,
        tables: &toml::Table,
        settings: &Settings,
    ) -> Result<Self, Diagnostic> {
        let (registry, mut told) =
            Registry::load(&LoadOptions { workspace: workspace.to_owned(), agents_dir, model });
        let providers = Providers::from_environment(tables)?;
        let (tools, more) = Toolbox::open(workspace, data_dir, settings)?;
        told.extend(more);
        told.extend(unknown_tools(&registry, &tools));
        told.extend(tools.bash_refusal().filter(|_| needs_bash(&registry)));
        Ok(Self { registry, providers, tools, told })
    }

    /// Where it is for a rehearsal: with nothing in it that does anything but read.
    pub fn rehearsed(mut self, is_rehearsal: bool) -> Self {
        if is_rehearsal {
            self.registry.mock_all();
            self.tools.rehearse();
        }
        self
    }
}

/// The models that definitions and options name, by each name. One that the operator asked for must be there; the
/// others are told when a task needs them.
fn pinned(
    providers: &Providers,
    registry: &Registry,
    asked: Option<&str>,
) -> Result<BTreeMap<String, Model>, Diagnostic> {
    let mut models = BTreeMap::new();
    let find = |name: &str| {
        let model = providers.resolve(name)?;
        providers.check_key(&model.provider)?;
        Ok::<Model, Diagnostic>(model)
    };
    if let Some(name) = asked.filter(|name| *name != MOCK) {
        models.insert(name.to_owned(), find(name)?);
    }
    for definition in registry.iter().filter(|definition| definition.runner == Runner::Model) {
        if let Some(name) = definition.model.as_deref().filter(|name| !models.contains_key(*name))
            && let Ok(model) = find(name)
        {
            models.insert(name.to_owned(), model);
        }
    }
    Ok(models)
}

/// Tools that definitions name and that are not there: the subagent goes without, and the author is told.
fn unknown_tools(registry: &Registry, tools: &Toolbox) -> Vec<Diagnostic> {
    let of = |definition: &Arc<Definition>| {
        let unknown = tools.unknown(definition.tools.as_deref()?);
        let mut told = loopwright_tools::unknown_tools(&definition.name, &unknown)?;
        if let Some(file) = &definition.source {
            told = told.at(file.clone(), Position { line: 1, column: 1 }, 1);
        }
        Some(told)
    };
    registry.iter().filter(|definition| definition.runner == Runner::Model).filter_map(of).collect()
}

/// Whether a definition asks for `bash` by name: only then is its absence worth a warning at the start.
fn needs_bash(registry: &Registry) -> bool {
    let bash = Tool::reading("bash");
    registry.iter().any(|definition| {
        let named = definition.tools.as_deref().unwrap_or_default();
        definition.runner == Runner::Model && named.iter().any(|item| bash.is_named_by(item))
    })
}

/// The definitions as the engine wants them; a broken one keeps its name, so that using it tells why.
fn definitions(registry: &Registry) -> Vec<Subagent> {
    let mut all = registry.subagents();
    for (name, error) in registry.broken_definitions() {
        all.push(Subagent {
            name: name.clone(),
            description: registry.refusal(name).message,
            driver: "invalid".to_owned(),
            provider: "invalid".to_owned(),
            model: None,
            effects: Effects::None,
            concurrency: None,
            tools: None,
            tools_denied: Vec::new(),
            system_prompt: String::new(),
            max_turns: None,
            lookup: false,
            digest: Digest::of(error.message.as_bytes()),
            source: error.location.as_ref().map(|location| location.file.clone()),
        });
    }
    all
}

/// `meta.args` is a promise about the arguments: kept here, not half-way through.
fn check_args(
    program: &Program,
    args: Option<&Json>,
    settings: &Settings,
) -> Result<(), PrepareError> {
    let Some(meta) = &program.meta else { return Ok(()) };
    let limits = loopwright_schema::Limits {
        bytes_max: settings.count("schema.bytes_max"),
        depth_max: settings.count("schema.depth_max"),
    };
    let compile = |schema, field: &str| {
        loopwright_schema::compile(schema, &limits).map_err(|error| {
            let mut diagnostic = Diagnostic::from(error);
            diagnostic.message = format!("`meta.{field}`: {}", diagnostic.message);
            diagnostic
        })
    };
    if let Some(schema) = &meta.result {
        compile(schema, "result")?;
    }
    let Some(schema) = &meta.args else { return Ok(()) };
    let schema = compile(schema, "args")?;
    let value = args.map(|args| args.read().unwrap_or_default()).unwrap_or(serde_json::Value::Null);
    schema.check(&value).map_err(|violations| {
        let message = format!(
            "the arguments do not match `meta.args`: {}",
            loopwright_schema::describe(&violations).replace('\n', "; ")
        );
        let hint = "give them as JSON: `--args '{\"name\": \"value\"}'` or `--args @file.json`";
        PrepareError::Setup(Diagnostic::new(Code::ARGS_INVALID, message).hint(hint))
    })
}
