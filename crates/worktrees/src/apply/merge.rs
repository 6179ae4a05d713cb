//! Both sides changed the same file: git's own three-way merge of its lines. Merge drivers do not run; a file whose
//! attributes say that it is not to be merged (`-merge`, `binary`) is a conflict.

use super::plan::{Decision, Entry, Step};
use super::scratch::Scratch;
use crate::failures::{failed, system};
use crate::repository::{Cancelled, Checkout};
use loopwright_types::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const DOING: &str = "merge a branch's changes";

/// Decides what is left to merge.
pub(crate) fn merge(
    main: &Checkout,
    scratch: &Scratch,
    steps: &mut [Step],
    cancelled: Cancelled,
) -> Result<(), Failure> {
    let mut open: Vec<&mut Step> =
        steps.iter_mut().filter(|step| step.decision == Decision::Merge).collect();
    if open.is_empty() {
        return Ok(());
    }
    let apart = not_merged(main, scratch, &open, cancelled)?;
    for step in &mut open {
        let (Some(base), Some(ours), Some(theirs)) = (&step.base, &step.ours, &step.theirs) else {
            continue;
        };
        // Two modes only: where both sides differ from the base they agree.
        let mode = if theirs.mode == base.mode { ours.mode } else { theirs.mode };
        let done = |object: &str| Entry { mode, object: object.to_owned() };
        let merged = if ours.object == theirs.object || theirs.object == base.object {
            Some(done(&ours.object))
        } else if ours.object == base.object {
            Some(done(&theirs.object))
        } else if apart.contains(&step.path) {
            None
        } else {
            let lines = lines(main, scratch, [ours, base, theirs], cancelled)?;
            lines.map(|object| done(&object))
        };
        step.decision = match merged {
            Some(entry) if entry == *ours => Decision::Already,
            Some(entry) => Decision::Merged(entry),
            None => Decision::Conflict("was changed here too, in the same place".to_owned()),
        };
    }
    Ok(())
}

/// Paths whose attributes say that they are not to be merged.
fn not_merged(
    main: &Checkout,
    scratch: &Scratch,
    steps: &[&mut Step],
    cancelled: Cancelled,
) -> Result<BTreeSet<Vec<u8>>, Failure> {
    let mut paths = Vec::new();
    for step in steps {
        paths.extend_from_slice(&step.path);
        paths.push(0);
    }
    let call = scratch.call(main, &["check-attr", "-z", "--stdin", "merge"]).stdin(paths);
    let output = main.must(&call, DOING, cancelled)?;
    let fields: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
    let triples = fields.chunks_exact(3);
    let apart = triples.filter(|triple| triple[2] == b"unset" || triple[2] == b"binary");
    Ok(apart.map(|triple| triple[0].to_vec()).collect())
}

/// Merges lines; `None` is a conflict.
fn lines(
    main: &Checkout,
    scratch: &Scratch,
    sides: [&Entry; 3],
    cancelled: Cancelled,
) -> Result<Option<String>, Failure> {
    let contents = contents(main, scratch, sides, cancelled)?;
    let paths = ["ours", "base", "theirs"].map(|name| scratch.directory.join(name));
    for (path, entry) in paths.iter().zip(sides) {
        let bytes =
            contents.get(&entry.object).ok_or_else(|| failed("git lost a file's content"))?;
        fs::write(path, bytes).map_err(|error| system("write", path, &error))?;
    }
    let mut call = scratch.call(main, &["merge-file", "-p", "-q", "--"]);
    for path in paths {
        call = call.argument(path);
    }
    // The number of conflicts, or 255 for what has no lines.
    let output = main.run(&call, DOING, cancelled)?;
    if !output.succeeded() {
        return Ok(None);
    }
    let call = scratch.call(main, &["hash-object", "-w", "--stdin"]).stdin(output.stdout);
    Ok(Some(main.must(&call, DOING, cancelled)?.line()))
}

/// Reads `git cat-file --batch`: `object blob size` line end, the bytes, line end.
fn contents(
    main: &Checkout,
    scratch: &Scratch,
    sides: [&Entry; 3],
    cancelled: Cancelled,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let wanted: Vec<&str> = sides.iter().map(|entry| entry.object.as_str()).collect();
    let asked = format!("{}\n", wanted.join("\n")).into_bytes();
    let call = scratch.call(main, &["cat-file", "--batch"]).stdin(asked);
    let output = main.must(&call, DOING, cancelled)?;
    let (mut rest, mut found) = (&output.stdout[..], BTreeMap::new());
    for object in wanted {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let head = String::from_utf8_lossy(&rest[..end]);
        let size = head.rsplit(' ').next().and_then(|digits| digits.parse::<usize>().ok());
        let missing = || failed(format!("git does not have content `{object}`"));
        let start = end + 1;
        let stop = size.and_then(|size| start.checked_add(size)).ok_or_else(missing)?;
        found.insert(object.to_owned(), rest.get(start..stop).ok_or_else(missing)?.to_vec());
        rest = rest.get(stop + 1..).unwrap_or_default();
    }
    Ok(found)
}
