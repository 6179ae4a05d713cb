//! The driver of model requests: all of them on one background thread, which is started with the first.

use crate::attempt::{Account, Bounds, Clients, Job, Surroundings};
use crate::config::Providers;
use crate::count::{Counted, Counters};
use crate::estimate::{Estimates, Used};
use loopwright_host::{Driver, Reporter};
use loopwright_protocol::{Dispatch, Json, Outcome, Progress, Work};
use loopwright_types::{Attempt, CallId, Code, Failure, FailureClass, Reason, Settings, Usage};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

type Key = (CallId, Attempt);

/// How long attempts have to report after a shutdown.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);
/// Threads for looking up host names and keyrings; they end when they are idle.
const BLOCKING_THREADS_MAX: usize = 4;

/// Asks models: serves [`Work::Model`] and nothing else.
///
/// Every dispatch ends in one report: a [`loopwright_protocol::ModelReply`], or a failure with its class; both with
/// the tokens that the provider told, also of a reply that was cut or cancelled; what it did not tell it is asked to
/// count, and what cannot be counted is estimated, both marked. Money is left to the engine.
pub struct ModelDriver {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct Shared {
    around: Surroundings,
    running: Mutex<HashMap<Key, Arc<Notify>>>,
}

#[derive(Default)]
struct State {
    sender: Option<UnboundedSender<(Job, Arc<Notify>)>>,
    thread: Option<JoinHandle<()>>,
    is_shut_down: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks: a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cancelled() -> Failure {
    Failure::new(Reason::Cancelled, Code::CANCELLED, "the request was cancelled")
}

impl ModelDriver {
    /// A driver with the deadlines and bounds of these settings. Nothing is started or asked yet.
    pub fn new(providers: Providers, settings: &Settings) -> Self {
        let around = Surroundings {
            providers,
            bounds: Bounds::new(settings),
            clients: Clients::default(),
            counters: Counters::default(),
            estimates: Estimates::default(),
        };
        let shared = Arc::new(Shared { around, running: Mutex::default() });
        Self { shared, state: Mutex::default() }
    }

    /// Hands a job to the thread, which is started if there is none.
    fn hand_over(&self, job: Job) {
        let mut report = Report::of(&job);
        let mut state = lock(&self.state);
        if state.is_shut_down {
            drop(state);
            return report.end(Outcome::Failed(cancelled().not_sent()), Usage::default());
        }
        if state.sender.is_none() {
            match start(&self.shared) {
                Ok((sender, thread)) => {
                    state.sender = Some(sender);
                    state.thread = Some(thread);
                }
                Err(error) => {
                    drop(state);
                    let message = format!("no thread for model requests could be started: {error}");
                    let failure = Failure::new(Reason::Limit, Code::PROVIDER_UNREACHABLE, message);
                    let failure = failure.class(FailureClass::Wait).not_sent();
                    return report.end(Outcome::Failed(failure), Usage::default());
                }
            }
        }
        let cancel = Arc::new(Notify::new());
        lock(&self.shared.running).insert((job.call, job.attempt), Arc::clone(&cancel));
        let sent = state.sender.as_ref().is_some_and(|it| it.send((job, cancel)).is_ok());
        drop(state);
        // If the thread is gone, the report says so when it is dropped.
        report.is_done = sent;
    }
}

impl Driver for ModelDriver {
    fn dispatch(&self, dispatch: Dispatch, reporter: Arc<dyn Reporter>) {
        let Dispatch { run, call, attempt, key, timeout, work } = dispatch;
        let Work::Model(request) = work else {
            let message = "only requests to models are served here";
            let failure = Failure::new(Reason::Provider, Code::UNSUPPORTED, message).not_sent();
            return reporter.ended(call, attempt, Outcome::Failed(failure), Usage::default());
        };
        self.hand_over(Job { run, call, attempt, key, timeout, request: *request, reporter });
    }

    fn cancel(&self, call: CallId, attempt: Attempt) {
        if let Some(cancel) = lock(&self.shared.running).get(&(call, attempt)) {
            cancel.notify_one();
        }
    }

