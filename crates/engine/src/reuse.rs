//! Calls whose outcome is taken over from a recorded run: journalled like any other, with no attempt and no usage.

use crate::begin::Begun;
use crate::call::State;
use crate::engine::Engine;
use crate::forecast::Forecast;
use crate::identity::Identity;
use crate::recorded::Recorded;
use loopwright_protocol::{Entry, RunStart, SettleEntry};
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
    /// Whether calls wait for the next entry of the journal that the run is restored from: it says whether their
    /// outcome was taken over.
    deferring: bool,
    deferred: Option<Begun>,
    /// Where the run is only forecast.
    pub forecast: Option<Forecast>,
}

impl Reuse {
    /// For a run that starts like this: only a fork has a past.
    pub fn of(start: &RunStart) -> Option<Box<Self>> {
        let from = start.from.as_ref()?;
        Some(Box::new(Self::new(Recorded::nothing(from.run.clone()), None)))
    }

    /// Nothing is used yet.
    pub fn new(past: Recorded, forecast: Option<Forecast>) -> Self {
        let (made, flowing) = (HashMap::new(), Vec::new());
        Self { past, made, flowing, deferring: false, deferred: None, forecast }
    }
}

impl Engine {
    /// Takes outcomes over from a recorded run: a call whose identity and occurrence has one there that is not refused
    /// gets it, waits for no slot and uses nothing.
    #[must_use]
    pub fn with_past(mut self, past: Recorded) -> Self {
        match &mut self.reuse {
            Some(reuse) => reuse.past = past,
            None => self.reuse = Some(Box::new(Reuse::new(past, None))),
        }
        self
    }

    /// The run is restored from its journal. A fork has there what it took over, whether the run that it was taken
    /// from is still there or not.
    pub(crate) fn defer_begins(&mut self) {
        if let Some(reuse) = &mut self.reuse {
            reuse.deferring = true;
        }
    }

    pub(crate) fn begin_or_defer(&mut self, call: Begun) {
        match &mut self.reuse {
            Some(reuse) if reuse.deferring => reuse.deferred = Some(call),
            _ => self.begin_call(call),
        }
    }

    /// Begins the call that waited for the next entry of the journal, or takes its outcome from there.
    pub(crate) fn begin_deferred(&mut self, next: Option<&Entry>) {
        let Some(reuse) = &mut self.reuse else { return };
        let Some(call) = reuse.deferred.take() else { return };
        match next {
            Some(Entry::Settled(settled))
                if settled.call == call.id && settled.reused.is_some() =>
            {
                *reuse.made.entry(call.identity.digest).or_default() += 1;
                reuse.flowing.push(call.id);
                self.tick(settled.now);
                self.settle_from(call.id, (**settled).clone());
            }
            _ => {
                if let Some(now) = next.and_then(Entry::time) {
                    self.tick(now);
                }
                self.begin_call(call);
            }
        }
    }

    /// The journal has no more entries.
    pub(crate) fn stop_deferring(&mut self) {
        self.begin_deferred(None);
        if let Some(reuse) = &mut self.reuse {
            reuse.deferring = false;
        }
    }

    /// Counts a call among its equals and settles it from the past, if the past has an outcome for it; says so.
    pub(crate) fn take_over(&mut self, id: CallId, identity: Identity, may: bool) -> bool {
        let Some(reuse) = &mut self.reuse else { return false };
        let made = reuse.made.entry(identity.digest).or_default();
        let occurrence = *made;
        *made += 1;
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
            attempt: None,
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
