//! Between fork and exec, and the supervisor: the only unsafe code of this room.
//!
//! `spawn` forks once; that process forks again. The first becomes the supervisor: it adopts orphans, and when the
//! shell has ended, or its control pipe closes (the call is over, or we are dead), it ends everything below it. The
//! second confines itself and becomes the shell. Both make system calls only: no memory is asked for, no lock taken.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How long processes have between `SIGTERM` and `SIGKILL`, in milliseconds.
const GRACE_MS: u32 = 2_000;
/// How long the supervisor keeps killing what will not go, in milliseconds.
const KILL_MS: u32 = 5_000;
/// How long it waits between two looks, in milliseconds.
const LOOK_MS: u32 = 5;

/// What a shell is confined by, ready before the fork.
pub(super) struct Confinement {
    /// Landlock's ruleset; absent where the operator accepted to run without.
    pub(super) ruleset: Option<OwnedFd>,
    /// The seccomp filter.
    pub(super) filter: Vec<libc::sock_filter>,
    /// Limits as pairs of a resource and its value.
    pub(super) limits: Vec<(Resource, u64)>,
    /// The bits of capabilities that root keeps.
    pub(super) capabilities: u32,
}

/// A resource that `setrlimit` limits; its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource(libc::c_int);

impl Resource {
    #![allow(clippy::cast_possible_wrap)] // the numbers are below 16, of another type in each C library
    pub(super) const CORE: Self = Self(libc::RLIMIT_CORE as libc::c_int);
    pub(super) const CPU_SECONDS: Self = Self(libc::RLIMIT_CPU as libc::c_int);
    pub(super) const DATA: Self = Self(libc::RLIMIT_DATA as libc::c_int);
    pub(super) const FILE: Self = Self(libc::RLIMIT_FSIZE as libc::c_int);
    pub(super) const OPEN_FILES: Self = Self(libc::RLIMIT_NOFILE as libc::c_int);
    pub(super) const PROCESSES: Self = Self(libc::RLIMIT_NPROC as libc::c_int);
}

/// What the supervisor says, in this order: the shell's number at its start; at the end three numbers more.
pub(super) const REPORT_NUMBERS: usize = 4;

/// Makes a command start as the shell below a supervisor. `root` is its working directory; the supervisor reads
/// `control` until its end and writes its report to `status`.
pub(super) fn arm(
    command: &mut Command,
    root: BorrowedFd<'_>,
    confinement: Confinement,
    control: OwnedFd,
    status: OwnedFd,
) {
    let root = root.as_raw_fd();
    let enter = move || {
        let (control, status) = (control.as_raw_fd(), status.as_raw_fd());
        // SAFETY: called once in the forked child, where only this thread is left; see `enter`.
        unsafe { enter(root, &confinement, control, status) }
    };
    // SAFETY: the closure makes system calls only; what it owns was made before the fork and is not freed there.
    unsafe { command.pre_exec(enter) };
}

/// Becomes the supervisor, which never returns, and the confined process, which goes on to its exec.
///
/// # Safety
/// Only in a forked child with one thread.
unsafe fn enter(root: RawFd, with: &Confinement, control: RawFd, status: RawFd) -> io::Result<()> {
    // SAFETY: system calls on our own process; the pointers lead to values that outlive the calls.
    unsafe {
        // A session of its own: no terminal, and none of its signals.
        checked(libc::setsid())?;
        checked(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))?;
        let shell = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if shell < 0 {
            return Err(io::Error::last_os_error());
        }
        if shell > 0 {
            supervise(shell as libc::pid_t, control, status);
        }
        checked(libc::setpgid(0, 0))?;
        checked(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
        checked(libc::fchdir(root))?;
        prefer_for_memory_killer();
        // What this process has open by accident is not inherited.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for (resource, value) in &with.limits {
            limit(*resource, *value)?;
        }
        drop_capabilities(with.capabilities)?;
        checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        if let Some(ruleset) = &with.ruleset {
            let done = libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0);
            checked(done as libc::c_int)?;
        }
        let program = libc::sock_fprog {
            len: with.filter.len() as libc::c_ushort,
            filter: with.filter.as_ptr().cast_mut(),
        };
        checked(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program, 0, 0))
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lowers a limit; one that is lower already stays.
unsafe fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `now` is ours and outlives both calls.
    unsafe {
        checked(libc::getrlimit(resource.0 as _, &mut now))?;
        // At its soft limit of time a process gets a signal that names the cause, at the hard one just the end.
        let spare = libc::rlim_t::from(resource.0 == Resource::CPU_SECONDS.0);
        let value = value as libc::rlim_t;
        let most = now.rlim_max.min(value.saturating_add(spare));
        let limits = libc::rlimit { rlim_cur: value.min(most), rlim_max: most };
        checked(libc::setrlimit(resource.0 as _, &limits))
    }
}

