//! `models`, `tools`, `mcp`, `worktrees`: what a run would find, without one.

mod support;

use support::Place;

#[test]
fn models_tell_of_keys_by_reference_and_never_by_value() {
    let place = Place::with(&[(
        ".loopwright/settings.toml",
        "[models]\naliases = { fast = \"anthropic:claude-haiku-5-5\" }",
    )]);
    for arguments in
        [&["models"][..], &["models", "--json"], &["models", "fast"], &["models", "fast", "--json"]]
    {
        let mut command = place.command(arguments);
        let ended: support::Ended =
            command.env("ANTHROPIC_API_KEY", "sk-very-secret").output().unwrap().into();
        let ended = ended.code(0);
        assert!(!format!("{ended:?}").contains("very-secret"), "{ended:#?}");
        assert!(ended.out.contains("env:ANTHROPIC_API_KEY"), "{ended:#?}");
        assert!(ended.out.contains("present"), "{ended:#?}");
    }
    let list = place.run(&["models", "--json"]).code(0).json();
    let named = list["names"].as_array().unwrap().iter().find(|it| it["name"] == "fast").unwrap();
    assert_eq!(
        (&named["kind"], &named["model"]),
        (&"alias".into(), &"anthropic:claude-haiku-5-5".into())
    );
    let wrong = place.run(&["models", "fast", "sonet"]).code(1);
    assert!(wrong.err.contains("error[LW1003]") && wrong.err.contains("`sonnet`"), "{wrong:#?}");
    assert!(wrong.out.starts_with("fast\n"), "those that are known are told: {wrong:#?}");
    let wrong = place.run(&["models", "sonet", "--json"]).code(1).json();
    assert_eq!(wrong["errors"][0]["code"], "LW1003");
}

#[test]
fn tools_say_who_may_call_them_and_have_types() {
    let place = Place::new();
    let list =
        place.run(&["tools", "--json", "--set", "tools.allow=glob,apply_worktree"]).code(0).json();
    let of = |name: &str| {
        list["tools"].as_array().unwrap().iter().find(|it| it["name"] == name).cloned().unwrap()
    };
    let cases =
        [("glob", true, true), ("write_file", false, true), ("apply_worktree", true, false)];
    for (name, programs, subagents) in cases {
        let tool = of(name);
        assert_eq!(
            (&tool["programs"], &tool["subagents"]),
            (&programs.into(), &subagents.into()),
            "{name}"
        );
    }
    let types = place.run(&["tools", "--types"]).code(0).out;
    assert!(types.contains("read_file(args: {") && !types.contains("write_file("), "{types}");
    place.run(&["tools", "--tree", "types"]).code(0);
    assert!(place.path().join("types/builtin.d.ts").is_file());
    place.write("mine/keep.txt", "");
    let refused = place.run(&["tools", "--tree", "mine"]).code(1);
    assert!(refused.err.contains("error[LW0905]"), "{refused:#?}");
    assert!(place.path().join("mine/keep.txt").is_file());
}

#[test]
fn a_server_that_does_not_start_is_listed_with_why() {
    let place = Place::new();
    assert!(place.run(&["mcp"]).code(0).err.contains("no MCP servers"));
    place.write(".mcp.json", r#"{"mcpServers": {"gone": {"command": "./no-such-program"}}}"#);
    let list = place.run(&["mcp", "--json"]).code(0).json();
    let server = &list["servers"][0];
    assert_eq!((&server["status"], &server["error"]["code"]), (&"failed".into(), &"LW1103".into()));
    for arguments in [["mcp", "login", "gone"], ["mcp", "logout", "none"]] {
        let refused = place.run(&arguments).code(1);
        assert!(refused.err.contains("error[LW11"), "{refused:#?}");
    }
}

#[test]
fn worktrees_outside_a_repository_are_refused_and_inside_there_are_none() {
    let place = Place::new();
    assert!(place.run(&["worktrees"]).code(1).err.contains("error[LW1301]"));
    let made = place.shell("git init -q . && echo .data > .gitignore && git add . && git -c user.name=a -c user.email=a@b commit -qm a");
    let made: support::Ended = { made }.output().unwrap().into();
    made.code(0);
    let mut command = place.command(&["worktrees", "--json", "--data-dir"]);
    let data = tempfile::tempdir().unwrap();
    let ended: support::Ended = command.arg(data.path()).output().unwrap().into();
    assert_eq!(ended.code(0).out, "[]\n");
}

#[test]
fn agents_are_served_where_their_model_is_known_and_has_a_key() {
    let file = "---\nname: thinker\ndescription: thinks\nmodel: sonnet\n---\nThink.\n";
    let place = Place::with(&[(".loopwright/agents/thinker.md", file)]);
    for (key, served) in [("k", true), ("", false)] {
        let mut command = place.command(&["agents", "--json"]);
        let ended: support::Ended = command.env("ANTHROPIC_API_KEY", key).output().unwrap().into();
        let list = ended.code(0).json();
        let agent =
            list["agents"].as_array().unwrap().iter().find(|it| it["name"] == "thinker").unwrap();
        assert_eq!(agent["served"], served, "{agent}");
        assert_eq!(agent["resolvedModel"].is_string(), served, "{agent}");
        assert_eq!(agent["problem"].is_string(), !served, "{agent}");
    }
}
