//! Recordings of runs as tests of their programs.

use loopwright_host::Guests;
use loopwright_journal::{Error, Store};
use loopwright_protocol::{
    Entry, GuestStart, Json, ProgramText, RecordKind, RunStart, TurnInput, TurnReport,
};
use loopwright_types::{Diagnostic, GuestId, Position, RunId};
use std::collections::{HashMap, VecDeque};
use std::path::Path;

/// A run's entries, in memory.
#[derive(Clone, Debug)]
pub struct Recording {
    /// In their order; never empty.
    pub(crate) entries: Vec<Entry>,
}

impl Recording {
    /// Reads an exported run.
    ///
    /// # Errors
    /// When the file is damaged, of a newer version or cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let mut entries = Vec::new();
        loopwright_journal::read_export(path, |entry| entries.push(entry))?;
        Ok(Self { entries })
    }

    /// Reads a recorded run.
    ///
    /// # Errors
    /// When there is no such run or it is damaged.
    pub fn of_run(store: &Store, run: &RunId) -> Result<Self, Error> {
        let entries = store.read(run)?.map(|entry| Ok(entry?.1)).collect::<Result<_, Error>>()?;
        Ok(Self { entries })
    }

    /// What the run was started with; nothing in a recording without entries.
    pub fn start(&self) -> Option<&RunStart> {
        match self.entries.first() {
            Some(Entry::RunStarted(start)) => Some(start),
            _ => None,
        }
    }
}

/// A program's text as a run pins it, its libraries with it. `name` is the file as the author named it.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn program_text(
    workspace: &Path,
    path: &Path,
    name: &str,
) -> Result<ProgramText, loopwright_program::Report> {
    crate::modules::load(workspace, path, name).map(|(_, text)| text)
}

/// Guests that are forgiven where their program's lines are, and what it logs.
pub(crate) struct Forgiving<G> {
    guests: G,
    /// Calls as they were recorded: request and place.
    calls: HashMap<GuestId, VecDeque<(Json, Option<Position>)>>,
}

impl<G: Guests> Forgiving<G> {
    pub fn new(guests: G, entries: &[Entry]) -> Self {
        let mut calls: HashMap<GuestId, VecDeque<_>> = HashMap::new();
        for entry in entries {
            if let Entry::Called(call) = entry {
                let recorded = (call.request.clone(), call.position);
                calls.entry(call.guest).or_default().push_back(recorded);
            }
        }
        Self { guests, calls }
    }
}

impl<G: Guests> Guests for Forgiving<G> {
    fn start(&mut self, guest: GuestId, start: &GuestStart) -> Result<(), Diagnostic> {
        self.guests.start(guest, start)
    }

    fn turn(&mut self, guest: GuestId, input: &TurnInput) -> TurnReport {
        let mut report = self.guests.turn(guest, input);
        report.records.retain(|record| record.kind != RecordKind::Log);
        let recorded = self.calls.entry(guest).or_default();
        for record in &mut report.records {
            if matches!(record.kind, RecordKind::Call { .. })
                && let Some((request, position)) = recorded.pop_front()
                && request == record.json
            {
                record.position = position;
            }
        }
        report
    }

    fn end(&mut self, guest: GuestId) {
        self.guests.end(guest);
    }
}
