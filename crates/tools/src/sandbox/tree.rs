//! What a process tree uses, as the kernel tells it. A bound for what limits of single processes do not bound:
//! how many there are (nothing limits that for root) and their memory together.

use std::collections::HashSet;

/// What a tree uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    /// Processes and threads.
    pub(super) tasks: u64,
    /// Memory that no other process shares, in bytes.
    pub(super) bytes: u64,
}

/// Adds up everything below a process; stops counting soon after `tasks_max`.
pub(super) fn below(process: u32, tasks_max: u64) -> Use {
    let (mut ahead, mut seen) = (children(process), HashSet::new());
    let mut used = Use::default();
    while let Some(process) = ahead.pop() {
        // A process may move to another parent while we look.
        if !seen.insert(process) || used.tasks > tasks_max {
            continue;
        }
        used.bytes = used.bytes.saturating_add(own_bytes(process));
        let tasks = tasks(process);
        used.tasks += tasks.len().max(1) as u64;
        ahead.extend(tasks.iter().flat_map(|task| children_of_task(process, *task)));
    }
    used
}

fn children(process: u32) -> Vec<u32> {
    tasks(process).into_iter().flat_map(|task| children_of_task(process, task)).collect()
}

fn tasks(process: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children_of_task(process: u32, task: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/task/{task}/children"));
    text.unwrap_or_default().split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn own_bytes(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let mut pages = text.split_ascii_whitespace().skip(1).map(|n| n.parse().unwrap_or(0));
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    page_bytes().saturating_mul(u64::saturating_sub(resident, shared))
}

fn page_bytes() -> u64 {
    super::child::page_bytes()
}

/// Processes and threads that a user has now: the kernel's limit counts them all, whoever started them.
pub(super) fn tasks_of_user(user: u32) -> u64 {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let status =
        |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("status")).ok();
    let field = |status: &str, name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let threads = processes.flatten().filter_map(status).filter_map(|status| {
        (field(&status, "Uid:")? == u64::from(user)).then(|| field(&status, "Threads:"))?
    });
    threads.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_counted_with_its_grandchildren() {
        let script = "sleep 60 & (sleep 60 & echo up; wait) & wait";
        let mut shell = std::process::Command::new("/bin/sh")
            .args(["-c", script])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = String::new();
        let output = shell.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut up).unwrap();
        let used = below(shell.id(), 1000);
        // Ends all of them by number: they are ours.
        let pids = |process: u32| children(process);
        let all: Vec<u32> =
            pids(shell.id()).into_iter().flat_map(|p| [vec![p], pids(p)].concat()).collect();
        for pid in all {
            let _ = std::process::Command::new("/bin/kill").arg(pid.to_string()).status();
        }
        let _ = shell.kill();
        shell.wait().unwrap();
        if used == Use::default() {
            return; // a kernel that does not list children
        }
        assert!(used.tasks >= 3, "{used:?}");
        assert!(used.bytes > 0, "{used:?}");
    }
}
