//! A bound on recursion before the parser starts. The parser and every walk over its tree recurse, so text alone could
//! otherwise overflow the host's stack.
//!
//! Two lines of defence. A scan refuses text that nests or chains deeper than any person writes; it can be misled
//! about where a regular expression ends. So the stack is also made large enough for all brackets and operators of
//! the text to be nested, whatever they mean. That memory is reserved and only touched as far as it is needed.

mod scan; // how deep a text nests, without parsing it

use crate::report::Report;
use crate::text::Text;
use loopwright_types::Code;
use oxc_span::Span;

/// How deep brackets may nest. The guest's own parser gives up not far above.
pub const NESTING_MAX: usize = 256;

/// How many operators may follow each other without `,` or `;` between them.
pub(crate) const CHAIN_MAX: usize = 30_000;

/// How many `<` and `?` may follow each other without `;` between them.
pub(crate) const GUESS_MAX: usize = 400;

/// Stack that one bracket can cost in a debug build, measured at 3,767 bytes for tuple types.
const BRACKET_BYTES: usize = 4096;

/// Stack that one operator or keyword can cost in a debug build, measured at 2,752 bytes for `a<a<a`, 1,300 else.
const OPERATOR_BYTES: usize = 2800;

/// Stack for what is there without any nesting.
const BASE_BYTES: usize = 256 << 10;

/// Above this the text is refused: it has more brackets than a program of its size could use.
const STACK_BYTES_MAX: usize = 1 << 30;

/// Runs `work` on a stack that the text cannot overflow.
///
/// # Errors
/// `LW0107` when the text nests too deep.
pub(crate) fn with_stack_for<T>(text: &Text<'_>, work: impl FnOnce() -> T) -> Result<T, Report> {
    if let Some(excess) = scan::excess(text.source) {
        let at = u32::try_from(excess.at).unwrap_or(u32::MAX);
        let message = match excess.what {
            scan::What::Nesting => format!("brackets nest deeper than {NESTING_MAX} here"),
            scan::What::Chain => "too many operators follow each other here".to_owned(),
        };
        let error = text.error(Code::PROGRAM_TOO_LARGE, Span::new(at, at + 1), message);
        return Err(text
            .report(vec![error.hint("split it into statements, or hand the data in as `args`")]));
    }
    let bytes = stack_bytes(text.source);
    if bytes > STACK_BYTES_MAX {
        let message =
            format!("`{}` has too many brackets and operators to be read safely", text.name);
        let error = text.error(Code::PROGRAM_TOO_LARGE, Span::new(0, 1), message);
        return Err(text.report(vec![error.hint("hand data to the program as `args`")]));
    }
    let enough = stacker::remaining_stack().is_some_and(|left| left >= bytes);
    Ok(if enough { work() } else { stacker::grow(bytes, work) })
}

/// Stack for the case that everything in the text that can nest is nested.
fn stack_bytes(source: &str) -> usize {
    let mut bytes = BASE_BYTES;
    let mut word_start = None;
    for (at, byte) in source.bytes().enumerate() {
        if byte.is_ascii_alphabetic() {
            word_start.get_or_insert(at);
            continue;
        }
        if let Some(start) = word_start.take()
            && scan::is_recursing_word(&source[start..at])
        {
            bytes += OPERATOR_BYTES;
        }
        bytes += match byte {
            b'(' | b'[' | b'{' => BRACKET_BYTES,
            b'<' => OPERATOR_BYTES,
            // The rest of what recurses costs at most half of that.
            b'=' | b'!' | b'?' | b'+' | b'-' | b'*' | b'/' | b'~' | b'.' | b'&' | b'|' | b'^'
            | b'%' | b'>' | b':' | b')' | b']' | b'`' => OPERATOR_BYTES / 2,
            _ => 0,
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    /// Constructs that recurse: what opens them, what is innermost, what closes them.
    const DEEP: &[(&str, &str, &str)] = &[
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{", "", "}"),
        ("let x: [", "a", "]"),
        ("a<", "b", ""),
        ("!", "1", ""),
        ("a=>", "1", ""),
        ("(function(){return ", "1", "})"),
        ("(class{m(){", "", "}})"),
        ("`${", "1", "}`"),
        ("new ", "A", ""),
        ("1**", "1", ""),
        ("if(a)b;else ", "c", ""),
        ("", "a", "()"),
        ("", "a", "![0].b"),
        ("a+", "b", ""),
        ("await ", "b", ""),
        ("", "x", " as y"),
    ];

    #[test]
    fn any_depth_is_parsed_or_refused_and_never_overflows() {
        for (open, inner, close) in DEEP {
            for depth in [50, 250, 4_000, 40_000] {
                let source = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
                let parsed = parse("deep.ts", &source);
                if depth == 40_000 && !source.contains(';') {
                    let report = parsed.expect_err(open);
                    assert_eq!(report.diagnostics[0].code, Code::PROGRAM_TOO_LARGE, "{open}");
                }
            }
        }
    }

    #[test]
    fn depth_hidden_from_the_scan_does_not_overflow() {
        // To the scan ` "` after `++` is a regular expression, and the brackets are a string.
        let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
        let source = format!("x = a++ / \"/\" + {deep}");
        assert!(scan::excess(&source).is_none(), "the scan is not misled, so this tests nothing");
        let _ = parse("hidden.js", &source);
    }

    #[test]
    fn ordinary_large_programs_are_not_refused() {
        let cases = [
            "const row = [{ a: 1, b: 'x(', c: [1, 2] }, \"((\", /[(]/, `${1} ((`]; // ((\n"
                .repeat(5_000),
            "/* (( */ await agent(`(((`, { label: a.b })\n".repeat(5_000),
            format!("x = {}''", "'part' +\n".repeat(20_000)),
        ];
        for source in cases {
            assert!(scan::excess(&source).is_none(), "{}", &source[..60]);
            assert!(stack_bytes(&source) < STACK_BYTES_MAX);
        }
    }
}
