//! What killed processes leave: taken up by the next attempt, listed and cleaned on request, never lost.

use crate::support::{NEVER, Place, create, run, write};
use loopwright_types::{Attempt, CallId};
use loopwright_worktrees::{CleanOutcome, Leftover, LeftoverState};
use std::fs;
use std::path::Path;

fn place() -> Place {
    Place::new(&[("a.txt", "a\n"), ("b.txt", "b\n")])
}

/// `run/slot state finished?`
fn lines(leftovers: &[Leftover]) -> Vec<String> {
    let line = |left: &Leftover| {
        let finished = if left.finished { " finished" } else { "" };
        format!("{}/{} {:?}{finished}", left.run, left.slot, left.state)
    };
    leftovers.iter().map(line).collect()
}

#[test]
fn the_next_attempt_takes_an_untouched_leftover_and_leaves_a_changed_one() {
    let place = place();
    let first = create(&place.worktrees(), 0);
    // A new process: the same attempt gets the same worktree, the next one a fresh one in its place.
    assert_eq!(create(&place.worktrees(), 0), first);
    write(&Path::new(&first.path).join("a.txt"), "work\n");
    let again = place.worktrees();
    let second = again.create(&run("run-1"), CallId(0), Attempt(2), NEVER).unwrap();
    assert_eq!(second.branch, "loopwright/run-1/0-2");
    let read = |path: &str| fs::read_to_string(Path::new(path).join("a.txt")).unwrap();
    assert_eq!((&*read(&first.path), &*read(&second.path)), ("work\n", "a\n"));
    // The changed one is on its branch now.
    assert_eq!(place.git(&["show", "loopwright/run-1/0:a.txt"]), "work");
    again.finish(&second, NEVER).unwrap();
    place.write("a.txt", "moved on\n");
    place.commit("second");
    let third = place.worktrees().create(&run("run-1"), CallId(0), Attempt(3), NEVER).unwrap();
    assert_eq!((&*third.branch, &*read(&third.path)), ("loopwright/run-1/0-2", "moved on\n"));
}

#[test]
fn a_creation_that_was_cut_short_is_replaced() {
    type Act = fn(&Place, &Path);
    let acts: [(&str, Act); 4] = [
        ("half the files", |_, top| fs::remove_file(top.join("a.txt")).unwrap()),
        ("no files", |_, top| fs::remove_dir_all(top).unwrap()),
        ("no registration", |place, top| {
            fs::remove_dir_all(place.workspace.join(".git/worktrees")).unwrap();
            fs::remove_dir_all(top).unwrap();
        }),
        ("a lock of git", |place, _| {
            write(&place.workspace.join(".git/worktrees/0/index.lock"), "")
        }),
    ];
    for (name, act) in acts {
        let place = place();
        let first = create(&place.worktrees(), 0);
        let record = place.data.join("worktrees/run-1/0.json");
        let text = fs::read_to_string(&record).unwrap();
        fs::write(&record, text.replace("\"ready\":true", "\"ready\":false")).unwrap();
        act(&place, Path::new(&first.path));
        let worktrees = place.worktrees();
        let listed = worktrees.leftovers(&|_| false, NEVER).unwrap();
        assert_eq!(lines(&listed), ["run-1/0 Incomplete"], "{name}");
        let second = create(&worktrees, 0);
        assert_eq!(second, first, "{name}");
        assert_eq!(place.git_in(Path::new(&second.path), &["status", "--porcelain"]), "", "{name}");
        assert!(!worktrees.finish(&second, NEVER).unwrap().changed, "{name}");
    }
}

