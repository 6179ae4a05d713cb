//! Seeded draws: the same run, call and attempt always wait the same time.

use loopwright_types::{Attempt, CallId, Micros};

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): one step of the generator, used as a hash.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The wait before the attempt after `failed`: even from zero to `base` doubled per failure, capped
/// ("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
pub(crate) fn backoff(
    seed: u64,
    call: CallId,
    failed: Attempt,
    base: Micros,
    longest: Micros,
) -> Micros {
    let doublings = failed.0.saturating_sub(1).min(40);
    let ceiling = base.0.saturating_mul(1 << doublings).min(longest.0);
    let draw = mix(seed ^ mix((u64::from(call.0) << 32) | u64::from(failed.0)));
    Micros(((u128::from(draw) * (u128::from(ceiling) + 1)) >> 64) as u64)
}

/// A guest's own seed.
pub(crate) fn guest_seed(seed: u64, guest: u32) -> u64 {
    mix(seed ^ mix(u64::from(guest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_stays_below_its_doubling_ceiling_and_spreads() {
        let (base, longest) = (Micros::from_millis(500), Micros::from_millis(4000));
        for (failed, ceiling_ms) in [(1, 500), (2, 1000), (3, 2000), (4, 4000), (50, 4000)] {
            let draw = |call| backoff(7, CallId(call), Attempt(failed), base, longest).as_millis();
            let draws: Vec<u64> = (0..2000).map(draw).collect();
            let mean = draws.iter().sum::<u64>() / 2000;
            assert!(draws.iter().all(|wait| *wait <= ceiling_ms), "attempt {failed}");
            assert!(
                mean.abs_diff(ceiling_ms / 2) < ceiling_ms / 20,
                "attempt {failed}: mean {mean}"
            );
        }
    }
}
