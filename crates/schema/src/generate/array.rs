//! Arrays: enough items, each for the nodes that judge its place.

use super::{Maker, Set};
use crate::canonical::canonical;
use crate::shape::{NodeId, Range};
use serde_json::Value;
use std::collections::HashSet;

/// Items made beyond the least number, at most.
const ITEMS_FREE: u64 = 3;
/// Tries at an item that is not in the array yet.
const DISTINCT_TRIES: u32 = 24;

impl Maker<'_, '_> {
    /// An array for the set.
    pub(super) fn array(&mut self, set: &Set<'_>) -> Option<Value> {
        let mut count = set.iter().fold(Range::default(), |range, node| range.and(node.item_count));
        let contained: Vec<NodeId> = set
            .iter()
            .filter_map(|node| node.contains)
            .flat_map(|contains| {
                let times = usize::try_from(contains.count.min).unwrap_or(usize::MAX).min(1 << 12);
                std::iter::repeat_n(contains.node, times)
            })
            .collect();
        // A place that no node lets anything stand in ends the array.
        let never = |id: &NodeId| self.shape.nodes[*id].never;
        for node in set {
            let open = node.items.or(node.unevaluated_items);
            if open.as_ref().is_some_and(never) {
                count = count.and(Range { min: 0, max: Some(node.prefix.len() as u64) });
            }
            if let Some(at) = node.prefix.iter().position(never) {
                count = count.and(Range { min: 0, max: Some(at as u64) });
            }
        }
        count = count.and(Range { min: contained.len() as u64, max: None });
        if count.is_empty() || count.min > u64::from(self.left) {
            return None;
        }
        let unique = set.iter().any(|node| node.unique);
        let wanted = self.item_count(count);
        let mut items: Vec<Value> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        for at in 0..usize::try_from(wanted).ok()? {
            let mut ids = places(set, at);
            ids.extend(contained.get(at));
            match self.item(&ids, unique.then_some(&mut known)) {
                Some(item) => items.push(item),
                None if count.holds(items.len()) => break,
                None => return None,
            }
        }
        Some(Value::Array(items))
    }

    fn item_count(&mut self, count: Range) -> u64 {
        if self.frugal() {
            return count.min;
        }
        let most = count.max.unwrap_or(u64::MAX).min(count.min.saturating_add(ITEMS_FREE));
        let least = count.min.max(1).min(most); // an empty array says little
        let least = if self.chance(self.optional_percent) { least } else { count.min };
        least + self.below(most - least + 1)
    }

    /// An item; one that is none of those `known`, if it must differ from them.
    fn item(&mut self, ids: &[NodeId], known: Option<&mut HashSet<String>>) -> Option<Value> {
        let Some(known) = known else { return self.value(ids) };
        for _ in 0..DISTINCT_TRIES {
            let item = self.value(ids)?;
            if known.insert(canonical(&item)) {
                return Some(item);
            }
        }
        None
    }
}

/// The nodes that judge the item at a place.
fn places(set: &Set<'_>, at: usize) -> Vec<NodeId> {
    let judged = |node: &&crate::shape::Node| {
        node.prefix.get(at).copied().or(node.items).or(node.unevaluated_items)
    };
    set.iter().filter_map(judged).collect()
}