#[test]
fn leftovers_are_listed_by_what_would_be_lost_and_cleaned_without_loss() {
    let place = place();
    let dead = place.worktrees();
    let make = |call: u32| create(&dead, call).path;
    make(0);
    write(&Path::new(&make(1)).join("a.txt"), "changed, not finished\n");
    let kept = create(&dead, 2);
    write(&Path::new(&kept.path).join("new.txt"), "kept\n");
    dead.finish(&kept, NEVER).unwrap();
    // Files gone, registration and branch there.
    fs::remove_dir_all(make(3)).unwrap();
    // The branch alone, with work on it.
    let committed = create(&dead, 4);
    write(&Path::new(&committed.path).join("a.txt"), "on the branch\n");
    dead.finish(&committed, NEVER).unwrap();
    fs::remove_dir_all(&committed.path).unwrap();
    // The record lost.
    make(5);
    fs::remove_file(place.data.join("worktrees/run-1/5.json")).unwrap();
    write(&Path::new(&make(6)).join("a.txt"), "x\n");
    fs::remove_file(place.data.join("worktrees/run-1/6.json")).unwrap();
    // Files that no repository knows of.
    write(&place.data.join("worktrees/run-0/9/file.txt"), "whose?\n");
    let alive = dead.create(&run("run-2"), CallId(0), Attempt(1), NEVER).unwrap();

    let worktrees = place.worktrees();
    let live = |id: &loopwright_types::RunId| id.as_str() == "run-2";
    let listed = worktrees.leftovers(&live, NEVER).unwrap();
    let expected = [
        "run-0/9 Unknown",
        "run-1/0 Unchanged",
        "run-1/1 Changed",
        "run-1/2 Changed finished",
        "run-1/3 Unchanged",
        "run-1/4 Changed finished",
        "run-1/5 Unchanged",
        "run-1/6 Changed",
    ];
    assert_eq!(lines(&listed), expected);
    assert!(listed[2].bytes > 20 && listed[2].age_seconds < 3600);
    assert_eq!(listed[5].path, None);
    assert_eq!(listed[5].branch.as_deref(), Some("loopwright/run-1/4"));

    let outcomes = |force: bool| {
        let cleaned = worktrees.clean(&listed, force, NEVER).unwrap();
        cleaned.into_iter().map(|one| one.outcome).collect::<Vec<_>>()
    };
    use CleanOutcome::{Kept, Removed};
    assert_eq!(outcomes(false), [Kept, Removed, Kept, Kept, Removed, Kept, Removed, Kept]);
    let rest = worktrees.leftovers(&live, NEVER).unwrap();
    assert_eq!(lines(&rest), [expected[0], expected[2], expected[3], expected[5], expected[7]]);
    assert_eq!(place.git(&["show", "loopwright/run-1/4:a.txt"]), "on the branch");
    assert!(outcomes(true).iter().all(|outcome| *outcome == Removed));
    assert_eq!(worktrees.leftovers(&live, NEVER).unwrap(), []);
    assert_eq!(place.git(&["branch", "--list", "loopwright/*"]), "+ loopwright/run-2/0");
    assert!(Path::new(&alive.path).join("a.txt").exists(), "a live run's worktree stays");
}

#[test]
fn what_changed_since_it_was_listed_is_looked_at_again() {
    let place = place();
    let path = create(&place.worktrees(), 0).path;
    let worktrees = place.worktrees();
    let listed = worktrees.leftovers(&|_| false, NEVER).unwrap();
    assert_eq!(listed[0].state, LeftoverState::Unchanged);
    write(&Path::new(&path).join("late.txt"), "work\n");
    let cleaned = worktrees.clean(&listed, false, NEVER).unwrap();
    assert_eq!(cleaned[0].outcome, CleanOutcome::Kept);
    assert!(Path::new(&path).join("late.txt").exists());
}

#[test]
fn a_listing_that_was_tampered_with_removes_nothing_else() {
    let place = place();
    create(&place.worktrees(), 0);
    let worktrees = place.worktrees();
    let mut listed = worktrees.leftovers(&|_| false, NEVER).unwrap();
    listed[0].slot = "../../../workspace".to_owned();
    listed[0].path = Some(place.workspace.to_string_lossy().into_owned());
    listed[0].branch = Some("main".to_owned());
    let cleaned = worktrees.clean(&listed, true, NEVER).unwrap();
    assert!(matches!(cleaned[0].outcome, CleanOutcome::Failed(_)));
    assert!(place.workspace.join("a.txt").exists());
    assert_eq!(place.git(&["branch", "--list", "main"]), "* main");
}

