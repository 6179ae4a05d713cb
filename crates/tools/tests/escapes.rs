//! Nothing outside the workspace is ever read, whatever path, link or race a program tries.

use loopwright_tools::Tools;
use loopwright_types::{Code, Failure, Reason};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// What must never be seen.
const SECRET: &str = "the-secret-outside";

/// A directory with a workspace in it and a secret beside the workspace.
struct Place {
    all: TempDir,
}

impl Place {
    fn new() -> Self {
        let all = TempDir::new().unwrap();
        let workspace = all.path().join("workspace");
        fs::create_dir_all(workspace.join("src")).unwrap();
        fs::create_dir(all.path().join("outside")).unwrap();
        fs::write(all.path().join("outside/secret.txt"), SECRET).unwrap();
        fs::write(workspace.join("src/main.rs"), "fn main() {}\n").unwrap();
        fs::write(workspace.join("notes.txt"), "inside\n").unwrap();
        Self { all }
    }

    fn workspace(&self) -> std::path::PathBuf {
        self.all.path().join("workspace")
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.workspace().join(name)).unwrap();
    }

    fn tools(&self) -> Tools {
        let allow = ["glob", "grep", "ls", "read_file"].map(str::to_owned);
        Tools::new(&self.workspace(), &allow, 10_000).unwrap()
    }

    fn call(&self, name: &str, args: impl Into<Value>) -> Result<String, Failure> {
        let args = args.into();
        let result = self.tools().call(name, &args, &|| false)?;
        let text = result.as_str().unwrap().to_owned();
        assert!(!text.contains(SECRET), "{name} {args} read the secret");
        Ok(text)
    }
}

/// Every tool with this path in each argument that takes one.
fn calls(path: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("read_file", json!({"path": path})),
        ("read_file", json!(path)),
        ("ls", json!({"path": path})),
        ("glob", json!({"pattern": "**", "path": path})),
        ("grep", json!({"pattern": ".", "path": path})),
    ]
}

#[test]
fn a_path_that_leaves_the_workspace_is_refused_by_policy() {
    let place = Place::new();
    let outside = place.all.path().join("outside");
    place.link(&outside, "absolute_link");
    place.link("../outside", "relative_link");
    place.link("../../outside", "src/deep_link");
    place.link(outside.join("secret.txt"), "file_link");
    place.link("hop", "two_hops");
    place.link("../outside", "hop");
    place.link("/proc/self/root", "proc_root");
    place.link("/proc/self/cwd", "proc_cwd");
    place.link("/dev/zero", "zero");
    place.link(place.workspace().join("../outside"), "up_and_over");
    let absolute = outside.to_str().unwrap().to_owned();
    let sneaky = format!("{}/../outside", place.workspace().display());
    let sibling = format!("{}-other", place.workspace().display());
    let paths = [
        "..",
        "../",
        "../outside",
        "../outside/secret.txt",
        "src/../../outside",
        "./../outside",
        "src/../..",
        "/etc/passwd",
        "/",
        "/proc/self/environ",
        "//etc",
        absolute.as_str(),
        sneaky.as_str(),
        sibling.as_str(),
        "absolute_link",
        "relative_link",
        "relative_link/secret.txt",
        "src/deep_link",
        "file_link",
        "two_hops",
        "proc_root",
        "proc_root/etc/passwd",
        "proc_cwd",
        "zero",
        "up_and_over",
        "src\0/../../outside",
        "a\0",
    ];
    for path in paths {
        for (tool, args) in calls(path) {
            let failure = place.call(tool, args.clone()).expect_err(&format!("{tool} {args}"));
            let seen = (failure.reason, failure.code);
            assert_eq!(
                seen,
                (Reason::Policy, Code::PATH_OUTSIDE),
                "{tool} {args}: {}",
                failure.message
            );
            assert!(!failure.message.contains('\0'));
        }
    }
    for pattern in ["../**", "/etc/*", "src/../../outside/*", "**/../../*", "a\0b"] {
        let failure = place.call("glob", json!({"pattern": pattern})).unwrap_err();
        assert_eq!(failure.code, Code::PATH_OUTSIDE, "{pattern}");
    }
}

