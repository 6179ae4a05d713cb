//! What is due when.

use loopwright_protocol::TimerId;
use loopwright_types::Micros;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// A heap of times with lazy removal: a timer counts only at the time it was last set to.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Micros, TimerId)>>,
    set: HashMap<TimerId, Micros>,
}

impl Timers {
    /// Sets a timer, or moves it.
    pub fn set(&mut self, timer: TimerId, at: Micros) {
        self.set.insert(timer, at);
        self.heap.push(Reverse((at, timer)));
        self.shrink();
    }

    /// Forgets a timer.
    pub fn remove(&mut self, timer: TimerId) {
        self.set.remove(&timer);
    }

    /// The next timer that is due by `now`.
    pub fn pop(&mut self, now: Micros) -> Option<TimerId> {
        while let Some(Reverse((at, timer))) = self.heap.peek().copied() {
            let wanted = self.set.get(&timer) == Some(&at);
            if wanted && at > now {
                return None;
            }
            self.heap.pop();
            if wanted {
                self.set.remove(&timer);
                return Some(timer);
            }
        }
        None
    }

    /// When the next timer is due.
    pub fn next(&mut self) -> Option<Micros> {
        while let Some(Reverse((at, timer))) = self.heap.peek().copied() {
            if self.set.get(&timer) == Some(&at) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }

    /// Keeps forgotten timers from piling up: at most half of the heap is stale.
    fn shrink(&mut self) {
        if self.heap.len() > 2 * self.set.len() + 64 {
            self.heap = self.set.iter().map(|(timer, at)| Reverse((*at, *timer))).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopwright_types::CallId;

    #[test]
    fn timers_fire_in_order_once_and_not_when_forgotten_or_moved() {
        let timer = |n| TimerId::Sleep(CallId(n));
        let mut timers = Timers::default();
        for (n, at) in [(1, 30), (2, 10), (3, 20), (4, 5)] {
            timers.set(timer(n), Micros(at));
        }
        timers.remove(timer(4));
        timers.set(timer(2), Micros(40));
        assert_eq!(timers.next(), Some(Micros(20)));
        assert_eq!(timers.pop(Micros(15)), None);
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop(Micros(100))).collect();
        assert_eq!(fired, [timer(3), timer(1), timer(2)]);
    }

    #[test]
    fn many_forgotten_timers_take_no_room() {
        let mut timers = Timers::default();
        for n in 0..10_000 {
            timers.set(TimerId::Deadline(CallId(n)), Micros(u64::from(n)));
            timers.remove(TimerId::Deadline(CallId(n)));
        }
        assert!(timers.heap.len() <= 65);
    }
}
