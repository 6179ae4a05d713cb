//! What is linked: licences, sources and duplicate versions, read from `cargo metadata`. A few lines here instead of
//! `cargo-deny`, which takes longer to compile than everything that it would check.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences that ask for no more than their text (the texts are in the crates; the guest's are beside it).
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Zlib",
    "Unlicense",
    "0BSD",
    "BSL-1.0",
    "CC0-1.0",
    "MIT-0",
];

/// Names that are there in two versions because kept libraries disagree: wasmtime (`embedded-io`, `hashbrown`,
/// `itertools`), oxc (`num-bigint`), procedural macros at build time (`syn`), the agent protocol's SDK (`indexmap`,
/// `jiff`, `schemars`), the MCP SDK's `oauth2` (`base64`, `thiserror`, `getrandom`) and hashes (`sha2` with its own).
const TWICE: &[&str] = &[
    "base64",
    "block-buffer",
    "cpufeatures",
    "crypto-common",
    "digest",
    "embedded-io",
    "getrandom",
    "hashbrown",
    "indexmap",
    "itertools",
    "jiff",
    "jiff-core",
    "num-bigint",
    "schemars",
    "sha2",
    "syn",
    "thiserror",
    "thiserror-impl",
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Packages that end up in a binary: reached from the workspace over normal dependencies.
fn linked(metadata: &Value) -> Vec<&Value> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let members = metadata["workspace_members"].as_array().unwrap();
    let mut next: Vec<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            let needs = nodes[id]["deps"].as_array().unwrap().iter().filter(|need| {
                need["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            });
            next.extend(needs.map(|need| need["pkg"].as_str().unwrap()));
        }
    }
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.filter(|package| seen.contains(package["id"].as_str().unwrap())).collect()
}

/// Whether an SPDX expression can be met with the licences above. `/` is an old spelling of `OR`.
fn fits(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" AND ")
        .all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn every_linked_crate_has_a_permissive_licence() {
    let metadata = metadata();
    for package in linked(&metadata) {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(fits(licence), "`{}` is under `{licence}`", package["name"]);
    }
}

#[test]
fn every_crate_comes_from_the_registry_or_from_here() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let source = package["source"].as_str().unwrap_or("here");
        let known = source == "here" || source.starts_with("registry+");
        assert!(known, "`{}` comes from `{source}`", package["name"]);
    }
}

#[test]
fn no_linked_crate_is_there_in_two_versions() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in linked(&metadata) {
        let (name, version) =
            (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        versions.entry(name).or_default().insert(version);
    }
    let twice = versions.iter().filter(|(name, all)| all.len() > 1 && !TWICE.contains(*name));
    let twice: Vec<_> = twice.collect();
    assert!(twice.is_empty(), "in more than one version: {twice:?}");
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let cases = [
        ("MIT OR Apache-2.0", true),
        ("MIT/Apache-2.0", true),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("GPL-3.0", false),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
    ];
    for (expression, expected) in cases {
        assert_eq!(fits(expression), expected, "{expression}");
    }
}
