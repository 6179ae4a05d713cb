//! The built-in tools, by name: what each takes, may do and answers to.

use crate::argument::{Argument, Arguments, Kind, fold};
use crate::context::Context;
use crate::{bash, edit, fetch, find, list, read, search, write};
use loopwright_protocol::Found;
use loopwright_types::{Effects, Failure};
use serde_json::{Map, Value, json};

/// One built-in tool.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) arguments: &'static [Argument],
    /// How many of the arguments, from the first, it cannot do without.
    required: usize,
    /// Other names, folded; those of Claude Code's tools are among them.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) manifest: Manifest,
    pub(crate) call: fn(&Context<'_>, &Arguments) -> Result<String, Failure>,
    /// Finds out what became of a call of which nothing is known, where that can be seen.
    pub(crate) look_up: Option<LookUp>,
}

type LookUp = fn(&Context<'_>, &Arguments) -> Result<Found, Failure>;

/// What a tool reads and does, and which arguments decide where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What calling it may do to the world, where the settings grant it no more.
    pub effects: Effects,
    /// Whether its result may hold text that somebody outside wrote.
    pub reads_untrusted: bool,
    /// Whether its result may hold private data.
    pub reads_private: bool,
    /// The arguments that decide where, to whom or how much; the others are content.
    pub routes: &'static [&'static str],
}

const READS: Manifest = Manifest {
    effects: Effects::None,
    reads_untrusted: true,
    reads_private: true,
    routes: &["path", "pattern"],
};
const WRITES: Manifest =
    Manifest { effects: Effects::Local, routes: &["path"], reads_private: false, ..READS };
const RUNS: Manifest = Manifest { effects: Effects::Local, routes: &["command"], ..READS };
/// A GET asks for no change (RFC 9110, 9.2.1), so it may be repeated; that its address tells the host
/// something is what the list of hosts is for.
const FETCHES: Manifest =
    Manifest { effects: Effects::None, routes: &["url"], reads_private: false, ..READS };

/// All of them, in alphabetical order.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: bash::NAME,
        doc: bash::DOC,
        arguments: bash::ARGUMENTS,
        required: 1,
        aliases: &["shell", "runcommand", "execute"],
        manifest: RUNS,
        call: bash::call,
        look_up: None,
    },
    Tool {
        name: edit::NAME,
        doc: edit::DOC,
        arguments: edit::ARGUMENTS,
        required: 3,
        aliases: &["edit", "strreplace", "replaceinfile"],
        manifest: WRITES,
        call: edit::call,
        look_up: Some(edit::look_up),
    },
    Tool {
        name: fetch::NAME,
        doc: fetch::DOC,
        arguments: fetch::ARGUMENTS,
        required: 1,
        aliases: &["webfetch", "fetchurl", "httpget"],
        manifest: FETCHES,
        call: fetch::call,
        look_up: None,
    },
    Tool {
        name: find::NAME,
        doc: find::DOC,
        arguments: find::ARGUMENTS,
        required: 1,
        aliases: &["globfiles", "findfiles"],
        manifest: READS,
        call: |context, arguments| {
            find::call(context.root, arguments, context.bytes_max, context.cancelled)
        },
        look_up: None,
    },
    Tool {
        name: search::NAME,
        doc: search::DOC,
        arguments: search::ARGUMENTS,
        required: 1,
        aliases: &["grepsearch", "searchfiles"],
        manifest: READS,
        call: |context, arguments| {
            search::call(context.root, arguments, context.bytes_max, context.cancelled)
        },
        look_up: None,
    },
    Tool {
        name: list::NAME,
        doc: list::DOC,
        arguments: list::ARGUMENTS,
        required: 0,
        aliases: &["list", "listdir", "listdirectory", "listfiles"],
        manifest: READS,
        call: |context, arguments| {
            list::call(context.root, arguments, context.bytes_max, context.cancelled)
        },
        look_up: None,
    },
    Tool {
        name: read::NAME,
        doc: read::DOC,
        arguments: read::ARGUMENTS,
        required: 1,
        aliases: &["read"],
        manifest: READS,
        call: |context, arguments| {
            read::call(context.root, arguments, context.bytes_max, context.cancelled)
        },
        look_up: None,
    },
    Tool {
        name: write::NAME,
        doc: write::DOC,
        arguments: write::ARGUMENTS,
        required: 2,
        aliases: &["write", "createfile"],
        manifest: WRITES,
        call: write::call,
        look_up: Some(write::look_up),
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
    /// What it reads and does.
    pub manifest: Manifest,
}

impl Tool {
    pub(crate) fn describe(&self) -> Description {
        let properties: Map<String, Value> =
            self.arguments.iter().map(|a| (a.name.to_owned(), argument_schema(a))).collect();
        let required: Vec<&str> = self.arguments[..self.required].iter().map(|a| a.name).collect();
        let arguments = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        Description { name: self.name, doc: self.doc, arguments, manifest: self.manifest }
    }
}

/// The tool of this name, however it is written.
pub(crate) fn lookup(name: &str) -> Option<&'static Tool> {
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
pub(crate) fn suggestion(name: &str) -> String {
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

/// Levenshtein distance in bytes, of the starts of both.
pub(crate) fn edits(a: &str, b: &str) -> usize {
    let a = &a.as_bytes()[..a.len().min(COMPARED_BYTES)];
    let b = &b.as_bytes()[..b.len().min(COMPARED_BYTES)];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Bytes of each text that are compared.
const COMPARED_BYTES: usize = 64;
