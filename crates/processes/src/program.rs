//! Starts a program: no shell, an environment of its own, a process group of its own.

use crate::files;
use crate::group::MARK;
use crate::text::shown;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// What every program gets of our environment. Anything else, secrets above all, is named by its definition.
const BASIC_VARIABLES: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// What is started, and with what.
pub struct Program<'a> {
    /// A path with a `/` is looked up in the directory, a plain name along its own `PATH`.
    pub program: &'a str,
    /// Its arguments.
    pub arguments: &'a [String],
    /// What it gets beside `PATH`, `HOME`, `LANG` and `TMPDIR`; without a value ours is passed through, if we have one.
    pub environment: Vec<(&'a str, Option<&'a str>)>,
    /// Where it works.
    pub directory: &'a Path,
    /// The value of [`MARK`] in its environment.
    pub mark: &'a str,
}

/// Why a program could not be started; nothing of it ran.
#[derive(Debug)]
pub struct NotStarted {
    /// What is wrong, as the end of a sentence.
    pub cause: String,
    /// What to do about it.
    pub hint: &'static str,
    /// Whether the next try may do better.
    pub may_pass: bool,
}

impl Program<'_> {
    /// Starts it with three pipes. Runs on the runtime that will follow it.
    ///
    /// # Errors
    /// When nothing of it ran.
    pub fn start(&self) -> Result<Child, NotStarted> {
        if !self.directory.is_dir() {
            let cause = format!("its directory `{}` is not there", self.directory.display());
            return Err(never(cause, "correct `cwd` in the definition"));
        }
        let environment = self.environment();
        let program = self.find(&environment).ok_or_else(|| self.explain(&Errno::NOENT.into()))?;
        let mut command = Command::new(program);
        command.args(self.arguments).current_dir(self.directory).env_clear().envs(environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        // Nothing may run between fork and exec, or every start would copy the host's page tables.
        let child = command.spawn().map_err(|error| self.explain(&error))?;
        files::restore_limit(child.id().unwrap_or(0));
        Ok(child)
    }

    fn environment(&self) -> BTreeMap<OsString, OsString> {
        let mut environment = BTreeMap::from([(MARK.into(), self.mark.into())]);
        let basic = BASIC_VARIABLES.into_iter();
        environment.extend(basic.filter_map(|name| Some((name.into(), env::var_os(name)?))));
        for (name, value) in &self.environment {
            if let Some(value) = value.map(Into::into).or_else(|| env::var_os(name)) {
                environment.insert(name.into(), value);
            }
        }
        environment
    }

    fn find(&self, environment: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
        if self.program.contains('/') {
            return Some(self.directory.join(self.program));
        }
        let places = env::split_paths(environment.get(OsStr::new("PATH"))?);
        let mut candidates = places.map(|place| self.directory.join(place).join(self.program));
        candidates.find(|path| {
            path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
        })
    }

    fn explain(&self, error: &io::Error) -> NotStarted {
        let program = shown(self.program, 200);
        let short_of = |what: &str, hint| NotStarted {
            cause: format!("the system is short of {what} ({error})"),
            hint,
            may_pass: true,
        };
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => short_of(
                "open files",
                "raise `ulimit -n`, or lower `run.concurrency`; each process holds four",
            ),
            Some(Errno::AGAIN) => {
                short_of("processes", "raise `ulimit -u`, or lower `run.concurrency`")
            }
            Some(Errno::NOMEM) => short_of("memory", "lower `run.concurrency`"),
            Some(Errno::NOENT) => never(
                format!("`{program}` was not found"),
                "install it, or give its path; a script needs its interpreter, as in `[python3, worker.py]`",
            ),
            Some(Errno::ACCESS) => never(
                format!("`{program}` may not be run"),
                "make it executable with `chmod +x`, or name its interpreter, as in `[python3, worker.py]`",
            ),
            Some(Errno::NOEXEC) => never(
                format!("`{program}` is not a program"),
                "begin a script with `#!/usr/bin/env …`, or name its interpreter",
            ),
            Some(Errno::TOOBIG) => never(
                "its arguments and environment are too long".to_owned(),
                "shorten `command` and `env`; the task itself is read from standard input",
            ),
            _ => never(format!("`{program}`: {error}"), "run it by hand to see why"),
        }
    }
}

fn never(cause: String, hint: &'static str) -> NotStarted {
    NotStarted { cause, hint, may_pass: false }
}
