//! Whole runs: a drawn program under the real engine, its journal on the simulated disk. The process dies, another
//! one resumes the run and dies too, until one gets to the end. What the providers were asked and the result decide
//! whether a promise was broken.

mod books; // what was seen from outside
mod case; // one run and its lives
mod guests; // guests that are watched
mod host; // clock, journal and providers for one life
mod life; // one process: it opens the journal, resumes the run, goes on
mod program; // what is run
mod work; // what providers are asked, and what they answer

pub use case::{Case, case, case_at, operations};
pub use program::{Expected, Program};
pub use work::value;
