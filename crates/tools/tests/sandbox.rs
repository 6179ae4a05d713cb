//! `bash` under attack: what a hostile command tries is really tried, by this very test binary where a shell cannot.
//! Where the kernel has no Landlock the tests check that the tool is refused instead.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // attacks are raw system calls

mod common;

use common::{Place, SECRET};
use loopwright_types::{Code, Effects, Reason};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A place where `bash` works, or `None` where it is refused, and that it is.
fn place(settings: &[(&str, &str)]) -> Option<Place> {
    let place = Place::with(settings);
    let Some(refusal) = place.tools.bash_refusal() else { return Some(place) };
    assert_eq!(refusal.code, Code::SANDBOX_ABSENT);
    let failure = place.call("bash", &json!("touch ran")).unwrap_err();
    assert_eq!((failure.reason, failure.code), (Reason::Policy, Code::SANDBOX_ABSENT));
    assert!(!failure.sent && !place.workspace().join("ran").exists());
    None
}

fn run(place: &Place, command: &str) -> String {
    let text = place.call("bash", &json!({ "command": command })).unwrap();
    assert!(!text.contains(SECRET), "{command} read the secret: {text}");
    text
}

/// Processes that work in the place: those that a command started.
fn left_in(place: &Place) -> Vec<String> {
    let all = place.all.path().canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let inside = processes.filter(|process| {
        fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&all))
    });
    inside.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

/// Waits for something that must come about; how long is no matter.
fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what} never came about");
}

#[test]
fn a_command_tells_its_status_and_both_outputs() {
    let Some(place) = place(&[("tools.bash_output_bytes_max", "1000")]) else { return };
    let cases = [
        ("true", "exit status: 0\n(no output)"),
        ("echo out; echo err >&2; exit 3", "exit status: 3\n--- stdout\nout\n--- stderr\nerr"),
        ("cat notes.txt", "exit status: 0\n--- stdout\ninside"),
        ("cat", "exit status: 0\n(no output)"),
        ("kill -9 $$", "ended by signal 9 (killed)\n(no output)"),
        ("printf 'a\\377b'", "exit status: 0\n--- stdout\na\u{fffd}b"),
        ("echo a > new && cat new", "exit status: 0\n--- stdout\na"),
        ("cd src && pwd | sed 's|.*/||'", "exit status: 0\n--- stdout\nsrc"),
        ("x=$(echo y) && cat <(echo $x)", "exit status: 0\n--- stdout\ny"),
        (
            "echo a > $TMPDIR/x && cat $TMPDIR/x; echo b > ~/y && cat ~/y",
            "exit status: 0\n--- stdout\na\nb",
        ),
        ("timeout 0.1 sleep 60; echo $?", "exit status: 0\n--- stdout\n124"),
        (
            "printf '#!/bin/sh\\necho ran\\n' > s; chmod +x s; ./s",
            "exit status: 0\n--- stdout\nran",
        ),
    ];
    for (command, expected) in cases {
        assert_eq!(run(&place, command), expected, "{command}");
    }
    let missing = run(&place, "no_such_program_here");
    assert!(missing.starts_with("exit status: 127\n--- stderr\n"), "{missing}");
    let long = run(&place, "echo first; head -c 100000 /dev/zero | tr '\\0' x; echo last");
    assert!(long.contains("first\nxxx") && long.ends_with("xxxlast"), "{long}");
    assert!(long.contains("\n[… 99011 bytes left out …]\n"), "{long}");
    let Some(small) = self::place(&[("tools.result_bytes_max", "256")]) else { return };
    let flood = "head -c 100000000 /dev/zero | tr '\\0' x | tee /dev/stderr";
    let cut = small.call("bash", &json!(flood)).unwrap();
    assert!(cut.len() <= 256 && cut.contains("bytes left out"), "{cut}");
    assert_eq!(left_in(&place), [""; 0]);
}

#[test]
fn nothing_of_ours_is_in_a_commands_environment() {
    let Some(place) = place(&[]) else { return };
    let text = run(&place, "env | sed 's/=.*//' | sort | tr '\\n' ' '");
    let names = "GIT_PAGER GIT_TERMINAL_PROMPT HOME LANG NO_COLOR PAGER PATH PWD SHELL SHLVL TERM TMPDIR _ ";
    assert_eq!(text, format!("exit status: 0\n--- stdout\n{names}"));
    // Open files of ours neither: standard ones only, and the directory that lists them.
    let open = run(&place, "ls /proc/self/fd | wc -l");
    assert_eq!(open, "exit status: 0\n--- stdout\n4");
    let temporary = run(&place, "echo $TMPDIR");
    let temporary = temporary.lines().last().unwrap();
    assert!(
        temporary.contains("loopwright-bash-") && !Path::new(temporary).exists(),
        "{temporary}"
    );
}

