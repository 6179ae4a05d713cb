//! The seccomp filter: system calls that lead out of the sandbox past Landlock, or that only escapes need.
//!
//! A second fence, by a list of what is denied: files are Landlock's, but sockets other than TCP, shared memory of
//! System V, other processes' limits and memory, namespaces and the kernel's own doors are here.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<libc::c_long, Vec<SeccompRule>>;
type Built<T> = Result<T, seccompiler::BackendError>;

// Numbers that the C library's headers do not have everywhere.
#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: libc::c_long = 320;
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: libc::c_long = 294;
const FCHMODAT2: libc::c_long = 452;
/// Requests to a terminal, `TIOCSTI` and `TIOCLINUX`.
const TYPED_INPUT: [u64; 2] = [0x5412, 0x541c];

/// Denied whatever the arguments.
const DENIED: &[libc::c_long] = &[
    // Other processes' memory, files and signals.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Rings start what a filter does not see, sockets included.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Doors into the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    // Files by handle instead of by path; watches of whole mounts.
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // Keys of the session, and memory and queues that all processes of a user share.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Builds the filter. `protected` is a process that must not be signalled, where Landlock's scopes do not see to it.
pub(super) fn filter(network: bool, protected: u32) -> Built<Vec<libc::sock_filter>> {
    let mut rules: Rules = DENIED.iter().map(|number| (*number, Vec::new())).collect();
    for flag in NAMESPACES {
        let flag = u64::from(flag.unsigned_abs());
        deny(&mut rules, libc::SYS_clone, &[(0, SeccompCmpOp::MaskedEq(flag), flag)])?;
    }
    sockets(&mut rules, network)?;
    // Another process's limits and priority may be changed by anybody of the same user.
    deny(&mut rules, libc::SYS_prlimit64, &[(0, SeccompCmpOp::Ne, 0)])?;
    deny(&mut rules, libc::SYS_setpriority, &[(1, SeccompCmpOp::Ne, 0)])?;
    for number in [libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_pidfd_open] {
        deny(&mut rules, number, &[(0, SeccompCmpOp::Eq, u64::from(protected))])?;
    }
    deny(&mut rules, libc::SYS_kill, &[(0, SeccompCmpOp::Eq, u64::from(u32::MAX))])?;
    set_ids(&mut rules)?;
    // Text that a terminal takes for typed input.
    for request in TYPED_INPUT {
        deny(&mut rules, libc::SYS_ioctl, &[(1, SeccompCmpOp::Eq, request)])?;
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    let built: BpfProgram = filter.try_into()?;
    let built = built.into_iter().map(|step| statement(step.code, step.jt, step.jf, step.k));
    Ok(absent_calls().into_iter().chain(built).collect())
}

/// No file becomes one that gives its owner's rights to whoever runs it.
fn set_ids(rules: &mut Rules) -> Built<()> {
    let create = u64::from(libc::O_CREAT.unsigned_abs());
    for bit in [u64::from(libc::S_ISUID), u64::from(libc::S_ISGID)] {
        let mode = |argument| (argument, SeccompCmpOp::MaskedEq(bit), bit);
        let creates = |argument| (argument, SeccompCmpOp::MaskedEq(create), create);
        deny(rules, libc::SYS_fchmod, &[mode(1)])?;
        deny(rules, libc::SYS_fchmodat, &[mode(2)])?;
        deny(rules, FCHMODAT2, &[mode(2)])?;
        deny(rules, libc::SYS_mknodat, &[mode(2)])?;
        // Where nothing is created the register of the mode holds anything.
        deny(rules, libc::SYS_openat, &[creates(2), mode(3)])?;
        #[cfg(target_arch = "x86_64")]
        {
            deny(rules, libc::SYS_chmod, &[mode(1)])?;
            deny(rules, libc::SYS_mknod, &[mode(1)])?;
            deny(rules, libc::SYS_creat, &[mode(1)])?;
            deny(rules, libc::SYS_open, &[creates(1), mode(2)])?;
        }
    }
    Ok(())
}

/// Without the network no socket at all: Unix ones lead to daemons that act for others. With it, only those
/// of the internet. Pairs stay, they lead nowhere.
fn sockets(rules: &mut Rules, network: bool) -> Built<()> {
    let (inet, inet6) =
        (u64::from(libc::AF_INET.unsigned_abs()), u64::from(libc::AF_INET6.unsigned_abs()));
    if network {
        let others = [(0, SeccompCmpOp::Ne, inet), (0, SeccompCmpOp::Ne, inet6)];
        deny(rules, libc::SYS_socket, &others)?;
    } else {
        rules.insert(libc::SYS_socket, Vec::new());
    }
    let unix = u64::from(libc::AF_UNIX.unsigned_abs());
    deny(rules, libc::SYS_socketpair, &[(0, SeccompCmpOp::Ne, unix)])
}

/// Denies a call whose arguments meet all conditions.
fn deny(
    rules: &mut Rules,
    number: libc::c_long,
    conditions: &[(u8, SeccompCmpOp, u64)],
) -> Built<()> {
    let conditions = conditions.iter().map(|(argument, operator, value)| {
        SeccompCondition::new(*argument, Dword, operator.clone(), *value)
    });
    let rule = SeccompRule::new(conditions.collect::<Result<_, _>>()?)?;
    rules.entry(number).or_default().push(rule);
    Ok(())
}

/// Calls that are said not to exist, in front of the filter: `clone3` and `openat2`, whose flags lie in memory that a
/// filter cannot read (libraries then use the older ones), and the x32 numbers, under which every call could be made
/// unseen.
fn absent_calls() -> Vec<libc::sock_filter> {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    let mut steps = vec![statement(LOAD, 0, 0, 0)];
    #[cfg(target_arch = "x86_64")]
    {
        const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
        steps.push(statement(AT_LEAST, 0, 1, 0x4000_0000));
        steps.push(statement(RETURN, 0, 0, absent));
    }
    for number in [libc::SYS_clone3, libc::SYS_openat2] {
        steps.push(statement(EQUAL, 0, 1, u32::try_from(number).unwrap_or(u32::MAX)));
        steps.push(statement(RETURN, 0, 0, absent));
    }
    steps
}

fn statement(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}
