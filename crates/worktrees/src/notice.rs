//! What a user should know of the repository before subagents work in worktrees.

use crate::failures::printable;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing to say once per run. None of them stops it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Notice {
    /// There are changes that are in no commit: worktrees do not have them.
    Uncommitted {
        /// Files changed, added, deleted or not tracked.
        files: u64,
    },
    /// No branch is checked out; worktrees begin at the commit.
    DetachedHead {
        /// The commit.
        commit: String,
    },
    /// There are submodules: their directories are empty in worktrees.
    Submodules {
        /// How many.
        count: u64,
    },
    /// The workspace is a part of the repository; subagents work in the same part of the worktree.
    Subdirectory {
        /// The part, relative to the repository's top directory.
        path: String,
    },
    /// The history is cut; worktrees need none of it.
    Shallow,
    /// The workspace is a worktree itself; those of subagents are siblings of it.
    LinkedWorktree,
    /// Only a part of the files is checked out, in worktrees the same.
    SparseCheckout,
    /// Contents that were not fetched yet are not fetched for worktrees either: making one may fail.
    PartialClone,
    /// Filters that the repository's own settings define do not run; files are as they are stored.
    Filters {
        /// Their names.
        names: Vec<String>,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u64, one: &str, many: &str| {
            if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
        };
        match self {
            Self::Uncommitted { files } => write!(
                f,
                "{} not committed: subagents in worktrees do not see these changes",
                counted(*files, "file is", "files are"),
            ),
            Self::DetachedHead { commit } => {
                let short = commit.get(..12).unwrap_or(commit);
                write!(f, "no branch is checked out: worktrees begin at commit `{short}`")
            }
            Self::Submodules { count } => {
                write!(
                    f,
                    "{} empty in worktrees",
                    counted(*count, "submodule is", "submodules are")
                )
            }
            Self::Subdirectory { path } => write!(
                f,
                "the workspace is `{}` of its repository: subagents work in the same directory of \
                 their worktree",
                printable(path),
            ),
            Self::Shallow => f.write_str("the history is shallow: worktrees have no more of it"),
            Self::LinkedWorktree => f.write_str("the workspace is itself a worktree"),
            Self::SparseCheckout => {
                f.write_str("the checkout is sparse: worktrees have the same files only")
            }
            Self::PartialClone => f.write_str(
                "the repository is a partial clone: contents that are missing here are not fetched",
            ),
            Self::Filters { names } => write!(
                f,
                "filters of the repository's own settings do not run in worktrees: `{}`",
                printable(&names.join(", ")),
            ),
        }
    }
}
