#![doc = include_str!("../README.md")]

mod blob; // large values, each once
mod commit; // group commit: one transaction, one sync, everyone told
mod control; // what other processes ask of a run
mod database; // tables, format, connections
mod directory; // the data directory and its files
mod ends; // where the list of runs begins
mod error;
mod export; // one run as one file
mod frame; // that file's form
mod import; // and back
mod lease; // who may write a run
mod list; // the rows of all runs
mod open; // the ways to open a journal
mod options;
mod owner; // which processes live
mod place; // a directory, or a path in a VFS
mod prune; // deleting runs by rules
mod reader; // entries back, checked
mod record; // checksum and chain of one record
mod run; // the row that sums a run up
mod share; // one open journal for all runs of a process
mod stage; // what each message changes
mod store;
mod sweep; // deleting a piece at a time
mod tail; // how far the last commit went
mod watch; // signs of life, looks for requests
mod writer; // the handle and the thread

pub use control::{Control, Listener, Receipt, Request};
pub use error::Error;
pub use import::{Imported, read_export};
pub use options::Options;
pub use prune::{Prune, Pruned};
pub use reader::{Entries, Verified};
pub use run::{RunOwner, RunRow};
pub use store::{Listing, Store};
pub use writer::{Stats, Synced, Writer};
