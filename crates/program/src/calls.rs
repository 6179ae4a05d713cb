//! Which API globals are called where, calls that nobody awaits, and names that do not exist.
//!
//! Names are compared without scopes: a name that the program declares anywhere is taken for declared everywhere.
//! So a warning is never wrong about a declared name, and some mistakes stay unseen until they run.

use crate::names::{ASYNC_CALLS, OTHER_CALLS, is_global, unknown_name_hint};
use crate::text::Text;
use loopwright_types::{Code, Diagnostic, Position};
use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};
use oxc_syntax::operator::UnaryOperator;
use oxc_syntax::scope::ScopeFlags;
use std::collections::BTreeSet;

/// One call of the API in a program's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// `task`, `agent`, `tools.read_file`, …: as the author wrote it.
    pub callee: String,
    /// Where the call starts.
    pub position: Position,
    /// Whether it stands in a loop or in a callback of `map` and the like, so that one line may mean many calls.
    pub in_loop: bool,
    /// Whether it stands in a function.
    pub in_function: bool,
    /// Whether it is the operand of an `await`.
    pub awaited: bool,
    /// The subagent type, saved program or phase that it names by a literal.
    pub names: Option<String>,
}

/// What one walk over the tree finds.
pub(crate) struct Seen {
    pub(crate) calls: Vec<CallSite>,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Names that are warned about once each; more are the same mistake.
const UNKNOWN_NAMES_MAX: usize = 10;

/// List methods that call their callback once for each item.
const EACH: &[&str] = &["map", "flatMap", "forEach", "filter", "reduce", "some", "every", "from"];

/// Walks the tree.
pub(crate) fn find(text: &Text<'_>, tree: &Program<'_>) -> Seen {
    let mut finder = Finder {
        text,
        calls: Vec::new(),
        dropped: Vec::new(),
        declared: BTreeSet::new(),
        references: Vec::new(),
        loops: 0,
        functions: 0,
        tail: false,
        awaited: None,
    };
    let last = tree.body.iter().rposition(has_completion_value);
    for (at, statement) in tree.body.iter().enumerate() {
        finder.tail = Some(at) == last;
        finder.visit_statement(statement);
    }
    finder.finish()
}

/// Whether a statement can give the program its completion value.
fn has_completion_value(it: &Statement<'_>) -> bool {
    let silent = matches!(it, Statement::EmptyStatement(_)) || it.as_declaration().is_some();
    !silent
        && (it.as_module_declaration().is_none()
            || matches!(it, Statement::ExportDefaultDeclaration(_)))
}

struct Finder<'t, 's> {
    text: &'t Text<'s>,
    calls: Vec<CallSite>,
    /// Expression statements that are such a call: its name and place.
    dropped: Vec<(String, Span)>,
    declared: BTreeSet<&'s str>,
    references: Vec<(&'s str, Span)>,
    loops: usize,
    functions: usize,
    /// Whether the statement at hand may give the program's value, which is awaited.
    tail: bool,
    /// The call that an `await` was just seen in front of.
    awaited: Option<Span>,
}

impl<'s> Finder<'_, 's> {
    fn finish(self) -> Seen {
        let Self { text, mut calls, dropped, declared, references, .. } = self;
        let root = |callee: &str| callee.split('.').next().unwrap_or("").to_owned();
        calls.retain(|call| !declared.contains(root(&call.callee).as_str()));
        let mut warnings = Vec::new();
        for (callee, span) in dropped {
            if declared.contains(root(&callee).as_str()) {
                continue;
            }
            let message = format!("`{callee}(…)` is not awaited, so its result is lost");
            let hint = "write `await` in front of it, or `void` if only its effect matters";
            warnings.push(text.error(Code::CALL_NOT_AWAITED, span, message).hint(hint));
        }
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let names: Vec<&str> = declared.iter().copied().collect();
        for (name, span) in references {
            let fresh = !is_global(name) && !declared.contains(name) && known.insert(name);
            if fresh && known.len() <= UNKNOWN_NAMES_MAX {
                let message = format!("`{name}` is not defined");
                let mut warning = text.error(Code::NAME_UNKNOWN, span, message);
                warning.hint = unknown_name_hint(name, &names);
                warnings.push(warning);
            }
        }
        Seen { calls, warnings }
    }

    fn call(&mut self, it: &CallExpression<'s>) {
        let Some(callee) = api_name(&it.callee) else { return };
        let position = self.text.lines.position(self.text.source, it.span.start as usize);
        self.calls.push(CallSite {
            names: named(&callee, it),
            callee,
            position,
            in_loop: self.loops > 0,
            in_function: self.functions > 0,
            awaited: self.awaited == Some(it.span),
        });
    }

    fn within_loop(&mut self, visit: impl FnOnce(&mut Self)) {
        self.loops += 1;
        visit(self);
        self.loops -= 1;
    }

