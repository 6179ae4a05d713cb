//! Locks of files and of shared memory, as SQLite's own VFS for Unix grants them.

use std::collections::HashMap;

/// Names an open file.
pub(crate) type Handle = u64;

/// How much of a file a handle has locked; each holds the ones before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

/// Who has locked one file.
#[derive(Debug, Default)]
pub(crate) struct Locks(HashMap<Handle, Level>);

impl Locks {
    /// Raises the handle's lock; says whether it got it.
    pub fn raise(&mut self, handle: Handle, wanted: Level) -> bool {
        let own = self.level(handle);
        if own >= wanted {
            return true;
        }
        let others = self.0.iter().filter(|(other, _)| **other != handle);
        let most = others.map(|(_, level)| *level).max().unwrap_or_default();
        let granted = match wanted {
            Level::Shared => most < Level::Pending,
            Level::Exclusive => most == Level::None,
            _ => most < Level::Reserved,
        };
        // A writer that waits for readers to leave lets no new ones in.
        let waits = wanted == Level::Exclusive && !granted && most < Level::Reserved;
        if granted {
            self.0.insert(handle, wanted);
        } else if waits {
            self.0.insert(handle, Level::Pending);
        }
        granted
    }

    pub fn lower(&mut self, handle: Handle, to: Level) {
        if self.level(handle) > to {
            self.0.insert(handle, to);
        }
        if to == Level::None {
            self.0.remove(&handle);
        }
    }

    pub fn level(&self, handle: Handle) -> Level {
        self.0.get(&handle).copied().unwrap_or_default()
    }

    pub fn is_reserved(&self) -> bool {
        self.0.values().any(|level| *level >= Level::Reserved)
    }
}

/// Locks of the shared memory; SQLite has eight.
pub(crate) const SLOTS: usize = 8;

/// Who has locked which slots of one file's shared memory.
#[derive(Debug, Default)]
pub(crate) struct SlotLocks {
    held: HashMap<Handle, [Level; SLOTS]>,
}

impl SlotLocks {
    /// Locks the slots; says whether all were free for that.
    pub fn lock(&mut self, handle: Handle, slots: std::ops::Range<usize>, wanted: Level) -> bool {
        let others = self.held.iter().filter(|(other, _)| **other != handle);
        let most = others.flat_map(|(_, levels)| &levels[slots.clone()]).max().copied();
        let granted = match wanted {
            Level::Exclusive => most.unwrap_or_default() == Level::None,
            _ => most.unwrap_or_default() < Level::Exclusive,
        };
        if granted {
            self.held.entry(handle).or_default()[slots].fill(wanted);
        }
        granted
    }

    pub fn unlock(&mut self, handle: Handle, slots: std::ops::Range<usize>) {
        if let Some(levels) = self.held.get_mut(&handle) {
            levels[slots].fill(Level::None);
        }
    }

    pub fn forget(&mut self, handle: Handle) {
        self.held.remove(&handle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writes_while_others_read_and_none_while_it_writes_the_file() {
        let mut locks = Locks::default();
        assert!(locks.raise(1, Level::Shared) && locks.raise(2, Level::Shared));
        assert!(locks.raise(1, Level::Reserved) && !locks.raise(2, Level::Reserved));
        assert!(!locks.raise(1, Level::Exclusive) && locks.level(1) == Level::Pending);
        assert!(!locks.raise(3, Level::Shared), "nobody new while a writer waits");
        locks.lower(2, Level::None);
        assert!(locks.raise(1, Level::Exclusive) && locks.is_reserved());
        locks.lower(1, Level::Shared);
        assert!(locks.raise(3, Level::Shared) && !locks.is_reserved());
    }

    #[test]
    fn slots_are_shared_or_held_alone() {
        let mut slots = SlotLocks::default();
        assert!(slots.lock(1, 0..1, Level::Shared) && slots.lock(2, 0..2, Level::Shared));
        assert!(!slots.lock(1, 0..2, Level::Exclusive));
        slots.unlock(2, 0..1);
        assert!(slots.lock(1, 0..1, Level::Exclusive) && !slots.lock(2, 0..1, Level::Shared));
        slots.forget(1);
        assert!(slots.lock(2, 0..1, Level::Shared));
    }
}