#[test]
fn a_path_that_stays_inside_is_followed_however_it_is_written() {
    let place = Place::new();
    place.link("notes.txt", "link");
    place.link("../notes.txt", "src/up");
    place.link(place.workspace().join("notes.txt"), "absolute");
    place.link(place.workspace(), "itself");
    place.link("src/../src/..", "round");
    let absolute = format!("{}/notes.txt", place.workspace().display());
    let resolved = place.workspace().canonicalize().unwrap().join("notes.txt");
    let paths = [
        "notes.txt",
        "./notes.txt",
        "src/../notes.txt",
        "link",
        "src/up",
        "absolute",
        "itself/itself/link",
        "round/notes.txt",
        absolute.as_str(),
        resolved.to_str().unwrap(),
        "src//..//notes.txt",
    ];
    for path in paths {
        assert_eq!(
            place.call("read_file", json!({"path": path})).as_deref(),
            Ok("inside\n"),
            "{path}"
        );
    }
}

#[test]
fn a_walk_never_follows_a_link() {
    let place = Place::new();
    place.link("../outside", "out");
    place.link("../../outside/secret.txt", "src/secret.txt");
    place.link(".", "loop");
    assert_eq!(place.call("glob", json!({"pattern": "**"})).unwrap(), "notes.txt\nsrc/main.rs");
    assert_eq!(place.call("grep", json!({"pattern": "secret"})).unwrap(), "");
    assert_eq!(
        place.call("grep", json!({"pattern": "secret", "hidden": true, "ignored": true})).unwrap(),
        ""
    );
}

#[test]
fn an_ignore_file_that_is_a_link_or_a_pipe_is_not_read() {
    let place = Place::new();
    place.link("../outside/secret.txt", ".gitignore");
    let pipe = place.workspace().join("src/.gitignore");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(place.call("glob", json!({"pattern": "**"})).unwrap(), "notes.txt\nsrc/main.rs");
}

#[test]
fn pipes_and_sockets_are_refused_at_once() {
    let place = Place::new();
    let workspace = place.workspace();
    mknodat(CWD, workspace.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(workspace.join("socket")).unwrap();
    place.link("pipe", "link_to_pipe");
    place.link(workspace.join("pipe"), "absolute_link_to_pipe");
    for (path, what) in [
        ("pipe", "a named pipe"),
        ("link_to_pipe", "a named pipe"),
        ("absolute_link_to_pipe", "a named pipe"),
        ("socket", "a socket"),
    ] {
        for (tool, args) in calls(path) {
            let failure = place.call(tool, args).unwrap_err();
            assert_eq!(failure.code, Code::TOOL_FAILED, "{path}");
            assert!(failure.message.contains(what), "{tool} {path}: {}", failure.message);
        }
    }
    assert_eq!(place.call("glob", json!({"pattern": "**"})).unwrap(), "notes.txt\nsrc/main.rs");
    assert_eq!(place.call("grep", json!({"pattern": "inside"})).unwrap(), "notes.txt:1:inside");
}

#[test]
fn a_circle_of_links_is_an_error() {
    let place = Place::new();
    place.link("b", "a");
    place.link("a", "b");
    let failure = place.call("read_file", json!({"path": "a"})).unwrap_err();
    assert_eq!(failure.message, "`a` is a circle of links");
}

/// Ends the swapping thread also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_directory_swapped_for_a_link_while_it_is_read_leads_nowhere() {
    let place = Place::new();
    let (workspace, done) = (place.workspace(), AtomicBool::new(false));
    let swapped = workspace.join("swap");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::create_dir(&swapped).unwrap();
                fs::write(swapped.join("secret.txt"), "harmless").unwrap();
                fs::remove_file(swapped.join("secret.txt")).unwrap();
                fs::remove_dir(&swapped).unwrap();
                symlink("../outside", &swapped).unwrap();
                fs::remove_file(&swapped).unwrap();
            }
        });
        let _done = Done(&done);
        // Whatever each call finds or fails with, `call` asserts that it is not the secret.
        for _ in 0..400 {
            let _ = place.call("read_file", json!({"path": "swap/secret.txt"}));
            let _ = place.call("grep", json!({"pattern": "secret"}));
            let listed =
                place.call("glob", json!({"pattern": "swap/*", "path": "."})).unwrap_or_default();
            assert!(matches!(listed.as_str(), "" | "swap/secret.txt"), "{listed}");
            let _ = place.call("ls", json!({"path": "swap"}));
        }
    });
}
