//! What a call is: its content, whatever its place in the program. Two calls of one identity ask the same of the
//! same, so that the answer of one is an answer of the other. How it is shown, how long it may take, what it may use
//! and what happens when it fails (label, phase, `timeoutMs`, `maxTurns`, `retries`, `budget`, `fallback`) are no part
//! of it.

use crate::grants::granted;
use crate::loops::DRIVER_MODEL;
use loopwright_protocol::{
    CallKind, Json, Model, Request, RunStart, Subagent, TaskRequest, Tool, ToolRequest,
};
use loopwright_schema::canonical;
use loopwright_types::Digest;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// The built-in subagent type.
pub(crate) const SUBAGENT_DEFAULT: &str = "general-purpose";

/// One part of a call's identity: what may have changed between two calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What is asked, or the `key` that stands for it; a tool's arguments.
    Prompt,
    /// The response schema.
    Schema,
    /// The model, resolved.
    Model,
    /// Which subagent or tool, and how it is defined.
    Definition,
    /// The tools that the subagent may call.
    Tools,
    /// How the subagent works: effort, isolation, declared effects.
    Options,
}

impl Part {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 6] =
        [Self::Prompt, Self::Schema, Self::Model, Self::Definition, Self::Tools, Self::Options];

    /// The word for people and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Schema => "schema",
            Self::Model => "model",
            Self::Definition => "definition",
            Self::Tools => "tools",
            Self::Options => "options",
        }
    }
}

/// A call's identity, with a digest of each part so that a difference can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 over kind and parts.
    pub digest: Digest,
    parts: [Digest; 6],
}

impl Identity {
    fn of(kind: CallKind, parts: [Digest; 6]) -> Self {
        // Both dialects ask a subagent in the same way.
        let kind = if kind.is_task() { CallKind::Task } else { kind };
        let own = b"loopwright call 1".as_slice();
        let all = [own, kind.as_str().as_bytes()].into_iter();
        let digest = Digest::of_parts(all.chain(parts.iter().map(|part| part.0.as_slice())));
        Self { digest, parts }
    }

    /// Whether this part is the same in both.
    pub fn shares(&self, other: &Self, part: Part) -> bool {
        self.parts[part as usize] == other.parts[part as usize]
    }

    /// The parts that differ.
    pub fn differences(&self, other: &Self) -> Vec<Part> {
        Part::ALL.into_iter().filter(|part| !self.shares(other, *part)).collect()
    }
}

/// Finds the identities of one run's calls: a pure function of what its start pins.
#[derive(Debug, Default)]
pub(crate) struct Identifier {
    subagents: HashMap<String, Subagent>,
    tools: Vec<(Tool, Digest)>,
    /// Full names of models by each name that asks for one.
    models: BTreeMap<String, String>,
    model_default: Option<String>,
    /// Digests that many calls share: of tool sets by subagent and narrowing, of schemas by text.
    sets: HashMap<(String, Option<Vec<String>>), Digest>,
    schemas: HashMap<String, Digest>,
}

/// Schemas whose digests are remembered.
const SCHEMAS_MAX: usize = 256;

impl Identifier {
    /// For the calls of a run that starts like this.
    pub fn new(start: &RunStart) -> Self {
        let subagents = start.subagents.iter();
        let tools = start.tools.iter();
        let models = start.models.iter();
        Self {
            subagents: subagents.map(|it| (it.name.clone(), it.clone())).collect(),
            tools: tools.map(|tool| (tool.clone(), tool.digest())).collect(),
            models: models.map(|(name, model)| (name.clone(), model.name.clone())).collect(),
            model_default: start.model.clone(),
            ..Self::default()
        }
    }

    /// Adds what a name was found to stand for during the run.
    pub fn resolved(&mut self, name: &str, model: &Model) {
        self.models.entry(name.to_owned()).or_insert_with(|| model.name.clone());
    }

    /// The identity of a call; of one that cannot be read it is its text.
    pub fn identify(&mut self, kind: CallKind, request: Option<&Request>, text: &Json) -> Identity {
        match request {
            Some(Request::Task(task)) => self.task(kind, task),
            Some(Request::Tool(tool)) => self.tool(kind, tool),
            Some(Request::Approve(asked)) => {
                let data = asked.data.as_ref().map(canonical_text).unwrap_or_default();
                let choices = asked.choices.as_ref().map(Json::of);
                let choices = choices.as_ref().map_or("", Json::text);
                Identity::of(kind, asks(&[&asked.question, choices, &data]))
            }
            Some(Request::Workflow(nested)) => {
                let args = nested.args.as_ref().map(canonical_text).unwrap_or_default();
                Identity::of(kind, asks(&[&nested.name, &args]))
            }
            Some(Request::Sleep(_)) | None => Identity::of(kind, asks(&[text.text()])),
        }
    }

