//! One model provider: who waits for it, and when it may be asked. Adapts to the limits the provider shows
//! (begins slowly, falls to what was taken when more is refused, and tries for more ever more rarely), keeps within
//! the windows it tells, shares one budget of retries, and stops asking while it is down.

use crate::width::{BURST, Width};
use loopwright_protocol::{ProviderLimits, Window};
use loopwright_types::{CallId, Failure, Micros};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Share of refusals above which they are taken for a limit. A provider that is at its limit refuses all that is over
/// it; one that refuses now and then, whatever it is sent, would be held at a few.
const REFUSALS_BORNE: f64 = 0.1;
/// Retries that a provider is owed before it has answered anything, and the most that can be saved up.
const RETRIES_AT_FIRST: f64 = 32.0;
const RETRIES_MAX: f64 = 128.0;
/// What one success adds: at most one request in five is a retry in the long run.
const RETRIES_PER_SUCCESS: f64 = 0.2;
/// First wait before a provider that is down is asked again; it doubles up to the setting's most.
const PROBE_FIRST: Micros = Micros::from_millis(1000);

/// A provider that asks to be left alone for longer is not believed: it is asked again after the usual wait.
const RETRY_AFTER_MAX: Micros = Micros::from_millis(86_399_000);

/// The wait that a provider asked for, unless it is none or absurd.
pub(crate) fn asked_wait(failure: &Failure) -> Option<Micros> {
    failure.retry_after.filter(|it| it.0 > 0 && *it <= RETRY_AFTER_MAX)
}

/// A limit as the provider told it, and what was sent since.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: u64,
    remaining: u64,
    whole_at: Micros,
}

impl Bucket {
    fn take(told: Option<Window>, now: Micros) -> Option<Self> {
        told.map(|window| Self {
            limit: window.limit,
            remaining: window.remaining,
            whole_at: now.after(window.reset),
        })
    }

    fn refill(&mut self, now: Micros) {
        if now >= self.whole_at {
            self.remaining = self.limit;
        }
    }

    /// When `wanted` fits, if not now. What is larger than the whole limit goes when it is whole.
    fn blocked_until(&mut self, wanted: u64, now: Micros) -> Option<Micros> {
        self.refill(now);
        let fits = wanted.min(self.limit) <= self.remaining;
        (!fits && self.whole_at > now).then_some(self.whole_at)
    }
}

/// What a provider did in a second.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    since: Micros,
    answers: u32,
    refusals: u32,
}

impl Recent {
    fn is_over(&self, now: Micros) -> bool {
        now.since(self.since) >= BURST
    }

    /// Whether so much was refused that it must be a limit. A refusal comes at once, an answer takes its time: what
    /// is still in flight was not refused either.
    fn is_limited(&self, in_flight: usize) -> bool {
        let all = f64::from(self.answers + self.refusals) + in_flight as f64;
        self.refusals >= 2 && f64::from(self.refusals) > all * REFUSALS_BORNE
    }
}

/// The provider does not answer.
#[derive(Clone, Copy, Debug)]
struct Down {
    since: Micros,
    wait: Micros,
    probe_at: Micros,
    probing: bool,
}

/// What an attempt's end did to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing worth telling.
    None,
    /// The breaker opened.
    WentDown,
    /// It closed: the provider was down since then.
    CameUp(Micros),
}

/// Whether the oldest request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Now.
    Go,
    /// When something ends.
    Wait,
    /// At this time.
    At(Micros),
}

/// One provider.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Its name.
    pub name: String,
    /// Requests, and tasks that have not begun, that wait without a slot until it answers.
    pub aside: BTreeSet<CallId>,
    /// The task that is called back to ask whether it answers.
    pub calling: Option<CallId>,
    queue: BinaryHeap<Reverse<CallId>>,
    in_flight: usize,
    width: Width,
    /// Answers and refusals since then.
    recent: Recent,
    failures: u32,
    failures_max: u32,
    probe_max: Micros,
    down: Option<Down>,
    retries: f64,
    /// Models, by full name, of which nothing is to be had before a person acts, and why.
    pub spent: HashMap<String, Failure>,
    /// When it is looked at again, where a timer says so.
    pub timer: Option<Micros>,
    /// The last time for which that timer was due.
    pub rung: Option<Micros>,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    output_tokens: Option<Bucket>,
}

impl Gate {
    /// A provider that nobody has asked yet.
    pub fn new(name: &str, window_max: usize, failures_max: u32, probe_max: Micros) -> Self {
        Self {
            name: name.to_owned(),
            aside: BTreeSet::new(),
            calling: None,
            queue: BinaryHeap::new(),
            in_flight: 0,
            width: Width::new(window_max),
            recent: Recent::default(),
            failures: 0,
            failures_max,
            probe_max,
            down: None,
            retries: RETRIES_AT_FIRST,
            spent: HashMap::new(),
            timer: None,
            rung: None,
            requests: None,
            tokens: None,
            output_tokens: None,
        }
    }