/// When memory runs out, the kernel ends commands before anything else of ours.
unsafe fn prefer_for_memory_killer() {
    // SAFETY: a path and a text that end where the calls are told.
    unsafe {
        let file =
            libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file >= 0 {
            libc::write(file, b"1000".as_ptr().cast(), 4);
            libc::close(file);
        }
    }
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    process: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilitySet {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`, with two sets of 32 bits.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Gives up root's powers, but for those that are kept. With no new privileges an exec brings none back.
unsafe fn drop_capabilities(kept: u32) -> io::Result<()> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION, process: 0 };
    let mut sets = [CapabilitySet::default(); 2];
    // SAFETY: the kernel writes two sets of this layout for this version, and reads two.
    unsafe {
        for capability in (0..64).filter(|number| *number >= 32 || kept & (1 << number) == 0) {
            // Fails for numbers that do not exist, and for those who have none to drop.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        checked(libc::syscall(libc::SYS_capget, &header, sets.as_mut_ptr()) as libc::c_int)?;
        let permitted = sets[0].permitted & kept;
        sets = [
            CapabilitySet { effective: permitted, permitted, inheritable: 0 },
            CapabilitySet::default(),
        ];
        checked(libc::syscall(libc::SYS_capset, &header, sets.as_ptr()) as libc::c_int)
    }
}

/// Watches over the shell and ends all that is left; never returns.
unsafe fn supervise(shell: libc::pid_t, control: RawFd, status: RawFd) -> ! {
    // SAFETY: system calls on our own process and its children; buffers are on the stack.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        // This is a copy of us, memory and all: nobody may look into it.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::prctl(libc::PR_SET_NAME, c"lw-supervisor".as_ptr(), 0, 0, 0);
        libc::setpgid(shell, shell);
        // Only the two pipes stay open; the spawner waits for the others to close.
        libc::dup2(control, 0);
        libc::dup2(status, 1);
        libc::syscall(libc::SYS_close_range, 2, libc::c_uint::MAX, 0);
        report(&[shell]);
        let mut ended: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut ended);
        libc::sigaddset(&mut ended, libc::SIGCHLD);
        let signals = libc::signalfd(-1, &ended, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        while !has_ended(shell) {
            reap_others(shell);
            let mut watched = [
                libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: signals, events: libc::POLLIN, revents: 0 },
            ];
            // Without a signal descriptor a look ten times a second does.
            libc::poll(watched.as_mut_ptr(), 2, if signals < 0 { 100 } else { -1 });
            if watched[0].revents != 0 {
                break;
            }
            let mut drained = [0u8; 128];
            libc::read(signals, drained.as_mut_ptr().cast(), drained.len());
        }
        let (leftovers, gave_up) = end_all(shell);
        let mut how = 0;
        libc::waitpid(shell, &mut how, libc::WNOHANG);
        report(&[how, leftovers, libc::c_int::from(gave_up)]);
        libc::_exit(0)
    }
}

unsafe fn report(numbers: &[libc::c_int]) {
    // SAFETY: writes the numbers' own bytes to our own pipe, which takes so few at once.
    unsafe { libc::write(1, numbers.as_ptr().cast(), size_of_val(numbers)) };
}

/// Whether the shell has ended. It stays unreaped until the end, so that its number, which is its group's, is
/// given to nobody else.
unsafe fn has_ended(shell: libc::pid_t) -> bool {
    // SAFETY: `found` is ours; zero is a valid value of it.
    unsafe {
        let mut found: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let done = libc::waitid(libc::P_PID, shell as libc::id_t, &mut found, flags);
        done < 0 || found.si_pid() != 0
    }
}

/// Takes leave of orphans that have ended; how many a signal ended, and whether any goes on.
unsafe fn reap_others(shell: libc::pid_t) -> (libc::c_int, bool) {
    let (mut killed, mut going) = (0, false);
    // SAFETY: as `each_child`; waiting for a child of ours that may have ended.
    unsafe {
        each_child(|child| {
            if child == shell {
                return;
            }
            let mut how = 0;
            if libc::waitpid(child, &mut how, libc::WNOHANG) == 0 {
                going = true;
            } else if libc::WIFSIGNALED(how) {
                killed += 1;
            }
        });
    }
    (killed, going)
}

/// Ends everything: in order first, then by force, until nothing is left. How many orphans that took, and whether
/// some are left all the same.
unsafe fn end_all(shell: libc::pid_t) -> (libc::c_int, bool) {
    let (mut killed, mut waited) = (0, 0);
    loop {
        let forced = waited >= GRACE_MS;
        // SAFETY: signals to our own children and to the group that the shell, unreaped, still names.
        unsafe {
            // The order is given once; force until it is done.
            if waited == 0 || forced {
                let signal = if forced { libc::SIGKILL } else { libc::SIGTERM };
                libc::kill(-shell, signal);
                each_child(|child| {
                    libc::kill(child, signal);
                });
                libc::kill(-shell, libc::SIGCONT);
            }
            let (more, going) = reap_others(shell);
            killed += more;
            // Where the kernel lists no children, the group is all there is to go by.
            if !going && has_ended(shell) {
                return (killed, false);
            }
            if waited >= GRACE_MS + KILL_MS {
                return (killed, true);
            }
            let pause = libc::timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_MS) * 1_000_000 };
            libc::nanosleep(&pause, std::ptr::null_mut());
        }
        waited += LOOK_MS;
    }
}

/// Calls for each child of ours, as the kernel lists them.
unsafe fn each_child(mut act: impl FnMut(libc::pid_t)) {
    let mut buffer = [0u8; 16 * 1024];
    // SAFETY: reads into our own buffer, as much as fits; what does not fit is seen at the next look.
    let count = unsafe {
        let file =
            libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return;
        }
        let count = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(file);
        count
    };
    let mut number: libc::pid_t = 0;
    for byte in buffer.iter().take(usize::try_from(count).unwrap_or(0)) {
        if byte.is_ascii_digit() {
            number = number.wrapping_mul(10).wrapping_add(libc::pid_t::from(byte - b'0'));
        } else if number > 0 {
            act(number);
            number = 0;
        }
    }
}

/// Ends a supervisor that does not answer and the group of its shell.
pub(super) fn end_by_force(supervisor: u32, shell: Option<libc::pid_t>) {
    // SAFETY: no memory is involved; the supervisor is our own unreaped child, and both numbers are above 1.
    unsafe {
        if let Some(shell) = shell.filter(|shell| *shell > 1) {
            libc::kill(-shell, libc::SIGKILL);
        }
        if let Some(pid) = libc::pid_t::try_from(supervisor).ok().filter(|pid| *pid > 1) {
            libc::kill(pid, libc::SIGKILL);
        }
    }
}

/// Waits until one of the descriptors has something, at most so many milliseconds.
pub(super) fn wait_readable(descriptors: &[RawFd], milliseconds: i32) {
    let watch = |fd: &RawFd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 };
    let mut watched: Vec<libc::pollfd> = descriptors.iter().map(watch).collect();
    // SAFETY: the array is ours and as long as told; an interrupted wait is a short one.
    unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, milliseconds) };
}

/// What `waitpid` says of an end.
pub(super) fn end(how: libc::c_int) -> super::End {
    if libc::WIFSIGNALED(how) {
        super::End::Signal(libc::WTERMSIG(how))
    } else {
        super::End::Exit(libc::WEXITSTATUS(how))
    }
}

/// Bytes of a page of memory.
pub(super) fn page_bytes() -> u64 {
    // SAFETY: asks for a constant.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Our effective user.
pub(super) fn user() -> u32 {
    // SAFETY: never fails and touches no memory.
    unsafe { libc::geteuid() }
}
