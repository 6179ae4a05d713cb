//! One file's bytes: what processes see, what survives, and the changes between the two.

use crate::random::Random;

/// What a disk writes whole, or not at all, on the kindest assumption.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// In the order in which they were made.
    pending: Vec<Change>,
}

fn write(to: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[at..end].copy_from_slice(bytes);
}

impl Content {
    /// A file that is durable as it is.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { seen: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.seen.len()
    }

    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Fills the buffer, with zeros behind the file's end; says how much was there.
    pub fn read(&self, at: usize, to: &mut [u8]) -> usize {
        let there = self.seen.get(at..).unwrap_or_default();
        let length = there.len().min(to.len());
        to[..length].copy_from_slice(&there[..length]);
        to[length..].fill(0);
        length
    }

    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        write(&mut self.seen, at, bytes);
        self.pending.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub fn resize(&mut self, length: usize) {
        self.seen.resize(length, 0);
        self.pending.push(Change::Resize(length));
    }

    /// Everything written is durable.
    pub fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that failed: what waited is kept or lost, now and for good, though processes go on seeing it.
    pub fn sync_badly(&mut self, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        lose(&pending, &mut self.durable, random);
    }

    /// The system ends; `power` loses what was not synced.
    pub fn crash(&mut self, power: bool, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        if power {
            lose(&pending, &mut self.durable, random);
        } else {
            self.durable.clone_from(&self.seen);
        }
        self.seen.clone_from(&self.durable);
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => write(to, *at, bytes),
            Self::Resize(length) => to.resize(*length, 0),
        }
    }

    /// A part of it reaches the disk.
    fn tear(&self, to: &mut Vec<u8>, random: &mut Random) {
        let Self::Write { at, bytes } = self else { return };
        // The length may be there before the bytes are: zeros, or what was on the disk before.
        let end = at + bytes.len();
        if to.len() < end && random.one_in(2) {
            let from = to.len();
            to.resize(end, 0);
            if random.one_in(4) {
                random.fill(&mut to[from..]);
            }
        }
        let sectors = || sectors(*at, bytes.len());
        match random.below(4) {
            0 => {
                let cut = random.below(bytes.len() + 1);
                write(to, *at, &bytes[..cut]);
            }
            1 => {
                let ends: Vec<usize> = sectors().map(|sector| sector.end).collect();
                write(to, *at, &bytes[..ends[random.below(ends.len())]]);
            }
            2 => sectors().filter(|_| random.one_in(2)).for_each(|sector| {
                write(to, at + sector.start, &bytes[sector.clone()]);
            }),
            _ => {
                let cut = random.below(bytes.len() + 1);
                write(to, at + cut, &bytes[cut..]);
            }
        }
    }
}

/// The parts of a write that lie in one sector each, as ranges of its bytes.
fn sectors(at: usize, length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        (from < length).then(|| {
            let end = length.min(from + SECTOR_BYTES - (at + from) % SECTOR_BYTES);
            let sector = from..end;
            from = end;
            sector
        })
    })
}

/// Writes that were not synced meet a power failure.
fn lose(pending: &[Change], durable: &mut Vec<u8>, random: &mut Random) {
    match random.below(6) {
        0 => {}
        1 => pending.iter().for_each(|change| change.apply(durable)),
        2 | 3 => {
            let kept = random.below(pending.len() + 1);
            pending[..kept].iter().for_each(|change| change.apply(durable));
            if let Some(torn) = pending.get(kept) {
                torn.tear(durable, random);
            }
        }
        // In any order: a later write may be there and an earlier one not.
        _ => {
            for change in pending {
                match random.below(4) {
                    0 | 1 => change.apply(durable),
                    2 => change.tear(durable, random),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_was_synced_survives_and_what_was_not_is_kept_dropped_or_torn() {
        let mut found = BTreeSet::new();
        for seed in 0..2000 {
            let mut content = Content::default();
            content.write(0, &[1; 1024]);
            content.sync();
            content.write(256, &[2; 1024]);
            content.crash(true, &mut Random::new(seed));
            let bytes = content.seen();
            assert_eq!(bytes[..256], [1; 256], "seed {seed}: synced, and not written since");
            let of = |range: std::ops::Range<usize>, value| {
                bytes.get(range).is_some_and(|part| part.iter().all(|byte| *byte == value))
            };
            found.insert(match () {
                () if bytes.len() == 1024 && of(256..1024, 1) => "dropped",
                () if of(256..1280, 2) => "kept",
                () if of(256..512, 2) && of(512..1024, 1) => "torn at a sector",
                () if of(256..512, 1) && of(512..1024, 2) => "torn the other way round",
                () if bytes[256..].windows(2).filter(|two| two[0] != two[1]).count() <= 1 => "torn",
                () => "in pieces",
            });
        }
        let all = [
            "dropped",
            "in pieces",
            "kept",
            "torn",
            "torn at a sector",
            "torn the other way round",
        ];
        assert_eq!(found, BTreeSet::from(all));
    }

    #[test]
    fn a_later_write_may_survive_an_earlier_one() {
        let mut reordered = 0;
        for seed in 0..500 {
            let mut content = Content::of(vec![0; 1024]);
            content.write(0, &[1; 512]);
            content.write(512, &[2; 512]);
            content.crash(true, &mut Random::new(seed));
            reordered +=
                u32::from(content.seen()[..512] == [0; 512] && content.seen()[512..] == [2; 512]);
        }
        assert!(reordered > 10, "{reordered}");
    }

    #[test]
    fn a_kill_loses_nothing_and_a_failed_sync_may_lose_for_good() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut random = Random::new(seed);
            let mut content = Content::default();
            content.write(3, b"abc");
            content.crash(false, &mut random);
            assert_eq!(content.seen(), b"\0\0\0abc");
            content.write(0, b"xyz");
            content.sync_badly(&mut random);
            content.write(6, b"!");
            content.sync();
            assert_eq!(content.seen(), b"xyzabc!");
            content.crash(true, &mut random);
            assert_eq!(content.seen()[3..], *b"abc!");
            lost += u32::from(&content.seen()[..3] == b"\0\0\0");
        }
        assert!(lost > 10, "{lost}");
    }

    #[test]
    fn a_torn_write_is_cut_where_sectors_meet() {
        let all: Vec<_> = sectors(500, 1100).collect();
        assert_eq!(all, [0..12, 12..524, 524..1036, 1036..1100]);
    }
}
