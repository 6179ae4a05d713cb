//! Built-in tools, rooted at the workspace: `glob`, `grep`, `ls` and `read_file` read, `write_file` and
//! `edit_file` write, `bash` runs a command in a sandbox of the kernel, `fetch` asks hosts on a list.
//!
//! Not a general file layer: nothing outside the root is ever opened. Paths are resolved beneath a directory
//! handle that is opened once, so neither `..`, nor links, nor a directory swapped for a link while it is
//! walked leads out. Results are text.

mod allowed; // what a subagent's definition lists
mod argument; // what a call was given, with the spellings that models use
mod bash; // `bash`: a command and what is said of its end
mod context; // what a tool has at hand during one call
mod edit; // `edit_file`
mod fetch; // `fetch`
mod find; // `glob`
mod hosts; // the hosts that `fetch` may ask
mod html; // readable text of a page
mod ignored; // which entries a walk leaves out
mod list; // `ls`
mod nearest; // where an edit nearly fits
mod options; // what the settings grant
mod output; // bounded results
mod place; // where a file is written, and writing it whole
mod read; // `read_file`
mod refusal; // failures in the tools' words
mod registry; // the tools by name
mod report; // what `grep` found
mod resolve; // names to addresses that may be connected to
mod root; // open beneath the workspace, never beyond
mod sandbox; // a process tree that the kernel confines and that ends whole
mod search; // `grep`
mod tools; // the set a run may call
mod walk; // files under a directory, in a fixed order
mod write; // `write_file`

pub use allowed::{Allowed, Restriction, resolve_definition_tools, unknown_tools};
pub use registry::{Description, Manifest};
pub use tools::Tools;
