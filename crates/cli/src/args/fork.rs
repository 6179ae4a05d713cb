//! What a fork is given.

use super::{Given, InDataDir, Watch};
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Arguments of `fork`. What is not given is as it was in the old run.
#[derive(Debug, ClapArgs)]
pub struct Fork {
    /// The old run's id, the beginning of it, or `latest`.
    pub run: String,
    /// The edited program; absent is the old run's own text.
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Make this task again and all calls after it, in the order in which the old run made them.
    #[arg(long, value_name = "TASK")]
    pub at: Option<u32>,
    /// What it is given in place of what the old run was given.
    #[command(flatten)]
    pub given: Given,
    /// Take answers over although a file that was read for them has changed since.
    #[arg(long)]
    pub keep_stale: bool,
    /// Take over what calls with effects gave and what people answered, instead of doing and asking it again.
    #[arg(long)]
    pub reuse_effects: bool,
    /// Say what would run again and what that is expected to cost, and end.
    #[arg(long)]
    pub plan: bool,
    /// Ask nothing before spending, and repeat effects.
    #[arg(long, short)]
    pub yes: bool,
    /// What is seen of it. With `--plan`, `--json` prints one object; else the plan is the first event.
    #[command(flatten)]
    pub watch: Watch,
    /// Another workspace.
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}
