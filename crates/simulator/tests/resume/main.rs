//! Runs whose processes die, and that go on: nothing finished runs again, no effect happens twice, the result is
//! that of a run that nothing disturbed.

#[path = "../support/chaos.rs"]
mod chaos; // what random runs are made of
mod doubts; // effects of which nothing is known
mod everywhere; // a crash after every entry
mod forks; // forks whose processes die
mod lookups; // effects that can be looked up
mod mutants; // programs that are not those of their journals
mod random; // random programs and random crashes
#[allow(dead_code)]
#[path = "../engine/served.rs"]
mod served; // what tests of subagents that a model serves begin with
mod shuffled; // the same program in another order of things

use loopwright_simulator::{Simulation, program};

/// A simulation of the program `main`.
fn simulation() -> Simulation {
    Simulation::new(program("main"), 1)
}
