//! Names that programs can write after a dot and that models can be given.

use std::collections::BTreeSet;

/// Longest name that providers take for a tool.
const MODEL_NAME_MAX: usize = 64;
/// Longest part for the server, so that enough is left for its tool.
const SERVER_NAME_MAX: usize = 24;

/// The text as an identifier: letters, digits and `_`, everything else a `_`.
pub(crate) fn identifier(text: &str, max: usize) -> String {
    let mut out: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, '_');
    }
    out.truncate(max);
    out
}

/// Gives names that nobody has yet.
#[derive(Default)]
pub(crate) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// An identifier for a server.
    pub(crate) fn server(&mut self, name: &str) -> String {
        self.free(|number| numbered(&identifier(name, SERVER_NAME_MAX), number, SERVER_NAME_MAX))
    }

    /// An identifier for a tool of the server of this identifier: unlike every other once both are joined for models.
    pub(crate) fn tool(&mut self, server: &str, name: &str) -> String {
        let max = MODEL_NAME_MAX - server.len() - "__".len();
        let joined = |tool: &str| format!("{server}__{tool}");
        let own = identifier(name, max);
        let mut number = 1;
        loop {
            let tool = numbered(&own, number, max);
            if self.taken.insert(joined(&tool)) {
                return tool;
            }
            number += 1;
        }
    }

    fn free(&mut self, name: impl Fn(u32) -> String) -> String {
        let mut number = 1;
        loop {
            let name = name(number);
            if self.taken.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }
}

fn numbered(name: &str, number: u32, max: usize) -> String {
    if number == 1 {
        return name.to_owned();
    }
    let suffix = format!("_{number}");
    let kept = name.len().min(max - suffix.len());
    format!("{}{suffix}", &name[..kept])
}

/// The name as it is compared, whatever way a program wrote it.
pub(crate) fn fold(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.');
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers_that_differ() {
        let mut names = Names::default();
        let servers =
            [("files", "files"), ("git-hub", "git_hub"), ("git.hub", "git_hub_2"), ("4k", "_4k")];
        for (name, expected) in servers {
            assert_eq!(names.server(name), expected);
        }
        let tools = [
            ("git_hub", "list-all", "list_all"),
            ("git_hub", "list.all", "list_all_2"),
            ("git_hub_2", "list-all", "list_all"),
            ("a", "b__c", "b__c"),
            ("a__b", "c", "c_2"),
            ("a", "../../etc/passwd", "______etc_passwd"),
            ("a", "ä", "_"),
        ];
        for (server, name, expected) in tools {
            assert_eq!(names.tool(server, name), expected, "{server} {name}");
        }
        let long = "x".repeat(200);
        let server = names.server(&long);
        let (one, two) = (names.tool(&server, &long), names.tool(&server, &long));
        assert_ne!(one, two);
        for tool in [one, two] {
            assert!(format!("{server}__{tool}").len() <= MODEL_NAME_MAX);
        }
    }
}
