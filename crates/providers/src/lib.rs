//! Clients of model providers: who they are and what they cost ([`Providers`]), and one driver that asks them
//! ([`ModelDriver`]). A reply counts only when it is whole; everything else is a failure with its class.
//! Not here: retries, waiting, caps, breakers and money, which are the engine's.
//!
//! ```
//! let settings = "[models.aliases]\nfast = \"ollama:llama3.2:3b\"".parse().unwrap();
//! let providers = loopwright_providers::Providers::read(&settings, |_| None).unwrap();
//! assert_eq!(providers.resolve("fast").unwrap().name, "ollama:llama3.2:3b");
//! assert!(providers.check_key("anthropic").is_err(), "no variable is set");
//! ```

mod attempt; // one request, from the key to the whole reply
mod catalog; // what known models cost
mod config; // providers and models from the settings
mod count; // tokens that a provider counts when asked
mod describe; // what a configuration has, for people
mod driver; // attempts on one background thread
mod estimate; // tokens that a provider did not tell
mod failure; // what a provider's error asks for
mod headers; // Retry-After and rate limits
mod key; // keys by reference
#[cfg(test)]
mod recorded; // streams of a fake server, cut and broken
mod resolve; // names to models
mod schema; // JSON Schema as each provider takes it
mod sse; // server-sent events, byte by byte
mod time; // dates as written in headers
mod wire; // four forms of asking and answering

pub use config::{Providers, Structured};
pub use describe::{KeyInfo, KeyStatus, ModelName, NameKind, ProviderInfo};
pub use driver::ModelDriver;
pub use wire::Wire;
