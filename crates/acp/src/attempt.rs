//! One attempt at a task by one agent: start it, talk with it, and end it with everything it started.

use crate::agent::Agent;
use crate::answer;
use crate::conversation::{self, Plan};
use crate::failure::{self, Broken, Known};
use crate::session::Session;
use crate::wire::{self, Limits};
use agent_client_protocol::Channel;
use agent_client_protocol::v1::schema::StopReason;
use loopwright_host::Reporter;
use loopwright_processes::{Program, Signal, Tail, TimeLimits, Watched};
use loopwright_processes::{signal_group, signal_marked, start_ticks};
use loopwright_protocol::{Outcome, Progress};
use loopwright_types::{Attempt, CallId, Code, Failure, Reason, Usage};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// How long an agent may take to end by itself when its standard input was closed, and between `SIGTERM` and
/// `SIGKILL`; also how long a turn may take to end that is being cancelled.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// How long the rest of the output is read when the agent has ended and something else keeps its pipes open.
const DRAIN: Duration = Duration::from_millis(250);

/// Everything one attempt needs.
pub(crate) struct Job {
    pub(crate) call: CallId,
    pub(crate) attempt: Attempt,
    pub(crate) agent: Arc<Agent>,
    pub(crate) plan: Plan,
    pub(crate) wants_json: bool,
    /// Names the attempt in the environment of what it starts.
    pub(crate) mark: String,
    pub(crate) limits: TimeLimits,
    /// Until the task is sent.
    pub(crate) start: Duration,
    pub(crate) wire: Limits,
    pub(crate) answer_bytes_max: usize,
    pub(crate) reporter: Arc<dyn Reporter>,
    pub(crate) watched: Watched,
}

/// Why an attempt is being ended from outside.
#[derive(Clone, Copy)]
enum Stop {
    Cancelled,
    Timeout,
}

/// Starts the agent in this directory.
///
/// # Errors
/// [`Code::AGENT_NOT_STARTED`], not sent: nothing of it ran.
fn start(agent: &Agent, directory: &Path, mark: &str) -> Result<Child, Failure> {
    let variables = agent.environment.iter();
    let program = Program {
        program: &agent.program,
        arguments: &agent.arguments,
        environment: variables.map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
        directory,
        mark,
    };
    program.start().map_err(|not_started| {
        let cause = not_started.cause;
        let message = format!("{} could not be started: {cause}", failure::who(agent));
        let failure = Failure::new(Reason::Provider, Code::AGENT_NOT_STARTED, message);
        let failure = failure.not_sent().hint(not_started.hint);
        if not_started.may_pass { failure.retryable() } else { failure }
    })
}

type Talked = Result<StopReason, Broken>;

/// Runs the agent to its end.
pub(crate) async fn run(mut job: Job) -> (Outcome, Usage) {
    let began = Instant::now();
    let mut child = match start(&job.agent, &job.plan.directory, &job.mark) {
        Ok(child) => child,
        Err(failure) => return (Outcome::Failed(failure), Usage::default()),
    };
    // The process leads its group and is not reaped yet, so its id is there and is ours.
    let group = child.id().unwrap_or(0);
    job.watched.set_group(Some(group));
    let (call, attempt) = (job.call, job.attempt);
    let start_ticks = start_ticks(group);
    job.reporter.progressed(call, attempt, Progress::Process { pid: group, start_ticks });
    let reporter = Arc::clone(&job.reporter);
    let tell = move |line| reporter.progressed(call, attempt, Progress::Message(line));
    let session = Arc::new(Session::new(job.answer_bytes_max, Box::new(tell)));
    let mut tail = Tail::default();
    let mut stderr = child.stderr.take();
    let (talked, stop) = talk(&mut job, &mut child, &mut stderr, &mut tail, &session, began).await;
    let status = {
        let mut ending = std::pin::pin!(end(&mut child, group, talked.is_ok()));
        // What it still writes is read meanwhile, or it might wait for that.
        match &mut stderr {
            Some(pipe) => tokio::select! {
                status = &mut ending => status,
                () = drain(pipe, &mut tail) => ending.await,
            },
            None => ending.await,
        }
    };
    if let Some(stderr) = &mut stderr {
        let _ = timeout(DRAIN, drain(stderr, &mut tail)).await;
    }
    signal_marked(&job.mark, Signal::Kill);
    job.watched.set_group(None);
    let known = Known {
        agent: &job.agent,
        session: &session,
        status,
        stderr: tail.text(),
        answer_bytes_max: job.answer_bytes_max,
    };
    // The signal of Ctrl-C can be faster than the cancellation that follows it.
    let cut_off = talked.is_err() && job.watched.was_signalled();
    let stop = stop.or(cut_off.then_some(Stop::Cancelled));
    let stop = stop.map(|stop| stopped(stop, &job.agent.name, job.limits));
    (outcome(talked, stop, &known, job.wants_json), session.usage())
}

