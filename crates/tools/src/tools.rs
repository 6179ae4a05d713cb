//! The set of tools that a run may call.

use crate::allowed::{Allowed, resolve_definition_tools};
use crate::argument::Arguments;
use crate::context::Context;
use crate::options::{Options, names};
use crate::refusal::{failed, quoted};
use crate::registry::{Description, TOOLS, Tool, lookup, suggestion};
use crate::root::Root;
use crate::{bash, sandbox};
use loopwright_protocol::Found;
use loopwright_types::{Code, Diagnostic, Effects, Failure, Reason, Settings};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Roots kept open beside the workspace's own.
const ROOTS_MAX: usize = 64;

/// The tools that a run may call, rooted at its workspace. Calls block; run them on a blocking thread.
#[derive(Debug)]
pub struct Tools {
    root: Arc<Root>,
    /// What programs may call, by name.
    programs: Vec<&'static str>,
    /// What subagents may call at most, by name.
    subagents: Vec<&'static str>,
    options: Options,
    /// Roots of worktrees that calls came with.
    roots: Mutex<HashMap<PathBuf, Arc<Root>>>,
    writing: Mutex<()>,
}

impl Tools {
    /// Opens the workspace for programs alone. `allow` holds names of tools (setting `tools.allow`),
    /// `result_bytes_max` bounds one result in bytes (setting `tools.result_bytes_max`); every other setting
    /// is at its default.
    ///
    /// # Errors
    /// When the workspace is no directory that can be opened, or an allowed tool does not exist.
    pub fn new(root: &Path, allow: &[String], result_bytes_max: usize) -> Result<Self, Diagnostic> {
        let mut options = Options::read(&Settings::default())?;
        options.result_bytes_max = result_bytes_max;
        Self::open(root, options, known("tools.allow", allow)?, Vec::new())
    }

    /// Opens the workspace with what the settings `tools.*` grant to programs and to subagents.
    ///
    /// # Errors
    /// When the workspace is no directory that can be opened, a tool in `tools.allow` or `tools.subagents` does
    /// not exist, or `tools.fetch_hosts` or `tools.bash_paths` does not fit.
    pub fn configured(root: &Path, settings: &Settings) -> Result<Self, Diagnostic> {
        let programs = known("tools.allow", &names(settings.text("tools.allow")))?;
        let subagents = known("tools.subagents", &names(settings.text("tools.subagents")))?;
        Self::open(root, Options::read(settings)?, programs, subagents)
    }

    fn open(
        root: &Path,
        options: Options,
        programs: Vec<&'static str>,
        subagents: Vec<&'static str>,
    ) -> Result<Self, Diagnostic> {
        let opened = Root::open(root).map_err(|error| {
            let shown = root.display();
            let message = format!("the workspace `{shown}` cannot be opened: {error}");
            Diagnostic::new(Code::TOOL_FAILED, message).hint("run in a directory that you may read")
        })?;
        let (roots, writing) = (Mutex::default(), Mutex::default());
        Ok(Self { root: Arc::new(opened), programs, subagents, options, roots, writing })
    }

