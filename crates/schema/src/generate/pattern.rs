//! Texts that match a regular expression, drawn from its syntax tree.

use super::Random;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Longest text drawn, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 17;

/// A text that matches `hir`, up to assertions such as `\b`, which the caller checks. Open repetitions run
/// up to `stretch` longer than they must.
pub(super) fn sample(hir: &Hir, random: Random, stretch: u32) -> String {
    let mut text = String::new();
    push(hir, random, stretch, &mut text);
    text
}

fn push(hir: &Hir, random: Random, stretch: u32, text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(character(class, random)),
        HirKind::Capture(capture) => push(&capture.sub, random, stretch, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| push(part, random, stretch, text)),
        HirKind::Alternation(parts) => {
            let at = usize::try_from(random() % parts.len().max(1) as u64).unwrap_or(0);
            if let Some(part) = parts.get(at) {
                push(part, random, stretch, text);
            }
        }
        HirKind::Repetition(repetition) => {
            let room = repetition.max.map_or(u32::MAX, |max| max - repetition.min);
            let extra = room.min(stretch.max(3));
            // A stretched repetition is drawn long at least half of the time.
            let drawn = u32::try_from(random() % (u64::from(extra) + 1)).unwrap_or(0);
            let drawn = if stretch > 3 && random().is_multiple_of(2) { extra } else { drawn };
            for _ in 0..repetition.min.saturating_add(drawn) {
                if text.len() > TEXT_BYTES_MAX {
                    break;
                }
                push(&repetition.sub, random, 0, text);
            }
        }
    }
}

/// A character of a class: a printable ASCII one if the class has any.
fn character(class: &Class, random: Random) -> Option<char> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .map(|range| (u32::from(range.start()), u32::from(range.end())))
            .collect(),
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .map(|range| (u32::from(range.start()), u32::from(range.end())))
            .collect(),
    };
    let clipped = |low: u32, high: u32| {
        let cut = ranges.iter().map(|(start, end)| ((*start).max(low), (*end).min(high)));
        cut.filter(|(start, end)| start <= end).collect::<Vec<_>>()
    };
    // Letters and digits before other printable characters, those before the rest.
    let words: Vec<_> =
        [(48, 57), (97, 122), (65, 90)].into_iter().flat_map(|(a, b)| clipped(a, b)).collect();
    let printable = clipped(32, 126);
    let choice =
        [words, printable, ranges.clone()].into_iter().find(|choice| !choice.is_empty())?;
    let total: u64 = choice.iter().map(|(start, end)| u64::from(end - start) + 1).sum();
    let mut at = random() % total;
    for (start, end) in choice {
        let size = u64::from(end - start) + 1;
        if at < size {
            return char::from_u32(start + u32::try_from(at).ok()?);
        }
        at -= size;
    }
    None
}
