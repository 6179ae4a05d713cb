//! Running git, as a trait: what is asked, what comes back.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Runs git.
pub trait Git: Send + Sync {
    /// Runs one command to its end; a command that ends with a failure is an [`GitOutput`] too.
    ///
    /// # Errors
    /// When it could not be started, was cancelled, or answered with more than it may.
    fn run(&self, call: &GitCall, cancelled: &dyn Fn() -> bool) -> Result<GitOutput, GitError>;
}

/// One command.
#[derive(Clone, Debug, Default)]
pub struct GitCall {
    /// Where it runs.
    pub directory: PathBuf,
    /// What follows `git`.
    pub arguments: Vec<OsString>,
    /// Variables beside the basic ones.
    pub environment: Vec<(OsString, OsString)>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// How much it may answer.
    pub stdout_bytes_max: usize,
}

impl GitCall {
    /// A command in a directory.
    pub fn new<A: AsRef<OsStr>>(directory: &Path, arguments: &[A]) -> Self {
        Self {
            directory: directory.to_path_buf(),
            arguments: arguments.iter().map(|argument| argument.as_ref().to_owned()).collect(),
            stdout_bytes_max: usize::MAX,
            ..Self::default()
        }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The same with a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same with something to read.
    #[must_use]
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = bytes;
        self
    }
}

/// What a command left.
#[derive(Clone, Debug)]
pub struct GitOutput {
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// What it wrote, at most as much as asked.
    pub stdout: Vec<u8>,
    /// What it complained of, at most 64 KiB.
    pub stderr: String,
}

impl GitOutput {
    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// The first line of what it wrote.
    pub fn line(&self) -> String {
        String::from_utf8_lossy(&self.stdout).lines().next().unwrap_or_default().to_owned()
    }

    /// What it wrote, as one path: everything before the last line end.
    pub fn path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let bytes = self.stdout.strip_suffix(b"\n").unwrap_or(&self.stdout);
        PathBuf::from(OsStr::from_bytes(bytes))
    }

    /// The line that says best what went wrong: printable, at most 300 characters.
    pub fn complaint(&self) -> String {
        let starts = ["fatal: ", "error: "];
        let lines = || self.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines().find(|line| starts.iter().any(|start| line.starts_with(start)));
        let line = line.or_else(|| lines().next_back()).unwrap_or("no reason given");
        let line = starts.iter().find_map(|start| line.strip_prefix(start)).unwrap_or(line);
        line.chars()
            .map(|c| if c == '`' { '\'' } else { c })
            .filter(|c| !c.is_control())
            .take(300)
            .collect()
    }

    /// Whether another git held a lock that this one needed, so that the same command may succeed a moment later.
    pub fn is_contention(&self) -> bool {
        let text = &self.stderr;
        let is_held = text.contains("Unable to create") && text.contains("File exists");
        let is_locked = text.contains("could not lock config file")
            || (text.contains("cannot lock ref") && !text.contains("already exists"));
        !self.succeeded() && (is_held || is_locked)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitError {
    /// There is no `git` in `PATH`.
    Missing,
    /// It could not be started, or its pipes broke.
    Failed(String),
    /// It answered with more bytes than it may.
    TooLarge,
    /// `cancelled` said so.
    Cancelled,
}
