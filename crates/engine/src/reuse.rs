//! Calls whose outcome is taken over from a recorded run: journalled like any other, with no attempt and no usage.

use crate::call::State;
use crate::engine::Engine;
use crate::forecast::Forecast;
use crate::identity::Identity;
use crate::recorded::Recorded;
use loopwright_protocol::{Entry, SettleEntry};
use loopwright_types::{CallId, Digest, Usage};
use std::collections::HashMap;

/// A past and how far it is used up.
#[derive(Debug)]
pub(crate) struct Reuse {
    pub past: Recorded,
    /// Calls made so far, by identity.
    made: HashMap<Digest, u32>,
    /// Calls settled from the past that were not delivered when last looked at.
    flowing: Vec<CallId>,
    /// Outcomes that the run's own journal has as taken over, where it goes on after a crash.
    journalled: HashMap<CallId, SettleEntry>,
    /// Where the run is only forecast.
    pub forecast: Option<Forecast>,
}

impl Reuse {
    /// Nothing is used yet.
    pub fn new(past: Recorded, forecast: Option<Forecast>) -> Self {
        let (made, journalled) = (HashMap::new(), HashMap::new());
        Self { past, made, flowing: Vec::new(), journalled, forecast }
    }
}

impl Engine {
    /// Takes outcomes over from a recorded run: a call whose identity and occurrence has one there that is not refused
    /// gets it, waits for no slot and uses nothing.
    #[must_use]
    pub fn with_past(mut self, past: Recorded) -> Self {
        let journalled = self.reuse.take().map(|reuse| reuse.journalled).unwrap_or_default();
        self.reuse = Some(Box::new(Reuse { journalled, ..Reuse::new(past, None) }));
        self
    }

    /// For a fork that goes on from its own journal: what it has taken over already is taken from there, whether the
    /// run that it was taken from is still there or not. Give it the journal's entries before they are gone through.
    #[must_use]
    pub fn with_taken_over<'e>(mut self, entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let taken = entries.into_iter().filter_map(|entry| match entry {
            Entry::Settled(settled) if settled.reused.is_some() => Some((**settled).clone()),
            _ => None,
        });
        let taken: HashMap<CallId, SettleEntry> = taken.map(|entry| (entry.call, entry)).collect();
        if taken.is_empty() {
            return self;
        }
        let nothing = || Box::new(Reuse::new(Recorded::nothing(self.run.clone()), None));
        self.reuse.get_or_insert_with(nothing).journalled = taken;
        self
    }

    /// Counts a call among its equals and settles it from the past, if the past has an outcome for it; says so.
    pub(crate) fn take_over(&mut self, id: CallId, identity: Identity, may: bool) -> bool {
        let Some(reuse) = &mut self.reuse else { return false };
        let made = reuse.made.entry(identity.digest).or_default();
        let occurrence = *made;
        *made += 1;
        if let Some(entry) = reuse.journalled.remove(&id) {
            reuse.flowing.push(id);
            self.settle_from(id, entry);
            return true;
        }
        let found = reuse.past.find(&identity.digest, occurrence);
        if let Some(forecast) = &mut reuse.forecast {
            forecast.made(id, identity, found);
        }
        let Some(call) = found.map(|at| &reuse.past.calls()[at]).filter(|_| may) else {
            return false;
        };
        let (None, Some(settled)) = (call.refused, &call.settled) else { return false };
        let reused = Some(Box::new(call.origin(reuse.past.run())));
        let entry = SettleEntry {
            call: id,
            now: self.now,
            outcome: settled.outcome.clone(),
            attempts: 0,
            subagent: settled.subagent.clone(),
            usage: Usage::default(),
            started: None,
            fallback: false,
            hidden: None,
            salvage: None,
            worktree: settled.worktree.clone(),
            reused,
        };
        if let Some(forecast) = &mut reuse.forecast {
            forecast.hit(id);
        }
        reuse.flowing.push(id);
        self.settle_from(id, entry);
        true
    }

    /// Settles a call that nothing was begun for.
    pub(crate) fn settle_from(&mut self, id: CallId, entry: SettleEntry) {
        let call = &mut self.calls[id.0 as usize];
        assert!(!call.is_settled(), "a call is settled once");
        call.state = State::Settled;
        call.task = None;
        let entry = Box::new(entry);
        call.settled = Some(entry.clone());
        let guest = call.guest;
        self.guests[guest.0 as usize].unsettled.remove(&id);
        self.count(id, &entry.outcome);
        self.append(Entry::Settled(entry));
        self.deliver_when_durable(id);
    }

    /// Whether outcomes from the past are still on their way to the program. New work waits until they have arrived:
    /// what they make unwanted (the losers of a race that the past decided) is never sent.
    pub(crate) fn is_reusing(&mut self) -> bool {
        let Some(reuse) = &mut self.reuse else { return false };
        let (calls, guests) = (&self.calls, &self.guests);
        reuse.flowing.retain(|id| {
            let call = &calls[id.0 as usize];
            call.settled.is_some() && !guests[call.guest.0 as usize].ended
        });
        !reuse.flowing.is_empty()
    }
}
