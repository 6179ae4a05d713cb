//! A parser's error in our words, with a hint where its place tells what went wrong.

use crate::lines::is_line_break;
use crate::text::{Language, Text};
use loopwright_types::{Code, Diagnostic};
use oxc_diagnostics::OxcDiagnostic;
use oxc_span::Span;

/// One of the parser's errors in our words, with a hint where there is one.
pub(super) fn explain(text: &Text<'_>, error: &OxcDiagnostic) -> Diagnostic {
    let place = Place::of(text, error);
    let report = |message: String| text.error(Code::SYNTAX, place.span, message);
    if let Some((cause, hint)) = another_language(text, error, &place) {
        return report(cause.to_owned()).hint(hint);
    }
    let diagnostic = report(cause(error, &place));
    match hint(text, error, &place) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// Cause and hint of an error that comes from taking the text for something else than it is.
fn another_language(
    text: &Text<'_>,
    error: &OxcDiagnostic,
    place: &Place<'_>,
) -> Option<(&'static str, &'static str)> {
    let Place { token, line, .. } = *place;
    let message = error.message.as_ref();
    if token.starts_with(['“', '”', '‘', '’']) {
        return Some((
            "a typographic quote stands around text",
            "use straight quotes: `\"` or `'`",
        ));
    }
    if ["<<<<<<<", ">>>>>>>"].iter().any(|mark| line.starts_with(mark)) {
        return Some(("a merge conflict is left in the file", "keep one side of it"));
    }
    if is_python(line) {
        return Some(("this looks like Python", "a program is JavaScript or TypeScript"));
    }
    let is_tag = token.starts_with(['<', '/', '>']) && (line.contains("</") || line.contains("/>"));
    if is_tag || message.contains("JSX") {
        return Some(("JSX is not read in programs", "build the text with a template literal"));
    }
    if text.language == Language::JavaScript && looks_typed(message, token) {
        return Some((
            "a type stands in a JavaScript file",
            "types are read in `.ts` files: rename the program",
        ));
    }
    None
}

/// Where an error is, and what stands there.
struct Place<'s> {
    span: Span,
    /// What is marked, or the character there.
    token: &'s str,
    line: &'s str,
    /// Nothing but white space follows.
    at_end: bool,
}

impl<'s> Place<'s> {
    fn of(text: &Text<'s>, error: &OxcDiagnostic) -> Self {
        let labels = &error.labels;
        let second =
            labels.iter().find(|it| it.label().is_some_and(|it| it.contains("redeclared")));
        let label = second.or(labels.iter().find(|label| label.primary())).or(labels.first());
        let (start, length) = label.map_or((0, 0), |label| (label.offset(), label.len()));
        let end = text.source.trim_end().len() as u32;
        let at_end = start >= end;
        let start = start.min(end);
        let span = Span::new(start, if at_end { start } else { start.saturating_add(length) });
        let rest = text.source.get(start as usize..).unwrap_or("");
        let one = rest.chars().next().map_or(0, char::len_utf8);
        let token = if length == 0 { &rest[..one] } else { text.slice(span) };
        let token = token.split(is_line_break).next().unwrap_or("");
        let position = text.lines.position(text.source, start as usize);
        let line = text.lines.line(text.source, position.line).unwrap_or("");
        Self { span, token, line, at_end }
    }
}

/// A Markdown fence around the program, as models like to send it: at its start in any case (text that starts so may
/// even parse, as nested templates), at its end if it does not parse.
pub(super) fn fenced(text: &Text<'_>, parses: bool) -> Option<Diagnostic> {
    let is_fence = |line: &&str| line.trim_start().starts_with("```");
    let solid = |line: &&str| !line.trim().is_empty();
    let first = text.source.lines().find(solid).filter(|line| is_fence(line));
    let last = text.source.lines().rev().find(solid).filter(|line| is_fence(line) && !parses);
    let fence = first.or(last)?;
    let start = fence.as_ptr() as usize - text.source.as_ptr() as usize;
    let span = Span::new(start as u32, (start + fence.len()) as u32);
    let message = "a Markdown code fence stands around the program";
    Some(
        text.error(Code::SYNTAX, span, message)
            .hint("delete the lines that start with three backticks"),
    )
}

