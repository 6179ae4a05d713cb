//! `export const meta = {…}`, read without running anything.

use crate::literal::{Kind, Literal};
use crate::names::closest;
use crate::text::Text;
use loopwright_types::{Code, Diagnostic};
use oxc_ast::ast::{Declaration, Program, Statement, VariableDeclarator};
use oxc_span::Span;
use serde_json::Value;

/// What a program says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// A short name.
    pub name: Option<String>,
    /// What it does, for a person or a model that looks for a program.
    pub description: Option<String>,
    /// When to use it.
    pub when_to_use: Option<String>,
    /// Its phases in order, for the progress view.
    pub phases: Vec<Phase>,
    /// JSON Schema of its arguments.
    pub args: Option<Value>,
    /// What it may use.
    pub budget: Option<Budget>,
    /// JSON Schema of its result.
    pub result: Option<Value>,
    /// The whole literal as JSON.
    pub raw: Value,
}

/// One announced phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// The title that `phase(title)` names.
    pub title: String,
    /// What happens in it.
    pub detail: Option<String>,
    /// The model its calls use.
    pub model: Option<String>,
}

/// A ceiling set by the program; its calls fail with `budget` once it is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// All tokens.
    pub tokens: Option<u64>,
    /// Money in millionths of a US dollar.
    pub usd_micros: Option<u64>,
}

const FIELDS: &[&str] = &["name", "description", "whenToUse", "phases", "args", "budget", "result"];

