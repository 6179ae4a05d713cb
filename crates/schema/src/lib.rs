//! JSON Schema for answers: validate them, find schemas that contradict themselves, make answers up.
//!
//! Pure: no file, clock, network or thread. Validation itself is the `jsonschema` library's; what is
//! ours is the bound on its work, the errors a model can act on, the proof that a schema admits
//! nothing, and the generator behind the mock subagents.
//!
//! ```
//! use loopwright_schema::{Limits, compile, describe};
//! use serde_json::json;
//!
//! let schema = json!({"type": "object", "required": ["line"], "properties": {"line": {"type": "integer"}}});
//! let validator = compile(&schema, &Limits::default())?;
//! let violations = validator.check(&json!({"line": "12"})).unwrap_err();
//! assert_eq!(describe(&violations), "line: `\"12\"` is not of type \"integer\"");
//! # Ok::<(), loopwright_schema::Error>(())
//! ```

mod analysis; // how deep a value must be at least, and which parts admit nothing
mod canonical; // one text for equal JSON values
mod contradiction; // schemas that admit nothing, and why
mod cost; // bounds on the work of checking
mod error; // why a schema is refused
mod generate; // values that fit a schema
mod read; // schema text → shape
mod reference; // `$ref` inside one document
mod shape; // a schema as a graph of typed nodes
mod validator; // compile and check
mod violation; // what is wrong with an answer, in words

pub use canonical::{canonical, canonical_into};
pub use error::Error;
pub use generate::generate;
pub use validator::{Limits, Validator, compile};
pub use violation::{Violation, describe};
