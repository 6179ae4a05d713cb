//! What a call was given. Names are compared without case, `_` and `-`, and each argument answers to the
//! spellings that models know from other tools.

use crate::refusal::{argument, quoted};
use loopwright_types::Failure;
use serde_json::{Map, Value};

/// One argument that a tool takes.
pub(crate) struct Argument {
    /// Its own name, in camel case.
    pub(crate) name: &'static str,
    /// Other spellings, folded as [`fold`] does.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) kind: Kind,
    pub(crate) doc: &'static str,
}

/// What an argument's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A whole number from this one.
    Count(u64),
    Flag,
}

impl Kind {
    fn words(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Count(least) => format!("a whole number from {least}"),
            Self::Flag => "`true` or `false`".to_owned(),
        }
    }
}

/// The arguments of one call, checked.
#[derive(Debug)]
pub(crate) struct Arguments {
    tool: &'static str,
    values: Vec<(&'static str, Value)>,
}

impl Arguments {
    /// Reads a call's arguments: an object, nothing, or just the value of the first argument.
    ///
    /// # Errors
    /// With the argument's name when one is unknown, given twice or of the wrong type.
    pub(crate) fn read(
        tool: &'static str,
        takes: &'static [Argument],
        given: &Value,
    ) -> Result<Self, Failure> {
        let mut arguments = Self { tool, values: Vec::new() };
        match given {
            Value::Null => {}
            Value::String(_) => arguments.add(&takes[0], takes[0].name, given)?,
            Value::Object(members) => arguments.add_all(takes, members)?,
            other => {
                let shown = quoted(&other.to_string());
                return Err(argument(format!(
                    "`{tool}` takes an object of arguments, not `{shown}`"
                )));
            }
        }
        Ok(arguments)
    }

    fn add_all(
        &mut self,
        takes: &'static [Argument],
        members: &Map<String, Value>,
    ) -> Result<(), Failure> {
        for (written, value) in members {
            let folded = fold(written);
            let known = takes
                .iter()
                .find(|a| fold(a.name) == folded || a.aliases.contains(&folded.as_str()));
            let Some(known) = known else {
                let (tool, shown) = (self.tool, quoted(written));
                let names: Vec<String> = takes.iter().map(|a| format!("`{}`", a.name)).collect();
                let failure = argument(format!("`{tool}` takes no argument `{shown}`"));
                return Err(failure.hint(format!("it takes {}", names.join(", "))));
            };
            self.add(known, written, value)?;
        }
        Ok(())
    }

    fn add(&mut self, known: &Argument, written: &str, value: &Value) -> Result<(), Failure> {
        // As in a program's own options, a member that is `null` is one that was not given.
        if value.is_null() {
            return Ok(());
        }
        let (tool, shown) = (self.tool, quoted(written));
        if self.values.iter().any(|(name, _)| *name == known.name) {
            return Err(argument(format!(
                "`{tool}` was given `{}` twice, also as `{shown}`",
                known.name
            )));
        }
        let fits = match known.kind {
            Kind::Text => value.is_string(),
            Kind::Count(least) => whole(value).is_some_and(|number| number >= least),
            Kind::Flag => value.is_boolean(),
        };
        if !fits {
            let (words, given) = (known.kind.words(), quoted(&value.to_string()));
            return Err(argument(format!("`{shown}` of `{tool}` is {words}, not `{given}`")));
        }
        self.values.push((known.name, value.clone()));
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// A text argument.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A text argument that the tool cannot do without.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Failure> {
        let missing = || argument(format!("`{}` needs `{name}`", self.tool));
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    /// A text argument that must be there, but may be empty.
    pub(crate) fn given(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| argument(format!("`{}` needs `{name}`", self.tool)))
    }

    /// A whole number.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(whole)
    }

    /// A flag; one that was not given is `false`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some(&Value::Bool(true))
    }
}

/// A whole number, also one written as `2.0`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 2⁵³, checked
fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n));
    value.as_u64().or_else(|| float().map(|n| n as u64))
}

/// A name as it is compared: `file_path`, `filePath` and `FilePath` are one.
pub(crate) fn fold(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '_' | '-'));
    // A bare flag such as `-i` keeps its letter's case: `-a` and `-A` differ.
    if name.starts_with('-') && name.len() == 2 {
        kept.collect()
    } else {
        kept.collect::<String>().to_lowercase()
    }
}
