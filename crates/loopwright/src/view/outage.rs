//! Providers that did not answer: since when, who waits, whether anything goes on meanwhile.

use super::RunView;
use super::call::NOTE_CHARS_MAX;
use super::preview::preview_text;
use super::step::StepState;
use loopwright_protocol::CallKind;
use loopwright_types::{Code, Failure, Micros};
use std::sync::Arc;

/// Outages kept that are over; older ones are forgotten.
pub(super) const OUTAGES_MAX: usize = 100;

/// A time in which a provider counted as down.
#[derive(Clone, Debug)]
pub struct Outage {
    /// The provider.
    pub provider: Arc<str>,
    /// When its breaker opened.
    pub since: Micros,
    /// When it answered again; nothing while it is down.
    pub until: Option<Micros>,
    /// Code of the failure that opened the breaker.
    pub code: Code,
    /// Its message, shortened.
    pub message: Box<str>,
    /// Requests that went out since, to see whether it is back.
    pub asked: u32,
}

impl Outage {
    /// How long it took, or has taken at `now`.
    pub fn took(&self, now: Micros) -> Micros {
        self.until.unwrap_or(now).since(self.since)
    }
}

impl RunView {
    /// Providers that are down now.
    pub fn down(&self) -> &[Outage] {
        &self.down
    }

    /// Outages that are over, oldest first.
    pub fn outages(&self) -> impl DoubleEndedIterator<Item = &Outage> + ExactSizeIterator {
        self.outages.iter()
    }

    /// Longest time between two requests that ask whether a provider is back.
    pub fn probe_max(&self) -> Option<Micros> {
        self.header().and_then(|header| header.probe_max)
    }

    /// The last outage of a provider that is over.
    pub fn last_outage(&self, provider: &str) -> Option<&Outage> {
        self.outages.iter().rfind(|outage| &*outage.provider == provider)
    }

    /// Tasks whose next reply has to come from this provider.
    pub fn needing(&self, provider: &str) -> usize {
        let open = self.steps.values().filter(|step| {
            step.kind == CallKind::Model
                && step.state != StepState::Over
                && self.models.provider(&step.name) == provider
        });
        open.count() // a conversation has one request at a time
    }

    /// Whether nothing goes on because every call under way waits for a provider that is down.
    pub fn is_parked(&self) -> bool {
        let working = self.under_way().filter(|call| {
            // What waits for the clock or consists of other calls does not work itself.
            !matches!(call.kind, CallKind::Sleep | CallKind::Workflow)
        });
        let mut working = working.peekable();
        !self.down.is_empty()
            && working.peek().is_some()
            && working.all(|call| {
                let mut steps = self.steps_of(call.call).map(|(_, step)| step).peekable();
                steps.peek().is_some() && steps.all(|step| self.needs_down(step))
            })
    }

    pub(super) fn is_down(&self, provider: &str) -> bool {
        self.down.iter().any(|outage| &*outage.provider == provider)
    }

    pub(super) fn provider_down(&mut self, now: Micros, provider: &str, failure: &Failure) {
        self.tick(now);
        if self.is_down(provider) {
            return;
        }
        let provider = self.name(provider);
        let message = preview_text(&failure.message, NOTE_CHARS_MAX);
        let (since, until, code) = (now, None, failure.code);
        self.down.push(Outage { provider, since, until, code, message, asked: 0 });
    }

    pub(super) fn provider_up(&mut self, now: Micros, provider: &str) {
        self.tick(now);
        let Some(at) = self.down.iter().position(|outage| &*outage.provider == provider) else {
            return;
        };
        let outage = self.down.remove(at);
        if self.outages.len() == OUTAGES_MAX {
            self.outages.pop_front();
        }
        self.outages.push_back(Outage { until: Some(now), ..outage });
    }
}
