//! The run as a state machine: [`Engine::step`] takes one event and answers with commands.
//! Knows no clock, thread, file, socket or wasm; the host feeds it time and the guests' records.
//!
//! What it decides: scheduling under caps, timeouts, retries with full jitter, re-asks, fallbacks,
//! budgets, cancellation, nested programs, how the run ends. What it never does: dispatch before the
//! intent is durable, deliver before the result is durable.

mod ahead; // intents written ahead of their slots
mod backoff; // waits before a request is sent again
mod begin; // a call begins
mod budget; // what was spent and what may still be
mod call; // one call's state
mod cancel; // scopes, runs, descendants
mod deliver; // what a guest is given: config and completions
mod drive; // the loop that joins engine, host and guests
mod engine; // the state and the step
mod failures; // retries, fallbacks, the end of a call
mod finish; // how a run ends
mod forecast; // what a fork would do
mod gate; // one model provider: who waits, when it may be asked
mod go_on; // a run goes on in another process
mod grants; // what a subagent may call
mod guest; // a guest's state, and what its records ask
mod identity; // what a call is, whatever its place
mod jitter; // seeded draws
mod lanes; // queues and caps
mod lookup; // what became of a call in doubt
mod loops; // a subagent that a model serves, step by step
mod models; // requests to models
mod nested; // saved programs run inline
mod options; // numbers taken from the settings once
mod outage; // who waits for a provider that is down
mod past; // a run's journal read back
mod pause; // the run waits because somebody wants it to
mod prefix; // siblings that share a cached prefix
mod recorded; // what a recorded run leaves to a fork
mod replay; // re-execution of a journalled run
mod restore; // an entry becomes what caused it
mod resume; // restoring a run from its journal
mod reuse; // outcomes taken over from it
mod schemas; // compiled response schemas
mod settle; // a call gets its final outcome
mod steps; // calls made for a task
mod task; // attempts and answers, re-asks
mod times; // a task's time
mod width; // how many requests a provider takes at once
mod worktree; // a task's own git worktree

pub use drive::{Drive, Ended, Step, drive, drive_resumed};
pub use engine::Engine;
pub use forecast::{Miss, Verdict};
pub use identity::{Identity, Part};
pub use recorded::{Recorded, RecordedCall, Refusal};
pub use replay::replay;
pub use resume::{Doubt, Mismatch, Orphan, Replayed, Resume, ResumeError};
