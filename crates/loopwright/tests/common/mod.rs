//! What every test of whole runs needs: a workspace, a data directory, and a run of a program's text.

use loopwright::protocol::{Entry, Json};
use loopwright::types::Settings;
use loopwright::{Run, RunOptions, RunReport, Unattended};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A temporary workspace with its own data directory.
pub struct Bench {
    directory: tempfile::TempDir,
    pub settings: Settings,
    pub model: Option<String>,
    /// The settings file's tables of providers and models.
    pub tables: String,
    pub args: Option<Json>,
}

/// What a run did.
#[allow(dead_code)] // each test file uses its part
pub struct Ran {
    pub report: RunReport,
    pub entries: Vec<Entry>,
}

/// The repository's root.
#[allow(dead_code)]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Compiled guests are shared between the tests of this checkout.
pub fn cache_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-cache")
}

#[allow(dead_code)]
impl Bench {
    pub fn new() -> Self {
        let mut settings = Settings::default();
        settings.set("run.seed", "7").unwrap();
        settings.set("task.backoff_ms", "1").unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("workspace")).unwrap();
        Self {
            directory,
            settings,
            model: Some("mock".to_owned()),
            tables: String::new(),
            args: None,
        }
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.set(name, value).unwrap();
        self
    }

    pub fn workspace(&self) -> PathBuf {
        self.directory.path().join("workspace")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.workspace().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Writes a file of the workspace again.
    pub fn file_again(&self, name: &str, text: &str) {
        std::fs::write(self.workspace().join(name), text).unwrap();
    }

    /// A run of a program that is there.
    pub fn prepare(&self, program: &Path, workspace: &Path, agents: Option<PathBuf>) -> Run {
        let options = RunOptions {
            tables: self.tables.parse().unwrap(),
            program: program.to_owned(),
            workspace: workspace.to_owned(),
            args: self.args.clone(),
            agents_dir: agents,
            model: self.model.clone(),
            settings: self.settings.clone(),
            data_dir: self.data_dir(),
            cache_dir: Some(cache_dir()),
        };
        Run::prepare(options).unwrap_or_else(|error| panic!("{}: {error}", program.display()))
    }

    /// Runs a program's text to its end.
    pub fn run(&self, text: &str) -> Ran {
        let program = self.workspace().join("program.ts");
        std::fs::write(&program, text).unwrap();
        execute(self.prepare(&program, &self.workspace(), None))
    }
}

/// Runs to the end and keeps every entry.
pub fn execute(run: Run) -> Ran {
    let entries = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&entries);
    let observer = Box::new(move |entry: &Entry| kept.lock().unwrap().push(entry.clone()));
    let report = run.execute(observer, Arc::new(Unattended)).unwrap();
    let entries = std::mem::take(&mut *entries.lock().unwrap());
    Ran { report, entries }
}
