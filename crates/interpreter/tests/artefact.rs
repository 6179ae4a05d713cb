//! The committed guest is what its lock says, and it can reach nothing.

use loopwright_types::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wasmparser::{ExternalKind, Parser, Payload};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guest")
}

#[test]
fn artefact_and_sources_are_those_of_the_lock() {
    let lock = std::fs::read(folder().join("guest.lock.json")).unwrap();
    let lock: serde_json::Value = serde_json::from_slice(&lock).unwrap();
    let hash = |name: &str| Digest::of(&std::fs::read(folder().join(name)).unwrap()).to_string();
    assert_eq!(lock["artefact"], hash("lw-guest.wasm"), "run guest/build.sh");
    let locked: BTreeMap<String, String> = serde_json::from_value(lock["sources"].clone()).unwrap();
    let is_source = |name: &str| name.ends_with(".c") || name == "pre.h" || name == "quickjs.patch";
    let names = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeMap<_, _> =
        names.filter(|name| is_source(name)).map(|name| (name.clone(), hash(&name))).collect();
    assert_eq!(found, locked, "run guest/build.sh");
    for list in ["package", "quickjs", "debian"] {
        assert!(
            lock[list].as_object().is_some_and(|list| !list.is_empty()),
            "the lock has no `{list}`"
        );
    }
}

#[test]
fn the_guest_imports_nothing_and_exports_exactly_its_interface() {
    let wasm = std::fs::read(folder().join("lw-guest.wasm")).unwrap();
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(&wasm) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                assert_eq!(section.count(), 0, "the guest imports something")
            }
            Payload::StartSection { .. } => panic!("the guest runs before it is asked"),
            Payload::ExportSection(section) => {
                exports.extend(
                    section
                        .into_iter()
                        .map(|export| export.unwrap())
                        .map(|it| (it.name.to_owned(), it.kind)),
                );
            }
            _ => {}
        }
    }
    let contract =
        std::fs::read_to_string(folder().join("../../../docs/design/bridge.md")).unwrap();
    let (_, list) = contract.split_once("## Exports").unwrap();
    let list = list.split('`').nth(1).unwrap();
    let mut depth = 0;
    let plain: String = list
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let keep = depth == 0;
            depth -= i32::from(*c == ')');
            keep
        })
        .collect();
    let mut expected: Vec<_> = plain.split(',').map(|name| name.trim().to_owned()).collect();
    let mut found: Vec<_> = exports.iter().map(|(name, _)| name.clone()).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "docs/design/bridge.md and the guest differ");
    let memories = exports.iter().filter(|(_, kind)| *kind == ExternalKind::Memory).count();
    let functions = exports.iter().filter(|(_, kind)| *kind == ExternalKind::Func).count();
    assert_eq!((memories, memories + functions), (1, exports.len()));
}
