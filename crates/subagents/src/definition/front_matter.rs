//! The front matter of a definition file: finds it, reads it, and recovers what people write in the wild.
//!
//! Files for Claude Code often hold a description with unquoted colons, quotes and whole dialogues, which is not
//! YAML; it reads them all the same. So front matter that does not parse as a whole is read field by field, and a
//! text field that is not YAML is taken as it stands. Fields that decide what runs are never guessed.

use super::yaml::{self, Key, Node, Value, YamlError};
use loopwright_types::Position;

/// Fields that may begin a line when front matter has to be read field by field.
const KNOWN: &[&str] = &[
    "authentication",
    "background",
    "color",
    "command",
    "concurrency",
    "cwd",
    "description",
    "disallowedTools",
    "driver",
    "effect",
    "effects",
    "effort",
    "env",
    "hooks",
    "initialPrompt",
    "isolation",
    "maxTurns",
    "max_turns",
    "mcpServers",
    "memory",
    "mock",
    "mode",
    "model",
    "name",
    "permissionMode",
    "permissions",
    "reads_private",
    "reads_untrusted",
    "skills",
    "timeout",
    "timeoutMs",
    "timeout_ms",
    "tools",
    "version",
    "whenToUse",
];

/// Fields whose text is taken as it stands when it is not YAML.
const TEXT: &[&str] = &[
    "color",
    "description",
    "disallowedTools",
    "effort",
    "initialPrompt",
    "memory",
    "permissionMode",
    "tools",
    "version",
    "whenToUse",
];

/// A file in its two parts.
pub(crate) struct Parts<'a> {
    /// What stands between the two `---` lines; begins in line 2.
    pub(crate) front: &'a str,
    /// What follows, without blank lines around it.
    pub(crate) body: &'a str,
}

/// Why a file has no two parts.
#[derive(Debug, PartialEq)]
pub(crate) enum NoParts {
    /// It does not begin with `---`.
    NotBegun,
    /// No second `---` line follows.
    NotEnded,
}

/// Splits a file at its `---` lines; a byte order mark and CRLF are fine.
pub(crate) fn split(text: &str) -> Result<Parts<'_>, NoParts> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().filter(|line| line.trim_end() == "---").ok_or(NoParts::NotBegun)?;
    let mut at = first.len();
    for line in lines {
        if line.trim_end() == "---" {
            let body = text[at + line.len()..].trim();
            return Ok(Parts { front: &text[first.len()..at], body });
        }
        at += line.len();
    }
    Err(NoParts::NotEnded)
}

/// Reads the fields of front matter that begins in line 2.
pub(crate) fn read(front: &str) -> Result<Vec<(Key, Node)>, YamlError> {
    match whole(front, 2) {
        Ok(fields) => Ok(fields),
        Err(first) => by_field(front).map_err(|exact| exact.unwrap_or(first)),
    }
}

fn whole(text: &str, first_line: u32) -> Result<Vec<(Key, Node)>, YamlError> {
    let Some(node) = yaml::parse(text, first_line)? else { return Ok(Vec::new()) };
    let kind = node.kind();
    match node.value {
        Value::Map(fields) => Ok(fields),
        _ => {
            let message = format!("front matter is {kind}, not `field: value` lines");
            Err(YamlError { position: node.position, message })
        }
    }
}

/// Reads each known field by itself. `Err(None)` when not even the fields can be told apart.
fn by_field(front: &str) -> Result<Vec<(Key, Node)>, Option<YamlError>> {
    let lines: Vec<&str> = front.lines().collect();
    let starts: Vec<usize> = (0..lines.len()).filter(|i| field_of(lines[*i]).is_some()).collect();
    let mut fields: Vec<(Key, Node)> = Vec::new();
    let blank = |line: &&str| line.trim().is_empty() || line.starts_with('#');
    let first = *starts.first().ok_or(None)?;
    if !lines[..first].iter().all(blank) {
        return Err(None);
    }
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(lines.len());
        for (key, node) in field(&lines[*start..end], line_number(*start)).map_err(Some)? {
            if let Some((first, _)) = fields.iter().find(|(known, _)| known.text == key.text) {
                let line = first.position.line;
                let message = format!("`{}` is given twice, first in line {line}", key.text);
                return Err(Some(YamlError { position: key.position, message }));
            }
            fields.push((key, node));
        }
    }
    Ok(fields)
}

fn line_number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(2)
}

/// The known field that this line begins.
fn field_of(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(':')?;
    let begins = rest.is_empty() || rest.starts_with([' ', '\t', '\r']);
    (begins && KNOWN.contains(&name)).then_some(name)
}

/// Reads the lines from one known field to the next.
fn field(lines: &[&str], line: u32) -> Result<Vec<(Key, Node)>, YamlError> {
    let name = field_of(lines[0]).unwrap_or_default();
    if let Ok(fields) = whole(&lines.join("\n"), line) {
        return Ok(fields);
    }
    // Lines that are not indented belong to the text of a description, and to no other field.
    let inside = |line: &&&str| line.is_empty() || line.starts_with([' ', '\t', '-', '#']);
    let own = match name {
        "description" => lines.len(),
        _ => 1 + lines[1..].iter().take_while(inside).count(),
    };
    match whole(&lines[..own].join("\n"), line) {
        Ok(fields) => Ok(fields),
        Err(_) if TEXT.contains(&name) && may_be_text(name, &lines[..own]) => {
            Ok(vec![as_it_stands(name, &lines[..own], line)])
        }
        Err(error) => Err(error),
    }
}

