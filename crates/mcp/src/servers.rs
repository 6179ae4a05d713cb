//! All servers of a workspace, from the outside: blocking calls, usable from any thread.

use crate::answer::{self, Called, Promise};
use crate::background::Background;
use crate::call::Call;
use crate::config::{self, Definition};
use crate::failure;
use crate::handler::Answers;
use crate::limits::Limits;
use crate::login::{self, Browser};
use crate::manifest::ToolManifest;
use crate::resources::{self, Prompt, Resource, ResourceContent, ResourceTemplate};
use crate::server::{Change, OnChange, Server, Shared};
use crate::table::{Entry, Table};
use crate::{signatures, tree};
use loopwright_protocol::{Found, Tool};
use loopwright_types::{Code, Diagnostic, Failure, Reason, Settings};
use serde_json::{Map, Value};
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long the end of all servers may take together.
const END: Duration = Duration::from_secs(6);

/// Lines of progress that wait to be taken; what comes while so many wait is left out.
const PROGRESS_MAX: usize = 256;

/// What servers need besides their definitions.
#[derive(Clone)]
pub struct Options {
    limits: Limits,
    tokens: std::path::PathBuf,
    answers: Option<Arc<dyn Answers>>,
    on_change: Option<OnChange>,
}

impl Options {
    /// With the settings `mcp.*`; tokens of logins are kept below the directory `data`.
    pub fn new(settings: &Settings, data: &Path) -> Self {
        let tokens = data.join("mcp");
        Self { limits: Limits::of(settings), tokens, answers: None, on_change: None }
    }

    /// The same with somebody who answers questions of servers; without, they are declined.
    #[must_use]
    pub fn answers(mut self, answers: Arc<dyn Answers>) -> Self {
        self.answers = Some(answers);
        self
    }

    /// The same with somebody who is told when a server's tools change. Called on the background thread: it must not
    /// block.
    #[must_use]
    pub fn on_change(mut self, tell: impl Fn(&Change) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Arc::new(tell));
        self
    }
}

/// What is asked of a server.
struct Asked {
    tool: String,
    wire_name: String,
    arguments: Map<String, Value>,
    promise: Promise,
    key: Option<String>,
}

/// The MCP servers of a workspace. All of them end with the last handle, or at [`Self::shutdown`].
pub struct Servers {
    servers: Vec<Arc<Server>>,
    background: Background,
    table: RwLock<Arc<Table>>,
}

impl Servers {
    /// Reads `.mcp.json` of the workspace; nothing is started. A server that cannot be used is left out and reported.
    pub fn load(workspace: &Path, options: Options) -> (Self, Vec<Diagnostic>) {
        let variable = |name: &str| std::env::var(name).ok();
        let (definitions, diagnostics) = config::load(workspace, &variable);
        (Self::new(definitions, options), diagnostics)
    }

