//! Directories: their size, and removing them whatever a subagent did to their permissions.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Entries counted before a size is called "at least".
const ENTRIES_MAX: u64 = 1_000_000;

/// Bytes of all files beneath a directory; links are not followed. Stops early when cancelled.
pub(crate) fn bytes(path: &Path, cancelled: &dyn Fn() -> bool) -> u64 {
    let (mut total, mut seen, mut next) = (0_u64, 0, vec![path.to_path_buf()]);
    while let Some(directory) = next.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            seen += 1;
            if metadata.is_dir() {
                next.push(entry.path());
            } else {
                total = total.saturating_add(metadata.len());
            }
        }
        if seen > ENTRIES_MAX || cancelled() {
            break;
        }
    }
    total
}

/// Removes a directory with all in it; links are removed, never followed. One that is not there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Directories that their owner may not enter or change; ours all the same.
            open_up(path);
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn open_up(path: &Path) {
    let mut next = vec![path.to_path_buf()];
    while let Some(directory) = next.pop() {
        let is_directory = fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir());
        if is_directory {
            let _ = fs::set_permissions(&directory, fs::Permissions::from_mode(0o700));
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            next.extend(
                entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()),
            );
        }
    }
}

/// Directories below a worktree's top that are repositories of their own.
pub(crate) fn nested_repositories(
    top: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Vec<std::path::PathBuf> {
    let (mut found, mut next) = (Vec::new(), vec![top.to_path_buf()]);
    while let Some(directory) = next.pop() {
        let is_nested = directory != top && fs::symlink_metadata(directory.join(".git")).is_ok();
        if is_nested {
            found.push(directory);
        } else if !cancelled() {
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            let directories = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
            next.extend(directories.map(|e| e.path()).filter(|path| !path.ends_with(".git")));
        }
    }
    found
}
