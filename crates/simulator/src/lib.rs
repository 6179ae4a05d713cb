//! Virtual clock and mock host around the real engine: one thread, one seed, no waiting.
//!
//! A [`Simulation`] runs a program's guests ([`ScriptedGuests`], or the real interpreter's) through the real
//! engine against a [`SimHost`]: time jumps from one happening to the next, subagents do what a [`Plan`]
//! says, the journal is kept in memory with the group commit of a real one. Independent [`Books`] of what was
//! dispatched, executed and delivered are held against the journal in every run.
//!
//! ```
//! use loopwright_simulator::{ScriptedGuests, Simulation, Step, program};
//! let mut guests = ScriptedGuests::new().with("main", Step::all([Step::task("a"), Step::task("b")]));
//! let run = Simulation::new(program("main"), 1).run(&mut guests);
//! assert_eq!(run.result(), serde_json::json!(["a", "b"]));
//! ```

mod audit; // what must be true of a whole journal
mod books; // the simulator's own record of a run
mod crash; // processes that die, and those that go on
mod guests; // guests made of steps
mod host; // virtual clock, journal in memory, mock subagents
#[cfg(feature = "mock")]
mod mock; // the mock subagent as plans
mod pen; // what a scripted guest writes with
mod plan; // how mock subagents behave
mod queue; // what will happen and when
mod random; // seeded draws
mod script; // the steps of a scripted guest
mod simulation; // one simulated run
mod walk; // a script under way
mod watch; // guests whose deliveries go through the books

pub use books::{Books, Execution, Load};
pub use crash::{Crashes, Decide, Told};
pub use guests::{ScriptedGuests, program};
pub use host::SimHost;
#[cfg(feature = "mock")]
pub use mock::MockPlans;
pub use pen::Pen;
pub use plan::{Latency, OnCancel, Plan, Plans, echo};
pub use queue::Queue;
pub use random::Random;
pub use script::Step;
pub use simulation::{Faults, START, Setup, Simulated, Simulation, Stopped, subagent};