#[test]
fn other_repositories_and_other_data_directories_are_left_alone() {
    let one = place();
    let mut two = place();
    two.data = one.data.clone();
    create(&one.worktrees(), 0);
    assert_eq!(two.worktrees().leftovers(&|_| false, NEVER).unwrap(), []);
    // The same name in another repository gets another slot.
    let worktree = create(&two.worktrees(), 0);
    assert_eq!(worktree.branch, "loopwright/run-1/0-2");
    // Another data directory of the same repository.
    let mut elsewhere = place();
    elsewhere.workspace = one.workspace.clone();
    assert_eq!(elsewhere.worktrees().leftovers(&|_| false, NEVER).unwrap(), []);
    // A repository that is gone: nobody can say what would be lost.
    fs::remove_dir_all(&two.workspace).unwrap();
    let listed = one.worktrees().leftovers(&|_| false, NEVER).unwrap();
    assert_eq!(lines(&listed), ["run-1/0 Unchanged", "run-1/0-2 Unknown"]);
}

#[test]
fn a_branch_that_somebody_checked_out_is_kept() {
    let place = place();
    let worktree = create(&place.worktrees(), 0);
    write(&Path::new(&worktree.path).join("a.txt"), "work\n");
    place.worktrees().finish(&worktree, NEVER).unwrap();
    fs::remove_dir_all(&worktree.path).unwrap();
    place.git(&["worktree", "prune"]);
    let listed = place.worktrees().leftovers(&|_| false, NEVER).unwrap();
    place.git(&["checkout", "-q", "loopwright/run-1/0"]);
    let cleaned = place.worktrees().clean(&listed, true, NEVER).unwrap();
    let CleanOutcome::Failed(failure) = &cleaned[0].outcome else { panic!("{cleaned:?}") };
    assert!(failure.message.contains("checked out"), "{}", failure.message);
    assert_eq!(place.read("a.txt"), "work\n");
}

#[test]
fn an_apply_that_was_killed_half_way_is_undone_by_the_next_one() {
    for (moved, edited) in [(false, false), (true, false), (true, true)] {
        let place = place();
        let branch = place.branch(0, |top| {
            write(&top.join("a.txt"), "theirs\n");
            fs::remove_file(top.join("b.txt")).unwrap();
        });
        let before = place.tree();
        // What `apply` leaves when it is killed between two moves.
        let stage = place.workspace.join(".loopwright-apply-1-1");
        write(&stage.join("new/a.txt"), "theirs\n");
        fs::create_dir_all(stage.join("old")).unwrap();
        let bytes = |path: &Path| path.to_str().unwrap().as_bytes().to_vec();
        let (top, directory) = (bytes(&place.workspace), bytes(&stage));
        let journal = format!(
            r#"{{"top":{top:?},"directory":{directory:?},"complete":false,"moves":[
                {{"path":{:?},"leaves":true,"comes":true}},{{"path":{:?},"leaves":true,"comes":false}}]}}"#,
            b"a.txt", b"b.txt"
        );
        write(&place.data.join("worktrees/.apply-1-1.json"), journal);
        fs::rename(place.workspace.join("a.txt"), stage.join("old/0")).unwrap();
        if moved {
            fs::rename(place.workspace.join("b.txt"), stage.join("old/1")).unwrap();
            fs::rename(stage.join("new/a.txt"), place.workspace.join("a.txt")).unwrap();
        }
        if edited {
            std::thread::sleep(std::time::Duration::from_millis(20));
            place.write("a.txt", "edited by a person\n");
        }
        assert!(place.worktrees().apply(&branch, true, NEVER).unwrap().fits);
        let mut after = place.tree();
        if edited {
            let kept =
                after.iter().position(|(name, _)| name.contains(".loopwright-undone-")).unwrap();
            assert_eq!(after.remove(kept).1, b"edited by a person\n");
        }
        assert_eq!(after, before, "moved: {moved}, edited: {edited}");
        assert!(!place.data.join("worktrees/.apply-1-1.json").exists());
    }
}
