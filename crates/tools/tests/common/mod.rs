//! A workspace with something secret beside it, and tools as the settings grant them.
#![allow(dead_code)] // each test file uses its part

use loopwright_tools::Tools;
use loopwright_types::{Failure, Settings};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What must never be seen.
pub const SECRET: &str = "the-secret-outside";

/// A directory with a workspace in it and a secret beside the workspace.
pub struct Place {
    pub all: TempDir,
    pub tools: Tools,
}

impl Place {
    /// With these settings beside the defaults.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let all = TempDir::new().unwrap();
        fs::create_dir_all(all.path().join("workspace/src")).unwrap();
        fs::create_dir(all.path().join("outside")).unwrap();
        fs::write(all.path().join("outside/secret.txt"), SECRET).unwrap();
        fs::write(all.path().join("workspace/notes.txt"), "inside\n").unwrap();
        let mut given = Settings::default();
        for (name, value) in settings {
            given.set(name, value).unwrap();
        }
        let tools = Tools::configured(&all.path().join("workspace"), &given).unwrap();
        Self { all, tools }
    }

    pub fn workspace(&self) -> PathBuf {
        self.all.path().join("workspace").canonicalize().unwrap()
    }

    pub fn outside(&self) -> PathBuf {
        self.all.path().join("outside").canonicalize().unwrap()
    }

    /// Calls as a subagent that may call everything.
    pub fn call(&self, name: &str, args: &Value) -> Result<String, Failure> {
        self.call_cancelled(name, args, &|| false)
    }

    pub fn call_cancelled(
        &self,
        name: &str,
        args: &Value,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<String, Failure> {
        let allowed = self.tools.subagent_names();
        let value = self.tools.call_in(None, &allowed, name, args, cancelled)?;
        Ok(value.as_str().unwrap().to_owned())
    }

    /// Everything in a directory with its content, links unread: to see that nothing changed.
    pub fn snapshot(path: &Path) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut ahead = vec![path.to_path_buf()];
        while let Some(directory) = ahead.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let status = path.symlink_metadata().unwrap();
                let content = if status.is_file() {
                    fs::read_to_string(&path).unwrap()
                } else {
                    String::new()
                };
                if status.is_dir() {
                    ahead.push(path.clone());
                }
                found.push((path, content));
            }
        }
        found.sort();
        found
    }
}
