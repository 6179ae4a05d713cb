//! Subagent definitions and the drivers that serve tasks.
//! Not here: retries, caps, validation of answers (`engine`), processes (`processes`), tools (`tools`).

mod command; // the driver that starts a process for each attempt
mod definition; // what a definition file says
mod drivers; // all drivers of one run behind one
mod mock; // the driver that makes answers up
mod registry; // all definitions in reach, good and broken

pub use definition::{
    AcpOptions, CommandLine, Definition, GENERAL_PURPOSE, MockOptions, MockStep, Runner, Variable,
};
pub use drivers::Drivers;
pub use loopwright_acp::{McpServer, Reach};
pub use loopwright_processes::{Orphan, Signal, end_orphans, is_running};
pub use mock::{Draw, MockAnswer, MockAnswers};
pub use registry::{LoadOptions, Registry};
