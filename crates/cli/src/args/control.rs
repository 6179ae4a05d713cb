//! Steering runs from any terminal.

use super::InDataDir;
use clap::Args as ClapArgs;

/// Which run.
#[derive(Debug, ClapArgs)]
pub struct OneRun {
    /// The run's id, the beginning of it, or `latest`.
    pub run: String,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `cancel` and `pause`.
#[derive(Debug, ClapArgs)]
pub struct Stop {
    /// The run.
    #[command(flatten)]
    pub run: OneRun,
    /// Ask and return; do not wait until the run has stopped.
    #[arg(long)]
    pub no_wait: bool,
}

/// Arguments of `wait`.
#[derive(Debug, ClapArgs)]
pub struct Wait {
    /// The run.
    #[command(flatten)]
    pub run: OneRun,
    /// Print one JSON object that holds `runId`, `status` and `result`.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `approvals`.
#[derive(Debug, ClapArgs)]
pub struct Approvals {
    /// Only this run's: its id, the beginning of it, or `latest`.
    pub run: Option<String>,
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `approve`.
#[derive(Debug, ClapArgs)]
pub struct Approve {
    /// The run's id, the beginning of it, or `latest`.
    pub run: String,
    /// The question's number, where the run asks more than one.
    pub call: Option<u32>,
    /// The answer, where there are choices.
    #[arg(long, value_name = "TEXT")]
    pub choice: Option<String>,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `reject`.
#[derive(Debug, ClapArgs)]
pub struct Reject {
    /// The run's id, the beginning of it, or `latest`.
    pub run: String,
    /// The question's number, where the run asks more than one.
    pub call: Option<u32>,
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}
