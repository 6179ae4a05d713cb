//! What would happen to each file.

use super::disk::{Disk, below, is_writable, look};
use super::merge;
use super::scratch::Scratch;
use super::{ApplyFile, Change, Conflict, Fate};
use crate::failures::failed;
use crate::repository::{Cancelled, Checkout, Repository};
use loopwright_types::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A file in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) object: String,
}

impl Entry {
    pub(crate) fn is_regular(&self) -> bool {
        self.mode == 0o100_644 || self.mode == 0o100_755
    }

    fn is_submodule(&self) -> bool {
        self.mode == 0o160_000
    }
}

/// What happens to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Already,
    /// It becomes this; `None` is deleted.
    Become(Option<Entry>),
    /// The same, and the workspace's own changes are in it.
    Merged(Entry),
    /// Both sides changed its content: the merge decides.
    Merge,
    Conflict(String),
}

/// One file of the branch.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) path: Vec<u8>,
    pub(crate) base: Option<Entry>,
    pub(crate) theirs: Option<Entry>,
    pub(crate) ours: Option<Entry>,
    pub(crate) disk: Disk,
    pub(crate) decision: Decision,
}

/// All files of the branch, by path.
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) scratch: Scratch,
}

impl Step {
    fn new((path, base, theirs): Difference) -> Self {
        let (ours, disk, decision) = (None, Disk::Absent, Decision::Already);
        Self { path, base, theirs, ours, disk, decision }
    }

    /// For the report.
    pub(crate) fn file(&self) -> ApplyFile {
        let change = match (&self.base, &self.theirs) {
            (None, _) => Change::Added,
            (_, None) => Change::Deleted,
            _ => Change::Modified,
        };
        let fate = match self.decision {
            Decision::Already => Fate::Already,
            Decision::Become(_) => Fate::Taken,
            Decision::Merged(_) | Decision::Merge => Fate::Merged,
            Decision::Conflict(_) => Fate::Conflict,
        };
        ApplyFile { path: String::from_utf8_lossy(&self.path).into_owned(), change, fate }
    }

    /// What is written: `None` when nothing is; `Some(None)` deletes.
    pub(crate) fn result(&self) -> Option<Option<&Entry>> {
        match &self.decision {
            Decision::Become(entry) => Some(entry.as_ref()),
            Decision::Merged(entry) => Some(Some(entry)),
            _ => None,
        }
    }

    /// What follows from the three sides alone.
    fn decide(&self) -> Decision {
        let (base, ours, theirs) = (&self.base, &self.ours, &self.theirs);
        let conflict = |cause: &str| Decision::Conflict(cause.to_owned());
        if self.disk == Disk::Special {
            return conflict("is no file here, or may not be read");
        }
        if ours == theirs {
            return Decision::Already;
        }
        if ours == base {
            return Decision::Become(theirs.clone());
        }
        match (base, ours, theirs) {
            (Some(base), Some(ours), Some(theirs))
                if [base, ours, theirs].iter().all(|entry| entry.is_regular()) =>
            {
                Decision::Merge
            }
            (None, Some(_), Some(_)) => conflict("was added here too, with other content"),
            (Some(_), None, Some(_)) => conflict("was deleted here and changed on the branch"),
            (Some(_), Some(_), None) => conflict("was changed here and deleted on the branch"),
            _ => conflict("became something else here"),
        }
    }
}

/// Path, before, after.
type Difference = (Vec<u8>, Option<Entry>, Option<Entry>);

impl Plan {
    pub(crate) fn make(
        repository: &Repository,
        home: &Path,
        base: &str,
        commit: &str,
        cancelled: Cancelled,
    ) -> Result<Self, Failure> {
        let main = &repository.main;
        let scratch = Scratch::new(main, home)?;
        let differences = differences(main, base, commit, cancelled)?;
        let mut steps: Vec<Step> = differences.into_iter().map(Step::new).collect();
        for step in &mut steps {
            if let Some(cause) = forbidden(step, repository.part.as_os_str().as_bytes()) {
                step.decision = Decision::Conflict(cause.to_owned());
            } else {
                step.disk = look(&main.top, &step.path);
            }
        }
        read_ours(main, &scratch, &mut steps, cancelled)?;
        merge::merge(main, &scratch, &mut steps, cancelled)?;
        clear_the_way(&main.top, &mut steps);
        Ok(Self { steps, scratch })
    }

    pub(crate) fn fits(&self) -> bool {
        self.conflicts().next().is_none()
    }

    pub(crate) fn conflicts(&self) -> impl Iterator<Item = Conflict> + '_ {
        self.steps.iter().filter_map(|step| match &step.decision {
            Decision::Conflict(cause) => {
                let path = String::from_utf8_lossy(&step.path).into_owned();
                Some(Conflict { path, cause: cause.clone() })
            }
            _ => None,
        })
    }
}

/// Why a path is never written, whatever is there.
fn forbidden(step: &Step, part: &[u8]) -> Option<&'static str> {
    let is_unsafe = |component: &[u8]| {
        matches!(component, b"" | b"." | b"..")
            || component.eq_ignore_ascii_case(b".git")
            || component.eq_ignore_ascii_case(b"git~1")
    };
    let is_submodule = |entry: &Option<Entry>| entry.as_ref().is_some_and(Entry::is_submodule);
    let inside = part.is_empty()
        || step.path.strip_prefix(part).is_some_and(|rest| rest.first() == Some(&b'/'));
    if step.path.split(|byte| *byte == b'/').any(is_unsafe) {
        return Some("is not a path that may be written");
    }
    if !inside {
        return Some("is outside the workspace");
    }
    (is_submodule(&step.base) || is_submodule(&step.theirs))
        .then_some("is a repository of its own on the branch")
}

