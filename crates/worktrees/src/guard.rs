//! Settings of a repository that could run a program or reach the network, switched off for every command.
//!
//! A repository's own settings (`.git/config`) are not trusted: an archive or a subagent may have written them. The
//! user's and the system's are, except for hooks: a filter such as Git LFS that the user installed for all repositories
//! still runs.

use std::collections::{BTreeMap, BTreeSet};

/// Set for every command.
pub(crate) const FIXED: &[(&str, &str)] = &[
    ("add.ignoreErrors", "false"),
    ("advice.addEmbeddedRepo", "false"),
    ("branch.autoSetupMerge", "false"),
    ("checkout.guess", "false"),
    ("color.ui", "false"),
    ("commit.gpgSign", "false"),
    ("core.askPass", ""),
    ("core.editor", ":"),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.pager", "cat"),
    ("core.quotePath", "false"),
    ("core.safecrlf", "false"),
    ("core.sshCommand", "false"),
    ("core.untrackedCache", "false"),
    ("credential.helper", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("submodule.recurse", "false"),
    ("worktree.guessRemote", "false"),
    ("worktree.useRelativePaths", "false"),
];

/// Settings worth reading before anything else runs.
pub(crate) const READ: &str =
    r"^(filter\..*|merge\..*\.driver|hook\..*|core\.sparsecheckout|remote\..*\.promisor)$";

/// Git's own three-way merge, as a driver.
const PLAIN_MERGE: &str = "git merge-file -q --marker-size=%L %A %O %B";

/// What was read of a repository's settings, and what is set over them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    overrides: Vec<(String, String)>,
    /// Filters of the repository's own settings; they do not run.
    pub(crate) filters: Vec<String>,
    /// Whether only a part of the files is checked out.
    pub(crate) is_sparse: bool,
    /// Whether file contents may be missing until they are fetched.
    pub(crate) is_partial: bool,
}

impl Guard {
    /// Reads `git config --null --show-scope --get-regexp`: scope, NUL, key, line end, value, NUL.
    pub(crate) fn read(answer: &[u8]) -> Self {
        let mut fields = answer.split(|byte| *byte == 0);
        let mut guard = Self::default();
        let mut trusted: BTreeMap<String, String> = BTreeMap::new();
        let (mut filters, mut drivers, mut hooks) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        while let (Some(scope), Some(entry)) = (fields.next(), fields.next()) {
            let entry = String::from_utf8_lossy(entry);
            let (key, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
            let is_trusted = scope == b"system" || scope == b"global";
            if is_trusted {
                trusted.insert(key.to_owned(), value.to_owned());
            }
            let is_on = !matches!(value, "false" | "no" | "off" | "0" | "");
            match (key.split_once('.'), key.rsplit_once('.')) {
                (Some(("filter", _)), Some(_)) if !is_trusted => {
                    filters.insert(key.to_owned());
                }
                (Some(("merge", _)), Some(_)) if !is_trusted => {
                    drivers.insert(key.to_owned());
                }
                (Some(("hook", _)), Some((name, _))) => {
                    hooks.insert(name.to_owned());
                }
                (Some(("core", _)), _) => guard.is_sparse = is_on,
                (Some(("remote", _)), _) => guard.is_partial |= is_on,
                _ => {}
            }
        }
        // An empty command is no command; the user's own stays. Exactly the keys that were set: a `process`, empty or
        // not, would shadow the user's own `clean` and `smudge`.
        guard.overrides.extend(filters.iter().map(|key| {
            let none = if key.ends_with(".required") { "false" } else { "" };
            (key.clone(), trusted.get(key).map_or(none, String::as_str).to_owned())
        }));
        // A driver cannot be unset, only replaced.
        guard.overrides.extend(drivers.into_iter().map(|key| {
            let own = trusted.get(&key).cloned().unwrap_or_else(|| PLAIN_MERGE.to_owned());
            (key, own)
        }));
        guard
            .overrides
            .extend(hooks.into_iter().map(|name| (format!("{name}.enabled"), "false".to_owned())));
        let names = filters.iter().filter_map(|key| Some(key.rsplit_once('.')?.0));
        let names: BTreeSet<&str> = names.filter_map(|name| name.strip_prefix("filter.")).collect();
        guard.filters = names.into_iter().map(str::to_owned).collect();
        guard
    }

    /// The variables that carry all of it. Variables, not `-c`: a key may hold `=`.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let fixed = FIXED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let all: Vec<_> = fixed.chain(self.overrides.iter().cloned()).collect();
        let mut variables = vec![("GIT_CONFIG_COUNT".to_owned(), all.len().to_string())];
        for (at, (key, value)) in all.into_iter().enumerate() {
            variables.push((format!("GIT_CONFIG_KEY_{at}"), key));
            variables.push((format!("GIT_CONFIG_VALUE_{at}"), value));
        }
        variables
    }
}
