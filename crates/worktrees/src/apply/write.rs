//! All changes or none: new files are prepared beside the workspace's, then every file is moved, and moved back when
//! one move fails. What is under way is written down in the data directory first, so that the next apply undoes one
//! that was killed. Not in the workspace: a file there may come from anybody.

use super::disk::{Disk, look, place};
use super::plan::Plan;
use crate::failures::{failed, printable, system};
use crate::files;
use crate::repository::{Cancelled, Checkout};
use loopwright_types::Failure;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Begins the name of the workspace's directory for an apply under way.
const STAGE: &str = ".loopwright-apply-";
/// Begins the name of what was undone although somebody had changed it meanwhile.
const UNDONE: &str = ".loopwright-undone-";
/// Begins the name of a journal in the data directory.
const JOURNAL: &str = ".apply-";

/// One file to move.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Move {
    path: Vec<u8>,
    /// There is a file that goes.
    leaves: bool,
    /// There is a file that comes.
    comes: bool,
}

/// What is under way, as bytes of paths.
#[derive(Serialize, Deserialize)]
struct Journal {
    top: Vec<u8>,
    directory: Vec<u8>,
    moves: Vec<Move>,
    /// All files are moved; only the directory has to go.
    complete: bool,
}

/// The directory of one apply: `new/<path>` comes, `old/<number>` has left.
struct Stage<'a> {
    directory: PathBuf,
    top: &'a Path,
    moves: Vec<Move>,
    journal: PathBuf,
}

/// Writes the plan into the workspace.
pub(crate) fn write(
    main: &Checkout,
    workspace: &Path,
    home: &Path,
    plan: &Plan,
    cancelled: Cancelled,
) -> Result<(), Failure> {
    let changed = plan.steps.iter().filter_map(|step| Some((step, step.result()?)));
    let moves: Vec<Move> = changed
        .map(|(step, result)| Move {
            path: step.path.clone(),
            leaves: matches!(step.disk, Disk::File(_)),
            comes: result.is_some(),
        })
        .collect();
    if moves.is_empty() {
        return Ok(());
    }
    let number = format!("{}-{}", std::process::id(), crate::record::now());
    let directory = workspace.join(format!("{STAGE}{number}"));
    let journal = home.join(format!("{JOURNAL}{number}.json"));
    let stage = Stage { directory, top: &main.top, moves, journal };
    let fail = |error| system("make", &stage.directory, &error);
    fs::DirBuilder::new().mode(0o700).create(&stage.directory).map_err(fail)?;
    let prepared = stage.prepare(main, plan, cancelled).and_then(|()| unchanged(main, plan));
    if let Err(failure) = prepared.and_then(|()| stage.note(false)) {
        stage.discard();
        return Err(failure);
    }
    if let Err((path, error)) = stage.swap() {
        let failure = system("write", &path, &error);
        return Err(match stage.undo() {
            Ok(()) => {
                stage.discard();
                failure
            }
            Err((path, error)) => {
                let cause = format!(
                    "{}; undoing it failed at `{}`: {error}",
                    failure.message,
                    path.display()
                );
                let kept = format!("the files as they were are in `{}`", stage.directory.display());
                failed(cause).hint(kept)
            }
        });
    }
    stage.finish()
}

/// Nobody changed a file since it was read.
fn unchanged(main: &Checkout, plan: &Plan) -> Result<(), Failure> {
    let changed = plan.steps.iter().filter(|step| step.result().is_some());
    let mut moved = changed.filter(|step| look(&main.top, &step.path) != step.disk);
    moved.next().map_or(Ok(()), |step| {
        let path = printable(&String::from_utf8_lossy(&step.path));
        Err(failed(format!("`{path}` changed while the branch was applied")).retryable())
    })
}

type Trouble = (PathBuf, io::Error);

