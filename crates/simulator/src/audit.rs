//! What must be true of a whole journal, held against the books.

use crate::books::Books;
use loopwright_protocol::{CallKind, Entry, RunFinish};
use loopwright_types::{Attempt, CallId, GuestId, Micros, RunStatus, ScopeId, Usage};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the journal says, gathered in one pass.
#[derive(Default)]
struct Gathered {
    calls: BTreeMap<CallId, GuestId>,
    settled: BTreeSet<CallId>,
    /// Scopes that were cancelled, and calls made in them afterwards.
    cancelled: BTreeSet<(GuestId, ScopeId)>,
    refused: BTreeSet<CallId>,
    delivered: Vec<CallId>,
    intents: HashMap<(CallId, Attempt), Micros>,
    ended: BTreeSet<(CallId, Attempt)>,
    /// Usage of ended attempts of calls without an outcome.
    open: BTreeMap<CallId, Usage>,
    /// Usage of settled calls, and of attempts that ended later.
    used: Usage,
    /// Steps by the task they serve, and what they used by then.
    steps: BTreeMap<CallId, CallId>,
    of_steps: BTreeMap<CallId, Usage>,
    broken: Vec<String>,
    clock: Micros,
}

/// Everything that is wrong with the journal of a run that ended with `status`, or did not end.
pub(crate) fn audit(entries: &[Entry], books: &Books, status: Option<RunStatus>) -> Vec<String> {
    let mut gathered = Gathered::default();
    for entry in entries {
        gathered.take(entry);
    }
    let (Some(status), Some(Entry::RunFinished(finish))) = (status, entries.last()) else {
        if status.is_some() {
            gathered.broken.push("the last entry is not the run's end".to_owned());
        }
        return gathered.broken;
    };
    gathered.check_end(status, finish, books);
    gathered.broken
}

impl Gathered {
    fn demand(&mut self, kept: bool, text: impl FnOnce() -> String) {
        if !kept {
            self.broken.push(text());
        }
    }

    fn take(&mut self, entry: &Entry) {
        if let Some(now) = entry.time() {
            let last = self.clock;
            self.demand(now >= last, || format!("`{}` goes back in time", entry.kind()));
            self.clock = now;
        }
        match entry {
            Entry::Called(call) => {
                let next = self.calls.len() as u32;
                self.demand(call.call.0 == next, || format!("call {} out of order", call.call));
                self.calls.insert(call.call, call.guest);
                if self.cancelled.contains(&(call.guest, call.scope)) {
                    self.refused.insert(call.call);
                }
            }
            Entry::Stepped(step) => {
                let next = self.calls.len() as u32;
                self.demand(step.call.0 == next, || format!("step {} out of order", step.call));
                // What a settled task left in its worktree is still looked at.
                let is_left = step.kind == CallKind::Worktree && step.name == "finish";
                let open = is_left || !self.settled.contains(&step.task);
                self.demand(open, || format!("step {} of a settled task", step.call));
                let guest = self.calls.get(&step.task).copied().unwrap_or_default();
                self.calls.insert(step.call, guest);
                self.steps.insert(step.call, step.task);
            }
            Entry::ScopeCancelled { guest, scope, .. } => {
                self.cancelled.insert((*guest, *scope));
            }
            Entry::AttemptStarted(start) => {
                self.intents.insert((start.call, start.attempt), start.now);
            }
            Entry::AttemptEnded(end) => {
                let again = !self.ended.insert((end.call, end.attempt));
                self.demand(!again, || format!("{} of {} ended twice", end.attempt, end.call));
                let known = self.intents.contains_key(&(end.call, end.attempt));
                self.demand(known, || format!("{} of {} ended unbegun", end.attempt, end.call));
                if self.settled.contains(&end.call) {
                    self.used.add(end.usage);
                } else {
                    self.open.entry(end.call).or_default().add(end.usage);
                }
            }
            Entry::Settled(settled) => {
                let sent = settled.attempts > 0 && self.refused.contains(&settled.call);
                self.demand(!sent, || format!("{} sent from a cancelled scope", settled.call));
                let known = self.calls.contains_key(&settled.call);
                self.demand(known, || format!("{} settled, never called", settled.call));
                self.settled.insert(settled.call);
                self.open.remove(&settled.call);
                // A task's usage holds that of its steps.
                let counted = self.of_steps.get(&settled.call).copied().unwrap_or_default();
                self.used.add(less(settled.usage, counted));
                if let Some(task) = self.steps.get(&settled.call) {
                    self.of_steps.entry(*task).or_default().add(settled.usage);
                }
            }
            Entry::Turn(turn) => {
                for call in &turn.settled {
                    let known = self.settled.contains(call);
                    self.demand(known, || format!("{call} delivered before it was settled"));
                    let own = self.calls.get(call) == Some(&turn.guest);
                    self.demand(own, || format!("{call} delivered to another guest"));
                }
                self.delivered.extend(&turn.settled);
            }
            _ => {}
        }
    }

    fn check_end(&mut self, status: RunStatus, finish: &RunFinish, books: &Books) {
        self.demand(finish.status == status, || "status differs from the journal's".to_owned());
        let mut distinct = self.delivered.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let once = distinct.len() == self.delivered.len();
        self.demand(once, || "a call was delivered twice".to_owned());
        let stopped = status.waits() || status == RunStatus::Cancelled || finish.external;
        let settled = self.settled.len() == self.calls.len() || stopped;
        self.demand(settled, || "a call has no outcome at the end of the run".to_owned());
        let running: Vec<_> =
            books.executions.iter().filter(|one| one.ended.is_none() && !one.lost).collect();
        self.demand(running.is_empty(), || format!("still under way at the end: {running:?}"));
        let (told, used) = (finish.usage, books.usage());
        self.demand(told == used, || format!("usage told {told:?}, used {used:?}"));
        self.open.values().for_each(|usage| self.used.add(*usage));
        let written = self.used;
        self.demand(written == used, || format!("usage written {written:?}, used {used:?}"));
        let guests = books.guests_left();
        // The guests of a parked run are the host's to keep: it may put them to sleep.
        let dropped = guests.is_empty() || status.waits();
        self.demand(dropped, || format!("guests never dropped: {guests:?}"));
        let named = [RunStatus::Complete, RunStatus::Degraded].contains(&status);
        self.demand(finish.result.is_some() || !named, || "no result".to_owned());
        self.demand(finish.error.is_none() || !named, || "an error beside a result".to_owned());
        if named {
            let program: Vec<CallId> = self
                .calls
                .iter()
                .filter(|(call, guest)| guest.0 == 0 && !self.steps.contains_key(call))
                .map(|(call, _)| *call)
                .collect();
            let missed = program.iter().find(|call| !distinct.contains(call));
            self.demand(missed.is_none(), || format!("call {missed:?} was never delivered"));
        }
    }
}

fn less(all: Usage, part: Usage) -> Usage {
    Usage {
        input_tokens: all.input_tokens - part.input_tokens,
        output_tokens: all.output_tokens - part.output_tokens,
        cache_read_tokens: all.cache_read_tokens - part.cache_read_tokens,
        cache_write_tokens: all.cache_write_tokens - part.cache_write_tokens,
        usd_micros: all.usd_micros - part.usd_micros,
        estimated_tokens: all.estimated_tokens - part.estimated_tokens,
    }
}
