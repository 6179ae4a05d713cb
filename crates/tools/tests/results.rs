//! What the tools give back, and how they say no.

use loopwright_tools::Tools;
use loopwright_types::{Code, Failure, Reason};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use tempfile::TempDir;

/// A workspace holding these files; a name that ends in `/` is a directory.
fn workspace(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    root
}

fn tools(root: &TempDir, bytes_max: usize) -> Tools {
    let allow = ["glob", "grep", "ls", "read_file"].map(str::to_owned);
    Tools::new(root.path(), &allow, bytes_max).unwrap()
}

fn call(root: &TempDir, name: &str, args: impl Into<Value>) -> Result<String, Failure> {
    let value = tools(root, 100_000).call(name, &args.into(), &|| false)?;
    Ok(value.as_str().unwrap().to_owned())
}

fn sample() -> TempDir {
    workspace(&[
        (".gitignore", "target/\n*.log\n!keep.log\n"),
        (".git/config", "[core]\n"),
        (".github/ci.yml", "on: push\n"),
        ("README.md", "# Title\nAlpha beta\n"),
        ("a b/spaced name.txt", "alpha\n"),
        ("keep.log", "kept\n"),
        ("debug.log", "alpha\n"),
        ("empty/", ""),
        ("src/lib.rs", "//! Alpha.\nmod deep;\n"),
        ("src/deep/mod.rs", "fn alpha() {}\nfn other() {}\nfn alpha2() {}\n"),
        ("src/deep/.ignore", "hidden_by_ignore.rs\n"),
        ("src/deep/hidden_by_ignore.rs", "alpha\n"),
        ("src/Zed.rs", "zed\n"),
        ("target/out.rs", "alpha\n"),
    ])
}

#[test]
fn glob_lists_files_sorted_and_leaves_out_what_is_ignored() {
    let cases = [
        (json!("**/*.rs"), "src/Zed.rs\nsrc/deep/mod.rs\nsrc/lib.rs"),
        (json!({"pattern": "*"}), "README.md\nkeep.log"),
        (json!({"pattern": "*.log"}), "keep.log"),
        (json!({"pattern": "./src/*.rs"}), "src/Zed.rs\nsrc/lib.rs"),
        (json!({"pattern": "*.rs", "path": "src"}), "src/Zed.rs\nsrc/lib.rs"),
        (json!({"pattern": "**/*.rs", "path": "src/deep/"}), "src/deep/mod.rs"),
        (json!({"pattern": "src/**/{mod,lib}.rs"}), "src/deep/mod.rs\nsrc/lib.rs"),
        (json!({"pattern": "**/*.rs", "limit": 2}), "src/Zed.rs\nsrc/deep/mod.rs"),
        (json!({"pattern": "**/*.yml"}), ""),
        (json!({"pattern": ".github/*"}), ".github/ci.yml"),
        (json!({"pattern": "**/*.yml", "hidden": true}), ".github/ci.yml"),
        (json!({"pattern": "**/*.rs", "ignored": true, "path": "target"}), "target/out.rs"),
        (json!({"pattern": "*.rs", "path": "target"}), "target/out.rs"),
        (json!({"pattern": "**/*.nothing"}), ""),
        (json!({"glob": "*/*.txt", "directory": "."}), "a b/spaced name.txt"),
    ];
    let root = sample();
    for (args, expected) in cases {
        assert_eq!(call(&root, "glob", args.clone()).unwrap(), expected, "{args}");
    }
    let absolute = format!("{}/src/*.rs", root.path().display());
    assert_eq!(call(&root, "glob", json!(absolute)).unwrap(), "src/Zed.rs\nsrc/lib.rs");
}

#[test]
fn grep_gives_path_line_and_text() {
    let deep = "src/deep/mod.rs:1:fn alpha() {}\nsrc/deep/mod.rs:3:fn alpha2() {}";
    let cases = [
        (json!("fn alpha"), deep),
        (json!({"pattern": "ALPHA", "path": "src/deep", "ignoreCase": true}), deep),
        (json!({"pattern": "ALPHA", "path": "src/deep", "-i": true}), deep),
        (json!({"pattern": "alpha", "filesOnly": true}), "a b/spaced name.txt\nsrc/deep/mod.rs"),
        (
            json!({"pattern": "alpha", "output_mode": "files_with_matches", "glob": "*.txt"}),
            "a b/spaced name.txt",
        ),
        (
            json!({"pattern": "alpha", "glob": "src/**/*.rs", "limit": 1}),
            "src/deep/mod.rs:1:fn alpha() {}",
        ),
        (
            json!({"pattern": "other", "context": 1}),
            "src/deep/mod.rs-1-fn alpha() {}\nsrc/deep/mod.rs:2:fn other() {}\nsrc/deep/mod.rs-3-fn alpha2() {}",
        ),
        (
            json!({"pattern": "^fn (alpha2|zed)", "path": "src/deep/mod.rs"}),
            "src/deep/mod.rs:3:fn alpha2() {}",
        ),
        (json!({"pattern": "alpha()", "literal": true}), "src/deep/mod.rs:1:fn alpha() {}"),
        (json!({"pattern": "push", "glob": ".github/*"}), ".github/ci.yml:1:on: push"),
        (json!({"pattern": "nowhere"}), ""),
        (
            json!({"pattern": "Alpha", "context": 1, "limit": 1}),
            "README.md-1-# Title\nREADME.md:2:Alpha beta",
        ),
    ];
    let root = sample();
    for (args, expected) in cases {
        assert_eq!(call(&root, "grep", args.clone()).unwrap(), expected, "{args}");
    }
}

