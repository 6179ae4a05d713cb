//! The parser, and its errors in our words.

mod explain; // a parser's error in our words

use self::explain::{explain, fenced};
use crate::report::Report;
use crate::text::{Language, Text};
use loopwright_types::{Code, Diagnostic};
use oxc_allocator::Allocator;
use oxc_ast::ast::Program;
use oxc_parser::{ParseOptions, Parser};
use oxc_semantic::SemanticBuilder;

/// Whether `return` may stand outside of functions: yes in a program, no in a library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopLevelReturn {
    Allowed,
    Refused,
}

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
        parse_regular_expression: true,
        ..ParseOptions::default()
    };
    let parser = Parser::new(allocator, text.source, text.language.source_type());
    let parsed = parser.with_options(options).parse();
    let mut tree = parsed.program;
    let errors = parsed.diagnostics.errors().map(|error| explain(text, error));
    let mut diagnostics = most_telling(errors.collect());
    if diagnostics.is_empty() && parsed.panicked {
        diagnostics.push(Diagnostic::new(Code::SYNTAX, "the text cannot be read as a program"));
    }
    if diagnostics.is_empty() {
        if top_level_return == TopLevelReturn::Allowed {
            // What runs is a script: it may be sloppy, whatever the parser had to be told for its `await`.
            tree.source_type = tree.source_type.with_script(true);
        }
        let semantics = SemanticBuilder::new().with_check_syntax_error(true).build(&tree);
        let errors = semantics.diagnostics.errors();
        // `export const meta` stays sloppy: the script that runs has the `export` blanked.
        let errors = errors.filter(|error| !error.message.contains("outside a module"));
        diagnostics = errors.map(|error| explain(text, error)).collect();
    }
    if let Some(fence) = fenced(text, diagnostics.is_empty()) {
        diagnostics = vec![fence];
    }
    if diagnostics.is_empty() { Ok(tree) } else { Err(text.report(diagnostics)) }
}

/// Parses what is left of a typed text, as the plain JavaScript it is to be. What is an error without the types, such as
/// two exports of one name, is the author's error at the same place.
///
/// # Errors
/// `LW0101` for each place that does not parse.
pub(crate) fn check_stripped(
    text: &Text<'_>,
    code: &str,
    top_level_return: TopLevelReturn,
) -> Result<(), Report> {
    if text.language == Language::JavaScript {
        return Ok(());
    }
    let allocator = Allocator::default();
    let stripped = Text::untyped(text.name, code);
    match parse(&allocator, &stripped, top_level_return) {
        Ok(_) => Ok(()),
        Err(report) => Err(Report { source: text.source.to_owned(), ..report }),
    }
}

/// The first of the parser's errors that comes with a hint, else the first: what follows is mostly their echo.
fn most_telling(mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let telling = errors.iter().position(|error| error.hint.is_some()).unwrap_or(0);
    errors.drain(..).skip(telling).take(1).collect()
}
