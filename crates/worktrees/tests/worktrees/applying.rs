//! A branch into the workspace: all of it or nothing, never a commit, and a dry run leaves no trace.

use crate::support::{NEVER, Place, write};
use loopwright_types::{Code, Settings};
use loopwright_worktrees::{
    ApplyReport, Change, Fate, Git, GitCall, GitError, GitOutput, Worktrees,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

fn place() -> Place {
    let lines: String = (1..=20).map(|number| format!("line {number}\n")).collect();
    let files = [("a.txt", &*lines), ("b.txt", "b\n"), ("dir/c.txt", "c\n"), ("old.txt", "old\n")];
    Place::new(&files)
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Everything git knows, objects included, and every file.
fn everything(place: &Place) -> impl PartialEq + std::fmt::Debug + use<> {
    let objects = place.git(&["count-objects", "-v"]);
    let index = fs::read(place.workspace.join(".git/index")).unwrap();
    (
        place.tree(),
        place.git(&["for-each-ref"]),
        objects,
        index,
        fs::read_dir(place.data.join("worktrees")).unwrap().count(),
    )
}

/// The dry run, then the apply: they agree, and the dry run left no trace.
pub fn apply(place: &Place, branch: &str) -> Result<ApplyReport, (Box<ApplyReport>, String)> {
    let worktrees = place.worktrees();
    let before = everything(place);
    let dry = worktrees.apply(branch, true, NEVER).unwrap();
    assert_eq!(everything(place), before, "a dry run touches nothing");
    assert!(!dry.applied);
    let head = place.git(&["rev-parse", "HEAD"]);
    let result = worktrees.apply(branch, false, NEVER);
    assert_eq!(dry.fits, result.is_ok(), "{dry:?} {result:?}");
    assert_eq!(place.git(&["rev-parse", "HEAD"]), head, "never commits");
    match result {
        Ok(report) => {
            assert!(report.applied && report.conflicts.is_empty());
            assert_eq!(report.files, dry.files);
            Ok(report)
        }
        Err(failure) => {
            assert_eq!(failure.code, Code::PATCH_CONFLICT);
            assert_eq!(everything(place), before, "all or nothing");
            Err((Box::new(dry), failure.message))
        }
    }
}

#[test]
fn every_kind_of_change_arrives() {
    let place = place();
    let branch = place.branch(0, |top| {
        replace(&top.join("a.txt"), "line 3", "LINE 3");
        fs::set_permissions(top.join("b.txt"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(top.join("old.txt"), top.join("renamed.txt")).unwrap();
        fs::remove_file(top.join("dir/c.txt")).unwrap();
        write(&top.join("new/deep/d.bin"), [0, 255, 13, 10, 0]);
        write(&top.join("empty"), "");
        symlink("a.txt", top.join("link")).unwrap();
    });
    let report = apply(&place, &branch).unwrap();
    let of = |path: &str| {
        let file = report.files.iter().find(|file| file.path == path).unwrap();
        (file.change, file.fate)
    };
    assert_eq!(of("a.txt"), (Change::Modified, Fate::Taken));
    assert_eq!(of("old.txt"), (Change::Deleted, Fate::Taken));
    assert_eq!(of("renamed.txt"), (Change::Added, Fate::Taken));
    assert!(report.diffstat.contains("old.txt => renamed.txt"), "{}", report.diffstat);
    let names: Vec<String> = place.tree().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.txt", "b.txt*", "empty", "link@", "new/deep/d.bin", "renamed.txt"]);
    assert!(!place.workspace.join("dir").exists(), "no empty directory stays");
    assert_eq!(place.git(&["diff", "--cached", "--stat"]), "", "nothing is staged");
    // Once more: all is there already.
    let report = apply(&place, &branch).unwrap();
    assert!(report.files.iter().all(|file| file.fate == Fate::Already));
}

#[test]
fn changes_here_are_merged_whether_committed_staged_or_neither() {
    for kind in ["committed", "staged", "neither"] {
        let place = place();
        let branch = place.branch(0, |top| replace(&top.join("a.txt"), "line 2\n", "THEIRS\n"));
        replace(&place.workspace.join("a.txt"), "line 19\n", "OURS\n");
        place.write("mine.txt", "untouched\n");
        match kind {
            "committed" => place.commit("moves on"),
            "staged" => drop(place.git(&["add", "a.txt"])),
            _ => {}
        }
        let report = apply(&place, &branch).unwrap();
        assert_eq!(report.files[0].fate, Fate::Merged, "{kind}");
        let text = place.read("a.txt");
        assert!(text.contains("THEIRS") && text.contains("OURS"), "{kind}");
        assert_eq!(place.read("mine.txt"), "untouched\n");
    }
}

#[test]
fn an_executable_bit_and_a_change_of_lines_merge() {
    let place = place();
    let branch = place.branch(0, |top| {
        fs::set_permissions(top.join("a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    replace(&place.workspace.join("a.txt"), "line 1\n", "OURS\n");
    apply(&place, &branch).unwrap();
    let metadata = fs::metadata(place.workspace.join("a.txt")).unwrap();
    assert!(metadata.permissions().mode() & 0o100 != 0 && place.read("a.txt").starts_with("OURS"));
}

type Act = fn(&Path);
/// What the branch did, what happened here, and what is said of it.
const CONFLICTS: &[(&str, Act, Act, &str)] = &[
    (
        "the same line",
        |top| replace(&top.join("a.txt"), "line 5\n", "THEIRS\n"),
        |here| replace(&here.join("a.txt"), "line 5\n", "OURS\n"),
        "`a.txt` was changed here too, in the same place",
    ),
    (
        "deleted here",
        |top| replace(&top.join("a.txt"), "line 5\n", "THEIRS\n"),
        |here| fs::remove_file(here.join("a.txt")).unwrap(),
        "`a.txt` was deleted here and changed on the branch",
    ),
    (
        "deleted there",
        |top| fs::remove_file(top.join("a.txt")).unwrap(),
        |here| replace(&here.join("a.txt"), "line 5\n", "OURS\n"),
        "`a.txt` was changed here and deleted on the branch",
    ),
    (
        "added twice",
        |top| write(&top.join("new.txt"), "theirs\n"),
        |here| write(&here.join("new.txt"), "ours, not tracked\n"),
        "`new.txt` was added here too, with other content",
    ),
    (
        "a directory in the way",
        |top| write(&top.join("new"), "file\n"),
        |here| write(&here.join("new/inner.txt"), "ours\n"),
        "`new` is a directory with other files here",
    ),
    (
        "a file in the way",
        |top| write(&top.join("new/inner.txt"), "theirs\n"),
        |here| write(&here.join("new"), "ours\n"),
        "`new/inner.txt` needs a directory where `new` is a file or a link here",
    ),
    (
        "a link in the way",
        |top| write(&top.join("new/inner.txt"), "theirs\n"),
        |here| symlink("/tmp", here.join("new")).unwrap(),
        "`new/inner.txt` needs a directory where `new` is a file or a link here",
    ),
    (
        "bytes",
        |top| write(&top.join("b.txt"), [0, 1, 2]),
        |here| write(&here.join("b.txt"), [0, 3, 4]),
        "`b.txt` was changed here too, in the same place",
    ),
    (
        "became a link here",
        |top| write(&top.join("b.txt"), "theirs\n"),
        |here| {
            fs::remove_file(here.join("b.txt")).unwrap();
            symlink("a.txt", here.join("b.txt")).unwrap();
        },
        "`b.txt` became something else here",
    ),
    (
        "a named pipe here",
        |top| write(&top.join("pipe"), "theirs\n"),
        |here| {
            let made = std::process::Command::new("mkfifo").arg(here.join("pipe")).status();
            assert!(made.unwrap().success());
        },
        "`pipe` is no file here, or may not be read",
    ),
];

#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    for (name, there, here, message) in CONFLICTS {
        let place = place();
        let branch = place.branch(0, |top| {
            there(top);
            write(&top.join("also.txt"), "fits\n");
        });
        here(&place.workspace);
        if *name == "a named pipe here" {
            // No tree of files to compare: the pipe would be read.
            let failure = place.worktrees().apply(&branch, false, NEVER).unwrap_err();
            assert!(failure.message.contains(message), "{name}: {}", failure.message);
            continue;
        }
        let (dry, said) = apply(&place, &branch).unwrap_err();
        assert!(said.contains(message), "{name}: {said}");
        assert!(said.starts_with(&format!("1 of {} files of", dry.files_total)), "{name}: {said}");
        assert!(!place.workspace.join("also.txt").exists(), "{name}");
    }
}

#[test]
fn attributes_decide_what_is_not_merged() {
    let place = place();
    place.write(".gitattributes", "a.txt -merge\n");
    place.commit("attributes");
    let branch = place.branch(0, |top| replace(&top.join("a.txt"), "line 2\n", "THEIRS\n"));
    replace(&place.workspace.join("a.txt"), "line 19\n", "OURS\n");
    let (_, said) = apply(&place, &branch).unwrap_err();
    assert!(said.contains("in the same place"), "{said}");
}

#[test]
fn a_file_in_the_middle_of_a_merge_here_is_left_alone() {
    let place = place();
    let branch = place.branch(0, |top| write(&top.join("b.txt"), "theirs\n"));
    place.git(&["checkout", "-q", "-b", "other"]);
    place.write("b.txt", "other\n");
    place.commit("other");
    place.git(&["checkout", "-q", "main"]);
    place.write("b.txt", "main\n");
    place.commit("main");
    assert!(!place.command(&place.workspace, &["merge", "other"]).status.success());
    let (_, said) = apply(&place, &branch).unwrap_err();
    assert!(said.contains("has conflicts here that are not resolved"), "{said}");
}

#[test]
fn directories_and_files_change_places() {
    let place = place();
    let branch = place.branch(0, |top| {
        fs::remove_file(top.join("b.txt")).unwrap();
        write(&top.join("b.txt/inner.txt"), "inner\n");
        fs::remove_dir_all(top.join("dir")).unwrap();
        write(&top.join("dir"), "a file now\n");
    });
    fs::create_dir_all(place.workspace.join("dir/empty/deep")).unwrap();
    apply(&place, &branch).unwrap();
    assert_eq!(place.read("b.txt/inner.txt"), "inner\n");
    assert_eq!(place.read("dir"), "a file now\n");
}

#[test]
fn two_branches_that_fit_together_both_arrive() {
    let place = place();
    let one = place.branch(1, |top| replace(&top.join("a.txt"), "line 1\n", "ONE\n"));
    let two = place.branch(2, |top| replace(&top.join("a.txt"), "line 20\n", "TWO\n"));
    let three = place.branch(3, |top| replace(&top.join("a.txt"), "line 20\n", "THREE\n"));
    apply(&place, &one).unwrap();
    apply(&place, &two).unwrap();
    apply(&place, &three).unwrap_err();
    let text = place.read("a.txt");
    assert!(text.starts_with("ONE\n") && text.ends_with("TWO\n"));
}

#[test]
fn a_directory_that_may_not_be_written_is_known_before() {
    let place = place();
    let branch = place.branch(0, |top| {
        write(&top.join("a.txt"), "theirs\n");
        write(&top.join("zoo/z.txt"), "theirs\n");
    });
    let zoo = place.workspace.join("zoo");
    fs::create_dir(&zoo).unwrap();
    fs::set_permissions(&zoo, fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever may write everywhere, such as root, has no conflict.
    let may_write = fs::write(zoo.join("probe"), "").is_ok();
    let _ = fs::remove_file(zoo.join("probe"));
    match apply(&place, &branch) {
        Ok(_) => assert!(may_write),
        Err((_, said)) => {
            assert!(
                said.contains("in a directory that may not be written") && !may_write,
                "{said}"
            );
        }
    }
}

/// Git, and somebody who edits a file just before it is replaced.
struct Meddling(loopwright_worktrees::GitCommand, std::path::PathBuf);

impl Git for Meddling {
    fn run(&self, call: &GitCall, cancelled: &dyn Fn() -> bool) -> Result<GitOutput, GitError> {
        let output = self.0.run(call, cancelled);
        if call.arguments[0] == "checkout-index" {
            fs::write(&self.1, "edited meanwhile\n").unwrap();
        }
        output
    }
}

#[test]
fn a_file_that_changes_while_a_branch_is_applied_stops_it() {
    let place = place();
    let branch = place.branch(0, |top| {
        write(&top.join("a.txt"), "theirs\n");
        write(&top.join("b.txt"), "theirs\n");
    });
    let git = Arc::new(Meddling(place.git_command(), place.workspace.join("b.txt")));
    let worktrees = Worktrees::with_git(&place.workspace, &place.data, &Settings::default(), git);
    let failure = worktrees.apply(&branch, false, NEVER).unwrap_err();
    assert!(failure.retryable && failure.message.contains("`b.txt` changed while"), "{failure:?}");
    assert_eq!(place.read("b.txt"), "edited meanwhile\n");
    assert!(place.read("a.txt").starts_with("line 1\n"));
    assert!(place.tree().iter().all(|(name, _)| !name.starts_with(".loopwright")));
}
