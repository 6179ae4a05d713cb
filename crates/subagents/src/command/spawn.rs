//! Starts a definition's command: no shell, an environment of its own, a process group of its own.

use super::process::{self, MARK};
use crate::definition::{CommandLine, Definition};
use crate::text::shown;
use loopwright_types::{Code, Failure, Reason};
use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
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
    let environment = environment(line, mark);
    let program = program(line, &directory, &environment);
    let program = program
        .ok_or_else(|| explain(&io::Error::from_raw_os_error(libc::ENOENT), line, definition))?;
    let mut command = Command::new(program);
    command.args(&line.arguments).current_dir(&directory).env_clear().envs(environment);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    // Nothing may run between fork and exec, or every start would copy the host's page tables.
    let child = command.spawn().map_err(|error| explain(&error, line, definition))?;
    process::restore_file_limit(child.id().unwrap_or(0));
    Ok(child)
}

fn environment(line: &CommandLine, mark: &str) -> BTreeMap<OsString, OsString> {
    let mut environment = BTreeMap::from([(MARK.into(), mark.into())]);
    let basic =
        BASIC_VARIABLES.into_iter().filter_map(|name| Some((name.into(), env::var_os(name)?)));
    environment.extend(basic);
    for variable in &line.environment {
        let value = variable.value.clone().map(Into::into);
        if let Some(value) = value.or_else(|| env::var_os(&variable.name)) {
            environment.insert(variable.name.clone().into(), value);
        }
    }
    environment
}

/// A path with a `/` is looked up in the command's directory, a plain name along its own `PATH`.
fn program(
    line: &CommandLine,
    directory: &Path,
    environment: &BTreeMap<OsString, OsString>,
) -> Option<PathBuf> {
    if line.program.contains('/') {
        return Some(directory.join(&line.program));
    }
    let path = environment.get(OsStr::new("PATH"))?;
    let candidates = env::split_paths(path).map(|place| directory.join(place).join(&line.program));
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    candidates.into_iter().find(is_program)
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
