//! What durable recording costs: one JSON object with the machine's description.
//!
//! `cargo bench -p loopwright-journal [-- --directory DIR] [--records N]`

#[path = "journal/large.rs"]
mod large;
#[path = "../tests/support/mod.rs"]
mod support;

use loopwright_journal::{Stats, Store, Writer};
use loopwright_protocol::Entry;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::{attempt, called, create, id, settled, started, turn};

/// Tasks in flight in the first figure.
const IN_FLIGHT: u32 = 1000;
/// Tasks of the run in the second.
const CAPPED_TASKS: u32 = 3200;
/// Tasks of the run in the third.
const BULK_TASKS: u32 = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let parent = value("--directory").map_or_else(std::env::temp_dir, Into::into);
    // A small share, to show that the bench still runs.
    let short = arguments.iter().any(|argument| argument == "--short");
    let records = value("--records").map_or(200_000, |text| text.parse().expect("a number"));
    let directory = tempfile::tempdir_in(parent).expect("a directory to write to");
    let path = directory.path();
    if short {
        let figures = json!({
            "machine": machine(),
            "in_flight_1000_one_run": in_flight(&path.join("one"), 1, 5000),
            "cap_32_instant": capped(&path.join("instant"), Latency::none()),
            "bulk_10000_tasks": bulk(&path.join("bulk")),
            "read_back": read_back(&path.join("bulk")),
            "resume_10000_tasks": resumed(&path.join("bulk")),
            "crash_cycle": cycles(path),
            "long_run_100000_entries": large::long_run(&path.join("long"), 100_000),
            "large_values_64_mib": large::large_values(&path.join("large"), 64),
        });
        println!("{}", serde_json::to_string_pretty(&figures).expect("figures are plain JSON"));
        return;
    }
    let figures = json!({
        "machine": machine(),
        "sync_us_p50": sync_us(path),
        "in_flight_1000_one_run": in_flight(&path.join("one"), 1, records),
        "in_flight_1000_of_100_runs": in_flight(&path.join("many"), 100, records),
        "cap_32_instant": capped(&path.join("instant"), Latency::none()),
        "cap_32_100_ms": capped(&path.join("even"), Latency { ms: 100, spread_ms: 0 }),
        "cap_32_100_ms_spread_40_ms": capped(&path.join("spread"), Latency { ms: 80, spread_ms: 40 }),
        "bulk_10000_tasks": bulk(&path.join("bulk")),
        "read_back": read_back(&path.join("bulk")),
        "resume_10000_tasks": resumed(&path.join("bulk")),
        "crash_cycle": cycles(path),
        "long_run_1000000_entries": large::long_run(&path.join("long"), 1_000_000),
        "large_values_1_gib": large::large_values(&path.join("large"), 1024),
        "runs_10000": many_runs(&path.join("list")),
    });
    println!("{}", serde_json::to_string_pretty(&figures).expect("figures are plain JSON"));
}

