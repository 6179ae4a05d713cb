//! Runs again from their records.

use super::{InDataDir, InWorkspace};
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Arguments of `replay`.
#[derive(Debug, ClapArgs)]
pub struct Replay {
    /// The run's id, the beginning of it, or `latest`.
    #[arg(default_value = "latest")]
    pub run: String,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `test`.
#[derive(Debug, ClapArgs)]
pub struct Test {
    /// Programs, or directories to look for programs with recordings in: `audit.ts` has `audit.run` or
    /// `audit.<anything>.run` next to it. A program that is named and has none is rehearsed: run with mock subagents and
    /// with tools that do nothing but read the workspace.
    #[arg(default_value = ".")]
    pub files: Vec<PathBuf>,
    /// A recorded run to hold the one program against, in place of files: its id, the beginning of it, or `latest`.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Record anew what no longer fits: runs those programs. What has no recording, or one of a rehearsal, is rehearsed.
    #[arg(long, conflicts_with = "run")]
    pub update: bool,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// The data directory, for `--run`.
    #[command(flatten)]
    pub data_dir: InDataDir,
}
