//! Real programs: real interpreter, real engine, virtual clock.

mod api; // the program API end to end
mod experiments; // E2, E3, E7

#[path = "../support/mod.rs"]
mod support;
