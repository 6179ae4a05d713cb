//! Journals that are damaged, lost or from another version: told by code and place, with what can still be saved, and
//! nothing is changed by looking.

mod support;

use std::collections::BTreeMap;
use support::{Ended, Place, crc32};

/// Answers with its prompt in brackets and notes it in `asked`.
const WORKER: &str = "---\nname: worker\ndescription: notes what it is asked\neffects: none\n\
    command: [python3, -c, \"import json,sys; r=json.load(sys.stdin); open('asked','a').write(r['prompt']+chr(10)); \
    print(json.dumps({'result': '[' + r['prompt'] + ']'}))\"]\n---\n";
const PROGRAM: &str = "const found = [];\nfor (const part of ['one', 'two', 'three']) {\n  \
    found.push(await agent(`look at ${part}`, {agentType: 'worker', label: part}));\n}\nfound.join()";
/// Asks a person between two tasks.
const ASKS: &str = "const a = await agent('look at one', {agentType: 'worker', label: 'one'});\n\
    await approve('go on?');\n\
    [a, await agent('look at two', {agentType: 'worker', label: 'two'})].join()";

fn place(program: &str) -> Place {
    Place::with(&[("p.ts", program), (".loopwright/agents/worker.md", WORKER)])
}

/// With one run of the program, and its id.
fn recorded(program: &str, code: i32) -> (Place, String) {
    let place = place(program);
    place.run(&["run", "p.ts"]).code(code);
    let id = newest(&place);
    (place, id)
}

fn newest(place: &Place) -> String {
    place.run(&["runs", "--json"]).json()[0]["id"].as_str().unwrap().to_owned()
}

/// What was asked since the last look.
fn asked(place: &Place) -> Vec<String> {
    let path = place.path().join("asked");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}

/// Changes the journal behind its back.
fn sql(place: &Place, statement: &str) {
    let database = rusqlite::Connection::open(place.data().join("journal.db")).unwrap();
    database.execute_batch(statement).unwrap();
}

/// Flips a bit wherever this text is in the database's file: in its record, and in what pages still hold of older
/// states, which nobody reads.
fn flip(place: &Place, text: &str) {
    let file = place.data().join("journal.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let places = bytes.windows(text.len()).enumerate();
    let places: Vec<usize> =
        places.filter(|(_, found)| *found == text.as_bytes()).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "no `{text}` in the journal");
    places.iter().for_each(|at| bytes[*at + 1] ^= 1);
    std::fs::write(file, bytes).unwrap();
}

/// Gives a record of the first run another version, with a checksum that fits.
fn version(place: &Place, record: i64, version: u16) {
    let database = rusqlite::Connection::open(place.data().join("journal.db")).unwrap();
    let row = (1_i64 << 40) + record;
    let read = "SELECT task, refs, body FROM entries WHERE row = ?1";
    type Stored = (Option<i64>, Option<Vec<u8>>, String);
    let stored = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (task, refs, body): Stored = database.query_row(read, [row], stored).unwrap();
    let task = task.map_or(Vec::new(), |task| task.to_le_bytes().to_vec());
    let (row_bytes, version_bytes) = (row.to_le_bytes(), version.to_le_bytes());
    let refs = refs.unwrap_or_default();
    let parts: [&[u8]; 5] = [&row_bytes, &version_bytes, &task, &refs, body.as_bytes()];
    let update = "UPDATE entries SET version = ?2, checksum = ?3 WHERE row = ?1";
    database.execute(update, (row, version, crc32(&parts.concat()))).unwrap();
}

