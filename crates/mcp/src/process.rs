//! A server's process: a group of its own, few variables, the end of what it writes to standard error.

use crate::config::Endpoint;
use crate::failure::line;
use crate::limits::Limits;
use loopwright_processes::{Signal, Tail, signal_group};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

/// What a server gets of our environment: where things are and how text is shown, no keys.
const VARIABLES: &[&str] = &[
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ",
    "USER",
];

/// How long a server may take to end after its input was closed, and again after it was asked to.
const GRACE: Duration = Duration::from_millis(1500);
const GRACE_TERM: Duration = Duration::from_millis(500);
/// How long a message waits to learn how a process ended that just closed its output.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A process that was started; its group is killed with the last handle.
pub(crate) struct Process {
    group: u32,
    stderr: Arc<Mutex<Tail>>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

/// Both ends that are spoken over.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
}

impl Process {
    /// Starts the program. Runs on the runtime, which follows the process from here on.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn start(endpoint: &Endpoint, limits: &Limits) -> io::Result<(Arc<Self>, Pipes)> {
        let Endpoint::Stdio { command, args, env, cwd } = endpoint else {
            return Err(io::Error::other("not a program"));
        };
        let mut start = Command::new(command);
        start.args(args).current_dir(cwd).env_clear();
        start.envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        start.envs(env).process_group(0).kill_on_drop(true);
        start.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = start.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let ((stdin, stdout), stderr) =
            pipes.zip(child.stderr.take()).ok_or(io::ErrorKind::BrokenPipe)?;
        let group = child.id().ok_or(io::ErrorKind::NotFound)?;
        let tail = Arc::new(Mutex::new(Tail::new(limits.stderr_bytes_max)));
        tokio::spawn(keep(stderr, Arc::clone(&tail)));
        let (tell, ended) = watch::channel(None);
        tokio::spawn(follow(child, group, tell));
        Ok((Arc::new(Self { group, stderr: tail, ended }), Pipes { stdin, stdout }))
    }

    /// Ends it in order: its input was closed, then it is asked, then it is killed.
    pub(crate) async fn end(&self) {
        let mut ended = self.ended.clone();
        for (grace, signal) in [(GRACE, Signal::Terminate), (GRACE_TERM, Signal::Kill)] {
            let wait = ended.wait_for(Option::is_some);
            if tokio::time::timeout(grace, wait).await.is_ok() {
                return;
            }
            signal_group(self.group, signal);
        }
    }

    /// How it ended and the end of what it wrote to standard error, for a message. Waits a moment for both.
    pub(crate) async fn last_words(&self) -> String {
        let mut ended = self.ended.clone();
        let wait = ended.wait_for(Option::is_some);
        let status = match tokio::time::timeout(LAST_WORDS, wait).await {
            Ok(Ok(status)) => *status,
            _ => None,
        };
        let how = match status {
            Some(status) => format!("its process ended ({status})"),
            None => "it closed its output".to_owned(),
        };
        format!("{how}{}", self.said())
    }

    /// The last line on standard error, as the end of a message.
    pub(crate) fn said(&self) -> String {
        let tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let text = tail.raw();
        // The last line is what most programs say when they give up; a frame of a trace says less than that.
        match text.lines().rev().find(|it| !it.trim().is_empty()) {
            Some(last) => format!("; the last line of its standard error is `{}`", line(last)),
            None => String::new(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.borrow().is_none() {
            signal_group(self.group, Signal::Kill);
        }
    }
}

/// Waits for the process and ends what it leaves in its group.
async fn follow(mut child: Child, group: u32, tell: watch::Sender<Option<ExitStatus>>) {
    let status = child.wait().await;
    signal_group(group, Signal::Kill);
    if let Ok(status) = status {
        // Nobody asks any more when the connection is gone.
        let _ = tell.send(Some(status));
    }
}

/// Reads standard error to its end, whatever its length: a full pipe would stop the server.
async fn keep(mut stderr: ChildStderr, tail: Arc<Mutex<Tail>>) {
    let mut chunk = vec![0; 8192];
    while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(&chunk[..length]);
    }
}
