//! Bounds on the work and the stack that checking takes.
//!
//! A schema of a few hundred bytes can ask for exponential work: `a0` is `allOf: [a1, a1]`, `a1` is
//! `allOf: [a2, a2]` and so on. Such a schema is refused when it is compiled. A recursive schema's work
//! depends on the value as well, so what is left is bounded when a value is checked.

use crate::error::Error;
use crate::shape::{NodeId, Shape};
use serde_json::Value;
use std::collections::HashMap;

/// Most nodes that one value may be judged by, each counted as often as references lead to it.
const EXPANSION_MAX: u64 = 50_000;
/// Longest chain of nodes that judge the same value.
const CHAIN_MAX: u32 = 64;
/// Longest path through the schema with references followed.
const PATH_MAX: u32 = 512;
/// Most steps of nesting (value depth times chain length) that the validator's recursion is trusted with.
const NESTING_MAX: u64 = 2_000;

/// What checking one value costs at most, apart from the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Judgements of one value, with recursion counted once.
    pub(crate) expansion: u64,
    /// Nodes in a row that judge the same value.
    pub(crate) chain: u32,
    /// Whether the schema contains itself.
    pub(crate) recursive: bool,
}

/// A value's size as checking sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Values in it, itself included.
    pub(crate) nodes: u64,
    /// Levels of nesting.
    pub(crate) depth: u64,
}

impl Size {
    pub(crate) fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value, 1);
        size
    }

    fn add(&mut self, value: &Value, depth: u64) {
        self.nodes += 1;
        self.depth = self.depth.max(depth);
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add(item, depth + 1)),
            Value::Object(members) => members.values().for_each(|item| self.add(item, depth + 1)),
            _ => {}
        }
    }
}

impl Cost {
    /// Bounds a schema's cost.
    ///
    /// # Errors
    /// When it refers to itself without going into a part of the value, or is over a bound.
    pub(crate) fn of(shape: &Shape) -> Result<Self, Error> {
        let in_place = |id: NodeId| shape.nodes[id].in_place().collect::<Vec<_>>();
        let chains = Walk::over(shape, &in_place);
        if let Some(id) = chains.cycle {
            let pointer = &shape.nodes[id].pointer;
            let message =
                format!("the schema at `#{pointer}` refers to itself without going into a part");
            return Err(
                Error::invalid(message).hint("recursion must pass through `properties` or `items`")
            );
        }
        let every = |id: NodeId| {
            let node = &shape.nodes[id];
            node.in_place().chain(node.inside()).collect::<Vec<_>>()
        };
        let paths = Walk::over(shape, &every);
        let checks = [
            (paths.expansion, EXPANSION_MAX, "has {} parts with its references followed"),
            (
                u64::from(chains.longest),
                u64::from(CHAIN_MAX),
                "applies {} parts in a row to one value",
            ),
            (
                u64::from(paths.longest),
                u64::from(PATH_MAX),
                "is {} levels deep with its references followed",
            ),
        ];
        for (figure, limit, words) in checks {
            if figure > limit {
                let words = words.replace("{}", &format!("over {limit}"));
                let hint = "refer to each definition once, and nest less";
                return Err(Error::too_large(format!("the schema {words}")).hint(hint));
            }
        }
        let recursive = paths.cycle.is_some();
        Ok(Self { expansion: paths.expansion, chain: chains.longest, recursive })
    }

    /// Whether the validator's recursion would go too deep for the stack.
    pub(crate) fn too_deep(&self, size: Size) -> bool {
        size.depth.saturating_mul(u64::from(self.chain)) > NESTING_MAX
    }

    /// Whether deciding validity may take more than `budget` judgements. The validator remembers its
    /// verdicts on recursive parts, so recursion does not multiply here.
    pub(crate) fn deciding_exceeds(&self, budget: u64, size: Size) -> bool {
        self.expansion.saturating_mul(size.nodes) > budget
    }

    /// Whether listing every error may take more than `budget` judgements: there recursion multiplies.
    pub(crate) fn listing_exceeds(
        &self,
        budget: u64,
        size: Size,
        shape: &Shape,
        value: &Value,
    ) -> bool {
        let quick =
            if self.recursive { u64::MAX } else { self.expansion.saturating_mul(size.nodes) };
        quick > budget && Count { shape, known: HashMap::new(), budget }.visits(0, value) > budget
    }
}

