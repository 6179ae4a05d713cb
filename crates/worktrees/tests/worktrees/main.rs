//! Worktrees with real git in temporary repositories.

mod applying; // a branch into the workspace
mod conditions; // every kind of repository
mod crashes; // what killed processes leave
mod hostile; // repositories and subagents that want more
mod lives; // made, used, finished
mod property; // a dry run tells the truth
mod support;
mod together; // several threads
