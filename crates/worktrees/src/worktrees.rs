//! The entry point: is the workspace fit for worktrees, and make one.

use crate::failures::{failed, shown, system, unfit};
use crate::git::Git;
use crate::lock::Lock;
use crate::names::{Name, SLOTS_MAX};
use crate::notice::Notice;
use crate::process::GitCommand;
use crate::record::{Record, now};
use crate::repository::{Cancelled, Checkout, Repository};
use loopwright_protocol::Worktree;
use loopwright_types::{Attempt, CallId, Diagnostic, Failure, RunId, Settings};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The worktrees of one workspace. Shared between threads by reference.
pub struct Worktrees {
    git: Arc<dyn Git>,
    workspace: PathBuf,
    data: PathBuf,
    pub(crate) diffstat_files_max: usize,
    git_output_bytes_max: usize,
    /// Worktrees that this process made and did not finish, with the attempt that uses them.
    live: Mutex<BTreeMap<Name, u32>>,
}

/// A slot is looked at before it is used.
enum Slot {
    Free,
    Taken,
    /// Made for this very attempt, untouched, at the right commit.
    Ready,
}

impl Worktrees {
    /// Worktrees of the workspace, kept under `<data_dir>/worktrees`. Touches nothing yet.
    pub fn new(workspace: &Path, data_dir: &Path, settings: &Settings) -> Self {
        Self::with_git(workspace, data_dir, settings, Arc::new(GitCommand::default()))
    }

    /// The same with another git.
    pub fn with_git(
        workspace: &Path,
        data_dir: &Path,
        settings: &Settings,
        git: Arc<dyn Git>,
    ) -> Self {
        Self {
            git,
            workspace: workspace.to_path_buf(),
            data: data_dir.to_path_buf(),
            diffstat_files_max: settings.count("worktrees.diffstat_files_max"),
            git_output_bytes_max: settings.count("worktrees.git_output_bytes_max"),
            live: Mutex::default(),
        }
    }

    /// Whether worktrees can be made, and what a user should know; for the start of a run. Changes nothing but the
    /// data directory.
    ///
    /// # Errors
    /// [`loopwright_types::Code::GIT_UNAVAILABLE`], [`loopwright_types::Code::REPOSITORY_UNFIT`], or
    /// [`loopwright_types::Code::WORKTREE_FAILED`] when the data directory cannot be used.
    pub fn check(&self, cancelled: &dyn Fn() -> bool) -> Result<Vec<Notice>, Diagnostic> {
        self.look(cancelled).map_err(|failure| Diagnostic {
            code: failure.code,
            message: failure.message,
            location: None,
            hint: failure.hint,
        })
    }

    fn look(&self, cancelled: Cancelled) -> Result<Vec<Notice>, Failure> {
        let repository = self.repository(cancelled)?;
        self.home(&repository)?;
        let main = &repository.main;
        let commit = head(main, cancelled)?;
        let mut notices = Vec::new();
        let files = main.dirty_files("all", cancelled)?;
        if files > 0 {
            notices.push(Notice::Uncommitted { files });
        }
        let symbolic = main.call(&["symbolic-ref", "--quiet", "HEAD"]);
        if !main.run(&symbolic, "find the branch", cancelled)?.succeeded() {
            notices.push(Notice::DetachedHead { commit: commit.clone() });
        }
        let count = submodules(main, &commit, cancelled)?;
        if count > 0 {
            notices.push(Notice::Submodules { count });
        }
        if !repository.part.as_os_str().is_empty() {
            notices.push(Notice::Subdirectory { path: shown(&repository.part) });
        }
        let conditions = [
            (repository.is_shallow, Notice::Shallow),
            (main.directory != main.common, Notice::LinkedWorktree),
            (main.guard.is_sparse, Notice::SparseCheckout),
            (main.guard.is_partial, Notice::PartialClone),
        ];
        notices
            .extend(conditions.into_iter().filter_map(|(is_so, notice)| is_so.then_some(notice)));
        if !main.guard.filters.is_empty() {
            notices.push(Notice::Filters { names: main.guard.filters.clone() });
        }
        Ok(notices)
    }

