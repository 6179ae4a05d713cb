//! A workspace, a driver over it, and a reporter that collects what it reports.

use loopwright_acp::{AcpDriver, Agent};
use loopwright_host::Reporter;
use loopwright_protocol::{Dispatch, Json, Outcome, Progress, TaskWork, Work};
use loopwright_types::{Attempt, CallId, Failure, Micros, RunId, Settings, Usage};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a loaded machine; reaching it is a hang.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What was reported, of which call.
#[derive(Debug)]
enum Report {
    Ended(CallId, Outcome, Usage),
    Progressed(Progress),
}

struct Collector(Mutex<Sender<Report>>);

impl Reporter for Collector {
    fn ended(&self, call: CallId, _: Attempt, outcome: Outcome, usage: Usage) {
        let _ = self.0.lock().unwrap().send(Report::Ended(call, outcome, usage));
    }

    fn progressed(&self, _: CallId, _: Attempt, progress: Progress) {
        let _ = self.0.lock().unwrap().send(Report::Progressed(progress));
    }
}

/// A workspace and a driver over it.
pub struct Bench {
    pub workspace: tempfile::TempDir,
    pub driver: AcpDriver,
    reports: Receiver<Report>,
    /// Unlike any other: what an attempt started is found by it.
    run: String,
    reporter: Arc<dyn Reporter>,
}

/// How an attempt went.
#[derive(Debug)]
pub struct Ended {
    pub call: CallId,
    pub outcome: Outcome,
    pub usage: Usage,
    pub messages: Vec<String>,
    pub pid: u32,
}

impl Ended {
    pub fn json(&self) -> serde_json::Value {
        match &self.outcome {
            Outcome::Done(json) => json.read().unwrap(),
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
    pub fn new(values: &[(&str, &str)]) -> Self {
        let workspace = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        for (name, value) in values {
            settings.set(name, value).unwrap();
        }
        let driver = AcpDriver::new(&settings, workspace.path());
        let (sender, reports) = channel();
        let reporter = Arc::new(Collector(Mutex::new(sender)));
        static BENCHES: AtomicU32 = AtomicU32::new(0);
        let number = BENCHES.fetch_add(1, Ordering::Relaxed);
        let run = format!("test-{}-{number}", std::process::id());
        Self { workspace, driver, reports, run, reporter }
    }

    pub fn path(&self) -> &Path {
        self.workspace.path()
    }

    /// Starts an attempt with this prompt; `change` adjusts its work.
    pub fn start(
        &self,
        call: u32,
        agent: &Agent,
        prompt: &str,
        timeout: Option<Duration>,
        change: impl FnOnce(&mut TaskWork),
    ) {
        let mut work = TaskWork {
            subagent: "worker".into(),
            prompt: prompt.into(),
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
            work: Work::Task(Box::new(work.clone())),
        };
        self.driver.dispatch(
            &dispatch,
            &work,
            &Arc::new(agent.clone()),
            Arc::clone(&self.reporter),
        );
    }

    /// Waits for the end of the only attempt under way.
    pub fn end(&self) -> Ended {
        self.end_after(&mut |_| ())
    }

    /// The same; `heard` is told of each process and each message of progress.
    pub fn end_after(&self, heard: &mut dyn FnMut(&Progress)) -> Ended {
        let (mut messages, mut pid) = (Vec::new(), 0);
        loop {
            match self.reports.recv_timeout(PATIENCE).expect("the attempt never ended") {
                Report::Progressed(progress) => {
                    heard(&progress);
                    match progress {
                        Progress::Message(text) => messages.push(text),
                        Progress::Process { pid: own, start_ticks } => {
                            assert!(start_ticks > 0);
                            pid = own;
                        }
                        other => panic!("only models tell {other:?}"),
                    }
                }
                Report::Ended(call, outcome, usage) => {
                    return Ended { call, outcome, usage, messages, pid };
                }
            }
        }
    }

    /// Runs one attempt to its end.
    pub fn run(&self, agent: &Agent, prompt: &str, change: impl FnOnce(&mut TaskWork)) -> Ended {
        self.start(0, agent, prompt, None, change);
        self.end()
    }
}

pub fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap()
}

/// An agent that runs this Python text after a few helpers, without any library.
pub fn python(text: &str) -> Agent {
    let prelude = r#"
import json, os, signal, subprocess, sys, time
def read():
    line = sys.stdin.readline()
    return json.loads(line) if line else sys.exit(0)
def send(**message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def reply(result):
    message = read()
    send(id=message["id"], result=result)
    return message
def greet():
    reply({"protocolVersion": 1})
    reply({"sessionId": "s"})
def update(**it): send(method="session/update", params={"sessionId": "s", "update": it})
def say(text): update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text})
"#;
    Agent {
        name: "worker".to_owned(),
        program: "python3".to_owned(),
        arguments: vec!["-c".to_owned(), format!("{prelude}\n{text}")],
        ..Agent::default()
    }
}

/// Where the script of an agent lies.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents").join(name)
}

/// Waits until the file is there.
pub fn assert_appears(path: &Path) {
    let until = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < until, "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the process is gone: the kernel needs a moment after it was killed.
pub fn assert_gone(pid: u32) {
    let is_alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    };
    let until = Instant::now() + PATIENCE;
    while is_alive() {
        assert!(Instant::now() < until, "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}
