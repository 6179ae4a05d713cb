//! The tools of one run behind one call: built-in ones, those of MCP servers, and applying what a subagent left in
//! its worktree.

use crate::rehearsal;
use loopwright_mcp::{Endpoint, Options, Servers};
use loopwright_protocol::{Json, Outcome, Tool, Worktree, WorktreeWork};
use loopwright_subagents::{McpServer, Reach};
use loopwright_tools::Tools;
use loopwright_types::{
    Attempt, CallId, Code, Diagnostic, Effects, Failure, Reason, RunId, Settings,
};
use loopwright_worktrees::Worktrees;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The tool that applies a subagent's branch to the workspace.
const APPLY: &str = "apply_worktree";

/// A tool call, as the engine dispatches it.
pub(crate) struct ToolCall<'a> {
    pub name: &'a str,
    pub args: &'a Value,
    /// The directory it works in, where that is not the workspace.
    pub root: Option<&'a str>,
    /// What a subagent may call; absent for a program.
    pub grant: Option<&'a [String]>,
    /// What the call is known by, however often it is sent.
    pub key: &'a str,
}

/// All tools of a run.
pub(crate) struct Toolbox {
    builtin: Tools,
    servers: Servers,
    worktrees: Worktrees,
    workspace: PathBuf,
    /// Whether programs may apply branches.
    may_apply: bool,
    noticed: OnceLock<()>,
    /// Whether nothing may be done: for rehearsals.
    plays: bool,
}

impl Toolbox {
    /// Opens the workspace and starts its MCP servers. What did not start is told; the rest is there.
    ///
    /// # Errors
    /// When the workspace cannot be opened or `tools.allow` names an unknown tool.
    pub fn open(
        workspace: &Path,
        data_dir: &Path,
        settings: &Settings,
    ) -> Result<(Self, Vec<Diagnostic>), Diagnostic> {
        let (settings, may_apply) = without_apply(settings)?;
        let builtin = Tools::configured(workspace, &settings)?;
        let (servers, mut told) = Servers::load(workspace, Options::new(&settings, data_dir));
        if !servers.is_empty() {
            told.extend(servers.connect_all());
        }
        let worktrees = Worktrees::new(workspace, data_dir, &settings);
        let workspace = workspace.to_owned();
        Ok((
            Self {
                builtin,
                servers,
                worktrees,
                workspace,
                may_apply,
                noticed: OnceLock::new(),
                plays: false,
            },
            told,
        ))
    }

    /// Every tool of the run as plain data.
    pub fn tools(&self) -> Vec<Tool> {
        let apply = self.may_apply.then(apply_tool);
        let all = self.builtin.tools().into_iter().chain(self.servers.tools()).chain(apply);
        if self.plays { all.map(rehearsal::played).collect() } else { all.collect() }
    }

    /// From now on everything is played that does more than read the workspace.
    pub fn rehearse(&mut self) {
        self.plays = true;
    }

    /// The MCP servers.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The MCP servers as agents reach them by themselves.
    pub fn servers_for_agents(&self) -> Vec<McpServer> {
        let pairs = |it: &BTreeMap<String, String>| it.clone().into_iter().collect();
        let server = |definition: &loopwright_mcp::Definition| McpServer {
            name: definition.name.clone(),
            reach: match &definition.endpoint {
                Endpoint::Stdio { command, args, env, cwd } => Reach::Stdio {
                    command: found(command, cwd),
                    arguments: args.clone(),
                    environment: pairs(env),
                },
                Endpoint::Http { url, headers } => {
                    Reach::Http { url: url.clone(), headers: pairs(headers) }
                }
            },
        };
        self.servers.definitions().map(server).collect()
    }

    /// Names in a definition's `tools` that mean none of these.
    pub fn unknown(&self, names: &[String]) -> Vec<String> {
        let tools = self.tools();
        let (_, unknown) = loopwright_tools::resolve_definition_tools(names);
        unknown
            .into_iter()
            .filter(|name| !tools.iter().any(|tool| tool.is_named_by(name)))
            .collect()
    }

    /// Why `bash` cannot work on this machine, if it is allowed and cannot.
    pub fn bash_refusal(&self) -> Option<Diagnostic> {
        self.builtin.bash_refusal()
    }

    /// Whether a call may take long: it then gets a thread of its own.
    pub fn may_take_long(name: &str) -> bool {
        name.contains('.') || ["bash", "fetch", APPLY].contains(&name)
    }

