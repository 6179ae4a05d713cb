//! What the writing tools change, and that nothing outside the workspace is ever changed.

mod common;

use common::{Place, SECRET};
use loopwright_protocol::{Found, Json};
use loopwright_types::{Code, Effects, Reason};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

fn place() -> Place {
    Place::with(&[])
}

/// Both writing tools with this path.
fn calls(path: &str) -> [(&'static str, Value); 2] {
    [
        ("write_file", json!({"path": path, "content": "new"})),
        ("edit_file", json!({"path": path, "oldText": "secret", "newText": "public"})),
    ]
}

#[test]
fn a_file_is_made_with_its_directories_or_replaced_whole() {
    let place = place();
    let cases = [
        ("new.txt", "a\nb\n", "created `new.txt`: 2 lines, 4 bytes"),
        ("a/b/c.txt", "é", "created `a/b/c.txt`: 1 line, 2 bytes"),
        ("a/b/c.txt", "", "replaced `a/b/c.txt`: 0 lines, 0 bytes (2 before)"),
        ("./src/../x.txt", "x", "created `./src/../x.txt`: 1 line, 1 bytes"),
        ("notes.txt", "new\r\n", "replaced `notes.txt`: 1 line, 5 bytes (7 before)"),
    ];
    for (path, content, told) in cases {
        let args = json!({"file_path": path, "content": content});
        assert_eq!(place.call("Write", &args).as_deref(), Ok(told));
        assert_eq!(fs::read_to_string(place.workspace().join(path)).unwrap(), content, "{path}");
    }
    let absolute = place.workspace().join("deep/er/file");
    place.call("write_file", &json!({"path": absolute, "content": "x"})).unwrap();
    assert_eq!(fs::read_to_string(absolute).unwrap(), "x");
    // Nothing of the work is left beside the files.
    let names = Place::snapshot(&place.workspace());
    assert!(names.iter().all(|(path, _)| !path.to_string_lossy().ends_with(".tmp")), "{names:?}");
}

#[test]
fn a_replaced_file_keeps_its_permissions_and_its_other_names_their_text() {
    let place = place();
    let (script, other) = (place.workspace().join("script"), place.outside().join("other"));
    fs::write(&script, "old").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o751)).unwrap();
    fs::hard_link(&script, &other).unwrap();
    place.call("edit_file", &json!({"path": "script", "old": "old", "new": "new"})).unwrap();
    assert_eq!(script.metadata().unwrap().mode() & 0o7777, 0o751);
    assert_eq!(fs::read_to_string(&script).unwrap(), "new");
    assert_eq!(fs::read_to_string(&other).unwrap(), "old");
}

#[test]
fn nothing_outside_the_workspace_is_written() {
    let place = place();
    let (workspace, outside) = (place.workspace(), place.outside());
    let links = [
        (outside.clone(), "absolute_link"),
        ("../outside".into(), "relative_link"),
        (outside.join("secret.txt"), "file_link"),
        (outside.join("new.txt"), "dangling_link"),
        ("../outside/new.txt".into(), "dangling_relative"),
        ("hop".into(), "two_hops"),
        ("../outside".into(), "hop"),
        ("/proc/self/root".into(), "proc_root"),
        ("/proc/self/cwd".into(), "proc_cwd"),
        ("/dev/null".into(), "device"),
    ];
    for (target, name) in links {
        symlink(target, workspace.join(name)).unwrap();
    }
    let before = Place::snapshot(&outside);
    let absolute = outside.join("secret.txt").display().to_string();
    let sneaky = format!("{}/../outside/secret.txt", workspace.display());
    let sibling = format!("{}-other/x", workspace.display());
    let paths = [
        "../x",
        "../outside/secret.txt",
        "src/../../outside/secret.txt",
        "/etc/loopwright-test",
        "/proc/self/environ",
        absolute.as_str(),
        sneaky.as_str(),
        sibling.as_str(),
        "absolute_link/secret.txt",
        "absolute_link/new/deep.txt",
        "relative_link/secret.txt",
        "file_link",
        "dangling_link",
        "dangling_relative",
        "two_hops/secret.txt",
        "proc_root/etc/passwd",
        "proc_cwd/x",
        "device",
        "a\0b",
    ];
    for path in paths {
        for (tool, args) in calls(path) {
            let failure = place.call(tool, &args).expect_err(path);
            let seen = (failure.reason, failure.code, failure.sent);
            assert_eq!(seen, (Reason::Policy, Code::PATH_OUTSIDE, false), "{tool} {path:?}");
        }
    }
    assert_eq!(Place::snapshot(&outside), before);
}