    /// The names of the tools that programs may call, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        self.programs.iter().map(|name| (*name).to_owned()).collect()
    }

    /// The names of the tools that a subagent may call whose definition lists none, in alphabetical order.
    pub fn subagent_names(&self) -> Vec<String> {
        self.subagents.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Every tool that the settings allow to programs or subagents, as plain data for engine, journal and models.
    /// `programs` says whether programs may call it; what subagents may call is in [`Tools::subagent_names`].
    pub fn tools(&self) -> Vec<loopwright_protocol::Tool> {
        let granted =
            |name: &&'static str| self.programs.contains(name) || self.subagents.contains(name);
        let tool = |tool: &Tool| loopwright_protocol::Tool {
            name: tool.name.to_owned(),
            description: tool.doc.to_owned(),
            input: loopwright_protocol::Json::of(&tool.describe().arguments),
            output: None,
            effects: self.effects(tool),
            programs: self.programs.contains(&tool.name),
            subagents: self.subagents.contains(&tool.name),
            aliases: tool.aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            lookup: tool.look_up.is_some(),
        };
        TOOLS.iter().filter(|tool| granted(&tool.name)).map(tool).collect()
    }

    fn effects(&self, tool: &Tool) -> Effects {
        if tool.name == bash::NAME && self.options.bash.network {
            return Effects::External;
        }
        tool.manifest.effects
    }

    /// Why `bash` will refuse every call in this run; `None` when it works or is allowed to nobody. Tells an
    /// operator at the start what a subagent would find out later.
    pub fn bash_refusal(&self) -> Option<Diagnostic> {
        let allowed = self.programs.contains(&bash::NAME) || self.subagents.contains(&bash::NAME);
        if !allowed || self.options.bash.unsandboxed {
            return None;
        }
        sandbox::missing().map(|why| sandbox::absent(&why))
    }

    /// The name that a tool is known by, whatever way a program wrote it: `readFile` is `read_file`.
    pub fn resolve(&self, name: &str) -> Option<&'static str> {
        lookup(name).map(|tool| tool.name)
    }

    /// Every built-in tool with what it takes, in alphabetical order.
    pub fn describe() -> Vec<Description> {
        TOOLS.iter().map(Tool::describe).collect()
    }

    /// Calls a tool for a program; the result is text. Gives up soon after `cancelled` says so.
    ///
    /// # Errors
    /// [`Code::TOOL_UNKNOWN`], [`Code::TOOL_NOT_ALLOWED`], [`Code::TOOL_ARGUMENT`] naming the argument,
    /// [`Code::PATH_OUTSIDE`] for a path that leaves the workspace, [`Code::PATH_PROTECTED`],
    /// [`Code::EDIT_MISMATCH`], [`Code::SANDBOX_ABSENT`], [`Code::FETCH_REFUSED`], [`Code::CANCELLED`], and
    /// [`Code::TOOL_FAILED`] when a file is missing, binary or not to be read.
    pub fn call(
        &self,
        name: &str,
        args: &Value,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Value, Failure> {
        let tool = tool(name)?;
        if !self.programs.contains(&tool.name) {
            return Err(
                not_allowed(tool, "in this run").hint("add it to the setting `tools.allow`")
            );
        }
        self.serve(&self.root, tool, &[], args, cancelled)
    }

    /// Calls a tool for a subagent. `root` is its worktree, absent for the workspace; `allowed` is what its
    /// definition lists, as it writes it (`Read`, `Bash(git log:*)`), or [`Tools::subagent_names`] where it lists
    /// nothing. Only what `tools.subagents` grants too is called.
    ///
    /// # Errors
    /// As [`Tools::call`]; [`Code::TOOL_FAILED`] too when the root cannot be opened.
    pub fn call_in(
        &self,
        root: Option<&Path>,
        allowed: &[String],
        name: &str,
        args: &Value,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Value, Failure> {
        let tool = tool(name)?;
        if !self.subagents.contains(&tool.name) {
            let failure = not_allowed(tool, "to subagents in this run");
            return Err(failure.hint("add it to the setting `tools.subagents`"));
        }
        let (listed, _) = resolve_definition_tools(allowed);
        let listed: Vec<Allowed> =
            listed.into_iter().filter(|entry| entry.tool == tool.name).collect();
        if listed.is_empty() {
            let failure = not_allowed(tool, "to this subagent");
            return Err(failure.hint("its definition's `tools` does not list it"));
        }
        // One entry without a restriction permits every form.
        let restrictions: Option<Vec<_>> = listed.into_iter().map(|entry| entry.only).collect();
        let root = match root {
            None => Arc::clone(&self.root),
            Some(path) => self.root_at(path)?,
        };
        self.serve(&root, tool, &restrictions.unwrap_or_default(), args, cancelled)
    }

    /// Finds out, by reading, what became of a call of which nothing is known; `root` is where it worked, absent for the
    /// workspace.
    ///
    /// # Errors
    /// [`Code::LOOKUP_FAILED`] where nothing shows what the tool did; as [`Tools::call`] otherwise.
    pub fn look_up(
        &self,
        root: Option<&Path>,
        name: &str,
        args: &Value,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Found, Failure> {
        let tool = tool(name)?;
        let Some(look_up) = tool.look_up else {
            let message = format!("nothing shows what `{}` did", tool.name);
            return Err(Failure::new(Reason::Policy, Code::LOOKUP_FAILED, message).not_sent());
        };
        let root = match root {
            None => Arc::clone(&self.root),
            Some(path) => self.root_at(path)?,
        };
        let arguments = Arguments::read(tool.name, tool.arguments, args)?;
        look_up(&self.context(&root, &[], cancelled), &arguments)
    }

    fn serve(
        &self,
        root: &Root,
        tool: &'static Tool,
        restrictions: &[crate::allowed::Restriction],
        args: &Value,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Value, Failure> {
        let arguments = Arguments::read(tool.name, tool.arguments, args)?;
        let text = (tool.call)(&self.context(root, restrictions, cancelled), &arguments)?;
        Ok(Value::String(cut(text, self.options.result_bytes_max)))
    }

    fn context<'a>(
        &'a self,
        root: &'a Root,
        restrictions: &'a [crate::allowed::Restriction],
        cancelled: &'a dyn Fn() -> bool,
    ) -> Context<'a> {
        Context {
            root,
            options: &self.options,
            bytes_max: self.options.result_bytes_max,
            cancelled,
            restrictions,
            writing: &self.writing,
        }
    }

    /// The root at this path, opened once; again when another directory stands there now.
    fn root_at(&self, path: &Path) -> Result<Arc<Root>, Failure> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = roots.get(path).filter(|root| root.is_still(path)) {
            return Ok(Arc::clone(root));
        }
        let opened = Root::open(path).map_err(|error| {
            let shown = quoted(&path.to_string_lossy());
            failed(format!("the directory `{shown}` cannot be opened: {error}"))
        })?;
        if roots.len() >= ROOTS_MAX {
            roots.clear();
        }
        let root = Arc::new(opened);
        roots.insert(path.to_path_buf(), Arc::clone(&root));
        Ok(root)
    }
}