    fn task(&mut self, kind: CallKind, task: &TaskRequest) -> Identity {
        let name = task.subagent.as_deref().unwrap_or(SUBAGENT_DEFAULT);
        let prompt = match &task.key {
            Some(key) => texts(&["key", key]),
            None => texts(&["prompt", &task.prompt]),
        };
        let schema = task.schema.as_ref().map_or_else(nothing, |schema| self.schema(schema));
        let effort = task.effort.as_deref().unwrap_or_default();
        let isolation = task.isolation.as_deref().unwrap_or_default();
        let effects = task.effects.map(|effects| format!("{effects:?}")).unwrap_or_default();
        let options = texts(&[effort, isolation, &effects]);
        let tools = self.tool_set(name, task.tools.as_deref());
        let subagent = self.subagents.get(name);
        let own = task.model.as_ref().or(subagent.and_then(|it| it.model.as_ref()));
        let (model, definition) = match subagent {
            Some(served) if served.driver == DRIVER_MODEL => {
                let model = own.or(self.model_default.as_ref());
                // Of the definition only what reaches the model: its limits and its description do not.
                (model, texts(&[name, &served.driver, &served.system_prompt]))
            }
            Some(other) => (own, texts(&[name, &other.driver, &other.digest.to_string()])),
            None => (own, texts(&[name])),
        };
        let model = model.map_or("", |name| self.models.get(name).unwrap_or(name));
        Identity::of(kind, [prompt, schema, texts(&[model]), definition, tools, options])
    }

    fn schema(&mut self, schema: &Json) -> Digest {
        if let Some(known) = self.schemas.get(schema.text()) {
            return *known;
        }
        let digest = texts(&[&canonical_text(schema)]);
        if self.schemas.len() < SCHEMAS_MAX {
            self.schemas.insert(schema.text().to_owned(), digest);
        }
        digest
    }

    /// The tools that the subagent may call, with what each says of itself and in which ways it may be called.
    fn tool_set(&mut self, name: &str, asked: Option<&[String]>) -> Digest {
        let key = (name.to_owned(), asked.map(<[String]>::to_vec));
        if let Some(known) = self.sets.get(&key) {
            return *known;
        }
        let subagent = self.subagents.get(name);
        let digest = match subagent.filter(|it| it.driver == DRIVER_MODEL) {
            Some(_) => {
                let usable = self.tools.iter().filter(|(tool, _)| tool.subagents);
                let granted = usable
                    .filter_map(|(tool, digest)| Some((granted(subagent, asked, tool)?, digest)));
                let listed: Vec<String> = granted
                    .map(|(rules, digest)| format!("{digest} {}", rules.join("\n")))
                    .collect();
                let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
                texts(&listed)
            }
            // What is not ours to grant is in the definition; here is what the call says.
            None => {
                texts(&asked.unwrap_or_default().iter().map(String::as_str).collect::<Vec<_>>())
            }
        };
        self.sets.insert(key, digest);
        digest
    }

    fn tool(&self, kind: CallKind, call: &ToolRequest) -> Identity {
        let known = self.tools.iter().find(|(tool, _)| tool.answers_to(&call.name));
        let definition = match known {
            Some((tool, digest)) => texts(&[&tool.name, &digest.to_string()]),
            None => texts(&[&call.name]),
        };
        let none = nothing();
        let args = texts(&[&canonical_text(&call.args)]);
        Identity::of(kind, [args, none, none, definition, none, none])
    }
}

/// Parts of a call that is nothing but what it asks.
fn asks(asked: &[&str]) -> [Digest; 6] {
    let none = nothing();
    [texts(asked), none, none, none, none, none]
}

fn texts(parts: &[&str]) -> Digest {
    Digest::of_parts(parts.iter().map(|part| part.as_bytes()))
}

fn nothing() -> Digest {
    Digest([0; 32])
}

fn canonical_text(json: &Json) -> String {
    match json.read::<Value>() {
        Ok(value) => canonical(&value),
        Err(_) => json.text().to_owned(), // numbers no reader holds: told apart by their text
    }
}
