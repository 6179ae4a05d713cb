//! What a run is asked to be.

use loopwright_protocol::Json;
use loopwright_types::Settings;
use std::path::PathBuf;

/// Everything that is chosen before a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The program's file.
    pub program: PathBuf,
    /// The directory that tools and subagents work in.
    pub workspace: PathBuf,
    /// The run's arguments; absent is `undefined` to the program.
    pub args: Option<Json>,
    /// A directory of subagent definitions that goes before the workspace's.
    pub agents_dir: Option<PathBuf>,
    /// The model for subagents that do not name a driver; `mock` answers without one.
    pub model: Option<String>,
    /// The settings file's tables of providers and models; empty is none.
    pub tables: toml::Table,
    /// Every setting.
    pub settings: Settings,
    /// Where runs are recorded.
    pub data_dir: PathBuf,
    /// Where the compiled guest is kept between processes; absent compiles it each time.
    pub cache_dir: Option<PathBuf>,
}
