//! Process groups and what the kernel knows of them. The only unsafe code of this room is here.
#![allow(unsafe_code)]

use std::fs;
use std::sync::OnceLock;

/// Names the attempt in the environment of everything that its command starts, also of what left its group.
pub(crate) const MARK: &str = "LOOPWRIGHT_ATTEMPT";
/// Open files are raised to this at most: some programs walk all numbers up to their limit.
const FILES_MAX: libc::rlim_t = 65_536;

/// A signal for process groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`: what Ctrl-C sends.
    Interrupt,
    /// `SIGTERM`: end in order.
    Terminate,
    /// `SIGKILL`: ended by the kernel.
    Kill,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
        }
    }
}

/// Sends the signal to every process of the group; one that is gone is ignored.
pub(crate) fn signal_group(group: u32, signal: Signal) {
    // 0 and 1 would mean our own group and everybody.
    let Some(group) = i32::try_from(group).ok().filter(|group| *group > 1) else { return };
    // SAFETY: no memory is involved; an unknown group is an error that does not matter.
    unsafe { libc::killpg(group, signal.number()) };
}

/// Start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`); 0 where it is not known.
pub(crate) fn start_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in field 2 may hold anything, closing parentheses included.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    rest.split_ascii_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

/// Sends the signal to every process whose environment holds this mark, whatever group or session it moved to.
/// Reads the whole process table: for attempts that did not end by themselves.
pub(crate) fn signal_marked(mark: &str, signal: Signal) {
    let wanted = format!("{MARK}={mark}");
    for pid in with_variable(&|variable| variable == wanted.as_bytes()) {
        signal_process(pid, signal);
    }
}

/// Processes that serve or served any attempt of the run, as their environments say.
pub(crate) fn marked_with_run(run: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={run}/");
    with_variable(&|variable| variable.starts_with(wanted.as_bytes()))
}

/// Processes that have such a variable in their environment; this one is never among them.
fn with_variable(is_wanted: &dyn Fn(&[u8]) -> bool) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    let mut found = Vec::new();
    for process in processes.flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != own && *pid > 1) else { continue };
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(is_wanted) {
            found.push(pid);
        }
    }
    found
}

/// Sends the signal to one process; one that is gone is ignored.
pub(crate) fn signal_process(pid: u32, signal: Signal) {
    let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 1) else { return };
    // SAFETY: no memory is involved; a process that has gone meanwhile is an error that does not matter.
    unsafe { libc::kill(pid, signal.number()) };
}

/// Whether the process that began at this time is still there and does anything.
pub(crate) fn is_same(pid: u32, ticks: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_zombie =
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'));
    ticks > 0 && !is_zombie && start_ticks(pid) == ticks
}

/// Lets this process open as many files as it may: each command holds four. Gives the limits that were in force,
/// which are what a command should see.
pub(crate) fn raise_file_limit() -> libc::rlimit {
    static BEFORE: OnceLock<libc::rlimit> = OnceLock::new();
    *BEFORE.get_or_init(|| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a local that lives through the call.
        let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
        let wanted = limit.rlim_max.min(FILES_MAX);
        if known && limit.rlim_cur < wanted {
            let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max };
            // SAFETY: as above. A refusal leaves the old limit, which the caller then runs into with a clear error.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) };
        }
        limit
    })
}

/// Gives a command the file limit that was in force before it was raised, as other programs expect it.
#[cfg(target_os = "linux")]
pub(crate) fn restore_file_limit(pid: u32) {
    let limit = raise_file_limit();
    let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 1) else { return };
    if limit.rlim_cur > 0 {
        // SAFETY: one pointer is to a local that lives through the call, the other asks for nothing.
        unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
    }
}

/// Other systems cannot change the limits of another process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn restore_file_limit(_pid: u32) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_ticks_are_read_for_a_live_process_and_0_for_none() {
        assert!(start_ticks(std::process::id()) > 0);
        assert_eq!(start_ticks(u32::MAX), 0);
    }
}
