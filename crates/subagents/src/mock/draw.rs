//! Hashes and random numbers that are the same on every machine and in every version: recorded runs depend on them.

/// A stream of evenly distributed numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 up to but not including 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 up to but not including `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    pub(crate) fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len() as u64) as usize]
    }
}

/// A hash of parts that are kept apart by their lengths. Not made to resist collisions on purpose.
pub(crate) fn hash(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut state = mix(seed ^ 0x2545_f491_4f6c_dd1d);
    for part in parts {
        state = fold(state ^ part.len() as u64, 0xa076_1d64_78bd_642f);
        let (words, rest) = part.as_chunks::<8>();
        for word in words {
            state = fold(state ^ u64::from_le_bytes(*word), 0xe703_7ed1_a0b4_28db);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        state = fold(state ^ u64::from_le_bytes(last), 0x8ebc_6af0_9c88_c6e3);
    }
    mix(state)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // The sum keeps a state of zero from staying zero.
    ((product >> 64) as u64 ^ product as u64).wrapping_add(0x9e37_79b9_7f4a_7c15)
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_hashes_never_change() {
        let mut draw = Draw::new(1);
        assert_eq!([draw.draw(), draw.draw()], [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67]);
        expect_test::expect!["82e5fa944a19ada5"]
            .assert_eq(&format!("{:016x}", hash(1, &[b"prompt"])));
    }

    #[test]
    fn hashes_keep_parts_apart() {
        let hashes = [
            hash(1, &[b"ab", b"c"]),
            hash(1, &[b"a", b"bc"]),
            hash(1, &[b"abc"]),
            hash(1, &[b"abc", b""]),
            hash(1, &[b"abc\0"]),
            hash(2, &[b"abc"]),
            hash(1, &[b"a longer text than eight bytes"]),
            hash(1, &[b"a longer text than eight byteS"]),
        ];
        let unique: std::collections::HashSet<_> = hashes.into_iter().collect();
        assert_eq!(unique.len(), hashes.len());
    }

    #[test]
    fn draws_stay_in_their_range_and_fill_it() {
        let mut draw = Draw::new(7);
        let mut seen = [0; 10];
        for _ in 0..10_000 {
            seen[draw.below(10) as usize] += 1;
            assert!((0.0..1.0).contains(&draw.fraction()));
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
    }
}