    /// Servers that are defined elsewhere.
    pub fn new(definitions: Vec<Definition>, options: Options) -> Self {
        let Options { limits, tokens, answers, on_change } = options;
        let shared = Arc::new(Shared { limits, tokens, answers, on_change });
        let server = |it| Arc::new(Server::new(it, Arc::clone(&shared)));
        let servers = definitions.into_iter().map(server).collect();
        Self { servers, background: Background::default(), table: RwLock::default() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Their definitions, by name.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.servers.iter().map(|it| it.definition())
    }

    /// Starts all servers at once, lists their tools and pins them for the run. What did not start or cannot be used is
    /// reported; the others are there. Takes as long as the slowest, `mcp.connect_timeout_ms` and the listing at most.
    pub fn connect_all(&self) -> Vec<Diagnostic> {
        let results = self.connect_each();
        let mut diagnostics: Vec<Diagnostic> = results
            .into_iter()
            .flat_map(|(_, result)| result.unwrap_or_else(|it| vec![it]))
            .collect();
        diagnostics.extend(self.pin());
        diagnostics
    }

    /// The same, told server by server, by name: what is wrong with single tools of one that is up, or why it is not.
    /// The tools are not pinned yet.
    pub fn connect_each(&self) -> Vec<(String, Result<Vec<Diagnostic>, Diagnostic>)> {
        let started: Vec<_> = self
            .servers
            .iter()
            .map(|server| {
                let server = Arc::clone(server);
                let name = server.name().to_owned();
                let pending = self.background.start(&name, async move { server.start().await });
                (name, pending)
            })
            .collect();
        let told = |name: String, complaints: Vec<String>| {
            let about = |complaint| format!("the MCP server `{name}`: {complaint}");
            let complaints = complaints.into_iter().map(about);
            complaints.map(|message| Diagnostic::new(Code::MCP_TOOL, message)).collect()
        };
        let ended = started.into_iter().map(|(name, pending)| {
            let result = pending
                .and_then(|it| it.wait(|| ()).unwrap_or_else(|| Err(failure::ending(&name))));
            let result = result.map_err(diagnostic);
            (name.clone(), result.map(|complaints| told(name, complaints)))
        });
        ended.collect()
    }

    /// Takes the tools as their servers have them now for those of the next run.
    pub fn pin(&self) -> Vec<Diagnostic> {
        let listed = self.servers.iter().map(|it| (Arc::clone(it), it.pin())).collect();
        let (table, diagnostics) = Table::build(listed);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        diagnostics
    }

    /// How often any server's tools changed.
    pub fn generation(&self) -> u64 {
        self.servers.iter().map(|it| it.generation()).sum()
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tools that are pinned, in alphabetical order of `server.tool`.
    pub fn tools(&self) -> Vec<Tool> {
        self.table().entries().map(|it| it.tool.clone()).collect()
    }

    /// Those of one server, named as in its file.
    pub fn tools_of(&self, server: &str) -> Vec<Tool> {
        let table = self.table();
        let own = table.entries().filter(|it| it.server.name() == server);
        own.map(|it| it.tool.clone()).collect()
    }

    /// The name that a tool is known by, whatever way a program or a model wrote it.
    pub fn resolve(&self, name: &str) -> Option<String> {
        self.table().find(name).map(|it| it.tool.name.clone())
    }

    /// What the configuration says of a tool.
    pub fn manifest(&self, name: &str) -> Option<ToolManifest> {
        let table = self.table();
        let entry = table.find(name)?;
        Some(entry.server.definition().manifest.tool(&entry.wire_name))
    }

    /// Calls a tool and waits for its result. It is sent once. `cancelled` is asked now and then; `progress` gets what
    /// the server tells, both on this thread.
    ///
    /// # Errors
    /// The tool's own failure ([`Code::TOOL_FAILED`], its text is the message), or one of the codes `LW11xx`.
    pub fn call(
        &self,
        name: &str,
        args: &Value,
        cancelled: &dyn Fn() -> bool,
        progress: &dyn Fn(String),
    ) -> Result<Value, Failure> {
        self.call_under(None, name, args, cancelled, progress)
    }

    /// The same under a key that the server may know the call by, however often it is sent: it goes with the request as
    /// `loopwright/idempotencyKey` of its `_meta`.
    ///
    /// # Errors
    /// As for [`Self::call`].
    pub fn call_under(
        &self,
        key: Option<&str>,
        name: &str,
        args: &Value,
        cancelled: &dyn Fn() -> bool,
        progress: &dyn Fn(String),
    ) -> Result<Value, Failure> {
        let table = self.table();
        let entry = table.find(name).ok_or_else(|| unknown_tool(&table, name))?;
        let asked = Asked {
            tool: entry.tool.name.clone(),
            wire_name: entry.wire_name.clone(),
            arguments: arguments(entry, args)?,
            promise: entry.promise.clone(),
            key: key.map(str::to_owned),
        };
        self.send(&entry.server, asked, cancelled, progress)
    }

    /// Asks the tool that the manifest names as this one's lookup what became of the call that went out under the key.
    /// A read: it may be repeated freely.
    ///
    /// # Errors
    /// [`Code::LOOKUP_FAILED`] when the tool has no lookup; [`Code::MCP_RESULT`] when the answer is none of the three
    /// that there are, or the result is not what the tool promises; as for [`Self::call`] otherwise.
    pub fn look_up(
        &self,
        key: &str,
        name: &str,
        args: &Value,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Found, Failure> {
        let table = self.table();
        let entry = table.find(name).ok_or_else(|| unknown_tool(&table, name))?;
        let Some((lookup, promise)) = &entry.lookup else {
            let message = format!("calls of `{}` cannot be looked up any more", entry.tool.name);
            return Err(Failure::new(Reason::Policy, Code::LOOKUP_FAILED, message).not_sent());
        };
        let mut about = Map::new();
        about.insert("key".to_owned(), Value::String(key.to_owned()));
        about.insert("arguments".to_owned(), Value::Object(arguments(entry, args)?));
        let asked = Asked {
            tool: format!("{}.{}", entry.server_name, failure::line(lookup)),
            wire_name: lookup.clone(),
            arguments: about,
            promise: promise.clone(),
            key: Some(key.to_owned()),
        };
        let answer = self.send(&entry.server, asked, cancelled, &|_| ())?;
        let called = Called {
            server: entry.server.name(),
            tool: &entry.tool.name,
            promise: &entry.promise,
            result_bytes_max: entry.server.limits().result_bytes_max,
        };
        answer::found(&called, answer)
    }

    fn send(
        &self,
        server: &Arc<Server>,
        asked: Asked,
        cancelled: &dyn Fn() -> bool,
        progress: &dyn Fn(String),
    ) -> Result<Value, Failure> {
        let (send_progress, mut told) = mpsc::channel(PROGRESS_MAX);
        let (cancel, is_cancelled) = oneshot::channel();
        let Asked { tool, wire_name, arguments, promise, key } = asked;
        let call = Call {
            tool,
            wire_name,
            arguments,
            promise,
            key,
            progress: send_progress,
            cancelled: is_cancelled,
        };
        let server = Arc::clone(server);
        let pending = self.background.start(server.name(), Arc::clone(&server).call(call))?;
        let mut cancel = Some(cancel);
        let result = pending.wait(|| {
            while let Ok(line) = told.try_recv() {
                progress(line);
            }
            if cancel.is_some() && cancelled() {
                let _ = cancel.take().map(|it| it.send(()));
            }
        });
        while let Ok(line) = told.try_recv() {
            progress(line);
        }
        result.unwrap_or_else(|| Err(failure::lost(server.name(), "the run is ending")))
    }

    fn server(&self, name: &str) -> Result<&Arc<Server>, Failure> {
        self.servers.iter().find(|it| it.name() == name).ok_or_else(|| {
            let names: Vec<String> =
                self.servers.iter().map(|it| format!("`{}`", it.name())).collect();
            let hint = match names.is_empty() {
                true => "there is no server in `.mcp.json`".to_owned(),
                false => format!("there are {}", names.join(", ")),
            };
            let message = format!("there is no MCP server `{name}`");
            Failure::new(Reason::Policy, Code::MCP_DEFINITION, message).hint(hint).not_sent()
        })
    }

    /// Work with one server on the background thread.
    fn with<T: Send + 'static, F: Future<Output = Result<T, Failure>> + Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(Arc<Server>) -> F,
    ) -> Result<T, Failure> {
        let server = Arc::clone(self.server(name)?);
        let pending = self.background.start(name, work(server))?;
        pending.wait(|| ()).unwrap_or_else(|| Err(failure::ending(name)))
    }

    /// The revision of the protocol agreed on with a server that is up.
    pub fn revision(&self, server: &str) -> Option<String> {
        self.with(server, |it| async move { Ok(it.revision().await) }).ok().flatten()
    }

    /// What a server that is up says about using it: data for a model, never an instruction to us.
    pub fn instructions(&self, server: &str) -> Option<String> {
        self.with(server, |it| async move { Ok(it.instructions().await) }).ok().flatten()
    }

    /// The resources of a server.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer with a list.
    pub fn resources(&self, server: &str) -> Result<Vec<Resource>, Failure> {
        self.with(server, resources::list)
    }

    /// Patterns of addresses of a server's resources.
    ///
    /// # Errors
    /// As for [`Self::resources`].
    pub fn resource_templates(&self, server: &str) -> Result<Vec<ResourceTemplate>, Failure> {
        self.with(server, resources::templates)
    }

    /// What is at an address of a server.
    ///
    /// # Errors
    /// As for [`Self::resources`], and when it is larger than `mcp.result_bytes_max`.
    pub fn read_resource(&self, server: &str, uri: &str) -> Result<Vec<ResourceContent>, Failure> {
        let uri = uri.to_owned();
        self.with(server, |it| resources::read(it, uri))
    }

    /// The prompts that a server offers.
    ///
    /// # Errors
    /// As for [`Self::resources`].
    pub fn prompts(&self, server: &str) -> Result<Vec<Prompt>, Failure> {
        self.with(server, resources::prompts)
    }

    /// Logs in at a server's authorization server: `browser` opens the page on which a person consents, and the answer
    /// comes back to a loopback address. The tokens are stored and used by the next call.
    ///
    /// # Errors
    /// When the server has no login, the person refuses, or nobody answers within `patience`.
    pub fn login(
        &self,
        server: &str,
        browser: Arc<dyn Browser>,
        patience: Duration,
    ) -> Result<(), Failure> {
        self.with(server, |it| login::login(it, browser, patience))
    }

    /// Forgets the stored tokens of a server.
    ///
    /// # Errors
    /// When their file cannot be removed.
    pub fn logout(&self, server: &str) -> Result<(), Failure> {
        self.with(server, login::logout)
    }

    /// TypeScript declarations of all pinned tools, as `tools.<server>.<tool>`.
    pub fn signatures(&self) -> String {
        signatures::declarations(&self.table())
    }

    /// Writes typed files to search and read piece by piece: `<dir>/<server>/index.md` and
    /// `<dir>/<server>/<tool>.d.ts`. What the folder held of servers and tools before is replaced.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_tree(&self, dir: &Path) -> std::io::Result<()> {
        tree::write(&self.table(), dir)
    }

    /// Ends all servers, waiting a few seconds for them to go. Nothing starts after that.
    pub fn shutdown(&self) {
        if self.background.can_be_waited_for() {
            let servers = self.servers.clone();
            let all = async move {
                let ends: Vec<_> = servers
                    .into_iter()
                    .map(|it| tokio::spawn(async move { it.close().await }))
                    .collect();
                let together = async {
                    for end in ends {
                        let _ = end.await;
                    }
                };
                let _ = tokio::time::timeout(END, together).await;
            };
            if let Ok(pending) = self.background.start("", all) {
                pending.wait(|| ());
            }
        }
        self.background.stop();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Programs may leave the arguments out where there are none.
fn arguments(entry: &Entry, args: &Value) -> Result<Map<String, Value>, Failure> {
    match args {
        Value::Object(map) => Ok(map.clone()),
        Value::Null => Ok(Map::new()),
        _ => {
            let message = format!("`{}` takes an object of arguments", entry.tool.name);
            Err(Failure::new(Reason::Policy, Code::TOOL_ARGUMENT, message).not_sent())
        }
    }
}

fn unknown_tool(table: &Table, name: &str) -> Failure {
    let shown = failure::line(name);
    let server = name.split('.').next().unwrap_or_default();
    let own: Vec<String> = table
        .entries()
        .filter(|it| it.server_name == server)
        .map(|it| format!("`{}`", it.tool.name))
        .take(20)
        .collect();
    let failure =
        Failure::new(Reason::Policy, Code::TOOL_UNKNOWN, format!("there is no tool `{shown}`"));
    match own.is_empty() {
        true => failure.not_sent(),
        false => failure.hint(format!("there are {}", own.join(", "))).not_sent(),
    }
}

fn diagnostic(failure: Failure) -> Diagnostic {
    Diagnostic { code: failure.code, message: failure.message, location: None, hint: failure.hint }
}
