//! `agents`: the subagents in reach, broken ones with their error.

use super::table::{Colour, table};
use crate::args::Agents;
use crate::failure::{Failure, draw};
use crate::terminal::Terminal;
use loopwright::program::frame::Severity;
use loopwright::protocol::Subagent;
use loopwright::subagents::{LoadOptions, Registry};
use loopwright::types::Diagnostic;
use loopwright::view::{Paint, escape_json};
use serde::Serialize;

/// `agents --json`: public, stable names.
#[derive(Serialize)]
struct Out<'a> {
    agents: Vec<AgentOut<'a>>,
    broken: Vec<BrokenOut<'a>>,
}

#[derive(Serialize)]
struct AgentOut<'a> {
    name: &'a str,
    description: &'a str,
    driver: &'a str,
    model: Option<&'a str>,
    effects: loopwright::types::Effects,
    concurrency: Option<u32>,
    tools: Option<&'a [String]>,
    source: Option<&'a str>,
    digest: String,
    /// Whether a driver of this version serves it.
    served: bool,
}

#[derive(Serialize)]
struct BrokenOut<'a> {
    name: &'a str,
    code: String,
    message: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    hint: Option<&'a str>,
}

impl<'a> BrokenOut<'a> {
    fn new((name, error): (&'a String, &'a Diagnostic)) -> Self {
        Self {
            name,
            code: error.code.to_string(),
            message: &error.message,
            file: error.location.as_ref().map(|at| at.file.as_str()),
            line: error.location.as_ref().map(|at| at.position.line),
            hint: error.hint.as_deref(),
        }
    }
}

/// Prints the definitions.
///
/// # Errors
/// When stdout cannot be written.
pub fn agents(terminal: &Terminal, args: Agents) -> Result<u8, Failure> {
    let options = LoadOptions {
        workspace: args.workspace.workspace,
        agents_dir: args.agents.as_deref().map(crate::place::absolute),
        model: args.model,
    };
    let (registry, problems) = Registry::load(&options);
    if args.json {
        let subagents = registry.subagents();
        let text = serde_json::to_string(&Out {
            agents: subagents.iter().map(agent_out).collect(),
            broken: registry.broken_definitions().map(BrokenOut::new).collect(),
        });
        let text = text.expect("definitions have text keys only");
        return terminal.out(&format!("{}\n", escape_json(&text))).map(|()| 0);
    }
    let mut rows: Vec<Vec<(String, Colour)>> = registry.subagents().iter().map(cells).collect();
    rows.extend(registry.broken_definitions().map(|(name, error)| {
        let source = error.location.as_ref().map(|at| at.file.clone()).unwrap_or_default();
        let cell = |text: &str| (text.to_owned(), Paint::plain as Colour);
        vec![
            (name.clone(), Paint::bold as Colour),
            ("broken".to_owned(), Paint::red),
            cell(""),
            cell(""),
            cell(&source),
            (error.message.clone(), Paint::red),
        ]
    }));
    let head = ["SUBAGENT", "DRIVER", "MODEL", "EFFECTS", "SOURCE", "DESCRIPTION"];
    terminal.out(&table(terminal.paint_out(), terminal.columns_out(), &head, &rows))?;
    for problem in &problems {
        terminal.tell(&draw(terminal, problem, None, Severity::Warning));
    }
    Ok(0)
}

fn agent_out(subagent: &Subagent) -> AgentOut<'_> {
    AgentOut {
        name: &subagent.name,
        description: &subagent.description,
        driver: &subagent.driver,
        model: subagent.model.as_deref(),
        effects: subagent.effects,
        concurrency: subagent.concurrency,
        tools: subagent.tools.as_deref(),
        source: subagent.source.as_deref(),
        digest: subagent.digest.to_string(),
        served: is_served(subagent),
    }
}

/// A model-backed definition needs `--model mock` for now.
fn is_served(subagent: &Subagent) -> bool {
    subagent.driver != "model"
}

fn cells(subagent: &Subagent) -> Vec<(String, Colour)> {
    let effects = match subagent.effects {
        loopwright::types::Effects::None => "none",
        loopwright::types::Effects::Local => "local",
        loopwright::types::Effects::External => "external",
    };
    let driver: Colour = if is_served(subagent) { Paint::plain } else { Paint::yellow };
    vec![
        (subagent.name.clone(), Paint::bold),
        (subagent.driver.clone(), driver),
        (subagent.model.clone().unwrap_or_default(), Paint::plain),
        (effects.to_owned(), Paint::plain),
        (subagent.source.clone().unwrap_or_else(|| "built in".to_owned()), Paint::plain),
        (subagent.description.clone(), Paint::dim),
    ]
}
