//! Import and export. A script loses both; a module keeps what is not a type.

use super::{Goal, Stripper};
use crate::imports::{Binding, Import, check_specifier};
use loopwright_types::Code;
use oxc_ast::ast::*;
use oxc_span::{GetSpan, Span};

impl<'a> Stripper<'_, 'a> {
    pub(super) fn import(&mut self, it: &ImportDeclaration<'a>) {
        let specifiers = it.specifiers.as_ref().map_or(&[][..], |list| list.as_slice());
        let all_types = !specifiers.is_empty() && specifiers.iter().all(is_type_specifier);
        if it.import_kind.is_type() || all_types {
            self.eraser.blank_statement(it.span);
            return;
        }
        self.strict = true;
        if it.with_clause.is_some() || it.phase.is_some() {
            let message = "a program imports only plain modules".to_owned();
            self.problem(
                Code::IMPORT_REFUSED,
                it.span,
                message,
                "delete what stands behind the name",
            );
            return;
        }
        let values = specifiers.iter().filter(|specifier| !is_type_specifier(specifier));
        let bindings: Vec<Binding> = values.map(binding).collect();
        self.check_import(it.source.value.as_str(), it.source.span, &bindings, specifiers);
        self.record(it.source.value.as_str(), it.source.span, bindings, false);
        match self.goal {
            Goal::Script => self.eraser.blank_statement(it.span),
            Goal::Module => {
                for specifier in specifiers.iter().filter(|specifier| is_type_specifier(specifier))
                {
                    self.blank_list_item(specifier.span());
                }
            }
        }
    }

    pub(super) fn dynamic_import(&mut self, it: &ImportExpression<'a>) {
        let literal = match &it.source {
            Expression::StringLiteral(literal) => Some((literal.value.as_str(), literal.span)),
            Expression::TemplateLiteral(template) => {
                template.single_quasi().map(|text| (text.as_str(), template.span))
            }
            _ => None,
        };
        let Some((specifier, span)) = literal else {
            let message = "what is imported must be known before the program runs".to_owned();
            let hint = "name the module by a string: `import(\"library:name\")`";
            return self.problem(Code::IMPORT_REFUSED, it.source.span(), message, hint);
        };
        self.check_import(specifier, span, &[], &[]);
        self.record(specifier, span, Vec::new(), true);
    }

    pub(super) fn import_meta(&mut self, it: &ImportMeta) {
        let message = "`import.meta` does not exist in a program".to_owned();
        let hint = "a program has no address; what it needs comes in as `args`";
        self.problem(Code::IMPORT_REFUSED, it.span, message, hint);
    }

    fn check_import(
        &mut self,
        specifier: &str,
        span: Span,
        bindings: &[Binding],
        specifiers: &[ImportDeclarationSpecifier<'a>],
    ) {
        if let Err(refused) = check_specifier(specifier) {
            return self.problem(Code::IMPORT_REFUSED, span, refused.message, refused.hint);
        }
        for binding in bindings {
            let Some(unknown) = binding.unknown_in(specifier) else { continue };
            let named = specifiers.iter().find(|s| s.local().name.as_str() == binding.local());
            let place = named.map_or(span, |specifier| specifier.span());
            self.problem(Code::IMPORT_NAME_UNKNOWN, place, unknown.message, unknown.hint);
        }
    }

    fn record(&mut self, specifier: &str, span: Span, bindings: Vec<Binding>, dynamic: bool) {
        let position = self.text.lines.position(self.text.source, span.start as usize);
        self.imports.push(Import { specifier: specifier.to_owned(), bindings, position, dynamic });
    }

    /// `export` in front of a declaration.
    pub(super) fn export_declaration(&mut self, it: &ExportDeclaration<'a>) {
        match self.goal {
            Goal::Script => {
                self.eraser.blank(it.span.start, it.span.start + "export".len() as u32);
                self.strict |= !declares_meta(&it.declaration);
            }
            Goal::Module => declared_names(&it.declaration, &mut self.exports),
        }
    }

    /// `export { a, type B }`.
    pub(super) fn export_list(&mut self, it: &ExportNamedDeclaration<'a>) {
        if it.export_kind.is_type() {
            return self.eraser.blank_statement(it.span);
        }
        match self.goal {
            Goal::Script => {
                self.strict = true;
                self.eraser.blank_statement(it.span);
            }
            Goal::Module => {
                for specifier in &it.specifiers {
                    if specifier.export_kind.is_type() {
                        self.blank_list_item(specifier.span);
                    } else {
                        self.exports.push(specifier.exported.name().to_string());
                    }
                }
            }
        }
    }

    /// `export … from "…"`.
    pub(super) fn export_from(&mut self, it: &ExportFromDeclaration<'a>) {
        let all_types = it.specifiers.iter().all(|specifier| specifier.export_kind.is_type());
        if it.export_kind.is_type() || (all_types && !it.specifiers.is_empty()) {
            return self.eraser.blank_statement(it.span);
        }
        if self.goal == Goal::Script {
            return self.export_from_elsewhere(it.span);
        }
        let mut bindings = Vec::new();
        for specifier in &it.specifiers {
            if specifier.export_kind.is_type() {
                self.blank_list_item(specifier.span);
                continue;
            }
            let local = specifier.exported.name().to_string();
            bindings.push(Binding::Named {
                imported: specifier.local.name().to_string(),
                local: local.clone(),
            });
            self.exports.push(local);
        }
        self.check_import(it.source.value.as_str(), it.source.span, &bindings, &[]);
        self.record(it.source.value.as_str(), it.source.span, bindings, false);
    }

    /// `export * from "…"`.
    pub(super) fn export_all(&mut self, it: &ExportAllDeclaration<'a>) {
        if it.export_kind.is_type() {
            return self.eraser.blank_statement(it.span);
        }
        self.export_from_elsewhere(it.span);
    }

    fn export_from_elsewhere(&mut self, span: Span) {
        let message = "another module's exports are not passed on like this".to_owned();
        let hint = "`import` the names, then export them by name";
        self.problem(Code::IMPORT_REFUSED, span, message, hint);
    }

    /// `export default …`. Returns whether what is exported has to be walked.
    pub(super) fn export_default(&mut self, it: &ExportDefaultDeclaration<'a>) -> bool {
        let named = match &it.declaration {
            ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => {
                self.eraser.blank_statement(it.span);
                return false;
            }
            ExportDefaultDeclarationKind::FunctionDeclaration(function) => {
                if function.body.is_none() {
                    self.eraser.blank_statement(it.span);
                    return false;
                }
                function.id.is_some()
            }
            ExportDefaultDeclarationKind::ClassDeclaration(class) => class.id.is_some(),
            _ => false,
        };
        match self.goal {
            Goal::Module => self.exports.push("default".to_owned()),
            Goal::Script => self.blank_export_default(it.span.start, named),
        }
        true
    }

    /// A named function or class stays a declaration. Any other value becomes that of an expression statement,
    /// `void 0 ,      value`, which has the length of `export default value`.
    fn blank_export_default(&mut self, start: u32, named: bool) {
        self.strict = true;
        let after = start + "export".len() as u32;
        let default = self.eraser.next_token(after);
        self.eraser.blank(start, after);
        self.eraser.blank(default, default + "default".len() as u32);
        if !named {
            for (offset, character) in (start..).zip(*b"void") {
                self.eraser.put(offset, character);
            }
            self.eraser.put(start + 5, b'0');
            self.eraser.put(default, b',');
        }
    }

    /// Blanks one item of `{ a, b }` with the comma behind it.
    fn blank_list_item(&mut self, span: Span) {
        self.eraser.blank_span(span);
        self.blank_mark_after(span.end, b',');
    }
}

