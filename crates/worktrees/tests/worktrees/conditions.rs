//! Every row of the table in the guide.

use crate::support::{NEVER, Place, create, run, write};
use loopwright_types::{Attempt, CallId, Code, Settings};
use loopwright_worktrees::{Notice, Worktrees};
use std::fs;
use std::path::{Path, PathBuf};

/// What is said of a workspace at the start of a run, and the same when a worktree is asked for.
fn refusal(place: &Place, workspace: &Path) -> (Code, String, String) {
    let worktrees = place.worktrees_of(workspace);
    let diagnostic = worktrees.check(NEVER).unwrap_err();
    let failure = worktrees.create(&run("run-1"), CallId(0), Attempt(1), NEVER).unwrap_err();
    assert_eq!((diagnostic.code, &diagnostic.message), (failure.code, &failure.message));
    assert!(!failure.sent);
    let root = place.root().to_string_lossy().into_owned();
    let message = diagnostic.message.replace(&root, "…");
    (diagnostic.code, message, diagnostic.hint.unwrap_or_default())
}

#[test]
fn what_cannot_give_worktrees_is_refused_with_a_hint() {
    let plain = Place::bare_directory();
    let unborn = Place::unborn();
    let normal = Place::new(&[("a.txt", "a\n")]);
    let bare = normal.root().join("bare.git");
    normal.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let cases = [
        (&plain, plain.workspace.clone(), "is not in a git repository", "git init"),
        (&unborn, unborn.workspace.clone(), "has no commit yet", "commit something"),
        (&normal, bare, "`…/bare.git` is a bare repository", "a clone of it"),
        (&normal, normal.workspace.join(".git"), "is inside a `.git` directory", "around it"),
        (&normal, normal.root().join("missing"), "`…/missing` cannot be opened", ""),
    ];
    for (place, workspace, message, hint) in cases {
        let (code, said, hinted) = refusal(place, &workspace);
        assert_eq!(code, Code::REPOSITORY_UNFIT, "{said}");
        assert!(said.contains(message), "{said}");
        assert!(hinted.contains(hint), "{hinted}");
    }
}

#[test]
fn a_missing_or_old_git_is_named_at_the_start() {
    let place = Place::new(&[("a.txt", "a\n")]);
    let old = place.root().join("old-git");
    write(&old, "#!/bin/sh\necho git version 2.20.1\n");
    make_executable(&old);
    let cases = [
        ("no-such-git", "was not found in `PATH`"),
        (old.to_str().unwrap(), "`git version 2.20.1`"),
    ];
    for (program, message) in cases {
        let git = std::sync::Arc::new(place.git_command().program(program));
        let settings = Settings::default();
        let worktrees = Worktrees::with_git(&place.workspace, &place.data, &settings, git);
        let diagnostic = worktrees.check(NEVER).unwrap_err();
        assert_eq!(diagnostic.code, Code::GIT_UNAVAILABLE);
        assert!(diagnostic.message.contains(message), "{}", diagnostic.message);
        assert!(diagnostic.hint.is_some());
    }
}

pub fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_data_directory_inside_the_repository_is_refused_and_not_made() {
    let place = Place::new(&[("a.txt", "a\n")]);
    let link = place.root().join("link");
    std::os::unix::fs::symlink(&place.workspace, &link).unwrap();
    let inside =
        [place.workspace.join(".loopwright"), place.workspace.join(".git/x"), link.join("y")];
    for data in inside {
        let worktrees = Worktrees::new(&place.workspace, &data, &Settings::default());
        let diagnostic = worktrees.check(NEVER).unwrap_err();
        assert_eq!(diagnostic.code, Code::REPOSITORY_UNFIT);
        assert!(diagnostic.message.contains("inside the workspace"), "{}", diagnostic.message);
        assert!(!data.exists());
    }
}

#[test]
fn a_clean_repository_has_nothing_to_say() {
    let place = Place::new(&[("a.txt", "a\n"), (".gitignore", "target\n")]);
    place.write("target/big", "ignored");
    assert_eq!(place.notices(&place.workspace), Vec::<String>::new());
}

#[test]
fn uncommitted_changes_are_counted_and_are_not_in_the_worktree() {
    let place = Place::new(&[("a.txt", "a\n"), ("b.txt", "b\n"), ("c.txt", "c\n")]);
    place.write("a.txt", "changed\n");
    fs::remove_file(place.workspace.join("b.txt")).unwrap();
    place.write("new/one.txt", "1");
    place.write("new/two.txt", "2");
    place.write("c.txt", "staged\n");
    place.git(&["add", "c.txt"]);
    let notices = place.worktrees().check(NEVER).unwrap();
    assert_eq!(notices, [Notice::Uncommitted { files: 5 }]);
    assert_eq!(
        notices[0].to_string(),
        "5 files are not committed: subagents in worktrees do not see these changes"
    );
    let worktrees = place.worktrees();
    let worktree = create(&worktrees, 0);
    let read = |name: &str| fs::read_to_string(Path::new(&worktree.path).join(name)).unwrap();
    assert_eq!([read("a.txt"), read("b.txt"), read("c.txt")], ["a\n", "b\n", "c\n"]);
    assert!(!Path::new(&worktree.path).join("new").exists());
    worktrees.finish(&worktree, NEVER).unwrap();
    assert_eq!(worktrees.check(NEVER).unwrap(), [Notice::Uncommitted { files: 5 }]);
}

