//! The thread on which all servers are talked to, started with the first of them.

use crate::failure;
use loopwright_types::Failure;
use std::future::Future;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

/// How often a waiting caller looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// A runtime of its own on one thread.
#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    worker: Option<Worker>,
    is_stopped: bool,
}

struct Worker {
    handle: Handle,
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Background {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the work and gives what will hold its result.
    ///
    /// # Errors
    /// After [`Self::stop`], and when no thread can be started; `server` is named then.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        server: &str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Pending<T>, Failure> {
        let handle = self.handle(server)?;
        let (send, result) = channel();
        handle.spawn(async move {
            // Nobody listens any more when the caller gave up.
            let _ = send.send(work.await);
        });
        Ok(Pending { result })
    }

    fn handle(&self, server: &str) -> Result<Handle, Failure> {
        let mut state = self.lock();
        if state.is_stopped {
            return Err(failure::ending(server));
        }
        if let Some(worker) = &state.worker {
            return Ok(worker.handle.clone());
        }
        let worker = Worker::start()
            .map_err(|error| failure::not_started(server, &format!("no thread: {error}")))?;
        let handle = worker.handle.clone();
        state.worker = Some(worker);
        Ok(handle)
    }

    /// Whether there is a thread that this one can wait for.
    pub(crate) fn can_be_waited_for(&self) -> bool {
        let own = std::thread::current().id();
        self.lock().worker.as_ref().is_some_and(|it| it.thread.thread().id() != own)
    }

    /// Ends the thread; what is under way on it is dropped. Nothing starts after that.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        let worker = state.worker.take();
        drop(state);
        if let Some(worker) = worker {
            worker.stop.notify_one();
            // The thread itself may be the one that drops the last user.
            if worker.thread.thread().id() != std::thread::current().id() {
                let _ = worker.thread.join();
            }
        }
    }
}

impl Worker {
    fn start() -> std::io::Result<Self> {
        // Both TLS users, the transport and OAuth, take the process's default provider. One that is set stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("mcp".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(stopped.notified());
            // A browser that hangs on its own thread must not hold the end up.
            runtime.shutdown_timeout(Duration::from_millis(200));
        })?;
        Ok(Self { handle, stop, thread })
    }
}

/// The result of work on the background thread.
pub(crate) struct Pending<T> {
    result: Receiver<T>,
}

impl<T> Pending<T> {
    /// Waits for the result, calling `look` now and then; `None` when the thread ended before there was one.
    pub(crate) fn wait(self, mut look: impl FnMut()) -> Option<T> {
        loop {
            match self.result.recv_timeout(LOOK) {
                Ok(value) => return Some(value),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => look(),
            }
        }
    }
}
