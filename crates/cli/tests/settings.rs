//! Settings: defaults < file < environment < flags, each mistake told where it was made.

mod support;

use serde_json::{Value, json};
use support::Place;

/// The value and origin of a setting as `settings --json` tells them.
fn told(rows: &Value, name: &str) -> (Value, Value) {
    let row = rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
    (row["value"].clone(), row["origin"].clone())
}

#[test]
fn flags_go_before_the_environment_before_the_file_before_defaults() {
    let file = "mock.seed = 5\n[run]\nconcurrency = 0x10\ntasks_max = 1_000\n\
        [task]\nretries = 7\n[tools]\nallow = [\"ls\", \"glob\"]\n[mock]\n";
    let place = Place::with(&[(".loopwright/settings.toml", &file.replace("mock.seed = 5\n", ""))]);
    let mut command = place.command(&["settings", "--json", "--set", "task.retries=9"]);
    command.env("LOOPWRIGHT_TASK_RETRIES", "8").env("LOOPWRIGHT_RUN_TASKS_MAX", "77");
    let rows = support::Ended::from(command.output().unwrap()).code(0).json();
    let cases = [
        ("task.retries", json!(9), "--set"),
        ("run.tasks_max", json!(77), "$LOOPWRIGHT_RUN_TASKS_MAX"),
        ("run.concurrency", json!(16), ".loopwright/settings.toml:2"),
        ("tools.allow", json!("ls,glob"), ".loopwright/settings.toml:7"),
        ("guest.memory_mb", json!(64), "default"),
    ];
    for (name, value, origin) in cases {
        assert_eq!(told(&rows, name), (value, json!(origin)), "{name}");
    }
}

#[test]
fn mistakes_in_a_settings_file_are_shown_in_its_own_lines() {
    let cases = [
        (
            "[run]\nconcurency = 4\n",
            "LW0901",
            "unknown setting `run.concurency`",
            "2:1",
            "^^^^^^^^^^",
        ),
        ("[run]\nconcurrency = 0\n", "LW0902", "not `0`", "2:15", "^"),
        (
            "[run]\nconcurrency = 1979-05-27\n",
            "LW0902",
            "does not take a datetime",
            "2:15",
            "^^^^^^^^^^",
        ),
        ("[runs]\nx = 1\n", "LW0901", "no setting begins with `runs.`", "1:2", "^^^^"),
        ("concurrency\n", "LW0903", "is not TOML", "1:12", "^"),
    ];
    for (text, code, cause, place_in_file, mark) in cases {
        let place = Place::with(&[("loopwright.toml", text), ("p.ts", "1")]);
        for command in [&["settings"][..], &["run", "p.ts"]] {
            let ended = place.run(command).code(2);
            let place_in_file = format!("--> loopwright.toml:{place_in_file}");
            for piece in [code, cause, &place_in_file, mark] {
                assert!(ended.err.contains(piece), "no `{piece}` in\n{}", ended.err);
            }
        }
    }
}

#[test]
fn a_wrong_variable_is_named() {
    let place = Place::new();
    let mut command = place.command(&["settings"]);
    command.env("LOOPWRIGHT_MOCK_FAILURE_RATE", "often");
    let ended = support::Ended::from(command.output().unwrap()).code(2);
    let cause = "error[LW0902]: in the environment variable `LOOPWRIGHT_MOCK_FAILURE_RATE`: \
        `mock.failure_rate` takes a number from 0 to 1, not `often`";
    assert!(ended.err.contains(cause), "{}", ended.err);
}

#[test]
fn a_misspelt_variable_is_not_ignored() {
    let place = Place::new();
    let mut command = place.command(&["settings"]);
    command.env("LOOPWRIGHT_RUN_CONCURENCY", "4").env("LOOPWRIGHT_ATTEMPT", "somebody else's");
    let ended = support::Ended::from(command.output().unwrap()).code(2);
    let told = "error[LW0901]: the environment variable `LOOPWRIGHT_RUN_CONCURENCY` names no setting\n\
        hint: did you mean `LOOPWRIGHT_RUN_CONCURRENCY`?\n";
    assert_eq!(ended.err, told);
}

#[test]
fn two_settings_files_are_one_too_many() {
    let place = Place::with(&[("loopwright.toml", ""), (".loopwright/settings.toml", "")]);
    let ended = place.run(&["settings"]).code(2);
    assert!(ended.err.contains("LW0903") && ended.err.contains("keep one"), "{}", ended.err);
}
