//! Real programs: real interpreter, real engine, virtual clock.

mod api; // the program API end to end
mod examples; // the examples under trouble
mod experiments; // E2, E3, E7

#[path = "../support/mod.rs"]
mod support;