#[test]
fn a_detached_head_gives_worktrees_of_its_commit() {
    let place = Place::new(&[("a.txt", "one\n")]);
    let first = place.git(&["rev-parse", "HEAD"]);
    place.write("a.txt", "two\n");
    place.commit("second");
    place.git(&["checkout", "-q", "--detach", &first]);
    assert_eq!(
        place.notices(&place.workspace),
        [format!("no branch is checked out: worktrees begin at commit `{}`", &first[..12])]
    );
    let worktree = create(&place.worktrees(), 0);
    assert_eq!(worktree.base, first);
    assert_eq!(fs::read_to_string(Path::new(&worktree.path).join("a.txt")).unwrap(), "one\n");
}

#[test]
fn submodules_are_empty_and_said_so_and_no_change() {
    let place = Place::new(&[("a.txt", "a\n")]);
    let library = Place::new(&[("lib.txt", "lib\n")]);
    let url = library.workspace.to_str().unwrap();
    place.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        url,
        "vendor/lib",
    ]);
    place.commit("submodule");
    // Changes inside a submodule are its own.
    place.write("vendor/lib/lib.txt", "dirty\n");
    assert_eq!(place.notices(&place.workspace), ["1 submodule is empty in worktrees"]);
    let worktrees = place.worktrees();
    let worktree = create(&worktrees, 0);
    let inside = fs::read_dir(Path::new(&worktree.path).join("vendor/lib")).unwrap();
    assert_eq!(inside.count(), 0);
    assert!(!worktrees.finish(&worktree, NEVER).unwrap().changed);
}

#[test]
fn a_subdirectory_works_in_the_same_subdirectory() {
    let place = Place::new(&[("top.txt", "t\n"), ("pkg/app/a.txt", "a\n")]);
    place.write("untracked/x.txt", "x");
    let workspace = place.workspace.join("pkg/app");
    let notices = place.notices(&workspace);
    assert!(notices[1].contains("the workspace is `pkg/app` of its repository"), "{notices:?}");
    let worktrees = place.worktrees_of(&workspace);
    let worktree = create(&worktrees, 0);
    assert!(worktree.path.ends_with("worktrees/run-1/0/pkg/app"), "{}", worktree.path);
    write(&Path::new(&worktree.path).join("a.txt"), "A\n");
    let report = worktrees.finish(&worktree, NEVER).unwrap();
    assert!(report.diffstat.contains("pkg/app/a.txt"), "{}", report.diffstat);
    assert_eq!(report.path.as_deref(), Some(&*worktree.path));
    worktrees.apply(&report.branch.unwrap(), false, NEVER).unwrap();
    assert_eq!(place.read("pkg/app/a.txt"), "A\n");
    // A directory that no commit has yet is there too, empty.
    let fresh = place.worktrees_of(&place.workspace.join("untracked"));
    let worktree = create(&fresh, 1);
    assert!(Path::new(&worktree.path).is_dir());
    assert!(!fresh.finish(&worktree, NEVER).unwrap().changed);
}

#[test]
fn changes_outside_a_workspace_that_is_a_subdirectory_are_not_applied() {
    let place = Place::new(&[("top.txt", "t\n"), ("pkg/a.txt", "a\n"), ("pkg2/b.txt", "b\n")]);
    let worktrees = place.worktrees_of(&place.workspace.join("pkg"));
    let worktree = create(&worktrees, 0);
    write(&Path::new(&worktree.path).join("../pkg2/b.txt"), "B\n");
    let branch = worktrees.finish(&worktree, NEVER).unwrap().branch.unwrap();
    let report = worktrees.apply(&branch, true, NEVER).unwrap();
    assert_eq!(report.conflicts[0].cause, "is outside the workspace");
    assert_eq!(worktrees.apply(&branch, false, NEVER).unwrap_err().code, Code::PATCH_CONFLICT);
    assert_eq!(place.read("pkg2/b.txt"), "b\n");
}

/// A whole life in a clone: made, changed, finished, applied.
fn works(place: &Place, workspace: &Path) {
    let worktrees = place.worktrees_of(workspace);
    let worktree = create(&worktrees, 0);
    write(&Path::new(&worktree.path).join("a.txt"), "changed\n");
    write(&Path::new(&worktree.path).join("new.txt"), "new\n");
    let branch = worktrees.finish(&worktree, NEVER).unwrap().branch.unwrap();
    assert!(worktrees.apply(&branch, false, NEVER).unwrap().applied);
    assert_eq!(fs::read_to_string(workspace.join("a.txt")).unwrap(), "changed\n");
    assert_eq!(fs::read_to_string(workspace.join("new.txt")).unwrap(), "new\n");
}

