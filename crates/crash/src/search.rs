//! Many seeds, one after the other.

use std::ops::Range;

/// What a search came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Seeds tried.
    pub cases: u64,
    /// Crashes, each followed by a recovery that was checked.
    pub crashes: u64,
}

/// Tries the seeds until one breaks a promise.
///
/// # Errors
/// The seed that did, what went before it, and what was broken.
pub fn search(
    seeds: Range<u64>,
    case: impl Fn(u64) -> Result<u64, String>,
) -> Result<Found, (u64, Found, String)> {
    let mut found = Found::default();
    for seed in seeds {
        match case(seed) {
            Ok(crashes) => {
                found.cases += 1;
                found.crashes += crashes;
            }
            Err(what) => return Err((seed, found, what)),
        }
    }
    Ok(found)
}
