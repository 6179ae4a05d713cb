//! All attempts of one run: each is one process with one session, all followed by one thread, which is started with
//! the first of them.

use crate::agent::Agent;
use crate::attempt::{self, Job};
use crate::conversation::Plan;
use crate::guard::Guard;
use crate::process::{self, Signal};
use crate::prompt;
use crate::wire::Limits;
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

/// Runs agents.
pub struct AcpDriver {
    shared: Arc<Shared>,
    workspace: PathBuf,
    start: Duration,
    wire: Limits,
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

impl AcpDriver {
    /// Agents run in `workspace`, which must be absolute, unless a task has a root of its own. Starts no thread before
    /// it is needed. Limits come from `acp.*` and `task.answer_bytes_max`.
    pub fn new(settings: &Settings, workspace: &Path) -> Self {
        Self {
            shared: Arc::default(),
            workspace: workspace.to_owned(),
            start: Duration::from_millis(settings.integer("acp.start_ms")),
            wire: Limits {
                message_bytes_max: settings.count("acp.message_bytes_max"),
                output_bytes_max: settings.integer("acp.output_bytes_max"),
            },
            answer_bytes_max: settings.count("task.answer_bytes_max"),
        }
    }

    /// Starts the attempt and returns; it ends in one [`Reporter::ended`].
    pub fn dispatch(
        &self,
        dispatch: &Dispatch,
        work: &TaskWork,
        agent: &Arc<Agent>,
        reporter: Arc<dyn Reporter>,
    ) {
        let (call, attempt) = (dispatch.call, dispatch.attempt);
        let key = (call, attempt);
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
            agent: Arc::clone(agent),
            plan: self.plan(work, agent),
            wants_json: work.schema.is_some(),
            mark: format!("{}/{call}/{attempt}", dispatch.run),
            limits: [dispatch.timeout, agent.timeout].map(|it| it.map(duration)),
            start: self.start,
            wire: self.wire,
            answer_bytes_max: self.answer_bytes_max,
            reporter: Arc::clone(&reporter),
            cancelled,
            group: Box::new(move |group| {
                shared.lock().set_group(key, group);
            }),
        };
        let shared = Arc::clone(&self.shared);
        handle.spawn(async move {
            let (outcome, usage) = attempt::run(job).await;
            shared.lock().under_way.remove(&key);
            reporter.ended(call, attempt, outcome, usage);
            shared.ended.notify_all();
        });
    }

    fn plan(&self, work: &TaskWork, agent: &Agent) -> Plan {
        let root = match &work.root {
            Some(root) => self.workspace.join(root),
            None => self.workspace.clone(),
        };
        Plan {
            directory: match &agent.directory {
                Some(directory) => root.join(directory),
                None => root,
            },
            permissions: agent.permissions,
            authentication: agent.authentication.clone(),
            mode: agent.mode.clone(),
            model: work.model.clone().or_else(|| agent.model.clone()),
            effort: work.effort.clone(),
            prompt: prompt::prompt(agent, work),
        }
    }

    /// Ends the attempt and everything it started: the agent is told with `session/cancel`, then signalled. Unknown or
    /// ended ones are ignored.
    pub fn cancel(&self, call: CallId, attempt: Attempt) {
        if let Some(it) = self.shared.lock().under_way.get_mut(&(call, attempt)) {
            // One that has just ended does not listen any more.
            let _ = it.cancel.take().map(|cancel| cancel.send(()));
        }
    }

    /// Sends the signal to the process group of every agent that is under way.
    pub fn signal_all(&self, signal: Signal) {
        for group in self.shared.lock().under_way.values().filter_map(|it| it.group) {
            process::signal_group(group, signal);
        }
    }

    /// Ends all attempts and waits until they are gone, a few seconds at most.
    pub fn shutdown(&self) {
        let mut state = self.shared.lock();
        state.is_shut_down = true;
        for it in state.under_way.values_mut() {
            let _ = it.cancel.take().map(|cancel| cancel.send(()));
        }
        let until = Instant::now() + attempt::GRACE * 5;
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

impl Drop for AcpDriver {
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
            let message = format!("no agent can be started: {cause}");
            Failure::new(Reason::Provider, Code::AGENT_NOT_STARTED, message).not_sent()
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
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("agents".to_owned());
        let thread = thread.spawn(move || runtime.block_on(stopped.notified()))?;
        Ok(Self { handle, stop, thread })
    }
}

fn duration(micros: Micros) -> Duration {
    Duration::from_micros(micros.0)
}