    /// What a function does is not the program's value.
    fn within_function(&mut self, visit: impl FnOnce(&mut Self)) {
        let tail = std::mem::replace(&mut self.tail, false);
        self.functions += 1;
        visit(self);
        self.functions -= 1;
        self.tail = tail;
    }
}

/// The API name that a callee spells.
fn api_name(callee: &Expression<'_>) -> Option<String> {
    match callee.get_inner_expression() {
        Expression::Identifier(it) => {
            let name = it.name.as_str();
            let known = ASYNC_CALLS.contains(&name) || OTHER_CALLS.contains(&name);
            known.then(|| name.to_owned())
        }
        Expression::StaticMemberExpression(it) if it.object.is_specific_id("tools") => {
            Some(format!("tools.{}", it.property.name))
        }
        _ => None,
    }
}

/// The name that a call's literal arguments give.
fn named(callee: &str, it: &CallExpression<'_>) -> Option<String> {
    let argument = |at: usize| it.arguments.get(at).and_then(Argument::as_expression);
    match callee {
        "workflow" | "phase" => text_of(argument(0)?),
        "task" => member(argument(0)?, &["subagentType", "agentType"]),
        "agent" => member(argument(1)?, &["agentType", "subagentType"]),
        _ => None,
    }
}

fn text_of(expression: &Expression<'_>) -> Option<String> {
    match expression.get_inner_expression() {
        Expression::StringLiteral(it) => Some(it.value.to_string()),
        Expression::TemplateLiteral(it) => it.single_quasi().map(|text| text.to_string()),
        _ => None,
    }
}

/// The literal text of the first of these members that an object literal has.
fn member(expression: &Expression<'_>, names: &[&str]) -> Option<String> {
    let Expression::ObjectExpression(object) = expression.get_inner_expression() else {
        return None;
    };
    object.properties.iter().find_map(|property| {
        let ObjectPropertyKind::ObjectProperty(property) = property else { return None };
        let name = property.key.static_name()?;
        if names.contains(&name.as_ref()) { text_of(&property.value) } else { None }
    })
}

impl<'a> Visit<'a> for Finder<'_, 'a> {
    fn visit_binding_identifier(&mut self, it: &BindingIdentifier<'a>) {
        self.declared.insert(it.name.as_str());
    }

    fn visit_identifier_reference(&mut self, it: &IdentifierReference<'a>) {
        self.references.push((it.name.as_str(), it.span));
    }

    fn visit_simple_assignment_target(&mut self, it: &SimpleAssignmentTarget<'a>) {
        // A sloppy program declares a global by assigning to it.
        if let SimpleAssignmentTarget::AssignmentTargetIdentifier(it) = it {
            self.declared.insert(it.name.as_str());
        }
        walk::walk_simple_assignment_target(self, it);
    }

    fn visit_unary_expression(&mut self, it: &UnaryExpression<'a>) {
        // `typeof name` is how a program asks whether a name exists.
        let asks = it.operator == UnaryOperator::Typeof && it.argument.is_identifier_reference();
        if !asks {
            walk::walk_unary_expression(self, it);
        }
    }

    fn visit_expression_statement(&mut self, it: &ExpressionStatement<'a>) {
        if !self.tail
            && let Expression::CallExpression(call) = it.expression.get_inner_expression()
            && let Some(callee) = api_name(&call.callee)
            && (callee.starts_with("tools.") || ASYNC_CALLS.contains(&callee.as_str()))
        {
            self.dropped.push((callee, call.span));
        }
        walk::walk_expression_statement(self, it);
    }

    fn visit_await_expression(&mut self, it: &AwaitExpression<'a>) {
        self.awaited = Some(it.argument.get_inner_expression().span());
        walk::walk_await_expression(self, it);
    }

    fn visit_call_expression(&mut self, it: &CallExpression<'a>) {
        self.call(it);
        let each = match it.callee.get_inner_expression() {
            Expression::StaticMemberExpression(callee) => {
                EACH.contains(&callee.property.name.as_str())
            }
            _ => false,
        };
        if each {
            self.visit_expression(&it.callee);
            self.within_loop(|finder| finder.visit_arguments(&it.arguments));
        } else {
            walk::walk_call_expression(self, it);
        }
    }

    fn visit_for_statement(&mut self, it: &ForStatement<'a>) {
        self.within_loop(|finder| walk::walk_for_statement(finder, it));
    }

    fn visit_for_in_statement(&mut self, it: &ForInStatement<'a>) {
        self.within_loop(|finder| walk::walk_for_in_statement(finder, it));
    }

    fn visit_for_of_statement(&mut self, it: &ForOfStatement<'a>) {
        self.visit_for_statement_left(&it.left);
        self.visit_expression(&it.right);
        self.within_loop(|finder| finder.visit_statement(&it.body));
    }

    fn visit_while_statement(&mut self, it: &WhileStatement<'a>) {
        self.within_loop(|finder| walk::walk_while_statement(finder, it));
    }

    fn visit_do_while_statement(&mut self, it: &DoWhileStatement<'a>) {
        self.within_loop(|finder| walk::walk_do_while_statement(finder, it));
    }

    fn visit_function(&mut self, it: &Function<'a>, flags: ScopeFlags) {
        self.within_function(|finder| walk::walk_function(finder, it, flags));
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        self.within_function(|finder| walk::walk_arrow_function_expression(finder, it));
    }

    // Types are gone at run time.
    fn visit_ts_type(&mut self, _: &TSType<'a>) {}
    fn visit_ts_type_parameter_declaration(&mut self, _: &TSTypeParameterDeclaration<'a>) {}
    fn visit_ts_class_implements(&mut self, _: &TSClassImplements<'a>) {}
    fn visit_ts_type_alias_declaration(&mut self, _: &TSTypeAliasDeclaration<'a>) {}
    fn visit_ts_interface_declaration(&mut self, _: &TSInterfaceDeclaration<'a>) {}
    fn visit_ts_namespace_declaration(&mut self, _: &TSNamespaceDeclaration<'a>) {}
    fn visit_export_named_declaration(&mut self, _: &ExportNamedDeclaration<'a>) {}
}
