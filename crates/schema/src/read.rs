//! Reads a schema document into a [`Shape`]. The document has been checked against its meta-schema by the
//! library, so a keyword of the wrong type is simply absent here.

use crate::error::{Error, excerpt_text};
use crate::reference::{Base, References, Target, escape};
use crate::shape::{
    Condition, Contains, Node, NodeId, Numbers, Pattern, PatternId, Range, Shape, Types,
};
use jsonschema::Draft;
use regex::RegexBuilder;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Reads the document.
///
/// # Errors
/// A reference that leaves the document, or a pattern that is no regular expression in linear time.
pub(crate) fn read(
    document: &Value,
    draft: Draft,
    pattern_bytes_max: usize,
) -> Result<Shape, Error> {
    let id = if draft == Draft::Draft4 { "id" } else { "$id" };
    let (references, base) = References::of(document, id);
    let mut reader = Reader {
        references,
        draft,
        pattern_bytes_max,
        shape: Shape::default(),
        known: HashMap::new(),
        pattern_ids: HashMap::new(),
        pending: Vec::new(),
    };
    reader.enqueue(document, String::new(), &base);
    // A list of work instead of recursion: a chain of references may be as long as the document.
    while let Some((id, target)) = reader.pending.pop() {
        let base = reader.references.enter(target.value, &target.pointer, &target.base);
        let node = reader.node(target.value, target.pointer, &base)?;
        reader.shape.nodes[id] = node;
    }
    Ok(reader.shape)
}

struct Reader<'a> {
    references: References<'a>,
    draft: Draft,
    pattern_bytes_max: usize,
    shape: Shape,
    /// Nodes by the address of their text in the document, which does not move while it is read.
    known: HashMap<usize, NodeId>,
    pattern_ids: HashMap<String, PatternId>,
    pending: Vec<(NodeId, Target<'a>)>,
}

/// One schema object being read.
struct Object<'a, 'b> {
    members: &'a Map<String, Value>,
    pointer: &'b str,
    base: &'b Base<'a>,
}

