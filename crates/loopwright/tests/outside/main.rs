//! Whole runs and the world outside: servers that nobody here wrote, whose tests are skipped where these are not
//! installed, and bad input from every side.

mod bad_input; // keys, names, addresses and MCP servers that are wrong
#[path = "../common/mod.rs"]
mod common;
mod inference; // a real inference server with random weights
mod mocks; // two mocks of providers
mod scene; // a workspace with its providers
mod server; // a server in a process of its own
mod streams; // thinking, deadlines and cancels in the middle of streams
