//! A temporary repository with a home directory of its own.

use loopwright_protocol::Worktree;
use loopwright_types::{Attempt, CallId, RunId, Settings};
use loopwright_worktrees::{GitCommand, Worktrees};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;

pub const NEVER: &dyn Fn() -> bool = &|| false;

pub struct Place {
    pub _all: TempDir,
    pub workspace: PathBuf,
    pub data: PathBuf,
}

impl Place {
    /// A directory that is no repository.
    pub fn bare_directory() -> Self {
        let all = TempDir::new().unwrap();
        let root = all.path().canonicalize().unwrap();
        let (workspace, data) = (root.join("workspace"), root.join("data"));
        fs::create_dir_all(&workspace).unwrap();
        fs::create_dir_all(root.join("home")).unwrap();
        Self { _all: all, workspace, data }
    }

    /// A repository without a commit.
    pub fn unborn() -> Self {
        let place = Self::bare_directory();
        place.git(&["init", "-q", "-b", "main"]);
        place
    }

    /// A repository with a commit of these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let place = Self::unborn();
        for (path, text) in files {
            place.write(path, text);
        }
        place.commit("first");
        place
    }

    pub fn root(&self) -> PathBuf {
        self.workspace.parent().unwrap().to_path_buf()
    }

    pub fn command(&self, directory: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(directory).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C");
        command.env("HOME", self.root().join("home")).env("GIT_CONFIG_NOSYSTEM", "1");
        for person in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{person}_NAME"), "Tester");
            command.env(format!("GIT_{person}_EMAIL"), "tester@localhost");
        }
        command.output().unwrap()
    }

    /// Git in a directory; panics when it fails.
    pub fn git_in(&self, directory: &Path, arguments: &[&str]) -> String {
        let output = self.command(directory, arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.workspace, arguments)
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    pub fn write(&self, path: &str, text: &str) {
        write(&self.workspace.join(path), text);
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.workspace.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub fn git_command(&self) -> GitCommand {
        let home = self.root().join("home");
        GitCommand::default()
            .variable("HOME", &home)
            .variable("XDG_CONFIG_HOME", home.join(".config"))
            .variable("GIT_CONFIG_NOSYSTEM", "1")
    }

    pub fn worktrees(&self) -> Worktrees {
        self.worktrees_of(&self.workspace.clone())
    }

    pub fn worktrees_of(&self, workspace: &Path) -> Worktrees {
        let git = Arc::new(self.git_command());
        Worktrees::with_git(workspace, &self.data, &Settings::default(), git)
    }

    pub fn notices(&self, workspace: &Path) -> Vec<String> {
        let notices = self.worktrees_of(workspace).check(NEVER).unwrap();
        notices.iter().map(ToString::to_string).collect()
    }

    /// A branch with what `change` does in a fresh worktree.
    pub fn branch(&self, call: u32, change: impl FnOnce(&Path)) -> String {
        let worktrees = self.worktrees();
        let worktree = create(&worktrees, call);
        change(Path::new(&worktree.path));
        let report = worktrees.finish(&worktree, NEVER).unwrap();
        report.branch.expect("something changed")
    }

    /// Every file of the workspace but git's own, with its content, its kind and its executable bit.
    pub fn tree(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        walk(&self.workspace, &self.workspace, &mut found);
        found.sort();
        found
    }
}

fn walk(top: &Path, directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if name == ".git" {
            continue;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.push((format!("{name}@"), target.to_string_lossy().into_owned().into_bytes()));
        } else if metadata.is_dir() {
            walk(top, &path, found);
        } else {
            let mark = if metadata.permissions().mode() & 0o100 == 0 { "" } else { "*" };
            found.push((format!("{name}{mark}"), fs::read(&path).unwrap()));
        }
    }
}

pub fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub fn run(text: &str) -> RunId {
    RunId::parse(text).unwrap()
}

pub fn create(worktrees: &Worktrees, call: u32) -> Worktree {
    worktrees.create(&run("run-1"), CallId(call), Attempt(1), NEVER).unwrap()
}
