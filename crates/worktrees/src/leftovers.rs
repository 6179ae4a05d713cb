//! Worktrees that nobody finished, and those that were kept: found, listed, and removed on request.

use crate::commit::has_entries;
use crate::failures::{failed, system, unknown};
use crate::files;
use crate::lock::Lock;
use crate::names::Name;
use crate::record::{Record, now};
use crate::repository::{Cancelled, Checkout};
use crate::worktrees::Worktrees;
use loopwright_types::{CallId, Failure, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What is left of one worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// The run it was made for.
    pub run: RunId,
    /// The call it was made for.
    pub call: CallId,
    /// Its name within the run: the call, or the call and a number.
    pub slot: String,
    /// Its directory, where there is one.
    pub path: Option<String>,
    /// Its branch, where there is one.
    pub branch: Option<String>,
    /// What would be lost with it.
    pub state: LeftoverState,
    /// Whether its subagent finished: then it was kept because of its changes. Otherwise the run stopped early.
    pub finished: bool,
    /// Size of its directory in bytes.
    pub bytes: u64,
    /// Seconds since it was made.
    pub age_seconds: u64,
}

/// What would be lost with a leftover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeftoverState {
    /// Its making was cut short; no subagent ever saw it.
    Incomplete,
    /// Nothing: it is as it was made.
    Unchanged,
    /// Files or commits.
    Changed,
    /// Nobody can say: the repository does not know it, or is gone itself.
    Unknown,
}

/// What became of a leftover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleaned {
    /// The leftover, as it was just before.
    pub leftover: Leftover,
    /// Removed or not.
    pub outcome: CleanOutcome,
}

/// Removed or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CleanOutcome {
    /// Directory and branch are gone.
    Removed,
    /// Something would be lost, and that was not forced.
    Kept,
    /// It could not be removed.
    Failed(Failure),
}

