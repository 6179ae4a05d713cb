//! What can be typed. `docs/reference/cli.md` is generated from here.

mod control; // steering runs from any terminal
mod fork; // a recorded run again
mod keep; // keeping runs, and no longer keeping them
mod look; // looking at runs
mod page; // texts about the command itself
mod project; // programs and projects
mod reach; // what is in reach of a run
mod replay; // runs again from their records
mod resume; // going on with runs
mod run; // what a run is given
mod worktrees; // what subagents left in worktrees

pub use control::{Approvals, Approve, Reject, Stop, Wait};
pub use fork::Fork;
pub use keep::{Export, Import, Prune, Verify};
pub use look::{Runs, Show};
pub use page::{Completions, Page, Reference};
pub use project::{Check, Init};
pub use reach::{
    Agents, ListSettings, Mcp, McpCommand, McpList, McpLogin, McpServer, Models, Tools,
};
pub use replay::{Replay, Test};
pub use resume::{Decide, Resume};
pub use run::{Given, Run, Watch};
pub use worktrees::{Worktrees, WorktreesApply, WorktreesClean, WorktreesCommand, WorktreesPlace};

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

/// Runs programs that orchestrate subagents, inside a sandbox, with every step recorded.
#[derive(Debug, Parser)]
#[command(name = "loopwright", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 complete · 1 failed · 2 usage · 3 degraded · 4 parked or paused · 130 cancelled"
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
    /// Run a recorded run again, with an edited program or from a task on: only what changed is asked again.
    Fork(Fork),
    /// List runs, newest first.
    Runs(Runs),
    /// Show a run as a tree of phases and tasks.
    Show(Show),
    /// Go on with a run that was stopped, paused, parked or killed.
    Resume(Resume),
    /// Wait until a run ends or waits, and print its result.
    Wait(Wait),
    /// Let what a run has under way end, and stop there.
    Pause(Stop),
    /// End a run.
    Cancel(Stop),
    /// List the questions that runs ask people.
    Approvals(Approvals),
    /// Answer a run's question: yes, or one of its choices.
    Approve(Approve),
    /// Answer a run's question: no.
    Reject(Reject),
    /// Say what is to become of a call that was sent and of whose result nothing is known.
    Decide(Decide),
    /// Run a recorded run again without dispatching anything, and compare.
    Replay(Replay),
    /// Hold programs against recordings of their runs.
    Test(Test),
    /// Delete runs by age, number and status.
    Prune(Prune),
    /// Write a run into a file.
    Export(Export),
    /// Take a run from a file.
    Import(Import),
    /// Check a run's record, and that nothing of it was changed or cut off.
    Verify(Verify),
    /// Parse a program and say what is wrong with it, without running anything.
    Check(Check),
    /// Make a small project to start from.
    Init(Init),
    /// List the subagents in reach.
    Agents(Agents),
    /// List model providers and names of models, or look models up.
    Models(Models),
    /// List the tools in reach of programs and subagents.
    Tools(Tools),
    /// Start and list the MCP servers of the workspace, or log in at one.
    Mcp(Mcp),
    /// List what subagents left in worktrees, remove it, or apply it.
    Worktrees(Worktrees),
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
#[derive(Debug, Default, ClapArgs)]
pub struct WithSettings {
    /// Set one setting; may be repeated. `loopwright settings` lists them.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}
