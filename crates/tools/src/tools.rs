//! The set of tools that a run may call.

use crate::argument::{Argument, Arguments, Kind, fold};
use crate::refusal::quoted;
use crate::root::Root;
use crate::{find, list, read, search};
use loopwright_types::{Code, Diagnostic, Failure, Reason};
use serde_json::{Map, Value, json};
use std::path::Path;

type Call = fn(&Root, &Arguments, usize, &dyn Fn() -> bool) -> Result<String, Failure>;

/// One built-in tool.
struct Tool {
    name: &'static str,
    doc: &'static str,
    arguments: &'static [Argument],
    /// How many of the arguments, from the first, it cannot do without.
    required: usize,
    /// Other names, folded.
    aliases: &'static [&'static str],
    call: Call,
}

/// All of them, by name.
const TOOLS: &[Tool] = &[
    Tool {
        name: find::NAME,
        doc: find::DOC,
        arguments: find::ARGUMENTS,
        required: 1,
        aliases: &["globfiles", "findfiles"],
        call: find::call,
    },
    Tool {
        name: search::NAME,
        doc: search::DOC,
        arguments: search::ARGUMENTS,
        required: 1,
        aliases: &["grepsearch", "searchfiles"],
        call: search::call,
    },
    Tool {
        name: list::NAME,
        doc: list::DOC,
        arguments: list::ARGUMENTS,
        required: 0,
        aliases: &["list", "listdir", "listdirectory", "listfiles"],
        call: list::call,
    },
    Tool {
        name: read::NAME,
        doc: read::DOC,
        arguments: read::ARGUMENTS,
        required: 1,
        aliases: &["read"],
        call: read::call,
    },
];

/// What a tool does and takes, for generated signatures.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The name that programs call.
    pub name: &'static str,
    /// What it does, in one paragraph.
    pub doc: &'static str,
    /// JSON Schema of its arguments; the result is always text.
    pub arguments: Value,
}

/// The tools that a run may call, rooted at its workspace. Calls block; run them on a blocking thread.
#[derive(Debug)]
pub struct Tools {
    root: Root,
    allowed: Vec<&'static str>,
    result_bytes_max: usize,
}

impl Tools {
    /// Opens the workspace. `allow` holds names of tools (setting `tools.allow`), `result_bytes_max` bounds one
    /// result in bytes (setting `tools.result_bytes_max`).
    ///
    /// # Errors
    /// When the workspace is no directory that can be opened, or an allowed tool does not exist.
    pub fn new(root: &Path, allow: &[String], result_bytes_max: usize) -> Result<Self, Diagnostic> {
        let opened = Root::open(root).map_err(|error| {
            let shown = root.display();
            let message = format!("the workspace `{shown}` cannot be opened: {error}");
            Diagnostic::new(Code::TOOL_FAILED, message).hint("run in a directory that you may read")
        })?;
        let mut allowed = Vec::new();
        for name in allow.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
            let known = lookup(name).ok_or_else(|| {
                let message = format!("`tools.allow` names an unknown tool `{}`", quoted(name));
                Diagnostic::new(Code::TOOL_UNKNOWN, message).hint(suggestion(name))
            })?;
            allowed.push(known.name);
        }
        allowed.sort_unstable();
        allowed.dedup();
        Ok(Self { root: opened, allowed, result_bytes_max })
    }

    /// The names of the allowed tools, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        self.allowed.iter().map(|name| (*name).to_owned()).collect()
    }

    /// The allowed tools as plain data for engine, journal and models.
    pub fn tools(&self) -> Vec<loopwright_protocol::Tool> {
        let allowed = Self::describe().into_iter().filter(|tool| self.allowed.contains(&tool.name));
        let tool = |tool: Description| loopwright_protocol::Tool {
            name: tool.name.to_owned(),
            description: tool.doc.to_owned(),
            input: loopwright_protocol::Json::of(&tool.arguments),
            output: None,
            effects: loopwright_types::Effects::None,
            programs: true,
            subagents: true,
            aliases: Vec::new(),
        };
        allowed.map(tool).collect()
    }

    /// The name that a tool is known by, whatever way a program wrote it: `readFile` is `read_file`.
    pub fn resolve(&self, name: &str) -> Option<&'static str> {
        lookup(name).map(|tool| tool.name)
    }

    /// Every built-in tool with what it takes, in alphabetical order.
    pub fn describe() -> Vec<Description> {
        let describe = |tool: &Tool| {
            let properties: Map<String, Value> =
                tool.arguments.iter().map(|a| (a.name.to_owned(), argument_schema(a))).collect();
            let required: Vec<&str> =
                tool.arguments[..tool.required].iter().map(|a| a.name).collect();
            let arguments = json!({
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            });
            Description { name: tool.name, doc: tool.doc, arguments }
        };
        TOOLS.iter().map(describe).collect()
    }

    /// Calls a tool; the result is text. Gives up soon after `cancelled` says so.
    ///
    /// # Errors
    /// [`Code::TOOL_UNKNOWN`], [`Code::TOOL_NOT_ALLOWED`], [`Code::TOOL_ARGUMENT`] naming the argument,
    /// [`Code::PATH_OUTSIDE`] for a path that leaves the workspace, [`Code::CANCELLED`], and
    /// [`Code::TOOL_FAILED`] when a file is missing, binary or not to be read.
    pub fn call(
        &self,
        name: &str,
        args: &Value,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Value, Failure> {
        let tool = lookup(name).ok_or_else(|| {
            let message = format!("there is no tool `{}`", quoted(name));
            Failure::new(Reason::Policy, Code::TOOL_UNKNOWN, message)
                .hint(suggestion(name))
                .not_sent()
        })?;
        if !self.allowed.contains(&tool.name) {
            let message = format!("the tool `{}` is not allowed in this run", tool.name);
            let hint = "add it to the setting `tools.allow`";
            return Err(Failure::new(Reason::Policy, Code::TOOL_NOT_ALLOWED, message)
                .hint(hint)
                .not_sent());
        }
        let arguments = Arguments::read(tool.name, tool.arguments, args)?;
        let text = (tool.call)(&self.root, &arguments, self.result_bytes_max, cancelled)?;
        Ok(Value::String(text))
    }
}

fn lookup(name: &str) -> Option<&'static Tool> {
    let folded = fold(name);
    TOOLS.iter().find(|tool| fold(tool.name) == folded || tool.aliases.contains(&folded.as_str()))
}

fn argument_schema(argument: &Argument) -> Value {
    let doc = argument.doc;
    match argument.kind {
        Kind::Text => json!({"type": "string", "description": doc}),
        Kind::Count(least) => json!({"type": "integer", "minimum": least, "description": doc}),
        Kind::Flag => json!({"type": "boolean", "description": doc}),
    }
}

/// What to say of a name that is no tool's.
fn suggestion(name: &str) -> String {
    let folded = fold(name);
    let scored = TOOLS.iter().map(|tool| (edits(&folded, &fold(tool.name)), tool.name));
    match scored.min() {
        Some((distance, known)) if distance <= 1 + known.len() / 3 => {
            format!("did you mean `{known}`?")
        }
        _ => {
            let names: Vec<String> = TOOLS.iter().map(|tool| format!("`{}`", tool.name)).collect();
            format!("there are {}", names.join(", "))
        }
    }
}

/// Levenshtein distance in bytes, of names cut to a length that tools have.
fn edits(a: &str, b: &str) -> usize {
    let a = &a.as_bytes()[..a.len().min(64)];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substitute = diagonal + usize::from(*x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
