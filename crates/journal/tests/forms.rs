//! What version 2 of the entries' form has written is read, and nothing of it is lost.

use loopwright_protocol::{Entry, FORMAT_VERSION};
use serde_json::Value;
use std::collections::BTreeSet;

/// Entries of real runs, one a line, as they were written when the version rose to 2: one of each form that occurred. A
/// line is added where a new kind or member is, none is changed.
const RECORDED: &str = include_str!("data/entries-2.jsonl");

/// The first place in which the entry no longer says what was recorded.
fn lost(recorded: &Value, now: &Value, path: &str) -> Option<String> {
    match (recorded, now) {
        (Value::Object(recorded), Value::Object(now)) => {
            recorded.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                lost(value, now.get(name).unwrap_or(&Value::Null), &path)
            })
        }
        (Value::Array(recorded), Value::Array(now)) if recorded.len() == now.len() => {
            let pairs = recorded.iter().zip(now).enumerate();
            pairs.into_iter().find_map(|(at, (a, b))| lost(a, b, &format!("{path}[{at}]")))
        }
        _ => (recorded != now).then(|| format!("{path}: {recorded} became {now}")),
    }
}

#[test]
fn entries_of_this_version_read_as_they_were_written() {
    assert_eq!(FORMAT_VERSION, 2, "a new version keeps a file of its own, and reads this one");
    let mut kinds = BTreeSet::new();
    for line in RECORDED.lines() {
        let entry = Entry::decode(line.as_bytes()).unwrap_or_else(|error| {
            panic!("{error}: make what is new optional, or raise the version\n{line}")
        });
        kinds.insert(entry.kind());
        let (recorded, now): (Value, Value) =
            (serde_json::from_str(line).unwrap(), serde_json::from_slice(&entry.encode()).unwrap());
        // More may be there now: settings that were not known then, with their defaults.
        assert_eq!(lost(&recorded, &now, entry.kind()), None);
    }
    assert_eq!(kinds.len(), 25, "{kinds:?}");
}
