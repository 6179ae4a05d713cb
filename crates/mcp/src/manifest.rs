//! What calling a tool may do, as the person who configures the server says it. What a server says of itself is a hint
//! for that person and never a fact: nothing here reads it.

use loopwright_types::Effects;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an argument is for the policy: where something goes, or what goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArgumentRole {
    /// Decides where, to whom or how much.
    Route,
    /// What is sent or written there.
    Content,
}

/// What is known of one tool; what nobody said is the worst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolManifest {
    /// What calling it may do.
    pub effects: Effects,
    /// Whether its result may hold text that strangers wrote.
    pub reads_untrusted: bool,
    /// Whether its result may hold what is not for everybody.
    pub reads_private: bool,
    /// Roles of its arguments; those that are absent are routes.
    pub arguments: BTreeMap<String, ArgumentRole>,
    /// The tool of the same server that tells what became of a call, by the server's own name.
    pub lookup: Option<String>,
}

/// The member `loopwright` of a server in `.mcp.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// For all tools of the server that say nothing else.
    effects: Option<Effects>,
    reads_untrusted: Option<bool>,
    reads_private: Option<bool>,
    /// By the tool's own name.
    tools: BTreeMap<String, Lines>,
    /// Names of the tools that may be used, `*` for any characters; absent for all.
    allow: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Lines {
    effects: Option<Effects>,
    reads_untrusted: Option<bool>,
    reads_private: Option<bool>,
    arguments: BTreeMap<String, ArgumentRole>,
    lookup: Option<String>,
}

impl Manifest {
    /// Whether the tool may be used at all; `name` is the server's own.
    pub fn allows(&self, name: &str) -> bool {
        let Some(allow) = &self.allow else { return true };
        allow.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    }

    /// What is known of the tool; `name` is the server's own.
    pub fn tool(&self, name: &str) -> ToolManifest {
        let none = Lines::default();
        let own = self.tools.get(name).unwrap_or(&none);
        ToolManifest {
            effects: own.effects.or(self.effects).unwrap_or_default(),
            reads_untrusted: own.reads_untrusted.or(self.reads_untrusted).unwrap_or(true),
            reads_private: own.reads_private.or(self.reads_private).unwrap_or(true),
            arguments: own.arguments.clone(),
            lookup: own.lookup.clone(),
        }
    }

    /// Tools that the manifest names, to report those that the server does not have.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }
}

/// Whether the pattern, in which `*` stands for any characters, fits the whole name. Linear for each star.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star = None;
    while from < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == name[from] => (at, from) = (at + 1, from + 1),
            _ => {
                let Some((behind, taken)) = star else { return false };
                star = Some((behind, taken + 1));
                (at, from) = (behind + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_does_not_say_is_the_worst() {
        let none = Manifest::default().tool("send");
        assert_eq!(none.effects, Effects::External);
        assert!(none.reads_untrusted && none.reads_private && none.arguments.is_empty());
        let text = r#"{"effects":"local","reads_private":false,
            "tools":{"list":{"effects":"none"},"send":{"arguments":{"to":"route","text":"content"}}}}"#;
        let manifest: Manifest = serde_json::from_str(text).unwrap();
        assert_eq!(manifest.tool("list").effects, Effects::None);
        assert_eq!(manifest.tool("other").effects, Effects::Local);
        assert!(!manifest.tool("send").reads_private && manifest.tool("send").reads_untrusted);
        assert_eq!(manifest.tool("send").arguments["text"], ArgumentRole::Content);
    }

    #[test]
    fn a_misspelt_member_of_a_manifest_is_an_error() {
        for text in [r#"{"effect":"none"}"#, r#"{"tools":{"a":{"effects":"all"}}}"#] {
            assert!(serde_json::from_str::<Manifest>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stars_in_allowed_names_stand_for_any_characters() {
        let cases = [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("b*", "bee", true),
            ("b*", "ab", false),
            ("*_file", "read_file", true),
            ("*_file", "read_files", false),
            ("a*b*c", "a__b__bc", true),
            ("a*b*c", "acb", false),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