/// The one-line cause.
fn cause(error: &OxcDiagnostic, place: &Place<'_>) -> String {
    const ENDS: &str = "the program ends in the middle of a statement";
    let message = error.message.as_ref();
    let token = place.token;
    match message {
        "Unexpected end of file" => ENDS.to_owned(),
        _ if place.at_end && (message.contains("EOF") || message == "Unexpected token") => {
            ENDS.to_owned()
        }
        "Unexpected token" => format!("`{token}` is not expected here"),
        "Unterminated string" if place.at_end => "this template is not closed".to_owned(),
        "Unterminated string" => "this string is not closed".to_owned(),
        "Unterminated multiline comment" => "this comment is not closed".to_owned(),
        "Unterminated regular expression" => "this regular expression is not closed".to_owned(),
        "Illegal break statement" => "`break` stands outside of a loop and a `switch`".to_owned(),
        "Illegal continue statement: no surrounding iteration statement" => {
            "`continue` stands outside of a loop".to_owned()
        }
        "Use of undefined label" => format!("no label `{token}` stands around this"),
        _ if message.starts_with("Invalid Character") => format!("`{token}` is not expected here"),
        _ if message.starts_with("Expected a semicolon") => {
            "a statement must end here, by `;` or a new line".to_owned()
        }
        _ if message.starts_with("`await` is only allowed") => {
            "`await` stands in a function that is not `async`".to_owned()
        }
        _ if message.ends_with("has already been declared") => {
            in_our_voice(message.trim_start_matches("Identifier "))
        }
        _ => in_our_voice(message),
    }
}

/// Lower-case beginnings, backticks for quotes, no full stop.
fn in_our_voice(message: &str) -> String {
    let message = message.trim_end_matches('.');
    let characters: Vec<char> = message.chars().collect();
    let is_part = |at: Option<usize>| {
        at.and_then(|at| characters.get(at)).is_some_and(|c| c.is_alphanumeric())
    };
    let mut said = String::with_capacity(message.len());
    for (at, c) in characters.iter().copied().enumerate() {
        let inside_word = is_part(at.checked_sub(1)) && is_part(Some(at + 1));
        let begins = at == 0 || (at >= 2 && characters[at - 2..at] == [':', ' ']);
        let capitals = characters.get(at + 1).is_some_and(|next| next.is_uppercase());
        match c {
            '\'' if !inside_word => said.push('`'),
            _ if begins && !capitals => said.extend(c.to_lowercase()),
            _ => said.push(c),
        }
    }
    said
}

/// What the author can do about a syntax error, if its place tells.
fn hint(text: &Text<'_>, error: &OxcDiagnostic, place: &Place<'_>) -> Option<String> {
    let message = error.message.as_ref();
    let token = place.token;
    let opened = error.labels.iter().find(|label| label.label() == Some("Opened here"));
    if token
        .starts_with(['；', '，', '（', '）', '：', '｛', '｝', '\u{200b}', '\u{200c}', '\u{200d}'])
    {
        return Some("use the plain ASCII character".to_owned());
    }
    if message.starts_with("`await` is only allowed") {
        return Some("write `async` in front of the function".to_owned());
    }
    if message == "Unterminated string" && !place.at_end {
        return Some("close it on the same line, or write a `template` with backticks".to_owned());
    }
    if message.ends_with("has already been declared")
        && let Some(first) = error.labels.first()
    {
        let first = text.lines.position(text.source, first.offset() as usize);
        return Some(format!(
            "it is declared at {}:{}; use another name",
            first.line, first.column
        ));
    }
    opened.map(|label| {
        let at = label.offset() as usize;
        let opened = text.lines.position(text.source, at);
        let bracket = text.source.get(at..at + 1).unwrap_or("bracket");
        format!("`{bracket}` was opened at {}:{}", opened.line, opened.column)
    })
}

fn is_python(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("def ") && line.ends_with(':')
        || line.starts_with("from ") && line.contains(" import ")
        || line.starts_with("import ") && !line.contains(['"', '\'', '{', '*'])
        || line.starts_with("if __name__")
}

fn looks_typed(message: &str, token: &str) -> bool {
    message.contains("TypeScript files")
        || message.contains("found `:`")
        || [":", "as", "satisfies", "interface", "enum", "type", "!"].contains(&token)
}