#[test]
fn a_command_neither_reads_nor_writes_outside_the_workspace() {
    let Some(place) = place(&[]) else { return };
    let outside = place.outside();
    let before = Place::snapshot(&outside);
    let out = outside.display();
    let attempts = [
        format!("cat {out}/secret.txt"),
        "cat ../outside/secret.txt".to_owned(),
        format!("ls {out}"),
        format!("cd {out} && cat secret.txt"),
        format!("ln -s {out}/secret.txt link && cat link"),
        format!("ln {out}/secret.txt hard && cat hard"),
        format!("cp {out}/secret.txt copy && cat copy"),
        format!("mv {out}/secret.txt moved && cat moved"),
        format!("mv notes.txt {out}/notes.txt"),
        format!("ln notes.txt {out}/notes.txt"),
        format!("echo x > {out}/secret.txt"),
        format!("echo x >> {out}/secret.txt"),
        format!("echo x > {out}/new.txt"),
        format!("truncate -s 0 {out}/secret.txt"),
        format!("mkdir {out}/new"),
        format!("rm -rf {out}/secret.txt"),
        format!("ln -s x {out}/link"),
        format!("mkfifo {out}/pipe"),
        format!("cat /proc/self/root{out}/secret.txt"),
        format!("cat /proc/{}/root{out}/secret.txt", std::process::id()),
        format!("cat /proc/$PPID/root{out}/secret.txt"),
        format!("cat /proc/{}/environ", std::process::id()),
        "cat /proc/$PPID/environ".to_owned(),
        "cat /proc/$PPID/maps".to_owned(),
        format!("cat /proc/{}/mem", std::process::id()),
        "cat /etc/shadow".to_owned(),
        "ls /root".to_owned(),
        "ls /home".to_owned(),
        "ls /tmp".to_owned(),
        "ls /".to_owned(),
        "ls /dev".to_owned(),
        "echo x > /usr/loopwright-test".to_owned(),
        "echo x > /dev/shm/loopwright-test".to_owned(),
        "echo 1000 > /proc/sys/kernel/pid_max".to_owned(),
        "unshare -r true".to_owned(),
        "mknod device c 1 3".to_owned(),
        "chmod u+s notes.txt".to_owned(),
    ];
    for attempt in attempts {
        let text = run(&place, &format!("( {attempt} ) >/dev/null 2>&1"));
        assert_ne!(text, "exit status: 0\n(no output)", "{attempt}");
        // Once more with what it says, for `run` to look at.
        run(&place, &attempt);
    }
    assert_eq!(Place::snapshot(&outside), before);
}

#[test]
fn the_network_is_closed_unless_it_is_granted() {
    for granted in ["false", "true"] {
        let Some(place) = place(&[("tools.bash_network", granted)]) else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"answer\n").unwrap();
        });
        let command = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && cat <&3");
        let text = run(&place, &command);
        let bash = place.tools.tools().into_iter().find(|tool| tool.name == "bash").unwrap();
        if granted == "true" {
            assert_eq!(text, "exit status: 0\n--- stdout\nanswer");
            assert_eq!(bash.effects, Effects::External);
        } else {
            assert!(
                text.starts_with("exit status: 1\n") && text.contains("not permitted"),
                "{text}"
            );
            assert_eq!(bash.effects, Effects::Local);
            drop(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
        }
        answer.join().unwrap();
    }
}

#[test]
fn what_a_command_leaves_behind_is_ended() {
    let Some(place) = place(&[]) else { return };
    let cases = [
        "sleep 600 &",
        "nohup sleep 600 > /dev/null 2>&1 & disown",
        "setsid sleep 600 &",
        "(setsid sh -c 'sleep 600 & sleep 600' &)",
        "(trap '' TERM HUP; setsid sh -c 'sleep 600 & sleep 600' &)",
        "sh -c 'kill -STOP $$' &",
    ];
    for command in cases {
        let text = run(&place, &format!("{command}\necho done"));
        assert!(text.contains("\nended ") && text.contains("left running"), "{command}: {text}");
        assert!(text.ends_with("--- stdout\ndone"), "{command}: {text}");
        assert_eq!(left_in(&place), [""; 0], "{command}");
    }
}

