//! The run's clock and what is drawn from it: ids and seeds.

use loopwright_types::{Micros, RunId};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall-clock time at its start, then steady: it never goes back while a run lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    epoch: Micros,
}

impl Clock {
    /// A clock that starts at the machine's time.
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = Micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
        Self { started: Instant::now(), epoch }
    }

    /// Microseconds since the Unix epoch.
    pub fn now(&self) -> Micros {
        let elapsed = self.started.elapsed().as_micros();
        self.epoch.after(Micros(u64::try_from(elapsed).unwrap_or(u64::MAX)))
    }
}

/// A number nobody can guess, from the process's own hash keys (the operating system's randomness).
pub(crate) fn draw() -> u64 {
    RandomState::new().hash_one(Instant::now())
}

/// A new run's id: UTC date and time, then four characters that nobody can guess and that differ between the runs of a
/// process, however many begin in a second. Sorts by creation.
pub(crate) fn run_id(now: Micros) -> RunId {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    static NEXT: OnceLock<AtomicU64> = OnceLock::new();
    let stamp = crate::view::timestamp(now);
    let digits: String = stamp.chars().filter(char::is_ascii_digit).take(14).collect();
    let (date, time) = digits.split_at(8);
    let next = NEXT.get_or_init(|| AtomicU64::new(draw()));
    // An odd factor maps the numbers of four characters onto each other: neighbours look unlike, none comes twice.
    let drawn = next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let tail: String =
        (0..4).map(|i| char::from(LETTERS[(drawn >> (5 * i)) as usize % LETTERS.len()])).collect();
    RunId::parse(&format!("{date}-{time}-{tail}")).expect("digits and lower-case letters fit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn run_ids_sort_by_creation_and_hold_the_date() {
        let id = |ms| run_id(Micros::from_millis(ms)).to_string();
        assert!(id(1_795_184_553_120).starts_with("20261120-142233-"));
        assert!(id(1_795_184_553_120) < id(1_795_184_554_120));
    }

    #[test]
    fn runs_that_begin_in_the_same_second_have_ids_of_their_own() {
        let ids: HashSet<_> =
            (0..20_000).map(|_| run_id(Micros::from_millis(1)).to_string()).collect();
        assert_eq!(ids.len(), 20_000);
    }
}
