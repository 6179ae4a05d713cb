//! Entries as a run writes them, and a store in a directory of its own.
#![allow(dead_code)] // each test file uses a part of it

use loopwright_journal::{Error, Store, Synced, Writer};
use loopwright_protocol::{
    CallEntry, CallKind, EndEntry, Entry, Json, Outcome, ProgramText, RunFinish, RunStart,
    SettleEntry, StartEntry, TurnEntry,
};
use loopwright_types::{
    Attempt, CallId, Code, Digest, Failure, GuestId, Micros, Position, Reason, RunId, RunStatus,
    ScopeId, Settings, Slot, TurnId, Usage,
};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};

pub fn id(text: &str) -> RunId {
    RunId::parse(text).unwrap()
}

pub fn start(run: &str) -> RunStart {
    let source = "export default 1\n".to_owned();
    RunStart {
        run: id(run),
        now: Micros(1_000_000),
        version: "0.1.0".to_owned(),
        interpreter: Digest::of(b"guest"),
        program: ProgramText {
            name: "count.ts".to_owned(),
            digest: Digest::of(source.as_bytes()),
            code: source.clone(),
            source,
            strict: true,
            prefix_columns: 0,
            modules: Vec::new(),
            meta: None,
        },
        args: None,
        settings: Settings::default(),
        seed: 7,
        subagents: Vec::new(),
        tools: vec![loopwright_protocol::Tool::reading("ls")],
        models: Default::default(),
        model: None,
        agents_dir: None,
        rehearsal: false,
        from: None,
        workspace: "/workspace".to_owned(),
    }
}

pub fn started(run: &str) -> Entry {
    Entry::RunStarted(Box::new(start(run)))
}

pub fn called(call: u32) -> Entry {
    let request = serde_json::json!({
        "prompt": format!("Read file {call} and say in one sentence what it is for."),
        "subagent": "reader",
        "schema": {"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"]},
    });
    Entry::Called(Box::new(CallEntry {
        call: CallId(call),
        guest: GuestId(0),
        turn: TurnId(call / 32),
        now: Micros(1_500_000),
        due: None,
        slot: Slot(call),
        kind: CallKind::Task,
        bits: 0,
        scope: ScopeId(0),
        position: Some(Position { line: 12, column: 20 }),
        phase: Some("read".to_owned()),
        subagent: Some("reader".to_owned()),
        digest: Digest::of(&call.to_le_bytes()),
        request: Json::of(&request),
    }))
}

pub fn attempt(call: u32) -> Entry {
    Entry::AttemptStarted(StartEntry {
        call: CallId(call),
        attempt: Attempt(1),
        now: Micros(2_000_000),
        subagent: None,
        effects: None,
        ahead: false,
        reask: false,
        key: None,
        looks_up: None,
    })
}

pub fn settled(call: u32, fallback: bool) -> Entry {
    let answer =
        serde_json::json!({"summary": format!("File {call} holds the settings of the service.")});
    Entry::Settled(Box::new(SettleEntry {
        call: CallId(call),
        now: Micros(3_000_000),
        outcome: Outcome::Done(Json::of(&answer)),
        attempts: 1,
        attempt: Some(Attempt(1)),
        usage: Usage { input_tokens: 120, output_tokens: 30, usd_micros: 5, ..Usage::default() },
        started: Some(Micros(2_000_000)),
        fallback,
        subagent: None,
        hidden: None,
        salvage: None,
        worktree: None,
        reused: None,
    }))
}

pub fn failed(call: u32) -> Entry {
    let failure = Failure::new(Reason::Provider, Code::COMMAND_FAILED, "`worker` ended with 3");
    Entry::Settled(Box::new(SettleEntry {
        call: CallId(call),
        now: Micros(3_000_000),
        outcome: Outcome::Failed(failure),
        attempts: 3,
        attempt: Some(Attempt(3)),
        usage: Usage::default(),
        started: Some(Micros(2_000_000)),
        fallback: false,
        subagent: None,
        hidden: None,
        salvage: None,
        worktree: None,
        reused: None,
    }))
}