#[test]
fn a_command_ends_when_its_time_is_up_or_it_is_cancelled() {
    let Some(short) = place(&[("tools.bash_timeout_ms", "300")]) else { return };
    let sleepers = "echo begun; trap '' TERM; setsid sleep 600 & sleep 600; sleep 600";
    let text = short.call("bash", &json!({"command": sleepers, "timeoutMs": 100})).unwrap();
    assert!(text.contains("\nstopped: it ran longer than 100 ms\n--- stdout\nbegun"), "{text}");
    let text = short.call("bash", &json!({"command": "sleep 600", "timeout": 600_000})).unwrap();
    assert!(text.contains("\nstopped: it ran longer than 300 ms"), "{text}");
    assert_eq!(left_in(&short), [""; 0]);
    let Some(place) = place(&[]) else { return };
    let begun = place.workspace().join("begun");
    let args = json!("touch begun; sleep 600");
    let failure = place.call_cancelled("bash", &args, &|| begun.exists()).unwrap_err();
    assert_eq!(
        (failure.reason, failure.code, failure.sent),
        (Reason::Cancelled, Code::CANCELLED, true)
    );
    assert_eq!(left_in(&place), [""; 0]);
}

#[test]
fn limits_hold_and_say_which_they_are() {
    let Some(place) = place(&[
        ("tools.bash_cpu_ms", "1000"),
        ("tools.bash_file_mb", "1"),
        ("tools.bash_memory_mb", "96"),
        ("tools.bash_open_files_max", "32"),
        ("tools.bash_processes_max", "40"),
    ]) else {
        return;
    };
    let limits = run(&place, "ulimit -c; ulimit -n; ulimit -t; ulimit -f; ulimit -d");
    assert_eq!(limits, "exit status: 0\n--- stdout\n0\n32\n1\n1024\n98304");
    let file = run(&place, "exec head -c 3000000 /dev/zero > file");
    assert!(file.contains("tools.bash_file_mb"), "{file}");
    assert_eq!(fs::metadata(place.workspace().join("file")).unwrap().len(), 1 << 20);
    let cpu = run(&place, "while :; do :; done");
    assert!(cpu.contains("tools.bash_cpu_ms"), "{cpu}");
    let memory = run(&place, "head -c 400000000 /dev/zero | tail -n 1 > /dev/null");
    assert!(memory.contains("tail") || memory.contains("tools.bash_memory_mb"), "{memory}");
    // Each below its own limit, all together above theirs.
    let each = "x=$(head -c 40000000 /dev/zero | tr '\\0' x); sleep 600";
    let memory = run(&place, &format!("for i in 1 2 3 4; do ({each}) & done; wait"));
    assert!(memory.contains("tools.bash_memory_mb"), "{memory}");
    assert_eq!(left_in(&place), [""; 0]);
}

#[test]
fn a_fork_bomb_stays_within_its_limit_and_is_ended() {
    let Some(place) = place(&[("tools.bash_processes_max", "60")]) else { return };
    let bombs = ["f() { f | f & }; f; sleep 600", "f() { setsid sh -c 'sleep 600' & f; }; f"];
    for bomb in bombs {
        let args = json!({"command": bomb, "timeoutMs": 20_000});
        let text = place.call("bash", &args).unwrap();
        // Root is held by the watch; others by the kernel, whose shell then cannot fork.
        let held = text.contains("tools.bash_processes_max") || text.contains("fork");
        assert!(held, "{bomb}: {text}");
        assert_eq!(left_in(&place), [""; 0], "{bomb}");
    }
}

/// Name of an attack on the environment of [`attacker`].
const ATTACK: &str = "LOOPWRIGHT_TEST_ATTACK";

