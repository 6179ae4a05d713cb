//! What is in reach of a run: subagents, models, tools, MCP servers, settings.

use super::{InDataDir, InWorkspace, WithSettings};
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

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

/// Arguments of `models`.
#[derive(Debug, ClapArgs)]
pub struct Models {
    /// Models to look up: `provider:model`, an alias, a tier. Without any, providers and names are listed.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
}

/// Arguments of `tools`.
#[derive(Debug, ClapArgs)]
pub struct Tools {
    /// Print one JSON object.
    #[arg(long, conflicts_with_all = ["types", "tree"])]
    pub json: bool,
    /// Print TypeScript declarations of what programs may call.
    #[arg(long, conflicts_with = "tree")]
    pub types: bool,
    /// Write the declarations as files to search and read piece by piece; what the folder held of tools before is
    /// replaced.
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// Settings.
    #[command(flatten)]
    pub settings: WithSettings,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// Arguments of `mcp`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Mcp {
    /// What to do; without it the servers are started and listed.
    #[command(subcommand)]
    pub command: Option<McpCommand>,
    /// What the list looks like.
    #[command(flatten)]
    pub list: McpList,
}

/// Arguments of `mcp` itself.
#[derive(Debug, ClapArgs)]
pub struct McpList {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Settings.
    #[command(flatten)]
    pub settings: WithSettings,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}

/// The commands of `mcp`.
#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Log in at a server: opens its page in the browser and waits for the answer.
    Login(McpLogin),
    /// Forget the login of a server.
    Logout(McpServer),
}

/// Arguments of `mcp login`.
#[derive(Debug, ClapArgs)]
pub struct McpLogin {
    /// How long to wait for the browser.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub wait: u64,
    /// The server.
    #[command(flatten)]
    pub server: McpServer,
}

/// One server of `.mcp.json`.
#[derive(Debug, ClapArgs)]
pub struct McpServer {
    /// The server's name in `.mcp.json`.
    pub server: String,
    /// Settings.
    #[command(flatten)]
    pub settings: WithSettings,
    /// The workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// The data directory.
    #[command(flatten)]
    pub data_dir: InDataDir,
}