pub fn ended(call: u32) -> Entry {
    Entry::AttemptEnded(EndEntry {
        call: CallId(call),
        attempt: Attempt(1),
        now: Micros(2_500_000),
        outcome: Outcome::Done(Json::null()),
        usage: Usage::default(),
        retry_at: None,
        answer: None,
    })
}

pub fn turn(turn: u32) -> Entry {
    Entry::Turn(TurnEntry {
        turn: TurnId(turn),
        guest: GuestId(0),
        now: Micros(2_000_000),
        budget: [Some(0.0), None, Some(0.0), None, Some(0.0), None],
        settled: vec![CallId(turn)],
    })
}

pub fn finished(result: &str, tasks: u32, done: u32) -> Entry {
    Entry::RunFinished(Box::new(RunFinish {
        now: Micros(9_000_000),
        status: RunStatus::Complete,
        result: Some(Json::parse(result.to_owned()).unwrap()),
        error: None,
        external: false,
        failures: Vec::new(),
        usage: Usage { input_tokens: 240, output_tokens: 60, usd_micros: 10, ..Usage::default() },
        tasks,
        done,
    }))
}

/// A last entry that says no more than this.
pub fn end(status: RunStatus) -> Entry {
    let Entry::RunFinished(finish) = finished("null", 0, 0) else { unreachable!() };
    Entry::RunFinished(Box::new(RunFinish { status, result: None, ..*finish }))
}

pub fn parked() -> Entry {
    end(RunStatus::Parked)
}

/// A whole small run: `tasks` tasks, each called, attempted and settled.
pub fn whole_run(run: &str, tasks: u32) -> Vec<Entry> {
    let mut entries = vec![started(run), turn(0)];
    entries.extend((0..tasks).map(called));
    for call in 0..tasks {
        entries.extend([attempt(call), settled(call, false), turn(call + 1)]);
    }
    entries.push(finished("{\"ok\":true}", tasks, tasks));
    entries
}

pub type Reports = Receiver<Result<u64, Error>>;

/// A callback that passes reports on.
pub fn reports() -> (Synced, Reports) {
    let (sender, receiver) = mpsc::channel();
    (Box::new(move |report| drop(sender.send(report))), receiver)
}

pub fn create(store: &Store, run: &str) -> (Writer, Reports) {
    let (synced, reports) = reports();
    (store.create(&start(run), synced).unwrap(), reports)
}

/// Records the entries as a run that was closed in order.
pub fn record(store: &Store, run: &str, entries: &[Entry]) {
    let (writer, _reports) = create(store, run);
    for entries in entries.chunks(7) {
        writer.append(entries.to_vec());
    }
    writer.close().unwrap();
}

pub fn read(store: &Store, run: &str) -> Result<Vec<Entry>, Error> {
    let entries = store.read(&id(run))?.enumerate().map(|(expected, found)| {
        let (place, entry) = found?;
        assert_eq!(place, expected as u64);
        Ok(entry)
    });
    entries.collect()
}

/// Numbers that look random and are the same in each run of a test.
pub struct Draw(pub u64);

impl Draw {
    pub fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Says to a test binary that it is a child of one of its tests, and what to do.
const JOB: &str = "LOOPWRIGHT_JOURNAL_TEST_JOB";

/// This test binary again, to run nothing but the test `child`, which finds `job` there; made by a shell
/// that has run the lines of `script` before.
pub fn child_after(script: &str, job: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("set -e\n{script}\nexec \"$0\" \"$@\"")]);
    with_job(command, job)
}

/// The same in a set of mounts of its own, which ends with it.
pub fn child_in_mounts(script: &str, job: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("set -e\n{script}\nexec \"$0\" \"$@\"")]);
    with_job(command, job)
}

fn with_job(mut command: Command, job: &str) -> Command {
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(JOB, job);
    command
}

/// The words of the job, in a child; in the parent there are none.
pub fn job() -> Vec<String> {
    let job = std::env::var(JOB).unwrap_or_default();
    job.split_whitespace().map(str::to_owned).collect()
}

/// Whether a test may mount file systems; says why not.
pub fn can_mount() -> bool {
    let script = "unshare -m sh -c 'mount -t tmpfs -o size=1m tmpfs /tmp' 2>&1";
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    if !output.status.success() {
        println!("skipped: cannot mount here: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    output.status.success()
}
