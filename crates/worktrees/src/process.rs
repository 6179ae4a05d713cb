//! Git as a process group of its own, with a small environment and bounded answers.

use crate::git::{Git, GitCall, GitError, GitOutput};
use loopwright_processes::{Signal, signal_group};
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// All of our environment that git gets. Variables named `GIT_…` could point it elsewhere, others could hold secrets.
const VARIABLES: [&str; 6] = ["PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "USER", "LOGNAME"];
/// What it complains of is kept up to here.
const STDERR_BYTES_MAX: usize = 64 * 1024;
/// How often `cancelled` is asked.
const TICK: Duration = Duration::from_millis(20);
/// Git removes its lock files when it is asked to end; after this long it is made to.
const GRACE: Duration = Duration::from_secs(2);

/// The `git` command found in `PATH`.
#[derive(Clone, Debug)]
pub struct GitCommand {
    program: OsString,
    variables: Vec<(OsString, OsString)>,
}

impl Default for GitCommand {
    fn default() -> Self {
        let kept = VARIABLES.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
        Self { program: "git".into(), variables: kept.collect() }
    }
}

impl GitCommand {
    /// Another program in its place.
    #[must_use]
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    /// A variable that every command gets, over ours.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
        self
    }

    fn spawn(&self, call: &GitCall) -> Result<Child, GitError> {
        let mut command = Command::new(&self.program);
        command.args(&call.arguments).current_dir(&call.directory).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs([("LC_ALL", "C"), ("GIT_TERMINAL_PROMPT", "0"), ("GIT_PAGER", "cat")]);
        command.envs([("GIT_NO_LAZY_FETCH", "1"), ("GIT_LITERAL_PATHSPECS", "1")]);
        command.envs(call.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound if call.directory.is_dir() => GitError::Missing,
            _ => GitError::Failed(error.to_string()),
        })
    }
}

/// What a reader got: which pipe, the bytes, whether there were more.
type Heard = (bool, Vec<u8>, bool);

impl Git for GitCommand {
    fn run(&self, call: &GitCall, cancelled: &dyn Fn() -> bool) -> Result<GitOutput, GitError> {
        if cancelled() {
            return Err(GitError::Cancelled);
        }
        let mut child = self.spawn(call)?;
        let (sender, heard) = mpsc::channel::<Heard>();
        if let Some(mut stdin) = child.stdin.take() {
            let bytes = call.stdin.clone();
            // A command that does not read to the end has its reasons; its status tells.
            thread::spawn(move || drop(stdin.write_all(&bytes)));
        }
        if let Some(stdout) = child.stdout.take() {
            listen(stdout, true, call.stdout_bytes_max, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            listen(stderr, false, STDERR_BYTES_MAX, sender.clone());
        }
        drop(sender);
        let (mut stdout, mut stderr, mut is_cut) = (Vec::new(), Vec::new(), false);
        let mut ended: Option<Instant> = None;
        loop {
            match heard.recv_timeout(TICK) {
                Ok((true, bytes, cut)) => (stdout, is_cut) = (bytes, cut),
                Ok((false, bytes, _)) => stderr = bytes,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if cancelled() => {
                    end(&mut child);
                    return Err(GitError::Cancelled);
                }
                Err(RecvTimeoutError::Timeout) => {
                    // Something it started may hold the pipes open after it has ended.
                    if ended.is_none() && matches!(child.try_wait(), Ok(Some(_))) {
                        ended = Some(Instant::now());
                    }
                    if ended.is_some_and(|at| at.elapsed() > GRACE) {
                        end(&mut child);
                        return Err(GitError::Failed("its pipes stayed open".to_owned()));
                    }
                }
            }
        }
        let status = child.wait().map_err(|error| GitError::Failed(error.to_string()))?;
        if is_cut {
            return Err(GitError::TooLarge);
        }
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(GitOutput { status: status.code(), stdout, stderr })
    }
}

/// Reads a pipe to its end on a thread of its own, so that git never waits for us; keeps the beginning.
fn listen(
    mut pipe: impl Read + Send + 'static,
    is_stdout: bool,
    bytes_max: usize,
    sender: mpsc::Sender<Heard>,
) {
    thread::spawn(move || {
        let mut kept = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let _ = pipe.by_ref().take(limit).read_to_end(&mut kept);
        let rest = std::io::copy(&mut pipe, &mut std::io::sink()).unwrap_or(0);
        let _ = sender.send((is_stdout, kept, rest > 0));
    });
}

/// Ends the whole group, kindly first.
fn end(child: &mut Child) {
    signal_group(child.id(), Signal::Terminate);
    let start = Instant::now();
    while start.elapsed() < GRACE && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(5));
    }
    signal_group(child.id(), Signal::Kill);
    let _ = child.wait();
}
