//! The prompt cache, as each provider bills it.

use crate::{Request, Usage, Wire, random, tokens};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// OpenAI caches whole blocks of so many bytes: 128 tokens.
const STEP: usize = 128 * 4;
/// Anthropic looks for a cached prefix so many blocks back from a mark.
const LOOK_BACK: usize = 20;

/// What a request would pay and what it would leave in the cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quote {
    /// Input tokens by price; no output yet.
    pub usage: Usage,
    keys: Vec<u64>,
}

/// Prefixes that were written so far. They never expire: tests are shorter than five minutes.
#[derive(Default)]
pub(crate) struct Cache {
    written: Mutex<HashSet<u64>>,
}

impl Cache {
    /// What the request pays by what is in the cache now. Nothing is written yet: see [`Cache::write`].
    pub fn quote(&self, request: &Request, least_tokens: u64) -> Quote {
        let least = least_tokens as usize * 4;
        match request.wire {
            Wire::Anthropic => self.marked(request, least),
            Wire::Chat | Wire::Responses => self.automatic(request, least, true),
            Wire::Gemini => self.automatic(request, least, false),
        }
    }

    /// Enters the prefixes of a request: providers do so when its reply begins, so siblings that start before pay in full.
    pub fn write(&self, quote: &Quote) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).extend(&quote.keys);
    }

    fn has(&self, key: u64) -> bool {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Anthropic: explicit marks; a read up to the longest known prefix, a write from there to the last mark.
    fn marked(&self, request: &Request, least: usize) -> Quote {
        let total = request.input_tokens();
        let marks: Vec<usize> =
            request.marks.iter().copied().filter(|mark| *mark >= least).collect();
        let Some(last) = marks.iter().copied().max() else {
            return Quote { usage: Usage { input: total, ..Usage::default() }, keys: Vec::new() };
        };
        let before_mark = |mark: &usize| {
            let until = request.boundaries.partition_point(|boundary| boundary <= mark);
            request.boundaries[until.saturating_sub(LOOK_BACK)..until].to_vec()
        };
        let candidates = marks.iter().flat_map(before_mark);
        let known = |at: &usize| self.has(key(request, *at));
        let read = candidates.filter(known).max().unwrap_or(0);
        let usage = Usage {
            input: total - tokens(last).min(total),
            cache_read: tokens(read),
            cache_write: tokens(last).min(total) - tokens(read),
            ..Usage::default()
        };
        Quote { usage, keys: marks.iter().map(|mark| key(request, *mark)).collect() }
    }

    /// OpenAI and Gemini: every long prompt, in steps; OpenAI tells what it wrote.
    fn automatic(&self, request: &Request, least: usize, tells_writes: bool) -> Quote {
        let total = request.input_tokens();
        let ends =
            (1..=request.prompt.len() / STEP).map(|step| step * STEP).filter(|end| *end >= least);
        let ends: Vec<(usize, u64)> = ends.map(|end| (end, key(request, end))).collect();
        let read = ends.iter().rev().find(|(_, key)| self.has(*key)).map_or(0, |(end, _)| *end);
        let last = ends.last().map_or(0, |(end, _)| *end);
        let write = if tells_writes { tokens(last) - tokens(read) } else { 0 };
        let usage = Usage {
            input: total - tokens(read) - write,
            cache_read: tokens(read),
            cache_write: write,
            ..Usage::default()
        };
        Quote { usage, keys: ends.into_iter().map(|(_, key)| key).collect() }
    }
}

fn key(request: &Request, end: usize) -> u64 {
    let place = format!("{:?}\n{}\n{}\n", request.wire, request.model, request.cache_key);
    random::extend(random::hash(place.as_bytes()), &request.prompt.as_bytes()[..end])
}
