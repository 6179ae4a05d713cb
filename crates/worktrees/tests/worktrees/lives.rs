//! Made, used, finished: what is removed, what is kept, and what the report says.

use crate::support::{NEVER, Place, create, run, write};
use loopwright_protocol::Worktree;
use loopwright_types::{Attempt, CallId, Code};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn place() -> Place {
    let files = [("a.txt", "a\n"), ("dir/b.txt", "b\n"), (".gitignore", "ignored\n*.log\n")];
    let place = Place::new(&files);
    symlink("a.txt", place.workspace.join("link")).unwrap();
    place.commit("link");
    place
}

fn commit_all(place: &Place, top: &Path) {
    place.git_in(top, &["add", "-A"]);
    place.git_in(top, &["commit", "-q", "-m", "the subagent's own"]);
}

#[test]
fn an_unchanged_worktree_goes_with_its_branch_and_leaves_no_trace() {
    type Act = fn(&Place, &Path);
    let acts: [(&str, Act); 5] = [
        ("nothing", |_, _| {}),
        ("ignored files", |_, top| {
            write(&top.join("ignored/deep/file"), "x");
            write(&top.join("dir/build.log"), "x");
        }),
        ("the same content again", |_, top| write(&top.join("a.txt"), "a\n")),
        ("empty directories", |_, top| fs::create_dir_all(top.join("empty/deep")).unwrap()),
        ("a locked ignored directory", |_, top| {
            write(&top.join("ignored/file"), "x");
            fs::set_permissions(top.join("ignored"), fs::Permissions::from_mode(0o000)).unwrap();
        }),
    ];
    for (number, (name, act)) in (0..).zip(acts) {
        let place = place();
        let worktrees = place.worktrees();
        let before = place.git(&["for-each-ref"]);
        let worktree = create(&worktrees, number);
        assert_eq!(worktree.branch, format!("loopwright/run-1/{number}"));
        act(&place, Path::new(&worktree.path));
        let report = worktrees.finish(&worktree, NEVER).unwrap();
        assert!(!report.changed && report.branch.is_none() && report.path.is_none(), "{name}");
        assert!(!Path::new(&worktree.path).exists(), "{name}");
        assert_eq!(place.git(&["for-each-ref"]), before, "{name}");
        assert_eq!(place.git(&["worktree", "list"]).lines().count(), 1, "{name}");
        assert!(!place.data.join("worktrees/run-1").exists(), "{name}");
        // Finishing again says the same: the first answer may have been lost.
        assert_eq!(worktrees.finish(&worktree, NEVER).unwrap(), report, "{name}");
    }
}

