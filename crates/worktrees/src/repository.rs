//! The workspace's repository: where it is, what is special about it, and git commands in one of its checkouts.

use crate::failures::{refused, shown, unavailable, unfit};
use crate::git::{Git, GitCall, GitOutput};
use crate::guard::{Guard, READ};
use loopwright_types::{Code, Failure, Reason};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Oldest git that takes settings from variables.
const GIT_MIN: (u32, u32) = (2, 31);
/// Waits for a lock that another git holds: 20 ms, doubled up to half a second, 14 times: about 5 s.
const CONTENTION_TRIES: u32 = 14;

pub(crate) type Cancelled<'a> = &'a dyn Fn() -> bool;

/// One checkout of a repository. Git is always told where its directory is: a `.git` in the checkout is not trusted.
#[derive(Clone)]
pub(crate) struct Checkout {
    git: Arc<dyn Git>,
    stdout_bytes_max: usize,
    /// The directory of all checkouts' common things.
    pub(crate) common: PathBuf,
    /// The checkout's own git directory.
    pub(crate) directory: PathBuf,
    /// The top of its files.
    pub(crate) top: PathBuf,
    pub(crate) guard: Guard,
}

/// The checkout that the workspace is in.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(crate) main: Checkout,
    /// The workspace, relative to the checkout's top.
    pub(crate) part: PathBuf,
    pub(crate) is_shallow: bool,
}

impl Repository {
    /// Finds the repository of a workspace.
    ///
    /// # Errors
    /// No git, too old a git, no repository, a bare one, one that git does not trust.
    pub(crate) fn open(
        git: &Arc<dyn Git>,
        workspace: &Path,
        stdout_bytes_max: usize,
        cancelled: Cancelled,
    ) -> Result<Self, Failure> {
        let workspace = workspace.canonicalize().map_err(|error| {
            unfit(format!("the workspace `{}` cannot be opened: {error}", shown(workspace)), "")
        })?;
        let ask = |arguments: &[&str]| {
            let mut call = GitCall::new(&workspace, arguments);
            call.stdout_bytes_max = stdout_bytes_max;
            for (name, value) in Guard::default().variables() {
                call = call.variable(&name, value);
            }
            git.run(&call, cancelled).map_err(|error| unavailable(&error, "find the repository"))
        };
        check_version(&ask(&["version"])?.line())?;
        let facts = ask(&[
            "rev-parse",
            "--is-bare-repository",
            "--is-inside-work-tree",
            "--is-shallow-repository",
        ])?;
        if !facts.succeeded() {
            return Err(not_found(&workspace, &facts));
        }
        let text = String::from_utf8_lossy(&facts.stdout).into_owned();
        let facts: Vec<bool> = text.lines().map(|line| line == "true").collect();
        if facts.get(1) != Some(&true) {
            let (cause, hint) = if facts.first() == Some(&true) {
                ("is a bare repository", "use a clone of it as the workspace")
            } else {
                ("is inside a `.git` directory", "use the directory around it as the workspace")
            };
            return Err(unfit(format!("the workspace `{}` {cause}", shown(&workspace)), hint));
        }
        let path = |option: &str| -> Result<PathBuf, Failure> {
            let output = ask(&["rev-parse", option])?;
            if !output.succeeded() {
                return Err(refused(&output, "find the repository"));
            }
            let path = workspace.join(output.path());
            path.canonicalize().map_err(|error| crate::failures::system("open", &path, &error))
        };
        let (common, directory, top) =
            (path("--git-common-dir")?, path("--absolute-git-dir")?, path("--show-toplevel")?);
        let part = workspace.strip_prefix(&top).map(Path::to_path_buf).map_err(|_| {
            // `core.worktree` may name any directory.
            let cause = format!(
                "the repository's files are in `{}`, not around the workspace",
                shown(&top)
            );
            unfit(cause, "correct `core.worktree` in the repository's settings")
        })?;
        let git = Arc::clone(git);
        let mut main =
            Checkout { git, stdout_bytes_max, common, directory, top, guard: Guard::default() };
        main.read_settings(cancelled)?;
        Ok(Self { main, part, is_shallow: facts.get(2) == Some(&true) })
    }
}

fn check_version(line: &str) -> Result<(), Failure> {
    let mut numbers = line.split_ascii_whitespace().nth(2).unwrap_or_default().split('.');
    let mut next = || numbers.next().and_then(|digits| digits.parse::<u32>().ok());
    match (next(), next()) {
        (Some(major), Some(minor)) if (major, minor) >= GIT_MIN => Ok(()),
        _ => {
            let cause = format!("`{}` is not git 2.31 or newer", crate::failures::printable(line));
            Err(Failure::new(Reason::Provider, Code::GIT_UNAVAILABLE, cause)
                .hint("install a newer git, or leave out `isolation: \"worktree\"`")
                .not_sent())
        }
    }
}

