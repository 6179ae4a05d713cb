//! What guests cost, in thread CPU time unless said: one JSON object with the machine's description.
//!
//! `cargo bench -p loopwright-interpreter [-- --short] [-- --hostile]`; `--hostile` adds how far past its deadline
//! each hostile program came (wall clock).

use loopwright_interpreter::{
    Completion, CompletionStatus, Guest, Interpreter, Limits, Options, RecordKind, STACK_BYTES,
    Source, TurnInput,
};
use loopwright_types::{Micros, Slot};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"{"tools":[],"subagents":["general-purpose"],"itemsMax":1000000}"#;

fn main() {
    // Turns run on the thread itself, so that its CPU time is the whole cost.
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(measure).expect("a thread").join().expect("the figures");
}

fn measure() {
    let given = |name: &str| std::env::args().any(|argument| argument == name);
    let short = given("--short");
    let cache = tempfile::tempdir().expect("a directory for compiled code");
    let options = || Options { cache_dir: Some(cache.path().join("code")), ..Options::default() };
    let (compile_ms, _) = cpu_ms(|| Interpreter::new(options()).expect("the interpreter starts"));
    let (load_ms, interpreter) =
        cpu_ms(|| Interpreter::new(options()).expect("the interpreter starts"));
    let rounds = if short { 20 } else { 500 };
    let mut figures = json!({
        "machine": machine(),
        "compile_once_ms": compile_ms,
        "load_compiled_ms": load_ms,
        "ready_guest": ready(&interpreter, rounds),
        "idle_guest_pss_kib": idle_kib(&interpreter, if short { 20 } else { 500 }),
        "gas": gas(&interpreter),
        "programs_ms": programs(&interpreter, if short { 1 } else { 7 }),
        "fan_out": [fan_out(&interpreter, if short { 1000 } else { 10_000 })],
    });
    if !short {
        figures["fan_out"].as_array_mut().expect("a list").push(fan_out(&interpreter, 100_000));
        figures["sequential_call_us"] = sequential(&interpreter);
        figures["snapshots"] = json!([snapshot(&interpreter, 20), snapshot(&interpreter, 1000)]);
    }
    if given("--hostile") {
        figures["hostile_past_deadline_ms"] = hostile(&interpreter);
    }
    println!("{}", serde_json::to_string_pretty(&figures).expect("figures are plain JSON"));
}

/// A guest from the ready image with its first small program, against one that has to be set up from nothing.
fn ready(interpreter: &Interpreter, rounds: usize) -> Value {
    let limits = Limits::default();
    let first = || {
        let mut guest = interpreter.guest(&limits).expect("a guest");
        guest.start(&Source { code: "typeof agent", ..Source::default() }, CONFIG).expect("loads");
        let output = guest.turn(&TurnInput::default()).expect("runs");
        assert_eq!(&*output.records[0].bytes, br#""function""#);
        guest
    };
    drop(first());
    let mut instantiate = Vec::new();
    let mut evaluate = Vec::new();
    let mut release = Vec::new();
    let mut cold = Vec::new();
    for _ in 0..rounds {
        let (us, guest) = cpu_us(|| interpreter.guest(&limits).expect("a guest"));
        instantiate.push(us);
        release.push(cpu_us(|| drop(guest)).0);
        let (us, guest) = cpu_us(first);
        evaluate.push(us);
        drop(guest);
    }
    // Apart, because both share the pool's places and would evict each other's pages.
    for _ in 0..rounds.min(100) {
        cold.push(cpu_us(|| interpreter.cold_start().expect("the prelude runs")).0);
    }
    let (first_us, cold_us) = (median(evaluate), median(cold));
    json!({
        "instantiate_us_p50": median(instantiate),
        "with_first_program_us_p50": first_us,
        "release_us_p50": median(release),
        "cold_start_us_p50": cold_us,
        "share_of_cold_start": first_us / cold_us,
    })
}

/// Proportional memory of each ready guest beyond the first.
fn idle_kib(interpreter: &Interpreter, count: usize) -> f64 {
    let limits = Limits::default();
    let _first = interpreter.guest(&limits).expect("a guest");
    let before = pss_kib();
    let guests: Vec<Guest> =
        (0..count).map(|_| interpreter.guest(&limits).expect("a guest")).collect();
    (pss_kib() - before) / guests.len() as f64
}

fn pss_kib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Pss:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(f64::NAN)
}

