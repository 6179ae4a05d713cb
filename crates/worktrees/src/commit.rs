//! What a subagent left, onto its branch, so that nothing is lost whatever becomes of the directory.

use crate::failures::{printable, refused};
use crate::files::nested_repositories;
use crate::names::Name;
use crate::record::Record;
use crate::repository::{Cancelled, Checkout};
use crate::worktrees::Worktrees;
use loopwright_types::Failure;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Who commits. Neutral: the subagent is no person, and the user did not write it.
const PERSON: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "Loopwright"),
    ("GIT_AUTHOR_EMAIL", "loopwright@localhost"),
    ("GIT_COMMITTER_NAME", "Loopwright"),
    ("GIT_COMMITTER_EMAIL", "loopwright@localhost"),
];

/// What the branch holds now.
pub(crate) struct Committed {
    pub(crate) commit: String,
    /// What it could not take, for people.
    pub(crate) notes: Vec<String>,
}

impl Worktrees {
    /// Whether a worktree or its branch differs from the commit it began at. Ignored files do not count.
    pub(crate) fn is_changed(
        &self,
        main: &Checkout,
        home: &Path,
        name: &Name,
        record: &Record,
        cancelled: Cancelled,
    ) -> Result<bool, Failure> {
        let tip = main.commit(&name.reference(), cancelled)?;
        if tip.is_some_and(|tip| tip != record.base) {
            return Ok(true);
        }
        let top = name.directory(home);
        match main.linked(&top, cancelled)? {
            Some(linked) if top.is_dir() => {
                let head = linked.commit("HEAD", cancelled)?;
                let moved = head.is_some_and(|head| head != record.base);
                Ok(moved || linked.dirty_files("normal", cancelled)? > 0)
            }
            // Files that no repository knows of any more: nobody can say.
            None if has_entries(&top) => Ok(true),
            _ => Ok(false),
        }
    }

    /// Commits what is in the worktree to its branch and marks it as finished. Files stay as they are.
    pub(crate) fn preserve(
        &self,
        main: &Checkout,
        home: &Path,
        name: &Name,
        record: &Record,
        cancelled: Cancelled,
    ) -> Result<Committed, Failure> {
        let top = name.directory(home);
        let tip = main.commit(&name.reference(), cancelled)?;
        let linked = main.linked(&top, cancelled)?.filter(|_| top.is_dir());
        let committed = match linked {
            Some(linked) => commit(&linked, name, tip.as_deref(), &record.base, cancelled)?,
            None => {
                let commit = tip.unwrap_or_else(|| record.base.clone());
                Committed { commit, notes: Vec::new() }
            }
        };
        Record { finished: true, ..record.clone() }.save(home, name)?;
        Ok(committed)
    }
}

pub(crate) fn has_entries(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

fn commit(
    linked: &Checkout,
    name: &Name,
    tip: Option<&str>,
    base: &str,
    cancelled: Cancelled,
) -> Result<Committed, Failure> {
    let mut notes = Vec::new();
    add(linked, &mut notes, cancelled)?;
    let doing = "commit what a subagent changed";
    let tree = linked.must(&linked.call(&["write-tree"]), doing, cancelled)?.line();
    note_nested(linked, base, &tree, &mut notes, cancelled)?;
    let head = linked.commit("HEAD", cancelled)?;
    // The subagent may have left the branch: then both lines of commits stay.
    let mut parents: Vec<&str> = Vec::new();
    for parent in [head.as_deref(), tip].into_iter().flatten() {
        if !parents.contains(&parent) {
            parents.push(parent);
        }
    }
    if parents.is_empty() {
        parents.push(base);
    }
    if parents.len() == 2 {
        let call = linked.call(&["merge-base", "--is-ancestor", parents[1], parents[0]]);
        if linked.run(&call, doing, cancelled)?.succeeded() {
            parents.pop();
        }
    }
    let old_tree = format!("{}^{{tree}}", parents[0]);
    let old_tree =
        linked.must(&linked.call(&["rev-parse", "--verify", &old_tree]), doing, cancelled)?;
    let commit = if parents.len() == 1 && old_tree.line() == tree {
        parents[0].to_owned()
    } else {
        let mut call = linked.call(&["commit-tree", &tree]);
        for parent in &parents {
            call = call.argument("-p").argument(*parent);
        }
        let message = format!("Changes of call {} of run {}\n", name.slot, name.run);
        call = call.argument("-F").argument("-").stdin(message.into_bytes());
        for (variable, value) in PERSON {
            call = call.variable(variable, value);
        }
        linked.must(&call, doing, cancelled)?.line()
    };
    if tip != Some(commit.as_str()) {
        let call = linked.call(&["update-ref", "--", &name.reference(), &commit]);
        linked.must(&call, doing, cancelled)?;
    }
    Ok(Committed { commit, notes })
}

/// Stages everything that is not ignored.
fn add(linked: &Checkout, notes: &mut Vec<String>, cancelled: Cancelled) -> Result<(), Failure> {
    let doing = "stage what a subagent changed";
    let mut arguments: Vec<OsString> = vec!["add".into(), "--all".into()];
    if linked.guard.is_sparse {
        arguments.push("--sparse".into());
    }
    let all = linked.call(&arguments).argument("--").argument(".");
    let output = linked.run(&all, doing, cancelled)?;
    if output.succeeded() {
        return Ok(());
    }
    // Repositories without a commit and files that may not be read stop git; the rest is worth having.
    let nested = nested_repositories(&linked.top, cancelled);
    let mut call = linked.call(&arguments).argument("--ignore-errors").argument("--").argument(".");
    call.environment.retain(|(name, _)| name != "GIT_LITERAL_PATHSPECS");
    call = call.variable("GIT_LITERAL_PATHSPECS", "0");
    for path in &nested {
        let relative = path.strip_prefix(&linked.top).unwrap_or(path);
        let mut excluded = OsString::from(":(top,exclude,literal)");
        excluded.push(relative);
        call = call.argument(excluded);
        let shown = printable(&relative.to_string_lossy());
        notes
            .push(format!("`{shown}` is a repository of its own: its files are not on the branch"));
    }
    let again = linked.run(&call, doing, cancelled)?;
    match again.status {
        Some(0) => Ok(()),
        Some(1) => {
            notes
                .push(format!("not all files are on the branch: git says `{}`", again.complaint()));
            Ok(())
        }
        _ => Err(refused(&again, doing)),
    }
}

fn nested_note(path: &str) -> String {
    format!("`{}` is a repository of its own: its files are not on the branch", printable(path))
}

/// Git stores of a repository inside the worktree only which commit it is at.
fn note_nested(
    linked: &Checkout,
    base: &str,
    tree: &str,
    notes: &mut Vec<String>,
    cancelled: Cancelled,
) -> Result<(), Failure> {
    let options = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff"];
    let call = linked.call(&options).argument("--end-of-options").argument(base).argument(tree);
    let output = linked.must(&call, "look for repositories in a worktree", cancelled)?;
    let mut fields = output.stdout.split(|byte| *byte == 0);
    while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
        // `:before after …`
        if head.split(|byte| *byte == b' ').nth(1) == Some(b"160000") {
            notes.push(nested_note(&String::from_utf8_lossy(path)));
        }
    }
    Ok(())
}
