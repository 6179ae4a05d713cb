//! JSON Schema: validate, find contradictions, generate values.
