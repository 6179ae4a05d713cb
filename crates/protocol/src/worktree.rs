//! Git worktrees that isolate subagents, as plain data.

use serde::{Deserialize, Serialize};

/// What is asked of the worktrees' driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorktreeWork {
    /// Make one from the workspace's current commit; the value is a [`Worktree`].
    Create,
    /// The subagent is done with it: remove it when nothing changed, keep it otherwise; the value is a
    /// [`WorktreeReport`].
    Finish(Worktree),
}

/// A worktree in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worktree {
    /// Its directory, absolute.
    pub path: String,
    /// Its branch.
    pub branch: String,
    /// The commit it began at.
    pub base: String,
}

/// What became of a worktree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorktreeReport {
    /// Whether anything changed; an unchanged worktree is removed.
    pub changed: bool,
    /// Its branch, where it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Its directory, where it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `git diff --stat` against the commit it began at, untracked files included.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diffstat: String,
}
