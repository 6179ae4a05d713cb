//! One attempt at a task by one process: feed it, follow it, and end it with everything it started.

use super::answer::{self, Answer};
use super::output::Lines;
use crate::definition::{CommandLine, Definition};
use loopwright_host::Reporter;
use loopwright_processes::{Program, Signal, Tail, TimeLimits, Watched};
use loopwright_processes::{shown, signal_group, signal_marked, start_ticks};
use loopwright_protocol::{Outcome, Progress};
use loopwright_types::{Attempt, CallId, Code, Failure, Reason, Usage};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::time::{Instant, sleep_until};

/// Time between `SIGTERM` and `SIGKILL`.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// Names the idempotency key in the environment of what is started.
const KEY: &str = "LOOPWRIGHT_KEY";
/// How long output is still read when the command has ended and something else keeps its pipes open.
const DRAIN: Duration = Duration::from_millis(250);
/// How long a process that was killed may take to go; the kernel can hold it longer in rare cases.
const GONE: Duration = Duration::from_secs(2);
/// Pieces in which output is read.
const STDOUT_PIECE: usize = 16 << 10;
const STDERR_PIECE: usize = 2 << 10;

/// Everything one attempt needs.
pub(crate) struct Job {
    pub(crate) call: CallId,
    pub(crate) attempt: Attempt,
    pub(crate) definition: Arc<Definition>,
    /// What is run: the definition's command or its lookup.
    pub(crate) line: CommandLine,
    pub(crate) is_lookup: bool,
    /// Where it works instead of in the workspace: its worktree.
    pub(crate) root: Option<PathBuf>,
    pub(crate) request: Vec<u8>,
    /// Names the attempt in the environment of what it starts.
    pub(crate) mark: String,
    /// The idempotency key.
    pub(crate) key: String,
    pub(crate) limits: TimeLimits,
    pub(crate) answer_bytes_max: usize,
    pub(crate) reporter: Arc<dyn Reporter>,
    pub(crate) watched: Watched,
}

/// Runs the command to its end.
pub(crate) async fn run(job: Job, workspace: Arc<Path>) -> (Outcome, Usage) {
    let began = Instant::now();
    let root = job.root.as_deref().unwrap_or(&workspace);
    let child = match start(&job, root) {
        Ok(child) => child,
        Err(failure) => return (Outcome::Failed(failure), Usage::default()),
    };
    Served::new(job, child, began).follow().await.outcome()
}

impl Job {
    /// What runs, for messages.
    fn name(&self) -> String {
        let name = format!("subagent `{}`", self.definition.name);
        if self.is_lookup { format!("the lookup of {name}") } else { name }
    }
}

/// Starts the job's command in this directory, or in its own below it.
///
/// # Errors
/// [`Code::COMMAND_NOT_STARTED`], not sent: nothing of it ran.
fn start(job: &Job, root: &Path) -> Result<Child, Failure> {
    let line = &job.line;
    let variables = line.environment.iter().map(|it| (it.name.as_str(), it.value.as_deref()));
    let key = std::iter::once((KEY, Some(job.key.as_str())));
    let program = Program {
        program: &line.program,
        arguments: &line.arguments,
        environment: variables.chain(key).collect(),
        directory: &line.directory.as_ref().map_or(root.to_owned(), |own| root.join(own)),
        mark: &job.mark,
    };
    program.start().map_err(|not_started| {
        let (name, cause) = (&job.definition.name, not_started.cause);
        let what = if job.is_lookup { "lookup" } else { "command" };
        let message = format!("the {what} of `{name}` could not be started: {cause}");
        let failure = Failure::new(Reason::Provider, Code::COMMAND_NOT_STARTED, message);
        let failure = failure.not_sent().hint(not_started.hint);
        if not_started.may_pass { failure.retryable() } else { failure }
    })
}

/// Why an attempt is being ended from outside.
enum Stop {
    Cancelled,
    Timeout,
    Refused(Failure),
}

/// What happens next to a process that is being watched.
enum Next {
    /// Until it is stopped at this time, if there is one.
    Runs(Option<Instant>),
    /// `SIGTERM` was sent; `SIGKILL` follows.
    Terminated(Instant),
    /// `SIGKILL` was sent; after this time nobody waits any more.
    Killed(Instant),
    /// It has ended; output is read until then.
    Ended(Instant),
}

