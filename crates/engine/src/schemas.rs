//! Compiled response schemas of a run, each compiled once.

use loopwright_protocol::Json;
use loopwright_schema::{Limits, Validator};
use loopwright_types::{Code, Failure, Reason};
use std::collections::HashMap;

/// By the schema's text.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    known: HashMap<String, Result<Validator, Failure>>,
}

impl Schemas {
    /// Compiles the schema or gives what was found the first time.
    pub fn get(&mut self, json: &Json, limits: &Limits) -> Result<Validator, Failure> {
        if let Some(known) = self.known.get(json.text()) {
            return known.clone();
        }
        let compiled = compile(json, limits);
        self.known.insert(json.text().to_owned(), compiled.clone());
        compiled
    }
}

fn compile(json: &Json, limits: &Limits) -> Result<Validator, Failure> {
    let value: serde_json::Value = json.read().map_err(|error| {
        let message = format!("the response schema cannot be read: {error}");
        Failure::new(Reason::Schema, Code::SCHEMA_INVALID, message).not_sent()
    })?;
    Ok(loopwright_schema::compile(&value, limits)?)
}