    /// Adds a request that waits.
    pub fn push(&mut self, call: CallId) {
        self.queue.push(Reverse(call));
    }

    /// The oldest request that is still wanted.
    pub fn oldest(&mut self, wanted: impl Fn(CallId) -> bool) -> Option<CallId> {
        while self.queue.peek().is_some_and(|Reverse(call)| !wanted(*call)) {
            self.queue.pop();
        }
        self.queue.peek().map(|Reverse(call)| *call)
    }

    /// What waits here waits apart.
    pub fn empty_queue(&mut self) {
        self.aside.extend(self.queue.drain().map(|Reverse(call)| call));
    }

    /// Whether the oldest request, of about so many tokens in and at most so many out, may go now.
    pub fn admit(&mut self, input: u64, output: u64, now: Micros) -> Admission {
        if let Some(down) = &self.down {
            return match down.probing {
                true => Admission::Wait,
                false if now < down.probe_at => Admission::At(down.probe_at),
                false => Admission::Go,
            };
        }
        if let Err(when) = self.width.admit(self.in_flight, now) {
            return when.map_or(Admission::Wait, Admission::At);
        }
        let apart = self.output_tokens.is_some();
        let wanted = [
            (&mut self.requests, 1),
            (&mut self.tokens, if apart { input } else { input + output }),
            (&mut self.output_tokens, output),
        ];
        let blocked = wanted.into_iter().filter_map(|(bucket, wanted)| {
            bucket.as_mut().and_then(|bucket| bucket.blocked_until(wanted, now))
        });
        blocked.max().map_or(Admission::Go, Admission::At)
    }

    /// The oldest request goes.
    pub fn go(&mut self, input: u64, output: u64) {
        self.queue.pop();
        self.in_flight += 1;
        if let Some(down) = &mut self.down {
            down.probing = true;
        }
        let apart = self.output_tokens.is_some();
        for (bucket, used) in [
            (&mut self.requests, 1),
            (&mut self.tokens, if apart { input } else { input + output }),
            (&mut self.output_tokens, output),
        ] {
            if let Some(bucket) = bucket {
                bucket.remaining = bucket.remaining.saturating_sub(used);
            }
        }
    }

    /// Takes what the provider told with a response.
    pub fn told(&mut self, limits: &ProviderLimits, now: Micros) {
        for (bucket, told) in [
            (&mut self.requests, limits.requests),
            (&mut self.tokens, limits.tokens),
            (&mut self.output_tokens, limits.output_tokens),
        ] {
            if let Some(new) = Bucket::take(told, now) {
                // Responses overtake each other: within one period only the smaller figure is news.
                *bucket = match *bucket {
                    Some(old) if now < old.whole_at && old.remaining < new.remaining => {
                        Some(Bucket { remaining: old.remaining, ..new })
                    }
                    _ => Some(new),
                };
            }
        }
    }

    /// A request ended without telling anything of the provider: cancelled, or refused for its own sake.
    pub fn ended(&mut self) {
        assert!(self.in_flight > 0, "a request ends once");
        self.in_flight -= 1;
        if let Some(down) = &mut self.down {
            down.probing = false;
        }
    }

    /// A request was answered.
    pub fn succeeded(&mut self, now: Micros) -> Change {
        self.width.answered(self.in_flight, now);
        self.ended();
        self.failures = 0;
        self.recent.answers += 1;
        self.retries = (self.retries + RETRIES_PER_SUCCESS).min(RETRIES_MAX);
        self.down.take().map_or(Change::None, |down| Change::CameUp(down.since))
    }

    /// The provider wants fewer requests.
    pub fn refused(&mut self, now: Micros) {
        self.ended();
        self.failures = 0; // it answers
        if self.recent.is_over(now) {
            self.recent = Recent { since: now, ..Recent::default() };
        }
        self.recent.refusals += 1;
        if self.recent.is_limited(self.in_flight) {
            self.width.narrow(self.in_flight, now);
        }
    }

    /// It said with a refusal when it may be asked again, which it knows better than its windows tell: those of
    /// providers that fill up bit by bit name only the time at which they are whole.
    pub fn asked_to_wait(&mut self, until: Micros) {
        let buckets = [&mut self.requests, &mut self.tokens, &mut self.output_tokens];
        for bucket in buckets.into_iter().flatten() {
            bucket.whole_at = bucket.whole_at.min(until);
        }
    }

    /// The provider failed or could not be reached.
    pub fn failed(&mut self, now: Micros) -> Change {
        self.ended();
        self.failures += 1;
        if let Some(down) = &mut self.down {
            if now >= down.probe_at {
                down.wait = Micros(down.wait.0.saturating_mul(2)).min(self.probe_max);
                down.probe_at = now.after(down.wait);
            }
            return Change::None;
        }
        if self.failures < self.failures_max {
            return Change::None;
        }
        let wait = PROBE_FIRST.min(self.probe_max);
        self.down = Some(Down { since: now, wait, probe_at: now.after(wait), probing: false });
        Change::WentDown
    }