struct Served {
    job: Job,
    child: Child,
    group: u32,
    lines: Lines,
    tail: Tail,
    next: Next,
    stop: Option<Stop>,
    status: Option<ExitStatus>,
}

impl Served {
    fn new(job: Job, child: Child, began: Instant) -> Self {
        // The process leads its group and is not reaped yet, so its id is there and is ours.
        let group = child.id().unwrap_or(0);
        job.watched.set_group(Some(group));
        let start_ticks = start_ticks(group);
        let progress = Progress::Process { pid: group, start_ticks };
        job.reporter.progressed(job.call, job.attempt, progress);
        let next = Next::Runs(job.limits.least().and_then(|limit| began.checked_add(limit)));
        let lines = Lines::new(job.answer_bytes_max);
        Self { job, child, group, lines, tail: Tail::default(), next, stop: None, status: None }
    }

    /// Feeds and reads the process until it has ended and its pipes are closed or abandoned.
    async fn follow(mut self) -> Self {
        let (mut stdin, mut stdout) = (self.child.stdin.take(), self.child.stdout.take());
        let mut stderr = self.child.stderr.take();
        let (mut out, mut err) = (vec![0; STDOUT_PIECE], vec![0; STDERR_PIECE]);
        let request = std::mem::take(&mut self.job.request);
        let mut sent = 0;
        while self.goes_on(stdout.is_some() || stderr.is_some()) {
            let due = self.due();
            tokio::select! {
                written = write(&mut stdin, &request[sent..]), if stdin.is_some() => match written {
                    Ok(count) if count > 0 && sent + count < request.len() => sent += count,
                    // A worker that does not read its request is no error; dropping the pipe is its end.
                    _ => stdin = None,
                },
                read = read(&mut stdout, &mut out), if stdout.is_some() => match read {
                    0 => stdout = None,
                    count => self.take_output(&out[..count]),
                },
                read = read(&mut stderr, &mut err), if stderr.is_some() => match read {
                    0 => stderr = None,
                    count => self.tail.push(&err[..count]),
                },
                status = self.child.wait(), if self.status.is_none() => self.ended(status.ok()),
                _ = &mut self.job.watched.cancelled, if self.stop.is_none() && self.status.is_none() => {
                    self.terminate(Stop::Cancelled);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.time_is_up(),
            }
        }
        if self.status.is_none() || stdout.is_some() || stderr.is_some() || self.stop.is_some() {
            // Something may have left the group: it is found by its environment.
            signal_marked(&self.job.mark, Signal::Kill);
        }
        self
    }

    fn goes_on(&self, pipe_is_open: bool) -> bool {
        match self.next {
            Next::Ended(until) => pipe_is_open && Instant::now() < until,
            Next::Killed(until) => Instant::now() < until,
            Next::Runs(_) | Next::Terminated(_) => true,
        }
    }

    fn due(&self) -> Option<Instant> {
        match self.next {
            Next::Runs(at) => at,
            Next::Terminated(at) | Next::Killed(at) | Next::Ended(at) => Some(at),
        }
    }

    fn take_output(&mut self, bytes: &[u8]) {
        if self.stop.is_some() {
            return;
        }
        let job = &self.job;
        let mut tell = |line| {
            job.reporter.progressed(job.call, job.attempt, Progress::Message(line));
        };
        if let Err(failure) = self.lines.push(bytes, &mut tell) {
            self.terminate(Stop::Refused(failure));
        }
    }

    /// The process has ended: what is left of its group goes with it.
    fn ended(&mut self, status: Option<ExitStatus>) {
        // Right after the process was collected its number cannot have been given to another yet: numbers are
        // handed out in a circle. Later it could, so the group is forgotten here.
        signal_group(self.group, Signal::Kill);
        self.job.watched.set_group(None);
        self.status = Some(status.unwrap_or_default());
        let drain = if self.stop.is_some() { Duration::ZERO } else { DRAIN };
        self.next = Next::Ended(Instant::now() + drain);
    }

    fn terminate(&mut self, stop: Stop) {
        self.stop = Some(stop);
        if self.status.is_none() {
            signal_group(self.group, Signal::Terminate);
            self.next = Next::Terminated(Instant::now() + GRACE);
        }
    }

    fn time_is_up(&mut self) {
        match self.next {
            Next::Runs(_) => self.terminate(Stop::Timeout),
            Next::Terminated(_) => {
                signal_group(self.group, Signal::Kill);
                self.next = Next::Killed(Instant::now() + GONE);
            }
            // The loop sees by itself that nobody waits any more.
            Next::Killed(_) | Next::Ended(_) => {}
        }
    }

    fn outcome(mut self) -> (Outcome, Usage) {
        if self.status.is_none() {
            self.job.watched.set_group(None);
        }
        let job = &self.job;
        let mut tell = |line| {
            job.reporter.progressed(job.call, job.attempt, Progress::Message(line));
        };
        let last = match self.stop {
            Some(Stop::Refused(_)) => None,
            _ => self.lines.finish(&mut tell),
        };
        let read = if job.is_lookup { answer::read_lookup } else { answer::read };
        let answer = last.map(|last| read(last, job.answer_bytes_max));
        // What a failed attempt says it used is counted all the same.
        let usage = answer.as_ref().and_then(|it| it.as_ref().ok()).map(|it| it.usage);
        let usage = usage.unwrap_or_default();
        let outcome = match self.stop.take() {
            Some(stop) => Outcome::Failed(stopped(stop, job)),
            None => {
                let status = self.status.unwrap_or_default();
                match conclude(answer, status, &self.tail.text(), job) {
                    // The signal of Ctrl-C can be faster than the cancellation that follows it.
                    Outcome::Failed(_) if job.watched.was_signalled() => {
                        Outcome::Failed(stopped(Stop::Cancelled, job))
                    }
                    outcome => outcome,
                }
            }
        };
        (outcome, usage)
    }
}

fn stopped(stop: Stop, job: &Job) -> Failure {
    match stop {
        Stop::Refused(mut failure) => {
            failure.message = format!("{}: {}", job.name(), failure.message);
            failure
        }
        Stop::Cancelled => {
            Failure::new(Reason::Cancelled, Code::CANCELLED, "the task was cancelled")
        }
        Stop::Timeout => job.limits.exceeded(&job.definition.name),
    }
}

/// How a process that ended by itself answered.
fn conclude(
    answer: Option<Result<Answer, Failure>>,
    status: ExitStatus,
    stderr: &str,
    job: &Job,
) -> Outcome {
    let name = job.name();
    let (stated, unusable) = match answer {
        Some(Ok(Answer { result: Ok(json), .. })) if status.success() => {
            return Outcome::Done(json);
        }
        Some(Ok(Answer { result, .. })) => (result.err(), None),
        Some(Err(failure)) => (None, Some(failure)),
        None => (None, None),
    };
    let said = match (&stated, stderr) {
        (Some(stated), _) => format!(": {}", stated.message),
        (None, "") => String::new(),
        (None, stderr) => format!("; standard error ends `{stderr}`"),
    };
    let (how, retryable) = match (status.signal(), status.code().unwrap_or_default()) {
        (Some(signal), _) => (format!("was ended by signal {signal}"), true),
        (None, 0) if stated.is_some() => ("failed".to_owned(), false),
        (None, 0) => return Outcome::Failed(no_answer(unusable, &name, &said)),
        (None, code) => {
            let program = shown(&job.line.program, 100);
            (format!("ended with exit status {code} of `{program}`"), may_pass(code))
        }
    };
    let message = format!("{name} {how}{said}");
    let mut failure = Failure::new(Reason::Provider, Code::COMMAND_FAILED, message);
    failure.retryable = stated.and_then(|stated| stated.retryable).unwrap_or(retryable);
    Outcome::Failed(failure)
}

/// The failure of a process that ended in order and said nothing that can be used.
fn no_answer(unusable: Option<Failure>, name: &str, said: &str) -> Failure {
    let mut failure = unusable.unwrap_or_else(|| {
        let hint = "print `{\"result\": …}` as the last line of standard output";
        answer::unusable("it ended without an answer", hint)
    });
    failure.message = format!("{name}: {}{said}", failure.message);
    failure
}

/// Whether an exit status may be different next time. The numbers of `sysexits.h` say that the request or the setup
/// is wrong, but for 75, and a shell uses 126 and 127 for a command that is not there.
fn may_pass(code: i32) -> bool {
    code == 75 || !matches!(code, 64..=78 | 126 | 127)
}

async fn write(stdin: &mut Option<ChildStdin>, bytes: &[u8]) -> std::io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.write(bytes).await,
        None => Ok(0),
    }
}

/// Reads a piece; 0 is the end, and so is an error.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, piece: &mut [u8]) -> usize {
    match pipe {
        Some(pipe) => pipe.read(piece).await.unwrap_or(0),
        None => 0,
    }
}