/// Not a test of its own: what the copy of this binary does inside the sandbox. Prints what each call came to.
#[test]
fn attacker() {
    let Ok(host) = std::env::var(ATTACK) else { return };
    let host: i64 = host.parse().unwrap();
    let parent = i64::from(std::os::unix::process::parent_id());
    let null = 0_i64;
    let calls: &[(&str, libc::c_long, [i64; 5])] = &[
        ("ptrace attach host", libc::SYS_ptrace, [16, host, 0, 0, 0]),
        ("ptrace attach parent", libc::SYS_ptrace, [16, parent, 0, 0, 0]),
        ("ptrace traceme", libc::SYS_ptrace, [0; 5]),
        ("read memory", libc::SYS_process_vm_readv, [parent, 0, 0, 0, 0]),
        ("signal host", libc::SYS_kill, [host, 0, 0, 0, 0]),
        ("signal host's thread", libc::SYS_tgkill, [host, host, 0, 0, 0]),
        ("signal all", libc::SYS_kill, [-1, 0, 0, 0, 0]),
        ("hold host", libc::SYS_pidfd_open, [host, 0, 0, 0, 0]),
        ("limit host", libc::SYS_prlimit64, [host, 7, null, null, 0]),
        ("slow host", libc::SYS_setpriority, [0, host, 19, 0, 0]),
        ("tcp", libc::SYS_socket, [2, 1, 0, 0, 0]),
        ("udp", libc::SYS_socket, [2, 2, 0, 0, 0]),
        ("tcp6", libc::SYS_socket, [10, 1, 0, 0, 0]),
        ("unix", libc::SYS_socket, [1, 1, 0, 0, 0]),
        ("netlink", libc::SYS_socket, [16, 3, 0, 0, 0]),
        ("vsock", libc::SYS_socket, [40, 1, 0, 0, 0]),
        ("packet", libc::SYS_socket, [17, 3, 0, 0, 0]),
        ("user namespace", libc::SYS_unshare, [0x1000_0000, 0, 0, 0, 0]),
        ("clone a namespace", libc::SYS_clone, [0x1000_0000 | 17, 0, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [0; 5]),
        ("openat2", libc::SYS_openat2, [0; 5]),
        ("join a namespace", libc::SYS_setns, [0; 5]),
        ("mount", libc::SYS_mount, [0; 5]),
        ("open a tree", libc::SYS_open_tree, [-100, 0, 0, 0, 0]),
        ("chroot", libc::SYS_chroot, [0; 5]),
        ("ring", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
        ("keys", libc::SYS_keyctl, [0; 5]),
        ("bpf", libc::SYS_bpf, [0; 5]),
        ("perf", libc::SYS_perf_event_open, [0; 5]),
        ("page faults", libc::SYS_userfaultfd, [0; 5]),
        ("shared memory", libc::SYS_shmget, [0, 4096, 0o1600, 0, 0]),
        ("queue", libc::SYS_mq_open, [0; 5]),
        ("by handle", libc::SYS_open_by_handle_at, [0; 5]),
        ("module", libc::SYS_finit_module, [0; 5]),
        #[cfg(target_arch = "x86_64")]
        ("x32", 0x4000_0000 | libc::SYS_getpid, [0; 5]),
        #[cfg(target_arch = "x86_64")]
        ("x32 socket", 0x4000_0000 | libc::SYS_socket, [2, 1, 0, 0, 0]),
    ];
    for (name, number, a) in calls {
        // SAFETY: every pointer among the arguments is null, which the kernel refuses by itself.
        let result = unsafe { libc::syscall(*number, a[0], a[1], a[2], a[3], a[4]) };
        if result == 0 && *name == "clone a namespace" && std::process::id() == 1 {
            std::process::exit(0);
        }
        let error = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        println!("attack {name}: {}", if result < 0 { error } else { 0 });
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for line in
        status.lines().filter(|line| line.starts_with("CapEff") || line.starts_with("NoNewPrivs"))
    {
        println!("attack {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

#[test]
fn no_attack_by_system_call_comes_through() {
    for network in ["false", "true"] {
        let Some(place) = place(&[("tools.bash_network", network)]) else { return };
        fs::copy(std::env::current_exe().unwrap(), place.workspace().join("attacker")).unwrap();
        let host = std::process::id();
        let command = format!("{ATTACK}={host} ./attacker --exact attacker --nocapture");
        let text = run(&place, &command);
        let seen: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("attack ")).collect();
        assert!(seen.len() > 30, "{text}");
        for line in seen {
            let expected = match line.split_once(": ") {
                None => {
                    let fact = ["CapEff: 0000000000000000", "NoNewPrivs: 1"].contains(&line);
                    assert!(fact, "{line}");
                    continue;
                }
                Some(("CapEff", set)) => {
                    assert_eq!(set, "0000000000000000");
                    continue;
                }
                Some(("NoNewPrivs", set)) => {
                    assert_eq!(set, "1");
                    continue;
                }
                Some(("clone3" | "openat2" | "x32" | "x32 socket", _)) => libc::ENOSYS,
                Some(("tcp" | "udp" | "tcp6", _)) if network == "true" => 0,
                Some(_) => libc::EPERM,
            };
            assert!(line.ends_with(&format!(": {expected}")), "{line} (network {network})");
        }
        assert_eq!(left_in(&place), [""; 0]);
    }
}

#[test]
fn a_command_that_kills_its_parent_does_not_get_away() {
    let Some(place) = place(&[]) else { return };
    let host = std::process::id();
    let text = run(
        &place,
        &format!("kill -9 $PPID; kill -9 {host}; kill -STOP $PPID; sleep 600 & echo on"),
    );
    assert!(text.contains("not permitted") || text.contains("without a status"), "{text}");
    assert_eq!(left_in(&place), [""; 0]);
}

/// Not a test of its own: a host that another test kills while its command runs.
#[test]
fn host_that_dies() {
    let Ok(root) = std::env::var("LOOPWRIGHT_TEST_HOST_ROOT") else { return };
    let tools = loopwright_tools::Tools::configured(Path::new(&root), &{
        let mut settings = loopwright_types::Settings::default();
        settings.set("tools.allow", "bash").unwrap();
        settings
    });
    let command = "trap '' TERM; setsid sleep 600 & touch begun; sleep 600; sleep 600";
    let _ = tools.unwrap().call("bash", &json!(command), &|| false);
}

#[test]
fn commands_end_when_their_host_is_killed() {
    let Some(place) = place(&[]) else { return };
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host_that_dies"])
        .env("LOOPWRIGHT_TEST_HOST_ROOT", place.workspace())
        .env("TMPDIR", place.outside())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the command", || place.workspace().join("begun").exists());
    assert!(!left_in(&place).is_empty());
    host.kill().unwrap();
    host.wait().unwrap();
    until("the end of all processes", || left_in(&place).is_empty());
}

#[test]
fn git_reads_the_repository_of_a_worktree_that_is_really_its_own() {
    let Some(place) = place(&[]) else { return };
    let git = |directory: &Path, args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let run = Command::new("git").args(identity).args(args).current_dir(directory).output();
        run.is_ok_and(|output| output.status.success())
    };
    let repository = place.outside().join("repository");
    fs::create_dir(&repository).unwrap();
    if !git(&repository, &["init", "-q"]) {
        return; // no git on this machine
    }
    let worktree = place.all.path().canonicalize().unwrap().join("worktree");
    assert!(git(&repository, &["commit", "-q", "--allow-empty", "-m", "the first"]));
    assert!(git(&repository, &["worktree", "add", "-q", worktree.to_str().unwrap()]));
    let bash = |root: &Path, command: &str| {
        let allowed = ["Bash".to_owned()];
        let text = place.tools.call_in(Some(root), &allowed, "bash", &json!(command), &|| false);
        text.unwrap().as_str().unwrap().to_owned()
    };
    let log = bash(&worktree, "git log --format=%s");
    assert_eq!(log, "exit status: 0\n--- stdout\nthe first");
    // Read only: the hooks there are not for a subagent to write.
    let hook = repository.join(".git/hooks/post-checkout");
    let written = bash(&worktree, &format!("echo x > {}", hook.display()));
    assert!(written.starts_with("exit status: 1") && !hook.exists(), "{written}");
    // A `.git` file that names somebody else's directory grants nothing.
    let liar = place.workspace();
    let config = repository.join(".git/config");
    for target in
        [repository.join(".git/worktrees/worktree"), repository.join(".git"), place.outside()]
    {
        fs::write(liar.join(".git"), format!("gitdir: {}\n", target.display())).unwrap();
        let read = bash(&liar, &format!("cat {}", config.display()));
        assert!(read.starts_with("exit status: 1"), "{read}");
    }
}

#[test]
fn a_restricted_command_is_held_to_its_prefix() {
    let Some(place) = place(&[]) else { return };
    let call = |allowed: &[&str], command: &str| {
        let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        place.tools.call_in(None, &allowed, "bash", &json!(command), &|| false)
    };
    assert!(call(&["Bash(cat notes.txt:*)"], "cat notes.txt").is_ok());
    assert!(call(&["Bash(echo:*)", "Bash(cat:*)"], "cat notes.txt").is_ok());
    assert!(call(&["Bash(echo:*)", "Bash"], "true; true").is_ok());
    for (allowed, command) in [
        (&["Bash(cat:*)"][..], "cat notes.txt; touch ran"),
        (&["Bash(cat:*)", "Read"], "touch ran"),
        (&["Bash(echo hello)"], "echo hello there"),
        (&["Read"], "true"),
        (&[], "true"),
        // What is not understood grants nothing.
        (&["Bash(cat * x)"], "cat a x"),
    ] {
        let failure = call(allowed, command).unwrap_err();
        let seen = (failure.reason, failure.code, failure.sent);
        assert_eq!(seen, (Reason::Policy, Code::TOOL_NOT_ALLOWED, false), "{allowed:?} {command}");
    }
    assert!(!place.workspace().join("ran").exists());
}
