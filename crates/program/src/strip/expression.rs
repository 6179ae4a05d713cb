//! Types inside expressions, parameters and arrow functions.

use super::Stripper;
use oxc_ast::ast::*;
use oxc_span::{GetSpan, Span};
use oxc_syntax::precedence::{GetPrecedence, Precedence};

impl Stripper<'_, '_> {
    /// Blanks the type that ends an expression, as in `a as T`.
    ///
    /// After a type, `(`, `[` or a template can only begin a new statement; after the expression alone it would
    /// be a call, an index or a tag. A `;` keeps the two statements apart.
    pub(super) fn blank_tail(&mut self, start: u32, end: u32) {
        self.eraser.blank(start, end);
        let next = self.eraser.next_token(end);
        let continues = matches!(self.eraser.byte(next), b'(' | b'[' | b'`');
        if continues && self.eraser.breaks_line(end, next) {
            self.eraser.put(self.eraser.next_token(start), b';');
        }
    }

    /// Refuses `a + b as T * c`: with the type gone, `b * c` would come first.
    pub(super) fn typed_operand(&mut self, left: &Expression<'_>, outer: Precedence, whole: Span) {
        let mut inner = left;
        loop {
            inner = match inner {
                Expression::TSAsExpression(it) => &it.expression,
                Expression::TSSatisfiesExpression(it) => &it.expression,
                _ => break,
            };
        }
        let own = match inner {
            Expression::BinaryExpression(it) => it.operator.precedence(),
            Expression::LogicalExpression(it) => it.operator.precedence(),
            Expression::PrivateInExpression(_) => Precedence::Compare,
            Expression::UnaryExpression(_) | Expression::AwaitExpression(_) => Precedence::Prefix,
            _ => return,
        };
        let regroups = outer > own || outer == Precedence::Exponentiation;
        let mixes = outer == Precedence::NullishCoalescing
            && matches!(own, Precedence::LogicalOr | Precedence::LogicalAnd);
        if !std::ptr::eq(inner, left) && (regroups || mixes) {
            let construct = "a type between two operators that group differently without it";
            self.refuse(
                whole,
                construct,
                "put what has the type in parentheses: `(a + b as T) * c`",
            );
        }
    }

    /// Blanks a `?` or `!` that is the next token.
    pub(super) fn blank_mark_after(&mut self, offset: u32, mark: u8) {
        let at = self.eraser.next_token(offset);
        if self.eraser.byte(at) == mark {
            self.eraser.blank(at, at + 1);
        }
    }

    /// Blanks `this: T` and the comma behind it.
    pub(super) fn this_parameter(&mut self, it: &Function<'_>) {
        let Some(this) = &it.this_param else { return };
        self.eraser.blank_span(this.span);
        self.blank_mark_after(this.span.end, b',');
    }

    pub(super) fn parameter(&mut self, it: &FormalParameter<'_>) {
        if it.accessibility.is_some() || it.readonly || it.r#override {
            let hint = "declare a field and assign it in the constructor";
            self.refuse(it.span, "a parameter property", hint);
        }
        if it.optional {
            self.blank_mark_after(it.pattern.span().end, b'?');
        }
    }

    /// A line break must not come between `return` and an arrow's `(`, nor between its `)` and `=>`. Where blanking
    /// leaves one there, the parenthesis moves to the other end of the blanked type.
    pub(super) fn keep_arrow_on_its_line(&mut self, it: &ArrowFunctionExpression<'_>) {
        let params = it.params.span;
        if let Some(types) = &it.type_parameters
            && self.eraser.breaks_line(types.span.start, params.start)
            && self.eraser.byte(params.start) == b'('
        {
            self.eraser.blank(params.start, params.start + 1);
            self.eraser.put(types.span.start, b'(');
        }
        if let Some(result) = &it.return_type
            && self.eraser.breaks_line(params.end, result.span.end)
            && self.eraser.byte(params.end - 1) == b')'
        {
            self.eraser.blank(params.end - 1, params.end);
            self.eraser.put(result.span.end - 1, b')');
        }
    }

    pub(super) fn type_assertion(&mut self, it: &TSTypeAssertion<'_>) {
        self.refuse(it.span, "a cast in angle brackets", "write `value as Type`");
    }

    pub(super) fn decorator(&mut self, it: &Decorator<'_>) {
        self.refuse(it.span, "a decorator", "call the function on the class or method yourself");
    }
}