#[test]
fn every_kind_of_change_is_kept_on_the_branch_and_in_the_summary() {
    type Act = fn(&Place, &Path);
    let acts: [(&str, &str, Act); 9] = [
        ("a file changed", "a.txt", |_, top| write(&top.join("a.txt"), "changed\n")),
        ("a file not tracked", "new.txt", |_, top| write(&top.join("new.txt"), "new\n")),
        ("a file deleted", "dir/b.txt", |_, top| fs::remove_file(top.join("dir/b.txt")).unwrap()),
        ("an executable bit", "a.txt", |_, top| {
            fs::set_permissions(top.join("a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("a link", "link", |_, top| {
            fs::remove_file(top.join("link")).unwrap();
            symlink("dir/b.txt", top.join("link")).unwrap();
        }),
        ("bytes", "bytes.bin", |_, top| write(&top.join("bytes.bin"), [0, 159, 146, 150, 0])),
        ("a commit of the subagent", "a.txt", |place, top| {
            write(&top.join("a.txt"), "committed\n");
            commit_all(place, top);
        }),
        ("a commit on no branch", "a.txt", |place, top| {
            place.git_in(top, &["checkout", "-q", "--detach"]);
            write(&top.join("a.txt"), "detached\n");
            commit_all(place, top);
        }),
        ("a branch of the subagent's own", "a.txt", |place, top| {
            place.git_in(top, &["checkout", "-q", "-b", "mine"]);
            write(&top.join("a.txt"), "mine\n");
            commit_all(place, top);
            write(&top.join("a.txt"), "mine, not committed\n");
        }),
    ];
    for (number, (name, path, act)) in (0..).zip(acts) {
        let place = place();
        let worktrees = place.worktrees();
        let worktree = create(&worktrees, number);
        let top = Path::new(&worktree.path);
        act(&place, top);
        let report = worktrees.finish(&worktree, NEVER).unwrap();
        assert!(report.changed, "{name}");
        assert_eq!(report.branch.as_deref(), Some(&*worktree.branch), "{name}");
        assert_eq!(report.path.as_deref(), Some(&*worktree.path), "{name}");
        assert!(report.diffstat.contains(path), "{name}: {}", report.diffstat);
        assert!(report.diffstat.contains("1 file changed"), "{name}: {}", report.diffstat);
        // The branch holds exactly what the directory holds.
        let difference = place.git_in(top, &["diff", "--stat", &worktree.branch]);
        assert_eq!(difference, "", "{name}");
        let on_our_branch = place.git_in(top, &["rev-parse", "HEAD"])
            == place.git(&["rev-parse", &worktree.branch]);
        assert_eq!(on_our_branch, !name.ends_with("own"), "{name}");
        assert_eq!(worktrees.finish(&worktree, NEVER).unwrap(), report, "{name}: again");
    }
}

#[test]
fn what_loopwright_commits_is_by_a_neutral_author_and_runs_no_hook() {
    let place = place();
    place.git(&["config", "user.name", "Somebody"]);
    place.git(&["config", "commit.gpgSign", "true"]);
    place.git(&["config", "gpg.program", "/bin/false"]);
    let branch = place.branch(3, |top| write(&top.join("a.txt"), "changed\n"));
    let format = "--format=%an <%ae> %cn <%ce> %s";
    assert_eq!(
        place.git(&["log", "-1", format, &branch]),
        "Loopwright <loopwright@localhost> Loopwright <loopwright@localhost> Changes of call 3 of run run-1"
    );
}

#[test]
fn commits_on_the_branch_survive_when_the_subagent_leaves_it() {
    let place = place();
    let branch = place.branch(0, |top| {
        write(&top.join("one.txt"), "1\n");
        commit_all(&place, top);
        place.git_in(top, &["checkout", "-q", "--detach", "HEAD~1"]);
        write(&top.join("two.txt"), "2\n");
    });
    let parents = place.git(&["log", "-1", "--format=%P", &branch]);
    assert_eq!(parents.split(' ').count(), 2, "{parents}");
    let files = place.git(&["log", "--format=", "--name-only", "-m", &branch]);
    assert!(files.contains("one.txt") && files.contains("two.txt"), "{files}");
}

#[test]
fn a_commit_that_was_reverted_is_a_change_and_is_kept() {
    let place = place();
    let worktrees = place.worktrees();
    let worktree = create(&worktrees, 0);
    let top = Path::new(&worktree.path);
    write(&top.join("a.txt"), "x\n");
    commit_all(&place, top);
    place.git_in(top, &["revert", "--no-edit", "HEAD"]);
    let report = worktrees.finish(&worktree, NEVER).unwrap();
    assert!(report.changed && report.diffstat.is_empty());
}

#[test]
fn repositories_inside_a_worktree_are_noted_and_do_not_lose_the_rest() {
    for commits in [false, true] {
        let place = place();
        let worktrees = place.worktrees();
        let worktree = create(&worktrees, 0);
        let top = Path::new(&worktree.path);
        write(&top.join("a.txt"), "changed\n");
        write(&top.join("sub dir/inner.txt"), "inner\n");
        place.git_in(&top.join("sub dir"), &["init", "-q"]);
        if commits {
            commit_all(&place, &top.join("sub dir"));
        }
        let report = worktrees.finish(&worktree, NEVER).unwrap();
        let note = "note: `sub dir` is a repository of its own: its files are not on the branch";
        assert!(report.diffstat.contains(note), "{commits}: {}", report.diffstat);
        assert_eq!(place.git(&["show", &format!("{}:a.txt", worktree.branch)]), "changed");
        assert!(top.join("sub dir/inner.txt").exists());
    }
}

#[test]
fn a_worktree_whose_git_file_was_removed_or_replaced_is_finished_all_the_same() {
    for replace in [false, true] {
        let place = place();
        let worktrees = place.worktrees();
        let worktree = create(&worktrees, 0);
        let top = Path::new(&worktree.path);
        fs::remove_file(top.join(".git")).unwrap();
        if replace {
            place.git_in(top, &["init", "-q"]);
        }
        write(&top.join("a.txt"), "changed\n");
        let report = worktrees.finish(&worktree, NEVER).unwrap();
        assert!(report.diffstat.contains("a.txt"), "{}", report.diffstat);
        assert_eq!(place.git(&["show", &format!("{}:a.txt", worktree.branch)]), "changed");
    }
}

#[test]
fn a_worktree_that_is_removed_altogether_was_unchanged() {
    let place = place();
    let worktrees = place.worktrees();
    let worktree = create(&worktrees, 0);
    fs::remove_dir_all(&worktree.path).unwrap();
    assert!(!worktrees.finish(&worktree, NEVER).unwrap().changed);
    assert_eq!(place.git(&["branch", "--list", "loopwright/*"]), "");
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_thousand_files_are_kept_and_summarised_within_bounds() {
    let place = place();
    let worktrees = place.worktrees();
    let worktree = create(&worktrees, 0);
    for number in 0..1000 {
        write(&Path::new(&worktree.path).join(format!("d{}/f{number}", number % 10)), "x\n");
    }
    let report = worktrees.finish(&worktree, NEVER).unwrap();
    assert!(report.diffstat.contains("1000 files changed, 1000 insertions(+)"));
    assert!(report.diffstat.lines().count() <= 102 && report.diffstat.len() < 65_536);
    let applied = worktrees.apply(&worktree.branch, false, NEVER).unwrap();
    assert_eq!((applied.files.len(), applied.files_total), (1000, 1000));
    assert_eq!(place.read("d7/f997"), "x\n");
}

#[test]
fn line_ends_of_the_users_settings_do_not_make_changes() {
    let place = place();
    place.git(&["config", "--global", "core.autocrlf", "true"]);
    let worktrees = place.worktrees();
    let worktree = create(&worktrees, 0);
    let file = Path::new(&worktree.path).join("a.txt");
    assert_eq!(fs::read_to_string(&file).unwrap(), "a\r\n", "checked out as the user has it");
    assert!(!worktrees.finish(&worktree, NEVER).unwrap().changed);
    let branch = place.branch(1, |top| write(&top.join("a.txt"), "a\r\nb\r\n"));
    assert_eq!(place.git(&["cat-file", "blob", &format!("{branch}:a.txt")]), "a\nb");
    worktrees.apply(&branch, false, NEVER).unwrap();
    assert_eq!(place.read("a.txt"), "a\r\nb\r\n");
    // A workspace file with other line ends than git would write is the same content.
    place.write("a.txt", "a\n");
    assert!(worktrees.apply(&branch, false, NEVER).unwrap().applied);
    assert_eq!(place.read("a.txt"), "a\r\nb\r\n");
}

#[test]
fn what_is_not_a_worktree_of_ours_is_refused() {
    let place = place();
    let worktrees = place.worktrees();
    let worktree = create(&worktrees, 0);
    let with = |path: &str, branch: &str, base: &str| Worktree {
        path: path.to_owned(),
        branch: branch.to_owned(),
        base: base.to_owned(),
    };
    let elsewhere = place.workspace.to_str().unwrap();
    let cases = [
        (with(elsewhere, &worktree.branch, &worktree.base), Code::WORKTREE_UNKNOWN),
        (with(&worktree.path, "main", &worktree.base), Code::BRANCH_REFUSED),
        (with(&worktree.path, "loopwright/run-1/../0", &worktree.base), Code::BRANCH_REFUSED),
        (with(&worktree.path, &worktree.branch, "--all"), Code::WORKTREE_UNKNOWN),
        (with(&worktree.path, "loopwright/run-1/1", &worktree.base), Code::WORKTREE_UNKNOWN),
    ];
    for (asked, code) in cases {
        assert_eq!(worktrees.finish(&asked, NEVER).unwrap_err().code, code, "{asked:?}");
    }
    assert!(Path::new(&worktree.path).exists() && place.workspace.join("a.txt").exists());
}

#[test]
fn work_that_is_cancelled_leaves_nothing_behind() {
    let place = place();
    let asked = std::cell::Cell::new(0);
    for stop_at in 0..40 {
        asked.set(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            asked.get() > stop_at
        };
        let worktrees = place.worktrees();
        match worktrees.create(&run("run-9"), CallId(0), Attempt(1), &cancelled) {
            Err(failure) => {
                assert_eq!(failure.code, Code::CANCELLED);
                assert!(!place.data.join("worktrees/run-9").exists(), "stopped at {stop_at}");
            }
            Ok(worktree) => assert!(!worktrees.finish(&worktree, NEVER).unwrap().changed),
        }
        assert_eq!(place.git(&["branch", "--list", "loopwright/*"]), "", "stopped at {stop_at}");
    }
}
