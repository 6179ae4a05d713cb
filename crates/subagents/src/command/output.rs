//! A command's output as it streams in: lines of progress, the last line, the tail of standard error. All bounded.

use super::answer::{self, may_be_answer};
use crate::text::shown;
use loopwright_types::Failure;
use serde::Deserialize;
use std::collections::VecDeque;

/// Bytes that a last line may have beside its result.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;
/// Standard output of one attempt, progress included.
const STDOUT_BYTES_MAX: u64 = 256 << 20;
/// Lines of progress that one attempt may report.
const PROGRESS_MAX: usize = 200;
/// Characters of one line of progress.
const PROGRESS_CHARACTERS_MAX: usize = 500;
/// Bytes kept of the end of standard error.
const STDERR_BYTES_MAX: usize = 4096;
/// Characters of standard error in a failure.
const STDERR_CHARACTERS_MAX: usize = 1000;

/// Standard output, split into lines.
pub(crate) struct Lines {
    line: Vec<u8>,
    last: Vec<u8>,
    /// Whether `last` is held back as a possible answer; other lines were reported when they came.
    last_is_held: bool,
    reported: usize,
    total: u64,
    bytes_max: usize,
}

impl Lines {
    /// For answers of at most this many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            line: Vec::new(),
            last: Vec::new(),
            last_is_held: false,
            reported: 0,
            total: 0,
            bytes_max,
        }
    }

    /// Takes what was read; tells lines of progress.
    ///
    /// # Errors
    /// When a line or the whole is over its limit: the command has to be ended.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        tell: &mut dyn FnMut(String),
    ) -> Result<(), Failure> {
        self.total += bytes.len() as u64;
        if self.total > STDOUT_BYTES_MAX {
            return Err(answer::too_large(
                usize::try_from(self.total).unwrap_or(usize::MAX),
                self.bytes_max,
            ));
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > self.bytes_max.saturating_add(ENVELOPE_BYTES_MAX) {
                return Err(answer::too_large(self.line.len(), self.bytes_max));
            }
            if piece.ends_with(b"\n") {
                self.end_line(tell);
            }
        }
        Ok(())
    }

    /// Standard output has ended: gives the last line that is not blank, if there was one.
    pub(crate) fn finish(&mut self, tell: &mut dyn FnMut(String)) -> Option<&[u8]> {
        self.end_line(tell);
        (!self.last.is_empty()).then_some(self.last.as_slice())
    }

    fn end_line(&mut self, tell: &mut dyn FnMut(String)) {
        let line = std::mem::take(&mut self.line);
        if line.trim_ascii().is_empty() {
            self.line = line;
            self.line.clear();
            return;
        }
        let held = std::mem::take(&mut self.last_is_held);
        let before = std::mem::replace(&mut self.last, line.trim_ascii().to_owned());
        if held {
            self.report(&before, tell);
        }
        // Once the limit is reached nothing is told any more, so nothing needs to be read either.
        if self.reported <= PROGRESS_MAX {
            self.last_is_held = may_be_answer(&self.last);
            if !self.last_is_held {
                let line = std::mem::take(&mut self.last);
                self.report(&line, tell);
                self.last = line;
            }
        }
    }

    fn report(&mut self, line: &[u8], tell: &mut dyn FnMut(String)) {
        self.reported += 1;
        if self.reported <= PROGRESS_MAX {
            tell(progress(line));
        } else if self.reported == PROGRESS_MAX + 1 {
            tell(format!("(more than {PROGRESS_MAX} lines of progress: the others are not kept)"));
        }
    }
}

/// A line of progress for people: an object's `progress`, `message`, `text` or `log`, else the line itself.
fn progress(line: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Object {
        #[serde(alias = "message", alias = "text", alias = "log")]
        progress: String,
    }
    let text = match serde_json::from_slice::<Object>(line) {
        Ok(object) => object.progress,
        Err(_) => {
            String::from_utf8_lossy(&line[..line.len().min(4 * PROGRESS_CHARACTERS_MAX)]).into()
        }
    };
    shown(&text, PROGRESS_CHARACTERS_MAX)
}

/// The end of standard error.
#[derive(Default)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(STDERR_BYTES_MAX)..];
        let over = (self.bytes.len() + kept.len()).saturating_sub(STDERR_BYTES_MAX);
        self.bytes.drain(..over);
        self.bytes.extend(kept);
    }

    /// The last lines in one, fit to be shown; empty when nothing was written.
    pub(crate) fn text(&self) -> String {
        let (front, back) = self.bytes.as_slices();
        let text = String::from_utf8_lossy(&[front, back].concat()).trim().to_owned();
        let skipped = text.chars().count().saturating_sub(STDERR_CHARACTERS_MAX);
        let tail: String = text.chars().skip(skipped).collect();
        let mark = if skipped > 0 { "…" } else { "" };
        format!("{mark}{}", shown(&tail, STDERR_CHARACTERS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pieces: &[&str]) -> (Option<String>, Vec<String>) {
        let (mut lines, mut told) = (Lines::new(1000), Vec::new());
        for piece in pieces {
            lines.push(piece.as_bytes(), &mut |line| told.push(line)).unwrap();
        }
        let last = lines.finish(&mut |line| told.push(line));
        (last.map(|line| String::from_utf8(line.to_owned()).unwrap()), told)
    }

    #[test]
    fn the_last_line_is_held_back_and_the_others_are_progress() {
        let (last, told) = run(&["one\n{\"progress\":\"50%\"}\n", "{\"res", "ult\":1}\n\n  \n"]);
        assert_eq!(last.as_deref(), Some("{\"result\":1}"));
        assert_eq!(told, ["one", "50%"]);
        let (last, told) = run(&["{\"result\":1}\nbye"]);
        assert_eq!(last.as_deref(), Some("bye"));
        assert_eq!(told, ["{\"result\":1}", "bye"]);
        assert_eq!(run(&["", "\n\n"]), (None, vec![]));
    }

    #[test]
    fn progress_is_bounded() {
        let many = "line\n".repeat(10 * PROGRESS_MAX);
        let (last, told) = run(&[&many, "{\"result\":2}"]);
        assert_eq!(last.as_deref(), Some("{\"result\":2}"));
        assert_eq!(told.len(), PROGRESS_MAX + 1);
        let mut lines = Lines::new(1000);
        let flood = vec![b'x'; ENVELOPE_BYTES_MAX + 1001];
        assert!(lines.push(&flood, &mut |_| ()).is_err());
    }

    #[test]
    fn only_the_end_of_standard_error_is_kept() {
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
}
