//! Statements that are types only go; enums and namespaces with values are refused.

use super::Stripper;
use oxc_ast::ast::*;
use oxc_span::{GetSpan, Span};

impl<'a> Stripper<'_, 'a> {
    /// Blanks or refuses a statement that TypeScript added. Returns whether it was one.
    pub(super) fn type_statement(&mut self, it: &Statement<'a>) -> bool {
        match it {
            Statement::TSExportAssignment(it) => {
                self.refuse(it.span, "`export =`", "write `export default`");
                true
            }
            Statement::TSNamespaceExportDeclaration(it) => {
                self.refuse(it.span, "`export as namespace`", "delete it");
                true
            }
            _ => it.as_declaration().is_some_and(|it| self.type_declaration(it, it.span())),
        }
    }

    /// The same for `export type …` and the like, where the whole export goes.
    pub(super) fn type_export(&mut self, it: &ExportDeclaration<'a>) -> bool {
        self.type_declaration(&it.declaration, it.span)
    }

    fn type_declaration(&mut self, it: &Declaration<'a>, whole: Span) -> bool {
        if is_type_only(it) {
            self.eraser.blank_statement(whole);
            return true;
        }
        match it {
            Declaration::TSEnumDeclaration(it) => {
                let hint = format!(
                    "write `const {0} = {{ … }} as const` and `type {0} = (typeof {0})[keyof typeof {0}]`",
                    it.id.name
                );
                self.refuse(it.span, "an `enum`", &hint);
                true
            }
            Declaration::TSNamespaceDeclaration(it) => {
                self.refuse(it.span, "a namespace with values", "use a plain object or functions");
                true
            }
            Declaration::TSExternalModuleDeclaration(it) => {
                self.refuse(it.span, "a `module` block", "write `declare module`, or delete it");
                true
            }
            Declaration::TSImportEqualsDeclaration(it) => {
                let hint = "write `const name = other.name`, or `import { name } from \"…\"`";
                self.refuse(it.span, "`import … =`", hint);
                true
            }
            _ => false,
        }
    }
}

/// Whether nothing of a declaration is left at run time.
fn is_type_only(it: &Declaration<'_>) -> bool {
    match it {
        Declaration::TSTypeAliasDeclaration(_)
        | Declaration::TSInterfaceDeclaration(_)
        | Declaration::TSGlobalDeclaration(_) => true,
        Declaration::FunctionDeclaration(it) => it.declare || it.body.is_none(),
        Declaration::ClassDeclaration(it) => it.declare,
        Declaration::VariableDeclaration(it) => it.declare,
        Declaration::TSEnumDeclaration(it) => it.declare,
        Declaration::TSExternalModuleDeclaration(it) => it.declare,
        Declaration::TSNamespaceDeclaration(it) => it.declare || is_type_namespace(it),
        Declaration::TSImportEqualsDeclaration(it) => it.import_kind.is_type(),
    }
}

/// A namespace that holds types only has no value.
fn is_type_namespace(it: &TSNamespaceDeclaration<'_>) -> bool {
    match &it.body {
        TSNamespaceDeclarationBody::TSNamespaceDeclaration(inner) => is_type_namespace(inner),
        TSNamespaceDeclarationBody::TSModuleBlock(block) => {
            block.directives.is_empty() && block.body.iter().all(is_type_statement)
        }
    }
}

fn is_type_statement(it: &Statement<'_>) -> bool {
    match it {
        Statement::EmptyStatement(_) => true,
        Statement::ExportDeclaration(it) => is_type_only(&it.declaration),
        Statement::ExportNamedDeclaration(it) => {
            it.export_kind.is_type() || it.specifiers.is_empty()
        }
        _ => it.as_declaration().is_some_and(is_type_only),
    }
}