/// Everything that is kept of runs. What processes share while they look is not.
fn kept(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(place.data()).unwrap().flatten();
    let files = files.filter(|file| file.file_type().unwrap().is_file());
    let read = |file: std::fs::DirEntry| {
        (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
    };
    let is_shared = |name: &str, bytes: &[u8]| {
        name.ends_with("-shm") || (name.ends_with("-wal") && bytes.is_empty())
    };
    files.map(read).filter(|(name, bytes)| !is_shared(name, bytes)).collect()
}

#[track_caller]
fn told(ended: &Ended, code: i32, pieces: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:#?}");
    for piece in pieces {
        assert!(ended.err.contains(piece), "no `{piece}` in {ended:#?}");
    }
}

/// Every command that opens a journal, on this run.
fn commands(id: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["run", "p.ts"],
        vec!["run", "p.ts", "--detach"],
        vec!["runs"],
        vec!["show", id],
        vec!["show", id, "--task", "0"],
        vec!["resume", id],
        vec!["replay", id],
        vec!["fork", id, "--yes"],
        vec!["wait", id],
        vec!["pause", id],
        vec!["cancel", id],
        vec!["approvals"],
        vec!["approve", id],
        vec!["reject", id],
        vec!["decide", id, "0", "--fail"],
        vec!["test", "p.ts", "--run", id],
        vec!["export", id, "out.run"],
        vec!["import", "p.run"],
        vec!["verify", id],
        vec!["prune"],
    ]
}

#[test]
fn a_journal_of_another_version_is_refused_by_every_command_and_left_as_it_is() {
    let (place, id) = recorded(PROGRAM, 0);
    place.run(&["export", &id, "p.run"]).code(0);
    let cases = [
        ("99", "error[LW0804]", "has format 99, this version knows 2", "use the newer version"),
        ("1", "error[LW0820]", "has format 1, which this version no longer reads", "start a new"),
    ];
    for (number, code, found, hint) in cases {
        sql(&place, &format!("PRAGMA user_version={number}"));
        let before = kept(&place);
        for command in commands(&id) {
            let ended = place.run(&command);
            told(&ended, 1, &[code, "journal.db` ", found, &format!("hint: {hint}")]);
            assert_eq!(ended.out, "", "{command:?}");
            assert_eq!(kept(&place), before, "{command:?}");
        }
        assert!(!place.path().join("out.run").exists());
    }
    sql(&place, "PRAGMA user_version=2");
    place.run(&["verify", &id]).code(0);
}

#[test]
fn a_record_of_another_version_is_refused_by_its_number_and_not_called_damaged() {
    for (number, code, found) in [
        (9, "error[LW0804]", "version 9, this version knows 2"),
        (1, "error[LW0820]", "version 1, which this version no longer reads"),
    ] {
        let (place, id) = recorded(ASKS, 4);
        version(&place, 4, number);
        let place_of = format!("run `{id}`, record 4: {found}");
        let before = kept(&place);
        for command in [
            vec!["show", &id],
            vec!["resume", &id],
            vec!["replay", &id],
            vec!["fork", &id, "--yes"],
            vec!["test", "p.ts", "--run", &id],
            vec!["export", &id, "out.run"],
            vec!["verify", &id],
            vec!["approve", &id],
        ] {
            told(&place.run(&command), 1, &[code, &place_of, "hint: "]);
            assert_eq!(kept(&place), before, "{command:?}");
        }
        assert_eq!(asked(&place), ["look at one"], "nothing was done again");
        place.run(&["runs"]).code(0);
    }
}

#[test]
fn an_exported_run_of_a_newer_version_is_refused_by_file_and_by_record() {
    let (place, id) = recorded(PROGRAM, 0);
    place.run(&["export", &id, "p.run"]).code(0);
    let whole = std::fs::read(place.path().join("p.run")).unwrap();
    let mut file = whole.clone();
    file[16] = 9;
    // The first record's frame is behind the one of the run: kind, length, checksum, payload.
    let mut record = whole.clone();
    let length = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().unwrap()) as usize;
    let at = 20 + 13 + length(21);
    assert_eq!(whole[at], b'E');
    let end = at + 13 + length(at + 1);
    record[at + 13] = 9;
    let sum = crc32(&[&record[at..at + 9], &record[at + 13..end]].concat());
    record[at + 9..at + 13].copy_from_slice(&sum.to_le_bytes());
    for (bytes, found) in [
        (file, "`p.run` has export format 9, this version knows 1"),
        (record, "record 0: version 9, this version knows 2"),
    ] {
        std::fs::write(place.path().join("p.run"), bytes).unwrap();
        let elsewhere = ["import", "p.run", "--data-dir", "other"];
        told(&place.run(&elsewhere), 1, &["error[LW0804]", found, "hint: use the newer version"]);
        assert_eq!(place.run(&["runs", "--json", "--data-dir", "other"]).out, "[]\n");
        told(&place.run(&["test"]), 1, &["error[LW0804]", found]);
    }
}

