//! Starts an agent: no shell, an environment of its own, a process group of its own.

use crate::agent::Agent;
use crate::failure;
use crate::process::MARK;
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

/// What every agent gets of our environment. Anything else, keys above all, is named by the definition.
const BASIC_VARIABLES: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// Starts the agent with three pipes in this directory.
///
/// # Errors
/// [`Code::AGENT_NOT_STARTED`], not sent: nothing of it ran.
pub(crate) fn spawn(agent: &Agent, directory: &Path, mark: &str) -> Result<Child, Failure> {
    if !directory.is_dir() {
        let cause = format!("its directory `{}` is not there", directory.display());
        return Err(not_started(agent, &cause, "correct `cwd` in the definition"));
    }
    let environment = environment(agent, mark);
    let program = program(agent, directory, &environment);
    let program =
        program.ok_or_else(|| explain(&io::Error::from_raw_os_error(libc::ENOENT), agent))?;
    let mut command = Command::new(program);
    command.args(&agent.arguments).current_dir(directory).env_clear().envs(environment);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    // Nothing may run between fork and exec, or every start would copy the host's page tables.
    command.spawn().map_err(|error| explain(&error, agent))
}

fn environment(agent: &Agent, mark: &str) -> BTreeMap<OsString, OsString> {
    let mut environment = BTreeMap::from([(MARK.into(), mark.into())]);
    let basic =
        BASIC_VARIABLES.into_iter().filter_map(|name| Some((name.into(), env::var_os(name)?)));
    environment.extend(basic);
    for (name, value) in &agent.environment {
        let value = value.clone().map(Into::into);
        if let Some(value) = value.or_else(|| env::var_os(name)) {
            environment.insert(name.into(), value);
        }
    }
    environment
}

/// A path with a `/` is looked up in the agent's directory, a plain name along its own `PATH`.
fn program(
    agent: &Agent,
    directory: &Path,
    environment: &BTreeMap<OsString, OsString>,
) -> Option<PathBuf> {
    if agent.program.contains('/') {
        return Some(directory.join(&agent.program));
    }
    let path = environment.get(OsStr::new("PATH"))?;
    let candidates = env::split_paths(path).map(|place| directory.join(place).join(&agent.program));
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    candidates.into_iter().find(is_program)
}

fn explain(error: &io::Error, agent: &Agent) -> Failure {
    let program = shown(&agent.program, 200);
    let short_of = |what: &str, hint: &str| {
        not_started(agent, &format!("the system is short of {what} ({error})"), hint).retryable()
    };
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => {
            short_of("open files", "raise `ulimit -n`, or lower `run.concurrency`")
        }
        Some(libc::EAGAIN) => {
            short_of("processes", "raise `ulimit -u`, or lower `run.concurrency`")
        }
        Some(libc::ENOMEM) => short_of("memory", "lower `run.concurrency`"),
        Some(libc::ENOENT) => not_started(
            agent,
            &format!("`{program}` was not found"),
            "install the agent, or give its path in `command`",
        ),
        Some(libc::EACCES) => not_started(
            agent,
            &format!("`{program}` may not be run"),
            "make it executable with `chmod +x`, or name its interpreter, as in `[node, agent.mjs]`",
        ),
        Some(libc::ENOEXEC) => not_started(
            agent,
            &format!("`{program}` is not a program"),
            "begin a script with `#!/usr/bin/env …`, or name its interpreter",
        ),
        _ => not_started(agent, &format!("`{program}`: {error}"), "run it by hand to see why"),
    }
}

fn not_started(agent: &Agent, cause: &str, hint: &str) -> Failure {
    let message = format!("{} could not be started: {cause}", failure::who(agent));
    Failure::new(Reason::Provider, Code::AGENT_NOT_STARTED, message).not_sent().hint(hint)
}