/// What was read, what is wrong with it, and what is merely odd.
pub(crate) struct Found {
    pub(crate) meta: Option<Meta>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Finds and reads `meta`.
pub(crate) fn find(text: &Text<'_>, tree: &Program<'_>) -> Found {
    let mut reader = Reader { text, problems: Vec::new(), warnings: Vec::new() };
    let meta = tree.body.iter().find_map(declarator).and_then(|it| reader.meta(it));
    let Reader { problems, warnings, .. } = reader;
    Found { meta, problems, warnings }
}

fn declarator<'t, 'a>(statement: &'t Statement<'a>) -> Option<&'t VariableDeclarator<'a>> {
    let Statement::ExportDeclaration(export) = statement else { return None };
    let Declaration::VariableDeclaration(variables) = &export.declaration else { return None };
    let is_meta =
        |it: &&VariableDeclarator<'_>| it.id.get_identifier_name().is_some_and(|id| id == "meta");
    if variables.declare { None } else { variables.declarations.iter().find(is_meta) }
}

struct Reader<'t, 's> {
    text: &'t Text<'s>,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Reader<'_, '_> {
    fn meta(&mut self, it: &VariableDeclarator<'_>) -> Option<Meta> {
        let init = it.init.as_ref()?;
        let literal = match Literal::read(init) {
            Ok(literal) => literal,
            Err(not) => {
                let message =
                    format!("`meta` holds {}, and is read without running anything", not.what);
                let hint =
                    "use only literal objects, lists, text, numbers, `true`, `false` and `null`";
                let error = self.text.error(Code::META_NOT_LITERAL, not.span, message).hint(hint);
                self.problems.push(error);
                return None;
            }
        };
        let Kind::Record(members) = &literal.kind else {
            self.invalid(literal.span, "meta", "an object", &literal);
            return None;
        };
        let mut meta = Meta { raw: literal.value(), ..Meta::default() };
        for (key, span, value) in members {
            match key.as_str() {
                "name" => meta.name = self.string("name", value),
                "description" => meta.description = self.string("description", value),
                "whenToUse" => meta.when_to_use = self.string("whenToUse", value),
                "phases" => meta.phases = self.phases(value),
                "args" => meta.args = self.schema("args", value),
                "result" => meta.result = self.schema("result", value),
                "budget" => meta.budget = self.budget(value),
                _ => self.unknown(key, *span),
            }
        }
        Some(meta)
    }

    fn invalid(&mut self, span: Span, path: &str, expected: &str, found: &Literal) {
        let message = format!("`{path}` takes {expected}, not {}", found.describe());
        self.problems.push(self.text.error(Code::META_INVALID, span, message));
    }

    fn unknown(&mut self, key: &str, span: Span) {
        let message = format!("`meta` has no field `{key}`; it is kept and not used");
        let hint = match closest(key, FIELDS.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("its fields are {}", FIELDS.join(", ")),
        };
        self.warnings.push(self.text.error(Code::META_FIELD_UNKNOWN, span, message).hint(hint));
    }

    fn string(&mut self, path: &str, value: &Literal) -> Option<String> {
        match &value.kind {
            Kind::Text(text) => Some(text.clone()),
            _ => {
                self.invalid(value.span, path, "text", value);
                None
            }
        }
    }

    fn schema(&mut self, path: &str, value: &Literal) -> Option<Value> {
        match &value.kind {
            Kind::Record(_) | Kind::Boolean(_) => Some(value.value()),
            _ => {
                self.invalid(value.span, path, "a JSON Schema (an object)", value);
                None
            }
        }
    }

    fn phases(&mut self, value: &Literal) -> Vec<Phase> {
        let Kind::List(items) = &value.kind else {
            self.invalid(value.span, "phases", "a list", value);
            return Vec::new();
        };
        let numbered = items.iter().enumerate();
        numbered.filter_map(|(at, item)| self.phase(&format!("phases[{at}]"), item)).collect()
    }

    fn phase(&mut self, path: &str, value: &Literal) -> Option<Phase> {
        let Kind::Record(members) = &value.kind else {
            self.invalid(value.span, path, "an object with a `title`", value);
            return None;
        };
        let mut phase = Phase::default();
        let mut titled = false;
        for (key, _, value) in members {
            let path = format!("{path}.{key}");
            match key.as_str() {
                "title" => {
                    titled = true;
                    phase.title = self.string(&path, value)?;
                }
                "detail" => phase.detail = self.string(&path, value),
                "model" => phase.model = self.string(&path, value),
                // Other dialects may say more about a phase; nothing here depends on it.
                _ => {}
            }
        }
        if !titled {
            let message = format!("`{path}` has no `title`");
            self.problems.push(self.text.error(Code::META_INVALID, value.span, message));
        }
        titled.then_some(phase)
    }

    /// A number of output tokens, or an object of ceilings.
    fn budget(&mut self, value: &Literal) -> Option<Budget> {
        let mut budget = Budget::default();
        match &value.kind {
            Kind::Null => return None,
            Kind::Number(_) => budget.output_tokens = self.amount("budget", value, 1.0),
            Kind::Record(members) => {
                for (key, span, value) in members {
                    let path = format!("budget.{key}");
                    match key.as_str() {
                        "outputTokens" => budget.output_tokens = self.amount(&path, value, 1.0),
                        "tokens" => budget.tokens = self.amount(&path, value, 1.0),
                        "usd" => budget.usd_micros = self.amount(&path, value, 1e6),
                        _ => {
                            let message = format!("`budget` has no field `{key}`");
                            let error = self.text.error(Code::META_INVALID, *span, message);
                            self.problems
                                .push(error.hint("it has `outputTokens`, `tokens` and `usd`"));
                        }
                    }
                }
            }
            _ => {
                self.invalid(value.span, "budget", "a number of output tokens or an object", value)
            }
        }
        Some(budget)
    }

    /// A number from 0, in units of `1 / scale`, rounded down.
    fn amount(&mut self, path: &str, value: &Literal, scale: f64) -> Option<u64> {
        let number = match &value.kind {
            Kind::Number(number) => number.as_f64(),
            Kind::Null => return None,
            _ => None,
        };
        match number {
            None => self.invalid(value.span, path, "a number from 0", value),
            Some(number) if number < 0.0 => {
                let message = format!("`{path}` takes a number from 0, not `{number}`");
                self.problems.push(self.text.error(Code::META_INVALID, value.span, message));
            }
            Some(_) => {}
        }
        // From a negative number this is zero, but then there is no program either.
        number.map(|number| (number * scale) as u64)
    }
}
