//! The `mock` driver: answers made up from the response schema, drawn from a seed.
//!
//! [`MockAnswers`] decides and knows no clock or thread, so that a simulator can use it on its own clock;
//! [`MockDriver`] gives its answers in real time.

mod answers; // what is answered, and after how long
mod draw; // hashes and random numbers that never change
mod driver; // answers in real time
mod hostile; // values that try to do harm
mod prose; // text without a schema

pub use answers::{MockAnswer, MockAnswers};
pub use draw::Draw;
pub(crate) use driver::MockDriver;
