//! What serves a run's dispatches: subagents by their own drivers; tools, saved programs and questions to people
//! on threads of this driver, because all of them block.

use crate::approve::{Answer, Approver};
use loopwright_host::{Driver, Reporter};
use loopwright_protocol::{Dispatch, Json, Outcome, Work};
use loopwright_tools::Tools;
use loopwright_types::{Attempt, CallId, Code, Failure, Reason, Usage};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Threads for tools: they wait for disks, not for cores.
const TOOL_THREADS: usize = 4;

type Key = (CallId, Attempt);
type Job = Box<dyn FnOnce() + Send>;

/// All drivers of one run behind one.
pub(crate) struct Services {
    subagents: Arc<dyn Driver>,
    tools: Arc<Tools>,
    approver: Arc<dyn Approver>,
    asking: Arc<Mutex<()>>,
    workspace: PathBuf,
    jobs: Sender<Job>,
    under_way: Arc<Mutex<HashMap<Key, Arc<AtomicBool>>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks: a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services {
    /// Starts the tool threads; they end when this is dropped.
    pub fn new(
        subagents: Arc<dyn Driver>,
        tools: Tools,
        approver: Arc<dyn Approver>,
        workspace: PathBuf,
    ) -> Self {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..TOOL_THREADS {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name(format!("tool-{number}"));
            // Without a thread the jobs wait for the others; with none at all the process is beyond help.
            let _ = thread.spawn(move || serve(&queue));
        }
        Self {
            subagents,
            tools: Arc::new(tools),
            approver,
            asking: Arc::default(),
            workspace,
            jobs,
            under_way: Arc::default(),
        }
    }

    /// Runs a blocking piece of work; its end is reported once, also when it was cancelled before.
    fn run(
        &self,
        key: Key,
        reporter: Arc<dyn Reporter>,
        own_thread: bool,
        work: impl FnOnce(&dyn Fn() -> bool) -> Outcome + Send + 'static,
    ) {
        let cancelled = Arc::new(AtomicBool::new(false));
        locked(&self.under_way).insert(key, Arc::clone(&cancelled));
        let under_way = Arc::clone(&self.under_way);
        let job = move || {
            let outcome = work(&|| cancelled.load(Ordering::Relaxed));
            locked(&under_way).remove(&key);
            reporter.ended(key.0, key.1, outcome, Usage::default());
        };
        if own_thread {
            std::thread::spawn(job);
        } else {
            let _ = self.jobs.send(Box::new(job));
        }
    }
}

fn serve(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = locked(queue).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

impl Driver for Services {
    fn dispatch(&self, dispatch: Dispatch, reporter: Arc<dyn Reporter>) {
        let key = (dispatch.call, dispatch.attempt);
        match dispatch.work {
            Work::Task(_) => self.subagents.dispatch(dispatch, reporter),
            Work::Tool { name, args } => {
                let tools = Arc::clone(&self.tools);
                self.run(key, reporter, false, move |cancelled| {
                    call_tool(&tools, &name, &args, cancelled)
                });
            }
            Work::LoadProgram { name } => {
                let workspace = self.workspace.clone();
                self.run(key, reporter, false, move |_| load_program(&workspace, &name));
            }
            Work::Approve(request) => {
                let (approver, asking) = (Arc::clone(&self.approver), Arc::clone(&self.asking));
                self.run(key, reporter, true, move |cancelled| {
                    let _one_at_a_time = locked(&asking);
                    match approver.ask(&request, cancelled) {
                        Answer::Given(answer) => Outcome::Done(answer),
                        Answer::Absent => {
                            let message = "nobody is there to approve";
                            Outcome::Failed(Failure::new(Reason::Policy, Code::PARKED, message))
                        }
                    }
                });
            }
        }
    }

    fn cancel(&self, call: CallId, attempt: Attempt) {
        match locked(&self.under_way).get(&(call, attempt)) {
            Some(cancelled) => cancelled.store(true, Ordering::Relaxed),
            None => self.subagents.cancel(call, attempt),
        }
    }

    fn shutdown(&self) {
        for cancelled in locked(&self.under_way).values() {
            cancelled.store(true, Ordering::Relaxed);
        }
        self.subagents.shutdown();
    }
}

fn call_tool(tools: &Tools, name: &str, args: &Json, cancelled: &dyn Fn() -> bool) -> Outcome {
    let args = args.read().unwrap_or_default();
    match tools.call(name, &args, cancelled) {
        Ok(value) => Outcome::Done(Json::of(&value)),
        Err(failure) => Outcome::Failed(failure),
    }
}

fn load_program(workspace: &std::path::Path, name: &str) -> Outcome {
    let found = crate::saved::find(workspace, name).map_err(|error| {
        let mut failure = Failure::new(Reason::Policy, error.code, error.message).not_sent();
        failure.hint = error.hint;
        failure
    });
    let loaded = found.and_then(|path| {
        let shown = path.strip_prefix(workspace).unwrap_or(&path).display().to_string();
        crate::modules::load(workspace, &path, &shown).map_err(|report| {
            let message =
                report.diagnostics.first().map_or_else(String::new, |first| first.message.clone());
            let message = format!("the saved program `{name}` cannot run: {message}");
            Failure::new(Reason::Program, Code::WORKFLOW_FAILED, message)
                .hint(format!("`loopwright check {shown}` shows the place"))
                .not_sent()
        })
    });
    match loaded {
        Ok((_, text)) => Outcome::Done(Json::of(&text)),
        Err(failure) => Outcome::Failed(failure),
    }
}
