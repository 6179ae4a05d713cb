//! Figures of whole runs, printed as one JSON object with the machine's description.
//! `--short` measures a small share, to show that the bench still runs.
//!
//! CPU is the process's user and system time around the run, preparation excluded; memory is the process's peak
//! resident size, so each figure runs in a process of its own.

use loopwright::journal::{Control, Store};
use loopwright::protocol::{Entry, Json, PersonAnswer};
use loopwright::types::{CallId, RunStatus, Settings};
use loopwright::{Elsewhere, Run, RunOptions, Unattended};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const FAN_OUT: &str = r#"
const schema = { type: "object", properties: { ok: { type: "boolean" }, note: { type: "string", maxLength: 40 } }, required: ["ok", "note"], additionalProperties: false };
const all = await Promise.all(Array.from({ length: args.n }, (_, n) =>
  task({ description: `summarise file number ${n}`, responseSchema: schema })));
all.length
"#;

const PENDING: &str = r#"
const all = await Promise.all(Array.from({ length: args.n }, (_, n) => task({ description: `summarise file number ${n}` })));
all.length
"#;

const WAITING: &str = r#"
const items = Array.from({ length: 1000 }, (_, n) => ({ n, text: `item number ${n}` }));
const yes = await approve("go on?");
yes ? items.length : 0
"#;

/// User and system time of this process, ended threads included, in microseconds.
fn cpu_us() -> f64 {
    let time = process_clock();
    time.0 as f64 * 1e6 + time.1 as f64 / 1e3
}

/// `CLOCK_PROCESS_CPUTIME_ID` in seconds and nanoseconds.
#[allow(unsafe_code)]
fn process_clock() -> (i64, i64) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, which the call only writes.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "every Linux has this clock");
    (time.tv_sec, time.tv_nsec)
}

/// A number of `/proc/self/status`, in its unit there.
fn status_of(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(":0");
    let digits = line.trim_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or(0.0)
}

fn peak_mb() -> f64 {
    status_of("VmHWM") / 1024.0
}

struct Measured {
    cpu_us: f64,
    wall_s: f64,
    commits: u64,
    entries: u64,
}

fn prepare(directory: &Path, program: &str, n: u64, settings: &[(&str, String)]) -> Run {
    let file = directory.join("program.ts");
    std::fs::write(&file, program).expect("a file in it");
    let mut all = Settings::default();
    all.set("run.tasks_max", &(n + 1).to_string()).expect("in range");
    all.set("run.seed", "1").expect("in range");
    for (name, value) in settings {
        all.set(name, value).expect("in range");
    }
    let options = RunOptions {
        tables: Default::default(),
        program: file,
        workspace: directory.to_owned(),
        args: Some(Json::of(&json!({ "n": n }))),
        agents_dir: None,
        model: Some("mock".to_owned()),
        settings: all,
        data_dir: directory.join("data"),
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-cache")),
    };
    Run::prepare(options).unwrap_or_else(|error| panic!("{error}"))
}

fn measure(program: &str, n: u64, settings: &[(&str, String)]) -> Measured {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let run = prepare(directory.path(), program, n, settings);
    let stats = run.journal_stats();
    let (cpu, wall) = (cpu_us(), Instant::now());
    let observer = Box::new(|_: &Entry| {});
    let report =
        run.execute(observer, Arc::new(Unattended)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.error);
    let after = stats();
    Measured {
        cpu_us: cpu_us() - cpu,
        wall_s: wall.elapsed().as_secs_f64(),
        commits: after.0,
        entries: after.1,
    }
}

fn fan_out(n: u64, concurrency: u64) -> Value {
    let settings = [
        ("run.concurrency", concurrency.to_string()),
        ("guest.memory_mb", "256".to_owned()),
        ("guest.cpu_ms", "60000".to_owned()),
    ];
    let done = measure(FAN_OUT, n, &settings);
    json!({
        "tasks": n, "cap": concurrency,
        "cpu_us_per_task": round(done.cpu_us / n as f64),
        "wall_ms": round(done.wall_s * 1e3),
        "syncs_per_task": round(done.commits as f64 / n as f64),
        "entries_per_task": round(done.entries as f64 / n as f64),
    })
}

