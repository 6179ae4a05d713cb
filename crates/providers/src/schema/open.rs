//! Gemini takes most of JSON Schema and refuses the rest.

use super::{Dialect, lower_all, lower_members, lower_node, note};
use serde_json::{Map, Value, json};

/// Gemini's `responseJsonSchema` takes these and refuses others.
pub(super) fn lower(map: &Map<String, Value>, depth: usize) -> Option<Value> {
    const KEPT: &[&str] = &[
        "$anchor",
        "$id",
        "$ref",
        "description",
        "enum",
        "format",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "required",
        "title",
        "type",
    ];
    let dialect = Dialect::Gemini;
    let mut out = Map::new();
    let mut notes = Vec::new();
    for (name, value) in map {
        let kept = match name.as_str() {
            "$schema" | "definitions" => continue,
            "$defs" | "properties" => Value::Object(lower_members(value, dialect, depth)?),
            "anyOf" | "oneOf" | "prefixItems" => lower_all(value, dialect, depth)?,
            "items" => lower_node(value, dialect, depth + 1)?,
            "additionalProperties" if value.is_boolean() => value.clone(),
            "additionalProperties" => lower_node(value, dialect, depth + 1)?,
            "const" => {
                out.insert("enum".to_owned(), json!([value]));
                continue;
            }
            // These change what the rest means.
            "allOf" | "not" | "if" | "then" | "else" | "$dynamicRef" | "dependentSchemas" => {
                return None;
            }
            name if KEPT.contains(&name) => value.clone(),
            _ => {
                notes.push(format!("{name}: {value}"));
                continue;
            }
        };
        out.insert(name.clone(), kept);
    }
    if map.contains_key("definitions") {
        return None;
    }
    note(&mut out, &notes);
    Some(Value::Object(out))
}
