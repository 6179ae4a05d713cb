//! A fake model provider for tests: speaks the wire formats, injects faults, keeps its own books.
//!
//! [`FakeProvider::start`] opens a server on a free loopback port that speaks Anthropic Messages, OpenAI Chat
//! Completions, OpenAI Responses and Gemini, streamed and whole. A [`Script`] decides what the model says, a
//! [`FaultPlan`] what goes wrong, and [`FakeProvider::report`] tells what a real provider would bill.
//!
//! **One token is four bytes**, rounded up: [`tokens`]. Input is counted over the prompt as [`Request::prompt`]
//! renders it, output over the text, thinking, tool names and tool arguments that left the server. The endpoints that
//! count the input of a request do it the same way; they are free and stand apart in the books ([`Count`]).
//!
//! ```
//! use loopwright_fakes::{Fault, FakeProvider, FaultPlan, Options, Reply, Request, Wire};
//!
//! let script = |request: &Request| Reply::text(format!("you said {}", request.last_user_text()));
//! let faults = FaultPlan::once(Fault::Overloaded).prompt("cut me", 1, Fault::CutAt(200));
//! let provider = FakeProvider::start(Options::script(script).faults(faults));
//! let base_url = provider.base_url(Wire::Anthropic); // what a client under test is given, with the key `sk-fake`
//! assert!(base_url.starts_with("http://127.0.0.1:"));
//! let report = provider.report();
//! assert_eq!((report.requests, report.billed.total()), (0, 0));
//! assert!(report.refused.is_empty(), "requests that a real service would refuse");
//! ```
//!
//! Written from the public API references and the types of the official SDKs, independently of any client here, so
//! that one misreading does not make both sides agree.

mod blocks;
mod books;
mod cache;
mod connection;
mod count;
mod delivery;
mod encode;
mod error;
mod event;
mod fault;
mod generate;
mod http;
mod limits;
mod options;
mod parse;
mod plan;
mod random;
mod record;
mod recordings;
mod reply;
mod request;
mod script;
mod server;
mod tamper;
mod time;
mod wire;

pub use books::{Count, Entry, Report, Usage};
pub use fault::{Billing, Class, Fault};
pub use generate::generate;
pub use limits::Limits;
pub use options::{Latency, Options};
pub use plan::FaultPlan;
pub use random::Random;
pub use record::{RecordedStream, record_stream};
pub use recordings::recorded_streams;
pub use reply::{Part, Reply, Stop};
pub use request::{Block, Choice, Message, Request, Role, Tool};
pub use script::{Answers, Echo, Script, Sequence, ToolLoop};
pub use server::FakeProvider;
pub use wire::Wire;

/// Tokens of so many bytes: a quarter, rounded up.
pub fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}
