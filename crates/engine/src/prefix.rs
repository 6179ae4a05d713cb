//! Requests that share a prompt prefix: the first goes alone until its response begins, so that the provider
//! writes the prefix to its cache once and the others read it.

use loopwright_types::{CallId, Digest, Micros};
use std::collections::HashMap;

/// How long a provider keeps a prefix since it was last used: five minutes (Anthropic's and OpenAI's default),
/// less a margin for what is on its way.
const WARM: Micros = Micros::from_millis(280_000);

#[derive(Debug)]
enum Prefix {
    /// This request writes it; the others wait.
    Leading { leader: CallId, waiting: Vec<CallId> },
    /// Written, as far as we know, until then.
    Warm { until: Micros },
}

/// The prefixes of a run.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    known: HashMap<Digest, Prefix>,
    leaders: HashMap<CallId, Digest>,
}

impl Prefixes {
    /// Whether the request may queue up now; else it is kept and given back by [`Prefixes::warmed`] or
    /// [`Prefixes::failed`]. Where the leader does not go on by itself (`leads`) the request takes its place: a leader
    /// that waits for a slot would never get one from siblings that wait for it.
    pub fn may_go(
        &mut self,
        prefix: Digest,
        call: CallId,
        now: Micros,
        leads: impl Fn(CallId) -> bool,
    ) -> bool {
        match self.known.get_mut(&prefix) {
            Some(Prefix::Warm { until }) if *until > now => {
                *until = now.after(WARM);
                true
            }
            Some(Prefix::Leading { leader, waiting }) if !leads(*leader) => {
                let (leader, waiting) = (*leader, std::mem::take(waiting));
                self.leaders.remove(&leader);
                self.lead(prefix, call, waiting);
                true
            }
            Some(Prefix::Leading { waiting, .. }) => {
                waiting.push(call);
                false
            }
            Some(Prefix::Warm { .. }) | None => {
                self.lead(prefix, call, Vec::new());
                true
            }
        }
    }

    fn lead(&mut self, prefix: Digest, leader: CallId, waiting: Vec<CallId>) {
        self.leaders.insert(leader, prefix);
        self.known.insert(prefix, Prefix::Leading { leader, waiting });
    }

    /// The response to a request began; gives the requests that may go now.
    pub fn warmed(&mut self, call: CallId, now: Micros) -> Vec<CallId> {
        let Some(prefix) = self.leaders.remove(&call) else { return Vec::new() };
        match self.known.insert(prefix, Prefix::Warm { until: now.after(WARM) }) {
            Some(Prefix::Leading { waiting, .. }) => waiting,
            _ => Vec::new(),
        }
    }

    /// A request settled without a response: the next one that is still wanted leads, and is given back.
    pub fn failed(&mut self, call: CallId, wanted: impl Fn(CallId) -> bool) -> Option<CallId> {
        let prefix = self.leaders.remove(&call)?;
        let Some(Prefix::Leading { leader, mut waiting }) = self.known.remove(&prefix) else {
            return None;
        };
        debug_assert_eq!(leader, call, "a prefix has one leader");
        waiting.retain(|call| wanted(*call));
        let next = (!waiting.is_empty()).then(|| waiting.remove(0))?;
        self.lead(prefix, next, waiting);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_wait_for_the_first_response_and_no_longer() {
        let mut prefixes = Prefixes::default();
        let (prefix, now) = (Digest::of(b"x"), Micros(0));
        let may =
            |prefixes: &mut Prefixes, n, now| prefixes.may_go(prefix, CallId(n), now, |_| true);
        assert!(may(&mut prefixes, 0, now));
        assert!(!may(&mut prefixes, 1, now) && !may(&mut prefixes, 2, now));
        assert_eq!(prefixes.failed(CallId(0), |call| call != CallId(1)), Some(CallId(2)));
        assert!(!may(&mut prefixes, 3, now));
        assert_eq!(prefixes.warmed(CallId(2), now), [CallId(3)]);
        assert!(may(&mut prefixes, 4, now));
        assert!(may(&mut prefixes, 5, Micros::from_millis(600_000)), "cold again: it leads");
        assert!(!may(&mut prefixes, 6, Micros::from_millis(600_000)));
    }

    #[test]
    fn a_leader_that_cannot_go_on_is_replaced_and_what_waited_for_it_stays() {
        let mut prefixes = Prefixes::default();
        let (prefix, now) = (Digest::of(b"x"), Micros(0));
        assert!(prefixes.may_go(prefix, CallId(0), now, |_| true));
        assert!(!prefixes.may_go(prefix, CallId(1), now, |_| true));
        assert!(prefixes.may_go(prefix, CallId(2), now, |leader| leader != CallId(0)));
        assert_eq!(prefixes.warmed(CallId(0), now), []);
        assert_eq!(prefixes.warmed(CallId(2), now), [CallId(1)]);
    }
}
