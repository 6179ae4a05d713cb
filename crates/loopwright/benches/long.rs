//! Long runs, whole: more than a million journal entries, and a gigabyte of results, in one run each; recorded through
//! the real sandbox and journal, then replayed from the journal alone by another process. Printed as one JSON object;
//! `--short` takes a small share.

use loopwright::journal::Store;
use loopwright::protocol::Json;
use loopwright::types::{RunStatus, Settings};
use loopwright::{Run, RunOptions, Unattended, replay_run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// Waves of a thousand tasks with short answers.
const EVENTS: &str = r#"
let done = 0;
for (let wave = 0; wave < args.waves; wave += 1) {
  const all = await Promise.all(Array.from({ length: 1000 }, (_, n) => task({ description: `file ${wave * 1000 + n}` })));
  done += all.length;
}
done
"#;

/// Waves of a hundred tasks whose answers have 100,000 characters each.
const RESULTS: &str = r#"
const text = { type: "string", minLength: 50000, maxLength: 50000 };
const schema = { type: "object", properties: { findings: text, sources: text }, required: ["findings", "sources"], additionalProperties: false };
let characters = 0;
for (let wave = 0; wave < args.waves; wave += 1) {
  const all = await Promise.all(Array.from({ length: 100 }, (_, n) => task({ description: `report ${wave * 100 + n}`, responseSchema: schema })));
  for (const report of all) characters += report.findings.length + report.sources.length;
}
characters
"#;

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or(0.0) / 1024.0
}

fn cache_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-cache")
}

fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

fn record(directory: &Path, program: &str, waves: u64) -> Value {
    let file = directory.join("program.ts");
    std::fs::write(&file, program).expect("a file");
    let mut settings = Settings::default();
    let all = [
        ("run.seed", "1"),
        ("run.tasks_max", "1000000"),
        ("run.calls_max", "1000000"),
        ("run.concurrency", "1000"),
        ("run.concurrency_per_provider", "1000"),
        ("run.concurrency_per_subagent", "1000"),
        ("guest.cpu_ms", "600000"),
        ("guest.safety_ms", "600000"),
        ("mock.latency_ms", "0"),
    ];
    for (name, value) in all {
        settings.set(name, value).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let run = Run::prepare(RunOptions {
        tables: Default::default(),
        program: file,
        workspace: directory.to_owned(),
        args: Some(Json::of(&json!({ "waves": waves }))),
        agents_dir: None,
        model: Some("mock".to_owned()),
        settings,
        data_dir: directory.join("data"),
        cache_dir: Some(cache_dir()),
    });
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    let stats = run.journal_stats();
    let began = Instant::now();
    let report = run.execute(Box::new(|_| {}), Arc::new(Unattended)).expect("it is recorded");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.error);
    let seconds = began.elapsed().as_secs_f64();
    // The log that is moved into it when the process ends is not counted.
    let bytes = directory.join("data/journal.db").metadata().map_or(0, |it| it.len());
    json!({
        "tasks": report.tasks.0, "entries": stats().1, "result": report.result.as_ref().map(Json::text),
        "seconds": round(seconds), "peak_mb": round(peak_mb()), "journal_mb": round(bytes as f64 / 1e6),
    })
}

fn replay(directory: &Path) -> Value {
    let store = Store::open_read_only(&directory.join("data")).expect("it opens");
    let row = store.find("latest").expect("it is there");
    let began = Instant::now();
    let replayed = replay_run(&store, &row.id, Some(cache_dir())).expect("it replays the same");
    let seconds = began.elapsed().as_secs_f64();
    json!({
        "entries": row.entries, "calls": replayed.calls, "seconds": round(seconds), "peak_mb": round(peak_mb()),
        "entries_per_s": (row.entries as f64 / seconds).round(),
        "result": replayed.result.as_ref().map(Json::text),
    })
}

/// Does it in a process of its own, whose peak is its own.
fn apart(directory: &Path, what: &str, waves: u64) -> Value {
    let own = std::env::current_exe().expect("it has a path");
    let mut command = Command::new(own);
    command.args(["--apart", what, &waves.to_string()]).arg(directory);
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--apart") {
        let directory = Path::new(&arguments[at + 3]);
        let waves = arguments[at + 2].parse().expect("a number");
        let done = match arguments[at + 1].as_str() {
            "events" => record(directory, EVENTS, waves),
            "results" => record(directory, RESULTS, waves),
            _ => replay(directory),
        };
        return println!("{done}");
    }
    let short = arguments.iter().any(|argument| argument == "--short");
    let mut all = serde_json::Map::new();
    for (what, full, share) in [("events", 340, 2), ("results", 100, 1)] {
        let waves = if short { share } else { full };
        let directory = tempfile::tempdir().expect("a temporary directory");
        let recorded = apart(directory.path(), what, waves);
        let replayed = apart(directory.path(), "replay", waves);
        assert_eq!(recorded["result"], replayed["result"], "byte for byte");
        all.insert(what.to_owned(), json!({ "recorded": recorded, "replayed": replayed }));
    }
    println!("{}", serde_json::to_string_pretty(&all).expect("maps with text keys"));
}
