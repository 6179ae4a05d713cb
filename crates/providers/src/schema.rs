//! JSON Schema as each provider takes it. What is left out widens or narrows what the model may write; answers are
//! always validated against the schema as given, elsewhere.

mod closed; // Anthropic's and OpenAI's
mod open; // Gemini's
mod prune; // undoing what strict mode adds

pub(crate) use prune::prune;

use serde_json::{Map, Value, json};

/// Which subset of JSON Schema is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Anthropic's structured output: closed objects, no bounds.
    Anthropic,
    /// OpenAI's strict mode: closed objects whose members are all required, no bounds.
    Strict,
    /// Gemini: most keywords, the others refused.
    Gemini,
}

/// A schema that was made to fit, and how to undo that in answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lowered {
    pub schema: Value,
    /// Whether the answer is in the member `value` of an object.
    pub is_wrapped: bool,
}

/// Deeper schemas are refused before they come here.
const DEPTH_MAX: usize = 512;
/// The member that holds an answer that is no object.
pub(crate) const WRAPPER: &str = "value";

/// Makes a schema fit a dialect. `None` when it cannot say what the schema says: an object with members of any name,
/// say. Then a tool, whose schema is taken as it is, must do.
pub(crate) fn lower(schema: &Value, dialect: Dialect) -> Option<Lowered> {
    let is_object = is_object(schema);
    let (schema, is_wrapped) =
        if is_object { (schema.clone(), false) } else { (wrap(schema)?, true) };
    let mut schema = lower_node(&schema, dialect, 0)?;
    drop_member(schema.as_object_mut()?, "$schema");
    Some(Lowered { schema, is_wrapped })
}

/// A schema as the parameters of a tool, whose root every provider wants to be an object.
pub(crate) fn as_tool(schema: &Value) -> Option<Lowered> {
    let (mut schema, is_wrapped) =
        if is_object(schema) { (schema.clone(), false) } else { (wrap(schema)?, true) };
    drop_member(schema.as_object_mut()?, "$schema");
    Some(Lowered { schema, is_wrapped })
}

/// The parameters of an ordinary tool: always an object's schema.
pub(crate) fn parameters(schema: &Value) -> Value {
    let mut schema = match schema {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    drop_member(&mut schema, "$schema");
    schema.insert("type".to_owned(), json!("object"));
    schema.entry("properties").or_insert_with(|| json!({}));
    Value::Object(schema)
}

/// Takes a member out. The others keep their order: it is the order in which a model writes them.
fn drop_member(map: &mut Map<String, Value>, name: &str) -> Option<Value> {
    map.shift_remove(name)
}

fn is_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
        && ["anyOf", "oneOf", "allOf", "$ref", "not", "if"]
            .iter()
            .all(|it| schema.get(it).is_none())
}

/// Puts a schema into the member of an object. Its definitions move to the new root, where references look for them;
/// a reference to the old root has no place to go.
fn wrap(schema: &Value) -> Option<Value> {
    let mut inner = schema.clone();
    let mut root =
        json!({ "type": "object", "required": [WRAPPER], "additionalProperties": false });
    if let Some(map) = inner.as_object_mut() {
        for name in ["$defs", "definitions"] {
            if let Some(definitions) = drop_member(map, name) {
                root[name] = definitions;
            }
        }
        drop_member(map, "$schema");
    }
    root["properties"] = json!({ WRAPPER: inner });
    has_only_local_references(&root).then_some(root)
}

fn has_only_local_references(node: &Value) -> bool {
    match node {
        Value::Object(map) => map.iter().all(|(name, value)| match (name.as_str(), value) {
            ("$ref", Value::String(to)) => {
                to.starts_with("#/$defs/") || to.starts_with("#/definitions/")
            }
            _ => has_only_local_references(value),
        }),
        Value::Array(list) => list.iter().all(has_only_local_references),
        _ => true,
    }
}

fn lower_node(node: &Value, dialect: Dialect, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    match (node, dialect) {
        (Value::Object(map), Dialect::Gemini) => open::lower(map, depth),
        (Value::Object(map), _) => closed::lower(map, dialect, depth),
        // `true` allows anything, `false` nothing.
        (Value::Bool(true), Dialect::Gemini) => Some(json!({})),
        _ => None,
    }
}

fn lower_all(value: &Value, dialect: Dialect, depth: usize) -> Option<Value> {
    let list = value.as_array()?.iter().map(|it| lower_node(it, dialect, depth + 1));
    Some(Value::Array(list.collect::<Option<_>>()?))
}

fn lower_members(value: &Value, dialect: Dialect, depth: usize) -> Option<Map<String, Value>> {
    let members = value.as_object()?.iter();
    members.map(|(name, it)| Some((name.clone(), lower_node(it, dialect, depth + 1)?))).collect()
}

fn note(out: &mut Map<String, Value>, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let said = out.get("description").and_then(Value::as_str).unwrap_or_default();
    let gap = if said.is_empty() { "" } else { "\n\n" };
    let text = format!("{said}{gap}{{{}}}", notes.join(", "));
    out.insert("description".to_owned(), json!(text));
}

#[cfg(test)]
mod tests;
