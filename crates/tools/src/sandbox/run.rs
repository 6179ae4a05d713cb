//! One command from spawn to end.

use super::child::{self, Confinement, REPORT_NUMBERS, Resource};
use super::{End, Ended, Kept, Request, Stopped, refused, rules, tree};
use crate::refusal::failed;
use loopwright_types::Failure;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstat};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The start of the names of commands' own directories.
const PRIVATE_NAME: &str = "loopwright-bash-";
/// How old such a directory of a process that is gone must be to be removed.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How often the clock, the cancellation and the tree are looked at.
const LOOK_MS: i32 = 50;
/// How long the supervisor has for its work before it is taken for lost: more than it gives others.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(15);
/// The programs of the system, in the order of a login shell.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Capabilities by which root works on files of others: `CHOWN`, `DAC_OVERRIDE`, `FOWNER`.
const FILE_CAPABILITIES: u32 = 1 | 1 << 1 | 1 << 3;

/// Runs a command; `missing` is what the kernel lacks for a sandbox.
pub(super) fn run(request: &Request<'_>, missing: Option<&str>) -> Result<Ended, Failure> {
    if let Some(why) = missing.filter(|_| !request.options.unsandboxed) {
        return Err(refused(why));
    }
    let started = |error: io::Error| failed(format!("the shell could not be started: {error}"));
    let private = Private::new().map_err(started)?;
    let confinement = confinement(request, &private.path, missing.is_some())?;
    let mut running = Running::start(request, &private.path, confinement).map_err(started)?;
    running.follow(request);
    Ok(running.finish())
}

fn confinement(
    request: &Request<'_>,
    private: &Path,
    without_landlock: bool,
) -> Result<Confinement, Failure> {
    let broken =
        |error: &dyn std::fmt::Display| failed(format!("no sandbox could be made: {error}"));
    let options = request.options;
    let ruleset = if without_landlock {
        None
    } else {
        let made =
            rules::ruleset(request.root, private, options).map_err(|error| broken(&error))?;
        Some(made.ok_or_else(|| refused("it has no Landlock"))?)
    };
    let filter = super::filter::filter(options.network, std::process::id());
    let filter = filter.map_err(|error| broken(&error))?;
    let user = child::user();
    let mut limits = vec![
        (Resource::CORE, 0),
        (Resource::CPU_SECONDS, options.cpu_seconds),
        (Resource::DATA, options.memory_bytes),
        (Resource::FILE, options.file_bytes),
        (Resource::OPEN_FILES, options.open_files_max),
    ];
    if user != 0 {
        // Root is not held to this one; the watch holds everybody to it.
        limits.push((Resource::PROCESSES, tree::tasks_of_user(user) + options.processes_max));
    }
    let owner = fstat(request.root.handle()).map_or(user, |status| status.st_uid);
    let capabilities = if owner == user { 0 } else { FILE_CAPABILITIES };
    Ok(Confinement { ruleset, filter, limits, capabilities })
}

/// A directory for one command alone, gone when it has ended.
struct Private {
    path: PathBuf,
}