    /// The provider answers, though not as the request wished: it is not down.
    pub fn answered(&mut self) -> Change {
        self.failures = 0;
        self.down.take().map_or(Change::None, |down| Change::CameUp(down.since))
    }

    /// Whether the breaker is open.
    pub fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Since when it is.
    pub fn down_since(&self) -> Option<Micros> {
        self.down.map(|down| down.since)
    }

    /// Another process goes on: nothing is under way, and what only a person could change may have been changed.
    pub fn resumed(&mut self) {
        self.in_flight = 0;
        self.spent.clear();
        if let Some(down) = &mut self.down {
            down.probing = false;
        }
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes one retry out of the shared budget; says whether there was one.
    pub fn take_retry(&mut self) -> bool {
        let has = self.retries >= 1.0;
        if has {
            self.retries -= 1.0;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(window: usize) -> Gate {
        Gate::new("p", window, 3, Micros::from_millis(4000))
    }

    fn at(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn few_refusals_are_no_limit_and_many_leave_what_was_taken() {
        let mut gate = gate(100);
        (0..41).for_each(|_| gate.go(1, 1));
        gate.refused(at(5000));
        assert_eq!(gate.admit(1, 1, at(5000)), Admission::At(at(5250)), "it is not held yet");
        (1..37).for_each(|n| gate.refused(at(5000 + n)));
        gate.succeeded(at(5100));
        assert_eq!(gate.admit(1, 1, at(5100)), Admission::Go, "four were taken, three are there");
        gate.go(1, 1);
        assert_eq!(gate.admit(1, 1, at(9000)), Admission::Wait, "four it is");
    }

    #[test]
    fn a_provider_that_is_down_is_asked_by_one_request_at_a_time_ever_more_rarely() {
        let mut gate = gate(10);
        (0..5).for_each(|call| gate.push(CallId(call)));
        (0..4).for_each(|_| gate.go(1, 1));
        let changes: Vec<Change> = (0..4).map(|n| gate.failed(at(n))).collect();
        assert_eq!(changes, [Change::None, Change::None, Change::WentDown, Change::None]);
        let mut now = at(2);
        for wait in [1000, 2000, 4000, 4000] {
            let due = now.after(at(wait));
            assert_eq!(gate.admit(1, 1, now), Admission::At(due));
            assert_eq!(gate.admit(1, 1, due), Admission::Go);
            gate.go(1, 1);
            assert_eq!(gate.admit(1, 1, due), Admission::Wait, "one probe at a time");
            assert_eq!(gate.failed(due), Change::None);
            now = due;
        }
        gate.go(1, 1);
        assert_eq!(gate.succeeded(now), Change::CameUp(at(2)));
        assert_eq!(gate.admit(1, 1, now), Admission::Go);
    }

    #[test]
    fn what_the_provider_says_is_left_is_not_overdrawn() {
        let mut gate = gate(10);
        let window = |limit, remaining| Some(Window { limit, remaining, reset: at(100) });
        let tokens = window(1000, 300);
        gate.told(&ProviderLimits { tokens, ..ProviderLimits::default() }, at(0));
        assert_eq!(gate.admit(150, 50, at(1)), Admission::Go);
        gate.go(150, 50);
        assert_eq!(gate.admit(150, 50, at(2)), Admission::At(at(100)));
        assert_eq!(gate.admit(150, 50, at(100)), Admission::Go);
        // A late response with a larger figure does not undo what was sent.
        gate.told(&ProviderLimits { tokens: window(1000, 10), ..Default::default() }, at(100));
        gate.told(&ProviderLimits { tokens: window(1000, 900), ..Default::default() }, at(101));
        assert!(matches!(gate.admit(150, 50, at(102)), Admission::At(_)));
        assert_eq!(gate.admit(5000, 50, at(300)), Admission::Go, "larger than any window");
    }

    #[test]
    fn the_time_named_in_a_refusal_outranks_the_window_s_end() {
        let mut gate = gate(10);
        let tokens = Some(Window { limit: 1000, remaining: 0, reset: at(360_000) });
        gate.told(&ProviderLimits { tokens, ..ProviderLimits::default() }, at(0));
        assert_eq!(gate.admit(1, 1, at(0)), Admission::At(at(360_000)));
        gate.asked_to_wait(at(1000));
        assert_eq!(gate.admit(1, 1, at(0)), Admission::At(at(1000)));
        assert_eq!(gate.admit(1, 1, at(1000)), Admission::Go);
    }

    #[test]
    fn retries_come_out_of_one_budget_that_successes_fill() {
        let mut gate = gate(10);
        let spent = std::iter::from_fn(|| gate.take_retry().then_some(())).count();
        assert_eq!(spent, RETRIES_AT_FIRST as usize);
        for _ in 0..6 {
            gate.go(1, 1);
            gate.succeeded(at(5000));
        }
        assert!(gate.take_retry() && !gate.take_retry());
    }
}
