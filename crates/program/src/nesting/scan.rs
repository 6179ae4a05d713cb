//! How deep a text nests, by its tokens alone.

use super::{CHAIN_MAX, GUESS_MAX, NESTING_MAX};

/// A place where a text goes too deep.
pub(super) struct Excess {
    pub(super) at: usize,
    pub(super) what: What,
}

/// In which way.
pub(super) enum What {
    Nesting,
    Chain,
}

/// Words that can stand before themselves any number of times.
const RECURSING_WORDS: &[&str] = &[
    "abstract",
    "as",
    "asserts",
    "async",
    "await",
    "delete",
    "do",
    "else",
    "extends",
    "if",
    "in",
    "infer",
    "instanceof",
    "is",
    "keyof",
    "new",
    "of",
    "readonly",
    "return",
    "satisfies",
    "throw",
    "typeof",
    "unique",
    "void",
    "while",
    "with",
    "yield",
];

/// Words before which a `(…)` is no value, so that `/` behind it starts a regular expression.
const HEAD_WORDS: &[&str] = &["for", "if", "while", "with"];

pub(super) fn is_recursing_word(word: &str) -> bool {
    RECURSING_WORDS.binary_search(&word).is_ok()
}

/// What came last, as far as it tells what `/` means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// A value: `/` divides.
    Value,
    /// An operator, a keyword or nothing: `/` starts a regular expression.
    Operator,
    /// One of `HEAD_WORDS`.
    Head,
}

/// An open bracket.
struct Open {
    bracket: u8,
    chain: usize,
    guesses: usize,
    after_head: bool,
}

struct Scan<'s> {
    bytes: &'s [u8],
    at: usize,
    open: Vec<Open>,
    /// Operators since the last `,` or `;` on this level.
    chain: usize,
    /// `<` and `?` since the last `;` on this level. The parser tries what follows them in more than one way, in
    /// time that grows with the square of their number.
    guesses: usize,
    last: Last,
}

/// The first place where the text nests or chains too deep.
pub(super) fn excess(source: &str) -> Option<Excess> {
    let mut scan = Scan {
        bytes: source.as_bytes(),
        at: 0,
        open: Vec::new(),
        chain: 0,
        guesses: 0,
        last: Last::Operator,
    };
    while scan.at < scan.bytes.len() {
        let start = scan.at;
        scan.token(source);
        debug_assert!(scan.at > start, "every token has a length");
        let what = if scan.open.len() > NESTING_MAX {
            What::Nesting
        } else if scan.chain > CHAIN_MAX || scan.guesses > GUESS_MAX {
            What::Chain
        } else {
            continue;
        };
        return Some(Excess { at: start, what });
    }
    None
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Steps over one token.
    fn token(&mut self, source: &str) {
        let byte = self.peek(0);
        match byte {
            b'\'' | b'"' => self.string(byte),
            b'`' => {
                self.at += 1;
                self.template();
            }
            b'/' if self.peek(1) == b'/' => self.until(b"\n"),
            b'/' if self.peek(1) == b'*' => self.until(b"*/"),
            b'/' if self.last != Last::Value => self.regular_expression(),
            b'(' | b'[' | b'{' => self.open(byte),
            b')' | b']' => self.close(),
            b'}' if self.open.last().is_some_and(|open| open.bracket == b'`') => {
                self.close();
                self.template();
            }
            b'}' => {
                self.close();
                // Blocks are more common than object literals with `/` behind them.
                self.last = Last::Operator;
            }
            b',' => self.step(0, Last::Operator),
            b';' => {
                self.guesses = 0;
                self.step(0, Last::Operator);
            }
            b'<' => {
                self.guesses += 1;
                self.step(self.chain + 1, Last::Operator);
            }
            b'>' => {
                let arrow = self.at > 0 && self.bytes[self.at - 1] == b'=';
                self.guesses = self.guesses.saturating_sub(usize::from(!arrow));
                self.step(self.chain + 1, Last::Operator);
            }
            b'?' if matches!(self.peek(1), b'?' | b'.') => {
                self.at += 1;
                self.step(self.chain + 1, Last::Operator);
            }
            b'?' => {
                self.guesses += 1;
                self.step(self.chain + 1, Last::Operator);
            }
            b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
            _ if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80 => {
                self.word(source);
            }
            _ => self.step(self.chain + 1, Last::Operator),
        }
    }

    fn step(&mut self, chain: usize, last: Last) {
        self.at += 1;
        self.chain = chain;
        self.last = last;
    }

    fn word(&mut self, source: &str) {
        let start = self.at;
        let part = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80;
        while self.at < self.bytes.len() && part(self.bytes[self.at]) {
            self.at += 1;
        }
        // Bytes from 0x80 stay together, so this is a character boundary.
        let word = source.get(start..self.at).unwrap_or("");
        self.last = Last::Value;
        if is_recursing_word(word) || word == "case" {
            self.chain += 1;
            self.last = Last::Operator;
        }
        if HEAD_WORDS.contains(&word) {
            self.last = Last::Head;
        }
    }

    fn open(&mut self, bracket: u8) {
        let after_head = self.last == Last::Head;
        self.open.push(Open { bracket, chain: self.chain, guesses: self.guesses, after_head });
        self.guesses = 0;
        self.step(0, Last::Operator);
    }

    fn close(&mut self) {
        let before = self.open.pop();
        let (chain, after_head) =
            before.as_ref().map_or((0, false), |it| (it.chain, it.after_head));
        self.guesses = before.map_or(0, |it| it.guesses);
        self.step(chain + 1, if after_head { Last::Operator } else { Last::Value });
    }

    /// A string ends at its quote or with its line.
    fn string(&mut self, quote: u8) {
        self.at += 1;
        while self.at < self.bytes.len() {
            match self.bytes[self.at] {
                b'\\' => self.at += 1,
                b'\n' => break,
                byte if byte == quote => {
                    self.at += 1;
                    break;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.at.min(self.bytes.len());
        self.last = Last::Value;
    }

    /// A template's text, behind its quote or a `}`, up to its end or to the next `${`, which opens a bracket.
    fn template(&mut self) {
        while self.at < self.bytes.len() {
            match self.bytes[self.at] {
                b'\\' => self.at += 1,
                b'`' => {
                    self.step(self.chain + 1, Last::Value);
                    return;
                }
                b'$' if self.peek(1) == b'{' => {
                    self.at += 1;
                    return self.open(b'`');
                }
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.bytes.len();
    }

    /// A regular expression ends at a `/` outside of a class; without one on its line it is a division after all.
    fn regular_expression(&mut self) {
        let mut at = self.at + 1;
        let mut class = false;
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'\n' => break,
                b'\\' => at += 1,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.at = at + 1;
                    self.last = Last::Value;
                    return;
                }
                _ => {}
            }
            at += 1;
        }
        self.step(self.chain + 1, Last::Operator);
    }

    /// To the end of a comment.
    fn until(&mut self, end: &[u8]) {
        let rest = &self.bytes[self.at + 2..];
        let found = rest.windows(end.len()).position(|window| window == end);
        self.at = found.map_or(self.bytes.len(), |found| self.at + 2 + found + end.len());
    }
}
