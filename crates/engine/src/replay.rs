//! Re-execution of a journalled run from its journal alone: the guests run again, turn by turn, with the recorded
//! clock, budget figures and completions; every entry is made again and held against the record. Nothing is
//! dispatched.

use crate::resume::{Mismatch, Replayed, Resume, ResumeError};
use loopwright_host::Guests;
use loopwright_protocol::Entry;

/// Replays the entries of one run in their order. `gas_per_ms` is the interpreter's calibration.
///
/// # Errors
/// The first difference between what the program does and what the journal has.
pub fn replay(
    entries: impl IntoIterator<Item = Entry>,
    guests: &mut dyn Guests,
    gas_per_ms: u64,
) -> Result<Replayed, Box<Mismatch>> {
    let mut reading = Resume::reading(guests, gas_per_ms);
    let as_mismatch = |error| match error {
        ResumeError::Mismatch(mismatch) => mismatch,
        ResumeError::Refused(why) => Box::new(Mismatch {
            call: None,
            place: None,
            recorded: "a guest that runs".to_owned(),
            replayed: why.to_string(),
        }),
    };
    for entry in entries {
        reading.entry(entry).map_err(as_mismatch)?;
    }
    // A run that was killed or stopped from outside may have lost what its last turn did.
    reading.surplus().map_or_else(|| Ok(reading.replayed()), Err)
}
