//! Subagent definitions and the drivers that serve tasks.

mod definition; // what a definition file says
mod registry; // all definitions in reach, good and broken

pub use definition::{
    CommandLine, Definition, GENERAL_PURPOSE, MockOptions, MockStep, Runner, Variable,
};
pub use registry::{LoadOptions, Registry};