fn is_type_specifier(it: &ImportDeclarationSpecifier<'_>) -> bool {
    matches!(it, ImportDeclarationSpecifier::ImportSpecifier(it) if it.import_kind.is_type())
}

fn binding(it: &ImportDeclarationSpecifier<'_>) -> Binding {
    let local = it.local().name.to_string();
    match it {
        ImportDeclarationSpecifier::ImportSpecifier(it) => {
            Binding::Named { imported: it.imported.name().to_string(), local }
        }
        ImportDeclarationSpecifier::ImportDefaultSpecifier(_) => Binding::Default { local },
        ImportDeclarationSpecifier::ImportNamespaceSpecifier(_) => Binding::Namespace { local },
    }
}

/// Whether the declaration is that of `meta` alone.
fn declares_meta(it: &Declaration<'_>) -> bool {
    let Declaration::VariableDeclaration(it) = it else { return false };
    it.declarations.iter().all(|it| it.id.get_identifier_name().is_some_and(|name| name == "meta"))
}

fn declared_names(it: &Declaration<'_>, names: &mut Vec<String>) {
    match it {
        Declaration::VariableDeclaration(it) => {
            for declarator in &it.declarations {
                let bound = declarator.id.get_binding_identifiers();
                names.extend(bound.iter().map(|bound| bound.name.to_string()));
            }
        }
        Declaration::FunctionDeclaration(it) => {
            names.extend(it.id.iter().map(|id| id.name.to_string()))
        }
        Declaration::ClassDeclaration(it) => {
            names.extend(it.id.iter().map(|id| id.name.to_string()))
        }
        _ => {}
    }
}
