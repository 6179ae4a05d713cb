//! One file per command. Each returns the exit code, or why it could not do its work.

pub mod agents;
pub mod approvals;
pub mod approve;
pub mod check;
pub mod completions;
pub mod decide;
pub mod fork;
pub mod init;
pub mod mcp;
pub mod models;
pub mod portable;
pub mod prune;
pub mod replay;
pub mod resume;
pub mod run;
pub mod runs;
pub mod settings;
pub mod show;
pub mod stop;
pub mod test;
pub mod tools;
pub mod wait;
pub mod worktrees;

mod detach; // runs in the background
mod ending; // what is said of a run that has ended
mod table; // columns side by side
