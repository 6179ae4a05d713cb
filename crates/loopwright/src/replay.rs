//! A recorded run again, from its record alone: nothing is dispatched, every entry is made again and compared.

use crate::fixture::{Forgiving, Recording, rename};
use crate::resume::{interpreter, start_of};
use loopwright_engine::{Mismatch, Replayed};
use loopwright_interpreter::{GAS_PER_MS, Guests};
use loopwright_journal::Store;
use loopwright_protocol::{Entry, ProgramText};
use loopwright_types::{Code, Diagnostic, RunId};
use std::path::PathBuf;

/// Why a replay stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReplayError {
    /// The program does something else than its record says.
    #[error("{}", .0.diagnostic())]
    Mismatch(Box<Mismatch>),
    /// The record cannot be replayed: it is damaged, or was made by another interpreter.
    #[error("{0}")]
    Refused(Diagnostic),
}

impl From<Diagnostic> for ReplayError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Refused(diagnostic)
    }
}

impl ReplayError {
    /// As an error for people.
    pub fn diagnostic(&self) -> Diagnostic {
        match self {
            Self::Mismatch(mismatch) => mismatch.diagnostic(),
            Self::Refused(diagnostic) => diagnostic.clone(),
        }
    }
}

/// Replays a recorded run.
///
/// # Errors
/// When the record is damaged, was made by another interpreter, or the program does not match it.
pub fn replay_run(
    store: &Store,
    run: &RunId,
    cache_dir: Option<PathBuf>,
) -> Result<Replayed, ReplayError> {
    let start = start_of(store, run)?;
    let mut guests = Guests::new(interpreter(&start, cache_dir)?, &start.settings);
    let (store, run) = (store.clone(), run.clone());
    crate::execute::on_own_thread(move || {
        let mut damage = None;
        let read = store.read(&run).map_err(|error| error.diagnostic())?;
        let entries = read.map_while(|entry| match entry {
            Ok((_, entry)) => Some(entry),
            Err(error) => {
                damage = Some(error);
                None
            }
        });
        let replayed = loopwright_engine::replay(entries, &mut guests, GAS_PER_MS);
        let replayed = replayed.map_err(ReplayError::Mismatch)?;
        let Some(damage) = damage else { return Ok(replayed) };
        let mut told = damage.diagnostic();
        told.message = format!(
            "{}; the {} turns and {} calls before it replay the same",
            told.message, replayed.turns, replayed.calls
        );
        Err(told.into())
    })?
}

/// Holds a program as it is now against a recording: the same calls, in the same order, and the same end, a value or an
/// error. Where its file and its lines are and what it logs does not matter. Nothing is dispatched: subagents, tools and
/// people answer as they did.
///
/// # Errors
/// The first difference; when the recording was made by another interpreter.
pub fn replay_program(
    recording: Recording,
    program: ProgramText,
    cache_dir: Option<PathBuf>,
) -> Result<Replayed, ReplayError> {
    let mut entries = recording.entries;
    let Some(Entry::RunStarted(start)) = entries.first_mut() else {
        let message = "the recording has no first entry";
        return Err(Diagnostic::new(Code::JOURNAL_DAMAGED, message).into());
    };
    let was = std::mem::replace(&mut start.program, program);
    let name = start.program.name.clone();
    let guests = Guests::new(interpreter(start, cache_dir)?, &start.settings);
    rename(&mut entries, &was.name, &name);
    crate::execute::on_own_thread(move || {
        let mut guests = Forgiving::new(guests, &entries);
        let entries = entries.into_iter().filter(|entry| !matches!(entry, Entry::Logged(_)));
        loopwright_engine::replay(entries, &mut guests, GAS_PER_MS).map_err(ReplayError::Mismatch)
    })?
}
