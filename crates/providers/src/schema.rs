//! JSON Schema as each provider takes it. What is left out widens or narrows what the model may write; answers are
//! always validated against the schema as given, elsewhere.

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
        (Value::Object(map), Dialect::Gemini) => lower_gemini(map, depth),
        (Value::Object(map), _) => lower_closed(map, dialect, depth),
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

/// Gemini's `responseJsonSchema` takes these and refuses others.
fn lower_gemini(map: &Map<String, Value>, depth: usize) -> Option<Value> {
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

/// Anthropic and OpenAI's strict mode: closed objects, no bounds; what is left out goes into the description.
fn lower_closed(map: &Map<String, Value>, dialect: Dialect, depth: usize) -> Option<Value> {
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

fn note(out: &mut Map<String, Value>, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let said = out.get("description").and_then(Value::as_str).unwrap_or_default();
    let gap = if said.is_empty() { "" } else { "\n\n" };
    let text = format!("{said}{gap}{{{}}}", notes.join(", "));
    out.insert("description".to_owned(), json!(text));
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

fn resolve<'a>(node: &'a Value, root: &'a Value) -> &'a Value {
    let target = node.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(node)
}

/// Whether `null` may be an answer to this schema. Says yes where it does not know.
fn allows_null(node: &Value, root: &Value, depth: usize) -> bool {
    let node = resolve(node, root);
    if depth > 16 {
        return true;
    }
    if let Some(value) = node.get("const") {
        return value.is_null();
    }
    if let Some(Value::Array(values)) = node.get("enum") {
        return values.contains(&Value::Null);
    }
    for name in ["anyOf", "oneOf"] {
        if let Some(Value::Array(list)) = node.get(name) {
            return list.iter().any(|it| allows_null(it, root, depth + 1));
        }
    }
    match node.get("type") {
        Some(Value::String(one)) => one == "null",
        Some(Value::Array(list)) => list.iter().any(|it| it == "null"),
        _ => true,
    }
}

/// Leaves out members that strict mode made the model write as `null` and that the schema says are optional.
pub(crate) fn prune(answer: &mut Value, schema: &Value, root: &Value) {
    let schema = resolve(schema, root);
    for name in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(list)) = schema.get(name) {
            // Which branch was meant is known only by its members: one that names them all.
            let fits = |branch: &&Value| match (
                answer.as_object(),
                resolve(branch, root).get("properties"),
            ) {
                (Some(map), Some(Value::Object(known))) => {
                    map.keys().all(|it| known.contains_key(it))
                }
                (None, None) => true,
                _ => false,
            };
            if let Some(branch) = list.iter().find(fits) {
                prune(answer, branch, root);
            }
        }
    }
    match answer {
        Value::Object(map) => {
            let Some(Value::Object(properties)) = schema.get("properties") else { return };
            let required = schema.get("required").and_then(Value::as_array);
            let is_required =
                |name: &str| required.is_some_and(|list| list.iter().any(|it| it == name));
            map.retain(|name, value| {
                let Some(member) = properties.get(name) else { return true };
                let is_filler =
                    value.is_null() && !is_required(name) && !allows_null(member, root, 0);
                if !is_filler {
                    prune(value, member, root);
                }
                !is_filler
            });
        }
        Value::Array(list) => {
            if let Some(items) = schema.get("items") {
                list.iter_mut().for_each(|it| prune(it, items, root));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
