//! A command's output as it streams in: lines of progress, the last line. Both bounded.

use super::answer::{self, may_be_answer};
use loopwright_processes::shown;
use loopwright_types::Failure;
use serde::Deserialize;

/// Bytes that a last line may have beside its result.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;
/// Standard output of one attempt, progress included.
const STDOUT_BYTES_MAX: u64 = 256 << 20;
/// Lines of progress that one attempt may report.
const PROGRESS_MAX: usize = 200;
/// Characters of one line of progress.
const PROGRESS_CHARACTERS_MAX: usize = 500;
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
}
