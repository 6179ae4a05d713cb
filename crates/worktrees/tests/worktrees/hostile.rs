//! Repositories and subagents that want more than they get: nothing they set runs, nothing outside is written.

use crate::conditions::make_executable;
use crate::support::{NEVER, Place, create, run, write};
use loopwright_types::{Attempt, CallId, Code};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that leaves a trace when it runs, whatever it is given.
fn trap(place: &Place, name: &str) -> PathBuf {
    let path = place.root().join(format!("trap-{name}"));
    let trace = place.root().join(format!("ran-{name}"));
    write(&path, format!("#!/bin/sh\ntouch '{}'\ncat 2>/dev/null\nexit 0\n", trace.display()));
    make_executable(&path);
    path
}

fn traces(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.root()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("ran-")).collect()
}

/// Everything that a repository's own settings and hooks could run.
fn arm(place: &Place) {
    let set = |key: &str, value: &str| drop(place.git(&["config", key, value]));
    let path = |name: &str| trap(place, name).to_string_lossy().into_owned();
    for hook in
        ["post-checkout", "post-commit", "pre-commit", "reference-transaction", "post-index-change"]
    {
        let file = place.workspace.join(".git/hooks").join(hook);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::copy(trap(place, hook), &file).unwrap();
        make_executable(&file);
    }
    for (key, name) in [
        ("core.fsmonitor", "fsmonitor"),
        ("core.sshCommand", "ssh"),
        ("core.editor", "editor"),
        ("core.pager", "pager"),
        ("core.askPass", "askpass"),
        ("diff.external", "diff"),
        ("diff.evil.command", "diff-driver"),
        ("diff.evil.textconv", "textconv"),
        ("merge.evil.driver", "merge"),
        ("filter.evil.clean", "clean"),
        ("filter.evil.smudge", "smudge"),
        ("filter.evil=x y.clean", "clean2"),
        ("filter.proc.process", "process"),
        ("gpg.program", "gpg"),
        ("credential.helper", "credential"),
        ("alias.status", "alias"),
        ("hook.evil.command", "hook"),
    ] {
        set(key, &path(name));
    }
    set("filter.evil.required", "true");
    set("filter.proc.required", "true");
    set("hook.evil.event", "reference-transaction");
    set("commit.gpgSign", "true");
    set("submodule.recurse", "true");
}

const ATTRIBUTES: &str =
    "a.txt filter=evil diff=evil merge=evil\nb.txt filter=evil=x\nc.txt filter=proc merge=evil\n";

fn armed() -> Place {
    let lines: String = (0..9).map(|number| format!("{number}\n")).collect();
    let files =
        [("a.txt", &*lines), ("b.txt", "b\n"), ("c.txt", &lines), (".gitattributes", ATTRIBUTES)];
    let place = Place::new(&files);
    arm(&place);
    place
}

#[test]
fn the_traps_of_this_test_do_run_when_git_is_run_plainly() {
    let place = armed();
    place.write("a.txt", "changed\n");
    // The filter that speaks no protocol would stop git before the rest.
    let options = ["commit.gpgSign=false", "filter.proc.process=", "filter.proc.required=false"];
    let mut arguments: Vec<&str> = options.iter().flat_map(|option| ["-c", option]).collect();
    arguments.extend(["commit", "-q", "-a", "-m", "x"]);
    place.command(&place.workspace, &arguments);
    place.command(&place.workspace, &["diff", "HEAD~1"]);
    let ran = traces(&place);
    for name in ["ran-clean", "ran-fsmonitor", "ran-pre-commit", "ran-reference-transaction"] {
        assert!(ran.iter().any(|trace| trace == name), "{name} of {ran:?}");
    }
}