#[test]
fn what_decides_later_runs_is_not_written() {
    let place = place();
    let workspace = place.workspace();
    fs::create_dir_all(workspace.join(".git/hooks")).unwrap();
    fs::create_dir_all(workspace.join(".loopwright")).unwrap();
    symlink(".git/hooks", workspace.join("innocent")).unwrap();
    symlink("../.mcp.json", workspace.join("src/config.json")).unwrap();
    let before = Place::snapshot(&workspace);
    let paths = [
        ".git/hooks/post-checkout",
        ".git/config",
        ".GIT/config",
        "src/.git/config",
        "sub/.git",
        "innocent/post-checkout",
        ".mcp.json",
        "src/config.json",
        "src/../.mcp.json",
        "loopwright.toml",
        ".loopwright/settings.toml",
        ".loopwright/agents/evil.md",
        ".claude/agents/evil.md",
        ".claude/settings.json",
    ];
    for path in paths {
        for (tool, args) in calls(path) {
            let failure = place.call(tool, &args).expect_err(path);
            let seen = (failure.reason, failure.code, failure.sent);
            assert_eq!(seen, (Reason::Policy, Code::PATH_PROTECTED, false), "{tool} {path}");
        }
    }
    assert_eq!(Place::snapshot(&workspace), before);
    for path in [".github/x.yml", ".gitignore", ".loopwright/notes.md", "src/loopwright.toml"] {
        place.call("write_file", &json!({"path": path, "content": "x"})).unwrap();
    }
}

