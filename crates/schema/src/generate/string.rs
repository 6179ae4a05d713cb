//! Strings: listed words by default, else by format, pattern and length.

use super::{Maker, Set, format, pattern};
use crate::shape::{PatternId, Range};

/// Words that made-up texts consist of.
const WORDS: [&str; 32] = [
    "amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "harbor", "inlet", "jetty",
    "kelp", "lagoon", "meadow", "north", "orchard", "pebble", "quarry", "ridge", "slate", "tundra",
    "upland", "valley", "willow", "yarrow", "zenith", "brook", "cliff", "dune", "estuary", "fern",
    "glacier", "heath",
];
/// Longest text made when only a least length is given beyond it.
const LENGTH_MAX: u64 = 1 << 16;
/// Characters of a required length that weigh as much as one value.
const TEXT_PER_VALUE: u64 = 32;
/// Tries at a text that fits pattern and length together.
const TRIES: u32 = 12;

impl Maker<'_, '_> {
    /// A text for the set.
    pub(super) fn string(&mut self, set: &Set<'_>) -> Option<String> {
        let length = set.iter().fold(Range::default(), |range, node| range.and(node.length));
        if length.is_empty() || length.min > LENGTH_MAX {
            return None;
        }
        // Long texts count as many values, so that the size of a candidate is bounded.
        self.left = self.left.checked_sub(u32::try_from(length.min / TEXT_PER_VALUE).ok()?)?;
        let patterns: Vec<PatternId> = set.iter().filter_map(|node| node.pattern).collect();
        let formats: Vec<&str> = set.iter().filter_map(|node| node.format.as_deref()).collect();
        if patterns.is_empty() && formats.is_empty() {
            return Some(self.words(length));
        }
        for attempt in 0..TRIES {
            let text = match (patterns.first(), formats.first()) {
                (Some(first), _) => self.matching(*first, length, attempt)?,
                (None, Some(name)) => match format::sample(name, self.random) {
                    Some(text) => text,
                    None => self.words(length), // an unknown format allows anything
                },
                (None, None) => return None,
            };
            let fits = length.holds(text.chars().count())
                && patterns.iter().all(|id| self.shape.patterns[*id].regex.is_match(&text));
            if fits {
                return Some(text);
            }
        }
        None
    }

    /// Whether a text keeps to the lengths and patterns of the set.
    pub(super) fn text_fits(&self, set: &Set<'_>, text: &str) -> bool {
        set.iter().all(|node| {
            let matches =
                node.pattern.is_none_or(|id| self.shape.patterns[id].regex.is_match(text));
            matches && node.length.holds(text.chars().count())
        })
    }

    /// A few words, cut or continued to fit the length.
    pub(super) fn words(&mut self, length: Range) -> String {
        let mut text = String::new();
        let wanted = 1 + self.below(3);
        for i in 0.. {
            let enough = i >= wanted && text.len() as u64 >= length.min;
            if enough || length.max.is_some_and(|max| text.len() as u64 >= max) {
                break;
            }
            if i > 0 {
                text.push(' ');
            }
            text.push_str(self.pick(&WORDS).copied().unwrap_or("word"));
        }
        if let Some(max) = length.max {
            text.truncate(usize::try_from(max).unwrap_or(usize::MAX)); // words are ASCII
        }
        text
    }

    /// A text that matches a pattern, drawn longer with each attempt, padded where the pattern lets it be.
    fn matching(&mut self, id: PatternId, length: Range, attempt: u32) -> Option<String> {
        let hir = regex_syntax::parse(&self.shape.patterns[id].translated).ok()?;
        let stretch = if attempt < 3 {
            attempt
        } else {
            u32::try_from(length.min.min(LENGTH_MAX)).unwrap_or(0) >> (attempt % 3)
        };
        let mut text = pattern::sample(&hir, self.random, stretch);
        let missing = length.min.saturating_sub(text.chars().count() as u64);
        if missing > 0 && attempt.is_multiple_of(2) {
            let filler = self.words(Range { min: missing, max: Some(missing) });
            text = if attempt.is_multiple_of(4) { text + &filler } else { filler + &text };
        }
        Some(text)
    }
}