#[test]
fn ls_lists_everything_in_one_directory_with_a_slash_after_directories() {
    let root = sample();
    let top =
        ".git/\n.github/\n.gitignore\nREADME.md\na b/\ndebug.log\nempty/\nkeep.log\nsrc/\ntarget/";
    for args in [json!(null), json!({}), json!("."), json!({"path": ""}), json!({"path": "src/.."})]
    {
        assert_eq!(call(&root, "ls", args).unwrap(), top);
    }
    assert_eq!(call(&root, "ls", json!({"dir": "src"})).unwrap(), "Zed.rs\ndeep/\nlib.rs");
    assert_eq!(call(&root, "ls", json!("empty")).unwrap(), "");
}

#[test]
fn read_file_gives_plain_text_or_some_of_its_lines() {
    let root = workspace(&[
        ("t.txt", "one\ntwo\nthree\nfour"),
        ("bom.json", "\u{feff}{}"),
        ("empty", ""),
        ("é.txt", "ü"),
    ]);
    let cases = [
        (json!("t.txt"), "one\ntwo\nthree\nfour"),
        (json!({"file_path": "t.txt", "offset": 2, "limit": 2}), "two\nthree\n"),
        (json!({"filePath": "t.txt", "offset": 0, "limit": 1.0}), "one\n"),
        (json!({"path": "t.txt", "offset": 4}), "four"),
        (json!({"path": "t.txt", "offset": 9}), "[the file has fewer than 9 lines]"),
        (json!({"path": "t.txt", "offset": null, "limit": null}), "one\ntwo\nthree\nfour"),
        (json!("bom.json"), "{}"),
        (json!("empty"), ""),
        (json!("é.txt"), "ü"),
    ];
    for (args, expected) in cases {
        assert_eq!(call(&root, "read_file", args.clone()).unwrap(), expected, "{args}");
    }
}

#[test]
fn a_result_over_its_size_is_cut_at_a_line_and_says_so() {
    let long: String = (1..=500).map(|i| format!("line {i}\n")).collect();
    let root =
        workspace(&[("long.txt", &long), ("one_line.txt", &"ä".repeat(4_000)), ("latin.txt", "x")]);
    fs::write(root.path().join("latin.txt"), [0xe4; 3_000]).unwrap();
    let tools = tools(&root, 1_000);
    let read = |args: Value| {
        tools.call("read_file", &args, &|| false).unwrap().as_str().unwrap().to_owned()
    };
    let first = read(json!("long.txt"));
    let next: u64 = first.rsplit(' ').next().unwrap().trim_end_matches(']').parse().unwrap();
    assert!(first.ends_with(&format!(
        "line {}\n[cut before line {next}: read on with `offset` {next}]",
        next - 1
    )));
    assert!(
        read(json!({"path": "long.txt", "offset": next})).starts_with(&format!("line {next}\n"))
    );
    for file in ["one_line.txt", "latin.txt"] {
        let text = read(json!(file));
        assert!(text.ends_with("[cut inside line 1: it is longer than a result may be]"), "{text}");
    }
    for (tool, args) in [
        ("grep", json!("line")),
        ("read_file", json!("long.txt")),
        ("read_file", json!("latin.txt")),
    ] {
        let text = tools.call(tool, &args, &|| false).unwrap();
        assert!(text.as_str().unwrap().len() <= 1_000, "{tool}");
    }
    let grep = tools.call("grep", &json!("line"), &|| false).unwrap();
    assert!(
        grep.as_str().unwrap().contains("\n[cut at 800 bytes of 1000: there are more matches"),
        "{grep}"
    );
}