impl Stage<'_> {
    fn new_file(&self, path: &[u8]) -> PathBuf {
        place(&self.directory.join("new"), path)
    }

    fn old_file(&self, number: usize) -> PathBuf {
        self.directory.join("old").join(number.to_string())
    }

    /// Writes all files that come, and the list of moves.
    fn prepare(&self, main: &Checkout, plan: &Plan, cancelled: Cancelled) -> Result<(), Failure> {
        let fail = |error| system("make", &self.directory, &error);
        for inner in ["new", "old"] {
            fs::create_dir(self.directory.join(inner)).map_err(fail)?;
        }
        let (mut lines, mut paths) = (Vec::new(), Vec::new());
        let results = || plan.steps.iter().filter_map(|step| Some((step, step.result()?)));
        for (step, _) in results().filter(|(_, result)| result.is_none()) {
            let zero = step.base.as_ref().map_or(40, |entry| entry.object.len());
            lines.extend_from_slice(format!("0 {}\t", "0".repeat(zero)).as_bytes());
            lines.extend_from_slice(&step.path);
            lines.push(0);
        }
        for (step, entry) in results().filter_map(|(step, result)| Some((step, result?))) {
            lines.extend_from_slice(format!("{:o} {}\t", entry.mode, entry.object).as_bytes());
            lines.extend_from_slice(&step.path);
            lines.push(0);
            paths.extend_from_slice(&step.path);
            paths.push(0);
        }
        let doing = "write the files of a branch";
        let update = ["update-index", "-z", "--replace", "--index-info"];
        main.must(&plan.scratch.call(main, &update).stdin(lines), doing, cancelled)?;
        let mut prefix = std::ffi::OsString::from("--prefix=");
        prefix.push(self.directory.join("new/"));
        let checkout = plan.scratch.call(main, &["checkout-index", "-z", "--stdin", "-f", "-q"]);
        main.must(&checkout.argument(prefix).stdin(paths), doing, cancelled)?;
        for file in self.moves.iter().filter(|file| file.comes) {
            let path = self.new_file(&file.path);
            fs::symlink_metadata(&path).map_err(|error| system("write", &path, &error))?;
        }
        Ok(())
    }

    /// Writes down what is under way; durable before anything is moved.
    fn note(&self, complete: bool) -> Result<(), Failure> {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let (top, directory) = (bytes(self.top), bytes(&self.directory));
        let journal = Journal { top, directory, moves: self.moves.clone(), complete };
        let list = serde_json::to_vec(&journal).map_err(|error| failed(error.to_string()))?;
        let draft = self.journal.with_extension("tmp");
        let written = File::create(&draft)
            .and_then(|mut file| file.write_all(&list).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, &self.journal));
        written.map_err(|error| system("write", &self.journal, &error))
    }

    /// Removes what was only for the way.
    fn discard(&self) {
        if files::remove(&self.directory).is_ok() {
            let _ = fs::remove_file(&self.journal);
        }
    }

    fn swap(&self) -> Result<(), Trouble> {
        for (number, file) in self.moves.iter().enumerate().filter(|(_, file)| file.leaves) {
            let path = place(self.top, &file.path);
            fs::rename(&path, self.old_file(number)).map_err(|error| (path, error))?;
        }
        for file in self.moves.iter().filter(|file| file.comes) {
            let path = place(self.top, &file.path);
            let moved = path.parent().map_or(Ok(()), fs::create_dir_all);
            let moved = moved.and_then(|()| remove_empty(&path));
            let moved = moved.and_then(|()| fs::rename(self.new_file(&file.path), &path));
            moved.map_err(|error| (path, error))?;
        }
        Ok(())
    }

    /// Moves back what was moved, as far as the swap came.
    fn undo(&self) -> Result<(), Trouble> {
        for file in self.moves.iter().rev().filter(|file| file.comes) {
            let (here, there) = (place(self.top, &file.path), self.new_file(&file.path));
            if fs::symlink_metadata(&there).is_err() && fs::symlink_metadata(&here).is_ok() {
                fs::rename(&here, &there).map_err(|error| (here, error))?;
            }
            // Also where the move itself failed: its directories were made before.
            self.remove_empty_above(&file.path);
        }
        for (number, file) in self.moves.iter().enumerate().filter(|(_, file)| file.leaves) {
            let (here, there) = (place(self.top, &file.path), self.old_file(number));
            if fs::symlink_metadata(&there).is_ok() {
                let moved = here.parent().map_or(Ok(()), fs::create_dir_all);
                let moved = moved.and_then(|()| remove_empty(&here));
                let moved = moved.and_then(|()| fs::rename(&there, &here));
                moved.map_err(|error| (here, error))?;
            }
        }
        Ok(())
    }

    /// From the note on, the apply is complete.
    fn finish(&self) -> Result<(), Failure> {
        if let Err(failure) = self.note(true) {
            self.undo().map_err(|(path, error)| system("restore", &path, &error))?;
            self.discard();
            return Err(failure);
        }
        for file in self.moves.iter().filter(|file| !file.comes) {
            self.remove_empty_above(&file.path);
        }
        self.discard();
        Ok(())
    }

    /// Git keeps no empty directories.
    fn remove_empty_above(&self, path: &[u8]) {
        let path = place(self.top, path);
        let workspace = self.directory.parent().unwrap_or(self.top);
        let above = path.ancestors().skip(1);
        for directory in
            above.take_while(|above| *above != workspace && above.starts_with(workspace))
        {
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }
}

