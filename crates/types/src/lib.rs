//! Ids, units, limits, settings and plain values shared by every room.
//! No async, no I/O, no clock: anything that reads the world lives in `host` implementations.

mod address; // which addresses are public
mod bug; // bugs put in on purpose, for the crash search to find
mod codes; // every error code with its title
mod diagnostic; // an error an author can act on
mod failure; // why a call gave the program nothing
mod id; // run, call, attempt, guest, digest
mod settings; // every named setting, its default and its range
mod usage; // tokens and money

pub use address::is_public_address;
pub use bug::Bug;
pub use codes::{CODES, Code};
pub use diagnostic::{Diagnostic, Location};
pub use failure::{Failure, FailureClass, Reason};
pub use id::{Attempt, CallId, Digest, GuestId, Micros, Position, RunId, ScopeId, Slot, TurnId};
pub use settings::{SETTINGS, Setting, SettingError, SettingKind, SettingValue, Settings};
pub use usage::{Effects, RunStatus, Usage};
