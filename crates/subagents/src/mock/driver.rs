//! Mock answers in real time. Those without latency are reported from within `dispatch`; the others wait on one
//! thread with a heap of times, which is started with the first of them.

use super::{MockAnswer, MockAnswers};
use crate::definition::Definition;
use loopwright_host::Reporter;
use loopwright_protocol::{Dispatch, Outcome, TaskWork};
use loopwright_types::{Attempt, CallId, Code, Failure, Micros, Reason, Settings, Usage};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Key = (CallId, Attempt);

/// Serves tasks by made-up answers.
pub(crate) struct MockDriver {
    answers: Mutex<MockAnswers>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// When each answer is due, and a number that keeps equal times in order.
    due: BinaryHeap<Reverse<(Instant, u64, Key)>>,
    waiting: HashMap<Key, Waiting>,
    count: u64,
    thread: Option<JoinHandle<()>>,
    is_shut_down: bool,
}

struct Waiting {
    number: u64,
    outcome: Outcome,
    usage: Usage,
    reporter: Arc<dyn Reporter>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks: a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cancelled() -> Outcome {
    let message = "the task was cancelled";
    Outcome::Failed(Failure::new(Reason::Cancelled, Code::CANCELLED, message))
}

impl MockDriver {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { answers: Mutex::new(MockAnswers::new(settings)), shared: Arc::default() }
    }

    /// Answers the attempt, at once when it has no latency.
    pub(crate) fn dispatch(
        &self,
        dispatch: &Dispatch,
        work: &TaskWork,
        definition: &Definition,
        reporter: Arc<dyn Reporter>,
    ) {
        let key = (dispatch.call, dispatch.attempt);
        let answer = lock(&self.answers).answer(definition, work, key.0, key.1);
        let MockAnswer { outcome, usage, latency } = answer;
        if latency == Micros(0) {
            reporter.ended(key.0, key.1, outcome, usage);
            return;
        }
        let due = Instant::now() + Duration::from_micros(latency.0);
        let mut state = lock(&self.shared.state);
        if state.is_shut_down {
            drop(state);
            reporter.ended(key.0, key.1, cancelled(), Usage::default());
            return;
        }
        let number = state.count;
        state.count += 1;
        let is_first = state.due.peek().is_none_or(|Reverse((first, ..))| due < *first);
        state.due.push(Reverse((due, number, key)));
        state.waiting.insert(key, Waiting { number, outcome, usage, reporter });
        if state.thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("mock".to_owned());
            state.thread = thread.spawn(move || shared.serve()).ok();
        } else if is_first {
            self.shared.changed.notify_one();
        }
    }

    /// Ends the attempt at once.
    pub(crate) fn cancel(&self, key: Key) {
        let waiting = lock(&self.shared.state).waiting.remove(&key);
        if let Some(waiting) = waiting {
            waiting.reporter.ended(key.0, key.1, cancelled(), Usage::default());
        }
    }

    /// Lets the thread go if no answer waits for its time.
    pub(crate) fn rest(&self) {
        let mut state = lock(&self.shared.state);
        if state.waiting.is_empty() {
            state.due.clear();
            state.thread = None;
            self.shared.changed.notify_all();
        }
    }

    /// Ends all attempts at once.
    pub(crate) fn shutdown(&self) {
        let mut state = lock(&self.shared.state);
        state.is_shut_down = true;
        state.due.clear();
        let mut waiting: Vec<_> = state.waiting.drain().collect();
        let thread = state.thread.take();
        drop(state);
        self.shared.changed.notify_all();
        waiting.sort_by_key(|(_, it)| it.number);
        for (key, it) in waiting {
            it.reporter.ended(key.0, key.1, cancelled(), Usage::default());
        }
        let thread = thread.filter(|it| it.thread().id() != std::thread::current().id());
        thread.map(JoinHandle::join);
    }
}

impl Drop for MockDriver {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    /// Reports answers when they are due, until the driver shuts down or rests.
    fn serve(&self) {
        let mut ready = Vec::new();
        let own = std::thread::current().id();
        let mut state = lock(&self.state);
        // It takes its own handle's place under the same lock: without one, or with another's, it was let go.
        while state.thread.as_ref().is_some_and(|it| it.thread().id() == own) {
            let now = Instant::now();
            while let Some(Reverse((due, number, key))) = state.due.peek().copied() {
                if due > now {
                    break;
                }
                state.due.pop();
                if state.waiting.get(&key).is_some_and(|it| it.number == number) {
                    ready.extend(state.waiting.remove(&key).map(|it| (key, it)));
                }
            }
            if !ready.is_empty() {
                drop(state);
                for ((call, attempt), it) in ready.drain(..) {
                    it.reporter.ended(call, attempt, it.outcome, it.usage);
                }
                state = lock(&self.state);
                continue;
            }
            let next =
                state.due.peek().map(|Reverse((due, ..))| due.saturating_duration_since(now));
            state = match next {
                Some(wait) => {
                    let waited = self.changed.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
