//! The Landlock rules: what of the filesystem, the network and other processes a command reaches.

use crate::options::BashOptions;
use crate::root::Root;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags, path_beneath_rules,
};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Without it the kernel lets a process cut files it may not write (`truncate`, Linux 6.2), and "writes only in
/// the workspace" would not hold.
const LEAST: ABI = ABI::V3;
/// The newest rules that were tried.
const NEWEST: ABI = ABI::V6;

/// Programs and libraries: read and executed.
const PROGRAMS: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/run/current-system",
];
/// Read only. Environments and memory of other processes stay closed: Landlock itself forbids it.
const FACTS: &[&str] = &["/proc", "/sys/devices/system"];
/// Of `/etc` only what programs need; not `shadow`, `sudoers`, `ssh`, nor what an administrator keeps there.
const CONFIGURATION: &[&str] = &[
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/tls/certs",
    "/etc/profile",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
    "/run/systemd/resolve",
];
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What is missing for these rules; `None` where they can be made.
pub(super) fn missing() -> Option<String> {
    let probe = || -> Result<Option<OwnedFd>, RulesetError> {
        let handled = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LEAST))?;
        Ok(handled.create()?.into())
    };
    match probe() {
        Ok(Some(_)) => None,
        Ok(None) => Some("it has no Landlock".to_owned()),
        Err(_) => Some("it has no Landlock of version 3 or newer".to_owned()),
    }
}

/// The rules for one command: `private` is its own directory for temporary files.
pub(super) fn ruleset(
    root: &Root,
    private: &Path,
    options: &BashOptions,
) -> Result<Option<OwnedFd>, RulesetError> {
    let mut handled = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    if !options.network {
        // Every TCP port is handled and none is granted. The seccomp filter says the same once more.
        handled = handled.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let execute = read | AccessFs::Execute;
    let all =
        AccessFs::from_all(NEWEST) & !make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});
    let device = make_bitflags!(AccessFs::{ReadFile | WriteFile});
    let created: RulesetCreated = handled
        .create()?
        .add_rules(path_beneath_rules(PROGRAMS, execute))?
        .add_rules(path_beneath_rules(&options.paths, execute))?
        .add_rules(path_beneath_rules(FACTS, read))?
        .add_rules(path_beneath_rules(CONFIGURATION, read))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(repository(root.path()), read))?
        .add_rule(PathBeneath::new(root.handle(), all))?
        .add_rules(path_beneath_rules([private], all))?;
    Ok(created.into())
}

/// The repository that a worktree belongs to, so that `git log` and `git diff` work there. The worktree's `.git`
/// file may be anybody's text, so it counts only where the directory it names points back, which nobody inside
/// the worktree can arrange.
fn repository(root: &Path) -> Option<PathBuf> {
    let link = root.join(".git");
    if !link.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let text = std::fs::read_to_string(&link).ok()?;
    let own = root.join(text.strip_prefix("gitdir:")?.trim()).canonicalize().ok()?;
    let back = std::fs::read_to_string(own.join("gitdir")).ok()?;
    let points_back = Path::new(back.trim()).parent()?.canonicalize().ok()? == root;
    let worktrees = own.parent()?;
    let shared = worktrees.parent()?;
    let sound = points_back
        && worktrees.file_name()? == "worktrees"
        && shared.join("objects").is_dir()
        && shared.join("HEAD").is_file();
    sound.then(|| shared.to_path_buf())
}
