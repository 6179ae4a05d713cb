//! The parser, and its errors in our words.

use crate::report::Report;
use crate::text::{Language, Text};
use loopwright_types::{Code, Diagnostic};
use oxc_allocator::Allocator;
use oxc_ast::ast::Program;
use oxc_diagnostics::{OxcDiagnostic, Severity};
use oxc_parser::{ParseOptions, Parser};
use oxc_span::Span;

/// Whether `return` may stand outside of functions: yes in a program, no in a library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopLevelReturn {
    Allowed,
    Refused,
}

/// Errors kept of one parse; the parser recovers from few, so the rest is mostly an echo of the first.
const SYNTAX_ERRORS_MAX: usize = 3;

/// Parses a text.
///
/// # Errors
/// `LW0101` for each place that does not parse.
pub(crate) fn parse<'a>(
    allocator: &'a Allocator,
    text: &Text<'a>,
    top_level_return: TopLevelReturn,
) -> Result<Program<'a>, Report> {
    let options = ParseOptions {
        allow_return_outside_function: top_level_return == TopLevelReturn::Allowed,
        ..ParseOptions::default()
    };
    let parser = Parser::new(allocator, text.source, text.language.source_type());
    let parsed = parser.with_options(options).parse();
    let errors = parsed.diagnostics.errors().filter(|error| error.severity == Severity::Error);
    let mut diagnostics: Vec<_> =
        errors.take(SYNTAX_ERRORS_MAX).map(|error| explain(text, error)).collect();
    if diagnostics.is_empty() && parsed.panicked {
        diagnostics.push(Diagnostic::new(Code::SYNTAX, "the text cannot be read as a program"));
    }
    if diagnostics.is_empty() { Ok(parsed.program) } else { Err(text.report(diagnostics)) }
}

/// One of the parser's errors in our words, with a hint where there is one.
fn explain(text: &Text<'_>, error: &OxcDiagnostic) -> Diagnostic {
    if let Some(diagnostic) = fenced(text) {
        return diagnostic;
    }
    let label = error.labels.iter().find(|label| label.primary()).or(error.labels.first());
    let span = label.map_or(Span::new(0, 0), |label| {
        let start = label.offset();
        Span::new(start, start.saturating_add(label.len()))
    });
    let message = cause(text, error, span);
    let diagnostic = text.error(Code::SYNTAX, span, message);
    match hint(text, error, span) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// A Markdown fence around the program, as models like to send it.
fn fenced(text: &Text<'_>) -> Option<Diagnostic> {
    let is_fence = |line: &&str| line.trim_start().starts_with("```");
    let numbered = (1..=text.lines.count() as u32).filter_map(|n| text.lines.line(text.source, n));
    let solid: Vec<&str> = numbered.filter(|line| !line.trim().is_empty()).collect();
    let fence = solid.first().filter(|line| is_fence(line));
    let fence = fence.or(solid.last().filter(|line| is_fence(line)))?;
    let start = fence.as_ptr() as usize - text.source.as_ptr() as usize;
    let span = Span::new(start as u32, (start + fence.len()) as u32);
    let message = "a Markdown code fence stands around the program";
    Some(text.error(Code::SYNTAX, span, message).hint("delete the lines that start with ``` "))
}

/// The one-line cause.
fn cause(text: &Text<'_>, error: &OxcDiagnostic, span: Span) -> String {
    let message = error.message.as_ref();
    let ends = span.start as usize >= text.source.trim_end().len();
    let token = text.slice(span).lines().next().unwrap_or("");
    match message {
        _ if ends && (message.contains("EOF") || message == "Unexpected token") => {
            "the program ends in the middle of a statement".to_owned()
        }
        "Unexpected end of file" => "the program ends in the middle of a statement".to_owned(),
        "Unexpected token" => format!("`{token}` is not expected here"),
        "Unterminated string" => "this string is not closed".to_owned(),
        "Unterminated multiline comment" => "this comment is not closed".to_owned(),
        "Unterminated regular expression" => "this regular expression is not closed".to_owned(),
        _ if message.starts_with("Expected a semicolon") => {
            "a statement must end here, by `;` or a new line".to_owned()
        }
        _ => in_our_voice(message),
    }
}

/// Lower-case first letter, backticks for quotes, no full stop.
fn in_our_voice(message: &str) -> String {
    let message = message.trim_end_matches('.').replace('\'', "`");
    let mut characters = message.chars();
    match characters.next() {
        // A word in capitals or a name in quotes keeps its spelling.
        Some(first) if !characters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => message,
    }
}

/// What the author can do about a syntax error, if its place tells.
fn hint(text: &Text<'_>, error: &OxcDiagnostic, span: Span) -> Option<String> {
    let message = error.message.as_ref();
    let token = text.slice(span);
    let position = text.lines.position(text.source, span.start as usize);
    let line = text.lines.line(text.source, position.line).unwrap_or("");
    let opened = error.labels.iter().find(|label| label.label() == Some("Opened here"));
    if line.contains(['“', '”', '‘', '’']) {
        return Some("use straight quotes: `\"` or `'`".to_owned());
    }
    if token
        .starts_with(['；', '，', '（', '）', '：', '｛', '｝', '\u{200b}', '\u{200c}', '\u{200d}'])
    {
        return Some("use the plain ASCII character".to_owned());
    }
    if ["<<<<<<<", ">>>>>>>"].iter().any(|mark| line.starts_with(mark)) {
        return Some("a merge conflict is left in the file: keep one side of it".to_owned());
    }
    if is_python(line) {
        return Some("a program is JavaScript or TypeScript; this looks like Python".to_owned());
    }
    if message.contains("JSX") || line.contains("</") || line.contains("/>") {
        return Some(
            "JSX is not read in programs: build the text with a template literal".to_owned(),
        );
    }
    if text.language == Language::JavaScript && looks_typed(message, token) {
        return Some("types are read in `.ts` files only: rename the program".to_owned());
    }
    if token.starts_with("await") || message.contains("await") {
        return Some("`await` needs an `async` function around it, or the top level".to_owned());
    }
    if message == "Unterminated string" {
        return Some("close it on the same line, or write a `template` with backticks".to_owned());
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
