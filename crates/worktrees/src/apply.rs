//! A branch's changes into the workspace: planned completely, then all of them or none.
//!
//! The plan is a three-way merge per file: the commit the branch began at, the branch, and the workspace's files as
//! they are now, committed or not. It lives in a scratch index and object store, so that a dry run leaves no trace.

mod disk; // what is in the workspace at a path
mod merge; // both sides changed the same file
mod plan; // what would happen to each file
mod scratch; // an index and an object store to throw away
mod write; // all changes or none

use crate::failures::printable;
use crate::leftovers::{merged_base, sweep_scratch};
use crate::lock::Lock;
use crate::names::Name;
use crate::record::Record;
use crate::worktrees::Worktrees;
use loopwright_types::{Code, Failure, Reason};
use plan::{Plan, Step};
use serde::{Deserialize, Serialize};

/// Files and conflicts listed in a report; the rest are counted.
const LISTED_MAX: usize = 1000;

/// What applying a branch does, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyReport {
    /// The branch.
    pub branch: String,
    /// The commit it began at.
    pub base: String,
    /// Its last commit.
    pub commit: String,
    /// Whether all changes fit; then applying succeeds.
    pub fits: bool,
    /// Whether the workspace was changed.
    pub applied: bool,
    /// The files that the branch changes, at most 1,000 of them, by path.
    pub files: Vec<ApplyFile>,
    /// How many there are.
    pub files_total: u64,
    /// What does not fit, at most 1,000 of them, by path.
    pub conflicts: Vec<Conflict>,
    /// How many there are.
    pub conflicts_total: u64,
    /// `git diff --stat` of the branch against the commit it began at.
    pub diffstat: String,
}

/// A file that a branch changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyFile {
    /// Relative to the repository's top directory.
    pub path: String,
    /// What the branch did to it.
    pub change: Change,
    /// What happens to the workspace's file.
    pub fate: Fate,
}

/// What a branch did to a file. A renamed file is one deleted and one added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was not there before.
    Added,
    /// Its content, its kind or its executable bit.
    Modified,
    /// It is not there any more.
    Deleted,
}

/// What happens to a file of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It becomes as on the branch.
    Taken,
    /// It changed here too; both changes are in the result.
    Merged,
    /// Nothing: the change is there already.
    Already,
    /// The change does not fit.
    Conflict,
}

/// A change that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Relative to the repository's top directory.
    pub path: String,
    /// Why, for people.
    pub cause: String,
}

impl Worktrees {
    /// Applies what a branch changed since it began to the workspace's files, or with `dry_run` says what that would
    /// do. All or nothing; never commits, never stages. Files that changed here too, committed or not, are merged; what
    /// does not fit stops everything. An apply that was killed half-way is undone first.
    ///
    /// # Errors
    /// [`Code::BRANCH_REFUSED`] for a branch that is not a subagent's or is not there; [`Code::PATCH_CONFLICT`] when
    /// something does not fit and this is no dry run; [`Code::WORKTREE_FAILED`] when git or the disk fails. The
    /// workspace is as before then.
    pub fn apply(
        &self,
        branch: &str,
        dry_run: bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<ApplyReport, Failure> {
        let name = Name::of_branch(branch)?;
        let repository = self.repository(cancelled)?;
        let (main, home) = (&repository.main, self.home(&repository)?);
        let commit = main.commit(&name.reference(), cancelled)?.ok_or_else(|| {
            crate::failures::branch(format!("there is no branch `{}`", name.branch()))
        })?;
        let own = |record: &Record| record.repository == main.common.to_string_lossy();
        let base = Record::load(&home, &name).filter(own).map(|record| record.base);
        let base = match base {
            Some(base) => Some(base),
            None => merged_base(main, &name, cancelled)?,
        };
        let base = base.ok_or_else(|| {
            crate::failures::branch(format!("nobody knows where `{}` began", name.branch()))
        })?;
        let _lock = Lock::take(&home, cancelled)?;
        sweep_scratch(&home)?;
        let workspace = main.top.join(&repository.part);
        write::recover(&home, &main.top)?;
        let plan = Plan::make(&repository, &home, &base, &commit, cancelled)?;
        let mut report = ApplyReport {
            branch: name.branch(),
            fits: plan.fits(),
            applied: false,
            files: plan.steps.iter().take(LISTED_MAX).map(Step::file).collect(),
            files_total: plan.steps.len() as u64,
            conflicts: plan.conflicts().take(LISTED_MAX).collect(),
            conflicts_total: plan.conflicts().count() as u64,
            diffstat: self.diffstat(main, &base, &commit, cancelled)?,
            base,
            commit,
        };
        if !dry_run {
            if !report.fits {
                return Err(refusal(&report));
            }
            write::write(main, &workspace, &home, &plan, cancelled)?;
            report.applied = true;
        }
        Ok(report)
    }
}

fn refusal(report: &ApplyReport) -> Failure {
    let (count, all) = (report.conflicts_total, report.files_total);
    let named = report.conflicts.iter().take(3);
    let named: Vec<String> =
        named.map(|c| format!("`{}` {}", printable(&c.path), c.cause)).collect();
    let more = if count > 3 { ", and more" } else { "" };
    let message = format!(
        "{count} of {all} files of `{}` do not fit the workspace: {}{more}",
        report.branch,
        named.join(", ")
    );
    Failure::new(Reason::Policy, Code::PATCH_CONFLICT, message)
        .hint(format!(
            "nothing was changed; a dry run lists all, `git merge {}` resolves by hand",
            report.branch
        ))
        .not_sent()
}