#[test]
fn a_damaged_record_is_named_with_what_can_be_saved() {
    let (place, id) = recorded(PROGRAM, 0);
    assert_eq!(asked(&place).len(), 3);
    flip(&place, "\"look at two\"");
    let verify = place.run(&["verify", &id]);
    told(&verify, 1, &["error[LW0803]"]);
    let named = verify.err.split("error[LW0803]: ").nth(1).unwrap().lines().next().unwrap();
    let (named, _) = named.split_once(": the checksum does not match").unwrap();
    assert!(named.starts_with(&format!("run `{id}`, record ")), "{named}");
    let save = format!("`loopwright fork {id}` takes it over");

    let before = kept(&place);
    let show = place.run(&["show", &id]);
    told(&show, 1, &["error[LW0803]", named, &save]);
    assert!(show.out.contains("one") && !show.out.contains("three"), "{}", show.out);
    let replay = place.run(&["replay", &id]);
    told(&replay, 1, &["error[LW0803]", named, "calls before it replay the same", &save]);
    told(&place.run(&["export", &id, "out.run"]), 1, &["error[LW0803]", named, &save]);
    let left = std::fs::read_dir(place.path()).unwrap().flatten();
    assert!(left.into_iter().all(|it| !it.file_name().to_string_lossy().starts_with("out.run")));
    told(&place.run(&["test", "p.ts", "--run", &id]), 1, &["error[LW0803]", named, &save]);
    assert!(place.run(&["runs"]).code(0).out.contains(&id));
    let refused = place.run(&["fork", &id]);
    told(&refused, 1, &["error[LW0803]", named, "what lies before the damage", "`--yes` does so"]);
    told(&place.run(&["fork", &id, "--plan"]), 0, &["warning[LW0803]", named]);
    assert_eq!((kept(&place), asked(&place)), (before, Vec::new()), "nothing was done");

    let forked = place.run(&["fork", &id, "--yes"]);
    told(&forked, 0, &["warning[LW0803]", named, "1 call taken over"]);
    assert_eq!(forked.out, "[look at one],[look at two],[look at three]\n");
    assert_eq!(asked(&place), ["look at two", "look at three"]);
    place.run(&["verify", "latest"]).code(0);
}

#[test]
fn a_run_that_waits_with_a_damaged_record_does_not_go_on_and_does_nothing_again() {
    let (place, id) = recorded(ASKS, 4);
    asked(&place);
    flip(&place, "\"look at one\"");
    for command in [vec!["resume", &id], vec!["approve", &id], vec!["decide", &id, "0", "--fail"]] {
        let ended = place.run(&command);
        told(&ended, 1, &["error[LW0803]", &format!("run `{id}`, record "), "hint: "]);
    }
    // What other runs ask is listed, and that one may be missing is no success.
    place.run(&["run", "p.ts"]).code(4);
    let list = place.run(&["approvals"]);
    told(&list, 1, &["warning[LW0803]", &format!("run `{id}`, record ")]);
    assert!(list.out.contains(&newest(&place)) && !list.out.contains(&id), "{}", list.out);
    assert_eq!(asked(&place), ["look at one"], "by the second run");
    // At its first record there is nothing to save.
    flip(&place, "run_started");
    for command in [vec!["show", &id], vec!["resume", &id], vec!["fork", &id, "--yes"]] {
        let named = format!("run `{id}`, record 0: ");
        let ended = place.run(&command);
        told(&ended, 1, &["error[LW0803]", &named, "nothing of this run can be read"]);
    }
}

