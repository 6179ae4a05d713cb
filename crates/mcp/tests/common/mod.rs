//! Workspaces with servers, for tests.
#![allow(dead_code)] // each test file uses its own part

use loopwright_mcp::{Options, Servers};
use loopwright_types::{Diagnostic, Settings};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Servers of a workspace that lives as long.
pub struct Scene {
    // Dropped first: servers run in the folder.
    pub servers: Servers,
    pub diagnostics: Vec<Diagnostic>,
    pub folder: TempDir,
}

impl Scene {
    /// Reads a `.mcp.json` with these servers; starts nothing.
    pub fn load(servers: &Value, settings: &[(&str, &str)]) -> Self {
        Self::load_with(servers, settings, |options| options)
    }

    pub fn load_with(
        servers: &Value,
        settings: &[(&str, &str)],
        change: impl FnOnce(Options) -> Options,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = json!({ "mcpServers": servers });
        std::fs::write(folder.path().join(".mcp.json"), file.to_string()).unwrap();
        let mut in_force = Settings::default();
        // Machines that test much at once are slow to start programs.
        in_force.set("mcp.connect_timeout_ms", "120000").unwrap();
        for (name, value) in settings {
            in_force.set(name, value).unwrap();
        }
        let options = change(Options::new(&in_force, &folder.path().join("data")));
        let (servers, diagnostics) = Servers::load(folder.path(), options);
        Self { servers, diagnostics, folder }
    }

    /// The same, and starts them; what was reported is in `diagnostics`.
    pub fn start(servers: &Value, settings: &[(&str, &str)]) -> Self {
        let mut scene = Self::load(servers, settings);
        scene.diagnostics.extend(scene.servers.connect_all());
        scene
    }

    #[allow(clippy::needless_pass_by_value)] // calls read better with a literal
    pub fn call(&self, name: &str, args: Value) -> Result<Value, loopwright_types::Failure> {
        self.servers.call(name, &args, &|| false, &|_| ())
    }

    pub fn names(&self) -> Vec<String> {
        self.servers.tools().into_iter().map(|it| it.name).collect()
    }
}

/// A server of ours in Python, from `tests/data`.
pub fn script(name: &str, args: &[&str]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let mut all = vec![path.to_str().unwrap()];
    all.extend(args);
    json!({ "command": "python3", "args": all })
}

/// The folder into which `.ci/mcp` installed servers that nobody here wrote. Without it the test that asks is skipped,
/// and says so; where `LOOPWRIGHT_REQUIRE_SERVERS` is set, as CI does, it fails.
pub fn installed(test: &str) -> Option<PathBuf> {
    let default = || std::env::temp_dir().join("loopwright-mcp");
    let folder =
        std::env::var_os("LOOPWRIGHT_TEST_MCP_SERVERS").map_or_else(default, PathBuf::from);
    if folder.join("installed").is_file() {
        return Some(folder);
    }
    let shown = folder.display();
    assert!(
        std::env::var_os("LOOPWRIGHT_REQUIRE_SERVERS").is_none(),
        "`{shown}` holds no servers: run `.ci/mcp`"
    );
    eprintln!("SKIPPED {test}: `{shown}` holds no servers; `.ci/mcp` installs them");
    None
}

/// An installed server from npm.
pub fn npm(folder: &Path, package: &str, args: &[&str]) -> Value {
    let command = folder.join("node_modules/.bin").join(package);
    json!({ "command": command, "args": args })
}

/// An installed server from PyPI.
pub fn pypi(folder: &Path, package: &str, args: &[&str]) -> Value {
    let command = folder.join("venv/bin").join(package);
    json!({ "command": command, "args": args })
}
