//! Values from a JSON Schema: enough of it for the schemas that structured answers use.

use crate::Random;
use serde_json::{Map, Value, json};

const WORDS: [&str; 12] = [
    "harbour",
    "lantern",
    "naïve",
    "quartz",
    "\"quoted\"",
    "日本",
    "façade",
    "river\nbank",
    "🦀",
    "plain",
    "tab\there",
    "slate",
];

/// A value that the schema accepts, decided by `random`.
///
/// Understands `type` (also as a list), `enum`, `const`, `properties`, `required`, `items`, `prefixItems`, `anyOf`, `oneOf`,
/// `allOf` (first branch), local `$ref`, `minItems`, `maxItems`, `minimum`, `maximum`, `minLength`, `maxLength`; not
/// `pattern`, `format` or `not`.
pub fn generate(schema: &Value, random: &mut Random) -> Value {
    Generator { root: schema, random }.value(schema, 0)
}

struct Generator<'a> {
    root: &'a Value,
    random: &'a mut Random,
}

impl Generator<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"].as_array().filter(|values| !values.is_empty()) {
            return values[self.random.below(values.len())].clone();
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
            let target = self.root.pointer(target).cloned().unwrap_or(Value::Null);
            return if depth > 16 { Value::Null } else { self.value(&target, depth + 1) };
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(branches) = schema[key].as_array().filter(|branches| !branches.is_empty()) {
                // Deep down the last branch is taken: by custom it is the one that ends a recursion (`null`).
                let last = branches.len() - 1;
                let index = match key {
                    "allOf" => 0,
                    _ if depth > 6 => last,
                    _ => self.random.below(branches.len()),
                };
                return self.value(&branches[index], depth + 1);
            }
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) if !kinds.is_empty() => {
                kinds[self.random.below(kinds.len())].as_str().unwrap_or("null").to_owned()
            }
            Value::String(kind) => kind.to_ascii_lowercase(),
            _ if schema.get("properties").is_some() => "object".to_owned(),
            _ => "string".to_owned(),
        };
        match kind.as_str() {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => json!(self.integer(schema)),
            "number" => json!(self.integer(schema) as f64),
            "boolean" => json!(self.random.chance(0.5)),
            "null" => Value::Null,
            _ => json!(self.string(schema)),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let optional = !required.contains(&name.as_str());
            if optional && (depth > 4 || self.random.chance(0.3)) {
                continue;
            }
            object.insert(name.clone(), self.value(property, depth + 1));
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        if let Some(items) = schema["prefixItems"].as_array() {
            return items.iter().map(|item| self.value(item, depth + 1)).collect();
        }
        let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
        let most = schema["maxItems"].as_u64().map_or(least.max(3), |most| most as usize);
        let most = if depth > 4 { least } else { most.min(least + 3) };
        let count = least + self.random.below(most.saturating_sub(least) + 1);
        let empty = Value::Bool(true);
        let item = schema.get("items").unwrap_or(&empty);
        (0..count).map(|_| self.value(item, depth + 1)).collect()
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let bound = |name: &str| schema[name].as_f64();
        let least = bound("minimum").or(bound("exclusiveMinimum").map(|least| least + 1.0));
        let most = bound("maximum").or(bound("exclusiveMaximum").map(|most| most - 1.0));
        let least =
            least.map_or_else(|| most.map_or(0, |most| most as i64 - 99), |at| at.ceil() as i64);
        let most = most.map_or(least.saturating_add(99), |at| at.floor() as i64);
        let span = most.saturating_sub(least).clamp(0, 1_000_000) as usize;
        least + self.random.below(span + 1) as i64
    }

    fn string(&mut self, schema: &Value) -> String {
        let least = schema["minLength"].as_u64().unwrap_or(0) as usize;
        let most = schema["maxLength"].as_u64().map_or(usize::MAX, |most| most as usize);
        let mut text = WORDS[self.random.below(WORDS.len())].to_owned();
        while text.chars().count() < least {
            text.push(' ');
            text.push_str(WORDS[self.random.below(WORDS.len())]);
        }
        text.chars().take(most).collect()
    }
}