/// A result that is within its limit, whatever the tool thought of it.
fn cut(mut text: String, bytes_max: usize) -> String {
    const NOTICE: &str = "\n[cut: the result is longer than `tools.result_bytes_max`]";
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub(NOTICE.len())));
        text.push_str(NOTICE);
    }
    text
}

/// The tools that a setting names, sorted.
fn known(setting: &str, listed: &[String]) -> Result<Vec<&'static str>, Diagnostic> {
    let mut known = Vec::new();
    for name in listed.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        let tool = lookup(name).ok_or_else(|| {
            let message = format!("`{setting}` names an unknown tool `{}`", quoted(name));
            Diagnostic::new(Code::TOOL_UNKNOWN, message).hint(suggestion(name))
        })?;
        known.push(tool.name);
    }
    known.sort_unstable();
    known.dedup();
    Ok(known)
}

fn tool(name: &str) -> Result<&'static Tool, Failure> {
    lookup(name).ok_or_else(|| {
        let message = format!("there is no tool `{}`", quoted(name));
        Failure::new(Reason::Policy, Code::TOOL_UNKNOWN, message).hint(suggestion(name)).not_sent()
    })
}

fn not_allowed(tool: &Tool, to: &str) -> Failure {
    let message = format!("the tool `{}` is not allowed {to}", tool.name);
    Failure::new(Reason::Policy, Code::TOOL_NOT_ALLOWED, message).not_sent()
}
