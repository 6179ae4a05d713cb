//! One subagent definition: what its file says, with nothing left to interpret.

mod fields; // typed access to front matter
mod front_matter; // finds and recovers front matter
mod read; // a file becomes a definition
mod words; // a command line becomes words
mod yaml; // a small YAML tree with lines

pub(crate) use front_matter::name_in_ruins;
pub(crate) use read::{Problem, read};

use loopwright_acp::Permissions;
use loopwright_protocol::{Json, Subagent};
use loopwright_types::{Code, Digest, Effects, Failure, Micros, Reason};
use serde::Serialize;
use std::path::PathBuf;

/// The subagent type of tasks that name none.
pub const GENERAL_PURPOSE: &str = "general-purpose";

/// A subagent definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Definition {
    /// Its name, as programs say it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What serves it.
    pub runner: Runner,
    /// Its model; absent also for `inherit`.
    pub model: Option<String>,
    /// Its tools; absent is all that are allowed.
    pub tools: Option<Vec<String>>,
    /// Tools taken away from those.
    pub disallowed_tools: Option<Vec<String>>,
    /// What running it may do to the world.
    pub effects: Effects,
    /// Attempts under way at once.
    pub concurrency: Option<u32>,
    /// Time for one attempt.
    pub timeout: Option<Micros>,
    /// Turn limit of its own loop, where the task gives none.
    pub max_turns: Option<u32>,
    /// Whether someone outside may have written what it reads; absent is not known.
    pub reads_untrusted: Option<bool>,
    /// Whether it reads private data; absent is not known.
    pub reads_private: Option<bool>,
    /// How the mock driver plays it.
    pub mock: MockOptions,
    /// The command that finds out what became of an attempt whose result is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup: Option<CommandLine>,
    /// The system prompt: the file's body.
    pub system_prompt: String,
    /// The file it came from, relative to the workspace where it lies inside; absent for built-in ones.
    #[serde(skip)]
    pub source: Option<String>,
}

/// What serves a definition's tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runner {
    /// A model: the engine runs its loop, a driver of providers answers its requests.
    #[default]
    Model,
    /// The mock driver.
    Mock,
    /// A command of the machine.
    Command(CommandLine),
    /// An agent that speaks the Agent Client Protocol.
    Acp(AcpOptions),
}

impl Runner {
    /// The driver's name, as front matter says it.
    pub fn driver(&self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Mock => "mock",
            Self::Command(_) => "command",
            Self::Acp(_) => "acp",
        }
    }
}

/// A command to start, without a shell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandLine {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it gets from our environment beside the basic variables, or is given.
    pub environment: Vec<Variable>,
    /// Its directory, relative to the workspace; absent is the workspace itself.
    pub directory: Option<PathBuf>,
}

/// An agent that speaks the Agent Client Protocol, and how it is treated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AcpOptions {
    /// How it is started.
    pub command: CommandLine,
    /// How its permission requests are answered.
    pub permissions: Permissions,
    /// The session mode it must be in.
    pub mode: Option<String>,
    /// The authentication method that it is told to use.
    pub authentication: Option<String>,
}

/// One environment variable of a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; absent passes ours through, if we have one.
    pub value: Option<String>,
}

/// How the mock driver plays a definition; what is absent comes from the `mock.*` settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MockOptions {
    /// How long an attempt takes, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Evenly drawn extra latency of up to this many milliseconds.
    pub latency_spread_ms: Option<u64>,
    /// Share of attempts that fail.
    pub failure_rate: Option<f64>,
    /// Share of answers that are `null`.
    pub null_rate: Option<f64>,
    /// Share of answers that do not match their schema.
    pub invalid_rate: Option<f64>,
    /// Share of answers that are hostile values.
    pub hostile_rate: Option<f64>,
    /// Output tokens that an attempt reports.
    pub output_tokens: Option<u64>,
    /// The answer to everything, instead of a generated one.
    pub answer: Option<Json>,
    /// What the first, second, … attempt does; the last step goes on for ever.
    pub script: Vec<MockStep>,
}

/// One step of a mock's script.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MockStep {
    /// Gives this answer.
    Answer(Json),
    /// Fails with this message; `true` when worth another try.
    Error(String, bool),
}

impl Definition {
    /// The built-in subagent type, served by a model.
    pub fn general_purpose() -> Self {
        Self {
            name: GENERAL_PURPOSE.to_owned(),
            description: "Takes on any task that names no other subagent.".to_owned(),
            system_prompt: "You are a careful general-purpose subagent. Do exactly the task you are \
                            given, using only what it says and what your tools show you, and answer \
                            with its result alone. Say so when something cannot be done or known."
                .to_owned(),
            effects: Effects::External,
            ..Self::default()
        }
    }

    /// Digest of everything that decides how it works. Where the file lies does not.
    pub fn digest(&self) -> Digest {
        let canonical = serde_json::to_vec(self).expect("plain data always serialises");
        Digest::of_parts([b"loopwright subagent 1".as_slice(), &canonical])
    }

    /// The definition as plain data for engine and journal.
    pub fn subagent(&self) -> Subagent {
        Subagent {
            name: self.name.clone(),
            description: self.description.clone(),
            driver: self.runner.driver().to_owned(),
            provider: self.provider().to_owned(),
            model: self.model.clone(),
            effects: self.effects,
            concurrency: self.concurrency,
            tools: self.tools.clone(),
            tools_denied: self.disallowed_tools.clone().unwrap_or_default(),
            system_prompt: match self.runner {
                Runner::Model => self.system_prompt.clone(),
                _ => String::new(),
            },
            max_turns: self.max_turns,
            lookup: self.lookup.is_some(),
            digest: self.digest(),
            source: self.source.clone(),
        }
    }

    /// The key of the provider cap: what precedes `:` or `/` in the model's name, else the driver.
    fn provider(&self) -> &str {
        let named = self.model.as_deref().and_then(|model| model.split_once([':', '/']));
        match (&self.runner, named) {
            (Runner::Model, Some((provider, _))) if !provider.is_empty() => provider,
            (runner, _) => runner.driver(),
        }
    }

    /// Why a task for it fails that reaches the drivers of whole tasks: a model is asked step by step, and none of
    /// these does that. `model` is the task's own.
    pub fn needs_model(&self, model: Option<&str>) -> Failure {
        let model = model.or(self.model.as_deref());
        let shown = model.map(|model| format!(" `{}`", loopwright_processes::shown(model, 100)));
        let shown = shown.unwrap_or_default();
        let message =
            format!("subagent `{}` needs a model{shown}, and nothing here asks one", self.name);
        Failure::new(Reason::Provider, Code::MODEL_UNAVAILABLE, message).not_sent().hint(
            "run with `--model mock`, or give the subagent a program: `driver: command` and `command: […]`",
        )
    }
}