/// Reads `git diff-tree --raw -z`: `:mode mode object object status NUL path NUL`.
fn differences(
    main: &Checkout,
    base: &str,
    commit: &str,
    cancelled: Cancelled,
) -> Result<Vec<Difference>, Failure> {
    let options =
        ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--no-abbrev"];
    let call = main.call(&options).argument("--end-of-options").argument(base).argument(commit);
    let output = main.must(&call, "read a branch's changes", cancelled)?;
    let mut fields = output.stdout.split(|byte| *byte == 0);
    let mut found = Vec::new();
    while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
        let head = String::from_utf8_lossy(head);
        let parts: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        let entry = |mode: &str, object: &str| -> Option<Option<Entry>> {
            let mode = u32::from_str_radix(mode, 8).ok()?;
            Some((mode != 0).then(|| Entry { mode, object: object.to_owned() }))
        };
        let [before, after, old, new, _] = parts[..] else {
            return Err(failed("git's list of changes cannot be read"));
        };
        let sides = entry(before, old).zip(entry(after, new));
        let (base, theirs) = sides.ok_or_else(|| failed("git's list of changes cannot be read"))?;
        found.push((path.to_vec(), base, theirs));
    }
    Ok(found)
}

/// The workspace's side of every file, as git would store it.
fn read_ours(
    main: &Checkout,
    scratch: &Scratch,
    steps: &mut [Step],
    cancelled: Cancelled,
) -> Result<(), Failure> {
    let doing = "read the workspace's files";
    let unmerged = main.call(&["ls-files", "--unmerged", "-z", "--full-name"]);
    let unmerged = main.must(&unmerged, doing, cancelled)?;
    let unmerged: BTreeSet<&[u8]> = unmerged
        .stdout
        .split(|byte| *byte == 0)
        .filter_map(|line| line.iter().position(|byte| *byte == b'\t').map(|at| &line[at + 1..]))
        .collect();
    let mut paths = Vec::new();
    for step in steps.iter_mut().filter(|step| is_open(step)) {
        if unmerged.contains(&step.path[..]) {
            step.decision =
                Decision::Conflict("has conflicts here that are not resolved".to_owned());
        } else if matches!(step.disk, Disk::File(_)) {
            paths.extend_from_slice(&step.path);
            paths.push(0);
        }
    }
    let update = scratch
        .call(main, &["update-index", "-z", "--add", "--remove", "--replace", "--stdin"])
        .stdin(paths);
    main.must(&update, doing, cancelled)?;
    let listed = scratch.call(main, &["ls-files", "--stage", "-t", "-z", "--full-name"]);
    let listed = main.must(&listed, doing, cancelled)?;
    let mut known: BTreeMap<&[u8], (bool, Entry)> = BTreeMap::new();
    for line in listed.stdout.split(|byte| *byte == 0) {
        // `H 100644 object 0 TAB path`; `S` for what a sparse checkout leaves out.
        let Some(at) = line.iter().position(|byte| *byte == b'\t') else { continue };
        let head = String::from_utf8_lossy(&line[..at]);
        let [tag, mode, object, _] = head.split(' ').collect::<Vec<_>>()[..] else { continue };
        let Ok(mode) = u32::from_str_radix(mode, 8) else { continue };
        let is_left_out = tag.eq_ignore_ascii_case("S");
        known.insert(&line[at + 1..], (is_left_out, Entry { mode, object: object.to_owned() }));
    }
    for step in steps.iter_mut().filter(|step| is_open(step)) {
        let entry = known.get(&step.path[..]);
        step.ours = match step.disk {
            Disk::File(_) => entry.map(|(_, entry)| entry.clone()),
            _ => entry.filter(|(is_left_out, _)| *is_left_out).map(|(_, entry)| entry.clone()),
        };
        step.decision = step.decide();
    }
    Ok(())
}

fn is_open(step: &Step) -> bool {
    !matches!(step.decision, Decision::Conflict(_))
}

/// Directories that become files and files that become directories: only where nothing of the workspace's own is in
/// the way. And directories that may not be written.
fn clear_the_way(top: &Path, steps: &mut [Step]) {
    let deleted = |step: &&Step| step.decision == Decision::Become(None);
    let gone: BTreeSet<Vec<u8>> =
        steps.iter().filter(deleted).map(|step| step.path.clone()).collect();
    for step in steps.iter_mut() {
        let Some(result) = step.result() else { continue };
        let conflict = match &step.disk {
            Disk::Blocked(by) if result.is_some() && !gone.contains(by) => {
                let by = crate::failures::printable(&String::from_utf8_lossy(by));
                Some(format!("needs a directory where `{by}` is a file or a link here"))
            }
            Disk::Directory => {
                let all = below(top, &step.path);
                let is_free = all.is_some_and(|all| all.iter().all(|path| gone.contains(path)));
                (!is_free).then(|| "is a directory with other files here".to_owned())
            }
            _ if !is_writable(top, &step.path) => {
                Some("is in a directory that may not be written".to_owned())
            }
            _ => None,
        };
        if let Some(cause) = conflict {
            step.decision = Decision::Conflict(cause);
        }
    }
}