#[test]
fn nothing_that_a_repository_sets_runs() {
    let place = armed();
    let worktrees = place.worktrees();
    let notices: Vec<String> =
        worktrees.check(NEVER).unwrap().iter().map(ToString::to_string).collect();
    assert!(notices[0].ends_with("do not run in worktrees: `evil, evil=x y, proc`"), "{notices:?}");
    let worktree = create(&worktrees, 0);
    let top = Path::new(&worktree.path);
    for name in ["a.txt", "c.txt"] {
        write(&top.join(name), fs::read_to_string(top.join(name)).unwrap().replace("1\n", "one\n"));
    }
    write(&top.join("b.txt"), "B\n");
    // A repository of the subagent's own, armed too.
    write(&top.join("nested/x.txt"), "x\n");
    place.git_in(&top.join("nested"), &["init", "-q"]);
    place.git_in(&top.join("nested"), &["add", "-A"]);
    place.git_in(&top.join("nested"), &["commit", "-q", "-m", "x"]);
    let monitor = trap(&place, "nested");
    place.git_in(&top.join("nested"), &["config", "core.fsmonitor", monitor.to_str().unwrap()]);
    write(&top.join("nested/x.txt"), "changed\n");
    let report = worktrees.finish(&worktree, NEVER).unwrap();
    assert!(report.diffstat.contains("a.txt"), "{}", report.diffstat);
    // Both sides changed: the merge driver would run.
    for name in ["a.txt", "c.txt"] {
        place.write(name, &place.read(name).replace("8\n", "eight\n"));
    }
    let branch = report.branch.unwrap();
    let dry = worktrees.apply(&branch, true, NEVER).unwrap();
    assert_eq!(dry.conflicts.len(), 1, "{:?}", dry.conflicts);
    assert_eq!(dry.conflicts[0].cause, "is a repository of its own on the branch");
    fs::remove_dir_all(top.join("nested")).unwrap();
    worktrees.finish(&worktree, NEVER).unwrap();
    assert!(worktrees.apply(&branch, false, NEVER).unwrap().applied);
    assert_eq!(place.read("a.txt"), "0\none\n2\n3\n4\n5\n6\n7\neight\n");
    let listed = place.worktrees().leftovers(&|_| false, NEVER).unwrap();
    place.worktrees().clean(&listed, true, NEVER).unwrap();
    assert_eq!(traces(&place), Vec::<String>::new());
}

#[test]
fn a_filter_that_the_user_installed_for_all_repositories_runs() {
    let place = Place::new(&[("a.txt", "a\n")]);
    place.git(&["config", "--global", "filter.upper.smudge", "tr a-z A-Z"]);
    place.git(&["config", "--global", "filter.upper.clean", "tr A-Z a-z"]);
    place.write(".gitattributes", "*.txt filter=upper\n");
    place.commit("attributes");
    // The repository says the same name: the user's own stays in force.
    let evil = trap(&place, "evil");
    place.git(&["config", "filter.upper.smudge", evil.to_str().unwrap()]);
    place.git(&["config", "filter.upper.clean", evil.to_str().unwrap()]);
    let worktrees = place.worktrees();
    let worktree = create(&worktrees, 0);
    let text = fs::read_to_string(Path::new(&worktree.path).join("a.txt")).unwrap();
    assert_eq!(text, "A\n");
    assert!(!worktrees.finish(&worktree, NEVER).unwrap().changed);
    assert_eq!(traces(&place), Vec::<String>::new());
}

#[test]
fn variables_that_point_git_elsewhere_are_not_passed_on() {
    // In a process of its own: variables are for all threads.
    let place = Place::new(&[("a.txt", "a\n")]);
    let other = Place::new(&[("other.txt", "o\n")]);
    let inner = std::env::current_exe().unwrap();
    let status = Command::new(inner)
        .args(["hostile::inner_of_variables", "--exact", "--ignored"])
        .env("GIT_DIR", other.workspace.join(".git"))
        .env("GIT_WORK_TREE", &other.workspace)
        .env("GIT_INDEX_FILE", "/nonexistent")
        .env("GIT_CONFIG_PARAMETERS", "'core.fsmonitor'='touch /nonexistent'")
        .env("INNER_WORKSPACE", &place.workspace)
        .env("INNER_DATA", &place.data)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let file = place.data.join("worktrees/run-1/0/a.txt");
    assert!(file.exists());
}

#[test]
#[ignore = "run by `variables_that_point_git_elsewhere_are_not_passed_on`"]
fn inner_of_variables() {
    let path = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let settings = loopwright_types::Settings::default();
    let worktrees = loopwright_worktrees::Worktrees::new(
        &path("INNER_WORKSPACE"),
        &path("INNER_DATA"),
        &settings,
    );
    create(&worktrees, 0);
}

#[test]
fn branches_that_are_not_a_subagents_are_refused() {
    let place = Place::new(&[("a.txt", "a\n")]);
    place.git(&["branch", "loopwright-x"]);
    place.git(&["tag", "loopwright/run-1/5"]);
    for branch in
        ["main", "HEAD", "loopwright-x", "--output=x", "loopwright/run-1/5", "loopwright/run-1/0"]
    {
        let failure = place.worktrees().apply(branch, false, NEVER).unwrap_err();
        assert_eq!(failure.code, Code::BRANCH_REFUSED, "{branch}");
    }
}

