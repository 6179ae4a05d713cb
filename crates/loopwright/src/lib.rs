//! The library that people embed: engine, journal and drivers wired into a local runtime.
//!
//! [`Run::prepare`] reads everything a run needs and refuses what can be known to be wrong;
//! [`Run::execute`] runs it to its end and records every step ([`Run::start`] without holding a thread while it waits); [`replay_run`] runs it again from its record.
//! Not here: the terminal (`cli`), decisions (`engine`).

mod alarm; // one clock for runs that wait for a time
mod approvals; // questions that wait, for other processes
mod approve; // questions to people
mod check; // a program looked at without running it
mod clock; // the run's clock and names drawn from it
mod execute; // a prepared run, run
mod fixture; // recordings as tests of programs
mod fork; // a recorded run again, from what it has
mod host; // the local host: journal, timers, inbox
mod mail; // a run's inbox, which keeps it while it waits
mod modules; // program text with what it imports
mod options; // what a run is asked to be
mod pool; // threads for work that blocks
mod prepare; // everything before the first turn
mod reach; // the tools in reach, looked at without a run
mod rehearsal; // what is played where nothing may be done
mod replay; // a recorded run again
mod requests; // what other processes ask of a run
mod resume; // a recorded run, prepared to go on
mod saved; // saved programs by name
mod services; // tools, saved programs, approvals as drivers
mod timers; // what is due when
mod toolbox; // all tools of a run behind one call
pub mod view; // what people see of a run

pub use approvals::{Approval, InDoubt, Waiting, waiting};
pub use approve::{Answer, Approver, Elsewhere, Unattended};
pub use check::load_program;
pub use execute::{Canceller, Observer, RunReport, WhenOver};
pub use fixture::{Recording, program_text};
pub use fork::{Cost, Fork, ForkOptions, ForkPlan, PlannedCall, Standing, Why};
pub use loopwright_engine::{Doubt, Mismatch, Replayed};
pub use loopwright_journal as journal;
pub use loopwright_mcp as mcp;
pub use loopwright_program as program;
pub use loopwright_protocol as protocol;
pub use loopwright_providers as providers;
pub use loopwright_subagents as subagents;
pub use loopwright_types as types;
pub use loopwright_worktrees as worktrees;
pub use options::RunOptions;
pub use prepare::{PrepareError, Run};
pub use reach::Reach;
pub use replay::{ReplayError, replay_program, replay_run};
pub use resume::{ResumeOptions, doubts, nothing_recorded, start_of};
