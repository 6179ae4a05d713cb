//! Subagent definitions and the drivers that serve tasks.
//! Not here: retries, caps, validation of answers (`engine`), tools (`tools`).

mod command; // the driver that starts a process for each attempt
mod definition; // what a definition file says
mod drivers; // all drivers of one run behind one
mod mock; // the driver that makes answers up
mod registry; // all definitions in reach, good and broken
mod text; // text from outside made fit to be shown

pub use command::{Orphan, Signal, end_orphans};
pub use definition::{
    AcpOptions, CommandLine, Definition, GENERAL_PURPOSE, MockOptions, MockStep, Runner, Variable,
};
pub use drivers::Drivers;
pub use mock::{MockAnswer, MockAnswers};
pub use registry::{LoadOptions, Registry};
