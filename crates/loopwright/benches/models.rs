//! Figures of runs whose subagents are served by a model over HTTP on loopback, printed as one JSON object.
//! `--short` measures a small share, to show that the bench still runs.
//!
//! Issue 3 promises: 1,000 tasks of 100 ms at cap 32 within 1.10 of the ideal wall time; with 10 % mixed retryable
//! faults everything completes, with at most 1.25 times the clean run's requests and 1.5 times its wall time. The
//! provider is a thread pool of this process, so its own computing is part of the wall time.

use loopwright::protocol::{Entry, Json};
use loopwright::types::{RunStatus, Settings};
use loopwright::{Run, RunOptions, Unattended};
use loopwright_fakes::{Class, FakeProvider, Fault, FaultPlan, Latency, Options, Report, Wire};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CAP: u64 = 32;
const LATENCY: Duration = Duration::from_millis(100);
const FAULT_RATE: f64 = 0.1;
const SEED: u64 = 1;

const PROGRAM: &str = r#"
const all = await Promise.all(Array.from({ length: args.n }, (_, n) =>
  task({ description: `summarise file number ${n}`, timeoutMs: 60000 })));
all.filter((text) => typeof text === "string" && text.startsWith("echo: ")).length
"#;

/// Every fault after which the same request may succeed, on this wire. Stalls end when the provider hangs up.
fn retryable(wire: Wire) -> Vec<Fault> {
    let retryable = |fault: &Fault| fault.expected_class(wire) == Class::Wait;
    Fault::ALL.iter().copied().filter(retryable).collect()
}

struct Measured {
    wall_s: f64,
    done: u64,
    tasks: u64,
    books: Report,
    tokens: (u64, u64),
}

fn measure(n: u64, wire: Wire, faults: FaultPlan) -> Measured {
    let provider = FakeProvider::start(Options {
        latency: Latency { first_byte: LATENCY, ..Latency::default() },
        // Longer than the deadline for silence below, so that the client notices and not the server.
        stall: Duration::from_secs(30),
        piece_bytes: 4096,
        ..Options::default().faults(faults)
    });
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("program.ts");
    std::fs::write(&file, PROGRAM).expect("a file in it");
    std::fs::write(directory.path().join("key"), "sk-fake\n").expect("a file in it");
    let options = RunOptions {
        tables: tables(&provider, wire, &directory.path().join("key")),
        program: file,
        workspace: directory.path().to_owned(),
        args: Some(Json::of(&json!({ "n": n }))),
        agents_dir: None,
        model: Some("fake:some-model".to_owned()),
        settings: settings(n),
        data_dir: directory.path().join("data"),
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-cache")),
    };
    let run = Run::prepare(options).unwrap_or_else(|error| panic!("{error}"));
    let wall = Instant::now();
    let observer = Box::new(|_: &Entry| {});
    let report =
        run.execute(observer, Arc::new(Unattended)).unwrap_or_else(|error| panic!("{error}"));
    let wall_s = wall.elapsed().as_secs_f64();
    assert_eq!(report.status, RunStatus::Complete, "{:?} {:?}", report.error, report.failures);
    let done: u64 = report.result.and_then(|value| value.read().ok()).unwrap_or_default();
    let tokens = (report.usage.input_tokens, report.usage.output_tokens);
    Measured { wall_s, done, tasks: n, books: provider.report(), tokens }
}

fn tables(provider: &FakeProvider, wire: Wire, key: &Path) -> toml::Table {
    let name = match wire {
        Wire::Anthropic => "anthropic",
        Wire::Chat => "openai-chat",
        Wire::Responses => "openai-responses",
        Wire::Gemini => "gemini",
    };
    let (url, key) = (provider.base_url(wire), key.display());
    format!("[providers.fake]\nwire = \"{name}\"\nbase_url = \"{url}\"\nkey = \"file:{key}\"\n")
        .parse()
        .expect("a table of settings")
}

fn settings(n: u64) -> Settings {
    let mut settings = Settings::default();
    let values = [
        ("run.tasks_max", n + 1),
        ("run.seed", SEED),
        ("run.concurrency", CAP),
        ("run.concurrency_per_provider", CAP),
        // Silence is noticed after a second instead of two minutes: the faults hold stalls, and tasks have a minute.
        ("provider.first_byte_ms", 1000),
        ("provider.idle_ms", 1000),
    ];
    for (name, value) in values {
        settings.set(name, &value.to_string()).expect("in range");
    }
    settings
}

fn figures(done: &Measured) -> Value {
    let told = done.books.entries.iter().filter_map(|entry| entry.told);
    let told = told.fold((0, 0), |sum, usage| (sum.0 + usage.prompt(), sum.1 + usage.output));
    json!({
        "tasks": done.tasks, "done": done.done, "cap": CAP, "latency_ms": LATENCY.as_millis() as u64,
        "wall_s": round(done.wall_s),
        "requests": done.books.requests, "refused": done.books.refused.len(),
        "connections": done.books.connections,
        "tokens_accounted": done.tokens == told,
    })
}

fn with(mut figures: Value, more: &[(&str, Value)]) -> Value {
    for (name, value) in more {
        figures[*name] = value.clone();
    }
    figures
}

fn all(n: u64, wire: Wire) -> Value {
    let ideal = n.div_ceil(CAP) as f64 * LATENCY.as_secs_f64();
    let clean = measure(n, wire, FaultPlan::none());
    let plan = FaultPlan::none().chance(FAULT_RATE, &retryable(wire), SEED);
    let faulty = measure(n, wire, plan);
    let injected: u64 = faulty.books.faults.values().sum();
    let ratio = |faulty: f64, clean: f64| json!(round(faulty / clean));
    json!({
        "clean": with(figures(&clean), &[
            ("ideal_s", json!(round(ideal))), ("wall_over_ideal", ratio(clean.wall_s, ideal)),
        ]),
        "faults": with(figures(&faulty), &[
            ("injected", json!(injected)), ("kinds", json!(faulty.books.faults.len())),
            ("requests_over_clean", ratio(faulty.books.requests as f64, clean.books.requests as f64)),
            ("wall_over_clean", ratio(faulty.wall_s, clean.wall_s)),
        ]),
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

fn main() {
    let short = std::env::args().any(|argument| argument == "--short");
    let n = if short { 64 } else { 1000 };
    // The first run compiles what the machine has not cached yet.
    measure(1, Wire::Chat, FaultPlan::none());
    let mut printed = serde_json::Map::new();
    printed.insert("machine".to_owned(), machine());
    for wire in [Wire::Anthropic, Wire::Chat] {
        printed.insert(wire.name().to_owned(), all(n, wire));
    }
    println!("{}", serde_json::to_string_pretty(&printed).expect("maps with text keys"));
}