fn pending(n: u64) -> Value {
    let settings = [
        ("run.concurrency", n.min(100_000).to_string()),
        ("run.concurrency_per_provider", n.min(100_000).to_string()),
        ("run.concurrency_per_subagent", n.min(100_000).to_string()),
        ("guest.memory_mb", "1024".to_owned()),
        ("guest.cpu_ms", "600000".to_owned()),
        ("guest.safety_ms", "600000".to_owned()),
        ("mock.latency_ms", "8000".to_owned()),
    ];
    let before = peak_mb();
    let done = measure(PENDING, n, &settings);
    json!({ "tasks": n, "peak_mb": round(peak_mb()), "before_mb": round(before), "wall_s": round(done.wall_s) })
}

fn steady(n: u64, cap: u64) -> Value {
    let settings = [("run.concurrency", cap.to_string()), ("mock.latency_ms", "100".to_owned())];
    let done = measure(FAN_OUT, n, &settings);
    let ideal = (n / cap) as f64 * 0.1;
    json!({
        "tasks": n, "cap": cap, "latency_ms": 100,
        "wall_s": round(done.wall_s), "ideal_s": ideal, "wall_over_ideal": round(done.wall_s / ideal),
        "syncs_per_task": round(done.commits as f64 / n as f64),
    })
}

/// Runs that wait for a person, in one process: what each of them holds, and how soon all of them have gone on.
fn waiting(n: u64) -> Value {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = [("guest.rest_after_ms", "20".to_owned())];
    let (tell, told) = channel();
    let start = || {
        let run = prepare(directory.path(), WAITING, 1, &settings);
        let (id, tell) = (run.id().clone(), tell.clone());
        let over = Box::new(move |ended| tell.send(ended).expect("somebody listens"));
        run.start(Box::new(|_| {}), Arc::new(Elsewhere), over).expect("it starts");
        id
    };
    let threads = |most: f64| {
        while status_of("Threads") > most {
            std::thread::sleep(Duration::from_millis(10));
        }
        status_of("Threads")
    };
    // The first one pays for what all share: the journal's thread and the guests' ticker.
    let mut ids = vec![start()];
    let alone = threads(3.0);
    let before = status_of("RssAnon");
    ids.extend((1..n).map(|_| start()));
    let together = threads(alone);
    let held = (status_of("RssAnon") - before) / (n as f64 - 1.0).max(1.0);
    let store = Store::open(&directory.path().join("data")).expect("it opens");
    let wall = Instant::now();
    for id in &ids {
        let yes = PersonAnswer::Given { call: CallId(0), value: Json::of(&true), said: None };
        store.request(id, Control::Answer(Json::of(&yes))).expect("it is asked");
    }
    let asked = wall.elapsed();
    for _ in &ids {
        let report = told.recv().expect("each ends").expect("as it should");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.error);
    }
    json!({
        "runs": n, "threads_with_one": alone, "threads_with_all": together, "kib_per_run": round(held),
        "answered_s": round(asked.as_secs_f64()), "all_ended_s": round(wall.elapsed().as_secs_f64()),
    })
}

fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

fn machine() -> Value {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cpu": model.trim_start_matches(['\t', ' ', ':']),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "load": load.split(' ').next(),
    })
}

/// One figure by name, in this process.
fn figure(name: &str, short: bool) -> Value {
    let n = |full: u64, share: u64| if short { share } else { full };
    match name {
        "warm_up" => fan_out(10, 8),
        "cpu_per_task_cap_32" => fan_out(n(10_000, 500), 32),
        "cpu_per_task_cap_1000" => fan_out(n(10_000, 500), 1000),
        "pending_memory" => pending(n(100_000, 1000)),
        "steady_cap_32" => steady(n(3200, 64), 32),
        "waiting_runs" => waiting(n(1000, 20)),
        other => panic!("no figure is named `{other}`"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let short = arguments.iter().any(|argument| argument == "--short");
    if let Some(at) = arguments.iter().position(|argument| argument == "--figure") {
        println!("{}", figure(&arguments[at + 1], short));
        return;
    }
    let names = [
        "warm_up",
        "cpu_per_task_cap_32",
        "cpu_per_task_cap_1000",
        "pending_memory",
        "steady_cap_32",
        "waiting_runs",
    ];
    let mut all = serde_json::Map::new();
    all.insert("machine".to_owned(), machine());
    for name in names {
        let mut own = std::process::Command::new(std::env::current_exe().expect("this program"));
        own.args(["--figure", name]);
        if short {
            own.arg("--short");
        }
        let output = own.output().expect("this program runs");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        all.insert(name.to_owned(), serde_json::from_slice(&output.stdout).expect("JSON"));
    }
    println!("{}", serde_json::to_string_pretty(&all).expect("maps with text keys"));
}
