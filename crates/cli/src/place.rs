//! Directories: where runs are recorded and where the compiled guest is kept.

use loopwright::types::{Code, Diagnostic};
use std::env;
use std::path::{Path, PathBuf};

/// `--data-dir`, else `LOOPWRIGHT_DATA_DIR`, else `XDG_DATA_HOME/loopwright`, else `~/.local/share/loopwright`.
///
/// # Errors
/// When none of them is there.
pub fn data_dir(given: Option<&Path>) -> Result<PathBuf, Diagnostic> {
    let given = given.map(Path::to_owned).or_else(|| variable("LOOPWRIGHT_DATA_DIR"));
    given.or_else(|| base("XDG_DATA_HOME", ".local/share")).ok_or_else(|| {
        Diagnostic::new(Code::DATA_DIR, "there is no place to record runs: `HOME` is not set")
            .hint("name a directory with `--data-dir` or `LOOPWRIGHT_DATA_DIR`")
    })
}

/// `XDG_CACHE_HOME/loopwright`, else `~/.cache/loopwright`; without a home nothing is cached.
pub fn cache_dir() -> Option<PathBuf> {
    base("XDG_CACHE_HOME", ".cache")
}

/// The XDG rule: a relative path in the variable does not count.
fn base(name: &str, in_home: &str) -> Option<PathBuf> {
    let base = variable(name).filter(|path| path.is_absolute());
    let base = base.or_else(|| variable("HOME").map(|home| home.join(in_home)));
    base.map(|base| base.join("loopwright"))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A directory typed on the command line is relative to where it was typed, not to the workspace.
pub fn absolute(typed: &Path) -> PathBuf {
    std::path::absolute(typed).unwrap_or_else(|_| typed.to_owned())
}
