//! Makes values that fit a schema: the answers of mock subagents.
//!
//! A value is made for a *set* of nodes at once: references, `allOf` and one branch of each choice join the
//! set, and each facet (bounds, properties, items) is the intersection over the set. What this misses
//! (`not`, `oneOf` with overlapping branches) is caught by checking each candidate with the validator.

mod array; // arrays
mod format; // strings of a format
mod number; // numbers within bounds
mod object; // objects
mod pattern; // strings that match a regular expression
mod string; // strings

use crate::analysis::Height;
use crate::error::Error;
use crate::shape::{Node, NodeId, Shape, Types};
use crate::validator::{Limits, compile};
use serde_json::Value;

/// Values made, at most, for one candidate.
const VALUES_MAX: u32 = 50_000;
/// Values made, at most, while looking for one that fits.
pub(crate) const SEARCH_VALUES_MAX: u32 = 200_000;
/// Nesting beyond which only what is required is made.
const LEVELS_FREE: u32 = 5;
/// Nesting beyond which a candidate is given up.
const LEVELS_MAX: u32 = 90;

/// Source of random numbers.
pub(crate) type Random<'r> = &'r mut dyn FnMut() -> u64;

/// Makes a value that fits `schema`. To make many, compile once and call [`crate::Validator::generate`].
///
/// # Errors
/// As [`compile`] under default limits, and when no fitting value was found.
pub fn generate(schema: &Value, rng: &mut dyn FnMut() -> u64) -> Result<Value, Error> {
    compile(schema, &Limits::default())?.generate(rng)
}

/// One try at a value; it may not fit, and there may be none. `budget` is what the search may still make.
pub(crate) fn candidate(
    shape: &Shape,
    heights: &[Height],
    random: Random,
    attempt: u32,
    budget: &mut u32,
) -> Option<Value> {
    // Later tries lean on samples and vary how many optional members appear.
    let optional_percent = [75, 30, 100, 0][attempt as usize % 4];
    let samples = attempt % 8 == 7;
    let left = VALUES_MAX.min(*budget);
    let mut maker = Maker { shape, heights, random, left, optional_percent, samples, level: 0 };
    let value = maker.value(&[0]);
    *budget -= left - maker.left.min(left);
    value
}

/// Makes one candidate.
struct Maker<'a, 'r> {
    shape: &'a Shape,
    heights: &'a [Height],
    random: Random<'r>,
    /// Values that may still be made.
    left: u32,
    /// How likely an optional member is.
    optional_percent: u64,
    /// Whether `default` and `examples` are taken where they exist.
    samples: bool,
    level: u32,
}

/// The nodes that one value must fit.
type Set<'a> = Vec<&'a Node>;

