//! Programs and projects.

use super::InWorkspace;
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Arguments of `check`.
#[derive(Debug, ClapArgs)]
pub struct Check {
    /// The program: a `.ts`, `.js` or `.mjs` file.
    pub program: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// A directory of subagent definitions that goes before the workspace's.
    #[arg(long, value_name = "DIR")]
    pub agents: Option<PathBuf>,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
}

/// Arguments of `init`.
#[derive(Debug, ClapArgs)]
pub struct Init {
    /// Where; made if it is not there.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}