#[test]
fn what_is_no_file_to_write_is_refused_and_says_what_it_is() {
    let place = place();
    let workspace = place.workspace();
    mknodat(CWD, workspace.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    symlink("b", workspace.join("a")).unwrap();
    symlink("a", workspace.join("b")).unwrap();
    symlink("src", workspace.join("to_src")).unwrap();
    let cases = [
        ("src", "`src` is a directory"),
        ("to_src", "`to_src` is a directory"),
        ("new/", "`new/` is a directory"),
        (".", "`.` is a directory"),
        ("pipe", "`pipe` is a named pipe"),
        ("a", "`a` is a circle of links"),
        ("notes.txt/x", "`notes.txt/x` is not a directory"),
    ];
    for (path, message) in cases {
        for (tool, args) in calls(path) {
            let failure = place.call(tool, &args).expect_err(path);
            assert_eq!(failure.code, Code::TOOL_FAILED, "{tool} {path}");
            assert!(failure.message.contains(message), "{tool} {path}: {}", failure.message);
        }
    }
    let missing = place.call("edit_file", &calls("absent.txt")[1].1).unwrap_err();
    assert_eq!(missing.message, "`absent.txt` does not exist");
    // A link that stays inside is followed, and stays a link.
    place.call("write_file", &json!({"path": "to_src/x", "content": "x"})).unwrap();
    symlink("../notes.txt", workspace.join("src/link")).unwrap();
    place.call("write_file", &json!({"path": "src/link", "content": "through"})).unwrap();
    assert_eq!(fs::read_to_string(workspace.join("notes.txt")).unwrap(), "through");
    assert!(workspace.join("src/link").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn an_edit_that_does_not_fit_says_where_it_nearly_does() {
    let place = place();
    let text = "fn one() {\n    let a = 1;\n    a\n}\n\nfn two() {\n\tlet b = 2;\n}\n";
    let cases = [
        ("let", "", "`oldText` is in `f.rs` 2 times, at lines 2 and 7", "replaceAll"),
        (
            "let a = 2;",
            "x",
            "`oldText` is not in `f.rs`",
            "the nearest to its first line is line 2: `    let a = 1;`",
        ),
        (
            "fn two() {\n    let b = 2;\n}",
            "x",
            "not in",
            "at line 6 it stands with other white space",
        ),
        (
            "fn one() {\n    let c = 1;",
            "x",
            "not in",
            "it begins as line 1 does, but line 2 is `    let a = 1;`",
        ),
        ("}\nfn three()", "x", "not in", ""),
        ("something else entirely, nowhere near", "x", "not in", "read the file"),
        ("\n\n\n\n", "x", "not in", "read the file"),
    ];
    for (old, new, message, hint) in cases {
        fs::write(place.workspace().join("f.rs"), text).unwrap();
        let failure = place
            .call("edit_file", &json!({"path": "f.rs", "oldText": old, "newText": new}))
            .unwrap_err();
        assert_eq!((failure.code, failure.sent), (Code::EDIT_MISMATCH, false), "{old}");
        assert!(failure.message.contains(message), "{old}: {}", failure.message);
        let told = failure.hint.unwrap();
        assert!(told.contains(hint), "{old}: {told}");
        assert_eq!(fs::read_to_string(place.workspace().join("f.rs")).unwrap(), text);
    }
    let wrong = [
        (json!({"path": "f.rs", "oldText": "", "newText": "x"}), "is empty"),
        (json!({"path": "f.rs", "oldText": "x", "newText": "x"}), "are the same"),
        (json!({"path": "f.rs", "oldText": "x"}), "needs `newText`"),
        (
            json!({"path": "f.rs", "oldText": "fn one() {\n", "newText": "fn one() {\r\n"}),
            "only in line endings",
        ),
    ];
    for (args, message) in wrong {
        let failure = place.call("edit_file", &args).unwrap_err();
        assert_eq!(failure.code, Code::TOOL_ARGUMENT);
        assert!(failure.message.contains(message), "{args}: {}", failure.message);
    }
}

#[test]
fn an_edit_tells_what_it_changed() {
    let place = place();
    let cases = [
        ("a\nb\nb\n", "a", false, "edited `f`: 1 place, at line 1"),
        ("a\nb\nb\n", "b", true, "edited `f`: 2 places, at lines 2 and 3"),
        (
            &"b\n".repeat(12),
            "b",
            true,
            "edited `f`: 12 places, at lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more",
        ),
    ];
    for (text, old, all, told) in cases {
        fs::write(place.workspace().join("f"), text).unwrap();
        let args = json!({"path": "f", "old_string": old, "new_string": "", "replace_all": all});
        assert_eq!(place.call("Edit", &args).as_deref(), Ok(told));
        assert_eq!(fs::read_to_string(place.workspace().join("f")).unwrap(), text.replace(old, ""));
    }
    fs::write(place.workspace().join("binary"), "a\0b").unwrap();
    let failure =
        place.call("edit_file", &json!({"path": "binary", "old": "a", "new": "b"})).unwrap_err();
    assert_eq!(failure.message, "`binary` is a binary file");
    fs::write(place.workspace().join("latin"), b"a\xe9b").unwrap();
    place.call("edit_file", &json!({"path": "latin", "old": "b", "new": "c"})).unwrap();
    assert_eq!(fs::read(place.workspace().join("latin")).unwrap(), b"a\xe9c");
}

#[test]
fn edits_of_one_file_at_once_never_lose_each_other() {
    let place = place();
    let path = place.workspace().join("list");
    let lines: String = (0..40).map(|n| format!("<{n}>\n")).collect();
    fs::write(&path, lines).unwrap();
    std::thread::scope(|scope| {
        for n in 0..40 {
            let place = &place;
            scope.spawn(move || {
                let args =
                    json!({"path": "list", "old": format!("<{n}>"), "new": format!("[{n}]")});
                place.call("edit_file", &args).unwrap();
            });
        }
    });
    let expected: String = (0..40).map(|n| format!("[{n}]\n")).collect();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

/// Ends the swapping thread also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_directory_swapped_for_a_link_while_it_is_written_leads_nowhere() {
    let place = place();
    let (swapped, done) = (place.workspace().join("swap"), AtomicBool::new(false));
    let before = Place::snapshot(&place.outside());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Whatever a call put there goes too; each step may find the other's work.
                let _ = fs::create_dir(&swapped);
                let _ = fs::remove_dir_all(&swapped);
                let _ = symlink("../outside", &swapped);
                let _ = fs::remove_file(&swapped);
            }
        });
        let _done = Done(&done);
        for _ in 0..400 {
            for (tool, args) in calls("swap/secret.txt") {
                let _ = place.call(tool, &args);
            }
            let _ = place.call("write_file", &json!({"path": "swap/a/b.txt", "content": "x"}));
        }
    });
    assert_eq!(Place::snapshot(&place.outside()), before);
}

#[test]
fn a_subagent_works_in_its_own_root_with_what_its_definition_lists() {
    let place = place();
    let (first, second) = (place.all.path().join("one"), place.all.path().join("two"));
    for root in [&first, &second] {
        fs::create_dir(root).unwrap();
    }
    let write = |root: Option<&std::path::Path>, allowed: &[&str], path: &str| {
        let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let args = json!({"path": path, "content": "x"});
        place.tools.call_in(root, &allowed, "write_file", &args, &|| false)
    };
    write(Some(&first), &["Write"], "f").unwrap();
    write(Some(&second), &["write_file", "Read"], "f").unwrap();
    write(None, &["writeFile"], "f").unwrap();
    for root in [&first, &second, &place.workspace()] {
        assert_eq!(fs::read_to_string(root.join("f")).unwrap(), "x");
    }
    let leave = write(Some(&first), &["Write"], "../two/g").unwrap_err();
    assert_eq!(leave.code, Code::PATH_OUTSIDE);
    for allowed in [&["Read"][..], &[], &["Nix"], &["Write(src/**)"]] {
        assert_eq!(
            write(None, allowed, "g").unwrap_err().code,
            Code::TOOL_NOT_ALLOWED,
            "{allowed:?}"
        );
    }
    assert_eq!(
        write(Some(&place.all.path().join("absent")), &["Write"], "f").unwrap_err().code,
        Code::TOOL_FAILED
    );
    // A worktree that was removed and made again is another directory.
    fs::remove_dir_all(&first).unwrap();
    fs::create_dir(&first).unwrap();
    write(Some(&first), &["Write"], "again").unwrap();
    assert_eq!(fs::read_to_string(first.join("again")).unwrap(), "x");
}

