//! Saved programs by name: `.loopwright/workflows`, then `.claude/workflows`, or a path in the workspace.

use loopwright_types::{Code, Diagnostic};
use std::path::{Path, PathBuf};

/// Directories in the order in which a name is looked up.
const DIRECTORIES: [&str; 2] = [".loopwright/workflows", ".claude/workflows"];
/// Extensions in the order in which a name is completed.
const EXTENSIONS: [&str; 4] = ["ts", "js", "mjs", "mts"];

/// Finds the file of a saved program.
///
/// # Errors
/// `LW0505` when there is none, or when it is outside the workspace.
pub(crate) fn find(workspace: &Path, name: &str) -> Result<PathBuf, Diagnostic> {
    let unknown = |message: String| Diagnostic::new(Code::WORKFLOW_UNKNOWN, message);
    let root = workspace.canonicalize().map_err(|error| unknown(error.to_string()))?;
    let found =
        candidates(name).into_iter().map(|path| root.join(path)).find(|path| path.is_file());
    let Some(found) = found else {
        return Err(unknown(format!("no saved program is named `{name}`"))
            .hint("saved programs are files in `.loopwright/workflows/` or `.claude/workflows/`"));
    };
    let real = found.canonicalize().map_err(|error| unknown(error.to_string()))?;
    if !real.starts_with(&root) {
        return Err(unknown(format!("`{name}` is outside the workspace"))
            .hint("copy the program into `.loopwright/workflows/`"));
    }
    Ok(real)
}

/// Where a name may lead, best first.
fn candidates(name: &str) -> Vec<PathBuf> {
    let is_path =
        name.contains('/') || EXTENSIONS.iter().any(|ext| name.ends_with(&format!(".{ext}")));
    let mut paths = Vec::new();
    for directory in DIRECTORIES {
        let base = Path::new(directory);
        paths.extend(EXTENSIONS.iter().map(|ext| base.join(format!("{name}.{ext}"))));
        if is_path {
            paths.push(base.join(name));
        }
    }
    if is_path {
        paths.push(PathBuf::from(name));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_directory_goes_first_and_nothing_outside_is_reached() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("w"), directory.path().join("secret.ts"));
        for path in DIRECTORIES {
            std::fs::create_dir_all(inside.join(path)).unwrap();
            std::fs::write(inside.join(path).join("triage.js"), "1").unwrap();
        }
        std::fs::write(&outside, "1").unwrap();
        std::fs::write(inside.join("here.ts"), "1").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join(".claude/workflows/link.ts")).unwrap();
        let end = |name| {
            find(&inside, name).map(|path| path.ends_with(".loopwright/workflows/triage.js"))
        };
        assert_eq!(end("triage"), Ok(true));
        assert!(find(&inside, "here.ts").is_ok());
        for name in ["absent", "../secret.ts", "link", outside.to_str().unwrap()] {
            assert_eq!(find(&inside, name).unwrap_err().code, Code::WORKFLOW_UNKNOWN, "{name}");
        }
    }
}
