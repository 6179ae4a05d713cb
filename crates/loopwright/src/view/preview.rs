//! Short forms of long texts, made in time bounded by the short form. White space is one space; everything
//! else stays as it is, so that escaping for a terminal is left to whoever prints.

use loopwright_protocol::Json;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The beginning of a text on one line, at most `chars_max` characters and an ellipsis.
pub fn preview_text(text: &str, chars_max: usize) -> Box<str> {
    let mut out = Preview::new(chars_max);
    out.text(text);
    out.finish()
}

/// The beginning of a JSON value on one line; a string is shown without quotes and escapes.
pub fn preview_json(value: &Json, chars_max: usize) -> Box<str> {
    let mut out = Preview::new(chars_max);
    out.json(value.text());
    out.finish()
}

/// The values of a tool's arguments side by side, in the order in which they were written: `TODO src`.
pub(super) fn arguments(out: &mut Preview, args: &Json) {
    if args.read::<Arguments<'_>>().map(|args| args.values(out)).is_err() {
        out.json(args.text());
    }
}

/// An object's values, borrowed and in their order.
struct Arguments<'a>(Vec<&'a RawValue>);

impl Arguments<'_> {
    fn values(self, out: &mut Preview) {
        for value in self.0 {
            out.text(" ");
            out.json(value.get());
        }
    }
}

impl<'de> Deserialize<'de> for Arguments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Arguments<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some((IgnoredAny, value)) = map.next_entry()? {
                    values.push(value);
                }
                Ok(Arguments(values))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// Collects characters up to a number.
pub(super) struct Preview {
    text: String,
    left: usize,
    space: bool,
    cut: bool,
}

impl Preview {
    pub(super) fn new(chars_max: usize) -> Self {
        Self { text: String::new(), left: chars_max, space: false, cut: false }
    }

    pub(super) fn finish(mut self) -> Box<str> {
        if self.cut {
            self.text.push('…');
        }
        self.text.into_boxed_str()
    }

    pub(super) fn text(&mut self, text: &str) {
        for c in text.chars() {
            if !self.push(c) {
                return;
            }
        }
    }

    /// A JSON value's text; known to be well-formed.
    pub(super) fn json(&mut self, text: &str) {
        let Some(inside) = text.strip_prefix('"') else { return self.text(text) };
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            let c = match c {
                '"' => return,
                '\\' => unescape(&mut chars),
                plain => plain,
            };
            if !self.push(c) {
                return;
            }
        }
    }

    /// Whether there may be room for more.
    fn push(&mut self, c: char) -> bool {
        if c.is_whitespace() {
            self.space = true;
            return true;
        }
        let needed = 1 + usize::from(self.space && !self.text.is_empty());
        if needed > self.left {
            self.cut = true;
            return false;
        }
        if needed == 2 {
            self.text.push(' ');
        }
        self.space = false;
        self.text.push(c);
        self.left -= needed;
        true
    }
}

/// The character after a backslash in a JSON string.
fn unescape(chars: &mut std::str::Chars<'_>) -> char {
    match chars.next() {
        Some('n' | 'r' | 't') => ' ',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('u') => {
            let high = unit(chars);
            if !(0xd800..0xdc00).contains(&high) {
                return char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
            let mut ahead = chars.clone();
            let low = if ahead.next() == Some('\\') && ahead.next() == Some('u') {
                unit(&mut ahead)
            } else {
                0
            };
            if !(0xdc00..0xe000).contains(&low) {
                return char::REPLACEMENT_CHARACTER;
            }
            *chars = ahead;
            let scalar = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        Some(other) => other,
        None => char::REPLACEMENT_CHARACTER,
    }
}

/// Four hexadecimal digits.
fn unit(chars: &mut std::str::Chars<'_>) -> u32 {
    (0..4).fold(0, |value, _| value * 16 + chars.next().and_then(|c| c.to_digit(16)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_line_cut_at_a_number_of_characters() {
        let cases = [
            (
                r#""two\nlines \u00e9\ud83d\ude00 \"q\" \ud800x""#,
                40,
                "two lines é😀 \"q\" \u{fffd}x",
            ),
            ("{\"a\":\n  [1, 2]}", 40, "{\"a\": [1, 2]}"),
            (r#""abcdef""#, 3, "abc…"),
            (r#""abc   ""#, 3, "abc"),
            ("null", 10, "null"),
        ];
        for (json, max, short) in cases {
            assert_eq!(&*preview_json(&Json::parse(json.to_owned()).unwrap(), max), short);
        }
    }

    #[test]
    fn arguments_are_their_values_in_the_order_in_which_they_were_written() {
        let cases = [
            (r#"{"pattern":"TO\"DO","path":"src"}"#, "TO\"DO src"),
            (r#"{"b":1,"a":[true, "x"]}"#, r#"1 [true, "x"]"#),
            ("{}", ""),
            (r#"["x"]"#, r#"["x"]"#),
            (r#""x""#, "x"),
        ];
        for (json, text) in cases {
            let mut out = Preview::new(40);
            arguments(&mut out, &Json::parse(json.to_owned()).unwrap());
            assert_eq!(&*out.finish(), text);
        }
    }
}
