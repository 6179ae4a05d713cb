//! Which tools a subagent may call, as its definition writes it: `Read`, `read_file`, `Bash(git log:*)`.

use crate::hosts::Hosts;
use crate::refusal::quoted;
use crate::registry::{lookup, suggestion};
use crate::{bash, fetch};
use loopwright_types::{Code, Diagnostic};
use std::fmt;

/// One tool that a subagent may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The tool's own name.
    pub tool: &'static str,
    /// The form that its calls must have; absent is any.
    pub only: Option<Restriction>,
}

/// A form that calls of a tool must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// `bash` with exactly this command.
    Command(String),
    /// `bash` with this command, alone or followed by a space and plain words.
    CommandPrefix(String),
    /// `fetch` from this host, written as in `tools.fetch_hosts`.
    Host(String),
}

impl fmt::Display for Allowed {
    /// As a definition writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.only {
            None => f.write_str(self.tool),
            Some(Restriction::Command(command)) => write!(f, "{}({command})", self.tool),
            Some(Restriction::CommandPrefix(prefix)) => write!(f, "{}({prefix}:*)", self.tool),
            Some(Restriction::Host(host)) => write!(f, "{}(domain:{host})", self.tool),
        }
    }
}

/// Reads the `tools:` of a definition: what is built in, and the names that are not. Those may be MCP tools;
/// what then is left unknown makes [`unknown_tools`] an error when the definition is loaded.
pub fn resolve_definition_tools(names: &[String]) -> (Vec<Allowed>, Vec<String>) {
    let (mut allowed, mut unknown) = (Vec::new(), Vec::new());
    for name in names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        match parse(name) {
            Some(known) if !allowed.contains(&known) => allowed.push(known),
            Some(_) => {}
            None => unknown.push(name.to_owned()),
        }
    }
    (allowed, unknown)
}

/// What to say of the tools that a definition lists and nobody has; `None` when there are none.
pub fn unknown_tools(subagent: &str, unknown: &[String]) -> Option<Diagnostic> {
    let first = unknown.first()?;
    let listed: Vec<String> = unknown.iter().map(|name| format!("`{}`", quoted(name))).collect();
    let (subagent, listed) = (quoted(subagent), listed.join(", "));
    let message = format!("the subagent `{subagent}` lists unknown tools: {listed}");
    let message = if unknown.len() == 1 {
        message.replacen("unknown tools", "an unknown tool", 1)
    } else {
        message
    };
    let hint = match first.split_once('(') {
        Some((name, _)) if lookup(name).is_some() => {
            "brackets restrict only `Bash(command)`, `Bash(prefix:*)` and `WebFetch(domain:host)`"
                .to_owned()
        }
        _ => suggestion(first),
    };
    Some(Diagnostic::new(Code::TOOL_UNKNOWN, message).hint(hint))
}

fn parse(written: &str) -> Option<Allowed> {
    let Some((name, rest)) = written.split_once('(') else {
        return Some(Allowed { tool: lookup(written)?.name, only: None });
    };
    let tool = lookup(name.trim_end())?.name;
    let inner = rest.strip_suffix(')')?.trim();
    if inner == "*" {
        return Some(Allowed { tool, only: None });
    }
    // What cannot be enforced is not understood: a restriction that is dropped would widen the grant.
    let only = match tool {
        bash::NAME => command(inner)?,
        fetch::NAME => {
            let host = inner.strip_prefix("domain:")?.trim();
            Hosts::parse(host).ok().filter(|_| !host.contains(','))?;
            Restriction::Host(host.to_owned())
        }
        _ => return None,
    };
    Some(Allowed { tool, only: Some(only) })
}

fn command(inner: &str) -> Option<Restriction> {
    let prefix = inner.strip_suffix(":*").or_else(|| inner.strip_suffix(" *")).map(str::trim_end);
    let literal = prefix.unwrap_or(inner);
    if literal.is_empty() || literal.contains('*') || literal.contains(char::is_control) {
        return None;
    }
    Some(match prefix {
        Some(prefix) => Restriction::CommandPrefix(prefix.to_owned()),
        None => Restriction::Command(inner.to_owned()),
    })
}

