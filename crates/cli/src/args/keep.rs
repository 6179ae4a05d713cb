//! Keeping runs, and no longer keeping them.

use super::InDataDir;
use clap::{Args as ClapArgs, ValueEnum};
use loopwright::types::RunStatus;
use std::path::PathBuf;

/// Arguments of `prune`.
#[derive(Debug, ClapArgs)]
pub struct Prune {
    /// Only runs that ended longer ago than this: `12h`, `30d`, `8w`.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// The newest runs stay, whatever they are.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub keep: usize,
    /// Only runs that stand so; may be repeated. Without it every run that has ended.
    #[arg(long, value_name = "STATUS")]
    pub status: Vec<Status>,
    /// Also runs that wait, if `--status` names them.
    #[arg(long)]
    pub force: bool,
    /// Only say what would be deleted.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// How a run stands, as `runs` shows it.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs)] // the words explain themselves
pub enum Status {
    Complete,
    Degraded,
    Failed,
    Cancelled,
    Parked,
    Paused,
    Interrupted,
}

impl From<Status> for RunStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Complete => Self::Complete,
            Status::Degraded => Self::Degraded,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
            Status::Parked => Self::Parked,
            Status::Paused => Self::Paused,
            Status::Interrupted => Self::Running,
        }
    }
}

/// Arguments of `export`.
#[derive(Debug, ClapArgs)]
pub struct Export {
    /// The run's id, the beginning of it, or `latest`.
    pub run: String,
    /// The file to write; it must not be there yet.
    pub file: PathBuf,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `import`.
#[derive(Debug, ClapArgs)]
pub struct Import {
    /// A file that `export` wrote.
    pub file: PathBuf,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `verify`.
#[derive(Debug, ClapArgs)]
pub struct Verify {
    /// The run's id, the beginning of it, or `latest`.
    #[arg(default_value = "latest")]
    pub run: String,
    /// What `verify` or `export` printed before: shows that nothing was changed or cut off since.
    #[arg(long, value_name = "COUNT:HASH")]
    pub head: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}