#[test]
fn a_damaged_row_or_database_hides_no_other_run_and_is_no_success() {
    let (place, first) = recorded(PROGRAM, 0);
    place.run(&["run", "p.ts"]).code(0);
    let second = newest(&place);
    sql(&place, "UPDATE runs SET done = 99 WHERE number = 1");
    let runs = place.run(&["runs"]);
    told(&runs, 1, &["warning[LW0803]: the list of runs is damaged at run number 1"]);
    assert!(runs.out.contains(&second) && !runs.out.contains(&first), "{}", runs.out);
    assert_eq!(place.run(&["runs", "--json"]).code(1).json().as_array().unwrap().len(), 1);
    told(&place.run(&["show", &first]), 1, &["error[LW0803]", "run number 1", "hint: the other"]);
    place.run(&["show", &second]).code(0);

    let file = place.data().join("journal.db");
    std::fs::write(&file, "once upon a time ".repeat(1000)).unwrap();
    let before = kept(&place);
    for command in commands(&second).iter().filter(|command| command[0] != "import") {
        told(&place.run(command), 1, &["error[LW0803]", "is damaged", "hint: keep a copy"]);
        assert_eq!(kept(&place), before, "{command:?}");
    }
}

#[test]
fn a_journal_that_lost_durable_records_says_so_and_takes_no_new_ones() {
    let (place, id) = recorded(PROGRAM, 0);
    std::fs::remove_file(place.data().join("journal.db")).unwrap();
    let lost = [&format!("run `{id}`, records 0 to "), "reported durable and gone now"];
    told(&place.run(&["runs"]), 1, &["warning[LW0803]", lost[0], lost[1], "`journal.tail`"]);
    told(&place.run(&["run", "p.ts"]), 1, &["error[LW0803]", lost[0], lost[1]]);
    std::fs::remove_file(place.data().join("journal.tail")).unwrap();
    place.run(&["run", "p.ts"]).code(0);
}

/// A finished run that asked a person, and a fork of it that waits for the person again; both ids.
fn waiting_fork(before: impl Fn(&Place)) -> (Place, String, String) {
    let (place, old) = recorded(ASKS, 4);
    place.run(&["approve", &old]).code(0);
    place.run(&["resume", &old]).code(0);
    assert_eq!(asked(&place), ["look at one", "look at two"]);
    before(&place);
    place.run(&["fork", &old, "--yes"]).code(4);
    let fork = newest(&place);
    place.run(&["approve", &fork]).code(0);
    assert_eq!(asked(&place), Vec::<String>::new(), "the first task is taken over");
    (place, old, fork)
}

#[test]
fn a_fork_goes_on_with_what_its_old_run_had_when_it_began() {
    let (place, ..) = waiting_fork(|_| ());
    assert_eq!(place.run(&["resume"]).code(0).out, "[look at one],[look at two]\n");
    assert_eq!(asked(&place), Vec::<String>::new());
    // Damage that was there then, and was accepted, is no news.
    let (place, ..) = waiting_fork(|place| flip(place, "\"look at two\""));
    let resumed = place.run(&["resume"]).code(0);
    assert!(!resumed.err.contains("LW0803"), "{}", resumed.err);
    assert_eq!(asked(&place), ["look at two"]);
}

#[test]
fn a_fork_whose_old_run_was_damaged_or_lost_since_does_nothing_again_unasked() {
    type Lose = fn(&Place, &str);
    let cases: [(Lose, &str); 2] = [
        (|place, _| flip(place, "\"look at two\""), "record "),
        (
            |place, old| sql(place, &format!("DELETE FROM runs WHERE id = '{old}'")),
            "the list of runs is damaged",
        ),
    ];
    for (lose, found) in cases {
        let (place, old, fork) = waiting_fork(|_| ());
        lose(&place, &old);
        let lost = "[LW0803]: the run that this one was forked from is lost: ";
        let refused = place.run(&["resume", &fork]);
        told(&refused, 1, &[&format!("error{lost}"), found, "`--allow-missing`"]);
        assert_eq!(asked(&place), Vec::<String>::new());
        let went_on = place.run(&["resume", &fork, "--allow-missing"]);
        told(&went_on, 0, &[&format!("warning{lost}")]);
        assert_eq!(went_on.out, "[look at one],[look at two]\n");
        assert_eq!(asked(&place), ["look at two"], "only what was not taken over yet");
    }
    // Deleted in order.
    let (place, old, fork) = waiting_fork(|_| ());
    place.run(&["prune", "--keep", "1", "--status", "complete"]).code(0);
    place.run(&["prune", "--status", "complete"]).code(0);
    let lost = format!(
        "error[LW0805]: the run that this one was forked from is lost: there is no run `{old}`"
    );
    told(&place.run(&["resume", &fork]), 1, &[&lost, "`loopwright import`"]);
}

