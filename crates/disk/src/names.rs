//! The directory: names that processes see, and those that survive.

use crate::random::Random;
use std::collections::BTreeMap;

/// Names a file's content.
pub(crate) type Node = u64;

/// One directory for all files: SQLite's live beside each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    seen: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    /// In the order in which they were made.
    pending: Vec<(String, Option<Node>)>,
}

impl Names {
    /// A directory that is durable as it is.
    pub fn of(names: BTreeMap<String, Node>) -> Self {
        Self { seen: names.clone(), durable: names, pending: Vec::new() }
    }

    pub fn get(&self, name: &str) -> Option<Node> {
        self.seen.get(name).copied()
    }

    pub fn seen(&self) -> &BTreeMap<String, Node> {
        &self.seen
    }

    /// Every file that has a name, or may have one again after a crash.
    pub fn all(&self) -> impl Iterator<Item = Node> {
        let pending = self.pending.iter().filter_map(|(_, node)| *node);
        self.seen.values().chain(self.durable.values()).copied().chain(pending)
    }

    pub fn add(&mut self, name: &str, node: Node) {
        self.seen.insert(name.to_owned(), node);
        self.pending.push((name.to_owned(), Some(node)));
    }

    /// Says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let was = self.seen.remove(name).is_some();
        if was {
            self.pending.push((name.to_owned(), None));
        }
        was
    }

    pub fn sync(&mut self) {
        self.durable.clone_from(&self.seen);
        self.pending.clear();
    }

    /// The system ends; `power` loses some of the changes since the last sync: each by itself, because no
    /// system promises their order.
    pub fn crash(&mut self, power: bool, random: &mut Random) {
        if power {
            let how = random.below(4);
            for (name, node) in std::mem::take(&mut self.pending) {
                if how == 0 || (how != 1 && random.one_in(2)) {
                    match node {
                        Some(node) => self.durable.insert(name, node),
                        None => self.durable.remove(&name),
                    };
                }
            }
            self.seen.clone_from(&self.durable);
        }
        self.sync();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_not_synced_may_come_and_go() {
        let (mut old, mut new) = (0, 0);
        for seed in 0..200 {
            let mut names = Names::default();
            names.add("a", 1);
            names.sync();
            names.remove("a");
            names.add("b", 2);
            let mut killed = names.clone();
            killed.crash(false, &mut Random::new(seed));
            assert_eq!((killed.get("a"), killed.get("b")), (None, Some(2)));
            names.crash(true, &mut Random::new(seed));
            old += u32::from(names.get("a") == Some(1));
            new += u32::from(names.get("b") == Some(2));
        }
        assert!((20..180).contains(&old) && (20..180).contains(&new), "{old} {new}");
    }
}
