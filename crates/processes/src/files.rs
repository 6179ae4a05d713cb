//! The limit of open files: ours is raised, since each process we follow holds several, and theirs is put back.

#[cfg(target_os = "linux")]
use crate::group;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::OnceLock;

/// Open files are raised to this at most: some programs walk all numbers up to their limit.
const FILES_MAX: u64 = 65_536;

/// Lets this process open as many files as it may: each process it follows holds four. Gives the limits that were in
/// force, which are what others should see.
pub(crate) fn raise_limit() -> Rlimit {
    static BEFORE: OnceLock<Rlimit> = OnceLock::new();
    *BEFORE.get_or_init(|| {
        let limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.unwrap_or(FILES_MAX).min(FILES_MAX);
        if limit.current.is_some_and(|current| current < wanted) {
            // A refusal leaves the old limit, which the caller then runs into with a clear error.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
        }
        limit
    })
}

/// Gives a process the limit that was in force before it was raised, as other programs expect it.
#[cfg(target_os = "linux")]
pub(crate) fn restore_limit(process: u32) {
    if let Some(process) = group::pid(process) {
        let _ = rustix::process::prlimit(Some(process), Resource::Nofile, raise_limit());
    }
}

/// Other systems cannot change the limits of another process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn restore_limit(_process: u32) {}
