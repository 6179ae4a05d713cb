//! The `command` driver: each attempt is one process in a group of its own.
//!
//! All processes are followed by one thread, which is started with the first of them.

mod answer; // the last line of output
mod attempt; // one process from start to end
mod guard; // ends commands whose host was killed
mod orphans; // commands that outlived their host
mod output; // lines of progress, tail of standard error
mod process; // process groups, signals, limits
mod request; // what a command reads
mod spawn; // how a command is started

pub use orphans::{Orphan, end_orphans};
pub use process::Signal;

use crate::definition::Definition;
use attempt::Job;
use guard::Guard;
use loopwright_host::Reporter;
use loopwright_protocol::{Dispatch, Outcome, TaskWork};
use loopwright_types::{Attempt, CallId, Code, Failure, Micros, Reason, Settings, Usage};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot};

type Key = (CallId, Attempt);

/// Runs commands.
pub(crate) struct CommandDriver {
    shared: Arc<Shared>,
    workspace: Arc<Path>,
    answer_bytes_max: usize,
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

impl CommandDriver {
    pub(crate) fn new(settings: &Settings, workspace: &Path) -> Self {
        Self {
            shared: Arc::default(),
            workspace: PathBuf::from(workspace).into(),
            answer_bytes_max: settings.count("task.answer_bytes_max"),
        }
    }

    /// Starts the attempt; it ends in one report.
    pub(crate) fn dispatch(
        &self,
        dispatch: &Dispatch,
        work: &TaskWork,
        definition: &Arc<Definition>,
        reporter: Arc<dyn Reporter>,
    ) {
        let (call, attempt) = (dispatch.call, dispatch.attempt);
        let key = (call, attempt);
        let limits = [dispatch.timeout, definition.timeout].map(|it| it.map(duration));
        let timeout_ms = limits.iter().flatten().min().map(|it| it.as_millis());
        let timeout_ms = timeout_ms.and_then(|millis| u64::try_from(millis).ok());
        let (cancel, cancelled) = oneshot::channel();
        let mut state = self.shared.lock();
        let handle = match state.handle() {
            Ok(handle) => handle,
            Err(failure) => {
                drop(state);
                reporter.ended(call, attempt, Outcome::Failed(failure), Usage::default());
                return;
            }
        };
        state.under_way.insert(key, UnderWay { cancel: Some(cancel), group: None });
        drop(state);
        let shared = Arc::clone(&self.shared);
        let job = Job {
            call,
            attempt,
            definition: Arc::clone(definition),
            root: work.root.as_ref().map(PathBuf::from),
            request: request::request(dispatch, work, definition, timeout_ms),
            mark: format!("{}/{call}/{attempt}", dispatch.run),
            limits,
            answer_bytes_max: self.answer_bytes_max,
            reporter: Arc::clone(&reporter),
            cancelled,
            group: Box::new(move |group| {
                shared.lock().set_group(key, group);
            }),
        };
        let (shared, workspace) = (Arc::clone(&self.shared), Arc::clone(&self.workspace));
        handle.spawn(async move {
            let (outcome, usage) = attempt::run(job, &workspace).await;
            shared.lock().under_way.remove(&key);
            reporter.ended(call, attempt, outcome, usage);
            shared.ended.notify_all();
        });
    }

    /// Ends the attempt and everything it started.
    pub(crate) fn cancel(&self, key: Key) {
        if let Some(it) = self.shared.lock().under_way.get_mut(&key) {
            // One that has just ended does not listen any more.
            let _ = it.cancel.take().map(|cancel| cancel.send(()));
        }
    }

    /// Sends the signal to every command that is under way.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for group in self.shared.lock().under_way.values().filter_map(|it| it.group) {
            process::signal_group(group, signal);
        }
    }

    /// Ends all attempts and waits until they are gone, a few seconds at most.
    pub(crate) fn shutdown(&self) {
        let mut state = self.shared.lock();
        state.is_shut_down = true;
        for it in state.under_way.values_mut() {
            let _ = it.cancel.take().map(|cancel| cancel.send(()));
        }
        let until = Instant::now() + attempt::GRACE * 3;
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

impl Drop for CommandDriver {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl State {
    /// An attempt's process group begins, or is over.
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
    fn handle(&mut self) -> Result<Handle, Failure> {
        let refused = |cause: &str| {
            let message = format!("no command can be started: {cause}");
            Failure::new(Reason::Provider, Code::COMMAND_NOT_STARTED, message).not_sent()
        };
        if self.is_shut_down {
            return Err(refused("the run is ending"));
        }
        if let Some(worker) = &self.worker {
            return Ok(worker.handle.clone());
        }
        let worker = Worker::start().map_err(|error| refused(&error.to_string()))?;
        let handle = worker.handle.clone();
        self.worker = Some(worker);
        self.guard = Guard::start();
        Ok(handle)
    }
}

impl Worker {
    fn start() -> std::io::Result<Self> {
        process::raise_file_limit();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("commands".to_owned());
        let thread = thread.spawn(move || runtime.block_on(stopped.notified()))?;
        Ok(Self { handle, stop, thread })
    }
}

fn duration(micros: Micros) -> Duration {
    Duration::from_micros(micros.0)
}
