#![doc = include_str!("../README.md")]

mod commit; // group commit: one transaction, one sync, everyone told
mod database; // tables, format, connections
mod directory; // the data directory and its files
mod error;
mod list; // the rows of all runs
mod owner; // which process records a run
mod reader; // entries back, checked
mod record; // checksum and chain of one record
mod run; // the row that sums a run up
mod statements; // the writer's prepared statements
mod store;
mod tail; // how far the last commit went
mod writer; // the handle and the thread

pub use error::Error;
pub use reader::{Entries, Verified};
pub use run::RunRow;
pub use store::Store;
pub use writer::{Stats, Synced, Writer};
