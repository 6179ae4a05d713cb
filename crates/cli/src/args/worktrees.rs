//! What subagents left in worktrees.

use super::{InDataDir, InWorkspace, WithSettings};
use clap::{Args as ClapArgs, Subcommand};

/// Arguments of `worktrees`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Worktrees {
    /// What to do; without it the worktrees are listed.
    #[command(subcommand)]
    pub command: Option<WorktreesCommand>,
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    /// Where they are.
    #[command(flatten)]
    pub place: WorktreesPlace,
}

/// The commands of `worktrees`.
#[derive(Debug, Subcommand)]
pub enum WorktreesCommand {
    /// Remove worktrees and branches that hold nothing, of runs that are over.
    Clean(WorktreesClean),
    /// Bring what is on a subagent's branch into the workspace's files: all of it or nothing.
    Apply(WorktreesApply),
}

/// Arguments of `worktrees clean`.
#[derive(Debug, ClapArgs)]
pub struct WorktreesClean {
    /// Also those that hold changes: these are lost.
    #[arg(long)]
    pub force: bool,
    /// Also those of runs that may go on: parked, interrupted or cancelled ones.
    #[arg(long)]
    pub all: bool,
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    /// Where they are.
    #[command(flatten)]
    pub place: WorktreesPlace,
}

/// Arguments of `worktrees apply`.
#[derive(Debug, ClapArgs)]
pub struct WorktreesApply {
    /// The branch: `loopwright/<run>/<call>`.
    pub branch: String,
    /// Only say what would change and what does not fit.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Where it is.
    #[command(flatten)]
    pub place: WorktreesPlace,
}

/// A repository and the data directory that its worktrees are in.
#[derive(Debug, ClapArgs)]
pub struct WorktreesPlace {
    /// Settings.
    #[command(flatten)]
    pub settings: WithSettings,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}
