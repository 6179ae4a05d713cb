//! The author's text with its name, its language and its lines.

use crate::limits::PROGRAM_BYTES_MAX;
use crate::lines::{Lines, boundary, is_line_break};
use crate::report::Report;
use loopwright_types::{Code, Diagnostic};
use oxc_span::{SourceType, Span};

/// What the text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    JavaScript,
    TypeScript,
}

impl Language {
    /// By the file name's extension; what has no known one is TypeScript, of which JavaScript is a part.
    fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("js" | "mjs" | "cjs" | "jsx") => Self::JavaScript,
            _ => Self::TypeScript,
        }
    }

    /// Module syntax for both: it is the parser's only goal with a top-level `await`.
    pub(crate) fn source_type(self) -> SourceType {
        match self {
            Self::JavaScript => SourceType::mjs(),
            Self::TypeScript => SourceType::ts().with_module(true),
        }
    }
}

/// A number with a comma between groups of three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(|group| String::from_utf8_lossy(group)).collect();
    groups.join(",")
}

/// A program's text before anything is done to it.
pub(crate) struct Text<'s> {
    pub(crate) name: &'s str,
    /// Without a byte order mark.
    pub(crate) source: &'s str,
    pub(crate) language: Language,
    pub(crate) lines: Lines,
}

impl<'s> Text<'s> {
    /// Takes byte order marks off.
    ///
    /// # Errors
    /// `LW0107` when the text is over its size limit.
    pub(crate) fn new(name: &'s str, source: &'s str) -> Result<Self, Report> {
        let source = source.trim_start_matches('\u{feff}');
        if source.len() > PROGRAM_BYTES_MAX {
            let (bytes, limit) = (grouped(source.len()), grouped(PROGRAM_BYTES_MAX));
            let message = format!("`{name}` is {bytes} bytes (limit {limit})");
            let hint = "hand data to the program as `args`, or read it with `tools.readFile`";
            let diagnostic = Diagnostic::new(Code::PROGRAM_TOO_LARGE, message).hint(hint);
            return Err(Report { source: String::new(), diagnostics: vec![diagnostic] });
        }
        Ok(Self { name, source, language: Language::of(name), lines: Lines::of(source) })
    }

    /// What is left of a text without its types.
    pub(crate) fn untyped(name: &'s str, source: &'s str) -> Self {
        Self { name, source, language: Language::JavaScript, lines: Lines::of(source) }
    }

    /// The text of a span; empty when the span is not one of this text.
    pub(crate) fn slice(&self, span: Span) -> &'s str {
        self.source.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// An error at a span; the mark ends with the span's first line.
    pub(crate) fn error(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        let start = boundary(self.source, span.start as usize);
        let end = boundary(self.source, (span.end as usize).max(start));
        let marked = self.source[start..end].split(is_line_break).next().unwrap_or("");
        let length = u32::try_from(marked.chars().count()).unwrap_or(u32::MAX);
        Diagnostic::new(code, message).at(
            self.name,
            self.lines.position(self.source, start),
            length,
        )
    }

    /// A report of this text's errors, in the order of their places.
    pub(crate) fn report(&self, mut diagnostics: Vec<Diagnostic>) -> Report {
        debug_assert!(!diagnostics.is_empty(), "a report has at least one error");
        diagnostics.sort_by_key(|diagnostic| {
            diagnostic.location.as_ref().map(|at| (at.position.line, at.position.column))
        });
        diagnostics.truncate(crate::limits::DIAGNOSTICS_MAX);
        Report { source: self.source.to_owned(), diagnostics }
    }
}
