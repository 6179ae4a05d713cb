//! One file per command. Each returns the exit code, or why it could not do its work.

pub mod agents;
pub mod check;
pub mod completions;
pub mod fork;
pub mod init;
pub mod mcp;
pub mod models;
pub mod run;
pub mod runs;
pub mod settings;
pub mod show;
pub mod tools;
pub mod worktrees;

mod table; // columns side by side