impl Restriction {
    /// Whether a command has this form. After a prefix only plain words may follow: anything that a shell
    /// reads as more than a word (`;`, `|`, `$`, quotes, braces, `~`, line ends …) could run something else.
    pub(crate) fn permits_command(&self, command: &str) -> bool {
        let command = command.trim();
        match self {
            Self::Command(exact) => command == exact,
            Self::CommandPrefix(prefix) => match command.strip_prefix(prefix.as_str()) {
                Some("") => true,
                Some(rest) => rest.starts_with(' ') && rest.chars().all(is_plain),
                None => false,
            },
            Self::Host(_) => false,
        }
    }
}

/// Characters that mean only themselves to a shell, wherever they stand in a word, and the space.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || " _-./,:=+@%^".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_as_definitions_write_them() {
        let cases = [
            ("Read", Some("read_file")),
            ("read_file", Some("read_file")),
            ("Write", Some("write_file")),
            ("Edit", Some("edit_file")),
            ("Bash", Some("bash")),
            ("Bash(*)", Some("bash")),
            ("Glob", Some("glob")),
            ("Grep", Some("grep")),
            ("LS", Some("ls")),
            ("WebFetch", Some("fetch")),
            (" WebFetch(domain:*.example.org) ", Some("fetch(domain:*.example.org)")),
            ("Bash(git log:*)", Some("bash(git log:*)")),
            ("Bash(npm run *)", Some("bash(npm run:*)")),
            ("Bash(npm run build)", Some("bash(npm run build)")),
            ("Bash(git * main)", None),
            ("Bash(:*)", None),
            ("Bash(git log:*", None),
            ("Bash()", None),
            ("Read(src/**)", None),
            ("WebFetch(example.org)", None),
            ("WebFetch(domain:a.org,b.org)", None),
            ("WebFetch(domain:a/b)", None),
            ("Task", None),
            ("mcp__files__read", None),
        ];
        for (written, expected) in cases {
            let (allowed, unknown) = resolve_definition_tools(&[written.to_owned()]);
            let shown = allowed.first().map(ToString::to_string);
            assert_eq!(shown.as_deref(), expected, "{written}");
            assert_eq!(unknown.is_empty(), expected.is_some(), "{written}");
        }
    }

    #[test]
    fn a_prefix_permits_plain_words_and_nothing_that_a_shell_reads_as_more() {
        let git = Restriction::CommandPrefix("git log".to_owned());
        for command in
            ["git log", " git log ", "git log -3 --format=%h", "git log a..b -- src/é.rs"]
        {
            assert!(git.permits_command(command), "{command}");
        }
        let refused = [
            "git logs",
            "git  log",
            "git log; id",
            "git log && id",
            "git log & id",
            "git log | sh",
            "git log > x",
            "git log < x",
            "git log $(id)",
            "git log `id`",
            "git log ${x}",
            "git log $x",
            "git log\nid",
            "git log \nid",
            "git log\tid",
            "git log \\\n",
            "git log {a,b}",
            "git log *",
            "git log ?",
            "git log [a]",
            "git log ~root",
            "git log !x",
            "git log 'a'",
            "git log \"a\"",
            "git log #x",
            "git log (a)",
            "git log \0",
            "x git log",
            "",
        ];
        for command in refused {
            assert!(!git.permits_command(command), "{command}");
        }
        let exact = Restriction::Command("a | b".to_owned());
        assert!(exact.permits_command("a | b") && !exact.permits_command("a | b c"));
    }

    #[test]
    fn an_unknown_tool_of_a_definition_is_named_with_its_subagent() {
        let case = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let found = unknown_tools("reviewer", &resolve_definition_tools(&names).1);
            found.map(|found| (found.message, found.hint.unwrap_or_default()))
        };
        assert_eq!(case(&["Read", "Bash"]), None);
        let (message, hint) = case(&["Reed"]).unwrap();
        assert_eq!(message, "the subagent `reviewer` lists an unknown tool: `Reed`");
        assert!(hint.starts_with("there are") || hint.starts_with("did you mean"), "{hint}");
        let (message, hint) = case(&["Read(x)", "Nix"]).unwrap();
        assert_eq!(message, "the subagent `reviewer` lists unknown tools: `Read(x)`, `Nix`");
        assert!(hint.starts_with("brackets"), "{hint}");
    }
}
