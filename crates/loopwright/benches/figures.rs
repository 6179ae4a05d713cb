//! Figures of whole runs, printed as one JSON object with the machine's description.
//! `--short` measures a small share, to show that the bench still runs.
//!
//! CPU is the process's user and system time around the run, preparation excluded; memory is the process's peak
//! resident size, so each figure runs in a process of its own.

use loopwright::protocol::Entry;
use loopwright::types::{RunStatus, Settings};
use loopwright::{Run, RunOptions, Unattended};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

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

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or(0.0) / 1024.0
}

struct Measured {
    cpu_us: f64,
    wall_s: f64,
    commits: u64,
    entries: u64,
}

fn measure(program: &str, n: u64, settings: &[(&str, String)]) -> Measured {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("program.ts");
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
        workspace: directory.path().to_owned(),
        args: Some(loopwright::protocol::Json::of(&json!({ "n": n }))),
        agents_dir: None,
        model: Some("mock".to_owned()),
        settings: all,
        data_dir: directory.path().join("data"),
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-cache")),
    };
    let run = Run::prepare(options).unwrap_or_else(|error| panic!("{error}"));
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
