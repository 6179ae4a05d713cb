//! `agents`: the subagents in reach, broken ones with their error.

use super::table::{Colour, table};
use crate::args::Agents;
use crate::failure::{Failure, draw};
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::program::frame::Severity;
use loopwright::protocol::Subagent;
use loopwright::providers::Providers;
use loopwright::subagents::{LoadOptions, Registry};
use loopwright::types::{Code, Diagnostic};
use loopwright::view::{Paint, escape_json};
use serde::Serialize;
use std::collections::HashMap;

/// `agents --json`: public, stable names.
#[derive(Serialize)]
struct Out<'a> {
    agents: Vec<AgentOut<'a>>,
    broken: Vec<BrokenOut<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentOut<'a> {
    name: &'a str,
    description: &'a str,
    driver: &'a str,
    model: Option<&'a str>,
    effects: loopwright::types::Effects,
    /// Whether it can be looked up what became of an attempt.
    lookup: bool,
    concurrency: Option<u32>,
    tools: Option<&'a [String]>,
    source: Option<&'a str>,
    digest: String,
    /// Whether a run would serve it: a model needs a key too.
    served: bool,
    /// The model in full, `provider:model`, for one that a model serves.
    resolved_model: Option<&'a str>,
    /// Why it is not served.
    problem: Option<&'a str>,
}

/// The model that serves a definition, or why none does; absent where it needs none.
type Serving = Option<Result<String, Diagnostic>>;

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
    let resolved = resolve(&args.workspace.workspace, &[])?;
    let providers = Providers::from_environment(&resolved.tables)?;
    let default = Some(resolved.settings.text("model.default")).filter(|name| !name.is_empty());
    let named = args.model.clone().or(default.map(str::to_owned));
    let options = LoadOptions {
        workspace: args.workspace.workspace,
        agents_dir: args.agents.as_deref().map(crate::place::absolute),
        model: args.model,
    };
    let (registry, problems) = Registry::load(&options);
    let subagents = registry.subagents();
    let serving = serving(&providers, &subagents, named.as_deref());
    if args.json {
        let text = serde_json::to_string(&Out {
            agents: subagents.iter().zip(&serving).map(agent_out).collect(),
            broken: registry.broken_definitions().map(BrokenOut::new).collect(),
        });
        let text = text.expect("definitions have text keys only");
        return terminal.out(&format!("{}\n", escape_json(&text))).map(|()| 0);
    }
    let mut rows: Vec<Vec<(String, Colour)>> = subagents.iter().zip(&serving).map(cells).collect();
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
    let mut told: Vec<&Diagnostic> = Vec::new();
    for error in serving.iter().filter_map(|it| it.as_ref()?.as_ref().err()) {
        if !told.iter().any(|it| it.message == error.message) {
            told.push(error);
        }
    }
    for problem in problems.iter().chain(told) {
        terminal.tell(&draw(terminal, problem, None, Severity::Warning));
    }
    Ok(0)
}

fn agent_out<'a>((subagent, serving): (&'a Subagent, &'a Serving)) -> AgentOut<'a> {
    AgentOut {
        name: &subagent.name,
        description: &subagent.description,
        driver: &subagent.driver,
        model: subagent.model.as_deref(),
        effects: subagent.effects,
        lookup: subagent.lookup,
        concurrency: subagent.concurrency,
        tools: subagent.tools.as_deref(),
        source: subagent.source.as_deref(),
        digest: subagent.digest.to_string(),
        served: !matches!(serving, Some(Err(_))),
        resolved_model: serving.as_ref().and_then(|it| it.as_deref().ok()),
        problem: serving.as_ref().and_then(|it| it.as_ref().err()).map(|it| it.message.as_str()),
    }
}

/// What serves each subagent in a run where `asked` is the model of those that name none. A provider's key is looked
/// up once.
fn serving(providers: &Providers, subagents: &[Subagent], asked: Option<&str>) -> Vec<Serving> {
    let mut keys: HashMap<String, Result<(), Diagnostic>> = HashMap::new();
    let mut serve = |subagent: &Subagent| {
        let Some(name) = subagent.model.as_deref().or(asked) else {
            let message = "no model is named for subagents that need one";
            return Err(Diagnostic::new(Code::MODEL_UNAVAILABLE, message).hint(
                "name one: `--model provider:model`, `model:` in a definition, or the setting `model.default`",
            ));
        };
        let model = providers.resolve(name)?;
        let key = keys.entry(model.provider.clone());
        key.or_insert_with(|| providers.check_key(&model.provider)).clone()?;
        Ok(model.name)
    };
    let needs_model = |subagent: &&Subagent| subagent.driver == "model";
    subagents.iter().map(|it| Some(it).filter(needs_model).map(&mut serve)).collect()
}

fn cells((subagent, serving): (&Subagent, &Serving)) -> Vec<(String, Colour)> {
    let effects = match subagent.effects {
        loopwright::types::Effects::None => "none",
        loopwright::types::Effects::Local => "local",
        loopwright::types::Effects::External => "external",
    };
    let (model, colour): (String, Colour) = match serving {
        None => (subagent.model.clone().unwrap_or_default(), Paint::plain),
        Some(Ok(model)) => (model.clone(), Paint::plain),
        Some(Err(_)) => match &subagent.model {
            Some(name) => (format!("{name} (not served)"), Paint::yellow),
            None => ("not served".to_owned(), Paint::yellow),
        },
    };
    vec![
        (subagent.name.clone(), Paint::bold),
        (subagent.driver.clone(), Paint::plain),
        (model, colour),
        (effects.to_owned(), Paint::plain),
        (subagent.source.clone().unwrap_or_else(|| "built in".to_owned()), Paint::plain),
        (subagent.description.clone(), Paint::dim),
    ]
}