#[test]
fn a_run_that_is_not_there_is_told_by_every_command_that_wants_one() {
    let empty = place(PROGRAM);
    let takes_a_run =
        |command: &&Vec<&str>| !["run", "runs", "import", "prune"].contains(&command[0]);
    for command in commands("latest").iter().filter(takes_a_run) {
        if command[..] == ["approvals"] {
            empty.run(command).code(0);
            continue;
        }
        let none = "error[LW0805]: there is no latest run: none is recorded here yet";
        told(
            &empty.run(command),
            1,
            &[none, "hint: `loopwright run <program>` makes the first one"],
        );
    }
    assert!(!empty.data().exists(), "nothing is made to look for nothing");
    let (place, id) = recorded(PROGRAM, 0);
    for command in commands("nonesuch").iter().filter(takes_a_run) {
        if command[..] != ["approvals"] {
            let none = ["error[LW0805]: there is no run `nonesuch`", "hint: `loopwright runs`"];
            told(&place.run(command), 1, &none);
        }
    }
    // A beginning that two runs share: the first four digits are the year's.
    place.run(&["run", "p.ts"]).code(0);
    let second = newest(&place);
    for command in commands(&id[..4]).iter().filter(takes_a_run) {
        if command[..] != ["approvals"] {
            let both = format!("error[LW0805]: `{}` could be `{second}` or `{id}`", &id[..4]);
            told(&place.run(command), 1, &[&both, "hint: give more of the id's characters"]);
        }
    }
    place.run(&["verify", &id]).code(0);
}

#[test]
fn a_program_file_that_has_gone_is_missed_only_where_it_is_needed() {
    let (place, id) = recorded(ASKS, 4);
    std::fs::remove_file(place.path().join("p.ts")).unwrap();
    for command in [
        vec!["run", "p.ts"],
        vec!["resume", &id, "--program", "p.ts"],
        vec!["fork", &id, "--program", "p.ts"],
        vec!["test", "p.ts"],
        vec!["test", "p.ts", "--run", &id],
    ] {
        told(&place.run(&command), 2, &["error[LW0106]: cannot read `p.ts`", "hint: name"]);
    }
    // What is recorded has its program with it.
    place.run(&["show", &id]).code(0);
    place.run(&["replay", &id]).code(0);
    place.run(&["approve", &id]).code(0);
    assert_eq!(place.run(&["resume", &id]).code(0).out, "[look at one],[look at two]\n");
    place.run(&["fork", &id, "--reuse-effects"]).code(0);
}

#[test]
fn commands_in_hints_name_the_data_directory_that_was_typed() {
    let place = place(ASKS);
    let elsewhere = ["--data-dir", "my data"];
    let typed = |command: &[&str]| place.run(&[command, &elsewhere].concat());
    let parked = typed(&["run", "p.ts"]).code(4);
    let id = typed(&["runs", "--json"]).json()[0]["id"].as_str().unwrap().to_owned();
    let at = " --data-dir 'my data'";
    for command in ["approve", "reject", "resume"] {
        let whole = format!("`loopwright {command} {id}{at}`");
        assert!(parked.err.contains(&whole), "no {whole} in {}", parked.err);
    }
    assert!(parked.err.contains(&format!("see: loopwright show {id}{at}\n")), "{}", parked.err);
    told(&typed(&["show", "nonesuch"]), 1, &[&format!("`loopwright runs{at}`")]);
    let plain = place.run(&["show", "nonesuch"]);
    assert!(!plain.err.contains("--data-dir"), "{}", plain.err);
}
