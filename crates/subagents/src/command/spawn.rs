//! Starts a definition's command: no shell, an environment of its own, a process group of its own.

use super::process::{self, MARK};
use crate::definition::{CommandLine, Definition};
use crate::text::shown;
use loopwright_types::{Code, Failure, Reason};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// What every command gets of our environment. Anything else, secrets above all, is named by the definition.
const BASIC_VARIABLES: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// Starts the command with three pipes.
///
/// # Errors
/// [`Code::COMMAND_NOT_STARTED`], not sent: nothing of it ran.
pub(crate) fn spawn(
    line: &CommandLine,
    definition: &Definition,
    workspace: &Path,
    mark: &str,
) -> Result<Child, Failure> {
    let directory = match &line.directory {
        Some(directory) => workspace.join(directory),
        None => workspace.to_owned(),
    };
    if !directory.is_dir() {
        let cause = format!("its directory `{}` is not there", directory.display());
        return Err(not_started(definition, &cause, "correct `cwd` in the definition"));
    }
    let mut command = Command::new(program(line, &directory));
    command.args(&line.arguments).current_dir(&directory).env_clear();
    let basic =
        BASIC_VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.envs(basic).env(MARK, mark);
    for variable in &line.environment {
        match &variable.value {
            Some(value) => command.env(&variable.name, value),
            None => {
                command.envs(std::env::var_os(&variable.name).map(|value| (&variable.name, value)))
            }
        };
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    process::fence(&mut command);
    command.spawn().map_err(|error| explain(&error, line, definition))
}

/// A path with a `/` is looked up in the command's directory, a plain name along its `PATH`.
fn program(line: &CommandLine, directory: &Path) -> PathBuf {
    if line.program.contains('/') {
        directory.join(&line.program)
    } else {
        line.program.clone().into()
    }
}

fn explain(error: &io::Error, line: &CommandLine, definition: &Definition) -> Failure {
    let program = shown(&line.program, 200);
    let short_of = |what: &str, hint: &str| {
        not_started(definition, &format!("the system is short of {what} ({error})"), hint)
            .retryable()
    };
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => short_of(
            "open files",
            "raise `ulimit -n`, or lower `run.concurrency`; a command holds four",
        ),
        Some(libc::EAGAIN) => {
            short_of("processes", "raise `ulimit -u`, or lower `run.concurrency`")
        }
        Some(libc::ENOMEM) => short_of("memory", "lower `run.concurrency`"),
        Some(libc::ENOENT) => not_started(
            definition,
            &format!("`{program}` was not found"),
            "install it, or give a path; a script needs its interpreter, as in `[python3, worker.py]`",
        ),
        Some(libc::EACCES) => not_started(
            definition,
            &format!("`{program}` may not be run"),
            "make it executable with `chmod +x`, or name its interpreter, as in `[python3, worker.py]`",
        ),
        Some(libc::ENOEXEC) => not_started(
            definition,
            &format!("`{program}` is not a program"),
            "begin a script with `#!/usr/bin/env …`, or name its interpreter",
        ),
        Some(libc::E2BIG) => not_started(
            definition,
            "its arguments and environment are too long",
            "shorten `command` and `env`; the task itself is read from standard input",
        ),
        _ => not_started(definition, &format!("`{program}`: {error}"), "run it by hand to see why"),
    }
}

fn not_started(definition: &Definition, cause: &str, hint: &str) -> Failure {
    let message = format!("the command of `{}` could not be started: {cause}", definition.name);
    Failure::new(Reason::Provider, Code::COMMAND_NOT_STARTED, message).not_sent().hint(hint)
}
