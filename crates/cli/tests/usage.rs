//! What is typed wrong is told with a code, a cause and a hint, and nothing is done.

mod support;

use support::Place;

/// Arguments, exit code, pieces of stderr.
type Case<'a> = (&'a [&'a str], i32, &'a [&'a str]);

#[test]
fn mistakes_on_the_command_line_are_told_with_code_and_hint() {
    let place = Place::with(&[("ok.ts", "1"), ("bad.ts", "const a = (;")]);
    let cases: &[Case<'_>] = &[
        (&[], 2, &["Usage: loopwright <COMMAND>", "Exit codes:"]),
        (&["fly"], 2, &["error[LW0904]: unrecognized subcommand `fly`"]),
        (&["run"], 2, &["error[LW0904]:", "<PROGRAM>"]),
        (
            &["run", "ok.ts", "--jsn"],
            2,
            &["error[LW0904]: unexpected argument `--jsn` found", "--json"],
        ),
        (
            &["run", "ok.ts", "--args", "{a:1}"],
            2,
            &["error[LW0109]: `--args` is not JSON", "hint: quote it"],
        ),
        (&["run", "ok.ts", "--args", "@none.json"], 2, &["error[LW0109]: cannot read `none.json`"]),
        (&["run", "none.ts"], 2, &["error[LW0106]: cannot read `none.ts`", "hint:"]),
        (
            &["run", "ok.ts", "--set", "run.concurency=2"],
            2,
            &[
                "error[LW0901]: unknown setting `run.concurency`",
                "hint: did you mean `run.concurrency`?",
            ],
        ),
        (
            &["run", "ok.ts", "--set", "run.concurrency=0"],
            2,
            &[
                "error[LW0902]: `run.concurrency` takes a whole number from 1 to 100000, not `0`",
                "hint: the default is `16`",
            ],
        ),
        (
            &["run", "ok.ts", "--set", "run.concurrency"],
            2,
            &["error[LW0904]: `--set run.concurrency` has no `=`"],
        ),
        (
            &["run", "ok.ts", "--workspace", "nowhere"],
            2,
            &["error[LW0904]: cannot use the workspace `nowhere`"],
        ),
        (&["run", "bad.ts"], 1, &["error[LW0101]:", "--> bad.ts:1:12", "1 | const a = (;"]),
        (&["check", "bad.ts"], 1, &["error[LW0101]:", "--> bad.ts:1:12"]),
        (&["show", "nonesuch"], 1, &["error[LW0805]: there is no run `nonesuch`"]),
        (&["completions", "tcl"], 2, &["error[LW0904]: invalid value `tcl`", "bash"]),
    ];
    for (arguments, code, pieces) in cases {
        let ended = place.run(arguments).code(*code);
        assert_eq!(ended.out, "", "{arguments:?}: errors are not data");
        for piece in *pieces {
            assert!(ended.err.contains(piece), "{arguments:?}: no `{piece}` in\n{}", ended.err);
        }
    }
    assert_eq!(place.run(&["runs", "--json"]).code(0).out, "[]\n", "nothing was recorded");
}

#[test]
fn help_and_version_are_data() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let ended = place.run(arguments).code(0);
        assert!(!ended.out.is_empty() && ended.err.is_empty(), "{ended:#?}");
    }
}

#[test]
fn completions_know_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).code(0).out;
        assert!(script.contains("agents") && script.contains("workspace"), "{shell}");
    }
}

#[test]
fn committed_reference_pages_are_current() {
    let place = Place::new();
    let pages = [
        ("cli", expect_test::expect_file!["../../../docs/reference/cli.md"]),
        ("settings", expect_test::expect_file!["../../../docs/reference/settings.md"]),
    ];
    for (page, committed) in pages {
        committed.assert_eq(&place.run(&["reference", page]).code(0).out);
    }
}

/// The first block of a page with this language.
fn block<'p>(page: &'p str, language: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("```{language}\n"))?;
    rest.split_once("\n```").map(|(text, _)| text)
}

#[test]
fn error_pages_about_the_command_line_show_what_is_really_said() {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_loopwright")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for code in ["0109", "0701", "0805", "0901", "0902", "0903", "0904", "0905"] {
        let file = format!("{}/../../docs/errors/LW{code}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(file).unwrap();
        let place = Place::with(&[("review.ts", "1")]);
        if code == "0905" {
            place.write("main.ts", "");
        }
        if let Some(settings) = block(&page, "toml") {
            place.write(".loopwright/settings.toml", settings);
        }
        let typed = block(&page, "sh").unwrap_or("loopwright settings");
        let mut command = place.shell(typed);
        let ended: support::Ended = command.env("PATH", &path).output().unwrap().into();
        let said = block(&page, "text").unwrap();
        assert!(ended.err.contains(said), "{typed}\n{}\nis not\n{said}", ended.err);
    }
}
