//! The machine's clock, which a run's clock starts with.

use loopwright::types::Micros;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, since 1970.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