/// Removes a directory that holds nothing but empty directories; what is no directory stays.
fn remove_empty(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        remove_empty(&entry?.path())?;
    }
    fs::remove_dir(path)
}

/// Undoes applies to this checkout that were killed half-way, and removes what complete ones left. The caller holds the
/// lock.
pub(crate) fn recover(home: &Path, top: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if !name.starts_with(JOURNAL) || !name.ends_with(".json") {
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| system("read", &path, &error))?;
        let journal: Journal = serde_json::from_slice(&bytes)
            .map_err(|error| failed(format!("`{}` cannot be read: {error}", path.display())))?;
        if journal.top != top.as_os_str().as_bytes() {
            continue;
        }
        let directory = PathBuf::from(OsStr::from_bytes(&journal.directory));
        let stage = Stage { directory, top, moves: journal.moves, journal: path };
        if !journal.complete {
            let touched = stage.is_touched();
            stage.undo().map_err(|(path, error)| system("restore", &path, &error))?;
            if touched {
                let kept = stage.directory.with_file_name(name.replacen(JOURNAL, UNDONE, 1));
                let moved = fs::rename(&stage.directory, &kept);
                moved.map_err(|error| system("keep", &kept, &error))?;
            }
        }
        stage.discard();
    }
    Ok(())
}

impl Stage<'_> {
    /// Whether somebody worked on a file that came, after the swap was cut short: that work is not thrown away.
    fn is_touched(&self) -> bool {
        let modified =
            |path: &Path| fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
        let Ok(since) = modified(&self.journal) else { return true };
        let mut came = self.moves.iter().filter(|file| file.comes);
        came.any(|file| {
            let here = modified(&place(self.top, &file.path)).is_ok_and(|time| time > since);
            here && fs::symlink_metadata(self.new_file(&file.path)).is_err()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name: content` of every file, directories by name alone.
    fn tree(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                found.extend(tree(&path).into_iter().map(|inner| format!("{name}/{inner}")));
            } else {
                found.push(format!("{name}: {}", fs::read_to_string(&path).unwrap()));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_move_that_fails_takes_back_all_moves_before_it() {
        // Path, what is there, what comes; each move in turn is the one whose file is missing.
        let files: [(&str, Option<&str>, Option<&str>); 5] = [
            ("a", Some("a"), Some("A")),
            ("b", Some("b"), None),
            ("b/inner", None, Some("B")),
            ("new/deep/c", None, Some("C")),
            ("z", Some("z"), Some("Z")),
        ];
        for broken in files.iter().filter(|file| file.2.is_some()) {
            let place = tempfile::TempDir::new().unwrap();
            let top = place.path().join("top");
            let directory = top.join(".loopwright-apply-1-1");
            fs::create_dir_all(directory.join("old")).unwrap();
            let moves = files.map(|(path, here, there)| {
                if let Some(text) = here {
                    fs::write(top.join(path), text).unwrap();
                }
                let new = directory.join("new").join(path);
                fs::create_dir_all(new.parent().unwrap()).unwrap();
                if let Some(text) = there.filter(|_| path != broken.0) {
                    fs::write(new, text).unwrap();
                }
                Move { path: path.into(), leaves: here.is_some(), comes: there.is_some() }
            });
            let journal = place.path().join("journal.json");
            let stage = Stage { directory, top: &top, moves: moves.to_vec(), journal };
            let (path, _) = stage.swap().unwrap_err();
            assert_eq!(path, top.join(broken.0));
            stage.undo().unwrap();
            stage.discard();
            assert_eq!(tree(&top), ["a: a", "b: b", "z: z"], "{}", broken.0);
            assert!(!top.join("new").exists());
        }
    }
}
