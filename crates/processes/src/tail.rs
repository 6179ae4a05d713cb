//! The end of a stream that may be of any length.

use crate::text::shown;
use std::collections::VecDeque;

/// Bytes that are kept where no other number is asked for.
const BYTES_MAX: usize = 4096;
/// Characters of it in a failure.
const CHARACTERS_MAX: usize = 1000;

/// The last bytes of a stream; standard error, for one.
pub struct Tail {
    bytes: VecDeque<u8>,
    max: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

impl Tail {
    /// Keeps at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { bytes: VecDeque::new(), max }
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(self.max)..];
        let over = (self.bytes.len() + kept.len()).saturating_sub(self.max);
        self.bytes.drain(..over);
        self.bytes.extend(kept);
    }

    /// All that is kept, as it came but for bytes that are no text.
    pub fn raw(&self) -> String {
        let (front, back) = self.bytes.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }

    /// The last lines in one, fit to be shown; empty when nothing was written.
    pub fn text(&self) -> String {
        let raw = self.raw();
        let text = raw.trim();
        let skipped = text.chars().count().saturating_sub(CHARACTERS_MAX);
        let tail: String = text.chars().skip(skipped).collect();
        let mark = if skipped > 0 { "…" } else { "" };
        format!("{mark}{}", shown(&tail, CHARACTERS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_stream_is_kept_and_shown_in_one_line() {
        let mut tail = Tail::default();
        for i in 0..10_000 {
            tail.push(format!("line {i}\n").as_bytes());
        }
        let text = tail.text();
        assert!(text.starts_with('…') && text.ends_with("line 9998 | line 9999"), "{text}");
        let mut flood = Tail::default();
        flood.push(&vec![b'x'; 100_000]);
        flood.push(b"\xff\x1b[1m end");
        assert!(flood.text().ends_with("x\u{fffd}\\u{1b}[1m end"), "{}", flood.text());
        assert_eq!(Tail::default().text(), "");
    }

    #[test]
    fn pieces_of_any_length_leave_the_last_bytes() {
        for max in [0, 1, 3, 5, 100] {
            let mut tail = Tail::new(max);
            for piece in ["abc", "", "defgh", "i"] {
                tail.push(piece.as_bytes());
            }
            assert_eq!(tail.raw(), "abcdefghi"[9_usize.saturating_sub(max)..], "{max}");
        }
    }
}
