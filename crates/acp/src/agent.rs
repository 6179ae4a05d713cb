//! An agent as its definition describes it.

use crate::servers::McpServer;
use loopwright_types::Micros;
use serde::Serialize;
use std::path::PathBuf;

/// What is started for each attempt, and how it is treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    /// The subagent's name, for messages.
    pub name: String,
    /// The program: a path with a `/` is looked up in its directory, a plain name along `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it gets beside `PATH`, `HOME`, `LANG` and `TMPDIR`; without a value ours is passed through, if we have one.
    pub environment: Vec<(String, Option<String>)>,
    /// Its directory, relative to the workspace or the task's root; absent is that itself.
    pub directory: Option<PathBuf>,
    /// How its permission requests are answered.
    pub permissions: Permissions,
    /// The session mode it must be in, by id or name.
    pub mode: Option<String>,
    /// The model it should use, by id or name, where the task names none.
    pub model: Option<String>,
    /// The authentication method that it is told to use before the session, by id.
    pub authentication: Option<String>,
    /// The workspace's MCP servers, which are there to be granted.
    pub servers: Vec<McpServer>,
    /// Its tools; of them only those count that name an MCP server.
    pub tools: Vec<String>,
    /// Tools taken away from those.
    pub tools_denied: Vec<String>,
    /// Text before each task.
    pub system_prompt: String,
    /// Time for one attempt.
    pub timeout: Option<Micros>,
}

/// The policy that answers permission requests; no person is ever asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permissions {
    /// Nothing is allowed.
    #[default]
    Reject,
    /// Tool calls of the kinds `read`, `search` and `think` are allowed once. The kind is what the agent says of its
    /// call: a promise, not a fence.
    AllowReads,
    /// Every tool call is allowed, each time for once.
    AllowOnce,
}

impl Permissions {
    /// All policies with the words that name them.
    pub const ALL: [(&'static str, Self); 3] = [
        ("reject", Self::Reject),
        ("allow-reads", Self::AllowReads),
        ("allow-once", Self::AllowOnce),
    ];

    /// The word that names it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, it)| *it == self).map_or("", |(word, _)| word)
    }

    /// The policy of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(it, _)| *it == word).map(|(_, policy)| policy)
    }
}