impl Private {
    fn new() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        static SWEPT: Once = Once::new();
        let base = std::env::temp_dir().canonicalize()?;
        SWEPT.call_once(|| sweep(&base, STALE));
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{PRIVATE_NAME}{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let made = Self { path };
                    std::fs::create_dir(made.path.join("home"))?;
                    return Ok(made);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Removes what runs that were killed left here. By age too: in a container a number may be alive elsewhere.
fn sweep(base: &Path, older_than: Duration) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(PRIVATE_NAME));
        let Some((pid, _)) = rest.and_then(|rest| rest.split_once('-')) else { continue };
        let dead =
            pid.parse::<u32>().is_ok_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        let changed = entry.metadata().and_then(|status| status.modified()).ok();
        let age = changed.and_then(|changed| changed.elapsed().ok());
        if dead && age.is_some_and(|age| age >= older_than) {
            // A link of this name is removed as a link; what is another user's stays.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // What cannot be removed is in the system's own directory for such things.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

struct Running {
    supervisor: Child,
    /// Open as long as the command may go on.
    control: Option<PipeWriter>,
    status: PipeReader,
    report: Vec<u8>,
    stdout: (File, Kept),
    stderr: (File, Kept),
    stopped: Option<(Stopped, Instant)>,
    lost: bool,
}

impl Running {
    fn start(request: &Request<'_>, private: &Path, with: Confinement) -> io::Result<Self> {
        let ((theirs, control), (status, report)) = (io::pipe()?, io::pipe()?);
        let bash = Path::new("/bin/bash");
        let mut command = if bash.exists() {
            let mut command = Command::new(bash);
            command.args(["--noprofile", "--norc"]);
            command
        } else {
            Command::new("/bin/sh")
        };
        let extra = request.options.paths.iter().map(|path| path.join("bin"));
        let own = request.options.paths.iter().cloned();
        let mut path: Vec<String> =
            extra.chain(own).map(|path| path.display().to_string()).collect();
        path.push(PATH.to_owned());
        command
            .args(["-c", request.command])
            .env_clear()
            .env("PATH", path.join(":"))
            .env("HOME", private.join("home"))
            .env("TMPDIR", private)
            .envs([("LANG", "C.UTF-8"), ("TERM", "dumb"), ("NO_COLOR", "1"), ("SHELL", "/bin/sh")])
            .envs([("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_TERMINAL_PROMPT", "0")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        child::arm(&mut command, request.root.handle(), with, theirs.into(), report.into());
        let spawned = command.spawn();
        // The command holds our copies of the supervisor's ends: its report ends only when they are gone.
        drop(command);
        let mut supervisor = spawned?;
        let (out, err) = (supervisor.stdout.take(), supervisor.stderr.take());
        let file = |pipe: Option<OwnedFd>| -> io::Result<File> {
            let pipe = pipe.ok_or_else(|| io::Error::other("it has no output"))?;
            fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
            Ok(File::from(pipe))
        };
        fcntl_setfl(&status, fcntl_getfl(&status)? | OFlags::NONBLOCK)?;
        let kept = || Kept::new(request.options.output_bytes_max);
        Ok(Self {
            supervisor,
            control: Some(control),
            status,
            report: Vec::new(),
            stdout: (file(out.map(Into::into))?, kept()),
            stderr: (file(err.map(Into::into))?, kept()),
            stopped: None,
            lost: false,
        })
    }

    /// Takes what it says until the supervisor has ended.
    fn follow(&mut self, request: &Request<'_>) {
        let deadline = Instant::now() + request.timeout;
        let mut open = [true, true];
        loop {
            let status = self.status.as_fd().as_raw_fd();
            let mut watched = vec![status];
            // A descriptor at its end is always ready.
            watched.extend(open[0].then(|| self.stdout.0.as_raw_fd()));
            watched.extend(open[1].then(|| self.stderr.0.as_raw_fd()));
            child::wait_readable(&watched, LOOK_MS);
            open = [drain(&mut self.stdout), drain(&mut self.stderr)];
            if !self.take_report() {
                // Everything that could still write is gone.
                drain(&mut self.stdout);
                drain(&mut self.stderr);
                return;
            }
            match self.stopped {
                None => {
                    if let Some(why) = self.why_to_stop(request, deadline) {
                        self.control = None;
                        self.stopped = Some((why, Instant::now()));
                    }
                }
                Some((_, since)) if since.elapsed() > SUPERVISOR_PATIENCE => {
                    self.lost = true;
                    return;
                }
                Some(_) => {}
            }
        }
    }

    fn why_to_stop(&self, request: &Request<'_>, deadline: Instant) -> Option<Stopped> {
        if (request.cancelled)() {
            return Some(Stopped::Cancelled);
        }
        if Instant::now() >= deadline {
            return Some(Stopped::Timeout);
        }
        let options = request.options;
        let used = tree::below(self.supervisor.id(), options.processes_max);
        if used.tasks > options.processes_max {
            return Some(Stopped::Processes);
        }
        (used.bytes > options.memory_bytes).then_some(Stopped::Memory)
    }

    /// Takes what the supervisor reports; `false` when it has ended.
    fn take_report(&mut self) -> bool {
        let mut buffer = [0; 64];
        match self.status.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.report.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
            }
        }
    }

    fn finish(mut self) -> Ended {
        let numbers = self
            .report
            .chunks_exact(4)
            .filter_map(|n| Some(i32::from_ne_bytes(n.try_into().ok()?)));
        let numbers: Vec<i32> = numbers.collect();
        let whole = numbers.len() == REPORT_NUMBERS;
        if self.lost || !whole {
            child::end_by_force(self.supervisor.id(), numbers.first().copied());
        }
        let _ = self.supervisor.wait();
        let (end, leftovers, gave_up) = match numbers[..] {
            [_, how, leftovers, gave_up] => {
                (child::end(how), u32::try_from(leftovers).unwrap_or(0), gave_up != 0)
            }
            _ => (End::Unknown, 0, true),
        };
        let stopped = self.stopped.map(|(why, _)| why);
        Ended { end, stopped, stdout: self.stdout.1, stderr: self.stderr.1, leftovers, gave_up }
    }
}

/// Takes what is there to be read; `false` at the end.
fn drain((file, kept): &mut (File, Kept)) -> bool {
    let mut buffer = [0; 64 * 1024];
    // A command that writes without end must not keep us from looking at the clock.
    for _ in 0..64 {
        match file.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => kept.take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::root::Root;
    use loopwright_types::{Code, Settings};

    /// On a kernel without Landlock, as far as `run` knows.
    fn run_without(
        unsandboxed: bool,
        command: &str,
    ) -> (tempfile::TempDir, Result<Ended, Failure>) {
        let place = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(place.path().join("workspace")).unwrap();
        let root = Root::open(&place.path().join("workspace")).unwrap();
        let mut options = Options::read(&Settings::default()).unwrap().bash;
        options.unsandboxed = unsandboxed;
        let timeout = Duration::from_secs(60);
        let request =
            Request { root: &root, options: &options, command, timeout, cancelled: &|| false };
        let ended = run(&request, Some("it has no Landlock"));
        (place, ended)
    }

    #[test]
    fn without_landlock_a_command_is_refused_and_does_not_run() {
        let (place, ended) = run_without(false, "touch ran");
        let failure = ended.unwrap_err();
        assert_eq!((failure.code, failure.sent), (Code::SANDBOX_ABSENT, false));
        assert!(failure.message.ends_with("it has no Landlock"), "{}", failure.message);
        assert!(failure.hint.unwrap().contains("tools.bash_unsandboxed=true"));
        assert!(!place.path().join("workspace/ran").exists());
    }

    #[test]
    fn directories_of_killed_runs_are_removed_and_others_stay() {
        let base = tempfile::TempDir::new().unwrap();
        let own = format!("loopwright-bash-{}-0", std::process::id());
        // No process has a number over 2²², the kernel's limit.
        let names = ["loopwright-bash-99999999-0", &own, "loopwright-bash-x-0", "other"];
        for name in names {
            std::fs::create_dir_all(base.path().join(name).join("home")).unwrap();
        }
        let left = |age| {
            sweep(base.path(), age);
            names.map(|name| base.path().join(name).exists())
        };
        assert_eq!(left(STALE), [true; 4]);
        assert_eq!(left(Duration::ZERO), [false, true, true, true]);
    }

    #[test]
    fn a_command_that_runs_without_landlock_still_has_no_sockets_and_is_ended_whole() {
        let command = "touch ../beside; exec 2>&1; sleep 600 & : < /dev/tcp/127.0.0.1/9";
        let (place, ended) = run_without(true, command);
        let ended = ended.unwrap();
        assert!(place.path().join("beside").exists());
        assert_eq!((ended.end, ended.leftovers), (End::Exit(1), 1));
        assert!(ended.stdout.text().contains("not permitted"), "{}", ended.stdout.text());
    }
}
