//! Going on with runs.

use super::{InDataDir, Watch};
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Arguments of `resume`.
#[derive(Debug, ClapArgs)]
pub struct Resume {
    /// The run's id, the beginning of it, or `latest`.
    #[arg(default_value = "latest")]
    pub run: String,
    /// Go on with an edited program: as `fork --program`, a new run that takes over what this one has.
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// With `--program`: say what would run again and what that is expected to cost, and end.
    #[arg(long, requires = "program")]
    pub plan: bool,
    /// With `--program`: ask nothing before spending, and repeat effects.
    #[arg(long, short, requires = "program")]
    pub yes: bool,
    /// Raise a ceiling: `budget.tokens` or `budget.usd_micros`; may be repeated. Other settings stay as recorded.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Go on although subagents or tools that the run began with are gone: work that is left for them fails. A fork
    /// also goes on without the run that it was forked from: what is left is done again.
    #[arg(long)]
    pub allow_missing: bool,
    /// What is seen of it.
    #[command(flatten)]
    pub watch: Watch,
    /// Where the workspace is now, if it was moved.
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `decide`.
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("decision").required(true))]
pub struct Decide {
    /// The run's id, the beginning of it, or `latest`.
    pub run: String,
    /// The call's number.
    pub call: u32,
    /// It was not done, or may be done twice: send it again.
    #[arg(long, group = "decision")]
    pub repeat: bool,
    /// Give it up: the program is told that it failed.
    #[arg(long, group = "decision")]
    pub fail: bool,
    /// It was done, with this result, as JSON.
    #[arg(long, value_name = "JSON", group = "decision")]
    pub value: Option<String>,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}
