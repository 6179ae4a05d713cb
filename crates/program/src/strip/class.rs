//! Classes: modifiers, members without a body, `implements`.

use super::Stripper;
use oxc_ast::ast::*;
use oxc_span::{GetSpan, Span};

/// Words before a member's name that only TypeScript knows.
const MODIFIERS: [&str; 7] =
    ["public", "private", "protected", "readonly", "override", "abstract", "declare"];

impl Stripper<'_, '_> {
    /// Blanks `abstract` and `implements A, B`.
    pub(super) fn class_head(&mut self, it: &Class<'_>) {
        if it.r#abstract {
            let at = self.eraser.next_token(it.span.start);
            if self.eraser.word(at) == "abstract" {
                self.eraser.blank(at, at + 8);
            }
        }
        let (Some(_), Some(last)) = (it.implements.first(), it.implements.last()) else { return };
        let mut head = it.span.start;
        head = it.id.as_ref().map_or(head, |id| id.span.end);
        head = it.type_parameters.as_ref().map_or(head, |types| types.span.end);
        if let Some(heritage) = &it.heritage {
            head = heritage.expression.span().end;
            head = heritage.type_arguments.as_ref().map_or(head, |types| types.span.end);
        }
        let mut at = self.eraser.next_token(head);
        // Without a name the first word is `class`, perhaps after `abstract`.
        while at < last.span.start && self.eraser.word(at) != "implements" {
            at = self.eraser.next_token(at + (self.eraser.word(at).len() as u32).max(1));
        }
        self.eraser.blank(at, last.span.end);
    }

    /// Blanks what TypeScript adds to a member's head. Returns whether the whole member went.
    pub(super) fn class_member(&mut self, it: &ClassElement<'_>) -> bool {
        match it {
            ClassElement::TSIndexSignature(it) => self.blank_member(it.span),
            ClassElement::MethodDefinition(it) => {
                let bare = it.value.body.is_none();
                if bare || it.r#type == MethodDefinitionType::TSAbstractMethodDefinition {
                    return self.blank_member(it.span);
                }
                self.modifiers(it.span, it.key.span());
                if it.optional {
                    self.blank_key_mark(it.key.span(), it.computed);
                }
                false
            }
            ClassElement::PropertyDefinition(it) => {
                let r#abstract = it.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition;
                if it.declare || r#abstract {
                    return self.blank_member(it.span);
                }
                self.modifiers(it.span, it.key.span());
                if it.optional || it.definite {
                    self.blank_key_mark(it.key.span(), it.computed);
                }
                false
            }
            ClassElement::AccessorProperty(it) => {
                let hint = "write a `get` and a `set` method over a private field";
                self.refuse(it.span, "an `accessor` field", hint);
                true
            }
            ClassElement::StaticBlock(_) => false,
        }
    }

    fn blank_member(&mut self, span: Span) -> bool {
        self.eraser.blank_statement(span);
        true
    }

    /// Blanks modifiers. One at the very start becomes `;`: the field before it may have ended only by the new
    /// line, and what is left may start with `[` or `*`.
    fn modifiers(&mut self, member: Span, key: Span) {
        let mut at = self.eraser.next_token(member.start);
        while at < key.start {
            let word = self.eraser.word(at);
            let length = (word.len() as u32).max(1);
            if MODIFIERS.contains(&word) {
                self.eraser.blank(at, at + length);
                if at == member.start {
                    self.eraser.put(at, b';');
                }
            }
            at = self.eraser.next_token(at + length);
        }
    }

    /// Blanks the `?` or `!` behind a member's name.
    fn blank_key_mark(&mut self, key: Span, computed: bool) {
        let mut at = self.eraser.next_token(key.end);
        if computed && self.eraser.byte(at) == b']' {
            at = self.eraser.next_token(at + 1);
        }
        if matches!(self.eraser.byte(at), b'?' | b'!') {
            self.eraser.blank(at, at + 1);
        }
    }

    /// A field that ended by its type needs a `;`: what is left of `get: T` would join the next member.
    pub(super) fn end_field(&mut self, it: &PropertyDefinition<'_>) {
        let Some(types) = &it.type_annotation else { return };
        let closed = self.eraser.byte(it.span.end - 1) == b';';
        if it.value.is_none() && !closed && !it.declare {
            self.eraser.put(types.span.start, b';');
        }
    }
}
