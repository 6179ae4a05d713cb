//! A reply as the bytes that leave the server.

use crate::Usage;
use serde_json::Value;

/// One piece of a body: an event of a stream, or a whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its bytes, the empty line after an event included.
    pub bytes: Vec<u8>,
    /// How many bytes of output (text, thinking, calls) it carries.
    pub content: usize,
    /// The usage it tells, if it tells one.
    pub told: Option<Usage>,
    /// A reply counts from the end of this event on.
    pub terminal: bool,
    /// It cannot be read: it tells a client nothing.
    pub broken: bool,
}

impl Event {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), content: 0, told: None, terminal: false, broken: false }
    }

    /// `event:` and `data:` lines, as Anthropic and Responses have them.
    pub fn named(name: &str, data: &Value) -> Self {
        Self::new(format!("event: {name}\ndata: {data}\n\n"))
    }

    /// A `data:` line alone.
    pub fn data(data: &Value) -> Self {
        Self::new(format!("data: {data}\n\n"))
    }

    pub fn content(mut self, bytes: usize) -> Self {
        self.content = bytes;
        self
    }

    pub fn told(mut self, usage: Option<Usage>) -> Self {
        self.told = usage;
        self
    }

    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// The same with everything outside ASCII escaped, as servers in Python write JSON.
    pub fn escaped(mut self) -> Self {
        if let Ok(text) = std::str::from_utf8(&self.bytes) {
            let mut escaped = String::with_capacity(text.len());
            for character in text.chars() {
                if character.is_ascii() {
                    escaped.push(character);
                } else {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        escaped.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
            self.bytes = escaped.into_bytes();
        }
        self
    }
}

/// Pieces of at most `bytes` bytes, never splitting a character; an empty text gives none.
pub(crate) fn pieces(text: &str, bytes: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut at = rest.floor_char_boundary(bytes.max(1));
        if at == 0 {
            at = rest.ceil_char_boundary(1);
        }
        let (piece, tail) = rest.split_at(at);
        pieces.push(piece);
        rest = tail;
    }
    pieces
}
