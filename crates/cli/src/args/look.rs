//! Looking at runs.

use super::InDataDir;
use clap::Args as ClapArgs;

/// Arguments of `runs`.
#[derive(Debug, ClapArgs)]
pub struct Runs {
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    /// How many runs.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `show`.
#[derive(Debug, ClapArgs)]
pub struct Show {
    /// The run's id, the beginning of it, or `latest`.
    #[arg(default_value = "latest")]
    pub run: String,
    /// Show one task in full: prompt, attempts, result.
    #[arg(long, value_name = "NUMBER")]
    pub task: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}