impl<'a> Maker<'a, '_> {
    /// A number below `bound`; zero when it is zero.
    fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { (self.random)() % bound }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> Option<&'t T> {
        let at = usize::try_from(self.below(items.len() as u64)).unwrap_or(0);
        items.get(at)
    }

    /// Whether values should stay as small as they may.
    fn frugal(&self) -> bool {
        self.level > LEVELS_FREE
    }

    /// A value for all of these nodes.
    fn value(&mut self, ids: &[NodeId]) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        if self.level > LEVELS_MAX {
            return None;
        }
        let set = self.close(ids)?;
        self.level += 1;
        let value = self.value_of(&set);
        self.level -= 1;
        value
    }

    fn value_of(&mut self, set: &Set<'a>) -> Option<Value> {
        if let Some(value) = self.listed(set) {
            return value;
        }
        if self.samples {
            let samples: Vec<&Value> = set.iter().flat_map(|node| &node.samples).collect();
            if let Some(sample) = self.pick(&samples) {
                return Some((*sample).clone());
            }
        }
        let types = set.iter().fold(Types::ALL, |types, node| types.and(node.types));
        match self.choose_type(types, set)? {
            Types::NULL => Some(Value::Null),
            Types::BOOLEAN => Some(Value::Bool(self.chance(50))),
            Types::INTEGER => self.number(set, true),
            Types::FRACTION => self.number(set, false),
            Types::STRING => self.string(set).map(Value::String),
            Types::ARRAY => self.array(set),
            _ => self.object(set),
        }
    }

    /// The nodes, what they refer to, and a branch of each choice; `None` when one of them is `false`.
    fn close(&mut self, ids: &[NodeId]) -> Option<Set<'a>> {
        let shape = self.shape;
        let mut pending: Vec<NodeId> = ids.to_vec();
        let mut taken: Vec<NodeId> = Vec::with_capacity(4);
        while let Some(id) = pending.pop() {
            if taken.contains(&id) {
                continue;
            }
            taken.push(id);
            let node = &shape.nodes[id];
            if node.never {
                return None;
            }
            pending.extend(&node.all);
            pending.extend(node.dynamic.first());
            for branches in &node.choices {
                pending.push(self.branch(branches, &taken, &pending)?);
            }
            if let Some(condition) = node.condition {
                // Either the test holds and `then` with it, or it fails: then only `else` can be aimed at.
                if self.chance(50) {
                    pending.push(condition.test);
                    pending.extend(condition.then);
                } else {
                    pending.extend(condition.otherwise);
                }
            }
        }
        Some(taken.into_iter().map(|id| &shape.nodes[id]).collect())
    }

    /// A branch of a choice: any that shares a type with the rest, the flattest ones when nesting is deep.
    fn branch(
        &mut self,
        branches: &[NodeId],
        taken: &[NodeId],
        pending: &[NodeId],
    ) -> Option<NodeId> {
        let nodes = &self.shape.nodes;
        let rest = taken.iter().chain(pending);
        let types = rest.fold(Types::ALL, |types, id| types.and(nodes[*id].types));
        let fits = |id: &&NodeId| nodes[**id].types.has(types) && !nodes[**id].never;
        let mut fitting: Vec<NodeId> = branches.iter().filter(fits).copied().collect();
        if self.frugal() {
            let least = fitting.iter().map(|id| self.heights[*id]).min()?;
            fitting.retain(|id| self.heights[*id] == least);
        }
        self.pick(&fitting).copied()
    }

    /// A member of the `enum`s and `const`s, if there are any.
    fn listed(&mut self, set: &Set<'a>) -> Option<Option<Value>> {
        let mut lists = set.iter().flat_map(|node| &node.values);
        let first = lists.next()?;
        let types = set.iter().fold(Types::ALL, |types, node| types.and(node.types));
        let rest: Vec<&Vec<Value>> = lists.collect();
        let fits = |value: &&Value| {
            let text_fits = value.as_str().is_none_or(|text| self.text_fits(set, text));
            types.has(Types::of(value)) && text_fits && rest.iter().all(|list| list.contains(value))
        };
        let fitting: Vec<&Value> = first.iter().filter(fits).collect();
        Some(self.pick(&fitting).map(|value| (*value).clone()))
    }

    /// One of the allowed types: the one that the other keywords speak of, if they do.
    fn choose_type(&mut self, types: Types, set: &Set<'a>) -> Option<Types> {
        if types.is_empty() {
            return None;
        }
        let mut wanted = types;
        if types == Types::ALL {
            let hints = set.iter().fold(Types(0), |hints, node| hints.or(hint(node)));
            wanted =
                if hints.is_empty() { Types(Types::STRING.0 | Types::INTEGER.0) } else { hints };
        }
        if self.frugal() && types.0 & 31 != 0 {
            wanted = Types(wanted.0 & 31).and(types);
            wanted = if wanted.is_empty() { Types(types.0 & 31) } else { wanted };
        }
        // Whole numbers read better where any number will do.
        let both = Types::INTEGER.or(Types::FRACTION);
        if wanted.and(both) == both && self.chance(50) {
            wanted = Types(wanted.0 & !Types::FRACTION.0);
        }
        let single: Vec<Types> =
            (0..7).map(|bit| Types(1 << bit)).filter(|one| wanted.has(*one)).collect();
        self.pick(&single).copied()
    }
}

/// The types that a node's keywords speak of.
fn hint(node: &Node) -> Types {
    let mut types = Types(0);
    let object = !node.properties.is_empty()
        || !node.required.is_empty()
        || !node.pattern_properties.is_empty()
        || node.additional.is_some()
        || node.property_count.min > 0;
    if object {
        types = types.or(Types::OBJECT);
    }
    if node.items.is_some()
        || !node.prefix.is_empty()
        || node.contains.is_some()
        || node.item_count.min > 0
    {
        types = types.or(Types::ARRAY);
    }
    if node.length != Default::default() || node.pattern.is_some() || node.format.is_some() {
        types = types.or(Types::STRING);
    }
    let numbers = &node.numbers;
    let bounds = [numbers.min, numbers.max, numbers.above, numbers.below];
    if bounds.iter().any(Option::is_some) || !numbers.multiples.is_empty() {
        types = types.or(Types::INTEGER).or(Types::FRACTION);
    }
    types
}
