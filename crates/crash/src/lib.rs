//! For tests: the crash search. The real journal, and the real engine on it, run on a simulated disk
//! ([`loopwright_disk`]) in simulated time; they are crashed at writes and syncs, recovered, and crashed again. What
//! must hold is checked against what was seen from outside: what the journal reported, what the providers were asked
//! and answered. Nothing that is checked is taken from the journal itself.
//!
//! One seed is one case, and the same seed is the same case everywhere. See `docs/design/crash-search.md`.

mod entries; // entries to write
pub mod journal; // the journal alone
pub mod run; // whole runs
mod search; // many seeds

pub use search::{Found, search};
