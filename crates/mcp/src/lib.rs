//! Client of MCP servers, on the official Rust SDK: what `.mcp.json` lists becomes tools that subagents and programs
//! call, with typed signatures.
//!
//! One synchronous face, [`Servers`], over a runtime of its own on one background thread that starts with the first
//! server. Protocol revisions 2025-11-25 (handshake) and 2026-07-28 (`server/discover`), over stdio and streamable
//! HTTP. Not here: whether a result matches its schema in every detail (`schema`), who may call what (the run).

mod answer; // what a tool answered, as a value
mod background; // the thread and its runtime
mod base64; // bytes as text
mod bound; // tokens that are bound to a key, on their way to a server
mod call; // one call from request to answer
mod config; // `.mcp.json`
mod connection; // a server that is up
mod dpop; // keys, and proofs that we have them
mod expand; // `${NAME}` in values
mod failure; // what went wrong, in words an author can act on
mod handler; // what servers send by themselves
mod http; // streamable HTTP
mod limits; // the settings in force
mod listing; // tools, resources and prompts of a server
mod login; // OAuth: discovery, consent, tokens
mod manifest; // what calling a tool may do
mod names; // names that programs and models can use
mod probe; // the short wait for an answer to `server/discover`
mod process; // a server's process group
mod resources; // resources and prompts
mod server; // one server through its life
mod servers; // all of them, from the outside
mod signatures; // TypeScript from JSON Schema
mod stdio; // JSON lines over pipes
mod table; // which tool is where
mod tokens; // stored tokens
mod tree; // typed files to search and read

pub use config::{Definition, Endpoint, Grant, IdentityProvider, OAuth};
pub use handler::{Answer, Answers, Question};
pub use login::Browser;
pub use manifest::{ArgumentRole, Manifest, ToolManifest};
pub use resources::{Prompt, Resource, ResourceContent, ResourceTemplate};
pub use server::Change;
pub use servers::{Options, Servers};
pub use signatures::signature;
