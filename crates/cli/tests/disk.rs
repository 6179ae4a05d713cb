//! Disks that are full, limits on files, places that cannot be written: told by code and place; what was durable is
//! kept, and a run goes on once there is room, without doing finished work again.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use support::{Ended, Place, can_mount};

/// Notes what it is asked, and answers with a text that takes room.
const WORKER: &str = "---\nname: worker\ndescription: takes room\neffects: none\n\
    command: [python3, -c, \"import json,sys; r=json.load(sys.stdin); open('asked','a').write(r['prompt']+chr(10)); \
    print(json.dumps({'result': r['prompt'] + '.' * 250000}))\"]\n---\n";
const PROGRAM: &str = "let length = 0;\nfor (let n = 0; n < 30; n++) {\n  \
    length += (await agent(`part ${n}`, {agentType: 'worker'})).length;\n}\nlength";

fn place() -> Place {
    Place::with(&[("p.ts", PROGRAM), (".loopwright/agents/worker.md", WORKER)])
}

/// How often each part was asked for.
fn asked(place: &Place) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(place.path().join("asked")).unwrap_or_default();
    let mut asked = BTreeMap::new();
    text.lines().for_each(|line| *asked.entry(line.to_owned()).or_default() += 1);
    asked
}

/// Every part was asked for, and none that had ended before the run stopped once more: each time one may have been
/// under way.
#[track_caller]
fn done_once(place: &Place, stops: usize) {
    let asked = asked(place);
    assert_eq!(asked.len(), 30, "{asked:?}");
    assert!(asked.into_values().sum::<usize>() <= 30 + stops);
}

/// The program's result.
fn length() -> String {
    let length = (0..30).map(|n| format!("part {n}").len() + 250_000).sum::<usize>();
    format!("{length}\n")
}

#[track_caller]
fn told(err: &str, pieces: &[&str]) {
    for piece in pieces {
        assert!(err.contains(piece), "no `{piece}` in {err}");
    }
}

/// The command as a shell runs it.
const BINARY: &str = env!("CARGO_BIN_EXE_loopwright");

fn shell(place: &Place, script: &str) -> Ended {
    place.shell(script).output().unwrap().into()
}

/// In a set of mounts of its own, which ends with it.
fn in_mounts(place: &Place, script: &str) -> Ended {
    let mut command = place.shell("exec unshare -rm sh -e script");
    place.write("script", script);
    command.env("LOOPWRIGHT", BINARY);
    command.output().unwrap().into()
}

#[test]
fn a_limit_on_files_stops_a_run_with_a_word_and_it_goes_on_without_the_limit() {
    let place = place();
    let stopped = shell(&place, &format!("ulimit -f 6000; exec '{BINARY}' run p.ts"));
    assert_eq!(stopped.code, Some(1), "{stopped:#?}");
    told(&stopped.err, &["error[LW0806]", "`ulimit -f`", "stopped: what was durable is kept"]);
    let before = asked(&place).len();
    assert!((2..30).contains(&before), "{before}");
    let row = place.run(&["runs", "--json"]).code(0).json()[0].clone();
    assert_eq!(row["interrupted"], true);
    assert!(row["counts"]["done"].as_u64().unwrap() + 1 >= before as u64, "{row}");
    place.run(&["verify", "latest"]).code(0);
    assert_eq!(place.run(&["resume"]).code(0).out, length());
    done_once(&place, 1);
}