impl Worktrees {
    /// What is left in this repository of runs that are not `live`, in order of run and call: from the data directory,
    /// from the repository's own list of worktrees (also where the files are gone), and from its branches. Worktrees of
    /// other repositories that still exist are not listed.
    ///
    /// # Errors
    /// When the workspace is in no repository, or git fails.
    pub fn leftovers(
        &self,
        live: &dyn Fn(&RunId) -> bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Leftover>, Failure> {
        let repository = self.repository(cancelled)?;
        let (main, home) = (&repository.main, self.home(&repository)?);
        let mut names = recorded(&home);
        for (_, top) in main.all_registered() {
            names.extend(top.strip_prefix(&home).ok().and_then(name_of));
        }
        names.extend(branches(main, &home, cancelled)?);
        let mut found = Vec::new();
        for name in names {
            if !live(&name.run) && !self.live().contains_key(&name) {
                found.extend(self.leftover(main, &home, &name, cancelled)?);
            }
        }
        Ok(found)
    }

    /// Removes leftovers: unchanged and incomplete ones; others only with `force`. Each is looked at again before.
    ///
    /// # Errors
    /// When the workspace is in no repository, or when cancelled; what was removed before stays removed. A leftover
    /// that cannot be removed does not stop the others.
    pub fn clean(
        &self,
        leftovers: &[Leftover],
        force: bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Cleaned>, Failure> {
        let repository = self.repository(cancelled)?;
        let (main, home) = (&repository.main, self.home(&repository)?);
        let mut done = Vec::new();
        for listed in leftovers {
            if cancelled() {
                return Err(crate::failures::cancelled());
            }
            let mut cleaned = Cleaned { leftover: listed.clone(), outcome: CleanOutcome::Removed };
            let lock = Lock::take(&home, cancelled)?;
            if let Err(failure) = self.clean_one(main, &home, force, &mut cleaned, cancelled) {
                cleaned.outcome = CleanOutcome::Failed(failure);
            }
            drop(lock);
            done.push(cleaned);
        }
        Ok(done)
    }

    fn clean_one(
        &self,
        main: &Checkout,
        home: &Path,
        force: bool,
        cleaned: &mut Cleaned,
        cancelled: Cancelled,
    ) -> Result<(), Failure> {
        // Path and branch are those of the name: a caller cannot have anything else removed.
        let listed = &cleaned.leftover;
        let name = Name::parse(listed.run.as_str(), &listed.slot)
            .ok_or_else(|| unknown(format!("`{}` is no worktree's name", listed.slot)))?;
        if self.live().contains_key(&name) {
            return Err(failed(format!("`{}` is in use", name.branch())));
        }
        let Some(now) = self.leftover(main, home, &name, cancelled)? else { return Ok(()) };
        cleaned.leftover = now;
        let is_safe =
            matches!(cleaned.leftover.state, LeftoverState::Incomplete | LeftoverState::Unchanged);
        if is_safe || force {
            self.remove(main, home, &name, cancelled)
        } else {
            cleaned.outcome = CleanOutcome::Kept;
            Ok(())
        }
    }

    /// One leftover; `None` where nothing is left, or what is left belongs to another repository.
    fn leftover(
        &self,
        main: &Checkout,
        home: &Path,
        name: &Name,
        cancelled: Cancelled,
    ) -> Result<Option<Leftover>, Failure> {
        let top = name.directory(home);
        let record = Record::load(home, name);
        let is_ours = |record: &Record| record.repository == main.common.to_string_lossy();
        let is_orphan = |record: &Record| !Path::new(&record.repository).is_dir();
        if record.as_ref().is_some_and(|record| !is_ours(record) && !is_orphan(record)) {
            return Ok(None);
        }
        let record = record.filter(is_ours);
        let tip = main.commit(&name.reference(), cancelled)?;
        let registered = main.registered(&top);
        let has_files = fs::symlink_metadata(&top).is_ok();
        if tip.is_none() && registered.is_none() && !has_files {
            // Of a creation that never came to anything.
            Record::remove(home, name);
            return Ok(None);
        }
        let state = self.state(main, home, name, record.as_ref(), cancelled)?;
        Ok(Some(Leftover {
            run: name.run.clone(),
            call: name.call(),
            slot: name.slot.clone(),
            path: has_files.then(|| top.to_string_lossy().into_owned()),
            branch: tip.map(|_| name.branch()),
            state,
            finished: record.as_ref().is_some_and(|record| record.finished),
            bytes: files::bytes(&top, cancelled),
            age_seconds: age(record.as_ref(), &top, registered.as_deref()),
        }))
    }

    fn state(
        &self,
        main: &Checkout,
        home: &Path,
        name: &Name,
        record: Option<&Record>,
        cancelled: Cancelled,
    ) -> Result<LeftoverState, Failure> {
        let top = name.directory(home);
        if record.is_some_and(|record| !record.ready) {
            return Ok(LeftoverState::Incomplete);
        }
        if main.registered(&top).is_none() && has_entries(&top) {
            return Ok(LeftoverState::Unknown);
        }
        let record = match record {
            Some(record) => record.clone(),
            // Without a record, a branch that the workspace's commit contains has nothing of its own.
            None => match merged_base(main, name, cancelled)? {
                Some(base) => Record {
                    repository: String::new(),
                    base,
                    attempt: 0,
                    created: 0,
                    ready: true,
                    finished: false,
                },
                None => return Ok(LeftoverState::Unknown),
            },
        };
        // A worktree whose insides are damaged must not hide the others.
        Ok(match self.is_changed(main, home, name, &record, cancelled) {
            Ok(true) => LeftoverState::Changed,
            Ok(false) => LeftoverState::Unchanged,
            Err(_) if cancelled() => return Err(crate::failures::cancelled()),
            Err(_) => LeftoverState::Unknown,
        })
    }
}

/// Where a branch without a record left the workspace's history.
pub(crate) fn merged_base(
    main: &Checkout,
    name: &Name,
    cancelled: Cancelled,
) -> Result<Option<String>, Failure> {
    let call = main.call(&["merge-base", "HEAD", &name.reference()]);
    let output = main.run(&call, "find where a branch began", cancelled)?;
    Ok(output.succeeded().then(|| output.line()).filter(|line| !line.is_empty()))
}

fn name_of(relative: &Path) -> Option<Name> {
    let mut parts = relative.iter().map(|part| part.to_str());
    let (run, slot) = (parts.next()??, parts.next()??);
    let name = Name::parse(run, slot.strip_suffix(".json").unwrap_or(slot));
    name.filter(|_| parts.next().is_none())
}

/// Names that the data directory holds.
fn recorded(home: &Path) -> BTreeSet<Name> {
    let runs = fs::read_dir(home).into_iter().flatten().flatten();
    let entries = runs.flat_map(|run| fs::read_dir(run.path()).into_iter().flatten().flatten());
    let paths = entries.map(|entry| entry.path());
    paths.filter_map(|path| name_of(path.strip_prefix(home).ok()?)).collect()
}

/// Names of branches, those checked out elsewhere left out: another data directory's, or the user's own doing.
fn branches(main: &Checkout, home: &Path, cancelled: Cancelled) -> Result<Vec<Name>, Failure> {
    let format = "--format=%(refname)%00%(worktreepath)%00";
    let call = main.call(&["for-each-ref", format, "refs/heads/loopwright/"]);
    let output = main.must(&call, "list branches", cancelled)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut fields = text.split('\0').map(|field| field.trim_start_matches('\n'));
    let mut names = Vec::new();
    while let (Some(reference), Some(path)) = (fields.next(), fields.next()) {
        if path.is_empty() || Path::new(path).starts_with(home) {
            names.extend(Name::of_branch(reference));
        }
    }
    Ok(names)
}

fn age(record: Option<&Record>, top: &Path, registered: Option<&Path>) -> u64 {
    let modified = |path: &Path| {
        let time = fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        time.duration_since(UNIX_EPOCH).ok().map(|passed| passed.as_secs())
    };
    let made = record.map(|record| record.created);
    let made = made.or_else(|| modified(top)).or_else(|| registered.and_then(modified));
    made.map_or(0, |made| now().saturating_sub(made))
}

/// Removes the remains of work that was cut short; the caller holds the lock.
pub(crate) fn sweep_scratch(home: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(".scratch-") {
            let path = entry.path();
            files::remove(&path).map_err(|error| system("remove", &path, &error))?;
        }
    }
    Ok(())
}
