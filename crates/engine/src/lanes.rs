//! Queues and caps: which task goes next. One lane per subagent type, so that a type at its cap
//! never holds up another; among lanes with room the oldest call goes first.

use loopwright_types::CallId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Index of a subagent type in the run's list.
pub(crate) type SubagentIndex = usize;

#[derive(Debug, Default)]
struct Lane {
    provider: usize,
    running: usize,
    running_max: usize,
    queue: BinaryHeap<Reverse<CallId>>,
    /// Calls from the front of the queue whose intents are written ahead, oldest first.
    ahead: VecDeque<CallId>,
}

impl Lane {
    /// The oldest call that is still wanted, and whether its intent is written ahead.
    fn oldest(&mut self, wanted: &impl Fn(CallId) -> bool) -> Option<(CallId, bool)> {
        while self.ahead.front().is_some_and(|call| !wanted(*call)) {
            self.ahead.pop_front();
        }
        while self.queue.peek().is_some_and(|Reverse(call)| !wanted(*call)) {
            self.queue.pop();
        }
        let queued = self.queue.peek().map(|Reverse(call)| (*call, false));
        // A retry goes back into the queue and may be older than what was taken from it.
        self.ahead.front().map(|call| (*call, true)).into_iter().chain(queued).min()
    }

    fn take(&mut self, is_ahead: bool) {
        if is_ahead {
            self.ahead.pop_front();
        } else {
            self.queue.pop();
        }
    }
}

#[derive(Debug)]
struct Provider {
    running: usize,
    running_max: usize,
}

/// All queues of a run.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    providers: Vec<Provider>,
    running: usize,
    running_max: usize,
}

impl Lanes {
    /// `subagents` gives each type's provider key and own cap.
    pub fn new<'a>(
        running_max: usize,
        provider_max: usize,
        subagents: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Self {
        let mut keys = BTreeMap::new();
        let mut providers = Vec::new();
        let lane = |(key, cap): (&'a str, usize)| {
            let provider = *keys.entry(key).or_insert_with(|| {
                providers.push(Provider { running: 0, running_max: provider_max });
                providers.len() - 1
            });
            Lane { provider, running_max: cap, ..Lane::default() }
        };
        let lanes = subagents.into_iter().map(lane).collect();
        Self { lanes, providers, running: 0, running_max }
    }

    /// Adds a call that waits for a slot.
    pub fn push(&mut self, lane: SubagentIndex, call: CallId) {
        self.lanes[lane].queue.push(Reverse(call));
    }

    /// Takes the oldest call that every cap has room for, and its slot. Calls for which `wanted` is
    /// false (settled meanwhile) are dropped on the way.
    pub fn pop(&mut self, wanted: impl Fn(CallId) -> bool) -> Option<(SubagentIndex, CallId)> {
        if self.running >= self.running_max {
            return None;
        }
        let mut best: Option<(CallId, bool, SubagentIndex)> = None;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let oldest = lane.oldest(&wanted);
            let provider = &self.providers[lane.provider];
            let room = lane.running < lane.running_max && provider.running < provider.running_max;
            if let Some((call, is_ahead)) = oldest.filter(|_| room)
                && best.is_none_or(|(oldest, ..)| call < oldest)
            {
                best = Some((call, is_ahead, index));
            }
        }
        let (call, is_ahead, index) = best?;
        let lane = &mut self.lanes[index];
        lane.take(is_ahead);
        lane.running += 1;
        self.providers[lane.provider].running += 1;
        self.running += 1;
        Some((index, call))
    }

    /// Takes the oldest calls out of the queues, up to `most` waiting in all, so that their intents can be
    /// written before they have a slot; they go next all the same. A lane stops at the first call for which
    /// `may` is false.
    pub fn look_ahead(
        &mut self,
        most: usize,
        wanted: impl Fn(CallId) -> bool,
        may: impl Fn(CallId) -> bool,
    ) -> Vec<CallId> {
        let mut waiting: usize = self.lanes.iter().map(|lane| lane.ahead.len()).sum();
        let mut taken = Vec::new();
        for lane in &mut self.lanes {
            while waiting < most
                && let Some((call, false)) = lane.oldest(&wanted).map(|oldest| {
                    // What is ahead already goes before the queue: look behind it.
                    lane.queue.peek().map_or(oldest, |Reverse(call)| (*call, false))
                })
                && may(call)
            {
                lane.queue.pop();
                let at = lane.ahead.partition_point(|other| *other < call);
                lane.ahead.insert(at, call);
                taken.push(call);
                waiting += 1;
            }
        }
        taken
    }

    /// Takes a slot for a call that had one when its run was interrupted.
    pub fn take(&mut self, index: SubagentIndex) {
        let lane = &mut self.lanes[index];
        lane.running += 1;
        self.providers[lane.provider].running += 1;
        self.running += 1;
    }

    /// Gives a slot back.
    pub fn release(&mut self, index: SubagentIndex) {
        let lane = &mut self.lanes[index];
        assert!(lane.running > 0 && self.running > 0, "a slot is given back once");
        lane.running -= 1;
        self.providers[lane.provider].running -= 1;
        self.running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lanes: &mut Lanes) -> Vec<u32> {
        std::iter::from_fn(|| lanes.pop(|_| true)).map(|(_, call)| call.0).collect()
    }

    #[test]
    fn a_type_at_its_cap_never_holds_up_another() {
        let mut lanes = Lanes::new(10, 10, [("a", 1), ("a", 5)]);
        for (lane, call) in [(0, 0), (0, 1), (1, 2), (1, 3)] {
            lanes.push(lane, CallId(call));
        }
        assert_eq!(order(&mut lanes), [0, 2, 3]);
        lanes.release(0);
        assert_eq!(order(&mut lanes), [1]);
    }

    #[test]
    fn run_and_provider_caps_hold_and_the_oldest_goes_first() {
        let mut lanes = Lanes::new(3, 2, [("a", 9), ("a", 9), ("b", 9)]);
        for (lane, call) in [(2, 5), (1, 1), (0, 0), (0, 2), (2, 3), (2, 4)] {
            lanes.push(lane, CallId(call));
        }
        assert_eq!(order(&mut lanes), [0, 1, 3]);
        assert_eq!(lanes.running, 3);
    }

    #[test]
    fn a_call_settled_while_queued_takes_no_slot() {
        let mut lanes = Lanes::new(1, 1, [("a", 1)]);
        lanes.push(0, CallId(0));
        lanes.push(0, CallId(1));
        assert_eq!(lanes.pop(|call| call.0 != 0), Some((0, CallId(1))));
    }
}
