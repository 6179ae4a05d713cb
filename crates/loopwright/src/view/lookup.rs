//! Lookups of calls in doubt: attempts that do nothing themselves and tell what became of another one.

use super::call::NOTE_CHARS_MAX;
use super::preview::preview_text;
use super::{CallStatus, RunView};
use loopwright_protocol::{EndEntry, Found, Outcome, StartEntry};
use loopwright_types::{Attempt, CallId, Reason};

impl RunView {
    /// Whether the attempt looks up what became of another one.
    pub(super) fn is_lookup(&self, call: CallId, attempt: Attempt) -> bool {
        self.lookups.contains(&(call, attempt))
    }

    /// The number of an attempt among those of its call that were no lookups.
    pub(super) fn counted(&self, call: CallId, attempt: Attempt) -> u32 {
        let before = self.lookups.range((call, Attempt(0))..(call, attempt)).count();
        attempt.0.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX))
    }

    /// Takes an attempt that is a lookup.
    pub(super) fn lookup_started(&mut self, entry: &StartEntry) {
        self.lookups.insert((entry.call, entry.attempt));
        self.step_looked_up(entry.call, "looked up");
        if self.is_open(entry.call)
            && let Some(view) = self.shift(entry.call, CallStatus::Running)
        {
            view.note = Some("being looked up: what became of it".into());
        }
    }

    /// A lookup ended: what it found out, as the call's note.
    pub(super) fn lookup_ended(&mut self, entry: &EndEntry) {
        match Found::of(&entry.outcome) {
            _ if cut_off(&entry.outcome) => {} // it had no time to find anything out
            Found::Done(_) => {
                self.looked_up[0] += 1;
                self.lost.remove(&entry.call);
            }
            Found::NotDone => self.looked_up[1] += 1,
            Found::Unknown(_) => self.looked_up[2] += 1,
        }
        let note = preview_text(&found_words(&entry.outcome), NOTE_CHARS_MAX);
        self.step_looked_up(entry.call, &note);
        if let Some(view) = self.calls.get_mut(&entry.call).filter(|it| !it.status.is_final()) {
            view.note = Some(note);
        }
    }

    /// Lookups that found that something was done, that it was not, and those that found nothing out.
    pub fn looked_up(&self) -> [u32; 3] {
        self.looked_up
    }

    /// What lookups found out, in words; nothing where there was none.
    pub(super) fn looked_up_words(&self) -> Option<String> {
        let [done, not_done, unknown] = self.looked_up;
        let parts = [(done, "done"), (not_done, "not done"), (unknown, "unknown")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
        (!parts.is_empty()).then(|| format!("looked up: {}", parts.join(", ")))
    }
}

/// `looked up: not done`.
pub(super) fn found_words(outcome: &Outcome) -> String {
    match Found::of(outcome) {
        _ if cut_off(outcome) => "looked up: cut off before it told anything".to_owned(),
        Found::Done(_) => "looked up: it was done".to_owned(),
        Found::NotDone => "looked up: it was not done".to_owned(),
        Found::Unknown(why) => format!("looked up: unknown: {why}"),
    }
}

/// Whether the lookup was ended with its call or its run.
fn cut_off(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.reason == Reason::Cancelled)
}
