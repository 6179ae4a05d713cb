//! Anthropic and OpenAI's strict mode: closed objects, no bounds.

use super::prune::allows_null;
use super::{Dialect, lower_all, lower_members, lower_node, note};
use serde_json::{Map, Value, json};

/// Lowers one node; what is left out goes into the description.
pub(super) fn lower(map: &Map<String, Value>, dialect: Dialect, depth: usize) -> Option<Value> {
    let mut out = Map::new();
    let mut notes = Vec::new();
    for name in ["$defs", "definitions"] {
        if let Some(definitions) = map.get(name) {
            let members = lower_members(definitions, dialect, depth)?;
            out.insert(name.to_owned(), Value::Object(members));
        }
    }
    if let Some(reference) = map.get("$ref") {
        out.insert("$ref".to_owned(), reference.clone());
        return Some(Value::Object(out));
    }
    for name in ["description", "title"] {
        if let Some(value) = map.get(name) {
            out.insert(name.to_owned(), value.clone());
        }
    }
    const REFUSED: [&str; 6] =
        ["not", "if", "dependentSchemas", "patternProperties", "prefixItems", "$dynamicRef"];
    if REFUSED.iter().any(|name| map.contains_key(*name)) {
        return None;
    }
    let branches = ["anyOf", "oneOf", "allOf"].iter().filter(|name| map.contains_key(**name));
    match (branches.count(), map.get("anyOf").or(map.get("oneOf")), map.get("allOf")) {
        (0, ..) => {}
        (1, Some(list), _) => {
            out.insert("anyOf".to_owned(), lower_all(list, dialect, depth)?);
            return only(map, &["anyOf", "oneOf"]).then_some(Value::Object(out));
        }
        (1, None, Some(Value::Array(list))) if list.len() == 1 && only(map, &["allOf"]) => {
            return lower_node(&list[0], dialect, depth + 1);
        }
        _ => return None,
    }
    lower_typed(map, dialect, depth, &mut out, &mut notes)?;
    note(&mut out, &notes);
    Some(Value::Object(out))
}

/// Whether a node says nothing beside these keywords and what does not bind.
fn only(map: &Map<String, Value>, names: &[&str]) -> bool {
    const FREE: [&str; 8] =
        ["$schema", "$id", "$defs", "definitions", "title", "description", "default", "examples"];
    map.keys().all(|name| names.contains(&name.as_str()) || FREE.contains(&name.as_str()))
}

fn lower_typed(
    map: &Map<String, Value>,
    dialect: Dialect,
    depth: usize,
    out: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Option<()> {
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    if let Some(value) = map.get("const") {
        is_plain(value).then_some(())?;
        out.insert("enum".to_owned(), json!([value]));
        out.insert("type".to_owned(), json!(type_of(value)));
        return Some(());
    }
    if let Some(Value::Array(values)) = map.get("enum") {
        (!values.is_empty() && values.iter().all(is_plain)).then_some(())?;
        out.insert("enum".to_owned(), json!(values));
        let mut types: Vec<&str> = values.iter().map(type_of).collect();
        types.sort_unstable();
        types.dedup();
        out.insert(
            "type".to_owned(),
            if types.len() == 1 { json!(types[0]) } else { json!(types) },
        );
        return Some(());
    }
    let types = match map.get("type")? {
        Value::String(one) => vec![one.as_str()],
        Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    if let [one] = types[..] {
        return lower_one(one, map, dialect, depth, out, notes);
    }
    let mut branches = Vec::new();
    for one in types {
        let mut branch = Map::new();
        lower_one(one, map, dialect, depth, &mut branch, notes)?;
        branches.push(Value::Object(branch));
    }
    out.insert("anyOf".to_owned(), Value::Array(branches));
    Some(())
}

fn lower_one(
    kind: &str,
    map: &Map<String, Value>,
    dialect: Dialect,
    depth: usize,
    out: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Option<()> {
    const FORMATS: [&str; 9] =
        ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];
    const READ: [&str; 12] = [
        "$defs",
        "$id",
        "$schema",
        "additionalProperties",
        "default",
        "definitions",
        "description",
        "examples",
        "properties",
        "required",
        "title",
        "type",
    ];
    out.insert("type".to_owned(), json!(kind));
    for (name, value) in map {
        match (name.as_str(), kind) {
            ("format", "string") if FORMATS.iter().any(|it| value == it) => {
                out.insert(name.clone(), value.clone());
            }
            ("items", "array") => {
                out.insert(name.clone(), lower_node(value, dialect, depth + 1)?);
            }
            ("minItems", "array") if value == 0 || value == 1 => {
                out.insert(name.clone(), value.clone());
            }
            ("items", _) => {}
            (name, _) if READ.contains(&name) => {}
            _ => {
                let said = format!("{name}: {value}");
                if !notes.contains(&said) {
                    notes.push(said);
                }
            }
        }
    }
    if kind == "array" && !out.contains_key("items") {
        return None;
    }
    if kind == "object" { lower_object(map, dialect, depth, out) } else { Some(()) }
}

fn lower_object(
    map: &Map<String, Value>,
    dialect: Dialect,
    depth: usize,
    out: &mut Map<String, Value>,
) -> Option<()> {
    let properties = map.get("properties").and_then(Value::as_object);
    let is_closed = map.get("additionalProperties") == Some(&Value::Bool(false));
    // Members of any name cannot be said; those named, with others merely not forbidden, can.
    let is_open =
        matches!(map.get("additionalProperties"), Some(Value::Object(_) | Value::Bool(true)));
    let is_empty = properties.is_none_or(Map::is_empty);
    if is_open || (is_empty && !is_closed) {
        return None;
    }
    let empty = Map::new();
    let properties = properties.unwrap_or(&empty);
    let listed = map.get("required").and_then(Value::as_array);
    let required: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    if required.iter().any(|name| !properties.contains_key(*name)) {
        return None;
    }
    let mut lowered = lower_members(&json!(properties), dialect, depth)?;
    if dialect == Dialect::Strict {
        for (name, member) in &mut lowered {
            if !required.contains(&name.as_str()) && !allows_null(member, &Value::Null, 0) {
                *member = json!({ "anyOf": [member.take(), { "type": "null" }] });
            }
        }
        out.insert("required".to_owned(), json!(lowered.keys().collect::<Vec<_>>()));
    } else if !required.is_empty() {
        out.insert("required".to_owned(), json!(required));
    }
    out.insert("properties".to_owned(), Value::Object(lowered));
    out.insert("additionalProperties".to_owned(), json!(false));
    Some(())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