#[test]
fn a_full_disk_stops_a_run_with_a_word_and_it_goes_on_once_there_is_room() {
    if !can_mount() {
        return;
    }
    let place = place();
    place.write(".data/here", "");
    let ended = in_mounts(
        &place,
        "mount -t tmpfs -o size=4m tmpfs .data\n\
         set +e\n\
         \"$LOOPWRIGHT\" run p.ts 2>first.err; echo $? >first.code\n\
         cat /dev/zero >.data/ballast 2>/dev/null\n\
         \"$LOOPWRIGHT\" resume 2>second.err; echo $? >second.code\n\
         rm .data/ballast; mount -o remount,size=64m .data\n\
         exec \"$LOOPWRIGHT\" resume\n",
    );
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
    for name in ["first", "second"] {
        let err = read(&format!("{name}.err"));
        assert_eq!(read(&format!("{name}.code")), "1\n", "{name}: {err}");
        told(
            &err,
            &["error[LW0802]: no room is left", ".data", "stopped: what was durable is kept"],
        );
    }
    assert_eq!((ended.code, ended.out), (Some(0), length()), "{}", ended.err);
    done_once(&place, 2);
}

#[test]
fn nothing_begins_on_a_full_disk() {
    if !can_mount() {
        return;
    }
    let place = place();
    place.write("old.ts", "1");
    place.run(&["run", "old.ts"]).code(0);
    place.run(&["export", "latest", "old.run"]).code(0);
    let ended = in_mounts(
        &place,
        "mount -t tmpfs -o size=1m tmpfs .data\n\
         set +e\n\
         cat /dev/zero >.data/ballast 2>/dev/null\n\
         for it in 'run p.ts' 'run p.ts --detach' 'import old.run'; do\n\
           \"$LOOPWRIGHT\" $it >out 2>err; code=$?\n\
           grep -q 'error.LW0802.: no room is left on the disk .*\\.data' err && grep -q 'hint: ' err && [ $code = 1 ] && [ ! -s out ] && continue\n\
           echo \"$it: $code\"; cat out err\n\
         done\n",
    );
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{ended:#?}");
    assert_eq!(asked(&place), BTreeMap::new());
}

#[test]
fn a_data_directory_that_cannot_be_written_is_told_before_anything_is_done() {
    let place = place();
    place.write("file", "");
    let cases = [
        ("file", "error[LW0801]: `file` is not a directory"),
        ("file/below/it", "error[LW0801]: `file/below/it` is not a directory"),
        ("/proc/loopwright", "error[LW0801]: `/proc/loopwright` cannot be used: "),
        ("/sys/loopwright", "error[LW0801]: `/sys/loopwright` cannot be "),
    ];
    for (directory, cause) in cases {
        for command in [vec!["run", "p.ts"], vec!["run", "p.ts", "--detach"], vec!["import", "x"]] {
            let ended = place.run(&[&command[..], &["--data-dir", directory]].concat());
            assert_eq!(ended.code, Some(1), "{ended:#?}");
            assert_eq!(ended.out, "");
            told(&ended.err, &["error[LW0801]: `", directory, "hint: ", "--data-dir"]);
            if !command.contains(&"--detach") {
                told(&ended.err, &[cause]);
            }
        }
    }
    for directory in ["file", "file/below/it"] {
        let ended = place.run(&["runs", "--data-dir", directory]).code(1);
        told(&ended.err, &["error[LW0801]: `", directory, "` is not a directory", "hint: "]);
    }
    assert_eq!(asked(&place), BTreeMap::new());
}

#[test]
fn a_journal_on_a_read_only_disk_is_shown_and_not_added_to() {
    if !can_mount() {
        return;
    }
    let place = place();
    place.write(
        "p.ts",
        "await agent('part 0', {agentType: 'worker'}); await approve('go on?'); 'end'",
    );
    place.run(&["run", "p.ts"]).code(4);
    let ended = in_mounts(
        &place,
        "mount --bind .data .data\nmount -o remount,ro,bind .data\nset +e\n\
         for it in 'run p.ts' 'run p.ts --detach' 'resume' 'fork latest --yes' 'approve latest' 'prune' 'import out.run'; do\n\
           \"$LOOPWRIGHT\" $it >out 2>err; code=$?\n\
           grep -q 'error.LW0801.*\\.data' err && grep -q 'hint: ' err && [ $code = 1 ] && [ ! -s out ] && continue\n\
           echo \"$it: $code\"; cat out err\n\
         done\n\
         for it in runs 'show latest' 'replay latest' 'verify latest' 'export latest out.run' approvals; do\n\
           \"$LOOPWRIGHT\" $it >out 2>err || { echo \"$it: $?\"; cat out err; }\n\
         done\n\
         mkdir copy; cp .data/journal.* copy; echo x >copy/journal.db-wal\n\
         mount --bind copy copy; mount -o remount,ro,bind copy\n\
         \"$LOOPWRIGHT\" runs --data-dir copy 2>err && echo \"runs of a copy with a log\"\n\
         grep -q 'error.LW0801.*look at a copy' err || cat err\n",
    );
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{ended:#?}");
    assert_eq!(asked(&place).into_values().collect::<Vec<_>>(), [1], "nothing was done again");
    place.run(&["approve", "latest"]).code(0);
    assert_eq!(place.run(&["resume"]).code(0).out, "end\n");
}

#[test]
fn an_export_that_cannot_be_written_names_the_path_that_was_typed() {
    let place = place();
    place.write("p.ts", "1");
    place.run(&["run", "p.ts"]).code(0);
    let missing = place.run(&["export", "latest", "no/folder/x.run"]).code(1);
    told(
        &missing.err,
        &["error[LW0812]: `no/folder/x.run` cannot be used: ", "hint: check the path"],
    );
    assert!(!missing.err.contains(".partial"), "{}", missing.err);
    place.write("p.ts", "'x'.repeat(400000)");
    place.run(&["run", "p.ts"]).code(0);
    let limited = shell(&place, &format!("ulimit -f 100; exec '{BINARY}' export latest y.run"));
    assert_eq!(limited.code, Some(1), "{limited:#?}");
    told(&limited.err, &["error[LW0812]: `y.run` cannot be used: File too large", "hint: "]);
    for left in ["y.run", "y.run.partial"] {
        assert!(!Path::new(&place.path().join(left)).exists(), "{left} is left");
    }
    if Path::new("/dev/full").exists() {
        let script = format!("'{BINARY}' run p.ts >/dev/full");
        let full = shell(&place, &script);
        assert_eq!(full.code, Some(1), "{full:#?}");
        told(
            &full.err,
            &["error[LW0802]: standard output cannot be written", "is recorded is not lost"],
        );
    }
}

/// Says what of its signals reaches it: one that was ignored when a shell began cannot be caught by it.
const CATCHES: &str = "for it in INT TERM XFSZ; do trap \"caught=\\$caught,$it\" $it; kill -$it $$; done; echo caught=$caught";

#[test]
fn what_we_start_has_the_defaults_of_signals_whatever_we_were_started_with() {
    let place = place();
    let worker = format!("cat >/dev/null; {CATCHES}; echo '{{\"result\": \"\"}}'");
    place.write("worker.sh", &worker);
    place.write(
        ".loopwright/agents/catches.md",
        "---\nname: catches\ndescription: tells\neffects: none\ncommand: [sh, worker.sh]\n---\n",
    );
    place.write("p.ts", "await agent('tell', {agentType: 'catches'})");
    place.write("b.ts", &format!("await tools.bash({{command: {}}})", serde_json::json!(CATCHES)));
    // As a shell starts a job in the background, and worse.
    let run = |line: &str| shell(&place, &format!("trap '' INT TERM XFSZ; exec '{BINARY}' {line}"));
    let worker = run("run p.ts");
    told(&worker.err, &["caught=,INT,TERM,XFSZ\n"]);
    let bash = run("run b.ts --set tools.allow=bash");
    if bash.err.contains("LW0708") {
        println!("skipped: `bash` has no sandbox here");
        return;
    }
    told(&bash.out, &["caught=,INT,TERM,XFSZ\n"]);
}
