//! How fast a journal is read back, printed as one JSON object: replay in entries a second, and a run with ten thousand
//! finished tasks from its journal to its first new call. `--short` takes a small share.

use loopwright_engine::{Engine, drive_resumed, replay};
use loopwright_host::RunHost;
use loopwright_protocol::{Command, Entry, Event};
use loopwright_simulator::{Plan, Random, ScriptedGuests, Simulation, Step, program};
use loopwright_types::{Code, Diagnostic, Micros};
use serde_json::json;
use std::time::Instant;

/// So many waves of a hundred tasks.
fn script(waves: usize) -> Step {
    let task =
        |i: usize| Step::task(&format!("Read file {i} and say in one sentence what it is for."));
    let wave = |wave: usize| Step::all((0..100).map(|i| task(wave * 100 + i)));
    Step::Seq((0..waves).map(wave).collect())
}

fn guests(waves: usize) -> ScriptedGuests {
    ScriptedGuests::new().with("main", script(waves))
}

fn journal(waves: usize) -> Vec<Entry> {
    let plans = |_: &loopwright_protocol::Dispatch, random: &mut Random| {
        Plan::done("It holds the settings of the service.").after_ms(random.below(50))
    };
    let simulation = Simulation::new(program("main"), 1).set("run.tasks_max", "1000000");
    let simulation = simulation.set("run.calls_max", "10000000").plans(plans);
    simulation.setup(|setup| setup.events_max = u64::MAX).run(&mut guests(waves)).entries
}

/// Stops at the first dispatch.
struct FirstCall {
    appended: u64,
    told: u64,
    now: Micros,
}

impl RunHost for FirstCall {
    fn submit(&mut self, commands: &mut Vec<Command>) -> Result<(), Diagnostic> {
        for command in commands.drain(..) {
            match command {
                Command::Append(_) => self.appended += 1,
                Command::Dispatch(_) => {
                    return Err(Diagnostic::new(Code::CANCELLED, "there it is"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn now(&self) -> Micros {
        self.now
    }

    fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnostic> {
        assert!(self.appended > self.told, "nothing more can happen");
        self.told = self.appended;
        events.push(Event::Synced { count: self.appended, now: self.now });
        Ok(())
    }
}

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kb.unwrap_or_default() / 1024.0
}

fn main() {
    let short = std::env::args().any(|argument| argument == "--short");
    // The tasks of a tenth of the last wave are still to be done.
    let waves = if short { 10 } else { 101 };
    let mut entries = journal(waves);
    let half = entries.iter().rposition(|entry| matches!(entry, Entry::Turn(_))).unwrap_or(0);
    let last_wave = entries[..half].iter().rposition(|entry| matches!(entry, Entry::Turn(_)));
    entries.truncate(last_wave.unwrap_or(half));
    let began = Instant::now();
    let mut own = guests(waves);
    let read = entries.len();
    let mut engine = Engine::resume(entries, &mut own, 1).expect("its own journal");
    let now = Micros(loopwright_simulator::START.0 * 2);
    let mut host = FirstCall { appended: read as u64, told: read as u64, now };
    let stopped = drive_resumed(&mut engine, &mut host, &mut own, now, &mut |_| {});
    assert!(stopped.is_err_and(|why| why.message == "there it is"), "a call goes out");
    let first_call_ms = began.elapsed().as_secs_f64() * 1e3;
    drop((engine, own));

    let waves = if short { 20 } else { 3300 };
    // As from a disk: each entry is decoded when it is its turn, and none is kept.
    let stored: Vec<u8> = {
        let mut bytes = Vec::new();
        for entry in journal(waves) {
            let entry = entry.encode();
            bytes.extend_from_slice(&(entry.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&entry);
        }
        bytes
    };
    let (mut at, mut count) = (0, 0_u64);
    let entries = std::iter::from_fn(|| {
        let (head, rest) = stored.get(at..)?.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*head) as usize;
        at += 4 + length;
        count += 1;
        Some(Entry::decode(&rest[..length]).expect("an entry"))
    });
    let began = Instant::now();
    let replayed = replay(entries, &mut guests(waves), 1).expect("its own journal");
    let seconds = began.elapsed().as_secs_f64();
    let report = json!({
        "resume": { "entries": read, "first_new_call_ms": first_call_ms, "target_ms": 300 },
        "replay": {
            "entries": count,
            "calls": replayed.calls,
            "seconds": seconds,
            "entries_per_s": count as f64 / seconds,
            "target_entries_per_s": 100_000,
            "journal_mb": stored.len() as f64 / 1e6,
            "peak_mb_with_journal_and_simulation": peak_mb(),
        },
    });
    println!("{report:#}");
}
