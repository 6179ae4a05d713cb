//! `tools`: what programs and subagents may call.

use super::table::{Colour, table};
use crate::args::Tools;
use crate::failure::{Failure, draw};
use crate::place::{absolute, data_dir};
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::Reach;
use loopwright::program::frame::Severity;
use loopwright::protocol::{Json, Tool};
use loopwright::types::{Code, Diagnostic, Effects};
use loopwright::view::{Paint, diagnostic_json, escape_json, escape_lines};
use serde::Serialize;
use serde_json::value::RawValue;

/// `tools --json`: public, stable names.
#[derive(Serialize)]
struct Out<'a> {
    tools: Vec<ToolOut<'a>>,
    warnings: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct ToolOut<'a> {
    name: &'a str,
    /// The MCP server it is of, as programs name it; absent for a built-in one.
    server: Option<&'a str>,
    description: &'a str,
    effects: Effects,
    /// Whether it can be looked up what became of a call.
    lookup: bool,
    programs: bool,
    subagents: bool,
    aliases: &'a [String],
    input: &'a Json,
    output: Option<&'a Json>,
}

impl<'a> From<&'a Tool> for ToolOut<'a> {
    fn from(tool: &'a Tool) -> Self {
        Self {
            name: &tool.name,
            server: tool.name.split_once('.').map(|(server, _)| server),
            description: &tool.description,
            effects: tool.effects,
            lookup: tool.lookup,
            programs: tool.programs,
            subagents: tool.subagents,
            aliases: &tool.aliases,
            input: &tool.input,
            output: tool.output.as_ref(),
        }
    }
}

/// Prints the tools, or their types.
///
/// # Errors
/// When a setting names an unknown tool, or the files cannot be written.
pub fn tools(terminal: &Terminal, args: &Tools) -> Result<u8, Failure> {
    let workspace = &args.workspace.workspace;
    let settings = resolve(workspace, &args.settings.set)?.settings;
    let data_dir = data_dir(args.data_dir.data_dir.as_deref())?;
    let (reach, told) = Reach::open(&absolute(workspace), &data_dir, &settings)?;
    if args.json {
        let raw = |told| RawValue::from_string(diagnostic_json(told)).ok();
        let tools = reach.tools();
        let text = serde_json::to_string(&Out {
            tools: tools.iter().map(ToolOut::from).collect(),
            warnings: told.iter().filter_map(raw).collect(),
        });
        let text = text.expect("tools have text keys only");
        return terminal.out(&format!("{}\n", escape_json(&text))).map(|()| 0);
    }
    for it in &told {
        terminal.tell(&draw(terminal, it, None, Severity::Warning));
    }
    if args.types {
        let types = reach.declarations();
        let shown = if terminal.out_is_terminal() { escape_lines(&types) } else { types };
        return terminal.out(&(shown.trim_end().to_owned() + "\n")).map(|()| 0);
    }
    if let Some(dir) = &args.tree {
        reach.write_tree(dir).map_err(|error| not_written(dir, &error))?;
        return terminal.out(&format!("{}\n", dir.join("index.md").display())).map(|()| 0);
    }
    let rows: Vec<Vec<(String, Colour)>> = reach.tools().iter().map(cells).collect();
    let head = ["TOOL", "CALLED BY", "EFFECTS", "DESCRIPTION"];
    terminal.out(&table(terminal.paint_out(), terminal.columns_out(), &head, &rows)).map(|()| 0)
}

fn not_written(dir: &std::path::Path, error: &std::io::Error) -> Diagnostic {
    let code = match error.kind() {
        std::io::ErrorKind::AlreadyExists => Code::FILE_EXISTS,
        std::io::ErrorKind::StorageFull => Code::DISK_FULL,
        _ => Code::USAGE,
    };
    Diagnostic::new(code, format!("cannot write to `{}`: {error}", dir.display()))
        .hint("name a directory that is empty, is not there yet, or was written by this command")
}

fn cells(tool: &Tool) -> Vec<(String, Colour)> {
    let callers = match (tool.programs, tool.subagents) {
        (true, true) => "both",
        (true, false) => "programs",
        (false, true) => "subagents",
        (false, false) => "nobody",
    };
    let (effects, colour): (&str, Colour) = match tool.effects {
        Effects::None => ("none", Paint::plain),
        Effects::Local => ("local", Paint::plain),
        Effects::External => ("external", Paint::yellow),
    };
    let about = tool.description.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    vec![
        (tool.name.clone(), Paint::bold),
        (callers.to_owned(), Paint::plain),
        (effects.to_owned(), colour),
        (about.trim().to_owned(), Paint::dim),
    ]
}
