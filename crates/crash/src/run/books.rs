//! What was seen from outside: what providers were asked by whom and what they answered, what the host reported
//! durable and when, what guests were handed. The journal is not asked.

use super::work::{Key, effects};
use loopwright_protocol::{Dispatch, GuestStart, Outcome, TurnInput, Work};
use loopwright_types::{Attempt, CallId, Effects, GuestId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A provider was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub life: u64,
    pub call: CallId,
    pub attempt: Attempt,
    /// The attempt whose idempotency key it was asked under.
    pub under: Attempt,
    pub key: Key,
    pub work: Work,
    /// How the provider ended it. An effect is done then.
    pub ended: Option<Outcome>,
    /// It went down with the system that had asked: it is never done.
    pub lost: bool,
    /// Its answer is known to be durable, or a guest has it.
    pub sure: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub asked: Vec<Asked>,
    pub broken: Vec<String>,
    /// Guests' turns in their order, and how many of them are durable.
    turns: Vec<(GuestId, TurnInput)>,
    turns_durable: usize,
    /// Turns of the life under way.
    turned: usize,
    starts: BTreeMap<GuestId, GuestStart>,
    calls: HashMap<CallId, Key>,
    /// Work with effects that may be sent again, under this key: whoever sends it was told that it was not done.
    not_done: HashSet<(Key, Attempt)>,
    /// Under which keys the effects of work were done.
    done: HashMap<Key, Vec<(CallId, Attempt)>>,
    /// The end that was told to whoever waits for the run.
    pub told: Option<loopwright_types::RunStatus>,
}

impl Books {
    pub fn demand(&mut self, kept: bool, what: impl FnOnce() -> String) {
        if !kept {
            self.broken.push(what());
        }
    }

    /// Returns the number of the question.
    pub fn ask(&mut self, life: u64, dispatch: &Dispatch) -> usize {
        let (call, attempt, work) = (dispatch.call, dispatch.attempt, dispatch.work.clone());
        let (key, under) = (Key::of(&work), dispatch.key);
        if let Work::LookUp(sent) = &work {
            self.looks_up(call, attempt, &key, &Key::of(sent));
        } else {
            self.sends(call, attempt, &key, under, &work);
        }
        self.asked.push(Asked {
            life,
            call,
            attempt,
            under,
            key,
            work,
            ended: None,
            lost: false,
            sure: false,
        });
        self.asked.len() - 1
    }

    /// Work is sent: none that was finished, and no effect twice, unless whoever sends it was told that it was not done.
    fn sends(&mut self, call: CallId, attempt: Attempt, key: &Key, under: Attempt, work: &Work) {
        let name = format!("{attempt} of call {call} (`{}`)", key.0);
        let over = self.told.is_some();
        self.demand(!over, || format!("{name} is sent after the run's end"));
        let before = self.asked.iter().filter(|one| one.key == *key);
        let (mut finished, mut again, mut asked) = (false, false, false);
        for one in before {
            asked = true;
            finished |= one.sure && matches!(one.ended, Some(Outcome::Done(_)));
            again |= one.sure && (one.call, one.attempt) == (call, attempt);
        }
        self.demand(!finished, || format!("{name} was finished and is sent again"));
        self.demand(!again, || format!("{name} has ended and goes out again"));
        let told = self.not_done.remove(&(key.clone(), under));
        let twice = asked && effects(work) != Effects::None && !told;
        self.demand(!twice, || format!("{name}, under key {under}: its effect is done twice"));
        let known = self.calls.entry(call).or_insert_with(|| key.clone()).clone();
        self.demand(known == *key, || format!("call {call} was `{}` and is `{}`", known.0, key.0));
    }

    /// It is asked what became of work: that may be asked as often as one likes, each time anew.
    fn looks_up(&mut self, call: CallId, attempt: Attempt, key: &Key, sent: &Key) {
        let name = format!("{attempt} of call {call} (`{}`)", key.0);
        let over = self.told.is_some();
        self.demand(!over, || format!("{name} is sent after the run's end"));
        let again = self.asked.iter().any(|one| (one.call, one.attempt) == (call, attempt));
        self.demand(!again, || format!("{name} goes out again"));
        let known = self.calls.get(&call).is_none_or(|known| known == sent);
        self.demand(known, || format!("{name} looks up what the call is not"));
    }

    /// The system went down: some of what was under way goes with it, the rest arrives later.
    pub fn went_down(&mut self, mut goes: impl FnMut() -> bool) {
        let under_way = self.asked.iter_mut().filter(|one| one.ended.is_none() && !one.lost);
        for one in under_way.filter(|one| effects(&one.work) != Effects::None) {
            one.lost = goes();
        }
    }

    /// Whoever sent this was told that it was not done.
    pub fn was_not_done(&mut self, work: &Work, under: Attempt) {
        self.not_done.insert((Key::of(work), under));
    }

    /// A provider does something that is not to be done twice.
    pub fn does(&mut self, number: usize) {
        let asked = &self.asked[number];
        if effects(&asked.work) == Effects::None {
            return;
        }
        let (name, by) = (asked.key.0.clone(), (asked.call, asked.under));
        let done = self.done.entry(asked.key.clone()).or_default();
        done.push(by);
        let keys = done.clone();
        self.demand(keys.len() == 1, || format!("`{name}` is done twice, under {keys:?}"));
    }

    /// How often this was asked and answered.
    pub fn answered(&self, key: &Key) -> usize {
        self.asked.iter().filter(|one| one.key == *key && one.ended.is_some()).count()
    }

    /// A life begins: its guests begin anew.
    pub fn begin_life(&mut self) {
        self.turned = 0;
        // A call of a turn that was not durable may be another one now.
        let asked: Vec<CallId> = self.asked.iter().map(|one| one.call).collect();
        self.calls.retain(|call, _| asked.contains(call));
    }

    /// Turns up to this one are durable.
    pub fn turns_are_durable(&mut self, count: usize) {
        self.turns_durable = self.turns_durable.max(count);
    }

    pub fn guest_started(&mut self, guest: GuestId, start: &GuestStart) {
        let pinned = self.turns[..self.turns_durable.min(self.turns.len())]
            .iter()
            .any(|(of, _)| *of == guest);
        let same = !pinned || self.starts.get(&guest) == Some(start);
        self.demand(same, || format!("guest {guest} begins with something else than before"));
        self.starts.insert(guest, start.clone());
    }

    /// A guest is handed this; what was durable of a life before must come again, word for word.
    pub fn turn(&mut self, guest: GuestId, input: &TurnInput) {
        let at = self.turned;
        self.turned += 1;
        let same = self.turns.get(at).is_some_and(|(of, was)| (*of, was) == (guest, input));
        let pinned = at < self.turns_durable;
        let before = self.turns.get(at).cloned();
        self.demand(same || !pinned, || {
            format!("turn {at} of guest {guest}: {input:?} is not what it was: {before:?}")
        });
        if !same {
            self.turns.truncate(at);
            self.turns.push((guest, input.clone()));
        }
    }

    /// A guest has this answer now: what gave it need not be asked again.
    pub fn handed(&mut self, id: &str) {
        let argument = format!("{{\"id\":\"{id}\"}}");
        for one in self.asked.iter_mut().filter(|one| !one.sure && one.ended.is_some()) {
            let key = one.key.0.as_str();
            one.sure = key.split(' ').next() == Some(id) || key.ends_with(&argument);
        }
    }
}