/// Only a description has several lines, and an open bracket is a mistake rather than text.
fn may_be_text(name: &str, lines: &[&str]) -> bool {
    let text = lines[0][name.len() + 1..].trim_start();
    let is_open =
        |open, close| text.starts_with(open) && !lines.iter().any(|line| line.contains(close));
    let is_description = name == "description";
    (is_description || lines.len() == 1) && !is_open('[', ']') && !is_open('{', '}')
}

fn as_it_stands(name: &str, lines: &[&str], line: u32) -> (Key, Node) {
    let first = lines[0][name.len() + 1..].trim_start();
    let text = [&[first], &lines[1..]].concat().join("\n");
    let text = text.trim();
    let unquoted = ['"', '\''].into_iter().find_map(|quote| {
        text.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.is_empty())
    });
    let value = Value::Scalar { text: unquoted.unwrap_or(text).to_owned(), plain: false };
    let column = u32::try_from(name.len()).unwrap_or(u32::MAX).saturating_add(3);
    let key = Key { text: name.to_owned(), position: Position { line, column: 1 } };
    (key, Node { position: Position { line, column }, value })
}

/// The name in front matter that could not be read, so that using the broken definition names its own cause.
pub(crate) fn name_in_ruins(text: &str) -> Option<String> {
    let line = text.lines().take(200).find(|line| field_of(line) == Some("name"))?;
    let name = line["name:".len()..].trim().trim_matches(['"', '\'']);
    (!name.is_empty() && name.len() <= 200).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(front: &str, name: &str) -> Option<String> {
        let fields = read(front).unwrap();
        let (_, node) = fields.into_iter().find(|(key, _)| key.text == name)?;
        match node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => Some(node.json().text().to_owned()),
        }
    }

    #[test]
    fn descriptions_that_are_not_yaml_are_taken_as_they_stand() {
        let cases = [
            ("description: Use when: a or b\nmodel: sonnet", "Use when: a or b"),
            ("description: \"Say \"hi\" now\"\nmodel: sonnet", "Say \"hi\" now"),
            ("description: - dash @at: *star\nmodel: sonnet", "- dash @at: *star"),
            (
                "description: Use it. Examples:\n\n<example>\nuser: \"x: y\"\n</example>\nmodel: sonnet",
                "Use it. Examples:\n\n<example>\nuser: \"x: y\"\n</example>",
            ),
        ];
        for (front, description) in cases {
            let front = format!("name: a\n{front}\ntools: Read, Grep");
            assert_eq!(text_of(&front, "description").as_deref(), Some(description), "{front}");
            assert_eq!(text_of(&front, "model").as_deref(), Some("sonnet"), "{front}");
            assert_eq!(text_of(&front, "tools").as_deref(), Some("Read, Grep"), "{front}");
        }
    }

    #[test]
    fn other_fields_keep_their_meaning_beside_a_description_that_is_not_yaml() {
        let front =
            "name: a\ndescription: Use: it\ncommand: [a, \"b: c\"]\nenv:\n  X: 1\nunknown: 1: 2\n";
        assert_eq!(text_of(front, "command").as_deref(), Some(r#"["a","b: c"]"#));
        assert_eq!(text_of(front, "env").as_deref(), Some(r#"{"X":1}"#));
        let tools = "name: a\ndescription: b: c\ntools:\n  - Read\ncustom: x: y\n";
        assert_eq!(text_of(tools, "tools").as_deref(), Some(r#"["Read"]"#));
        assert_eq!(text_of("name: a\ntools: *\n", "tools").as_deref(), Some("*"));
    }

    #[test]
    fn fields_that_decide_what_runs_are_never_guessed() {
        for (front, line) in [
            ("name: a\ndescription: b: c\ncommand: [a, b", 4),
            ("name: a\ncommand: a: b", 3),
            ("name: a\ndescription: [b", 3),
            ("name: a\nmodel: *b", 3),
            ("name: a\ndescription: b: c\ntools:\n  - Read\n  - *", 6),
        ] {
            let error = read(front).unwrap_err();
            assert!(error.position.line >= line, "{front}: {error:?}");
        }
        assert_eq!(read("- a\n- b").unwrap_err().position.line, 2);
        assert!(read("just: text: here").is_err());
    }

    #[test]
    fn a_file_is_split_at_its_marks() {
        let parts = split("\u{feff}---\r\nname: a\r\n---\r\n\r\nBody\n---\nmore\n").ok().unwrap();
        assert_eq!((parts.front, parts.body), ("name: a\r\n", "Body\n---\nmore"));
        assert_eq!(split("# Title\n---\n").err(), Some(NoParts::NotBegun));
        assert_eq!(split("---\nname: a\n").err(), Some(NoParts::NotEnded));
        assert_eq!(split("").err(), Some(NoParts::NotBegun));
        assert_eq!(name_in_ruins("---\nname: 'x'\n:::").as_deref(), Some("x"));
    }
}
