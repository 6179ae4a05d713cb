//! How many levels of nesting a value of each node needs at least; a node that needs endlessly many
//! admits nothing. A lower bound: what it calls empty is empty, but not every empty node is found.

use crate::shape::{Node, NodeId, Numbers, Range, Shape, Types};
use regex_syntax::hir::{Hir, HirKind, Look};
use serde_json::Value;

/// Levels of nesting; [`ENDLESS`] when no finite value will do.
pub(crate) type Height = u32;
/// The height of a node that admits nothing.
pub(crate) const ENDLESS: Height = Height::MAX;

/// The least height of every node.
pub(crate) fn heights(shape: &Shape) -> Vec<Height> {
    let clashes: Vec<bool> =
        shape.nodes.iter().map(|node| pattern_clash(shape, node).is_some()).collect();
    let mut heights = vec![ENDLESS; shape.nodes.len()];
    // Heights only fall, each round settles at least one more level of nesting, and nodes are numbered
    // outside in, so going backwards settles most of them in the first round.
    loop {
        let mut changed = false;
        for id in (0..shape.nodes.len()).rev() {
            let height = height(shape, &heights, id, clashes[id]);
            changed |= height < heights[id];
            heights[id] = height.min(heights[id]);
        }
        if !changed {
            return heights;
        }
    }
}

fn height(shape: &Shape, heights: &[Height], id: NodeId, clash: bool) -> Height {
    let node = &shape.nodes[id];
    if node.never || node.values.iter().any(Vec::is_empty) {
        return ENDLESS;
    }
    let typed = |list: &Vec<Value>| list.iter().any(|value| node.types.has(Types::of(value)));
    if !node.values.iter().all(typed) {
        return ENDLESS;
    }
    let mut own = ENDLESS;
    if node.types.has(Types::NULL.or(Types::BOOLEAN)) {
        own = 0;
    }
    let whole_only = !node.types.has(Types::FRACTION);
    if node.types.has(Types::INTEGER.or(Types::FRACTION)) && !is_empty(&node.numbers, whole_only) {
        own = 0;
    }
    if node.types.has(Types::STRING) && !node.length.is_empty() && !clash {
        own = 0;
    }
    if node.types.has(Types::ARRAY) {
        own = own.min(array_height(node, heights));
    }
    if node.types.has(Types::OBJECT) {
        own = own.min(object_height(node, heights));
    }
    let all = node.all.iter().map(|id| heights[*id]).max().unwrap_or(0);
    let least =
        |branches: &Vec<NodeId>| branches.iter().map(|id| heights[*id]).min().unwrap_or(ENDLESS);
    let choices = node.choices.iter().map(least).max().unwrap_or(0);
    own.max(all).max(choices)
}

/// Whether no number lies within the bounds; multiples are not looked at.
fn is_empty(numbers: &Numbers, whole_only: bool) -> bool {
    let Numbers { min, max, above, below, .. } = numbers;
    let clash = |low: &Option<f64>, high: &Option<f64>, open: bool| {
        let (Some(low), Some(high)) = (low, high) else { return false };
        low > high
            || (open && low == high)
            || (whole_only && low.fract() != 0.0 && low.ceil() > *high)
    };
    clash(min, max, false)
        || clash(above, max, true)
        || clash(min, below, true)
        || clash(above, below, true)
}

fn array_height(node: &Node, heights: &[Height]) -> Height {
    if node.item_count.is_empty() {
        return ENDLESS;
    }
    let prefix = node.prefix.len() as u64;
    let listed =
        node.prefix.iter().take(usize::try_from(node.item_count.min).unwrap_or(usize::MAX));
    let rest = node.items.filter(|_| node.item_count.min > prefix);
    let tallest = listed.copied().chain(rest).map(|id| deeper(heights[id])).max();
    tallest.unwrap_or(0)
}

fn object_height(node: &Node, heights: &[Height]) -> Height {
    if node.property_count.is_empty() {
        return ENDLESS;
    }
    let member = |name: &String| match node.property(name) {
        Some(id) => Some(id),
        // A pattern may cover it; only a closed object without patterns surely forbids it.
        None if node.pattern_properties.is_empty() => node.additional,
        None => None,
    };
    let tallest = node.required.iter().filter_map(member).map(|id| deeper(heights[id])).max();
    tallest.unwrap_or(0)
}

fn deeper(height: Height) -> Height {
    height.saturating_add(1)
}

/// The lengths that a node's pattern allows, where they miss the lengths that the node allows.
pub(crate) fn pattern_clash(shape: &Shape, node: &Node) -> Option<Range> {
    let pattern = &shape.patterns[node.pattern?];
    let lengths = match_lengths(&regex_syntax::parse(&pattern.translated).ok()?)?;
    lengths.and(node.length).is_empty().then_some(lengths)
}

/// How many characters a text must have to match a pattern. The upper bound needs both ends anchored.
fn match_lengths(hir: &Hir) -> Option<Range> {
    let mut range = lengths(hir)?;
    let look = hir.properties();
    let anchored =
        look.look_set_prefix().contains(Look::Start) && look.look_set_suffix().contains(Look::End);
    if !anchored {
        range.max = None;
    }
    Some(range)
}

fn lengths(hir: &Hir) -> Option<Range> {
    let fixed = |count: u64| Range { min: count, max: Some(count) };
    let add = |a: Range, b: Range| Range {
        min: a.min.saturating_add(b.min),
        max: a.max.zip(b.max).map(|(a, b)| a.saturating_add(b)),
    };
    Some(match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => fixed(0),
        HirKind::Literal(literal) => {
            fixed(std::str::from_utf8(&literal.0).ok()?.chars().count() as u64)
        }
        HirKind::Class(_) => fixed(1),
        HirKind::Capture(capture) => lengths(&capture.sub)?,
        HirKind::Concat(parts) => {
            parts.iter().map(lengths).try_fold(fixed(0), |sum, part| Some(add(sum, part?)))?
        }
        HirKind::Alternation(parts) => {
            let ranges = parts.iter().map(lengths).collect::<Option<Vec<_>>>()?;
            let min = ranges.iter().map(|range| range.min).min()?;
            Range {
                min,
                max: ranges
                    .iter()
                    .map(|range| range.max)
                    .max_by_key(|max| max.unwrap_or(u64::MAX))?,
            }
        }
        HirKind::Repetition(repetition) => {
            let inner = lengths(&repetition.sub)?;
            let most = repetition.max.map(u64::from);
            Range {
                min: inner.min.saturating_mul(u64::from(repetition.min)),
                max: inner.max.zip(most).map(|(a, b)| a.saturating_mul(b)),
            }
        }
    })
}
