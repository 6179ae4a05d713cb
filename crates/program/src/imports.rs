//! What may be imported, and under which names. Nothing is loaded here: the host finds a library by its name.

use crate::names::closest;
use loopwright_types::Position;

/// What `loopwright:patterns` exports.
pub const PATTERNS: &[&str] = &[
    "fanOut",
    "classifyAndAct",
    "adversarialVerify",
    "generateAndFilter",
    "tournament",
    "loopUntilDry",
    "judgePanel",
    "councilVote",
    "deepResearch",
    "reflect",
    "groupChat",
    "mapReduce",
];

/// Modules that come with Loopwright, each with what it exports.
const BUILT_IN: &[(&str, &[&str])] = &[("loopwright:patterns", PATTERNS)];

/// One module that a program imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// `loopwright:patterns` or `library:name`.
    pub specifier: String,
    /// The names it takes; empty for `import "…"` and for `import()`.
    pub bindings: Vec<Binding>,
    /// Where the specifier stands.
    pub position: Position,
    /// Whether it is `import("…")`.
    pub dynamic: bool,
}

impl Import {
    /// The `name` of `library:name`.
    pub fn library(&self) -> Option<&str> {
        self.specifier.strip_prefix("library:")
    }
}

/// One name that an import takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// `import { imported as local }`.
    Named {
        /// The module's name for it.
        imported: String,
        /// The program's name for it.
        local: String,
    },
    /// `import local`.
    Default {
        /// The program's name for it.
        local: String,
    },
    /// `import * as local`.
    Namespace {
        /// The program's name for it.
        local: String,
    },
}

/// A cause with what to do about it.
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Binding {
    /// The program's name for it.
    pub fn local(&self) -> &str {
        match self {
            Self::Named { local, .. } | Self::Default { local } | Self::Namespace { local } => {
                local
            }
        }
    }

    /// The module's name for it; `None` for the whole module.
    pub fn imported(&self) -> Option<&str> {
        match self {
            Self::Named { imported, .. } => Some(imported),
            Self::Default { .. } => Some("default"),
            Self::Namespace { .. } => None,
        }
    }

    /// Why a built-in module cannot give this name.
    pub(crate) fn unknown_in(&self, specifier: &str) -> Option<Refused> {
        let (_, exports) = BUILT_IN.iter().find(|(name, _)| *name == specifier)?;
        self.missing_from(specifier, exports)
    }

    /// Why a module with these exports cannot give this name.
    pub(crate) fn missing_from(&self, specifier: &str, exports: &[&str]) -> Option<Refused> {
        let imported = self.imported().filter(|name| !exports.contains(name))?;
        let message = format!("`{specifier}` exports no `{imported}`");
        let hint = match closest(imported, exports.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if exports.is_empty() => "it exports nothing".to_owned(),
            None => format!("it exports {}", exports.join(", ")),
        };
        Some(Refused { message, hint })
    }
}

/// Whether a program may import this module.
pub(crate) fn check_specifier(specifier: &str) -> Result<(), Refused> {
    if BUILT_IN.iter().any(|(name, _)| *name == specifier) {
        return Ok(());
    }
    let refuse = |message: String, hint: String| Err(Refused { message, hint });
    if let Some(name) = specifier.strip_prefix("library:") {
        if is_library_name(name) {
            return Ok(());
        }
        let message = format!("`{specifier}` does not name a saved program");
        let hint = "a name is letters, digits, `-`, `_` and `.`, in folders by `/`";
        return refuse(message, hint.to_owned());
    }
    if specifier.starts_with("loopwright:") {
        let hint = match closest(specifier, BUILT_IN.iter().map(|(name, _)| *name)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "there is `loopwright:patterns`".to_owned(),
        };
        return refuse(format!("there is no module `{specifier}`"), hint);
    }
    refuse(
        format!("`{specifier}` is outside of what a program can reach"),
        outside_hint(specifier).to_owned(),
    )
}

fn is_library_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_part = |part: &str| {
        !part.is_empty() && !part.chars().all(|c| c == '.') && part.chars().all(allowed)
    };
    name.len() <= 200 && name.split('/').all(is_part)
}

/// What to do instead.
fn outside_hint(specifier: &str) -> &'static str {
    let name = specifier.strip_prefix("node:").unwrap_or(specifier);
    match name.split('/').next().unwrap_or("") {
        "fs" | "path" | "glob" => "a program reaches files only through `tools.*`",
        "http" | "https" | "net" | "dns" | "undici" | "axios" | "node-fetch" => {
            "a program has no network: give the question to a subagent with `agent(…)`"
        }
        "child_process" | "process" | "os" | "worker_threads" | "cluster" => {
            "a program starts nothing by itself: a subagent with `driver: command` does"
        }
        "timers" => "a program waits with `sleep(ms)`",
        "crypto" => "`Math.random` is seeded by the run and replays",
        "." | ".." | "" => {
            "save the file in `.loopwright/workflows` and import it as `library:name`; types come by `import type`"
        }
        _ => "only `loopwright:patterns` and `library:name` can be imported",
    }
}
