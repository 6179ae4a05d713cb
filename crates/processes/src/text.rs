//! Text from outside made fit to be shown: bounded, one line, no control characters.

/// The text with what a terminal would act on escaped, cut after `characters_max` characters with `…`.
/// Line ends become ` | `, so that the result is one line.
pub fn shown(text: &str, characters_max: usize) -> String {
    let mut out = String::new();
    for (count, c) in text.trim_end().chars().enumerate() {
        if count == characters_max {
            out.push('…');
            break;
        }
        match c {
            '\r' => {}
            '\n' => out.push_str(" | "),
            '\t' => out.push(' '),
            c if is_active(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Control characters, and the invisible ones that turn the direction of text or hide in it.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        let cases = [
            ("plain: äöü ✓", "plain: äöü ✓"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("one\r\n two\t3\n\n", "one |  two 3"),
            ("a\u{202e}b\u{9b}c", "a\\u{202e}b\\u{9b}c"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text, 100), expected);
        }
        assert_eq!(shown("abcdef", 3), "abc…");
        assert_eq!(shown("abc", 3), "abc");
    }
}
