//! Entries that differ from each other, small and large.

use loopwright_protocol::{
    CallEntry, CallKind, Entry, Json, LogEntry, Outcome, ProgramText, RunStart, SettleEntry,
};
use loopwright_simulator::Random;
use loopwright_types::{
    CallId, Digest, GuestId, Micros, RunId, ScopeId, Settings, Slot, TurnId, Usage,
};

/// A run's inputs.
pub(crate) fn start(run: &RunId, now: Micros) -> RunStart {
    RunStart {
        run: run.clone(),
        now,
        version: "0".to_owned(),
        interpreter: Digest::of(b"none"),
        program: ProgramText {
            name: "crash.ts".to_owned(),
            source: String::new(),
            digest: Digest::of(b""),
            code: String::new(),
            strict: true,
            prefix_columns: 0,
            modules: Vec::new(),
            meta: None,
        },
        args: None,
        settings: Settings::default(),
        seed: 1,
        subagents: Vec::new(),
        tools: Vec::new(),
        models: Default::default(),
        model: None,
        agents_dir: None,
        rehearsal: false,
        from: None,
        workspace: "/w".to_owned(),
    }
}

/// The entry that a run has at this place. Large values come from a few, so that runs share them.
pub(crate) fn entry(run: &RunId, place: u64, random: &mut Random) -> Entry {
    let now = Micros(place);
    let call = CallId(u32::try_from(place / 2).unwrap_or(u32::MAX));
    match random.below(5) {
        0 | 1 => {
            let (level, mut text) = ("log".to_owned(), format!("{run} {place} "));
            text.push_str(&"-".repeat(random.below(200) as usize));
            Entry::Logged(LogEntry { guest: GuestId(0), now, level, text, position: None })
        }
        2 => Entry::Called(Box::new(CallEntry {
            call,
            now,
            due: None,
            guest: GuestId(0),
            turn: TurnId(0),
            slot: Slot(call.0),
            kind: CallKind::Task,
            bits: 0,
            scope: ScopeId(0),
            position: None,
            phase: None,
            subagent: None,
            request: Json::of(&format!("{run} {place}")),
            digest: Digest::of(&place.to_le_bytes()),
        })),
        _ => {
            let large = "v".repeat(300 + 700 * random.below(4) as usize);
            let value = if random.chance(0.5) { large } else { format!("{run} {place}") };
            Entry::Settled(Box::new(SettleEntry {
                call,
                now,
                outcome: Outcome::Done(Json::of(&value)),
                attempts: 1,
                attempt: None,
                subagent: None,
                usage: Usage { input_tokens: place, ..Usage::default() },
                started: None,
                fallback: false,
                hidden: None,
                salvage: None,
                worktree: None,
                reused: None,
            }))
        }
    }
}