/// Talks until the turn has ended, or cannot any more. The agent's standard input and output are closed afterwards.
async fn talk(
    job: &mut Job,
    child: &mut Child,
    stderr: &mut Option<ChildStderr>,
    tail: &mut Tail,
    session: &Arc<Session>,
    began: Instant,
) -> (Talked, Option<Stop>) {
    let group = child.id().unwrap_or(0);
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return (Err(Broken::Gone), None);
    };
    let (ours, theirs) = Channel::duplex();
    let (stopping, stop_wanted) = watch::channel(false);
    let hold = conversation::hold(theirs, job.plan.clone(), Arc::clone(session), stop_wanted);
    let mut hold = Box::pin(hold);
    let mut carry = Box::pin(wire::carry(ours, stdin, stdout, job.wire, session));
    let limit = job.limits.least().and_then(|limit| began.checked_add(limit));
    let ready_by = began + job.start;
    let (mut is_carried, mut has_ended) = (false, false);
    // When to stop waiting, once there is a reason to.
    let mut patience: Option<Instant> = None;
    let mut stop: Option<Stop> = None;
    let talked = loop {
        let starting = !session.is_prompted() && stop.is_none();
        let due = match (patience, stop.is_some()) {
            (Some(patience), true) => Some(patience),
            (patience, _) => {
                [patience, limit, starting.then_some(ready_by)].into_iter().flatten().min()
            }
        };
        tokio::select! {
            talked = &mut hold => break talked,
            carried = &mut carry, if !is_carried => match carried {
                Ok(()) => is_carried = true,
                Err(broken) => break Err(broken),
            },
            () = session.overflow.notified() => break Err(Broken::Gone),
            () = read_piece(stderr, tail), if stderr.is_some() => {}
            _ = child.wait(), if !has_ended => {
                has_ended = true;
                // Right after the process was collected its number cannot have been given to another yet: numbers
                // are handed out in a circle. Later it could, so the group is forgotten here.
                signal_group(group, Signal::Kill);
                job.watched.set_group(None);
                patience.get_or_insert(Instant::now() + DRAIN);
            }
            _ = &mut job.watched.cancelled, if stop.is_none() => {
                stop = Some(Stop::Cancelled);
                patience.get_or_insert(Instant::now() + GRACE);
                let _ = stopping.send(true);
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if patience.is_some_and(|patience| patience <= Instant::now()) {
                    break Err(Broken::Gone);
                }
                if limit.is_some_and(|limit| limit <= Instant::now()) {
                    stop = Some(Stop::Timeout);
                    patience.get_or_insert(Instant::now() + GRACE);
                    let _ = stopping.send(true);
                } else {
                    break Err(Broken::NotReady(job.start));
                }
            }
        }
    };
    (talked, stop)
}

/// Ends the agent, whose standard input is closed by now, and what is left of its group.
async fn end(child: &mut Child, group: u32, in_order: bool) -> Option<ExitStatus> {
    if child.id().is_none() {
        // It was collected already, and its group killed.
        return child.try_wait().ok().flatten();
    }
    // One that has answered may save what it wants to keep.
    let mut status = match in_order {
        true => timeout(GRACE, child.wait()).await.ok(),
        false => None,
    };
    for signal in [Signal::Terminate, Signal::Kill] {
        if status.is_none() {
            signal_group(group, signal);
            status = timeout(GRACE, child.wait()).await.ok();
        }
    }
    signal_group(group, Signal::Kill);
    status.and_then(Result::ok)
}

fn outcome(talked: Talked, stop: Option<Failure>, known: &Known<'_>, wants_json: bool) -> Outcome {
    if let Some(failure) = stop {
        return Outcome::Failed(if known.session.is_prompted() {
            failure
        } else {
            failure.not_sent()
        });
    }
    // Whatever broke with it: too much was said.
    if let Some(bytes) = known.session.too_large() {
        return Outcome::Failed(known.failure(Broken::TooLarge(bytes)));
    }
    match talked {
        Err(broken) => Outcome::Failed(known.failure(broken)),
        Ok(StopReason::EndTurn) => {
            let message = known.session.message();
            match message.is_empty() {
                true => Outcome::Failed(known.unanswered(StopReason::EndTurn)),
                false => Outcome::Done(answer::value(&message, wants_json)),
            }
        }
        Ok(other) => Outcome::Failed(known.unanswered(other)),
    }
}

fn stopped(stop: Stop, name: &str, limits: TimeLimits) -> Failure {
    match stop {
        Stop::Cancelled => {
            Failure::new(Reason::Cancelled, Code::CANCELLED, "the task was cancelled")
        }
        Stop::Timeout => limits.exceeded(name),
    }
}

/// Reads a piece of standard error; its end, and an error, close it.
async fn read_piece(stderr: &mut Option<ChildStderr>, tail: &mut Tail) {
    let mut piece = [0; 2048];
    if let Some(pipe) = stderr {
        match pipe.read(&mut piece).await {
            Ok(count) if count > 0 => tail.push(&piece[..count]),
            _ => *stderr = None,
        }
    }
}

async fn drain(stderr: &mut ChildStderr, tail: &mut Tail) {
    let mut piece = [0; 2048];
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        tail.push(&piece[..count]);
    }
}
