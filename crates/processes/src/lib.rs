//! Processes of others: started with few variables in a group of their own, followed by one thread, and ended with
//! everything they started, also when our own process is killed.
//! Not here: what is said to them (`subagents`, `acp`, `mcp`), git (`worktrees`), the sandbox of `bash` (`tools`).

#![forbid(unsafe_code)]

mod attempts; // those under way, and the thread that follows them
mod files; // the limit of open files
mod group; // process groups, signals, marks
mod guard; // ends groups whose host was killed
mod limits; // how long one may take
mod orphans; // those that outlived their host
mod program; // how one is started
mod tail; // the end of a stream
mod text; // text from outside made fit to be shown

pub use attempts::{Attempts, Key, Watched};
pub use group::{MARK, Signal, is_running, signal_group, signal_marked, start_ticks};
pub use limits::TimeLimits;
pub use orphans::{Orphan, end_orphans};
pub use program::{NotStarted, Program};
pub use tail::Tail;
pub use text::shown;
