//! What lookups said of calls in doubt, and under which keys work goes out.

use super::{Books, LOOKUP};
use loopwright_protocol::{Dispatch, Found};
use loopwright_types::{Attempt, CallId, Effects};

impl Books {
    /// A lookup told what became of a call.
    pub(super) fn found_out(&mut self, call: CallId, found: &Found) {
        match found {
            Found::Done(_) => {
                let served_by = self.sent(call).map(|it| it.served_by.clone()).unwrap_or_default();
                // Where what was looked up does not match, a fallback may stand in.
                self.doubtful.remove(&call);
                self.found.insert(call, served_by);
            }
            Found::NotDone => {
                self.doubtful.remove(&call);
                self.decided.insert(call);
            }
            Found::Unknown(_) => {}
        }
    }

    /// Whether this attempt was a lookup that said so.
    pub(super) fn said_not_done(&self, call: CallId, attempt: Attempt) -> bool {
        let told = self.index.get(&(call, attempt)).map(|at| &self.executions[*at]);
        let told = told.filter(|it| it.served_by == LOOKUP);
        let ended = told.and_then(|it| it.ended.as_ref());
        ended.is_some_and(|(_, outcome)| Found::of(outcome) == Found::NotDone)
    }

    /// What is looked up, or sent again because nothing is known of its result, goes under the key that it had.
    pub(super) fn check_key(&mut self, dispatch: &Dispatch, served_by: &str) {
        let (call, key) = (dispatch.call, dispatch.key);
        let Some(before) = self.sent(call) else { return };
        let is_unknown = before.lost && before.effects != Effects::None;
        let bound = served_by == LOOKUP || (is_unknown && before.served_by == served_by);
        let same = before.key == key;
        self.demand(same || !bound, || {
            format!("{served_by} of call {call} has another key: {key}")
        });
    }
}
