//! A workspace with Python workers, and a reporter that collects what the drivers report.

use loopwright_host::{Driver, Reporter};
use loopwright_protocol::{Dispatch, Json, Outcome, Progress, TaskWork, Work};
use loopwright_subagents::{Drivers, LoadOptions, Registry};
use loopwright_types::{Attempt, CallId, Failure, Micros, RunId, Settings, Usage};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a loaded machine; reaching it is a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What was reported.
#[derive(Debug)]
pub enum Report {
    Ended(Outcome, Usage),
    Progressed(Progress),
}

struct Collector(Mutex<Sender<Report>>);

impl Reporter for Collector {
    fn ended(&self, _: CallId, _: Attempt, outcome: Outcome, usage: Usage) {
        let _ = self.0.lock().unwrap().send(Report::Ended(outcome, usage));
    }

    fn progressed(&self, _: CallId, _: Attempt, progress: Progress) {
        let _ = self.0.lock().unwrap().send(Report::Progressed(progress));
    }
}

/// Gives workers the default of SIGINT, as the command does by handling it: a shell that runs these tests in the
/// background makes them, and all that they start, ignore it.
fn defaults_for_workers() {
    use signal_hook::{consts::SIGINT, flag::register_conditional_default};
    static ONCE: std::sync::Once = std::sync::Once::new();
    // Handled with what it does by default: Ctrl-C still ends the tests.
    let handle = || {
        register_conditional_default(SIGINT, Arc::new(true.into())).unwrap();
    };
    ONCE.call_once(handle);
}

/// A workspace with workers, and the drivers over it.
pub struct Bench {
    pub workspace: tempfile::TempDir,
    pub drivers: Arc<Drivers>,
    pub reports: Receiver<Report>,
    /// Unlike any other: what an attempt started is found by it.
    pub run: String,
    reporter: Arc<dyn Reporter>,
}

/// How an attempt went.
#[derive(Debug)]
pub struct Ended {
    pub outcome: Outcome,
    pub usage: Usage,
    pub messages: Vec<String>,
    pub pid: u32,
    pub start_ticks: u64,
}

impl Ended {
    pub fn text(&self) -> &str {
        match &self.outcome {
            Outcome::Done(json) => json.text(),
            Outcome::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub fn failure(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Done(json) => panic!("answered {}", json.text()),
        }
    }
}

impl Bench {
    /// One subagent `worker` that runs this Python text; `extra` is more front matter.
    pub fn new(python: &str, extra: &str) -> Self {
        Self::with(python, extra, &[])
    }

    pub fn with(python: &str, extra: &str, values: &[(&str, &str)]) -> Self {
        defaults_for_workers();
        let workspace = tempfile::tempdir().unwrap();
        let command = match extra.contains("command:") || extra.contains("driver: mock") {
            true => "",
            false => "command: [python3, worker.py]\n",
        };
        let agent = format!("---\nname: worker\n{command}{extra}\n---\nYou are a worker.\n");
        let agents = workspace.path().join(".loopwright/agents");
        std::fs::create_dir_all(&agents).unwrap();
        std::fs::write(agents.join("worker.md"), agent).unwrap();
        let prelude = "import json, os, signal, sys, time\nrequest = lambda: json.load(sys.stdin)\n\
                       def answer(value, **more): print(json.dumps({'result': value, **more}), flush=True)\n";
        std::fs::write(workspace.path().join("worker.py"), format!("{prelude}{python}\n")).unwrap();
        let (registry, broken) = Registry::load(&LoadOptions {
            workspace: workspace.path().to_owned(),
            ..LoadOptions::default()
        });
        assert_eq!(broken, []);
        let mut settings = Settings::default();
        for (name, value) in values {
            settings.set(name, value).unwrap();
        }
        let drivers = Drivers::new(&registry, &settings, workspace.path(), Vec::new());
        let (sender, reports) = channel();
        let reporter = Arc::new(Collector(Mutex::new(sender)));
        static BENCHES: AtomicU32 = AtomicU32::new(0);
        let number = BENCHES.fetch_add(1, Ordering::Relaxed);
        let run = format!("test-{}-{number}", std::process::id());
        Self { workspace, drivers, reports, run, reporter }
    }

    pub fn path(&self) -> &Path {
        self.workspace.path()
    }

    /// Starts an attempt; `change` adjusts its work.
    pub fn start(&self, call: u32, timeout: Option<Duration>, change: impl FnOnce(&mut TaskWork)) {
        let mut work = TaskWork {
            subagent: "worker".into(),
            prompt: "the task".into(),
            schema: None,
            label: None,
            model: None,
            tools: None,
            max_turns: None,
            effort: None,
            root: None,
            feedback: None,
        };
        change(&mut work);
        let dispatch = Dispatch {
            run: RunId::parse(&self.run).unwrap(),
            call: CallId(call),
            attempt: Attempt(1),
            key: Attempt(1),
            timeout: timeout.map(|it| Micros(it.as_micros().try_into().unwrap())),
            work: Work::Task(Box::new(work)),
        };
        self.drivers.dispatch(dispatch, Arc::clone(&self.reporter));
    }

    /// Waits for the end of the next attempt.
    pub fn end(&self) -> Ended {
        self.end_after(&mut |_| ())
    }

    /// The same; `heard` is told of each message of progress when it comes.
    pub fn end_after(&self, heard: &mut dyn FnMut(&str)) -> Ended {
        let (mut messages, mut pid, mut start_ticks) = (Vec::new(), 0, 0);
        loop {
            match self.reports.recv_timeout(PATIENCE).expect("the attempt never ended") {
                Report::Progressed(Progress::Message(text)) => {
                    assert_ne!(pid, 0, "the process is told before anything else");
                    heard(&text);
                    messages.push(text);
                }
                Report::Progressed(Progress::Process { pid: own, start_ticks: ticks }) => {
                    (pid, start_ticks) = (own, ticks);
                }
                Report::Progressed(Progress::Began | Progress::Limits(_)) => {
                    panic!("only models tell this")
                }
                Report::Ended(outcome, usage) => {
                    return Ended { outcome, usage, messages, pid, start_ticks };
                }
            }
        }
    }

    /// Waits for the end of any attempt, whatever others report meanwhile.
    pub fn end_of_any(&self) -> Outcome {
        loop {
            let report = self.reports.recv_timeout(PATIENCE).expect("the attempt never ended");
            if let Report::Ended(outcome, _) = report {
                return outcome;
            }
        }
    }

    /// Runs one attempt to its end.
    pub fn run(&self, change: impl FnOnce(&mut TaskWork)) -> Ended {
        self.start(0, None, change);
        self.end()
    }
}

pub fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap()
}

/// Whether the process is there and not a zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Waits until the process is gone: the kernel needs a moment after it was killed.
pub fn assert_gone(pid: u32) {
    let until = Instant::now() + PATIENCE;
    while is_alive(pid) {
        assert!(Instant::now() < until, "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}
