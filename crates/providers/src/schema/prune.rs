//! Strict mode makes a model write every member, as `null` where it has nothing to say: those go out of the answer again.

use serde_json::Value;

fn resolve<'a>(node: &'a Value, root: &'a Value) -> &'a Value {
    let target = node.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(node)
}

/// Whether `null` may be an answer to this schema. Says yes where it does not know.
pub(super) fn allows_null(node: &Value, root: &Value, depth: usize) -> bool {
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
