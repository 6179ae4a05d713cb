//! Git worktrees that isolate subagents.
//!
//! A subagent with `isolation: "worktree"` works in a checkout of its own, on a branch of its own. Not a git library:
//! the `git` command does the work, behind the [`Git`] trait, with everything in a repository's settings that could run
//! a program switched off. Every call blocks; long ones take a `cancelled` closure and give up soon after it says so.

mod apply; // a branch's changes into the workspace
mod commit; // what a subagent left, onto its branch
mod failures; // failures in this room's words
mod files; // directories: sizes, removal
mod finish; // unchanged: removed; changed: kept and reported
mod git; // running git, as a trait
mod guard; // settings that could run code, switched off
mod leftovers; // worktrees that nobody finished
mod lock; // one at a time per data directory
mod names; // runs, slots, branches and directories
mod notice; // what a user should know before a run
mod process; // git as a process group
mod record; // what is known of a worktree, kept beside it
mod repository; // the workspace's repository and where it is
mod worktrees; // the entry point: check and create

pub use apply::{ApplyFile, ApplyReport, Change, Conflict, Fate};
pub use git::{Git, GitCall, GitError, GitOutput};
pub use leftovers::{CleanOutcome, Cleaned, Leftover, LeftoverState};
pub use notice::Notice;
pub use process::GitCommand;
pub use worktrees::Worktrees;
