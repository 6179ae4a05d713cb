//! A tool as plain data: what programs and models are told of it, and what the engine decides by.

use crate::{Json, ToolSpec};
use loopwright_types::{Digest, Effects};
use serde::{Deserialize, Serialize};

/// One tool in a run's reach, pinned in its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name: `read_file`, or `server.tool` for one of an MCP server.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input: Json,
    /// JSON Schema of its result, where it has one; else the result is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// What calling it may do. What has no manifest is taken for `external`.
    pub effects: Effects,
    /// Whether programs may call it; subagents may where their definition lists it.
    #[serde(default = "yes")]
    pub programs: bool,
}

fn yes() -> bool {
    true
}

impl Tool {
    /// A tool that only reads, takes any object and gives text.
    pub fn reading(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            input: Json::of(&serde_json::json!({ "type": "object" })),
            output: None,
            effects: Effects::None,
            programs: true,
        }
    }

    /// The name that models see: providers take no dots.
    pub fn model_name(&self) -> String {
        self.name.replace('.', "__")
    }

    /// As a model sees it.
    pub fn spec(&self) -> ToolSpec {
        let description = self.description.clone();
        ToolSpec { name: self.model_name(), description, input: self.input.clone() }
    }

    /// Digest of what it says of itself: a server that changes it makes another tool of it.
    pub fn digest(&self) -> Digest {
        let output = self.output.as_ref().map_or("", Json::text);
        Digest::of_parts([
            self.name.as_bytes(),
            self.description.as_bytes(),
            self.input.text().as_bytes(),
            output.as_bytes(),
        ])
    }
}
