//! One clock for all runs of this process that wait for a time: a thread that is there only while one does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

type Ring = Box<dyn FnOnce() + Send>;

struct State {
    /// Alarms by their time; those without a ring are forgotten ones.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    rings: BTreeMap<u64, Ring>,
    count: u64,
    is_served: bool,
}

static STATE: Mutex<State> = Mutex::new(State {
    due: BinaryHeap::new(),
    rings: BTreeMap::new(),
    count: 0,
    is_served: false,
});
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, State> {
    // Nothing is left half done under this lock: a panic elsewhere leaves it usable.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An alarm that is set; dropping it forgets it.
pub(crate) struct Alarm(u64);

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut state = lock();
        let ring = state.rings.remove(&self.0);
        if state.due.len() > 2 * state.rings.len() + 64 {
            let State { due, rings, .. } = &mut *state;
            due.retain(|Reverse((_, number))| rings.contains_key(number));
        }
        let is_last = state.rings.is_empty();
        drop(state);
        if is_last {
            CHANGED.notify_one();
        }
        drop(ring);
    }
}

/// Calls `ring` at `at`, on the alarm's thread: it must neither wait nor panic. Nothing when the system gives no thread
/// for it.
pub(crate) fn set(at: Instant, ring: impl FnOnce() + Send + 'static) -> Option<Alarm> {
    let mut state = lock();
    if !state.is_served {
        std::thread::Builder::new().name("alarm".to_owned()).spawn(serve).ok()?;
        state.is_served = true;
    }
    let number = state.count;
    state.count += 1;
    state.due.push(Reverse((at, number)));
    state.rings.insert(number, Box::new(ring));
    drop(state);
    CHANGED.notify_one();
    Some(Alarm(number))
}

/// Rings what is due until nothing is left that could be.
fn serve() {
    let mut state = lock();
    while !state.rings.is_empty() {
        let now = Instant::now();
        let Some(Reverse((at, number))) = state.due.peek().copied() else { break };
        let is_wanted = state.rings.contains_key(&number);
        if is_wanted && at > now {
            let waited = CHANGED.wait_timeout(state, at - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        state.due.pop();
        if let Some(ring) = state.rings.remove(&number) {
            drop(state);
            ring();
            state = lock();
        }
    }
    state.due.clear();
    state.is_served = false;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn alarms_ring_in_the_order_of_their_times_and_forgotten_ones_do_not() {
        let (tell, told) = channel();
        let start = Instant::now() + Duration::from_millis(20);
        let alarms: Vec<_> = [30, 0, 20, 10]
            .into_iter()
            .map(|ms| {
                let tell = tell.clone();
                set(start + Duration::from_millis(ms), move || tell.send(ms).unwrap()).unwrap()
            })
            .collect();
        let mut alarms = alarms.into_iter();
        let last = alarms.next();
        drop(alarms.next());
        assert_eq!((told.recv().unwrap(), told.recv().unwrap()), (10, 20));
        drop(last);
        drop(tell);
        assert!(told.recv().is_err(), "a forgotten ring is dropped uncalled");
    }
}