    /// Makes a worktree for a call at the workspace's commit, on branch `loopwright/<run>/<call>`. Called again for the
    /// same call, it gives the same worktree while that is untouched. What an earlier attempt changed stays under its
    /// name, and the new worktree gets the next one: `loopwright/<run>/<call>-2`.
    ///
    /// # Errors
    /// As [`Self::check`], and when git fails; nothing is left behind then. Never sent.
    pub fn create(
        &self,
        run: &RunId,
        call: CallId,
        attempt: Attempt,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Worktree, Failure> {
        self.make(run, call, attempt, cancelled).map_err(Failure::not_sent)
    }

    fn make(
        &self,
        run: &RunId,
        call: CallId,
        attempt: Attempt,
        cancelled: Cancelled,
    ) -> Result<Worktree, Failure> {
        let repository = self.repository(cancelled)?;
        let home = self.home(&repository)?;
        let base = head(&repository.main, cancelled)?;
        let lock = Lock::take(&home, cancelled)?;
        for number in 1..=SLOTS_MAX {
            let name = Name::of(run, call, number);
            match self.slot(&repository.main, &home, &name, attempt, &base, cancelled)? {
                Slot::Taken => continue,
                Slot::Ready => {}
                Slot::Free => {
                    let record = Record {
                        repository: repository.main.common.to_string_lossy().into_owned(),
                        base: base.clone(),
                        attempt: attempt.0,
                        created: now(),
                        ready: false,
                        finished: false,
                    };
                    // Another thread that asks for the same call leaves it alone from now on.
                    self.live().insert(name.clone(), attempt.0);
                    let made = register(&repository.main, &home, &name, &record, cancelled);
                    // Files are written without the lock: git needs none for that.
                    drop(lock);
                    let made =
                        made.and_then(|()| fill(&repository, &home, &name, &record, cancelled));
                    if let Err(failure) = made {
                        let lock = Lock::take(&home, &|| false);
                        let _ = self.remove(&repository.main, &home, &name, &|| false);
                        drop(lock);
                        self.live().remove(&name);
                        return Err(failure);
                    }
                    return worktree(&repository, &home, &name, &base);
                }
            }
            self.live().insert(name.clone(), attempt.0);
            return worktree(&repository, &home, &name, &base);
        }
        Err(failed(format!(
            "{SLOTS_MAX} worktrees of call `{call}` of run `{run}` are left already"
        ))
        .hint("`loopwright worktrees clean` removes what is not wanted any more"))
    }

    /// What a slot holds; a leftover without changes is removed on the way.
    fn slot(
        &self,
        main: &Checkout,
        home: &Path,
        name: &Name,
        attempt: Attempt,
        base: &str,
        cancelled: Cancelled,
    ) -> Result<Slot, Failure> {
        let (top, record) = (name.directory(home), Record::load(home, name));
        let has_files = fs::symlink_metadata(&top).is_ok();
        let tip = main.commit(&name.reference(), cancelled)?;
        if !has_files && tip.is_none() && main.registered(&top).is_none() {
            return Ok(Slot::Free);
        }
        let in_use = self.live().get(name).copied();
        if in_use.is_some_and(|by| by != attempt.0) {
            return Ok(Slot::Taken);
        }
        let Some(record) =
            record.filter(|record| record.repository == main.common.to_string_lossy())
        else {
            return Ok(Slot::Taken);
        };
        if in_use.is_some() && !record.ready {
            return Ok(Slot::Taken);
        }
        if record.ready && self.is_changed(main, home, name, &record, cancelled)? {
            self.preserve(main, home, name, &record, cancelled)?;
            return Ok(Slot::Taken);
        }
        if record.ready && record.base == base && has_files && record.attempt == attempt.0 {
            return Ok(Slot::Ready);
        }
        self.remove(main, home, name, cancelled)?;
        Ok(Slot::Free)
    }

    /// The workspace's repository as it is now.
    pub(crate) fn repository(&self, cancelled: Cancelled) -> Result<Repository, Failure> {
        Repository::open(&self.git, &self.workspace, self.git_output_bytes_max, cancelled)
    }

    /// The directory of all worktrees, made if need be; never inside the workspace's checkout.
    pub(crate) fn home(&self, repository: &Repository) -> Result<PathBuf, Failure> {
        let home = self.data.join("worktrees");
        let outside = |path: &Path| {
            let main = &repository.main;
            if path.starts_with(&main.top) || path.starts_with(&main.common) {
                let cause =
                    format!("worktrees would lie inside the workspace, in `{}`", shown(path));
                return Err(unfit(cause, "choose a data directory outside the repository"));
            }
            Ok(())
        };
        // Before anything is made: the part that is there already decides.
        let mut there: &Path = &home;
        let resolved = loop {
            match (there.canonicalize(), there.parent()) {
                (Ok(resolved), _) => break resolved,
                (Err(_), Some(parent)) if !parent.as_os_str().is_empty() => there = parent,
                (Err(_), _) => break PathBuf::from("."),
            }
        };
        outside(&resolved)?;
        fs::create_dir_all(&home).map_err(|error| system("make", &home, &error))?;
        let home = home.canonicalize().map_err(|error| system("open", &home, &error))?;
        outside(&home)?;
        if home.to_str().is_none() {
            return Err(unfit("the data directory's path is not UTF-8", "choose another one"));
        }
        Ok(home)
    }

    pub(crate) fn live(&self) -> std::sync::MutexGuard<'_, BTreeMap<Name, u32>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The workspace's commit.
fn head(main: &Checkout, cancelled: Cancelled) -> Result<String, Failure> {
    main.commit("HEAD", cancelled)?.ok_or_else(|| {
        unfit("the repository has no commit yet", "commit something: worktrees begin at a commit")
    })
}

fn submodules(main: &Checkout, commit: &str, cancelled: Cancelled) -> Result<u64, Failure> {
    // No `.gitmodules`, no submodules: spares large repositories the listing.
    let modules = main.call(&["cat-file", "-e", &format!("{commit}:.gitmodules")]);
    if !main.run(&modules, "look for submodules", cancelled)?.succeeded() {
        return Ok(0);
    }
    let call = main.call(&["ls-tree", "-r", "-z", "--full-tree", commit]);
    let output = main.must(&call, "look for submodules", cancelled)?;
    let entries = output.stdout.split(|byte| *byte == 0);
    Ok(entries.filter(|entry| entry.starts_with(b"160000 ")).count() as u64)
}

/// Makes branch and worktree known to the repository, without files.
fn register(
    main: &Checkout,
    home: &Path,
    name: &Name,
    record: &Record,
    cancelled: Cancelled,
) -> Result<(), Failure> {
    record.save(home, name)?;
    let call = main
        .call(&["worktree", "add", "--quiet", "--no-checkout", "-b", &name.branch(), "--"])
        .argument(name.directory(home))
        .argument(&record.base);
    main.must(&call, "make a worktree", cancelled).map(|_| ())
}

/// Writes the files and declares the worktree ready.
fn fill(
    repository: &Repository,
    home: &Path,
    name: &Name,
    record: &Record,
    cancelled: Cancelled,
) -> Result<(), Failure> {
    let top = name.directory(home);
    let linked = repository.main.linked(&top, cancelled)?;
    let linked = linked.ok_or_else(|| failed("git made no worktree"))?;
    let reset = linked.call(&["reset", "--hard", "--quiet", "--no-recurse-submodules", "HEAD"]);
    linked.must(&reset, "check out the files of a worktree", cancelled)?;
    let part = top.join(&repository.part);
    // The commit may not have the workspace's directory, or have a link in its place.
    let made = fs::create_dir_all(&part).and_then(|()| part.canonicalize());
    let made = made.map_err(|error| system("make", &part, &error))?;
    if made != part {
        return Err(unfit(
            format!("`{}` is a link in the workspace's commit", shown(&repository.part)),
            "commit the directory that the workspace is in",
        ));
    }
    Record { ready: true, ..record.clone() }.save(home, name)
}

fn worktree(
    repository: &Repository,
    home: &Path,
    name: &Name,
    base: &str,
) -> Result<Worktree, Failure> {
    let path = name.directory(home).join(&repository.part);
    let path = path.to_str().ok_or_else(|| failed("the worktree's path is not UTF-8"))?;
    Ok(Worktree { path: path.to_owned(), branch: name.branch(), base: base.to_owned() })
}
