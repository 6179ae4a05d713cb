//! What a run is given.

use super::{InDataDir, InWorkspace, WithSettings};
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Arguments of `run`.
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// The program: a `.ts`, `.js` or `.mjs` file.
    pub program: PathBuf,
    /// What it is given.
    #[command(flatten)]
    pub given: Given,
    /// What is seen of it.
    #[command(flatten)]
    pub watch: Watch,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// What a program is given to run with.
#[derive(Debug, Default, ClapArgs)]
pub struct Given {
    /// The run's arguments as JSON, `@file` to read them from a file, `@-` from standard input.
    #[arg(long, value_name = "JSON|@FILE")]
    pub args: Option<String>,
    /// A directory of subagent definitions that goes before the workspace's.
    #[arg(long, value_name = "DIR")]
    pub agents: Option<PathBuf>,
    /// The model for subagents that no command serves; `mock` answers from the response schema.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Settings.
    #[command(flatten)]
    pub settings: WithSettings,
}

/// What is seen of a run.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct Watch {
    /// Stream events to standard output, one JSON object a line; the last one holds `runId`, `status`, `result`.
    #[arg(long)]
    pub json: bool,
    /// Show errors only.
    #[arg(long, short)]
    pub quiet: bool,
    /// Go on in the background and print the run's id; `wait`, `show`, `pause` and `cancel` reach it from any terminal.
    #[arg(long)]
    pub detach: bool,
    /// What `--detach` starts.
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub detached: bool,
}