    /// Calls a tool and waits for it.
    pub fn call(
        &self,
        call: &ToolCall<'_>,
        cancelled: &dyn Fn() -> bool,
        progress: &dyn Fn(String),
    ) -> Outcome {
        let ToolCall { name, args, root, grant, key } = *call;
        if self.plays {
            let own = name.strip_prefix("mcp__").unwrap_or(name);
            let tool = self.tools().into_iter().find(|tool| tool.answers_to(own));
            // One that is not there is refused as ever.
            if let Some(tool) = tool.filter(|tool| rehearsal::plays(&tool.name)) {
                return Outcome::Done(Json::of(&rehearsal::result(&tool, args)));
            }
        }
        let result = if name == APPLY {
            self.apply(args, cancelled)
        } else if self.servers.resolve(name).is_some() {
            self.servers.call_under(Some(key), name, args, cancelled, progress)
        } else {
            match grant {
                None => self.builtin.call(name, args, cancelled),
                Some(grant) => {
                    self.builtin.call_in(root.map(Path::new), grant, name, args, cancelled)
                }
            }
        };
        match result {
            Ok(value) => Outcome::Done(Json::of(&value)),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Finds out what became of a call that went out under the same key: MCP servers are asked by it, what a built-in
    /// tool did is seen in its files.
    pub fn look_up(&self, call: &ToolCall<'_>, cancelled: &dyn Fn() -> bool) -> Outcome {
        let ToolCall { name, args, root, key, .. } = *call;
        let found = if self.servers.resolve(name).is_some() {
            self.servers.look_up(key, name, args, cancelled)
        } else {
            self.builtin.look_up(root.map(Path::new), name, args, cancelled)
        };
        found.map_or_else(Outcome::Failed, |found| Outcome::Done(Json::of(&found)))
    }

    /// Makes or finishes a worktree. What is unusual about the repository is told once.
    pub fn worktree(
        &self,
        run: &RunId,
        (call, attempt): (CallId, Attempt),
        work: &WorktreeWork,
        cancelled: &dyn Fn() -> bool,
        tell: &dyn Fn(String),
    ) -> Outcome {
        if self.plays {
            return rehearsal::worktree(work, &self.workspace);
        }
        let result = match work {
            WorktreeWork::Create => self.create(run, call, attempt, cancelled, tell),
            WorktreeWork::Finish(worktree) => {
                self.worktrees.finish(worktree, cancelled).map(|report| Json::of(&report))
            }
        };
        result.map_or_else(Outcome::Failed, Outcome::Done)
    }

    fn create(
        &self,
        run: &RunId,
        call: CallId,
        attempt: Attempt,
        cancelled: &dyn Fn() -> bool,
        tell: &dyn Fn(String),
    ) -> Result<Json, Failure> {
        let notices = self.worktrees.check(cancelled).map_err(refusal)?;
        if self.noticed.set(()).is_ok() {
            notices.iter().for_each(|notice| tell(notice.to_string()));
        }
        let made: Worktree = self.worktrees.create(run, call, attempt, cancelled)?;
        Ok(Json::of(&made))
    }

    fn apply(&self, args: &Value, cancelled: &dyn Fn() -> bool) -> Result<Value, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Arguments {
            branch: String,
            #[serde(default, alias = "dry_run")]
            dry_run: bool,
        }
        if !self.may_apply {
            let message = format!("the tool `{APPLY}` is not allowed in this run");
            return Err(Failure::new(Reason::Policy, Code::TOOL_NOT_ALLOWED, message)
                .hint("add it to the setting `tools.allow`")
                .not_sent());
        }
        let arguments: Arguments = serde_json::from_value(args.clone()).map_err(|error| {
            let message = format!("`{APPLY}` was given wrong arguments: {error}");
            Failure::new(Reason::Program, Code::TOOL_ARGUMENT, message)
                .hint("write `tools.apply_worktree({ branch, dryRun: true })` first")
                .not_sent()
        })?;
        let report = self.worktrees.apply(&arguments.branch, arguments.dry_run, cancelled)?;
        Ok(serde_json::to_value(report).unwrap_or_default())
    }

    /// Ends the MCP servers.
    pub fn shutdown(&self) {
        self.servers.shutdown();
    }
}

/// The program as a path, as the protocol wants it: agents have a directory and a `PATH` of their own.
fn found(program: &str, directory: &Path) -> PathBuf {
    if program.contains('/') {
        return directory.join(program);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|place| directory.join(place).join(program));
    places.find(|path| path.is_file()).unwrap_or_else(|| program.into())
}

fn apply_tool() -> Tool {
    Tool {
        name: APPLY.to_owned(),
        description: "Applies what a subagent left on its worktree's branch to the workspace: all of it or nothing. \
                      With `dryRun` it only tells whether it fits, which files it touches and what conflicts."
            .to_owned(),
        input: Json::of(&json!({
            "type": "object",
            "properties": {
                "branch": { "type": "string", "description": "the branch, as the task's receipt names it" },
                "dryRun": { "type": "boolean", "description": "change nothing, only tell" },
            },
            "required": ["branch"],
            "additionalProperties": false,
        })),
        output: Some(Json::of(&json!({ "type": "object" }))),
        effects: Effects::Local,
        programs: true,
        subagents: false,
        aliases: Vec::new(),
        lookup: false,
    }
}

/// The built-in tools do not know this one: it is taken out of their list.
fn without_apply(settings: &Settings) -> Result<(Settings, bool), Diagnostic> {
    let allowed = settings.text("tools.allow").to_owned();
    let is_apply = |name: &&str| name.trim().replace('-', "_") == APPLY;
    let may_apply = allowed.split(',').any(|name| is_apply(&name));
    let rest: Vec<&str> = allowed.split(',').filter(|name| !is_apply(name)).collect();
    let mut settings = settings.clone();
    settings
        .set("tools.allow", &rest.join(","))
        .map_err(|error| Diagnostic::new(Code::SETTING_INVALID, error.to_string()))?;
    Ok((settings, may_apply))
}

/// A refusal known before anything was sent.
pub(crate) fn refusal(diagnostic: Diagnostic) -> Failure {
    let failure = Failure::new(Reason::Policy, diagnostic.code, diagnostic.message).not_sent();
    match diagnostic.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