impl<'a> Object<'a, '_> {
    fn number(&self, keyword: &str) -> Option<f64> {
        self.members.get(keyword).and_then(Value::as_f64)
    }

    /// A count; a float such as `2.0` is one too.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturating is what is wanted
    fn count(&self, keyword: &str) -> Option<u64> {
        self.number(keyword).filter(|n| *n >= 0.0).map(|n| n as u64)
    }

    fn range(&self, min: &str, max: &str) -> Range {
        Range { min: self.count(min).unwrap_or(0), max: self.count(max) }
    }

    fn text(&self, keyword: &str) -> Option<&'a str> {
        self.members.get(keyword).and_then(Value::as_str)
    }

    fn texts(&self, keyword: &str) -> Vec<String> {
        self.members.get(keyword).map(texts).unwrap_or_default()
    }
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl<'a> Reader<'a> {
    fn enqueue(&mut self, value: &'a Value, pointer: String, base: &Base<'a>) -> NodeId {
        let address = std::ptr::from_ref(value).addr();
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        let id = self.shape.nodes.len();
        self.shape.nodes.push(Node::default());
        self.known.insert(address, id);
        self.pending.push((id, Target { value, pointer, base: base.clone() }));
        id
    }

    fn child(&mut self, object: &Object<'a, '_>, keyword: &str) -> Option<NodeId> {
        let value = object.members.get(keyword).filter(|v| v.is_object() || v.is_boolean())?;
        Some(self.enqueue(value, format!("{}/{keyword}", object.pointer), object.base))
    }

    fn list(&mut self, object: &Object<'a, '_>, keyword: &str) -> Vec<NodeId> {
        let items = object.members.get(keyword).and_then(Value::as_array);
        let items = items.map(Vec::as_slice).unwrap_or_default();
        let node = |(i, item)| {
            self.enqueue(item, format!("{}/{keyword}/{i}", object.pointer), object.base)
        };
        items.iter().enumerate().map(node).collect()
    }

    fn named(&mut self, object: &Object<'a, '_>, keyword: &str) -> Vec<(String, NodeId)> {
        let Some(members) = object.members.get(keyword).and_then(Value::as_object) else {
            return Vec::new();
        };
        let schemas = members.iter().filter(|(_, value)| value.is_object() || value.is_boolean());
        let node = |(name, value): (&'a String, &'a Value)| {
            let pointer = format!("{}/{keyword}/{}", object.pointer, escape(name));
            (name.clone(), self.enqueue(value, pointer, object.base))
        };
        let mut named: Vec<_> = schemas.map(node).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        named
    }

    fn node(&mut self, value: &'a Value, pointer: String, base: &Base<'a>) -> Result<Node, Error> {
        let mut node = Node { never: value == &Value::Bool(false), ..Node::default() };
        if let Value::Object(members) = value {
            let object = Object { members, pointer: &pointer, base };
            self.references(&object, &mut node)?;
            // Until draft 7 a reference stands alone.
            if self.draft > Draft::Draft7 || !members.contains_key("$ref") {
                self.scalars(&object, &mut node)?;
                self.arrays(&object, &mut node);
                self.objects(&object, &mut node)?;
                self.applicators(&object, &mut node);
            }
        }
        node.pointer = pointer;
        Ok(node)
    }

    fn references(&mut self, object: &Object<'a, '_>, node: &mut Node) -> Result<(), Error> {
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let Some(reference) = object.text(keyword) else { continue };
            let Some(target) = self.references.find(reference, object.base) else {
                let (pointer, shown) = (object.pointer, excerpt_text(reference));
                let message =
                    format!("`{keyword}` `{shown}` at `#{pointer}` leads outside the schema");
                let hint =
                    "copy the schema it names into `$defs` and refer to it as `#/$defs/name`";
                return Err(Error::invalid(message).hint(hint));
            };
            let found = self.enqueue(target.value, target.pointer, &target.base);
            if keyword == "$ref" {
                node.all.push(found);
                continue;
            }
            // What a dynamic reference leads to depends on the way there: only its static target is a guess.
            node.dynamic.push(found);
            if keyword == "$dynamicRef" {
                for place in self.references.dynamic(reference) {
                    let id = self.enqueue(place.value, place.pointer, &place.base);
                    node.dynamic.push(id);
                }
            }
        }
        Ok(())
    }

    fn scalars(&mut self, object: &Object<'a, '_>, node: &mut Node) -> Result<(), Error> {
        let members = object.members;
        node.types = match members.get("type") {
            Some(Value::String(name)) => Types::named(name),
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                names.fold(Types(0), |types, name| types.or(Types::named(name)))
            }
            _ => Types::ALL,
        };
        if let Some(Value::Array(values)) = members.get("enum") {
            node.values.push(values.clone());
        }
        if let Some(value) = members.get("const").filter(|_| self.draft > Draft::Draft4) {
            node.values.push(vec![value.clone()]);
        }
        node.samples.extend(members.get("default").cloned());
        if let Some(Value::Array(examples)) = members.get("examples") {
            node.samples.extend(examples.iter().cloned());
        }
        let mut numbers = Numbers {
            min: object.number("minimum"),
            max: object.number("maximum"),
            above: object.number("exclusiveMinimum"),
            below: object.number("exclusiveMaximum"),
            multiples: object.number("multipleOf").into_iter().collect(),
        };
        // Draft 4 writes the exclusive bounds as flags.
        if members.get("exclusiveMinimum") == Some(&Value::Bool(true)) {
            numbers.above = numbers.min.take();
        }
        if members.get("exclusiveMaximum") == Some(&Value::Bool(true)) {
            numbers.below = numbers.max.take();
        }
        node.numbers = numbers;
        node.length = object.range("minLength", "maxLength");
        node.format = object.text("format").map(str::to_owned);
        if let Some(source) = object.text("pattern") {
            node.pattern = Some(self.pattern(source, object.pointer)?);
        }
        Ok(())
    }

    fn arrays(&mut self, object: &Object<'a, '_>, node: &mut Node) {
        let tuple = object.members.get("items").is_some_and(Value::is_array);
        if tuple && self.draft < Draft::Draft202012 {
            node.prefix = self.list(object, "items");
            node.items = self.child(object, "additionalItems");
        } else {
            node.prefix = self.list(object, "prefixItems");
            node.items = self.child(object, "items");
        }
        node.item_count = object.range("minItems", "maxItems");
        node.unique = object.members.get("uniqueItems") == Some(&Value::Bool(true));
        let counted = self.draft > Draft::Draft7;
        node.contains = self.child(object, "contains").map(|contains| {
            let min = object.count("minContains").filter(|_| counted).unwrap_or(1);
            let max = object.count("maxContains").filter(|_| counted);
            Contains { node: contains, count: Range { min, max } }
        });
    }

    fn objects(&mut self, object: &Object<'a, '_>, node: &mut Node) -> Result<(), Error> {
        node.properties = self.named(object, "properties");
        for (source, schema) in self.named(object, "patternProperties") {
            let pattern = self.pattern(&source, object.pointer)?;
            node.pattern_properties.push((pattern, schema));
        }
        node.additional = self.child(object, "additionalProperties");
        node.names = self.child(object, "propertyNames");
        // Draft 3 wrote a flag here; since draft 4 it is a list.
        node.required = object.texts("required");
        node.property_count = object.range("minProperties", "maxProperties");
        for keyword in ["dependentRequired", "dependencies"] {
            if let Some(Value::Object(members)) = object.members.get(keyword) {
                let lists = members.iter().filter(|(_, value)| value.is_array());
                node.dependent_required
                    .extend(lists.map(|(name, list)| (name.clone(), texts(list))));
            }
        }
        node.dependent = self.named(object, "dependentSchemas");
        node.dependent.extend(self.named(object, "dependencies"));
        Ok(())
    }

    fn applicators(&mut self, object: &Object<'a, '_>, node: &mut Node) {
        node.all.extend(self.list(object, "allOf"));
        for keyword in ["anyOf", "oneOf"] {
            if object.members.contains_key(keyword) {
                node.choices.push(self.list(object, keyword));
                node.exclusive.push(keyword == "oneOf");
            }
        }
        node.not = self.child(object, "not");
        node.condition = self.child(object, "if").map(|test| Condition {
            test,
            then: self.child(object, "then"),
            otherwise: self.child(object, "else"),
        });
        node.unevaluated_properties = self.child(object, "unevaluatedProperties");
        node.unevaluated_items = self.child(object, "unevaluatedItems");
    }

    fn pattern(&mut self, source: &str, pointer: &str) -> Result<PatternId, Error> {
        if let Some(known) = self.pattern_ids.get(source) {
            return Ok(*known);
        }
        let refused = |cause: &str| {
            let shown = excerpt_text(source);
            let hint = "lookaround and backreferences are not supported: patterns are matched in linear time";
            Error::invalid(format!("pattern `{shown}` at `#{pointer}` {cause}")).hint(hint)
        };
        let translated = jsonschema_regex::to_rust_regex(source)
            .map_err(|()| refused("is not a regular expression"))?
            .into_owned();
        let regex = RegexBuilder::new(&translated)
            .size_limit(self.pattern_bytes_max)
            .dfa_size_limit(self.pattern_bytes_max)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => refused("is too large when compiled"),
                _ => refused("is not a regular expression"),
            })?;
        let id = self.shape.patterns.len();
        self.shape.patterns.push(Pattern { translated, regex });
        self.pattern_ids.insert(source.to_owned(), id);
        Ok(id)
    }
}
