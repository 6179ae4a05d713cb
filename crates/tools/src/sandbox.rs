//! A command and all it starts, confined by the kernel and ended whole.
//!
//! Landlock keeps it to the workspace, a seccomp filter takes away sockets and ways out, resource limits and a
//! watch bound what it uses, and a supervisor process that adopts every orphan ends what is left behind, also
//! when this process is killed. Everything is built before the fork; after it only system calls follow.

#[cfg(target_os = "linux")]
mod child; // between fork and exec, and the supervisor
#[cfg(target_os = "linux")]
mod filter; // the seccomp filter
mod kept; // the two ends of an output
#[cfg(target_os = "linux")]
mod rules; // the Landlock rules
#[cfg(target_os = "linux")]
mod run; // one command from spawn to end
#[cfg(target_os = "linux")]
mod tree; // what a process tree uses

use crate::options::BashOptions;
use crate::root::Root;
use loopwright_types::{Code, Diagnostic, Failure};
use std::time::Duration;

pub(crate) use kept::Kept;

/// A command to run.
pub(crate) struct Request<'a> {
    pub(crate) root: &'a Root,
    pub(crate) options: &'a BashOptions,
    pub(crate) command: &'a str,
    pub(crate) timeout: Duration,
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) stopped: Option<Stopped>,
    pub(crate) stdout: Kept,
    pub(crate) stderr: Kept,
    /// Processes that it had left behind and that were ended.
    pub(crate) leftovers: u32,
    /// Some could not be ended.
    pub(crate) gave_up: bool,
}

/// What the shell itself ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exit(i32),
    Signal(i32),
    /// The supervisor was lost, and with it the status.
    Unknown,
}

/// Why a command was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Timeout,
    Cancelled,
    Processes,
    Memory,
}

/// What of the kernel is missing for a sandbox; `None` where one can be made.
pub(crate) fn missing() -> Option<String> {
    #[cfg(target_os = "linux")]
    return rules::missing();
    #[cfg(not(target_os = "linux"))]
    Some("commands are confined only on Linux".to_owned())
}

/// The error for a machine that cannot confine a command.
pub(crate) fn absent(why: &str) -> Diagnostic {
    let message = format!("`bash` is refused, because the kernel cannot confine a command: {why}");
    Diagnostic::new(Code::SANDBOX_ABSENT, message).hint(
        "use a kernel from Linux 6.2 with Landlock enabled, or accept the risk with `tools.bash_unsandboxed=true`",
    )
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be confined or started, or its output cannot be read.
pub(crate) fn run(request: &Request<'_>) -> Result<Ended, Failure> {
    #[cfg(target_os = "linux")]
    return run::run(request, missing().as_deref());
    #[cfg(not(target_os = "linux"))]
    {
        let _ = request;
        Err(refused(&missing().unwrap_or_default()))
    }
}

fn refused(why: &str) -> Failure {
    let absent = absent(why);
    let failure =
        Failure::new(loopwright_types::Reason::Policy, absent.code, absent.message).not_sent();
    failure.hint(absent.hint.unwrap_or_default())
}
