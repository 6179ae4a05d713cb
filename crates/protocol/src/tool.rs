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
    /// Whether programs may call it.
    #[serde(default = "yes")]
    pub programs: bool,
    /// Whether subagents may call it, where their definition does not rule it out.
    #[serde(default = "yes")]
    pub subagents: bool,
    /// Other names that it answers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Whether it can be looked up what became of a call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lookup: bool,
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
            subagents: true,
            aliases: Vec::new(),
            lookup: false,
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

    /// Whether a program or a model means this tool by the name: its own, an alias, in any spelling.
    pub fn answers_to(&self, name: &str) -> bool {
        let wanted = fold(name);
        fold(&self.name) == wanted || self.aliases.iter().any(|alias| fold(alias) == wanted)
    }

    /// Whether an item of an allow-list names it. An item is a tool's name, `mcp__server__tool`, all tools of a
    /// server (`server.*`, `mcp__server`), `*`, or a name with a narrower rule in brackets that the tool itself
    /// enforces (`Bash(git log:*)`).
    pub fn is_named_by(&self, item: &str) -> bool {
        let base = item.split('(').next().unwrap_or(item).trim();
        let base = base.strip_prefix("mcp__").unwrap_or(base);
        if base == "*" || self.answers_to(base) {
            return true;
        }
        let Some((server, _)) = self.name.split_once('.') else { return false };
        [".*", "__*", ""].iter().any(|end| base.strip_suffix(end) == Some(server))
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

/// Letters and digits alone, in lower case: `readFile`, `read_file` and `Read-File` are one name.
fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_name_tools_in_every_dialect() {
        let bash = Tool { aliases: vec!["shell".to_owned()], ..Tool::reading("bash") };
        let search = Tool::reading("docs.search");
        let cases = [
            (&bash, "Bash", true),
            (&bash, "Bash(git log:*)", true),
            (&bash, "shell", true),
            (&bash, "*", true),
            (&bash, "docs.*", false),
            (&search, "docs.search", true),
            (&search, "mcp__docs__search", true),
            (&search, "mcp__docs", true),
            (&search, "mcp__docs__*", true),
            (&search, "docs.*", true),
            (&search, "mcp__other__*", false),
            (&search, "search", false),
        ];
        for (tool, item, expected) in cases {
            assert_eq!(tool.is_named_by(item), expected, "`{item}` for `{}`", tool.name);
        }
        assert!(Tool::reading("read_file").answers_to("readFile"));
    }
}
