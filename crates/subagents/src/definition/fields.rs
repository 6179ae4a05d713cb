//! Typed access to front matter fields. What does not fit is a [`Problem`] with a place and a hint.

use super::yaml::{self, Key, Node, Value};
use loopwright_types::{Code, Diagnostic, Micros, Position};

/// Why a definition cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) position: Position,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Problem {
    pub(crate) fn new(
        position: Position,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { position, message: message.into(), hint: hint.into() }
    }

    /// As a person sees it.
    pub(crate) fn diagnostic(self, file: &str) -> Diagnostic {
        let at = self.position;
        Diagnostic::new(Code::DEFINITION_INVALID, self.message).at(file, at, 1).hint(self.hint)
    }
}

/// The fields of one map.
pub(crate) struct Fields<'a> {
    members: &'a [(Key, Node)],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(members: &'a [(Key, Node)]) -> Self {
        Self { members }
    }

    /// The first of these names that is there and not empty.
    pub(crate) fn find(&self, names: &[&str]) -> Option<(&'a Key, &'a Node)> {
        let named = |(key, node): &&(Key, Node)| names.contains(&&*key.text) && !node.is_null();
        self.members.iter().find(named).map(|(key, node)| (key, node))
    }

    /// Text; numbers and flags without quotes are refused, because they would not stay what was written.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        let Some((_, node)) = self.find(&[name]) else { return Ok(None) };
        match (&node.value, node.kind()) {
            (Value::Scalar { text, .. }, "text") => Ok(Some(text)),
            (Value::Scalar { .. }, kind) => Err(Problem::new(
                node.position,
                format!("`{name}` is {kind}, not text"),
                "put it in quotes",
            )),
            (_, kind) => Err(wrong(name, node, kind, "text")),
        }
    }

    /// Text, whatever it would mean to YAML.
    pub(crate) fn loose_text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        let Some((_, node)) = self.find(&[name]) else { return Ok(None) };
        match &node.value {
            Value::Scalar { text, .. } => Ok(Some(text)),
            _ => Err(wrong(name, node, node.kind(), "text")),
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let Some((_, node)) = self.find(&[name]) else { return Ok(None) };
        let flag = match &node.value {
            Value::Scalar { text, .. } => yaml::flag(text),
            _ => None,
        };
        flag.map(Some).ok_or_else(|| wrong(name, node, node.kind(), "`true` or `false`"))
    }

    /// A whole number from `min`, under any of these names.
    pub(crate) fn whole(&self, names: &[&str], min: u64) -> Result<Option<u64>, Problem> {
        let Some((key, node)) = self.find(names) else { return Ok(None) };
        let number = match &node.value {
            Value::Scalar { text, .. } => text.parse().ok().filter(|n| *n >= min),
            _ => None,
        };
        let expected = || format!("a whole number from {min}");
        number.map(Some).ok_or_else(|| wrong(&key.text, node, &shown(node), &expected()))
    }

    /// A number from 0 to 1.
    pub(crate) fn fraction(&self, name: &str) -> Result<Option<f64>, Problem> {
        let Some((_, node)) = self.find(&[name]) else { return Ok(None) };
        let number = match &node.value {
            Value::Scalar { text, .. } => text.parse().ok().filter(|n| (0.0..=1.0).contains(n)),
            _ => None,
        };
        number.map(Some).ok_or_else(|| wrong(name, node, &shown(node), "a number from 0 to 1"))
    }

    /// A list of texts, or one text with commas between them (not those inside parentheses).
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Problem> {
        let Some((_, node)) = self.find(&[name]) else { return Ok(None) };
        match &node.value {
            Value::Scalar { text, .. } => Ok(Some(at_commas(text))),
            Value::List(items) => {
                let texts = items.iter().map(|item| match &item.value {
                    Value::Scalar { text, .. } if !item.is_null() => Ok(text.clone()),
                    _ => Err(wrong(name, item, item.kind(), "a list of texts")),
                });
                texts.collect::<Result<_, _>>().map(Some)
            }
            Value::Map(_) => Err(wrong(name, node, "a map", "a list of texts")),
        }
    }

    /// A duration: `90s`, `500ms`, `5m`, `1h`, or seconds without a unit.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Micros>, Problem> {
        let Some((_, node)) = self.find(&[name]) else { return Ok(None) };
        let duration = match &node.value {
            Value::Scalar { text, .. } => duration(text),
            _ => None,
        };
        let expected = "a duration such as `90s`, `500ms` or `5m`";
        duration.map(Some).ok_or_else(|| wrong(name, node, &shown(node), expected))
    }
}

/// What was found where something else was expected.
pub(crate) fn wrong(name: &str, node: &Node, found: &str, expected: &str) -> Problem {
    let hint = format!("`{name}` takes {expected}");
    Problem::new(node.position, format!("`{name}` is {found}"), hint)
}

fn shown(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } if text.len() <= 40 => format!("`{}`", text.escape_debug()),
        _ => node.kind().to_owned(),
    }
}

fn duration(text: &str) -> Option<Micros> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let micros_per_unit = match &text[digits.len()..] {
        "ms" => 1e3,
        "" | "s" => 1e6,
        "m" | "min" => 60e6,
        "h" => 3600e6,
        _ => return None,
    };
    let amount: f64 = digits.trim_end().parse().ok()?;
    let micros = (amount * micros_per_unit).round();
    // A year is more than any limit; beyond it there is only a typing error.
    ((1.0..=3.2e13).contains(&micros)).then_some(Micros(micros as u64))
}

/// Splits at commas outside parentheses: `Read, Bash(git log, git diff)` are two.
fn at_commas(text: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let parts = text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth <= 0
    });
    parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_plain_numbers_are_seconds() {
        let cases = [
            ("90s", Some(90_000_000)),
            ("500ms", Some(500_000)),
            ("1.5m", Some(90_000_000)),
            ("2 h", Some(7_200_000_000)),
            ("3", Some(3_000_000)),
            ("0", None),
            ("-1s", None),
            ("soon", None),
            ("1d", None),
            ("NaN", None),
            ("1e300h", None),
        ];
        for (text, micros) in cases {
            assert_eq!(duration(text), micros.map(Micros), "{text}");
        }
    }

    #[test]
    fn commas_inside_parentheses_do_not_split() {
        assert_eq!(at_commas("Read, Bash(a, b),Grep,"), ["Read", "Bash(a, b)", "Grep"]);
        assert_eq!(at_commas(" "), [""; 0]);
    }
}
