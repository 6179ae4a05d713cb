//! Types and module syntax out of the text; TypeScript that would have to be compiled is refused.

mod class; // modifiers, members without a body, `implements`
mod expression; // `as`, `!`, arrows, parameters
mod module; // import and export
mod statement; // type declarations, enums, namespaces
mod visit; // which node goes where

use crate::erase::Eraser;
use crate::imports::Import;
use crate::text::Text;
use loopwright_types::{Code, Diagnostic};
use oxc_ast::ast::Program;
use oxc_ast_visit::Visit;
use oxc_span::Span;

/// What the text is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// An async script: imports and exports go.
    Script,
    /// An ES module: imports and exports stay.
    Module,
}

/// A text without types.
pub(crate) struct Stripped {
    pub(crate) code: String,
    pub(crate) imports: Vec<Import>,
    /// Names a library exports; not filled for a script.
    pub(crate) exports: Vec<String>,
    /// Whether there was module syntax other than `export const meta`.
    pub(crate) strict: bool,
    pub(crate) problems: Vec<Diagnostic>,
}

/// Walks the tree and marks what goes.
struct Stripper<'t, 's> {
    text: &'t Text<'s>,
    goal: Goal,
    eraser: Eraser<'s>,
    imports: Vec<Import>,
    exports: Vec<String>,
    strict: bool,
    problems: Vec<Diagnostic>,
}

/// Strips a parsed text.
pub(crate) fn strip<'s>(text: &Text<'s>, tree: &Program<'s>, goal: Goal) -> Stripped {
    let comments = tree.comments.iter().map(|comment| comment.span).collect();
    let mut stripper = Stripper {
        text,
        goal,
        eraser: Eraser::new(text.source, comments),
        imports: Vec::new(),
        exports: Vec::new(),
        strict: false,
        problems: Vec::new(),
    };
    if let Some(hashbang) = &tree.hashbang {
        stripper.eraser.blank_span(hashbang.span);
    }
    stripper.visit_program(tree);
    let Stripper { eraser, imports, exports, strict, problems, .. } = stripper;
    Stripped { code: eraser.finish(), imports, exports, strict, problems }
}

impl Stripper<'_, '_> {
    fn problem(&mut self, code: Code, span: Span, message: String, hint: impl Into<String>) {
        let diagnostic = self.text.error(code, span, message).hint(hint);
        self.problems.push(diagnostic);
    }

    /// TypeScript with a runtime meaning.
    fn refuse(&mut self, span: Span, construct: &str, hint: &str) {
        let message =
            format!("{construct} would have to be compiled, and a program runs as written");
        self.problem(Code::TYPESCRIPT_NOT_ERASABLE, span, message, hint);
    }
}
