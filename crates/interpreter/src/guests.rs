//! The guests of one run, as the drive loop wants them: protocol forms on one side, the bridge on the other.

use crate::rest::Resting;
use crate::{
    Completion, CompletionStatus, Guest, Interpreter, Limits, MainState, Record, RecordKind,
    Source, Stop, TurnInput, TurnOutput,
};
use loopwright_protocol as protocol;
use loopwright_types::{Code, Diagnostic, GuestId, Settings, Slot};
use std::collections::HashMap;
use std::path::PathBuf;

/// All guests of one run. Driving it inside [`crate::run_on_big_stack`] saves a thread hop per turn.
pub struct Guests {
    interpreter: Interpreter,
    limits: Limits,
    guests: HashMap<GuestId, Guest>,
    resting: HashMap<GuestId, Resting>,
    rest_dir: Option<PathBuf>,
}

impl Guests {
    /// No guests yet; each will have the limits of the settings.
    pub fn new(interpreter: Interpreter, settings: &Settings) -> Self {
        Self {
            interpreter,
            limits: Limits::from_settings(settings),
            guests: HashMap::new(),
            resting: HashMap::new(),
            rest_dir: None,
        }
    }

    /// Where resting guests are kept: a directory on a disk. Without one, guests never rest.
    #[must_use]
    pub fn resting_in(mut self, dir: PathBuf) -> Self {
        self.rest_dir = Some(dir);
        self
    }

    /// Guests in memory and guests at rest.
    pub fn counts(&self) -> (usize, usize) {
        (self.guests.len(), self.resting.len())
    }

    fn wake(&mut self, id: GuestId) -> Result<(), Diagnostic> {
        let Some(resting) = self.resting.remove(&id) else { return Ok(()) };
        let guest = resting.wake(&self.interpreter, &self.limits);
        self.guests.insert(id, guest.map_err(|error| error.diagnostic())?);
        Ok(())
    }
}

impl loopwright_host::Guests for Guests {
    fn start(&mut self, id: GuestId, start: &protocol::GuestStart) -> Result<(), Diagnostic> {
        let mut guest = self.interpreter.guest(&self.limits).map_err(|error| error.diagnostic())?;
        guest.set_seed(start.seed);
        let program = &start.program;
        let source = Source {
            name: &program.name,
            code: &program.code,
            strict: program.strict,
            modules: program.modules.clone(),
            prefix_columns: program.prefix_columns,
        };
        guest.start(&source, start.config.text()).map_err(|stop| stop.diagnostic())?;
        self.guests.insert(id, guest);
        Ok(())
    }

    fn turn(&mut self, id: GuestId, input: &protocol::TurnInput) -> protocol::TurnReport {
        if let Err(stop) = self.wake(id) {
            let (stop, stop_is_external) = (Some(stop), true);
            return protocol::TurnReport { stop, stop_is_external, ..Default::default() };
        }
        let Some(guest) = self.guests.get_mut(&id) else {
            return broken(&format!("there is no guest `{id}`"));
        };
        let completions: Vec<Completion<'_>> = input.completions.iter().map(completion).collect();
        let turn = TurnInput {
            now: input.now,
            gas: input.gas,
            budget: input.budget,
            completions: &completions,
        };
        let report = match guest.turn(&turn) {
            Ok(output) => report(output),
            Err(stop) => Err(stop),
        };
        report.unwrap_or_else(|stop| protocol::TurnReport {
            stop_is_external: !stop.is_deterministic(),
            stop: Some(stop.diagnostic()),
            records: stop.logs.into_iter().filter_map(|log| record(log).ok()).collect(),
            ..protocol::TurnReport::default()
        })
    }

    fn end(&mut self, id: GuestId) {
        self.guests.remove(&id);
        self.resting.remove(&id);
    }

    fn rest(&mut self) {
        let Some(dir) = &self.rest_dir else { return };
        let resting = &mut self.resting;
        self.guests.retain(|id, guest| match Resting::keep(guest, dir) {
            Ok(kept) => {
                resting.insert(*id, kept);
                false
            }
            Err(_) => true, // it costs memory, nothing else
        });
    }
}

fn completion(completion: &protocol::Completion) -> Completion<'_> {
    Completion {
        slot: completion.slot,
        status: match completion.status {
            protocol::CompletionStatus::Failed => CompletionStatus::Failed,
            protocol::CompletionStatus::Done => CompletionStatus::Done,
            protocol::CompletionStatus::DoneTracked => CompletionStatus::DoneTracked,
        },
        json: completion.json.text().as_bytes(),
    }
}

fn report(output: TurnOutput) -> Result<protocol::TurnReport, Stop> {
    let records: Result<Vec<protocol::Record>, Stop> =
        output.records.into_iter().map(record).collect();
    Ok(protocol::TurnReport {
        records: records?,
        ticks: output.ticks,
        pending: output.pending,
        main: match output.main {
            MainState::Pending => protocol::MainState::Pending,
            MainState::Fulfilled => protocol::MainState::Fulfilled,
            MainState::Rejected => protocol::MainState::Rejected,
        },
        stop: None,
        stop_is_external: false,
    })
}

/// The guest's memory is hostile: what claims to be JSON is checked before anyone reads it.
fn record(record: Record) -> Result<protocol::Record, Stop> {
    let kind = match record.kind {
        RecordKind::Call { kind, bits } => {
            protocol::RecordKind::Call { slot: Slot(record.id), kind, bits: u32::from(bits) }
        }
        RecordKind::Log => protocol::RecordKind::Log,
        RecordKind::Unhandled => protocol::RecordKind::Unhandled,
        RecordKind::Result => protocol::RecordKind::Result,
        RecordKind::Error => protocol::RecordKind::Error,
        RecordKind::Note => protocol::RecordKind::Note,
    };
    let text = String::from_utf8(record.bytes.into_vec())
        .map_err(|error| Stop::trap(error.to_string()))?;
    let json = protocol::Json::parse(text).map_err(|error| Stop::trap(error.to_string()))?;
    let position = (record.position.line > 0).then_some(record.position);
    Ok(protocol::Record { kind, scope: record.scope, position, json })
}

fn broken(message: &str) -> protocol::TurnReport {
    protocol::TurnReport {
        stop: Some(Diagnostic::new(Code::GUEST_TRAP, message)),
        stop_is_external: true,
        ..protocol::TurnReport::default()
    }
}
