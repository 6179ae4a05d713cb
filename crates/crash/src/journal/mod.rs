//! The journal alone: runs are created, written, closed, resumed, asked, deleted, imported and pruned, one operation
//! after the other, until the disk dies; then the journal is opened again and must hold what it reported.

mod damage; // records that are changed behind its back
mod model; // what the journal has reported, and what a crash leaves open
mod steps; // the operations
mod world; // disk, clock and stores of one case

pub use world::{case, case_at, operations, prepare};
