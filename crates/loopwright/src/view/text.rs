//! Text of programs and models made safe for a terminal: it cannot move the cursor, colour, reorder or
//! break a line. Also its width there, and colours of our own.

use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar as _;

/// The text on one line, with everything a terminal would act on spelled out: `\u{1b}`.
pub fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    if is_plain(text) || !text.chars().any(is_unsafe) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.into()
}

/// The same for a text of several lines, whose line breaks are kept.
pub fn escape_lines(text: &str) -> String {
    text.lines().map(|line| escape(line)).collect::<Vec<_>>().join("\n")
}

/// JSON text that is safe on a terminal and is one line, and is still the same value: white space
/// outside strings becomes a space and what a terminal would act on becomes `\u001b`.
pub fn escape_json(text: &str) -> std::borrow::Cow<'_, str> {
    if is_plain(text) || !text.chars().any(is_unsafe) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut units = [0; 2];
    for c in text.chars() {
        if c.is_ascii_whitespace() {
            out.push(' '); // never inside a string: there it is escaped already
        } else if is_unsafe(c) {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// Most text is: printable ASCII alone, found out many bytes at a time.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte))
}

/// Control characters, separators, and invisible or reordering format characters.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x00ad | 0x061c | 0x180e
            | 0x200b | 0x200e | 0x200f
            | 0x2028..=0x202e
            | 0x2060..=0x206f
            | 0xfeff | 0xfff9..=0xfffb
            | 0xe_0000..=0xe_007f)
}

/// Columns a text takes on a terminal. Where terminals differ (joined emoji) it is the larger figure.
pub fn width(text: &str) -> usize {
    let mut before = 0;
    text.chars().map(|c| char_width(c, &mut before)).sum()
}

/// `before` is the width of the character in front: a variation selector can widen that one.
fn char_width(c: char, before: &mut usize) -> usize {
    let own = c.width().unwrap_or(0);
    let columns = if c == '\u{fe0f}' && *before == 1 { 1 } else { own };
    *before = own;
    columns
}

/// The beginning of a text that fits into so many columns, with an ellipsis if it was cut.
pub fn fit(text: &str, columns: usize) -> std::borrow::Cow<'_, str> {
    let (mut used, mut before, mut keep) = (0, 0, 0);
    for (at, c) in text.char_indices() {
        used += char_width(c, &mut before);
        if used > columns {
            let head = &text[..keep];
            return if columns == 0 { "".into() } else { format!("{head}…").into() };
        }
        if used < columns {
            keep = at + c.len_utf8();
        }
    }
    text.into()
}

/// One piece of a row, already escaped, and its colour.
pub type Piece<'a> = (&'a str, fn(Paint, &str) -> String);

/// Pieces side by side, cut to so many columns; no white space at the end.
pub fn row(paint: Paint, columns: usize, pieces: &[Piece<'_>]) -> String {
    let pieces = match pieces.iter().rposition(|(text, _)| !text.trim_end().is_empty()) {
        Some(last) => &pieces[..=last],
        None => return String::new(),
    };
    let (mut out, mut left) = (String::new(), columns);
    for (at, (text, colour)) in pieces.iter().enumerate() {
        let text = if at + 1 == pieces.len() { text.trim_end() } else { text };
        let columns = width(text);
        if columns > left || (columns == left && at + 1 < pieces.len()) {
            // An ellipsis stands for the rest of this piece and all that follow.
            let shown = fit(text, left);
            let shown =
                if shown.len() == text.len() { fit(text, left.saturating_sub(1)) } else { shown };
            out.push_str(&colour(paint, &shown));
            return out;
        }
        left -= columns;
        out.push_str(&colour(paint, text));
    }
    out
}

/// Colours, or none. Meaning never depends on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Whether colours are written.
    pub colour: bool,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// For everything else.
    pub fn plain(self, text: &str) -> String {
        text.to_owned()
    }

    /// For what a row is about.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// For what went well.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// For what failed.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// For what deserves a look.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// For what is under way.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_acts_on_passes() {
        let hostile = "a\x1b[31m\u{9b}2J\u{202e}b\r\n\u{7f}\u{2028}\u{e0041}\u{200b}c";
        let safe = escape(hostile);
        assert_eq!(
            safe,
            "a\\u{1b}[31m\\u{9b}2J\\u{202e}b\\r\\n\\u{7f}\\u{2028}\\u{e0041}\\u{200b}c"
        );
        assert_eq!(escape("naïve 漢字 👩‍💻"), "naïve 漢字 👩‍💻");
    }

    #[test]
    fn escaped_json_is_one_line_and_the_same_value() {
        let json = "{\n\t\"a\": \"\u{9b}\u{202e}\u{e0041}x\"}";
        let safe = escape_json(json);
        assert!(!safe.chars().any(is_unsafe), "{safe}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&safe), read(json));
    }

    #[test]
    fn text_is_cut_by_columns_not_by_characters() {
        let cases = [
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            ("漢字漢字", 6, "漢字…"),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("abcd", 1, "…"),
            ("abcd", 0, ""),
            ("", 0, ""),
            ("❤️❤️", 4, "❤️❤️"),
            ("❤️❤️", 3, "❤️…"),
        ];
        for (text, columns, short) in cases {
            assert_eq!(fit(text, columns), short, "{text} in {columns}");
            assert!(width(&fit(text, columns)) <= columns);
        }
    }
}