#[test]
fn names_and_contents_that_are_not_utf_8_do_no_harm() {
    let root = workspace(&[("plain.txt", "caf\n")]);
    fs::write(root.path().join(OsStr::from_bytes(b"caf\xe9.txt")), b"caf\xe9 au lait\n").unwrap();
    fs::write(root.path().join("two\nlines.txt"), "caf").unwrap();
    let listed = "caf\u{fffd}.txt\nplain.txt\ntwo\u{fffd}lines.txt";
    assert_eq!(call(&root, "ls", json!({})).unwrap(), listed);
    assert_eq!(call(&root, "glob", json!("*")).unwrap(), listed);
    let found =
        "caf\u{fffd}.txt:1:caf\u{fffd} au lait\nplain.txt:1:caf\ntwo\u{fffd}lines.txt:1:caf";
    assert_eq!(call(&root, "grep", json!("caf")).unwrap(), found);
}

#[test]
fn binary_files_are_refused_by_read_and_passed_over_by_grep() {
    let root = workspace(&[("text.txt", "needle\n")]);
    fs::write(root.path().join("binary"), b"needle\0\x01\x02").unwrap();
    let failure = call(&root, "read_file", json!("binary")).unwrap_err();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (Code::TOOL_FAILED, "`binary` is a binary file")
    );
    assert_eq!(call(&root, "grep", json!("needle")).unwrap(), "text.txt:1:needle");
}

#[test]
fn a_huge_sparse_file_is_neither_read_whole_nor_waited_for() {
    let root = workspace(&[("a.txt", "needle\n")]);
    let huge = fs::File::create(root.path().join("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let failure = call(&root, "read_file", json!("huge")).unwrap_err();
    assert_eq!(failure.message, "`huge` is a binary file");
    assert_eq!(call(&root, "grep", json!("needle")).unwrap(), "a.txt:1:needle");
}

#[test]
fn a_cancelled_call_ends_as_cancelled() {
    let root = sample();
    for (tool, args) in
        [("glob", json!("**")), ("grep", json!("alpha")), ("read_file", json!("README.md"))]
    {
        let failure = tools(&root, 10_000).call(tool, &args, &|| true).unwrap_err();
        assert_eq!((failure.reason, failure.code), (Reason::Cancelled, Code::CANCELLED), "{tool}");
    }
}

/// One case per line: tool, arguments, code, and what message and hint must hold.
const REFUSALS: &str = include_str!("data/refusals.jsonl");

#[test]
fn a_call_that_cannot_be_made_says_which_part_is_wrong() {
    let root = sample();
    for line in REFUSALS.lines() {
        let case: (String, Value, String, String, String) = serde_json::from_str(line).unwrap();
        let (tool, args, code, message, hint) = case;
        let failure = call(&root, &tool, args).expect_err(line);
        assert_eq!(failure.code.to_string(), code, "{line}: {}", failure.message);
        assert!(failure.message.contains(&message), "{line}: {}", failure.message);
        assert!(failure.hint.unwrap_or_default().contains(&hint), "{line}");
        assert!(!failure.sent && failure.message.len() < 1_000);
    }
}

#[test]
fn only_allowed_tools_are_called_and_names_resolve_in_either_case() {
    let root = sample();
    let tools =
        Tools::new(root.path(), &["readFile".to_owned(), " ls ".to_owned()], 1_000).unwrap();
    assert_eq!(tools.names(), ["ls", "read_file"]);
    assert_eq!(tools.resolve("readFile"), Some("read_file"));
    assert_eq!(tools.resolve("writeFiles"), None);
    assert!(tools.call("readFile", &json!("README.md"), &|| false).is_ok());
    let failure = tools.call("grep", &json!("a"), &|| false).unwrap_err();
    assert_eq!((failure.reason, failure.code), (Reason::Policy, Code::TOOL_NOT_ALLOWED));
    let unknown = Tools::new(root.path(), &["gerp".to_owned()], 1_000).unwrap_err();
    assert_eq!(
        (unknown.code, unknown.hint.as_deref()),
        (Code::TOOL_UNKNOWN, Some("did you mean `grep`?"))
    );
    assert!(Tools::new(&root.path().join("README.md"), &[], 1_000).is_err());
    assert!(Tools::new(&root.path().join("absent"), &[], 1_000).is_err());
}

#[test]
fn each_description_names_the_arguments_that_the_tool_takes() {
    let all = Tools::describe();
    let names: Vec<&str> = all.iter().map(|tool| tool.name).collect();
    let all_names = ["bash", "edit_file", "fetch", "glob", "grep", "ls", "read_file", "write_file"];
    assert_eq!(names, all_names);
    let required: Vec<&Value> = all.iter().map(|tool| &tool.arguments["required"]).collect();
    let expected = json!([
        ["command"],
        ["path", "oldText", "newText"],
        ["url"],
        ["pattern"],
        ["pattern"],
        [],
        ["path"],
        ["path", "content"]
    ]);
    assert_eq!(json!(required), expected);
    assert_eq!(all[6].arguments["properties"]["offset"]["minimum"], json!(0));
    assert!(all.iter().all(|tool| !tool.doc.contains("  ")));
}
