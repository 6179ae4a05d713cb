//! Where an edit nearly fits: what to tell a model whose `old_text` is not in the file.

use crate::registry::edits;

/// Lines compared at most, so that a hint never costs more than the edit.
const LINES_MAX: usize = 20_000;
/// Characters shown of a line.
const SHOWN_CHARS: usize = 120;

/// A sentence about the place that comes nearest; `None` where nothing is like it.
pub(crate) fn nearest(text: &str, wanted: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().take(LINES_MAX).collect();
    let wanted: Vec<&str> = wanted.lines().map(str::trim).collect();
    let blank = |line: &&str| line.is_empty();
    let skipped = wanted.iter().copied().take_while(blank).count();
    let end = wanted.len() - wanted.iter().rev().copied().take_while(blank).count();
    let wanted = wanted.get(skipped..end).filter(|wanted| !wanted.is_empty())?;
    let same = |window: &[&str]| window.iter().zip(wanted).all(|(line, want)| line.trim() == *want);
    if let Some(at) = lines.windows(wanted.len()).position(same) {
        let first = at + 1;
        return Some(format!(
            "at line {first} it stands with other white space: copy it from the file as it is"
        ));
    }
    let first = wanted[0];
    let scored = lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let scored = scored.map(|(at, line)| (edits(line.trim(), first), at, *line));
    let (distance, at, line) = scored.min_by_key(|(distance, at, _)| (*distance, *at))?;
    if distance * 2 > first.len().min(64) {
        return None;
    }
    let number = at + 1;
    if distance == 0 {
        let differs = lines[at..].iter().zip(wanted).position(|(line, want)| line.trim() != *want);
        return Some(match differs.and_then(|down| Some((at + down + 1, lines.get(at + down)?))) {
            Some((number, line)) => {
                format!(
                    "it begins as line {at} does, but line {number} is `{}`",
                    shown(line),
                    at = at + 1
                )
            }
            None => format!("its first line is line {number}, but the file ends before its last"),
        });
    }
    Some(format!("the nearest to its first line is line {number}: `{}`", shown(line)))
}

fn shown(line: &str) -> String {
    let clean = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let mut shown: String = line.chars().take(SHOWN_CHARS).map(clean).collect();
    if line.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
