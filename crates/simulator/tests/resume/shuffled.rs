//! The same program in another order of things: whatever order its work ends in, its journal makes it do the same again.

use crate::chaos::simulation_of;
use loopwright_engine::replay;
use loopwright_host::Guests;
use loopwright_protocol::{Entry, GuestStart, Record, RecordKind, TurnInput, TurnReport};
use loopwright_simulator::ScriptedGuests;
use loopwright_types::{Diagnostic, GuestId};

/// Guests whose calls are written down.
struct Watched {
    guests: ScriptedGuests,
    calls: Vec<(GuestId, Record)>,
}

impl Guests for Watched {
    fn start(&mut self, guest: GuestId, start: &GuestStart) -> Result<(), Diagnostic> {
        self.guests.start(guest, start)
    }

    fn turn(&mut self, guest: GuestId, input: &TurnInput) -> TurnReport {
        let report = self.guests.turn(guest, input);
        let calls = report.records.iter().filter(|it| matches!(it.kind, RecordKind::Call { .. }));
        self.calls.extend(calls.map(|record| (guest, record.clone())));
        report
    }

    fn end(&mut self, guest: GuestId) {
        self.guests.end(guest);
    }
}

/// The calls of a journal.
fn recorded(entries: &[Entry]) -> Vec<(GuestId, &str)> {
    let called = entries.iter().filter_map(|entry| match entry {
        Entry::Called(call) => Some((call.guest, call.request.text())),
        _ => None,
    });
    called.collect()
}

/// Runs the program of one seed under one timing and replays its journal twice; says how many calls there were.
fn try_timing(seed: u64, timing: u64) -> usize {
    let (mut simulation, guests) = simulation_of(seed);
    (simulation.setup.seed, simulation.setup.shuffled) = (timing, true);
    let run = simulation.run(&mut guests());
    let entries = &run.entries[..run.durable as usize];
    let again = || {
        let mut watched = Watched { guests: guests(), calls: Vec::new() };
        let replayed = replay(entries.to_vec(), &mut watched, 1);
        replayed.unwrap_or_else(|error| panic!("seed {seed}, {timing}: {}", error.diagnostic()));
        watched.calls
    };
    let (first, second) = (again(), again());
    assert_eq!(first, second, "seed {seed}, {timing}");
    let made: Vec<_> = first.iter().map(|(guest, call)| (*guest, call.json.text())).collect();
    let recorded = recorded(entries);
    // What the last turn of a run that was cut off did may not have reached the disk.
    assert_eq!(made.get(..recorded.len()), Some(&recorded[..]), "seed {seed}, {timing}");
    made.len()
}

#[test]
fn a_journal_makes_its_program_do_the_same_again_in_whatever_order_its_work_ended() {
    let long = std::env::var_os("LOOPWRIGHT_LONG").is_some();
    let seeds = if long { 10_000 } else { 500 };
    let calls: usize =
        (0..seeds).map(|seed| try_timing(seed, seed) + try_timing(seed, !seed)).sum();
    assert!(calls as u64 > seeds * 4, "{calls} calls of {seeds} programs");
}