#[test]
fn settings_bound_what_a_definition_may_list() {
    let place = Place::with(&[("tools.subagents", "Read,LS"), ("tools.allow", "ls,edit_file")]);
    let tools = place.tools.tools();
    let seen: Vec<(&str, bool, Effects)> =
        tools.iter().map(|tool| (tool.name.as_str(), tool.programs, tool.effects)).collect();
    let expected = [
        ("edit_file", true, Effects::Local),
        ("ls", true, Effects::None),
        ("read_file", false, Effects::None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(place.tools.subagent_names(), ["ls", "read_file"]);
    assert_eq!(place.tools.names(), ["edit_file", "ls"]);
    let allowed = ["Write".to_owned(), "Edit".to_owned()];
    for tool in ["write_file", "edit_file"] {
        let failure = place.tools.call_in(None, &allowed, tool, &json!({}), &|| false).unwrap_err();
        assert_eq!(failure.code, Code::TOOL_NOT_ALLOWED);
        assert!(failure.hint.unwrap().contains("tools.subagents"));
    }
    let failure = place.tools.call("read_file", &json!("notes.txt"), &|| false).unwrap_err();
    assert_eq!(failure.code, Code::TOOL_NOT_ALLOWED);
    assert_eq!(fs::read_to_string(place.outside().join("secret.txt")).unwrap(), SECRET);
}

#[test]
fn what_a_writing_tool_did_is_seen_in_the_file() {
    let place = place();
    let unknown = |text: &str| Found::Unknown(text.to_owned());
    let done = |text: &str| Found::Done(Json::of(text));
    let edit = |old: &str, new: &str| json!({"path": "f", "oldText": old, "newText": new});
    let write = |text: &str| json!({"path": "f", "content": text});
    let told = "the text of `f` does not tell whether it was edited";
    // What is in the file, the call, what is found.
    let cases = [
        (None, "write_file", write("a\n"), Found::NotDone),
        (Some("a\n"), "write_file", write("a\n"), done("wrote `f`: 1 line, 2 bytes")),
        (Some("b\n"), "write_file", write("a\n"), unknown("`f` has another text")),
        (Some("a\nb"), "write_file", write("a\n"), unknown("`f` has another text")),
        (Some("one two"), "edit_file", edit("one", "1"), Found::NotDone),
        (Some("1 two"), "edit_file", edit("one", "1"), done("edited `f`")),
        (Some("one 1"), "edit_file", edit("one", "1"), unknown(told)),
        (Some("two"), "edit_file", edit("one", "1"), unknown(told)),
        // The old text is part of the new one: it is there before and after.
        (Some("one"), "edit_file", edit("one", "one, two"), Found::NotDone),
        (Some("one, two"), "edit_file", edit("one", "one, two"), unknown(told)),
        (Some("two"), "edit_file", edit("one", ""), unknown(told)),
    ];
    for (before, tool, args, expected) in cases {
        let path = place.workspace().join("f");
        let _ = fs::remove_file(&path);
        if let Some(text) = before {
            fs::write(&path, text).unwrap();
        }
        let found = place.tools.look_up(None, tool, &args, &|| false).unwrap();
        assert_eq!(found, expected, "{before:?}, {tool}, {args}");
        let after = fs::read_to_string(&path).ok();
        assert_eq!(after.as_deref(), before, "a lookup changes nothing");
    }
    let outside = json!({"path": "../f", "content": "a"});
    let failure = place.tools.look_up(None, "write_file", &outside, &|| false).unwrap_err();
    assert_eq!(failure.code, Code::PATH_OUTSIDE);
    let bash = json!({"command": "true"});
    let failure = place.tools.look_up(None, "bash", &bash, &|| false).unwrap_err();
    assert_eq!(failure.code, Code::LOOKUP_FAILED);
}
