//! Requests against golden files, and recorded streams against what is read from them. `UPDATE_EXPECT=1` writes the
//! files anew; read what changed.

mod requests;
mod streams;

use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wires").join(name)
}

/// Compares with a golden file, or writes it.
fn check(path: &Path, found: &Value) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, format!("{found:#}\n")).unwrap();
        return;
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let expected: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(*found, expected, "{}\nfound: {found:#}", path.display());
}
