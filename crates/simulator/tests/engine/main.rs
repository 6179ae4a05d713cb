//! The engine's promises, each tried on the virtual clock with scripted guests.

mod approvals; // a person answers, is not there, or is too late
mod budgets; // the program's ceilings and the operator's
mod cancellation; // it reaches every descendant
mod caps; // what may be under way at once, and who goes first
#[path = "../support/chaos.rs"]
mod chaos; // what random runs are made of
mod durability; // intent, sync, dispatch; result, sync, deliver
mod endings; // complete, degraded, failed, cancelled
mod forks; // what a recorded run answers is not asked again
mod fuzzed; // answers of every form, held against their schemas
mod limits; // tasks, calls, unknown names
mod model_budgets; // ceilings that requests to models keep
mod model_edges; // subagents that a model serves, where something goes wrong
mod model_figures; // a thousand tasks against a failing provider
mod model_loop; // subagents that a model serves, step by step
mod nesting; // saved programs run inline
mod outages; // providers that are down
mod prefix; // siblings that share a cached prefix
mod providers; // what a failing provider costs
mod random; // thousands of seeded random scripts
mod retries; // again, with jitter, where nothing is repeated
mod served; // what tests of subagents that a model serves begin with
mod simulator; // the simulator itself
mod spoilt; // replies that miss what was asked for
mod timeouts; // a task's time
mod validation; // answers and their schemas
mod worktrees; // a task's own git worktree

use loopwright_protocol::Entry;
use loopwright_simulator::{ScriptedGuests, Simulated, Simulation, Step, program};

/// A simulation of this script.
fn simulation() -> Simulation {
    Simulation::new(program("main"), 1)
}

/// Runs the script in the simulation.
fn run(simulation: Simulation, script: Step) -> Simulated {
    simulation.run(&mut ScriptedGuests::new().with("main", script))
}

/// `n` tasks with the prompts `0` to `n - 1`.
fn tasks(n: usize) -> Vec<Step> {
    (0..n).map(|i| Step::task(&i.to_string())).collect()
}

/// How a call failed: reason, code and attempts.
fn failure(run: &Simulated, call: u32) -> String {
    let settled = run.settled(call).unwrap_or_else(|| panic!("call {call} is not settled"));
    match &settled.outcome {
        loopwright_protocol::Outcome::Failed(failure) => {
            format!("{} {} after {}", failure.reason.as_str(), failure.code, settled.attempts)
        }
        loopwright_protocol::Outcome::Done(value) => panic!("call {call} gave {value:?}"),
    }
}

/// How many entries of this kind the journal has.
fn count(run: &Simulated, kind: &str) -> usize {
    run.entries.iter().map(Entry::kind).filter(|found| *found == kind).count()
}