/// Ticks of gas in a millisecond of different work.
fn gas(interpreter: &Interpreter) -> Value {
    let kinds = [
        ("calls", "const fib = (n) => n < 2 ? n : fib(n - 1) + fib(n - 2); for (;;) fib(20)"),
        ("loop", "let n = 0; for (;;) n = (n * 31 + 7) % 1000003"),
        (
            "objects",
            "let m = new Map(); for (let i = 0; ; i++) { m.set(i % 5000, { i, s: 's' + i }) }",
        ),
        ("strings", "for (let i = 0; ; i++) ('item ' + i).toUpperCase().split(' ').join('-')"),
        ("promises", "for (;;) await null"),
    ];
    let per_ms = |code: &str| {
        let mut guest = started(interpreter, code, &Limits::default());
        let gas = 4000;
        let (ms, _) = cpu_ms(|| {
            guest.turn(&TurnInput { gas, ..TurnInput::default() }).expect_err("gas ends it")
        });
        gas as f64 / ms
    };
    kinds.iter().map(|(name, code)| ((*name).to_owned(), json!(per_ms(code)))).collect()
}

fn programs(interpreter: &Interpreter, rounds: usize) -> Value {
    let kinds = [
        ("fib_27", "const fib = (n) => n < 2 ? n : fib(n - 1) + fib(n - 2); fib(27)"),
        (
            "json_5_mb",
            "const a = Array.from({ length: 50000 }, (_, i) => ({ id: i, name: 'name ' + i, tags: ['a', 'b'], v: i / 7 })); JSON.stringify(JSON.parse(JSON.stringify(a))).length",
        ),
        (
            "sort_200k",
            "let x = 1; const a = Array.from({ length: 200000 }, () => ({ k: (x = x * 16807 % 2147483647) })); a.sort((p, q) => p.k - q.k); a[0].k",
        ),
    ];
    let run = |code: &str| {
        let limits = Limits { memory_bytes: 512 << 20, ..Limits::default() };
        let rounds = (0..rounds).map(|_| {
            let mut guest = started(interpreter, code, &limits);
            cpu_ms(|| {
                guest.turn(&TurnInput { gas: 1 << 40, ..TurnInput::default() }).expect("ends")
            })
            .0
        });
        median(rounds.collect())
    };
    kinds.iter().map(|(name, code)| ((*name).to_owned(), json!(run(code)))).collect()
}

/// Many calls in one `Promise.all`, all pending at once, then all answered.
fn fan_out(interpreter: &Interpreter, count: usize) -> Value {
    let code = format!(
        "(await Promise.all(Array.from({{ length: {count} }}, (_, i) => agent('summarise file number ' + i)))).length"
    );
    let limits = Limits { memory_bytes: 1 << 30, value_keys: 1_000_000, ..Limits::default() };
    let mut guest = started(interpreter, &code, &limits);
    let before = guest.memory_bytes();
    let input = TurnInput { gas: 1 << 40, ..TurnInput::default() };
    let (issue_ms, output) = cpu_ms(|| guest.turn(&input).expect("runs"));
    assert_eq!(output.pending as usize, count);
    let issued_ticks = output.ticks;
    let bytes = (guest.memory_bytes() - before) as f64 / count as f64;
    let answer = br#"{"text":"a summary of one line","n":1}"#;
    let calls =
        output.records.iter().filter(|record| matches!(record.kind, RecordKind::Call { .. }));
    let completions: Vec<_> = calls
        .map(|record| Completion {
            slot: Slot(record.id),
            status: CompletionStatus::Done,
            json: answer,
        })
        .collect();
    let (settle_ms, output) =
        cpu_ms(|| guest.turn(&TurnInput { completions: &completions, ..input }).expect("runs"));
    assert!(output.records.iter().any(|record| record.kind == RecordKind::Result));
    json!({
        "calls": count,
        "issue_gas_each": issued_ticks as f64 / count as f64,
        "issue_us_each": issue_ms * 1e3 / count as f64,
        "settle_us_each": settle_ms * 1e3 / count as f64,
        "linear_memory_bytes_each": bytes,
    })
}

