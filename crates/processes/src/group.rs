//! Process groups and what the kernel knows of them.

use rustix::process::{Pid, kill_process, kill_process_group};
use std::fs;

/// Names the attempt in the environment of everything that its process starts, also of what left its group.
pub const MARK: &str = "LOOPWRIGHT_ATTEMPT";

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
    fn number(self) -> rustix::process::Signal {
        match self {
            Self::Interrupt => rustix::process::Signal::INT,
            Self::Terminate => rustix::process::Signal::TERM,
            Self::Kill => rustix::process::Signal::KILL,
        }
    }
}

/// A process number that a signal may be sent to: 0 and 1 would mean our own group and everybody.
pub(crate) fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().filter(|number| *number > 1).and_then(Pid::from_raw)
}

/// Sends the signal to every process of the group; one that is gone is ignored.
pub fn signal_group(group: u32, signal: Signal) {
    if let Some(group) = pid(group) {
        let _ = kill_process_group(group, signal.number());
    }
}

/// Start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`); 0 where it is not known.
pub fn start_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in field 2 may hold anything, closing parentheses included.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    rest.split_ascii_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

/// Whether there is a process of this id that has not ended; yes where that cannot be known.
pub fn is_running(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return !std::path::Path::new("/proc/self/stat").exists();
    };
    // One that nobody has waited for yet has ended all the same.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    !matches!(state, Some("Z" | "X"))
}

/// Sends the signal to every process whose environment holds this mark, whatever group or session it moved to.
/// Reads the whole process table: for attempts that may have left something.
pub fn signal_marked(mark: &str, signal: Signal) {
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
pub(crate) fn signal_process(process: u32, signal: Signal) {
    if let Some(process) = pid(process) {
        let _ = kill_process(process, signal.number());
    }
}

/// Whether the process that began at this time is still there and does anything.
pub(crate) fn is_same(pid: u32, ticks: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_zombie =
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'));
    ticks > 0 && !is_zombie && start_ticks(pid) == ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    fn sleeper(mark: &str) -> Child {
        Command::new("sleep").arg("600").env(MARK, mark).process_group(0).spawn().unwrap()
    }

    #[test]
    fn start_ticks_are_read_for_a_live_process_and_0_for_none() {
        assert!(start_ticks(std::process::id()) > 0);
        assert_eq!(start_ticks(u32::MAX), 0);
    }

    #[test]
    fn no_signal_is_sent_to_our_own_group_or_to_everybody() {
        assert_eq!([0, 1, u32::MAX].map(pid), [None; 3]);
    }

    #[test]
    fn a_signal_reaches_the_group_and_what_bears_the_mark_and_nothing_else() {
        let own = format!("test/{}", std::process::id());
        let (mut first, mut second) = (sleeper(&own), sleeper(&format!("{own}0")));
        signal_marked(&own, Signal::Kill);
        assert_eq!(first.wait().unwrap().signal(), Some(9));
        assert!(second.try_wait().unwrap().is_none(), "its mark is longer");
        signal_group(second.id(), Signal::Terminate);
        assert_eq!(second.wait().unwrap().signal(), Some(15));
    }
}
