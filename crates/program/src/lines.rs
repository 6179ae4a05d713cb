//! Byte offset to line and column, and back.

use loopwright_types::Position;

/// Where each line of a text starts.
///
/// Lines end as in ECMAScript: `\n`, `\r\n`, a lone `\r`, U+2028, U+2029. Columns count code points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    /// Finds the lines of a text.
    pub fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        let mut at = 0;
        while at < bytes.len() {
            let step = break_length(&bytes[at..]);
            at += step.max(1);
            if step > 0 {
                starts.push(at);
            }
        }
        Self { starts }
    }

    /// How many lines there are; at least one.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// Line and column of a byte offset into the same text; past the end is the end, inside a character is its start.
    pub fn position(&self, text: &str, offset: usize) -> Position {
        let offset = boundary(text, offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let column = text[self.starts[line - 1]..offset].chars().count() + 1;
        Position { line: small(line), column: small(column) }
    }

    /// Byte offset of a position; `None` when the text has no such line, the line's end when it has no such column.
    pub fn offset(&self, text: &str, position: Position) -> Option<usize> {
        let index = (position.line as usize).checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let line = self.line(text, position.line)?;
        let column = (position.column as usize).saturating_sub(1);
        let within = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        Some(start + within)
    }

    /// One line of the text, counted from 1, without what ends it.
    pub fn line<'t>(&self, text: &'t str, line: u32) -> Option<&'t str> {
        let index = (line as usize).checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let end = self.starts.get(index + 1).copied().unwrap_or(text.len());
        text.get(start..end).map(|line| line.trim_end_matches(is_line_break))
    }
}

/// Whether the character ends a line in ECMAScript.
pub(crate) fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

/// How many bytes the line break at the start of `bytes` has; 0 when there is none.
fn break_length(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
        _ => 0,
    }
}

/// The start of the character that `offset` is in.
pub(crate) fn boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_break_ends_a_line_and_columns_count_characters() {
        let text = "a\r\nбв\rc\u{2028}𝒅e\n";
        let lines = Lines::of(text);
        let seen: Vec<_> = (1..=5).map(|n| lines.line(text, n)).collect();
        assert_eq!(seen, [Some("a"), Some("бв"), Some("c"), Some("𝒅e"), Some("")]);
        assert_eq!(lines.line(text, 6), None);
        let e = text.find('e').unwrap();
        assert_eq!(lines.position(text, e), Position { line: 4, column: 2 });
    }

    #[test]
    fn offsets_and_positions_are_inverse_at_every_character() {
        let text = "x = '漢字'\r\n\ty\u{2029}\u{feff}z";
        let lines = Lines::of(text);
        for (offset, c) in text.char_indices().filter(|(_, c)| !is_line_break(*c)) {
            let position = lines.position(text, offset);
            assert_eq!(lines.offset(text, position), Some(offset), "{c:?}");
        }
    }

    #[test]
    fn a_position_outside_the_text_is_clamped_or_refused() {
        let text = "ab\nc";
        let lines = Lines::of(text);
        assert_eq!(lines.position(text, 99), Position { line: 2, column: 2 });
        assert_eq!(lines.offset(text, Position { line: 1, column: 50 }), Some(2));
        assert_eq!(lines.offset(text, Position { line: 3, column: 1 }), None);
        assert_eq!(lines.offset(text, Position { line: 0, column: 0 }), None);
    }
}
