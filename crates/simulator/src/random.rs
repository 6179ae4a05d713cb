//! Seeded draws for plans and orders.

/// A SplitMix64 generator (Steele, Lea, Flood, OOPSLA 2014): the same seed draws the same on every machine.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator of its own for each seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Self { state: seed };
        random.bits(); // neighbouring seeds differ in few bits until they are mixed once
        random
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A whole number from 0 to `end`, without `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A number from 0 to 1, without 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// An exponentially distributed number with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A generator that draws independently of this one, for each label another.
    pub fn fork(&self, label: u64) -> Self {
        let mut mixed = Self::new(self.state ^ label.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self::new(mixed.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_exponential_ones_have_their_mean() {
        let mut random = Random::new(7);
        let n = 100_000;
        let mean = (0..n).map(|_| random.exponential(3.0)).sum::<f64>() / f64::from(n);
        assert!((mean - 3.0).abs() < 0.05, "{mean}");
        let mut counts = [0; 8];
        (0..n).for_each(|_| counts[random.below(8) as usize] += 1);
        assert!(counts.iter().all(|count| (12_000..13_000).contains(count)), "{counts:?}");
    }

    #[test]
    fn forks_of_neighbouring_labels_do_not_repeat_each_other() {
        let base = Random::new(1);
        let first: Vec<u64> = (0..1000).map(|label| base.fork(label).bits()).collect();
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), first.len());
    }
}
