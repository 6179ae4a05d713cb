//! Runs whose processes die, and that go on: nothing finished runs again, no effect happens twice, the result is
//! that of a run that nothing disturbed.

#[path = "../support/chaos.rs"]
mod chaos; // what random runs are made of
mod everywhere; // a crash after every entry
mod forks; // forks whose processes die
#[allow(dead_code)]
#[path = "../engine/served.rs"]
mod served; // what tests of subagents that a model serves begin with

use loopwright_simulator::{Simulation, program};

/// A simulation of the program `main`.
fn simulation() -> Simulation {
    Simulation::new(program("main"), 1)
}