/// A branch whose tree was made by hand.
fn crafted(place: &Place, entries: &str) -> bool {
    let mut child = Command::new("git")
        .args(["mktree", "-z"])
        .current_dir(&place.workspace)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), entries.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let tree = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        return false;
    }
    let commit = place.git(&["commit-tree", &tree, "-p", "HEAD", "-m", "crafted"]);
    place.git(&["update-ref", "refs/heads/loopwright/run-1/0", &commit]);
    true
}

#[test]
fn trees_made_by_hand_cannot_write_outside_or_into_git() {
    let place = Place::new(&[("a.txt", "a\n")]);
    let blob = place.git(&["rev-parse", "HEAD:a.txt"]);
    let inner = place.git(&["rev-parse", "HEAD^{tree}"]);
    let link = place.git(&["hash-object", "-w", "a.txt"]);
    let cases = [
        format!("040000 tree {inner}\t.git\0"),
        format!("040000 tree {inner}\t.GIT\0"),
        format!("040000 tree {inner}\tgit~1\0"),
        format!("040000 tree {inner}\t..\0"),
        format!("100644 blob {blob}\t.git\0"),
        format!("120000 blob {link}\t.git\0"),
    ];
    let mut tried = 0;
    for entries in cases {
        if !crafted(&place, &entries) {
            continue;
        }
        tried += 1;
        let before = (place.tree(), fs::read(place.workspace.join(".git/config")).unwrap());
        let failure = place.worktrees().apply("loopwright/run-1/0", false, NEVER).unwrap_err();
        assert!(
            failure.message.contains("is not a path that may be written"),
            "{}",
            failure.message
        );
        let after = (place.tree(), fs::read(place.workspace.join(".git/config")).unwrap());
        assert_eq!(after, before);
        assert!(!place.root().join("a.txt").exists());
    }
    assert!(tried >= 4, "only {tried} trees could be made");
}

#[test]
fn a_stage_directory_that_a_repository_brings_is_not_believed() {
    let place = Place::new(&[("a.txt", "a\n"), (".loopwright-apply-1-1/old/0", "evil\n")]);
    let branch = place.branch(0, |top| write(&top.join("a.txt"), "theirs\n"));
    place.write(".loopwright-apply-1-1/moves.json", "[]");
    place.worktrees().apply(&branch, false, NEVER).unwrap();
    assert_eq!(place.read(".loopwright-apply-1-1/old/0"), "evil\n");
    assert_eq!(place.read("a.txt"), "theirs\n");
}

#[test]
fn files_of_the_workspace_that_point_elsewhere_are_refused() {
    let place = Place::new(&[("a.txt", "a\n")]);
    place.git(&["config", "core.worktree", "/"]);
    let diagnostic = place.worktrees().check(NEVER).unwrap_err();
    assert_eq!(diagnostic.code, Code::REPOSITORY_UNFIT);
    let failure =
        place.worktrees().create(&run("run-1"), CallId(0), Attempt(1), NEVER).unwrap_err();
    assert_eq!(failure.code, Code::REPOSITORY_UNFIT);
}

#[test]
fn a_git_that_hangs_or_floods_is_ended() {
    let place = Place::new(&[("a.txt", "a\n")]);
    let hangs = place.root().join("hangs");
    write(&hangs, "#!/bin/sh\nsleep 1000 &\nsleep 1000\n");
    let floods = place.root().join("floods");
    write(&floods, "#!/bin/sh\nhead -c 3000000 /dev/zero\n");
    let mut settings = loopwright_types::Settings::default();
    settings.set("worktrees.git_output_bytes_max", "65536").unwrap();
    let started = std::time::Instant::now();
    for (program, code) in [(hangs, Code::CANCELLED), (floods, Code::WORKTREE_FAILED)] {
        make_executable(&program);
        let git = std::sync::Arc::new(place.git_command().program(&program));
        let worktrees = loopwright_worktrees::Worktrees::with_git(
            &place.workspace,
            &place.data,
            &settings,
            git,
        );
        let cancelled = || started.elapsed().as_millis() > 200 && code == Code::CANCELLED;
        assert_eq!(worktrees.check(&cancelled).unwrap_err().code, code);
    }
}