#[test]
fn shallow_clones_linked_worktrees_and_sparse_checkouts_work_and_are_named() {
    let place = Place::new(&[("a.txt", "a\n"), ("in/x.txt", "x\n"), ("out/y.txt", "y\n")]);
    place.write("a.txt", "a2\n");
    place.commit("second");
    let at = |name: &str| place.root().join(name);
    let clone = |name: &str, options: &[&str]| -> PathBuf {
        let url = format!("file://{}", place.workspace.display());
        let target = at(name).to_str().unwrap().to_owned();
        let all = [&["clone", "-q"], options, &[&url, &target]].concat();
        place.git(&all);
        at(name)
    };
    let shallow = clone("shallow", &["--depth", "1"]);
    place.git(&["worktree", "add", "-q", at("linked").to_str().unwrap(), "-b", "other"]);
    let sparse = clone("sparse", &[]);
    place.git_in(&sparse, &["sparse-checkout", "set", "in"]);
    let cases = [
        (shallow, "the history is shallow: worktrees have no more of it"),
        (at("linked"), "the workspace is itself a worktree"),
        (sparse.clone(), "the checkout is sparse: worktrees have the same files only"),
    ];
    for (workspace, notice) in cases {
        assert_eq!(place.notices(&workspace), [notice]);
        let place = Place { data: workspace.with_extension("data"), ..Place::bare_directory() };
        works(&place, &workspace);
    }
    let place = Place { data: at("sparse2.data"), ..Place::bare_directory() };
    let worktrees = place.worktrees_of(&sparse);
    let worktree = create(&worktrees, 9);
    let top = Path::new(&worktree.path);
    assert!(top.join("in/x.txt").exists() && !top.join("out").exists());
    // A file outside the sparse part, made by a subagent, is a change like any other.
    write(&top.join("out/z.txt"), "z\n");
    let report = worktrees.finish(&worktree, NEVER).unwrap();
    assert!(report.diffstat.contains("out/z.txt") && !report.diffstat.contains("out/y.txt"));
    let report = worktrees.apply(&report.branch.unwrap(), false, NEVER).unwrap();
    assert_eq!((report.files_total, report.applied), (1, true));
    assert!(sparse.join("out/z.txt").exists() && !sparse.join("out/y.txt").exists());
}

#[test]
fn a_partial_clone_works_with_what_it_has_and_fetches_nothing() {
    let origin = Place::new(&[("a.txt", "a\n"), ("big/b.txt", "b\n")]);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", origin.workspace.display());
    let complete = origin.root().join("complete");
    origin.git(&["clone", "-q", "--filter=blob:none", &url, complete.to_str().unwrap()]);
    let notices = origin.notices(&complete);
    assert!(notices[0].starts_with("the repository is a partial clone"), "{notices:?}");
    works(&origin, &complete);
    let missing = origin.root().join("missing");
    let target = missing.to_str().unwrap();
    origin.git(&["clone", "-q", "--filter=blob:none", "--no-checkout", &url, target]);
    let worktrees = origin.worktrees_of(&missing);
    let failure = worktrees.create(&run("run-2"), CallId(0), Attempt(1), NEVER).unwrap_err();
    assert_eq!(failure.code, Code::WORKTREE_FAILED);
    assert!(!origin.data.join("worktrees/run-2").exists(), "nothing is left behind");
    assert_eq!(origin.git_in(&missing, &["branch", "--list", "loopwright/*"]), "");
}

#[test]
fn names_with_spaces_unicode_and_line_ends_work_everywhere() {
    let mut place = Place::new(&[]);
    let strange = place.root().join("wörk spa\nce 'x\" $(id)");
    fs::rename(&place.workspace, &strange).unwrap();
    place.workspace = strange;
    place.data = place.root().join("dätä dir");
    for name in ["a b.txt", "ünï.txt", "tab\there", "line\nend", "-dash", "quote\"", "*", ":(top)x"]
    {
        place.write(name, "old\n");
    }
    place.commit("strange names");
    let names =
        ["a b.txt", "ünï.txt", "tab\there", "line\nend", "-dash", "quote\"", "*", ":(top)y"];
    let branch = place.branch(0, |top| {
        for name in names {
            write(&top.join(name), "new\n");
        }
    });
    let report = place.worktrees().apply(&branch, false, NEVER).unwrap();
    assert_eq!(report.files_total, names.len() as u64);
    assert!(names.iter().all(|name| place.read(name) == "new\n"));
    let listed = place.worktrees().leftovers(&|_| false, NEVER).unwrap();
    assert_eq!(listed.len(), 1);
    place.worktrees().clean(&listed, true, NEVER).unwrap();
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), 2, "the name has a line end");
}
