//! Several threads, and other git processes, at once.

use crate::support::{NEVER, Place, run, write};
use loopwright_types::{Attempt, CallId};
use std::path::Path;
use std::thread;

#[test]
fn eight_threads_make_and_finish_worktrees_at_once() {
    let place = Place::new(&[("a.txt", "a\n"), ("dir/b.txt", "b\n")]);
    let worktrees = place.worktrees();
    thread::scope(|scope| {
        for thread in 0..8 {
            let worktrees = &worktrees;
            scope.spawn(move || {
                for round in 0..3 {
                    let call = thread * 10 + round;
                    let worktree =
                        worktrees.create(&run("run-1"), CallId(call), Attempt(1), NEVER).unwrap();
                    let changes = call % 2 == 0;
                    if changes {
                        write(&Path::new(&worktree.path).join("a.txt"), format!("{call}\n"));
                    }
                    let report = worktrees.finish(&worktree, NEVER).unwrap();
                    assert_eq!(report.changed, changes);
                }
            });
        }
        // Somebody works in the repository meanwhile.
        for number in 0..20 {
            place.git(&["branch", &format!("b{number}")]);
            place.git(&["pack-refs", "--all"]);
            place.command(&place.workspace, &["branch", "-D", &format!("b{number}")]);
        }
    });
    let kept = place.git(&["branch", "--list", "loopwright/*"]).lines().count();
    assert_eq!(
        kept,
        (0..8).flat_map(|t| (0..3).map(move |r| t * 10 + r)).filter(|c| c % 2 == 0).count()
    );
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), kept + 1);
    for call in [0, 30, 72] {
        let file = format!("loopwright/run-1/{call}:a.txt");
        assert_eq!(place.git(&["show", &file]), call.to_string());
    }
    place.git(&["fsck", "--no-dangling"]);
}

#[test]
fn threads_that_ask_for_the_same_call_do_not_take_each_others_worktree() {
    let place = Place::new(&[("a.txt", "a\n")]);
    let worktrees = place.worktrees();
    let made: Vec<String> = thread::scope(|scope| {
        let asked: Vec<_> = (1..=6)
            .map(|attempt| {
                let worktrees = &worktrees;
                scope.spawn(move || {
                    let made = worktrees.create(&run("run-1"), CallId(7), Attempt(attempt), NEVER);
                    made.unwrap().path
                })
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut different = made.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 6, "{made:?}");
    assert!(made.iter().all(|path| Path::new(path).join("a.txt").exists()));
}

#[test]
fn another_process_that_holds_gits_locks_is_waited_for() {
    let place = Place::new(&[("a.txt", "a\n")]);
    let worktrees = place.worktrees();
    let worktree = worktrees.create(&run("run-1"), CallId(0), Attempt(1), NEVER).unwrap();
    place.git(&["pack-refs", "--all"]);
    let lock = place.workspace.join(".git/packed-refs.lock");
    write(&lock, "");
    let freed = thread::spawn(move || {
        thread::sleep(std::time::Duration::from_millis(300));
        std::fs::remove_file(lock).unwrap();
    });
    assert!(!worktrees.finish(&worktree, NEVER).unwrap().changed);
    freed.join().unwrap();
    assert_eq!(place.git(&["branch", "--list", "loopwright/*"]), "");
}
