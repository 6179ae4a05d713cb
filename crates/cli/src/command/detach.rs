//! A run in the background: a process of its own, in a session of its own, with a log file in the data directory.
//!
//! The process is this command again. It tells on a pipe that its run is recorded, or ends with an error before that,
//! which is then told in the foreground.

use crate::failure::Failure;
use crate::hint::typed;
use crate::place::data_dir;
use crate::terminal::Terminal;
use loopwright::types::{Code, Diagnostic, RunId};
use loopwright::view::{escape, to_line};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The folder of logs in the data directory.
const LOGS: &str = "logs";

/// Extension of a log that has no run's name yet.
const STARTING: &str = "starting";

/// What the background process tells once its run is recorded.
#[derive(Serialize, Deserialize)]
struct Begun {
    run: RunId,
    /// Warnings, drawn.
    told: String,
}

/// The same for whoever reads JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BegunOut<'a> {
    run_id: &'a RunId,
    status: &'a str,
    log: String,
}

/// Where a run's log is, or would be.
pub fn log_of(data_dir: &Path, run: &RunId) -> PathBuf {
    data_dir.join(LOGS).join(format!("{run}.log"))
}

/// Starts this command again in the background and waits until its run is recorded.
///
/// # Errors
/// When no process or log can be made. What is wrong with the run itself is told, and its exit code given.
pub fn start(terminal: &Terminal, given: Option<&Path>, json: bool) -> Result<u8, Failure> {
    let directory = data_dir(given)?;
    let (log, file) = new_log(&directory)?;
    let failed = |error: std::io::Error| {
        let message = format!("no process could be started in the background: {error}");
        Failure::from(Diagnostic::new(Code::DETACH_FAILED, message))
    };
    let arguments = std::env::args_os()
        .skip(1)
        .map(|argument| if argument == "--detach" { "--detached".into() } else { argument });
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(file)
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        let _ = BufReader::new(out).read_line(&mut line);
    }
    let Ok(begun) = serde_json::from_str::<Begun>(&line) else {
        return not_begun(terminal, child.wait().map_err(failed)?, &log);
    };
    let named = log_of(&directory, &begun.run);
    // A resumed run has one already: what is told from now on is added.
    let log = match append(&log, &named) {
        Ok(()) => named,
        Err(_) => log,
    };
    terminal.tell(&begun.told);
    let (run, at) = (&begun.run, typed(given));
    if json {
        let out = BegunOut { run_id: run, status: "running", log: log.display().to_string() };
        return terminal.out(&(to_line(&out) + "\n")).map(|()| 0);
    }
    terminal.tell(&format!(
        "runs in the background; its log is {}\n  \
         loopwright wait {run}{at}    its end and its result\n  \
         loopwright show {run}{at}    how far it is\n  \
         loopwright pause {run}{at}   stop it for a while\n  \
         loopwright cancel {run}{at}  end it",
        escape(&log.display().to_string())
    ));
    terminal.out(&format!("{run}\n")).map(|()| 0)
}

/// Tells why the background process ended before its run was recorded, and gives its exit code.
///
/// # Errors
/// When it could not say so itself: it was killed, or its log could not be written.
fn not_begun(terminal: &Terminal, status: ExitStatus, log: &Path) -> Result<u8, Failure> {
    let told = std::fs::read_to_string(log).unwrap_or_default();
    terminal.tell(&told);
    // It could say nothing if the log has no room: neither can we then.
    let full = OpenOptions::new().append(true).open(log).and_then(|mut log| log.write_all(b"\n"));
    let full = full.map_err(|error| unwritable(log, &error));
    let _ = std::fs::remove_file(log);
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) if !told.trim().is_empty() => Ok(code),
        _ if full.as_ref().is_err_and(|told| told.code == Code::DISK_FULL) => {
            full.map(|()| 1).map_err(Failure::from)
        }
        _ => {
            let message = format!(
                "the process in the background ended (`{status}`) before it told that its run is recorded"
            );
            let hint = "`loopwright runs` shows whether the run is there, `resume` goes on with it; if nothing is told here the disk of the data directory may be full";
            Err(Diagnostic::new(Code::DETACH_FAILED, message).hint(hint).into())
        }
    }
}

/// A log without a name yet.
fn new_log(data_dir: &Path) -> Result<(PathBuf, File), Diagnostic> {
    let logs = data_dir.join(LOGS);
    let log = logs.join(format!("{}.{STARTING}", std::process::id()));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&logs).and_then(|()| {
        sweep(&logs);
        let file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&log)?;
        // Held by the process in the background too, as long as it writes. Without locks nothing is swept.
        let _ = file.try_lock();
        Ok(file)
    });
    made.map(|file| (log, file)).map_err(|error| unwritable(&logs, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let path = path.display();
    if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        return Diagnostic::new(
            Code::DISK_FULL,
            format!("no room is left on the disk that holds `{path}`"),
        )
        .hint("free some room, or choose a data directory on another disk with `--data-dir`");
    }
    Diagnostic::new(Code::DATA_DIR, format!("`{path}` cannot be written: {error}"))
        .hint("choose another data directory with `--data-dir` or `LOOPWRIGHT_DATA_DIR`")
}

/// Removes logs of starts that were killed: whoever made them is gone, and nobody writes to them.
fn sweep(logs: &Path) {
    for entry in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        let path = entry.path();
        let named = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let maker = named.filter(|pid| *pid > 1).and_then(rustix::process::Pid::from_raw);
        let is_starting = path.extension().is_some_and(|it| it == STARTING);
        let (true, Some(maker)) = (is_starting, maker) else { continue };
        let is_gone = rustix::process::test_kill_process(maker) == Err(rustix::io::Errno::SRCH);
        if is_gone && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Gives the log its run's name. The background process goes on writing to it under that name.
fn append(log: &Path, named: &Path) -> std::io::Result<()> {
    if named.exists() {
        // Both are kept in order: the older one stays under a name of its own.
        let older = (1..).map(|n| named.with_extension(format!("{n}.log")));
        let free = older.into_iter().find(|path| !path.exists());
        std::fs::rename(named, free.expect("there is always a free number"))?;
    }
    std::fs::rename(log, named)
}

/// The side of the background process.
#[derive(Clone, Copy, Debug)]
pub struct Background;

impl Background {
    /// Leaves the terminal: its end is no longer this process's.
    pub fn enter() -> Self {
        // It fails only for the leader of a group, which a process that was just started is not.
        let _ = rustix::process::setsid();
        Self
    }

    /// Tells that the run is recorded.
    pub fn tell(self, run: &RunId, told: String) {
        let begun = Begun { run: run.clone(), told };
        let text = to_line(&begun);
        let mut out = std::io::stdout().lock();
        let told = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
        if told.is_err() {
            // Whoever started it is gone: the run goes on, and its log gets its name here.
            let log = std::fs::read_link("/proc/self/fd/2").unwrap_or_default();
            if log.extension().is_some_and(|it| it == STARTING) {
                let _ = append(&log, &log.with_file_name(format!("{run}.log")));
            }
        }
    }
}