fn machine() -> Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, name)| name.trim().to_owned());
    json!({
        "processor": model,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split(' ').next(),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}

/// What one sync of a small append costs here: no group commit can be quicker.
fn sync_us(directory: &Path) -> f64 {
    use std::io::Write;
    let mut file = std::fs::File::create(directory.join("sync")).expect("a file");
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            let begin = Instant::now();
            file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("a sync");
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Processor time in microseconds: of the whole process and of the journal's threads.
fn processor_us() -> (f64, f64) {
    let (mut all, mut journal) = (0.0, 0.0);
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    for path in threads.flatten().map(|thread| thread.path()) {
        let read = |name| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let time = read("schedstat").split(' ').next().and_then(|text| text.parse().ok());
        let time = time.unwrap_or(0.0) / 1000.0;
        all += time;
        if read("comm").trim() == "journal" {
            journal += time;
        }
    }
    (all, journal)
}

/// Measures from here on.
struct Meter {
    begin: Instant,
    processor: (f64, f64),
    stats: Stats,
}

impl Meter {
    fn start(store: &Store) -> Self {
        Self { begin: Instant::now(), processor: processor_us(), stats: store.stats() }
    }

    fn figures(&self, store: &Store, tasks: u32) -> Value {
        let seconds = self.begin.elapsed().as_secs_f64();
        let (all, journal) = processor_us();
        let stats = store.stats();
        let records = stats.entries - self.stats.entries;
        let commits = stats.commits - self.stats.commits;
        let checkpoints = stats.checkpoints - self.stats.checkpoints;
        let each = |sum: f64| round(sum / records as f64);
        json!({
            "seconds": round(seconds),
            "records": records,
            "durable_records_per_s": (records as f64 / seconds).round(),
            "commits": commits,
            "checkpoints": checkpoints,
            "syncs_per_task": round((commits + 2 * checkpoints) as f64 / f64::from(tasks)),
            "journal_thread_us_per_record": each(journal - self.processor.1),
            "process_us_per_record": each(all - self.processor.0),
        })
    }
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// The entries of one task in order: each waits for the one before it.
fn step(task: u32, step: u32) -> Entry {
    match step {
        0 => called(task),
        1 => attempt(task),
        _ => settled(task, false),
    }
}

/// Tasks in flight, each of which appends its next entry only when the one before is durable.
fn in_flight(directory: &Path, run_count: u32, records: u64) -> Value {
    struct Run {
        writer: Writer,
        /// The tasks whose entries are not durable yet, in the order of the entries.
        waiting: VecDeque<(u32, u32)>,
        durable: u64,
        next_task: u32,
    }
    let store = Store::open(directory).expect("a journal");
    let (sender, inbox) = mpsc::channel();
    let mut runs: Vec<Run> = (0..run_count)
        .map(|run| {
            let sender = sender.clone();
            let name = format!("run-{run}");
            let synced = move |report| drop(sender.send((run as usize, report)));
            let writer = store.create(&support::start(&name), Box::new(synced)).expect("a run");
            Run { writer, waiting: VecDeque::new(), durable: 0, next_task: 0 }
        })
        .collect();
    let meter = Meter::start(&store);
    let mut appended = 0;
    for run in &mut runs {
        let tasks = IN_FLIGHT / run_count;
        run.writer.append((0..tasks).map(|task| step(task, 0)).collect());
        run.waiting.extend((0..tasks).map(|task| (task, 0)));
        run.next_task = tasks;
        appended += u64::from(tasks);
    }
    while runs.iter().any(|run| !run.waiting.is_empty()) {
        let (at, report) = inbox.recv().expect("the journal lives");
        let run = &mut runs[at];
        let count = report.expect("it is durable");
        let mut entries = Vec::new();
        for _ in run.durable..count {
            let (task, place) = run.waiting.pop_front().expect("it was appended");
            let (task, place) = if place < 2 {
                (task, place + 1)
            } else {
                run.next_task += 1;
                (run.next_task - 1, 0)
            };
            if appended < records {
                entries.push(step(task, place));
                run.waiting.push_back((task, place));
                appended += 1;
            }
        }
        run.durable = count;
        run.writer.append(entries);
    }
    let tasks = u32::try_from(appended / 3).expect("a few millions at most");
    meter.figures(&store, tasks)
}

#[derive(Clone, Copy)]
struct Latency {
    ms: u64,
    spread_ms: u64,
}

impl Latency {
    fn none() -> Self {
        Self { ms: 0, spread_ms: 0 }
    }

    fn draw(self, draw: &mut support::Draw) -> Duration {
        let spread = if self.spread_ms == 0 { 0 } else { draw.below(self.spread_ms * 1000) };
        Duration::from_micros(self.ms * 1000 + spread)
    }
}

/// A run at cap 32: intent, durable, the task's time, result, durable, next task.
fn capped(directory: &Path, latency: Latency) -> Value {
    let store = Store::open(directory).expect("a journal");
    let (writer, reports) = create(&store, "capped");
    let meter = Meter::start(&store);
    let mut draw = support::Draw(1);
    let (mut appended, mut next, mut done) = (0, 0, 0);
    // What waits to be durable, by count of entries; what is under way, by its end.
    let mut waiting: VecDeque<(u64, u32, bool)> = VecDeque::new();
    let mut under_way: Vec<(Instant, u32)> = Vec::new();
    let append = |entries: Vec<Entry>, appended: &mut u64| {
        *appended += entries.len() as u64;
        writer.append(entries);
    };
    append(vec![started("capped")], &mut appended);
    let begin = |next: &mut u32, entries: &mut Vec<Entry>| {
        entries.extend([called(*next), attempt(*next)]);
        *next += 1;
        *next - 1
    };
    let mut entries = Vec::new();
    let first: Vec<u32> = (0..32).map(|_| begin(&mut next, &mut entries)).collect();
    append(entries, &mut appended);
    waiting.extend(first.into_iter().map(|task| (appended, task, false)));
    while done < CAPPED_TASKS {
        let due = under_way.iter().map(|(at, _)| *at).min();
        let pause = due.map_or(Duration::from_secs(60), |at| at - Instant::now().min(at));
        let mut durable = reports.recv_timeout(pause).ok();
        while let Ok(more) = reports.try_recv() {
            durable = Some(more);
        }
        let durable = durable.map_or(0, |report| report.expect("it is durable"));
        let mut entries = Vec::new();
        let mut added = Vec::new();
        while waiting.front().is_some_and(|(count, ..)| *count <= durable) {
            let (_, task, settled) = waiting.pop_front().expect("there is one");
            if !settled {
                under_way.push((Instant::now() + latency.draw(&mut draw), task));
            } else {
                done += 1;
                if next < CAPPED_TASKS {
                    added.push((begin(&mut next, &mut entries), false));
                }
            }
        }
        let now = Instant::now();
        for (_, task) in under_way.extract_if(.., |(at, _)| *at <= now) {
            entries.extend([settled(task, false), turn(task)]);
            added.push((task, true));
        }
        if !entries.is_empty() {
            append(entries, &mut appended);
            waiting.extend(added.into_iter().map(|(task, settled)| (appended, task, settled)));
        }
    }
    let mut figures = meter.figures(&store, CAPPED_TASKS);
    if latency.ms > 0 {
        let mean_ms = latency.ms as f64 + latency.spread_ms as f64 / 2.0;
        let ideal = f64::from(CAPPED_TASKS) / 32.0 * mean_ms / 1000.0;
        figures["wall_over_ideal"] = json!(round(meter.begin.elapsed().as_secs_f64() / ideal));
    }
    figures
}

/// A run whose tasks are all called at once, as one `Promise.all` does.
fn bulk(directory: &Path) -> Value {
    let store = Store::open(directory).expect("a journal");
    let (writer, _reports) = create(&store, "bulk");
    let mut stretches: Vec<Vec<Entry>> = vec![vec![started("bulk")]];
    stretches.push((0..BULK_TASKS).map(called).collect());
    for tasks in (0..BULK_TASKS).collect::<Vec<_>>().chunks(16) {
        stretches.push(tasks.iter().map(|task| attempt(*task)).collect());
        stretches.push(tasks.iter().map(|task| settled(*task, false)).collect());
    }
    let bytes: usize = stretches.iter().flatten().map(|entry| entry.encode().len()).sum();
    let meter = Meter::start(&store);
    for entries in stretches {
        writer.append(entries);
    }
    writer.close().expect("it is durable");
    let mut figures = meter.figures(&store, BULK_TASKS);
    drop(store);
    let disk = std::fs::metadata(directory.join("journal.db")).map_or(0, |found| found.len());
    figures["bytes_per_record"] = json!(round(bytes as f64 / f64::from(3 * BULK_TASKS)));
    figures["disk_over_bodies"] = json!(round(disk as f64 / bytes as f64));
    figures
}

fn read_back(directory: &Path) -> Value {
    let store = Store::open_read_only(directory).expect("a journal");
    let begin = Instant::now();
    let entries = store.read(&id("bulk")).expect("it is there");
    let count = entries.inspect(|entry| assert!(entry.is_ok())).count();
    let seconds = begin.elapsed().as_secs_f64();
    json!({
        "records": count,
        "us_per_record": round(seconds * 1e6 / count as f64),
        "records_per_s": (count as f64 / seconds).round(),
    })
}

/// Taking a run of 10,000 tasks up again, but for reading it.
fn resumed(directory: &Path) -> Value {
    let begin = Instant::now();
    let store = Store::open(directory).expect("a journal");
    let opened = begin.elapsed();
    let (synced, _reports) = support::reports();
    let writer = store.resume(&id("bulk"), synced).expect("nobody has it");
    let all = begin.elapsed();
    assert!(writer.entries() > u64::from(BULK_TASKS));
    let ms = |time: Duration| round(time.as_secs_f64() * 1000.0);
    json!({ "open_ms": ms(opened), "open_and_resume_ms": ms(all) })
}

/// A store without a thread: made, used, dropped in the middle, opened again and read, as a simulated crash
/// does it.
fn cycles(directory: &Path) -> Value {
    const ROUNDS: u32 = 400;
    let time = |each: &mut dyn FnMut(u32)| {
        // One thread does it all: processor time says more than the clock on a machine that others use.
        let (begin, _) = processor_us();
        (0..ROUNDS).for_each(&mut *each);
        round((processor_us().0 - begin) / f64::from(ROUNDS))
    };
    let figures = |vfs: &str, directory: &Path| {
        let open = |name: &str, round: u32, owner: &str| {
            let options = loopwright_journal::Options {
                owner: owner.to_owned(),
                gone: std::sync::Arc::new(|_| true),
                ..Default::default()
            };
            let path = directory.join(format!("{name}-{round}"));
            Store::open_inline(vfs, &path, options).expect("a store")
        };
        let fresh = time(&mut |round| drop(open("fresh", round, "one")));
        let kept = open("again", 0, "one");
        drop(kept.create(&support::start("a"), Box::new(drop)).expect("a run"));
        kept.commit();
        let again = time(&mut |_| drop(open("again", 0, "two")));
        drop(kept);
        let mut commits = 0;
        let cycle = time(&mut |round| {
            let store = open("cycle", round, "one");
            let (writer, _reports) = create(&store, "a");
            for entry in support::whole_run("a", 8) {
                writer.append(vec![entry]);
                store.commit();
            }
            commits = store.stats().commits;
            // A database in memory lives as long as somebody has it open.
            let kept = (vfs == "memdb").then(|| store.clone());
            drop((writer, store));
            let store = open("cycle", round, "two");
            drop(kept);
            let (synced, _reports) = support::reports();
            let resumed = store.resume_ended(&id("a"), synced).expect("it was given up");
            assert_eq!(store.read(&id("a")).expect("a run").count() as u64, resumed.entries());
            resumed.close().expect("it is durable");
        });
        json!({
            "open_make_tables_close_processor_us": fresh,
            "open_again_close_processor_us": again,
            "cycle_processor_us": cycle,
            "commits_in_a_cycle": commits,
        })
    };
    json!({
        "memdb": figures("memdb", Path::new("/bench")),
        "unix": figures("unix", directory),
    })
}

fn many_runs(directory: &Path) -> Value {
    let store = Store::open(directory).expect("a journal");
    std::thread::scope(|scope| {
        for part in 0..50 {
            let store = &store;
            scope.spawn(move || {
                for run in 0..200 {
                    drop(create(store, &format!("{part}-{run}")));
                }
            });
        }
    });
    let time = |look: &dyn Fn() -> usize| {
        let begin = Instant::now();
        assert_eq!(look(), 1);
        round(begin.elapsed().as_secs_f64() * 1000.0)
    };
    json!({
        "newest_20_ms": time(&|| store.runs(20).expect("a list").len() / 20),
        "latest_ms": time(&|| usize::from(store.find("latest").is_ok())),
        "find_id_ms": time(&|| usize::from(store.find("7-7").is_ok())),
        "find_prefix_ms": time(&|| usize::from(store.find("7-77").is_ok())),
    })
}
