//! A subagent is done with its worktree: unchanged ones are removed, changed ones committed, kept and reported.

use crate::commit::{Committed, has_entries};
use crate::failures::{failed, printable, refused, system, unknown};
use crate::files;
use crate::lock::Lock;
use crate::names::Name;
use crate::record::Record;
use crate::repository::{Cancelled, Checkout, Repository};
use crate::worktrees::Worktrees;
use loopwright_protocol::{Worktree, WorktreeReport};
use loopwright_types::Failure;
use std::path::Path;

/// Longest summary of changes.
const DIFFSTAT_BYTES_MAX: usize = 64 * 1024;

impl Worktrees {
    /// Removes the worktree and its branch when nothing changed: no commit, no file that is not ignored. Otherwise
    /// commits what is there to its branch, as `Loopwright <loopwright@localhost>`, and keeps both. Safe to repeat:
    /// a worktree that is gone already was unchanged.
    ///
    /// # Errors
    /// [`loopwright_types::Code::WORKTREE_UNKNOWN`] and [`loopwright_types::Code::BRANCH_REFUSED`] for a worktree that
    /// this data directory cannot hold; [`loopwright_types::Code::WORKTREE_FAILED`] when git fails: everything is kept.
    pub fn finish(
        &self,
        worktree: &Worktree,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<WorktreeReport, Failure> {
        let repository = self.repository(cancelled)?;
        let home = self.home(&repository)?;
        let name = Name::of_branch(&worktree.branch)?;
        let top = name.directory(&home);
        if !Path::new(&worktree.path).starts_with(&top) {
            let shown = printable(&worktree.path);
            return Err(unknown(format!("`{shown}` is not the worktree of `{}`", worktree.branch)));
        }
        let record = self.record(&repository, &home, &name, &worktree.base)?;
        let report = self.settle(&repository, &home, &name, &record, cancelled)?;
        self.live().remove(&name);
        Ok(report)
    }

    /// The record; where it is lost, what the caller knows.
    fn record(
        &self,
        repository: &Repository,
        home: &Path,
        name: &Name,
        base: &str,
    ) -> Result<Record, Failure> {
        let common = repository.main.common.to_string_lossy().into_owned();
        let is_commit = base.len() >= 40 && base.bytes().all(|byte| byte.is_ascii_hexdigit());
        match Record::load(home, name) {
            Some(record) if record.repository != common => {
                Err(unknown(format!("`{}` is a worktree of another repository", name.branch())))
            }
            Some(record) if record.base == base => Ok(record),
            _ if is_commit => Ok(Record {
                repository: common,
                base: base.to_owned(),
                attempt: 0,
                created: crate::record::now(),
                ready: true,
                finished: false,
            }),
            _ => Err(unknown(format!("`{}` is no commit", printable(base)))),
        }
    }

    fn settle(
        &self,
        repository: &Repository,
        home: &Path,
        name: &Name,
        record: &Record,
        cancelled: Cancelled,
    ) -> Result<WorktreeReport, Failure> {
        let main = &repository.main;
        if !self.is_changed(main, home, name, record, cancelled)? {
            let lock = Lock::take(home, cancelled)?;
            self.remove(main, home, name, cancelled)?;
            drop(lock);
            return Ok(unchanged());
        }
        let Committed { commit, notes } = self.preserve(main, home, name, record, cancelled)?;
        let mut diffstat = self.diffstat(main, &record.base, &commit, cancelled)?;
        for note in notes {
            diffstat.push_str(&format!("note: {note}\n"));
        }
        let top = name.directory(home).join(&repository.part);
        let path = has_entries(&name.directory(home)).then(|| top.to_string_lossy().into_owned());
        Ok(WorktreeReport { changed: true, branch: Some(name.branch()), path, diffstat })
    }

    /// `git diff --stat` between two commits, bounded.
    pub(crate) fn diffstat(
        &self,
        main: &Checkout,
        base: &str,
        commit: &str,
        cancelled: Cancelled,
    ) -> Result<String, Failure> {
        let options = ["diff", "--no-ext-diff", "--no-textconv", "-M", "--ignore-submodules=dirty"];
        let call = main
            .call(&options)
            .argument(format!("--stat=100,80,{}", self.diffstat_files_max))
            .argument("--end-of-options")
            .argument(base)
            .argument(commit)
            .argument("--");
        let output = main.must(&call, "summarise changes", cancelled)?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.len() > DIFFSTAT_BYTES_MAX {
            let end = text.floor_char_boundary(DIFFSTAT_BYTES_MAX);
            text.truncate(text[..end].rfind('\n').map_or(0, |line| line + 1));
            text.push_str(" ...\n");
        }
        Ok(text)
    }

    /// Removes directory, registration, branch and record. The caller holds the lock and knows that nothing is lost.
    pub(crate) fn remove(
        &self,
        main: &Checkout,
        home: &Path,
        name: &Name,
        cancelled: Cancelled,
    ) -> Result<(), Failure> {
        let (top, doing) = (name.directory(home), "remove a worktree");
        files::remove(&top).map_err(|error| system("remove", &top, &error))?;
        if main.registered(&top).is_some() {
            // Twice: a worktree that somebody locked is ours all the same.
            let call =
                main.call(&["worktree", "remove", "--force", "--force", "--"]).argument(&top);
            main.must(&call, doing, cancelled)?;
        }
        if main.commit(&name.reference(), cancelled)?.is_some() {
            let call = main.call(&["branch", "--quiet", "-D", "--", &name.branch()]);
            let output = main.run(&call, doing, cancelled)?;
            if output.stderr.contains("checked out at")
                || output.stderr.contains("used by worktree")
            {
                let cause = format!("branch `{}` is checked out somewhere else", name.branch());
                return Err(failed(cause).hint("switch to another branch there first"));
            }
            if !output.succeeded() {
                return Err(refused(&output, doing));
            }
        }
        Record::remove(home, name);
        Ok(())
    }
}

fn unchanged() -> WorktreeReport {
    WorktreeReport { changed: false, branch: None, path: None, diffstat: String::new() }
}
