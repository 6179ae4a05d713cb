//! Bounded results: cut at a line, and saying so.

/// Lines of a result, up to a size.
pub(crate) struct Output {
    text: String,
    bytes_max: usize,
    cut: bool,
}

/// Room kept for the line that says that the result was cut.
const NOTICE_BYTES: usize = 200;

impl Output {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { text: String::new(), bytes_max, cut: false }
    }

    /// Adds a line; `false` when it does not fit any more.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if self.cut || self.text.len() + line.len() + 1 > self.room() {
            self.cut = true;
            return false;
        }
        self.text.push_str(line);
        self.text.push('\n');
        true
    }

    /// Bytes that the result itself may have.
    fn room(&self) -> usize {
        self.bytes_max.saturating_sub(NOTICE_BYTES)
    }

    /// The whole result: lines separated by newlines, none after the last.
    pub(crate) fn finish(mut self, advice: &str) -> String {
        if self.cut {
            let (room, max) = (self.room(), self.bytes_max);
            self.text.push_str(&format!("[cut at {room} bytes of {max}: {advice}]"));
        } else {
            self.text.pop();
        }
        self.text
    }
}

/// A file name as a line of text: what is not UTF-8 and what would break the line becomes U+FFFD.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    } else {
        text.into_owned()
    }
}
