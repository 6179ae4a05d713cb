//! The two ends of an output: what a command says first and last matters most.

use std::collections::VecDeque;

/// The head and the tail of a stream of bytes, each half of what may be kept.
#[derive(Debug)]
pub(crate) struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    /// All bytes that came.
    total: u64,
}

impl Kept {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half: bytes_max / 2, total: 0 }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = (self.half - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        let rest = &bytes[room..];
        let rest = &rest[rest.len().saturating_sub(self.half)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Bytes that are not kept.
    pub(crate) fn left_out(&self) -> u64 {
        self.total - (self.head.len() + self.tail.len()) as u64
    }

    /// The text, with a line where some of it is left out. What is not UTF-8 becomes U+FFFD.
    pub(crate) fn text(&self) -> String {
        let left_out = self.left_out();
        let mut bytes = self.head.clone();
        if left_out == 0 {
            bytes.extend(&self.tail);
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        // Characters cut at either end would show as U+FFFD though nothing is wrong with them.
        let start = bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        bytes.truncate(bytes.len() - start);
        let skipped = tail.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        let cut = left_out + (start + skipped) as u64;
        let (head, tail) =
            (String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&tail[skipped..]));
        format!("{head}\n[… {cut} bytes left out …]\n{tail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes_max: usize, parts: &[&str]) -> String {
        let mut kept = Kept::new(bytes_max);
        parts.iter().for_each(|part| kept.take(part.as_bytes()));
        kept.text()
    }

    #[test]
    fn head_and_tail_are_kept_and_what_lies_between_is_counted() {
        let cases: &[(usize, &[&str], &str)] = &[
            (10, &[], ""),
            (10, &["abc"], "abc"),
            (10, &["abcdefghij"], "abcdefghij"),
            (10, &["abcde", "fgh", "ij"], "abcdefghij"),
            (10, &["abcdefghijk"], "abcde\n[… 1 bytes left out …]\nghijk"),
            (10, &["abc", "defghijklmnop", "qr"], "abcde\n[… 8 bytes left out …]\nnopqr"),
            (4, &["abcdefgh", "ijklmnop"], "ab\n[… 12 bytes left out …]\nop"),
            (6, &["aéé", "----", "ééa"], "aé\n[… 8 bytes left out …]\néa"),
            (6, &["ééé", "----", "ééé"], "é\n[… 12 bytes left out …]\né"),
        ];
        for (bytes_max, parts, expected) in cases {
            assert_eq!(kept(*bytes_max, parts), *expected, "{parts:?}");
        }
    }
}
