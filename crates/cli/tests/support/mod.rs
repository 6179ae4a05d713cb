//! The real binary in a directory of its own.

#![allow(dead_code)] // each test binary uses its own part

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A workspace with its own data directory; the compiled guest is shared between all tests.
pub struct Place {
    pub root: TempDir,
}

/// What one command did.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Gives what is started the defaults of these signals: `nohup`, or a shell that runs these tests in the background,
/// makes them, and all that they start, ignore one.
fn default_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT};
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for signal in [SIGHUP, SIGINT] {
            // Handled with what it does by default: Ctrl-C still ends the tests.
            let always = std::sync::Arc::new(true.into());
            signal_hook::flag::register_conditional_default(signal, always).unwrap();
        }
    });
}

impl Place {
    pub fn new() -> Self {
        default_signals();
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// With these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (path, text) in files {
            place.write(path, text);
        }
        place
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn data(&self) -> PathBuf {
        self.path().join(".data")
    }

    /// Whether nobody is in the middle of a commit.
    pub fn may_write(&self) -> bool {
        let database = rusqlite::Connection::open(self.data().join("journal.db")).unwrap();
        database.busy_timeout(std::time::Duration::ZERO).unwrap();
        database.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
    }

    /// The command, with an environment that holds nothing of the machine's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(Path::new(env!("CARGO_BIN_EXE_loopwright")));
        command.args(arguments);
        command
    }

    /// A line typed into a shell.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = self.bare(Path::new("sh"));
        command.args(["-c", line]);
        command
    }

    fn bare(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LOOPWRIGHT_DATA_DIR", self.data());
        command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// stdout as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// stdout as JSON lines.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let read =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(read).collect()
    }
}

/// CRC-32 as journal and exports have it, a bit at a time.
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    let byte = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum));
    !bytes.iter().fold(!0, byte)
}

/// Sends a signal (`-STOP`) to a process.
pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Whether a test may mount file systems; says why not.
pub fn can_mount() -> bool {
    let script = "unshare -rm sh -c 'mount -t tmpfs -o size=1m tmpfs /tmp' 2>&1";
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    if !output.status.success() {
        println!("skipped: cannot mount here: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    output.status.success()
}
