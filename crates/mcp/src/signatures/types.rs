//! One JSON Schema as a TypeScript type. What cannot be said in types is `unknown`; nothing is fetched.

use super::comment;
use crate::names::identifier;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Nesting beyond which a type is `unknown`.
const DEPTH_MAX: usize = 24;
/// Length of one tool's types beyond which the rest is `unknown`, in bytes.
const BYTES_MAX: usize = 64 * 1024;
/// Values of one `enum`, or parts of one union, beyond which it is its widest type.
const MEMBERS_MAX: usize = 100;
/// Longest comment of a member, in characters.
const COMMENT_CHARS_MAX: usize = 600;

/// Prints the schemas of one tool; what they refer to becomes types with names.
pub(super) struct Printer {
    prefix: String,
    root: Value,
    root_name: String,
    /// Names of types by the place they were referred to, and what they are once it is known.
    named: BTreeMap<String, (String, Option<String>)>,
    done: Vec<(String, String)>,
    bytes: usize,
    /// How deep braces are nested, for the margin.
    level: usize,
}

impl Printer {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            root: Value::Null,
            root_name: String::new(),
            named: BTreeMap::new(),
            done: Vec::new(),
            bytes: 0,
            level: 0,
        }
    }

    /// A whole schema. `name` tells the tool's schemas apart in the names of what they refer to.
    pub(super) fn root(&mut self, name: &str, schema: &Value) -> String {
        self.root = schema.clone();
        self.root_name = name.to_owned();
        self.named.clear();
        let text = self.schema(schema, 0);
        // Types that are referred to may refer to more.
        while let Some(place) = self.next() {
            let target = self.root.pointer(&place).cloned();
            let text = target.map_or_else(|| "unknown".to_owned(), |it| self.schema(&it, 0));
            if let Some((_, known)) = self.named.get_mut(&place) {
                *known = Some(text);
            }
        }
        let named = std::mem::take(&mut self.named).into_values();
        self.done.extend(named.map(|(name, text)| (name, text.unwrap_or_default())));
        text
    }

    /// The types with names, in a fixed order.
    pub(super) fn finish(self) -> Vec<(String, String)> {
        self.done
    }

    fn next(&self) -> Option<String> {
        self.named.iter().find(|(_, (_, text))| text.is_none()).map(|(place, _)| place.clone())
    }

    fn schema(&mut self, schema: &Value, depth: usize) -> String {
        let text = match schema {
            Value::Bool(false) => "never".to_owned(),
            Value::Object(map) if depth < DEPTH_MAX && self.bytes < BYTES_MAX => {
                self.object(map, depth)
            }
            _ => "unknown".to_owned(),
        };
        self.bytes += text.len();
        text
    }

    fn object(&mut self, map: &Map<String, Value>, depth: usize) -> String {
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            return self.reference(reference);
        }
        if let Some(value) = map.get("const") {
            return literal(value);
        }
        if let Some(Value::Array(values)) = map.get("enum")
            && values.len() <= MEMBERS_MAX
        {
            return join(&values.iter().map(literal).collect::<Vec<_>>(), " | ", "never");
        }
        let mut parts = Vec::new();
        if let Some(own) = self.own(map, depth) {
            parts.push(own);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(options)) = map.get(key)
                && options.len() <= MEMBERS_MAX
            {
                let options = options.iter().map(|it| self.schema(it, depth + 1)).collect();
                parts.push(union(options));
            }
        }
        if let Some(Value::Array(all)) = map.get("allOf") {
            let all: Vec<String> =
                all.iter().take(MEMBERS_MAX).map(|it| self.schema(it, depth + 1)).collect();
            parts.extend(all);
        }
        parts.retain(|it| it != "unknown");
        let is_nullable = map.get("nullable") == Some(&Value::Bool(true));
        let wrapped = |it: &String| if it.contains(" | ") { format!("({it})") } else { it.clone() };
        let text = match parts.as_slice() {
            [] => return "unknown".to_owned(),
            [one] => one.clone(),
            many => join(&many.iter().map(wrapped).collect::<Vec<_>>(), " & ", "unknown"),
        };
        if is_nullable { format!("{text} | null") } else { text }
    }

    /// What `type` and the words that go with it say.
    fn own(&mut self, map: &Map<String, Value>, depth: usize) -> Option<String> {
        let kinds: Vec<&str> = match map.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ if map.contains_key("properties") => vec!["object"],
            _ if map.contains_key("items") || map.contains_key("prefixItems") => vec!["array"],
            _ => return None,
        };
        let kind = |kind: &&str| match *kind {
            "string" => "string".to_owned(),
            "number" | "integer" => "number".to_owned(),
            "boolean" => "boolean".to_owned(),
            "null" => "null".to_owned(),
            "array" => self.array(map, depth),
            "object" => self.members(map, depth),
            _ => "unknown".to_owned(),
        };
        Some(union(kinds.iter().map(kind).collect()))
    }

    fn array(&mut self, map: &Map<String, Value>, depth: usize) -> String {
        // Up to 2019-09, a list under `items` was what is `prefixItems` now.
        let (prefix, rest) = match (map.get("prefixItems"), map.get("items")) {
            (Some(Value::Array(prefix)), rest) => (prefix.as_slice(), rest),
            (_, Some(Value::Array(prefix))) => (prefix.as_slice(), map.get("additionalItems")),
            (_, rest) => (&[][..], rest),
        };
        let each = rest.map_or_else(|| "unknown".to_owned(), |it| self.schema(it, depth + 1));
        let is_simple =
            !each.contains([' ', '\n']) || (each.starts_with('{') && each.ends_with('}'));
        let list = if is_simple { format!("{each}[]") } else { format!("({each})[]") };
        if prefix.is_empty() {
            return list;
        }
        let mut parts: Vec<String> =
            prefix.iter().take(MEMBERS_MAX).map(|it| self.schema(it, depth + 1)).collect();
        if rest != Some(&Value::Bool(false)) {
            parts.push(format!("...{list}"));
        }
        format!("[{}]", parts.join(", "))
    }

    fn members(&mut self, map: &Map<String, Value>, depth: usize) -> String {
        let none = Map::new();
        let properties = map.get("properties").and_then(Value::as_object).unwrap_or(&none);
        match map.get("additionalProperties") {
            Some(Value::Bool(false)) if properties.is_empty() => return "{}".to_owned(),
            Some(schema @ Value::Object(_)) if properties.is_empty() => {
                return format!("Record<string, {}>", self.schema(schema, depth + 1));
            }
            _ if properties.is_empty() => return "Record<string, unknown>".to_owned(),
            _ => {}
        }
        let required: Vec<&str> = match map.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        self.level += 1;
        let indent = "  ".repeat(self.level + 1);
        let mut out = String::new();
        for (name, schema) in properties {
            if self.bytes > BYTES_MAX {
                let _ = writeln!(out, "{indent}[more: string]: unknown;");
                break;
            }
            out.push_str(&about(schema, &indent));
            let optional = if required.contains(&name.as_str()) { "" } else { "?" };
            let text = self.schema(schema, depth + 1);
            let _ = writeln!(out, "{indent}{}{optional}: {text};", key(name));
        }
        if let Some(Value::Object(_)) = map.get("additionalProperties") {
            // Members with names would have to fit as well, so the type of the others is open.
            let _ = writeln!(out, "{indent}[others: string]: unknown;");
        }
        self.level -= 1;
        format!("{{\n{out}{}}}", "  ".repeat(self.level + 1))
    }

    /// What is referred to inside the same schema gets a name; anything outside is not looked at.
    fn reference(&mut self, reference: &str) -> String {
        let Some(place) = reference.strip_prefix('#') else { return "unknown".to_owned() };
        if self.root.pointer(place).is_none() || self.named.len() >= MEMBERS_MAX {
            return "unknown".to_owned();
        }
        if let Some((name, _)) = self.named.get(place) {
            return name.clone();
        }
        let last = place.rsplit('/').next().unwrap_or_default();
        let wanted = format!("{}_{}_{}", self.prefix, self.root_name, identifier(last, 40));
        let taken = |name: &String| self.named.values().any(|(it, _)| it == name);
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let mut names = std::iter::once(wanted.clone()).chain(numbered);
        let name = names.find(|it| !taken(it)).unwrap_or(wanted);
        self.named.insert(place.to_owned(), (name.clone(), None));
        name
    }
}

/// A member's description and default as a comment.
fn about(schema: &Value, indent: &str) -> String {
    let mut text =
        schema.get("description").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    if let Some(default) = schema.get("default") {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = write!(text, "{gap}@default {default}");
    }
    comment(&text, COMMENT_CHARS_MAX, indent)
}

/// A member's name as it is written in a type.
pub(super) fn key(name: &str) -> String {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || "_$".contains(c));
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_$".contains(c));
    if starts_well && is_plain { name.to_owned() } else { text(name) }
}

/// Text as a literal that ends no line and no string.
fn text(it: &str) -> String {
    let quoted = Value::from(it).to_string();
    quoted.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(it) => text(it),
        Value::Array(_) | Value::Object(_) => "unknown".to_owned(),
        plain => plain.to_string(),
    }
}

fn union(mut parts: Vec<String>) -> String {
    if parts.iter().any(|it| it == "unknown") {
        return "unknown".to_owned();
    }
    let mut seen = std::collections::BTreeSet::new();
    parts.retain(|it| seen.insert(it.clone()));
    join(&parts, " | ", "never")
}

fn join(parts: &[String], between: &str, none: &str) -> String {
    if parts.is_empty() { none.to_owned() } else { parts.join(between) }
}
