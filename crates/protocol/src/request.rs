//! What a guest's call asks for, after the prelude has brought both dialects into one form.
//! The forms are those of `docs/design/bridge.md`, "Call kinds and requests".

use crate::Json;
use loopwright_types::Effects;
use serde::{Deserialize, Serialize};

/// The kind of a call, with its number on the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// `task()`: rejects when the subagent fails.
    Task = 1,
    /// `agent()`: gives `null` when the subagent fails.
    Agent = 2,
    /// `tools.*`.
    Tool = 3,
    /// `sleep()`.
    Sleep = 4,
    /// `approve()`.
    Approve = 5,
    /// `workflow()`.
    Workflow = 6,
    /// A step of a subagent's loop: one request to a model. Never on the bridge.
    Model = 64,
    /// A step: what a model's name stands for. Never on the bridge.
    Resolve = 65,
    /// A step: a worktree is made or finished. Never on the bridge.
    Worktree = 66,
}

impl CallKind {
    /// The kind with this number on the bridge.
    pub fn from_number(number: u32) -> Option<Self> {
        let all = [Self::Task, Self::Agent, Self::Tool, Self::Sleep, Self::Approve, Self::Workflow];
        all.into_iter().find(|kind| *kind as u32 == number)
    }

    /// The word used in programs and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Sleep => "sleep",
            Self::Approve => "approve",
            Self::Workflow => "workflow",
            Self::Model => "model",
            Self::Resolve => "resolve",
            Self::Worktree => "worktree",
        }
    }

    /// Whether it runs a subagent.
    pub fn is_task(self) -> bool {
        matches!(self, Self::Task | Self::Agent)
    }
}

/// A call's request, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A subagent's task, from either dialect.
    Task(Box<TaskRequest>),
    /// A tool call.
    Tool(ToolRequest),
    /// A wait on the run's clock.
    Sleep(SleepRequest),
    /// A question to a person.
    Approve(ApproveRequest),
    /// A nested saved program.
    Workflow(WorkflowRequest),
}

impl Request {
    /// Reads a request of the given kind.
    ///
    /// # Errors
    /// When the text does not have the kind's form.
    pub fn read(kind: CallKind, json: &Json) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            CallKind::Task | CallKind::Agent => Self::Task(json.read()?),
            CallKind::Tool => Self::Tool(json.read()?),
            CallKind::Sleep => Self::Sleep(json.read()?),
            CallKind::Approve => Self::Approve(json.read()?),
            CallKind::Workflow => Self::Workflow(json.read()?),
            CallKind::Model | CallKind::Resolve | CallKind::Worktree => {
                return Err(serde::de::Error::custom("a step is no call of a program"));
            }
        })
    }
}

/// `task({description, …})` and `agent(prompt, …)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TaskRequest {
    /// What the subagent is asked.
    pub prompt: String,
    /// The subagent type; absent is the built-in `general-purpose`.
    pub subagent: Option<String>,
    /// The response schema.
    pub schema: Option<Json>,
    /// A name for people.
    pub label: Option<String>,
    /// The progress group, over the current `phase()`.
    pub phase: Option<String>,
    /// The model, over the definition's.
    pub model: Option<String>,
    /// How hard the model should think.
    pub effort: Option<String>,
    /// `worktree` or absent.
    pub isolation: Option<String>,
    /// Retries, over `task.retries`.
    pub retries: Option<u32>,
    /// Time for the whole task in milliseconds, over `task.timeout_ms`.
    pub timeout_ms: Option<f64>,
    /// What to do when the subagent fails for good.
    pub fallback: Option<Fallback>,
    /// Turn limit of the subagent's own loop.
    pub max_turns: Option<u32>,
    /// Narrows the subagent's tools.
    pub tools: Option<Vec<String>>,
    /// Ceiling on this task's own usage.
    pub budget: Option<Budget>,
    /// A name that is this call's identity whatever its prompt.
    pub key: Option<String>,
    /// Tightens the definition's effects.
    pub effects: Option<Effects>,
}

/// What stands in for a failed subagent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// Another subagent type is asked the same.
    Subagent(String),
    /// This value is the answer.
    Value(Json),
}

/// Ceilings; absent ones do not bind. Written as an object, or as a number of output tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "BudgetForm")]
pub struct Budget {
    /// Output tokens.
    pub output_tokens: Option<f64>,
    /// Input and output tokens.
    pub tokens: Option<f64>,
    /// US dollars.
    pub usd: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum BudgetForm {
    Number(f64),
    #[serde(rename_all = "camelCase")]
    Ceilings {
        output_tokens: Option<f64>,
        tokens: Option<f64>,
        usd: Option<f64>,
    },
}

impl From<BudgetForm> for Budget {
    fn from(form: BudgetForm) -> Self {
        match form {
            BudgetForm::Number(tokens) => Self { output_tokens: Some(tokens), ..Self::default() },
            BudgetForm::Ceilings { output_tokens, tokens, usd } => {
                Self { output_tokens, tokens, usd }
            }
        }
    }
}

/// `tools.<name>(args)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRequest {
    /// The name as the program wrote it.
    pub name: String,
    /// The arguments.
    #[serde(default = "Json::null")]
    pub args: Json,
}

/// `sleep(ms)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SleepRequest {
    /// Milliseconds on the run's clock.
    pub ms: f64,
}

/// `approve(question, …)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApproveRequest {
    /// What the person is asked.
    pub question: String,
    /// The answers to choose from; absent is yes or no.
    #[serde(default)]
    pub choices: Option<Vec<String>>,
    /// What the person should see beside the question.
    #[serde(default, deserialize_with = "crate::json::present")]
    pub data: Option<Json>,
    /// How long to wait, in milliseconds.
    #[serde(default)]
    pub deadline_ms: Option<f64>,
}

/// `workflow(nameOrRef, args)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkflowRequest {
    /// The saved program's name, or a path in the workspace.
    pub name: String,
    /// Its arguments.
    #[serde(default, deserialize_with = "crate::json::present")]
    pub args: Option<Json>,
}
