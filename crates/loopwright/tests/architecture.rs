//! Guards of ARCHITECTURE.md: which room may depend on which, what the pure rooms may not link, and how long
//! files and functions may be. Reads `cargo metadata` and the sources; builds nothing.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Arrows of the picture: a room and what it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("protocol", &["types"]),
    ("schema", &["types"]),
    ("program", &["types", "schema"]),
    ("host", &["protocol", "types"]),
    ("agent", &["protocol", "schema", "types"]),
    ("providers", &["host", "protocol", "types"]),
    ("processes", &["types"]),
    ("mcp", &["host", "processes", "protocol", "schema", "types"]),
    ("acp", &["host", "processes", "protocol", "types"]),
    ("worktrees", &["processes", "protocol", "types"]),
    ("disk", &[]),
    ("fakes", &[]),
    ("interpreter", &["types", "host", "protocol"]),
    ("engine", &["protocol", "schema", "host", "types", "agent"]),
    ("journal", &["host", "protocol", "types"]),
    ("tools", &["host", "protocol", "types"]),
    ("subagents", &["host", "processes", "protocol", "schema", "types", "tools", "acp"]),
    (
        "simulator",
        &["engine", "host", "interpreter", "program", "protocol", "schema", "subagents", "types"],
    ),
    ("crash", &["disk", "engine", "host", "journal", "protocol", "simulator", "types"]),
    (
        "loopwright",
        &[
            "engine",
            "host",
            "interpreter",
            "journal",
            "program",
            "protocol",
            "schema",
            "subagents",
            "tools",
            "types",
            "providers",
            "mcp",
            "acp",
            "worktrees",
        ],
    ),
    ("cli", &["loopwright", "simulator", "types", "program", "protocol", "journal", "subagents"]),
];

/// Rooms that decide without touching the world, and crates that would let them touch it.
const PURE: &[&str] = &["types", "protocol", "schema", "program", "engine", "host", "agent"];
const WORLDLY: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "rusqlite",
    "libsqlite3-sys",
    "wasmtime",
    "tempfile",
    "rustix",
    "nix",
    "signal-hook-registry",
    "rayon",
    "crossbeam-channel",
    "chrono",
    "time",
    "ignore",
    "walkdir",
    "reqwest",
];

const DEPTH_MAX: usize = 7;
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn room(package: &str) -> &str {
    package.strip_prefix("loopwright-").unwrap_or(package)
}

/// Workspace members by name with the names of their normal dependencies.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members = metadata["workspace_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let own = packages.filter(|package| members.contains(&package["id"]));
    own.map(|package| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let normal = all.filter(|dependency| dependency["kind"].is_null());
        let names = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
        (package["name"].as_str().unwrap().to_owned(), names.collect())
    })
    .collect()
}

#[test]
fn rooms_depend_only_along_the_arrows_of_the_picture() {
    let rooms = dependencies(&metadata());
    for (package, needs) in &rooms {
        let own = needs.iter().filter(|name| rooms.contains_key(*name)).map(|name| room(name));
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room(package)) else {
            panic!("`{package}` is a new room: draw it in ARCHITECTURE.md and here");
        };
        let drawn: BTreeSet<&str> = allowed.iter().copied().collect();
        let extra: Vec<&str> = own.filter(|name| !drawn.contains(name)).collect();
        assert!(extra.is_empty(), "`{package}` must not depend on {extra:?}");
    }
}

#[test]
fn chains_of_rooms_stay_short() {
    fn depth(name: &str) -> usize {
        let (_, needs) = ARROWS.iter().find(|(room, _)| *room == name).unwrap();
        needs.iter().map(|need| 1 + depth(need)).max().unwrap_or(0)
    }
    for (name, _) in ARROWS {
        assert!(depth(name) <= DEPTH_MAX, "`{name}` is {} rooms deep", depth(name));
    }
}

#[test]
fn pure_rooms_link_no_clock_thread_pool_filesystem_or_network_crate() {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let nodes: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let needs = node["deps"].as_array().unwrap().iter().filter(|dependency| {
                let kinds = dependency["dep_kinds"].as_array().unwrap();
                kinds.iter().any(|kind| kind["kind"].is_null() && kind["target"].is_null())
            });
            let needs = needs.map(|dependency| dependency["pkg"].as_str().unwrap()).collect();
            (node["id"].as_str().unwrap(), needs)
        })
        .collect();
    for pure in PURE {
        let package = format!("loopwright-{pure}");
        let (start, _) = names.iter().find(|(_, name)| **name == package).unwrap();
        let (mut seen, mut next) = (BTreeSet::new(), vec![*start]);
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                next.extend(nodes[id].iter().copied());
            }
        }
        let linked: Vec<&str> =
            seen.iter().map(|id| names[id]).filter(|name| WORLDLY.contains(name)).collect();
        assert!(linked.is_empty(), "`{package}` links {linked:?}");
    }
}

#[test]
fn pure_rooms_call_no_clock_file_thread_or_socket_of_the_standard_library() {
    let banned =
        ["std::fs", "std::net", "std::thread", "SystemTime", "Instant::now", "std::process"];
    for pure in PURE {
        for (path, text) in sources(&root().join("crates").join(pure).join("src")) {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                let is_comment = line.trim_start().starts_with("//");
                let found = banned.iter().find(|word| line.contains(*word) && !is_comment);
                assert!(found.is_none(), "{}:{}: `{}`", path.display(), number + 1, found.unwrap());
            }
        }
    }
}

#[test]
fn files_and_functions_stay_short_enough_to_read() {
    let mut long = Vec::new();
    for (path, text) in sources(&root().join("crates")) {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            long.push(format!("{}: {} lines", path.display(), lines.len()));
        }
        for (number, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let text =
                line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            if !text.starts_with("fn ") || line.trim_end().ends_with(['}', ';']) {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let length = lines[number..].iter().position(|line| *line == close).unwrap_or(0) + 1;
            if length > FUNCTION_LINES_MAX {
                long.push(format!("{}:{}: {length} lines", path.display(), number + 1));
            }
        }
    }
    assert!(long.is_empty(), "too long to read at once:\n{}", long.join("\n"));
}

/// Every Rust file under a folder, build output left out.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}
