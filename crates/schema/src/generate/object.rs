//! Objects: what is required, some of what is optional, more where a count asks for it.

use super::{Maker, Set};
use crate::shape::{NodeId, Range};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Tries at a name for a member that no keyword names.
const NAME_TRIES: u32 = 40;

impl<'a> Maker<'a, '_> {
    /// An object for the set.
    pub(super) fn object(&mut self, set: &Set<'a>) -> Option<Value> {
        let mut set = set.clone();
        let mut names = self.required(&mut set)?;
        let count = set.iter().fold(Range::default(), |range, node| range.and(node.property_count));
        if count.is_empty() || names.len() as u64 > count.max.unwrap_or(u64::MAX) {
            return None;
        }
        self.optional(&set, count, &mut names);
        let mut members = Map::new();
        for name in &names {
            let ids = self.member_ids(&set, name)?;
            let required = set.iter().any(|node| node.required.contains(name));
            match self.value(&ids) {
                Some(value) => {
                    members.insert(name.clone(), value);
                }
                None if !required => {} // an optional member that nothing fits is left out
                None => return None,
            }
        }
        self.fill(&set, count, &mut members)?;
        count.holds(members.len()).then_some(Value::Object(members))
    }

    /// The names that must be there; schemas that depend on one of them join the set.
    fn required(&mut self, set: &mut Set<'a>) -> Option<BTreeSet<String>> {
        let mut names: BTreeSet<String> =
            set.iter().flat_map(|node| node.required.iter().cloned()).collect();
        loop {
            let known = names.len();
            let present = |name: &String| names.contains(name);
            let more = set.iter().flat_map(|node| &node.dependent_required);
            let more: Vec<String> =
                more.filter(|(name, _)| present(name)).flat_map(|(_, list)| list.clone()).collect();
            let dependent = set.iter().flat_map(|node| &node.dependent);
            let ids: Vec<NodeId> =
                dependent.filter(|(name, _)| present(name)).map(|(_, id)| *id).collect();
            let before = set.len();
            for node in self.close(&ids)? {
                if !set.iter().any(|known| std::ptr::eq(*known, node)) {
                    names.extend(node.required.iter().cloned());
                    set.push(node);
                }
            }
            names.extend(more);
            if names.len() == known && set.len() == before {
                return Some(names);
            }
        }
    }

    /// Adds some of the optional properties, as far as the count lets it.
    fn optional(&mut self, set: &Set<'a>, count: Range, names: &mut BTreeSet<String>) {
        let room = count.max.unwrap_or(u64::MAX);
        for node in set {
            for (name, id) in &node.properties {
                let full = names.len() as u64 >= room;
                let needed = (names.len() as u64) < count.min;
                let wanted = needed || (!self.frugal() && self.chance(self.optional_percent));
                let pulls = set.iter().any(|node| {
                    let lists = node.dependent_required.iter().map(|(name, _)| name);
                    lists
                        .chain(node.dependent.iter().map(|(name, _)| name))
                        .any(|other| other == name)
                });
                if !full && wanted && !pulls && !self.shape.nodes[*id].never {
                    names.insert(name.clone());
                }
            }
        }
    }

    /// The nodes that judge a member; `None` when it is not allowed.
    fn member_ids(&self, set: &Set<'a>, name: &str) -> Option<Vec<NodeId>> {
        let mut ids = Vec::new();
        set.iter().for_each(|node| self.shape.member_nodes(node, name, &mut ids));
        if ids.is_empty() {
            ids.extend(set.iter().filter_map(|node| node.unevaluated_properties));
        }
        let allowed = !ids.iter().any(|id| self.shape.nodes[*id].never);
        allowed.then_some(ids)
    }

    /// Makes up members until there are enough of them.
    fn fill(
        &mut self,
        set: &Set<'a>,
        count: Range,
        members: &mut Map<String, Value>,
    ) -> Option<()> {
        let name_nodes: Vec<NodeId> = set.iter().filter_map(|node| node.names).collect();
        let patterned = set.iter().flat_map(|node| &node.pattern_properties);
        let patterns: Vec<usize> = patterned.map(|(pattern, _)| *pattern).collect();
        let any = patterns.is_empty() && name_nodes.is_empty();
        let mut wanted = count.min;
        let free = !self.frugal() && members.is_empty() && count.max != Some(0);
        // An object that only says what its members look like gets one or two of them.
        let open = set.iter().any(|node| node.additional.is_some()) || !patterns.is_empty();
        if free && open && self.chance(self.optional_percent) {
            wanted = wanted.max(1 + self.below(2)).min(count.max.unwrap_or(u64::MAX));
        }
        for attempt in
            0..NAME_TRIES.max(u32::try_from(wanted).unwrap_or(u32::MAX).saturating_mul(2))
        {
            if members.len() as u64 >= wanted || self.left == 0 {
                break;
            }
            let name = match self.pick(&patterns).copied() {
                Some(pattern) if attempt % 4 != 3 => {
                    let hir = regex_syntax::parse(&self.shape.patterns[pattern].translated).ok()?;
                    super::pattern::sample(&hir, self.random, attempt)
                }
                _ if any => self.words(Range { min: 0, max: None }).replace(' ', "_"),
                _ if name_nodes.is_empty() => {
                    self.words(Range { min: 1, max: Some(12) }).replace(' ', "_")
                }
                _ => self.value(&name_nodes).and_then(|name| name.as_str().map(str::to_owned))?,
            };
            let Some(ids) = self.member_ids(set, &name) else { continue };
            if members.contains_key(&name) {
                continue;
            }
            if let Some(value) = self.value(&ids) {
                members.insert(name, value);
            }
        }
        Some(())
    }
}
