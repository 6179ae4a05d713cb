//! All attempts of one driver that have a process, followed by one thread, which is started with the first of them.

use crate::files;
use crate::group::{self, Signal};
use crate::guard::Guard;
use loopwright_types::{Attempt, CallId};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot};

/// Names an attempt.
pub type Key = (CallId, Attempt);

/// The attempts that are under way. Dropping it ends them all.
pub struct Attempts {
    shared: Arc<Shared>,
    thread_name: &'static str,
    patience: Duration,
}

/// What the job of an attempt has of its driver.
pub struct Watched {
    /// Told when the attempt is to be ended.
    pub cancelled: oneshot::Receiver<()>,
    shared: Arc<Shared>,
    key: Key,
}

impl Watched {
    /// The attempt's process group begins, or is over.
    pub fn set_group(&self, group: Option<u32>) {
        self.shared.lock().set_group(self.key, group);
    }

    /// Whether a signal was passed on to it: what fails after that was cut off, and did not fail by itself.
    pub fn was_signalled(&self) -> bool {
        self.shared.lock().under_way.get(&self.key).is_some_and(|it| it.signalled)
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when an attempt ends.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    under_way: HashMap<Key, UnderWay>,
    worker: Option<Worker>,
    guard: Guard,
    is_shut_down: bool,
}

struct UnderWay {
    cancel: Option<oneshot::Sender<()>>,
    group: Option<u32>,
    signalled: bool,
}

/// The thread that follows all processes.
struct Worker {
    handle: Handle,
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock: a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempts {
    /// None yet. The thread gets this name; a shutdown waits for so long at most.
    pub fn new(thread_name: &'static str, patience: Duration) -> Self {
        Self { shared: Arc::default(), thread_name, patience }
    }

    /// Starts the job on the thread and returns. `ended` is told its result once the attempt is no longer under way.
    ///
    /// # Errors
    /// Why nothing can be started; neither job nor `ended` runs.
    pub fn start<T, F>(
        &self,
        key: Key,
        job: impl FnOnce(Watched) -> F,
        ended: impl FnOnce(T) + Send + 'static,
    ) -> Result<(), String>
    where
        T: Send,
        F: Future<Output = T> + Send + 'static,
    {
        let (cancel, cancelled) = oneshot::channel();
        let mut state = self.shared.lock();
        let handle = state.handle(self.thread_name)?;
        state
            .under_way
            .insert(key, UnderWay { cancel: Some(cancel), group: None, signalled: false });
        drop(state);
        let job = job(Watched { cancelled, shared: Arc::clone(&self.shared), key });
        let shared = Arc::clone(&self.shared);
        handle.spawn(async move {
            let result = job.await;
            shared.lock().under_way.remove(&key);
            ended(result);
            shared.ended.notify_all();
        });
        Ok(())
    }

    /// Tells the attempt to end itself and everything it started. Unknown or ended ones are ignored.
    pub fn cancel(&self, key: Key) {
        if let Some(it) = self.shared.lock().under_way.get_mut(&key) {
            // One that has just ended does not listen any more.
            let _ = it.cancel.take().map(|cancel| cancel.send(()));
        }
    }

    /// Sends the signal to the process group of every attempt that is under way. What ends by it can tell:
    /// [`Watched::was_signalled`].
    pub fn signal_all(&self, signal: Signal) {
        for it in self.shared.lock().under_way.values_mut() {
            it.signalled = true;
            if let Some(group) = it.group {
                group::signal_group(group, signal);
            }
        }
    }

    /// Lets the thread go, and the guard of its processes, if no attempt is under way; the next one starts them again.
    pub fn rest(&self) {
        let mut state = self.shared.lock();
        if !state.under_way.is_empty() {
            return;
        }
        let (worker, guard) = (state.worker.take(), std::mem::take(&mut state.guard));
        drop(state);
        drop(guard);
        if let Some(worker) = worker {
            worker.stop.notify_one();
        }
    }

    /// Ends all attempts and waits until they are gone, within its patience.
    pub fn shutdown(&self) {
        let mut state = self.shared.lock();
        state.is_shut_down = true;
        for it in state.under_way.values_mut() {
            let _ = it.cancel.take().map(|cancel| cancel.send(()));
        }
        let until = Instant::now() + self.patience;
        while !state.under_way.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break };
            let waited = self.shared.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let worker = state.worker.take();
        let guard = std::mem::take(&mut state.guard);
        drop(state);
        drop(guard);
        if let Some(worker) = worker {
            worker.stop.notify_one();
            // The thread itself may be the one that drops the driver's last user.
            if worker.thread.thread().id() != std::thread::current().id() {
                let _ = worker.thread.join();
            }
        }
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl State {
    fn set_group(&mut self, key: Key, group: Option<u32>) {
        let Some(it) = self.under_way.get_mut(&key) else { return };
        let before = std::mem::replace(&mut it.group, group);
        if let Some(before) = before {
            self.guard.remove(before);
        }
        if let Some(group) = group {
            self.guard.add(group);
        }
    }

    /// The thread's runtime, started when it is first needed.
    fn handle(&mut self, thread_name: &str) -> Result<Handle, String> {
        if self.is_shut_down {
            return Err("the run is ending".to_owned());
        }
        if let Some(worker) = &self.worker {
            return Ok(worker.handle.clone());
        }
        files::raise_limit();
        let worker = Worker::start(thread_name).map_err(|error| error.to_string())?;
        let handle = worker.handle.clone();
        self.worker = Some(worker);
        self.guard = Guard::start();
        Ok(handle)
    }
}

impl Worker {
    fn start(thread_name: &str) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(thread_name.to_owned());
        let thread = thread.spawn(move || runtime.block_on(stopped.notified()))?;
        Ok(Self { handle, stop, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn key(call: u32) -> Key {
        (CallId(call), Attempt(1))
    }

    fn attempts() -> Attempts {
        Attempts::new("test", Duration::from_secs(30))
    }

    #[test]
    fn each_attempt_ends_once_and_a_cancelled_one_is_told() {
        let (attempts, (tell, told)) = (attempts(), mpsc::channel());
        for call in 0..3 {
            let tell = tell.clone();
            let job = |watched: Watched| async { watched.cancelled.await.is_ok() };
            attempts.start(key(call), job, move |it| tell.send((call, it)).unwrap()).unwrap();
        }
        attempts.cancel(key(7));
        attempts.cancel(key(1));
        attempts.cancel(key(1));
        assert_eq!(told.recv().unwrap(), (1, true));
        attempts.shutdown();
        let mut rest: Vec<_> = told.try_iter().collect();
        rest.sort_unstable();
        assert_eq!(rest, [(0, true), (2, true)]);
        let refused = attempts.start(key(4), |_| async {}, |()| ());
        assert_eq!(refused.unwrap_err(), "the run is ending");
    }

    #[test]
    fn a_shutdown_does_not_wait_for_ever_for_a_job_that_does_not_listen() {
        let attempts = Attempts::new("test", Duration::from_millis(10));
        attempts.start(key(0), |_| std::future::pending::<()>(), |()| ()).unwrap();
        attempts.shutdown();
        assert_eq!(attempts.shared.lock().under_way.len(), 1);
    }
}
