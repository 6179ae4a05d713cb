//! Process groups and what the kernel knows of them. The only unsafe code of this room is here.
#![allow(unsafe_code)]

use std::fs;

/// Names the attempt in the environment of everything that its agent starts, also of what left its group.
pub(crate) const MARK: &str = "LOOPWRIGHT_ATTEMPT";

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

/// Kills every process whose environment holds this mark, whatever group or session it moved to: agents start
/// servers and shells of their own.
pub(crate) fn kill_marked(mark: &str) {
    let wanted = format!("{MARK}={mark}");
    let Ok(processes) = fs::read_dir("/proc") else { return };
    let own = std::process::id();
    for process in processes.flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != own && *pid > 1) else { continue };
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let Ok(pid) = i32::try_from(pid) else { continue };
            // SAFETY: no memory is involved; a process that has gone meanwhile is an error that does not matter.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_ticks_are_read_for_a_live_process_and_0_for_none() {
        assert!(start_ticks(std::process::id()) > 0);
        assert_eq!(start_ticks(u32::MAX), 0);
    }
}
