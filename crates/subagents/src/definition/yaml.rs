//! A small YAML tree that knows its lines: what front matter needs, bounded in depth and size.
//! Scalars stay text until a field says what it wants, so `name: yes` and `timeout: 30s` keep what was written.

use loopwright_protocol::Json;
use loopwright_types::Position;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

/// Nesting depth of a definition's front matter.
const DEPTH_MAX: usize = 32;
/// Values in a definition's front matter.
const NODES_MAX: usize = 20_000;

/// One value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) position: Position,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Text as written; `plain` when it had no quotes and so may mean a number, a flag or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A member's name and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) position: Position,
}

/// Why a text is not usable YAML.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct YamlError {
    pub(crate) position: Position,
    pub(crate) message: String,
}

/// Reads one document; `None` when it is empty. Lines are counted from `first_line`.
pub(crate) fn parse(text: &str, first_line: u32) -> Result<Option<Node>, YamlError> {
    let mut reader = Reader { parser: Parser::new_from_str(text), first_line, nodes: 0 };
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(None),
            event => {
                let node = reader.node(event, span, 0)?;
                reader.end()?;
                return Ok(Some(node));
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    first_line: u32,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Position), YamlError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.position(span))),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Ok((Event::StreamEnd, Position { line: self.first_line, column: 1 })),
        }
    }

    fn position(&self, span: Span) -> Position {
        self.place(span.start.line(), span.start.col())
    }

    fn place(&self, line: usize, column: usize) -> Position {
        let line = u32::try_from(line.max(1) - 1).unwrap_or(u32::MAX);
        let column = u32::try_from(column).unwrap_or(u32::MAX);
        Position { line: self.first_line.saturating_add(line), column: column.saturating_add(1) }
    }

    fn scan_error(&self, error: &ScanError) -> YamlError {
        let position = self.place(error.marker().line(), error.marker().col());
        YamlError { position, message: error.info().to_owned() }
    }

    /// Reads the value that begins with this event.
    fn node(&mut self, event: Event<'a>, at: Position, depth: usize) -> Result<Node, YamlError> {
        let refuse = |message: &str| Err(YamlError { position: at, message: message.to_owned() });
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return refuse(&format!("more than {NODES_MAX} values"));
        }
        if depth > DEPTH_MAX {
            return refuse(&format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                Value::Scalar { text: text.into_owned(), plain }
            }
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            Event::Alias(_) => return refuse("aliases (`*name`) are not supported"),
            _ => return refuse("a value is missing"),
        };
        Ok(Node { position: at, value })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            items.push(self.node(event, at, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, YamlError> {
        let mut members: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            let text = match event {
                Event::MappingEnd => return Ok(members),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(YamlError { position: at, message: "a name must be text".into() }),
            };
            if let Some((first, _)) = members.iter().find(|(key, _)| key.text == text) {
                let line = first.position.line;
                let message = format!("`{text}` is given twice, first in line {line}");
                return Err(YamlError { position: at, message });
            }
            let (event, value_at) = self.next()?;
            let node = self.node(event, value_at, depth + 1)?;
            members.push((Key { text, position: at }, node));
        }
    }

    /// Nothing may follow the first document.
    fn end(&mut self) -> Result<(), YamlError> {
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentEnd | Event::Nothing => {}
                _ => {
                    let message = "more than one document".to_owned();
                    return Err(YamlError { position: at, message });
                }
            }
        }
    }
}

impl Node {
    /// Whether it is an unquoted nothing: empty, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, in words for an error.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar { .. } if self.is_null() => "empty",
            Value::Scalar { text, plain: true } if flag(text).is_some() => "a flag",
            Value::Scalar { text, plain: true } if number(text).is_some() => "a number",
            Value::Scalar { .. } => "text",
        }
    }

    /// The same value as JSON, members in the order in which they were written.
    pub(crate) fn json(&self) -> Json {
        let mut text = String::new();
        self.write(&mut text);
        Json::parse(text).expect("written as JSON")
    }

    fn write(&self, out: &mut String) {
        match &self.value {
            Value::Scalar { text, plain } => match (plain, flag(text), number(text)) {
                (true, ..) if self.is_null() => out.push_str("null"),
                (true, Some(flag), _) => out.push_str(if flag { "true" } else { "false" }),
                (true, None, Some(number)) => out.push_str(&number),
                _ => out.push_str(Json::of(text).text()),
            },
            Value::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Value::Map(members) => {
                out.push('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    out.push_str(Json::of(&key.text).text());
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// YAML 1.2 core schema: only these six spellings are flags, so `no` stays text.
pub(crate) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// The text of the same number in JSON, if it is a finite one.
fn number(text: &str) -> Option<String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.to_string());
    }
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
    text.chars().all(allowed).then(|| Json::of(&value).text().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_become_what_the_core_schema_says_and_quoted_ones_stay_text() {
        let cases = [
            ("[1, -2, 0.5, 1e3, .inf, 1_000]", r#"[1,-2,0.5,1000.0,".inf","1_000"]"#),
            ("[true, no, ~, '', 'true', \"1\"]", r#"[true,"no",null,"","true","1"]"#),
            ("{b: 1, a: {__proto__: [x]}}", r#"{"b":1,"a":{"__proto__":["x"]}}"#),
            ("- |\n  two\n  lines\n- >-\n  folded\n  text", r#"["two\nlines\n","folded text"]"#),
        ];
        for (yaml, json) in cases {
            assert_eq!(parse(yaml, 1).unwrap().unwrap().json().text(), json, "{yaml}");
        }
        assert_eq!(parse("", 1), Ok(None));
        assert_eq!(parse("# only a comment\n", 1), Ok(None));
    }

    #[test]
    fn what_is_not_usable_is_refused_at_its_line() {
        let deep = "[".repeat(100_000);
        let nested = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let many = format!("[{}]", "1,".repeat(NODES_MAX + 1));
        let cases = [
            ("a: 1\nb: c: d", 3, "mapping values are not allowed"),
            ("a: 1\na: 2", 3, "`a` is given twice, first in line 2"),
            ("a: &x 1\nb: *x", 3, "aliases"),
            ("a: 1\n--- \nb: 2", 3, "more than one document"),
            ("? [1]\n: 2", 2, "a name must be text"),
            (&deep, 2, "recursion limit exceeded"),
            (&nested, 2, "nested deeper than 32 levels"),
            (&many, 2, "more than 20000 values"),
        ];
        for (yaml, line, part) in cases {
            let error = parse(yaml, 2).unwrap_err();
            let start: String = yaml.chars().take(20).collect();
            assert!(error.message.contains(part), "{start}: {}", error.message);
            assert_eq!(error.position.line, line, "{start}: {}", error.message);
        }
    }
}