fn not_found(workspace: &Path, output: &GitOutput) -> Failure {
    let place = shown(workspace);
    if output.stderr.contains("dubious ownership") {
        let cause = format!("the repository of `{place}` belongs to another user");
        return unfit(
            cause,
            "if you trust it: `git config --global --add safe.directory <directory>`",
        );
    }
    if output.stderr.contains("not a git repository") {
        let hint = "run `git init` and commit, or leave out `isolation: \"worktree\"`";
        return unfit(format!("the workspace `{place}` is not in a git repository"), hint);
    }
    unfit(
        format!("the repository of `{place}` cannot be read: git says `{}`", output.complaint()),
        "`git status` in the workspace says more",
    )
}

impl Checkout {
    /// Reads the settings that need switching off; done again for each use, since they may have changed.
    pub(crate) fn read_settings(&mut self, cancelled: Cancelled) -> Result<(), Failure> {
        self.guard = Guard::default();
        let call = self.call(&["config", "--null", "--show-scope", "--get-regexp", READ]);
        let output = self.run(&call, "read the repository's settings", cancelled)?;
        // 1: there are none.
        match output.status {
            Some(0 | 1) => self.guard = Guard::read(&output.stdout),
            _ => return Err(refused(&output, "read the repository's settings")),
        }
        Ok(())
    }

    /// A worktree of the same repository, found by its directory; `None` when the repository knows of none there.
    pub(crate) fn linked(&self, top: &Path, cancelled: Cancelled) -> Result<Option<Self>, Failure> {
        let Some(directory) = self.registered(top) else { return Ok(None) };
        let mut linked = Self { directory, top: top.to_path_buf(), ..self.clone() };
        linked.read_settings(cancelled)?;
        Ok(Some(linked))
    }

    /// The git directory of the worktree at this place.
    pub(crate) fn registered(&self, top: &Path) -> Option<PathBuf> {
        self.all_registered().into_iter().find(|(_, at)| at == top).map(|(directory, _)| directory)
    }

    /// Every worktree that the repository knows of: its git directory and where its files are or were. The same as
    /// `git worktree list`, but paths may hold line ends and no file of a worktree is read.
    pub(crate) fn all_registered(&self) -> Vec<(PathBuf, PathBuf)> {
        let entries = fs::read_dir(self.common.join("worktrees")).into_iter().flatten().flatten();
        let known = entries.filter_map(|entry| {
            let directory = entry.path();
            let bytes = fs::read(directory.join("gitdir")).ok()?;
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let file = directory.join(OsStr::from_bytes(bytes));
            Some((directory, file.parent()?.to_path_buf()))
        });
        known.collect()
    }

    /// A command in this checkout.
    pub(crate) fn call<A: AsRef<OsStr>>(&self, arguments: &[A]) -> GitCall {
        let directory = if self.top.is_dir() { &self.top } else { &self.common };
        let mut call = GitCall::new(directory, arguments)
            .variable("GIT_DIR", &self.directory)
            .variable("GIT_WORK_TREE", &self.top);
        call.stdout_bytes_max = self.stdout_bytes_max;
        for (name, value) in self.guard.variables() {
            call = call.variable(&name, value);
        }
        call
    }

    /// Runs it, again while another git holds a lock.
    pub(crate) fn run(
        &self,
        call: &GitCall,
        doing: &str,
        cancelled: Cancelled,
    ) -> Result<GitOutput, Failure> {
        let mut wait = Duration::from_millis(20);
        for _ in 1..CONTENTION_TRIES {
            let output =
                self.git.run(call, cancelled).map_err(|error| unavailable(&error, doing))?;
            if !output.is_contention() {
                return Ok(output);
            }
            thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(500));
        }
        self.git.run(call, cancelled).map_err(|error| unavailable(&error, doing))
    }

    /// Runs it; ending with a failure is one.
    pub(crate) fn must(
        &self,
        call: &GitCall,
        doing: &str,
        cancelled: Cancelled,
    ) -> Result<GitOutput, Failure> {
        let output = self.run(call, doing, cancelled)?;
        if output.succeeded() { Ok(output) } else { Err(refused(&output, doing)) }
    }

    /// The commit that a name means; `None` when there is none.
    pub(crate) fn commit(
        &self,
        name: &str,
        cancelled: Cancelled,
    ) -> Result<Option<String>, Failure> {
        let revision = format!("{name}^{{commit}}");
        let call = self.call(&["rev-parse", "--verify", "--quiet", "--end-of-options", &revision]);
        let output = self.run(&call, "find a commit", cancelled)?;
        Ok(output.succeeded().then(|| output.line()).filter(|line| !line.is_empty()))
    }

    /// Files that differ from the commit, those that are not tracked included, ignored ones not.
    pub(crate) fn dirty_files(
        &self,
        untracked: &str,
        cancelled: Cancelled,
    ) -> Result<u64, Failure> {
        let untracked = format!("--untracked-files={untracked}");
        // `dirty`: no git runs inside a submodule, whose settings are its own.
        let call = self
            .call(&["status", "--porcelain=v1", "-z", "--no-renames", "--ignore-submodules=dirty"])
            .argument(untracked)
            .variable("GIT_OPTIONAL_LOCKS", "0");
        let output = self.must(&call, "compare the files with the commit", cancelled)?;
        let count = output.stdout.iter().filter(|byte| **byte == 0).count();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }
}
