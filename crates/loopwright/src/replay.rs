//! A recorded run again, from its record alone: nothing is dispatched, every call and the value are compared.

use loopwright_engine::Replayed;
use loopwright_interpreter::{GAS_PER_MS, Guests, Interpreter};
use loopwright_journal::Store;
use loopwright_protocol::Entry;
use loopwright_types::{Code, Diagnostic, RunId};
use std::path::PathBuf;

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReplayError(pub Diagnostic);

/// Replays a recorded run.
///
/// # Errors
/// When the record is damaged, was made by another interpreter, or the program does not match it.
pub fn replay_run(
    store: &Store,
    run: &RunId,
    cache_dir: Option<PathBuf>,
) -> Result<Replayed, ReplayError> {
    let entries = store.read(run).map_err(|error| ReplayError(error.diagnostic()))?;
    let mut read = Vec::new();
    for entry in entries {
        let (_, entry) = entry.map_err(|error| ReplayError(error.diagnostic()))?;
        read.push(entry);
    }
    let Some(Entry::RunStarted(start)) = read.first() else {
        let message = format!("run `{run}` has no first entry");
        return Err(ReplayError(Diagnostic::new(Code::JOURNAL_DAMAGED, message)));
    };
    let options = loopwright_interpreter::Options { cache_dir, ..Default::default() };
    let interpreter = Interpreter::new(options).map_err(|error| ReplayError(error.diagnostic()))?;
    if interpreter.hash() != start.interpreter {
        let message = format!("run `{run}` was made by another version of the interpreter");
        let hint = format!("replay it with Loopwright {}", start.version);
        return Err(ReplayError(Diagnostic::new(Code::JOURNAL_MISMATCH, message).hint(hint)));
    }
    let mut guests = Guests::new(interpreter, &start.settings);
    loopwright_engine::replay(read, &mut guests, GAS_PER_MS)
        .map_err(|mismatch| ReplayError(mismatch.diagnostic()))
}
