//! Values that are known without running anything, with the place of each.

use oxc_ast::ast::*;
use oxc_span::{GetSpan, Span};
use oxc_syntax::operator::UnaryOperator;
use serde_json::{Map, Number, Value};

/// A literal with its place.
pub(crate) struct Literal {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What kind of literal.
pub(crate) enum Kind {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Literal>),
    /// Members in the author's order.
    Record(Vec<(String, Span, Literal)>),
}

/// An expression that is not a literal, and what it is in words.
pub(crate) struct NotLiteral {
    pub(crate) span: Span,
    pub(crate) what: &'static str,
}

impl Literal {
    /// Reads an expression; `as const`, `satisfies T` and parentheses around it do not matter.
    pub(crate) fn read(expression: &Expression<'_>) -> Result<Self, NotLiteral> {
        let expression = expression.get_inner_expression();
        let span = expression.span();
        let refuse = |what| Err(NotLiteral { span, what });
        let kind = match expression {
            Expression::NullLiteral(_) => Kind::Null,
            Expression::BooleanLiteral(it) => Kind::Boolean(it.value),
            Expression::NumericLiteral(it) => return number(span, it.value),
            Expression::StringLiteral(it) if it.lone_surrogates => {
                return refuse("half a character");
            }
            Expression::StringLiteral(it) => Kind::Text(it.value.to_string()),
            Expression::TemplateLiteral(it) => match it.single_quasi() {
                Some(_) if it.quasis.iter().any(|part| part.lone_surrogates) => {
                    return refuse("half a character");
                }
                Some(text) => Kind::Text(text.to_string()),
                None => return refuse("a template with expressions"),
            },
            Expression::UnaryExpression(it) if it.operator == UnaryOperator::UnaryNegation => {
                match it.argument.get_inner_expression() {
                    Expression::NumericLiteral(it) => return number(span, -it.value),
                    _ => return refuse("a computation"),
                }
            }
            Expression::ArrayExpression(it) => Kind::List(list(it)?),
            Expression::ObjectExpression(it) => Kind::Record(record(it)?),
            other => return refuse(describe(other)),
        };
        Ok(Self { span, kind })
    }

    /// The value as JSON; of equal keys the last one counts, as in JavaScript.
    pub(crate) fn value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Boolean(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(value) => Value::String(value.clone()),
            Kind::List(items) => items.iter().map(Self::value).collect(),
            Kind::Record(members) => {
                let members = members.iter().map(|(key, _, value)| (key.clone(), value.value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Boolean(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Record(_) => "an object",
        }
    }
}

/// Whole numbers become JSON integers as long as doubles are exact.
fn number(span: Span, value: f64) -> Result<Literal, NotLiteral> {
    const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
    let whole = value.fract() == 0.0
        && value.abs() <= EXACT_MAX
        && !(value == 0.0 && value.is_sign_negative());
    let number = if whole { Some(Number::from(value as i64)) } else { Number::from_f64(value) };
    let number = number.ok_or(NotLiteral { span, what: "a number that JSON does not have" })?;
    Ok(Literal { span, kind: Kind::Number(number) })
}

fn list(it: &ArrayExpression<'_>) -> Result<Vec<Literal>, NotLiteral> {
    let item = |element: &ArrayExpressionElement<'_>| match element {
        ArrayExpressionElement::SpreadElement(it) => {
            Err(NotLiteral { span: it.span, what: "a spread" })
        }
        ArrayExpressionElement::Elision(it) => {
            Err(NotLiteral { span: it.span, what: "a hole in a list" })
        }
        other => Literal::read(other.to_expression()),
    };
    it.elements.iter().map(item).collect()
}

fn record(it: &ObjectExpression<'_>) -> Result<Vec<(String, Span, Literal)>, NotLiteral> {
    let member = |member: &ObjectPropertyKind<'_>| {
        let it = match member {
            ObjectPropertyKind::SpreadProperty(it) => {
                return Err(NotLiteral { span: it.span, what: "a spread" });
            }
            ObjectPropertyKind::ObjectProperty(it) => it,
        };
        let refuse = |what| Err(NotLiteral { span: it.key.span(), what });
        if it.kind != PropertyKind::Init || it.method {
            return refuse("a method");
        }
        if it.shorthand {
            return refuse("a variable");
        }
        let key = match &it.key {
            PropertyKey::StaticIdentifier(key) => key.name.to_string(),
            PropertyKey::StringLiteral(key) if !it.computed => key.value.to_string(),
            PropertyKey::NumericLiteral(key) if !it.computed => js_number(key.value),
            _ => return refuse("a computed name"),
        };
        if key == "__proto__" {
            return refuse("`__proto__`, which sets the object's prototype,");
        }
        Ok((key, it.key.span(), Literal::read(&it.value)?))
    };
    it.properties.iter().map(member).collect()
}

/// A number as a member's name.
fn js_number(value: f64) -> String {
    // Exact for every number that a person would use as a name.
    if value.fract() == 0.0 && value.abs() < 1e21 {
        format!("{value:.0}")
    } else {
        value.to_string()
    }
}

/// What an expression is, in words.
fn describe(expression: &Expression<'_>) -> &'static str {
    match expression {
        Expression::Identifier(it) if it.name == "undefined" => "`undefined`",
        Expression::Identifier(_) => "a variable",
        Expression::CallExpression(_) | Expression::NewExpression(_) => "a call",
        Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_) => "a function",
        Expression::ClassExpression(_) => "a class",
        Expression::RegExpLiteral(_) => "a regular expression",
        Expression::BigIntLiteral(_) => "a BigInt",
        Expression::TaggedTemplateExpression(_) => "a tagged template",
        Expression::AwaitExpression(_) => "a wait",
        _ => "a computation",
    }
}
