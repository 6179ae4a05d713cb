//! A schema as a graph of typed nodes with references resolved: what the generator, the bounds on work and
//! our own proof of emptiness read. The validator does not: it is the library's.

use regex::Regex;
use serde_json::Value;

/// Index of a node in [`Shape::nodes`].
pub(crate) type NodeId = usize;
/// Index of a pattern in [`Shape::patterns`].
pub(crate) type PatternId = usize;

/// The whole schema; node 0 is its root.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) nodes: Vec<Node>,
    pub(crate) patterns: Vec<Pattern>,
}

/// A regular expression of the schema.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Translated from ECMAScript syntax.
    pub(crate) translated: String,
    /// Compiled; matches anywhere in a text, as JSON Schema says.
    pub(crate) regex: Regex,
}

/// Bounds on a count, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
}

impl Range {
    /// Both bounds hold.
    pub(crate) fn and(self, other: Self) -> Self {
        let max = match (self.max, other.max) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { min: self.min.max(other.min), max }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.max.is_some_and(|max| max < self.min)
    }

    pub(crate) fn holds(self, count: usize) -> bool {
        let count = count as u64;
        count >= self.min && self.max.is_none_or(|max| count <= max)
    }
}

/// Bounds on a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) above: Option<f64>,
    pub(crate) below: Option<f64>,
    pub(crate) multiples: Vec<f64>,
}

impl Numbers {
    /// Both sets of bounds hold.
    pub(crate) fn and(&mut self, other: &Self) {
        let pick = |a: Option<f64>, b: Option<f64>, best: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(best(a, b)),
            (a, b) => a.or(b),
        };
        self.min = pick(self.min, other.min, f64::max);
        self.above = pick(self.above, other.above, f64::max);
        self.max = pick(self.max, other.max, f64::min);
        self.below = pick(self.below, other.below, f64::min);
        self.multiples.extend(&other.multiples);
    }
}

/// `contains` with its counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contains {
    pub(crate) node: NodeId,
    pub(crate) count: Range,
}

/// `if`, `then`, `else`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    pub(crate) test: NodeId,
    pub(crate) then: Option<NodeId>,
    pub(crate) otherwise: Option<NodeId>,
}

/// A set of JSON types, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types(pub(crate) u8);

impl Types {
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    pub(crate) const INTEGER: Self = Self(4);
    /// Numbers that are not whole; the keyword `number` is this and [`Types::INTEGER`].
    pub(crate) const FRACTION: Self = Self(8);
    pub(crate) const STRING: Self = Self(16);
    pub(crate) const ARRAY: Self = Self(32);
    pub(crate) const OBJECT: Self = Self(64);
    pub(crate) const ALL: Self = Self(127);

    /// The set that a type's name stands for.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self(Self::INTEGER.0 | Self::FRACTION.0),
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self(0),
        }
    }

    /// The set with only this value's type.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(n) if n.as_f64().is_some_and(|f| f.fract() != 0.0) => Self::FRACTION,
            Value::Number(_) => Self::INTEGER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Default for Types {
    fn default() -> Self {
        Self::ALL
    }
}

/// One schema object; every list is in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Where it stands in the document, as a JSON pointer.
    pub(crate) pointer: String,
    /// It is `false`.
    pub(crate) never: bool,
    pub(crate) types: Types,
    /// `enum` and `const`: a value must be in each of the lists.
    pub(crate) values: Vec<Vec<Value>>,
    /// `default` and `examples`: tried when nothing better is found.
    pub(crate) samples: Vec<Value>,
    pub(crate) numbers: Numbers,
    pub(crate) length: Range,
    pub(crate) pattern: Option<PatternId>,
    pub(crate) format: Option<String>,
    pub(crate) prefix: Vec<NodeId>,
    pub(crate) items: Option<NodeId>,
    pub(crate) contains: Option<Contains>,
    pub(crate) item_count: Range,
    pub(crate) unique: bool,
    /// Sorted by name.
    pub(crate) properties: Vec<(String, NodeId)>,
    pub(crate) pattern_properties: Vec<(PatternId, NodeId)>,
    pub(crate) additional: Option<NodeId>,
    pub(crate) names: Option<NodeId>,
    pub(crate) required: Vec<String>,
    pub(crate) property_count: Range,
    pub(crate) dependent_required: Vec<(String, Vec<String>)>,
    pub(crate) dependent: Vec<(String, NodeId)>,
    /// `allOf` and `$ref`.
    pub(crate) all: Vec<NodeId>,
    /// `anyOf` and `oneOf`: one branch of each at least.
    pub(crate) choices: Vec<Vec<NodeId>>,
    /// Which of the choices are `oneOf`.
    pub(crate) exclusive: Vec<bool>,
    pub(crate) not: Option<NodeId>,
    pub(crate) condition: Option<Condition>,
    pub(crate) unevaluated_properties: Option<NodeId>,
    pub(crate) unevaluated_items: Option<NodeId>,
    /// What a dynamic reference may lead to, its static target first.
    pub(crate) dynamic: Vec<NodeId>,
}

impl Node {
    /// The schema of a named property, if `properties` names it.
    pub(crate) fn property(&self, name: &str) -> Option<NodeId> {
        let found = self.properties.binary_search_by(|(known, _)| known.as_str().cmp(name));
        found.ok().map(|at| self.properties[at].1)
    }

    /// Nodes that judge the same value as this one.
    pub(crate) fn in_place(&self) -> impl Iterator<Item = NodeId> + '_ {
        let condition =
            self.condition.iter().flat_map(|c| [Some(c.test), c.then, c.otherwise]).flatten();
        let branches = self.choices.iter().flatten().copied();
        let dependent = self.dependent.iter().map(|(_, node)| *node);
        let simple = self.all.iter().chain(&self.dynamic).copied();
        simple.chain(branches).chain(self.not).chain(condition).chain(dependent)
    }

    /// Nodes that judge a part of the value: an item, a member, a member's name.
    pub(crate) fn inside(&self) -> impl Iterator<Item = NodeId> + '_ {
        let patterned = self.pattern_properties.iter().map(|(_, node)| *node);
        let named = self.properties.iter().map(|(_, node)| *node);
        let single = [
            self.items,
            self.additional,
            self.names,
            self.unevaluated_properties,
            self.unevaluated_items,
        ];
        let contains = self.contains.map(|contains| contains.node);
        let listed = self.prefix.iter().copied().chain(named).chain(patterned);
        listed.chain(single.into_iter().flatten()).chain(contains)
    }
}

impl Shape {
    /// The nodes of one object schema that judge the member `name`.
    pub(crate) fn member_nodes(&self, node: &Node, name: &str, out: &mut Vec<NodeId>) {
        let before = out.len();
        out.extend(node.property(name));
        for (pattern, schema) in &node.pattern_properties {
            if self.patterns[*pattern].regex.is_match(name) {
                out.push(*schema);
            }
        }
        if out.len() == before {
            out.extend(node.additional);
        }
    }
}
