//! Ends processes whose host was killed: a shell that knows the process groups under way and outlives the host by a
//! moment. It reads them from a pipe; when the pipe ends without notice, the groups that are left are ended.
//!
//! The kernel could signal children of a dead parent too, but only if each asked for it between fork and exec, and
//! then every start copies the host's page tables: 20 ms with 500 MB in memory. It would also reach only the leader.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Lines are `+ group` and `- group`. Signals meant for the host's terminal do not reach it.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=' '
while read -r sign group; do
    case $sign in
        +) groups="$groups$group " ;;
        -) groups="${groups%%" $group "*} ${groups#*" $group "}" ;;
    esac
done
[ "$groups" = ' ' ] && exit
for group in $groups; do kill -s TERM -- "-$group"; done
sleep 2
for group in $groups; do kill -s KILL -- "-$group"; done
"#;

/// The guard of one driver. Without a shell there is none, and nothing else changes.
#[derive(Default)]
pub(crate) struct Guard(Option<(Child, ChildStdin)>);

impl Guard {
    /// Starts the shell.
    pub(crate) fn start() -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let Ok(mut child) = command.spawn() else { return Self(None) };
        let stdin = child.stdin.take();
        Self(stdin.map(|stdin| (child, stdin)))
    }

    /// A group is under way.
    pub(crate) fn add(&mut self, group: u32) {
        self.tell('+', group);
    }

    /// A group has ended.
    pub(crate) fn remove(&mut self, group: u32) {
        self.tell('-', group);
    }

    fn tell(&mut self, sign: char, group: u32) {
        if let Some((_, stdin)) = &mut self.0 {
            // One write, so that the line arrives whole. A guard that is gone guards no more.
            let _ = stdin.write_all(format!("{sign} {group}\n").as_bytes());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((mut child, stdin)) = self.0.take() {
            drop(stdin);
            let _ = child.wait();
        }
    }
}
