//! Driver for agents that speak the Agent Client Protocol: an editor's agent becomes a subagent.
//! Not here: definition files (`subagents`), processes (`processes`), retries, caps, validation of answers (`engine`).

mod agent; // what is started, and how it is treated
mod answer; // the final message becomes JSON
mod attempt; // one process from start to end
mod conversation; // what is said to it, in order
mod driver; // all attempts of one run
mod failure; // what went wrong, in words
mod permission; // answers to permission requests
mod prompt; // what the agent is asked
mod servers; // MCP servers that it is given
mod session; // what it said so far
mod wire; // its standard streams

pub use agent::{Agent, Permissions};
pub use driver::AcpDriver;
pub use servers::{McpServer, Reach};
