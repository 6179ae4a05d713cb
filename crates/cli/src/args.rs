//! What can be typed. `docs/reference/cli.md` is generated from here.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Runs programs that orchestrate subagents, inside a sandbox, with every step recorded.
#[derive(Debug, Parser)]
#[command(name = "loopwright", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 complete · 1 failed · 2 usage · 3 degraded · 4 parked · 130 cancelled"
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program.
    Run(Run),
    /// List runs, newest first.
    Runs(Runs),
    /// Show a run as a tree of phases and tasks.
    Show(Show),
    /// Parse a program and say what is wrong with it, without running anything.
    Check(Check),
    /// Make a small project to start from.
    Init(Init),
    /// List the subagents in reach.
    Agents(Agents),
    /// List settings: values in force and where each comes from.
    Settings(ListSettings),
    /// Print a shell's completion script.
    Completions(Completions),
    /// Print a reference page as Markdown.
    #[command(hide = true)]
    Reference(Reference),
}

/// Where a command works.
#[derive(Debug, ClapArgs)]
pub struct InWorkspace {
    /// The directory that tools and subagents work in.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
}

/// Where runs are recorded.
#[derive(Debug, ClapArgs)]
pub struct InDataDir {
    /// Where runs are recorded [default: $LOOPWRIGHT_DATA_DIR, else $XDG_DATA_HOME/loopwright, else
    /// ~/.local/share/loopwright].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Settings on the command line.
#[derive(Debug, ClapArgs)]
pub struct WithSettings {
    /// Set one setting; may be repeated. `loopwright settings` lists them.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Arguments of `run`.
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// The program: a `.ts`, `.js` or `.mjs` file.
    pub program: PathBuf,
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
    /// Stream events to standard output, one JSON object a line; the last one holds `runId`, `status`, `result`.
    #[arg(long)]
    pub json: bool,
    /// Show errors only.
    #[arg(long, short)]
    pub quiet: bool,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

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

/// Arguments of `agents`.
#[derive(Debug, ClapArgs)]
pub struct Agents {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// A directory of subagent definitions that goes before the workspace's.
    #[arg(long, value_name = "DIR")]
    pub agents: Option<PathBuf>,
    /// The model for subagents that no command serves.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
}

/// Arguments of `settings`.
#[derive(Debug, ClapArgs)]
pub struct ListSettings {
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    /// Settings.
    #[command(flatten)]
    pub settings: WithSettings,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
}

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Arguments of `reference`.
#[derive(Debug, ClapArgs)]
pub struct Reference {
    /// The page.
    pub page: Page,
}

/// The generated pages of `docs/reference/`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Page {
    /// `cli.md`.
    Cli,
    /// `settings.md`.
    Settings,
}
