//! What becomes of calls: the part of the reducer that moves them from status to status.

use super::call::{NOTE_CHARS_MAX, value_note};
use super::cost::{came_back_tokens, less};
use super::preview::preview_text;
use super::{CallStatus, CallView, RunView};
use loopwright_protocol::{CallEntry, EndEntry, Outcome, Progress, SettleEntry, StartEntry};
use loopwright_types::{Attempt, CallId, Micros};

impl RunView {
    pub(super) fn called(&mut self, entry: &CallEntry) {
        let group = match &entry.phase {
            Some(title) => self.phase(entry.guest, title),
            None => self.wave(entry),
        };
        let subagent = entry.subagent.as_deref().map(|name| self.name(name));
        let called = self.guests.get(&entry.guest).map_or(self.now, |guest| guest.now);
        let view = CallView::new(entry, group, subagent, called);
        let index = group as usize;
        let (all, of_group) = if view.kind.is_task() {
            (&mut self.tasks, &mut self.groups[index].tasks)
        } else {
            (&mut self.others, &mut self.groups[index].others)
        };
        all.add(view.status);
        of_group.add(view.status);
        self.groups[index].calls.push(entry.call);
        self.open_groups.insert(group);
        self.calls.insert(entry.call, view);
    }

    /// Moves a call to another status and keeps every count right. Nothing for an unknown call.
    pub(super) fn shift(&mut self, call: CallId, to: CallStatus) -> Option<&mut CallView> {
        let view = self.calls.get_mut(&call)?;
        let from = std::mem::replace(&mut view.status, to);
        let group = &mut self.groups[view.group as usize];
        let (all, of_group) = if view.kind.is_task() {
            (&mut self.tasks, &mut group.tasks)
        } else {
            (&mut self.others, &mut group.others)
        };
        all.shift(from, to);
        of_group.shift(from, to);
        if group.tasks.unfinished() + group.others.unfinished() == 0 {
            self.open_groups.remove(&view.group);
        }
        if matches!(to, CallStatus::Running | CallStatus::Retrying) {
            self.under_way.insert(call);
        } else {
            self.under_way.remove(&call);
        }
        Some(view)
    }

    /// Whether the call is there and has no outcome yet.
    pub(super) fn is_open(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|view| !view.status.is_final())
    }

    pub(super) fn attempt_started(&mut self, entry: &StartEntry) {
        self.tick(entry.now);
        if entry.looks_up.is_some() {
            return self.lookup_started(entry);
        }
        if self.steps.contains_key(&entry.call) {
            return self.went_out(entry.call, entry.attempt, entry.now);
        }
        if !self.is_open(entry.call) {
            return;
        }
        let asked = entry.subagent.as_deref().map(|name| self.name(name));
        if let Some(view) = self.calls.get_mut(&entry.call) {
            view.subagent = asked.or(view.subagent.take());
        }
        if !entry.ahead {
            self.went_out(entry.call, entry.attempt, entry.now);
        }
    }

    pub(super) fn went_out(&mut self, call: CallId, attempt: Attempt, now: Micros) {
        self.repeats(call);
        if self.step_started(call, attempt, now) || !self.is_open(call) {
            return;
        }
        let number = self.counted(call, attempt);
        if let Some(view) = self.shift(call, CallStatus::Running) {
            view.attempts = view.attempts.max(number);
            view.started.get_or_insert(now);
            view.note = None;
        }
    }

    pub(super) fn progressed(
        &mut self,
        call: CallId,
        attempt: Attempt,
        now: Micros,
        progress: &Progress,
    ) {
        self.tick(now);
        if self.is_lookup(call, attempt) {
            return;
        }
        self.step_progressed(call, progress);
        let number = self.counted(call, attempt);
        let Some(view) = self.calls.get_mut(&call) else { return };
        if let Progress::Message(text) = progress
            && view.status == CallStatus::Running
            && view.attempts == number
        {
            view.note = Some(preview_text(text, NOTE_CHARS_MAX));
        }
    }

    pub(super) fn attempt_ended(&mut self, entry: &EndEntry) {
        self.tick(entry.now);
        self.usage.add(entry.usage);
        let is_lookup = self.is_lookup(entry.call, entry.attempt);
        if self.step_attempt_ended(entry) {
            if is_lookup {
                self.lookup_ended(entry);
            }
            return;
        }
        self.cache.count(None, entry.usage);
        if !self.is_open(entry.call) {
            if let Some(view) = self.calls.get_mut(&entry.call) {
                view.usage.add(entry.usage); // an attempt that outlived its call is still paid for
            }
            return;
        }
        if let Some(view) = self.shift(entry.call, CallStatus::Retrying) {
            view.usage.add(entry.usage);
            view.note = match &entry.outcome {
                Outcome::Failed(failure) => Some(preview_text(&failure.message, NOTE_CHARS_MAX)),
                Outcome::Done(_) => None,
            };
        }
        if is_lookup {
            self.lookup_ended(entry);
        }
    }

    pub(super) fn settled(&mut self, entry: &SettleEntry) {
        self.tick(entry.now);
        if self.step_settled(entry) || !self.is_open(entry.call) {
            return;
        }
        let status = CallStatus::of(&entry.outcome);
        let Some(view) = self.shift(entry.call, status) else { return };
        view.attempts = view.attempts.max(entry.attempts);
        view.started = view.started.or(entry.started);
        view.ended = Some(entry.now);
        view.fallback = entry.fallback;
        view.reused = entry.reused.is_some();
        let (note, failure) = match (&entry.outcome, &entry.hidden) {
            (Outcome::Done(value), hidden) => (value_note(value), hidden.as_ref()),
            (Outcome::Failed(failure), _) => {
                (preview_text(&failure.message, NOTE_CHARS_MAX), Some(failure))
            }
        };
        view.note = Some(note);
        view.failure = failure.map(|failure| (failure.reason, failure.code));
        view.came_back_tokens = came_back_tokens(entry);
        // What its steps and its earlier attempts used is counted already.
        let (rest, brief) = (less(entry.usage, view.usage), view.is_brief());
        view.usage.add(rest);
        self.usage.add(rest);
        self.cache.count(None, rest);
        self.reused.count(entry.reused.as_deref());
        if brief {
            self.brief = Some(entry.call);
        }
    }
}
