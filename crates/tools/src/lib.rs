//! Built-in read-only tools for programs: `glob`, `grep`, `ls` and `read_file`, rooted at the workspace.
//!
//! Not a general file layer: nothing here writes, and nothing outside the root is ever opened. Paths are
//! resolved beneath a directory handle that is opened once, so neither `..`, nor links, nor a directory
//! swapped for a link while it is walked leads out. Results are newline-separated text.

mod argument; // what a call was given, with the spellings that models use
mod find; // `glob`
mod ignored; // which entries a walk leaves out
mod list; // `ls`
mod output; // bounded results
mod read; // `read_file`
mod refusal; // failures in the tools' words
mod report; // what `grep` found
mod root; // open beneath the workspace, never beyond
mod search; // `grep`
mod tools; // the set a run may call
mod walk; // files under a directory, in a fixed order

pub use tools::{Description, Tools};