/// How many cases a proof by cases over the whole schema has to tell apart, at least roughly.
pub(crate) fn cases(shape: &Shape) -> u64 {
    let mut known = vec![None; shape.nodes.len()];
    (0..shape.nodes.len()).fold(0, |sum, id| sum.saturating_add(cases_of(shape, id, &mut known)))
}

/// Cases of one value: choices that hold together multiply. The chain of such nodes is bounded already.
fn cases_of(shape: &Shape, id: NodeId, known: &mut Vec<Option<u64>>) -> u64 {
    if let Some(cases) = known[id] {
        return cases;
    }
    let node = &shape.nodes[id];
    let mut product = 1_u64;
    for part in &node.all {
        product = product.saturating_mul(cases_of(shape, *part, known));
    }
    for branches in &node.choices {
        let sum =
            branches.iter().fold(0_u64, |sum, id| sum.saturating_add(cases_of(shape, *id, known)));
        product = product.saturating_mul(sum.max(1));
    }
    // Branches of `oneOf` are compared with each other, and a negation turns choices inside out.
    for (branches, exclusive) in node.choices.iter().zip(&node.exclusive) {
        product = product.saturating_mul(if *exclusive { branches.len().max(1) as u64 } else { 1 });
    }
    let condition =
        node.condition.map(|c| [Some(c.test), c.then, c.otherwise]).into_iter().flatten();
    for part in condition.flatten().chain(node.not) {
        let cases = cases_of(shape, part, known);
        product = product.saturating_mul(cases.saturating_add(1));
    }
    known[id] = Some(product);
    product
}

/// A depth-first walk over the graph of nodes, without recursion.
struct Walk {
    expansion: u64,
    longest: u32,
    /// A node that leads back to itself.
    cycle: Option<NodeId>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

impl Walk {
    fn over(shape: &Shape, edges: &dyn Fn(NodeId) -> Vec<NodeId>) -> Self {
        let count = shape.nodes.len();
        let mut marks = vec![Mark::New; count];
        let mut expansions = vec![1_u64; count];
        let mut lengths = vec![1_u32; count];
        let mut cycle = None;
        let mut stack: Vec<(NodeId, Vec<NodeId>)> = Vec::new();
        for start in 0..count {
            if marks[start] != Mark::New {
                continue;
            }
            marks[start] = Mark::Open;
            stack.push((start, edges(start)));
            while let Some((id, rest)) = stack.last_mut() {
                let id = *id;
                match rest.pop() {
                    Some(next) if marks[next] == Mark::New => {
                        marks[next] = Mark::Open;
                        rest.push(next); // looked at again once it is done
                        stack.push((next, edges(next)));
                    }
                    Some(next) if marks[next] == Mark::Open => {
                        cycle = cycle.or(Some(next));
                        expansions[id] = expansions[id].saturating_add(1);
                    }
                    Some(next) => {
                        expansions[id] = expansions[id].saturating_add(expansions[next]);
                        lengths[id] = lengths[id].max(lengths[next].saturating_add(1));
                    }
                    None => {
                        marks[id] = Mark::Done;
                        stack.pop();
                    }
                }
            }
        }
        let longest = lengths.iter().copied().max().unwrap_or(0);
        Self { expansion: expansions.first().copied().unwrap_or(0), longest, cycle }
    }
}

/// Counts judgements of a value, each (node, value) pair worked out once.
struct Count<'a> {
    shape: &'a Shape,
    known: HashMap<(NodeId, usize), u64>,
    budget: u64,
}

impl Count<'_> {
    fn visits(&mut self, id: NodeId, value: &Value) -> u64 {
        let key = (id, std::ptr::from_ref(value).addr());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        if self.known.len() as u64 > self.budget {
            return u64::MAX;
        }
        let node = &self.shape.nodes[id];
        let mut sum =
            node.in_place().fold(1_u64, |sum, next| sum.saturating_add(self.visits(next, value)));
        match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let own = node.prefix.get(i).copied().or(node.items);
                    let contains = node.contains.map(|contains| contains.node);
                    for next in own.into_iter().chain(contains).chain(node.unevaluated_items) {
                        sum = sum.saturating_add(self.visits(next, item));
                    }
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let own = node.property(name).or(node.additional);
                    let patterned = node.pattern_properties.iter().map(|(_, schema)| *schema);
                    for next in own.into_iter().chain(patterned).chain(node.unevaluated_properties)
                    {
                        sum = sum.saturating_add(self.visits(next, member));
                    }
                    sum = sum.saturating_add(u64::from(node.names.is_some()));
                }
            }
            _ => {}
        }
        self.known.insert(key, sum);
        sum
    }
}