    fn shutdown(&self) {
        let mut state = lock(&self.state);
        state.is_shut_down = true;
        // Without a sender the thread ends after its last attempt.
        state.sender = None;
        let thread = state.thread.take();
        drop(state);
        for cancel in lock(&self.shared.running).values() {
            cancel.notify_one();
        }
        let thread = thread.filter(|it| it.thread().id() != std::thread::current().id());
        thread.map(JoinHandle::join);
    }

    fn rest(&self) {
        let mut state = lock(&self.state);
        if lock(&self.shared.running).is_empty() {
            // Without a sender the thread ends; the next request starts another, with connections of its own.
            state.sender = None;
            state.thread = None;
            self.shared.around.clients.forget();
        }
    }
}

impl Drop for ModelDriver {
    fn drop(&mut self) {
        self.shutdown();
    }
}

type Started = (UnboundedSender<(Job, Arc<Notify>)>, JoinHandle<()>);

fn start(shared: &Arc<Shared>) -> std::io::Result<Started> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(Duration::from_secs(1))
        .build()?;
    let (sender, receiver) = unbounded_channel();
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("models".to_owned()).spawn(move || {
        runtime.block_on(serve(&shared, receiver));
        // A keyring that does not answer keeps nobody waiting.
        runtime.shutdown_background();
    })?;
    Ok((sender, thread))
}

async fn serve(shared: &Arc<Shared>, mut receiver: UnboundedReceiver<(Job, Arc<Notify>)>) {
    let mut attempts = JoinSet::new();
    while let Some((job, cancel)) = receiver.recv().await {
        while attempts.try_join_next().is_some() {}
        attempts.spawn(attempt(Arc::clone(shared), job, cancel));
    }
    let all = async { while attempts.join_next().await.is_some() {} };
    // Those that are not done by then report when they are dropped.
    tokio::time::timeout(SHUTDOWN_WAIT, all).await.ok();
}

async fn attempt(shared: Arc<Shared>, job: Job, cancel: Arc<Notify>) {
    let account = Account::default();
    let mut report = Report::of(&job);
    let result = tokio::select! {
        biased;
        () = cancel.notified() => Err(cancelled()),
        result = job.run(&shared.around, &account) => result,
    };
    let spent = account.spent();
    let counted = match (&spent, &result) {
        (None, _) => Counted::default(),
        // Whoever ends an attempt waits for nothing.
        (_, Err(failure)) if failure.reason != Reason::Provider => Counted::default(),
        (Some(spent), _) => tokio::select! {
            biased;
            () = cancel.notified() => Counted::default(),
            counted = job.count(&shared.around, &account, spent) => counted,
        },
    };
    lock(&shared.running).remove(&(job.call, job.attempt));
    let estimates = &shared.around.estimates;
    let used = spent.map(|spent| estimates.usage(&spent, counted, &job.request, result.is_ok()));
    let Used { usage, counted } = used.unwrap_or_default();
    if usage.estimated_tokens > 0 {
        let what = match (counted, usage.estimated_tokens - counted) {
            (0, estimated) => format!("{estimated} are estimated"),
            (counted, 0) => format!("it counted {counted} when asked"),
            (counted, estimated) => {
                format!("it counted {counted} when asked, {estimated} are estimated")
            }
        };
        let shown = &job.request.model;
        let what = format!("`{shown}` did not tell all tokens of a request: {what}");
        job.reporter.progressed(job.call, job.attempt, Progress::Message(what));
    }
    let outcome = match result {
        Ok(reply) => Outcome::Done(Json::of(&reply)),
        Err(failure) => Outcome::Failed(failure),
    };
    report.end(outcome, usage);
}

/// Sees to it that an attempt ends in one report, whatever becomes of it.
struct Report {
    key: Key,
    reporter: Arc<dyn Reporter>,
    is_done: bool,
}

impl Report {
    fn of(job: &Job) -> Self {
        let reporter = Arc::clone(&job.reporter);
        Self { key: (job.call, job.attempt), reporter, is_done: false }
    }

    fn end(&mut self, outcome: Outcome, usage: Usage) {
        if !std::mem::replace(&mut self.is_done, true) {
            self.reporter.ended(self.key.0, self.key.1, outcome, usage);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let message = "the request was lost before it ended";
        let failure = Failure::new(Reason::Provider, Code::REPLY_CUT, message);
        self.end(Outcome::Failed(failure.class(FailureClass::Wait)), Usage::default());
    }
}