fn sequential(interpreter: &Interpreter) -> Value {
    let mut guest = started(
        interpreter,
        "for (let i = 0; i < 5000; i++) await agent('next'); 'end'",
        &Limits::default(),
    );
    let mut output = guest.turn(&TurnInput::default()).expect("runs");
    let (ms, ()) = cpu_ms(|| {
        while let [record] = &output.records[..] {
            let RecordKind::Call { .. } = record.kind else { break };
            let completion =
                Completion { slot: Slot(record.id), status: CompletionStatus::Done, json: b"{}" };
            output = guest
                .turn(&TurnInput { completions: &[completion], ..TurnInput::default() })
                .expect("runs");
        }
    });
    json!(ms * 1e3 / 5000.0)
}

fn snapshot(interpreter: &Interpreter, count: usize) -> Value {
    let code = format!(
        "await Promise.all(Array.from({{ length: {count} }}, async (_, i) => {{ await agent('wait ' + i); return i }}))"
    );
    let limits = Limits::default();
    let mut guest = started(interpreter, &code, &limits);
    guest.turn(&TurnInput::default()).expect("runs");
    drop(guest.snapshot());
    let (take_ms, bytes) = cpu_ms(|| guest.snapshot().expect("waits"));
    let (restore_ms, restored) = cpu_ms(|| interpreter.restore(&bytes, &limits).expect("fits"));
    drop(restored);
    json!({ "pending": count, "kib": bytes.len() / 1024, "take_ms": take_ms, "restore_ms": restore_ms })
}

/// Each hostile program under a deadline of 200 ms and plenty of gas.
fn hostile(interpreter: &Interpreter) -> Value {
    let deadline = Duration::from_millis(200);
    let limits = Limits { safety: deadline, ..Limits::default() };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("programs").flatten().map(|it| it.path()).collect();
    files.sort();
    let mut past = Vec::new();
    let mut by_name = serde_json::Map::new();
    for path in &files {
        let code = String::from_utf8_lossy(&std::fs::read(path).expect("a program")).into_owned();
        let mut guest = interpreter.guest(&limits).expect("a guest");
        let source = Source { code: &code, ..Source::default() };
        let start = Instant::now();
        if guest.start(&source, CONFIG).is_ok() {
            let start = Instant::now();
            let _ = guest.turn(&TurnInput { now: Micros(0), gas: 1 << 40, ..TurnInput::default() });
            past.push(start.elapsed().saturating_sub(deadline).as_secs_f64() * 1e3);
        } else {
            past.push(start.elapsed().saturating_sub(deadline).as_secs_f64() * 1e3);
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        by_name.insert(name, json!((past[past.len() - 1] * 10.0).round() / 10.0));
    }
    let over = past.iter().filter(|ms| **ms > 0.0).count();
    let worst = past.iter().copied().fold(0.0, f64::max);
    json!({ "files": files.len(), "over": over, "p50": median(past), "worst": worst, "each": by_name })
}

fn started(interpreter: &Interpreter, code: &str, limits: &Limits) -> Guest {
    let mut guest = interpreter.guest(limits).expect("a guest");
    guest.start(&Source { code, ..Source::default() }, CONFIG).expect("loads");
    guest
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn cpu_us<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = thread_cpu();
    let value = work();
    ((thread_cpu() - before).as_secs_f64() * 1e6, value)
}

fn cpu_ms<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let (us, value) = cpu_us(work);
    (us / 1e3, value)
}

#[allow(unsafe_code)]
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "processor": model.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split(' ').next(),
        "optimised": !cfg!(debug_assertions),
    })
}
