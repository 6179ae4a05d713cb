//! Definitions in real directories.

use super::*;
use loopwright_types::Effects;

struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            place.write(path, text.as_bytes());
        }
        place
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn load(&self, agents_dir: Option<&str>, model: Option<&str>) -> (Registry, Vec<Diagnostic>) {
        Registry::load(&LoadOptions {
            workspace: self.0.path().to_owned(),
            agents_dir: agents_dir.map(Into::into),
            model: model.map(Into::into),
        })
    }
}

fn file(name: &str, rest: &str) -> String {
    format!("---\nname: {name}\n{rest}\n---\nYou are {name}.\n")
}

#[test]
fn the_nearer_directory_wins_and_the_built_in_subagent_is_always_there() {
    let place = Place::new(&[
        ("mine/a.md", &file("a", "description: given")),
        (".loopwright/agents/a.md", &file("a", "description: own")),
        (".loopwright/agents/b.md", &file("b", "description: own")),
        (".claude/agents/b.md", &file("b", "description: claude")),
        (".claude/agents/deep/er/c.md", &file("c", "description: claude")),
        (".claude/agents/README.md", "# About these agents\n"),
        (".claude/agents/notes.txt", "not a definition"),
    ]);
    let (registry, diagnostics) = place.load(Some("mine"), None);
    assert_eq!(diagnostics, []);
    let found: Vec<_> = registry.iter().map(|it| (&*it.name, &*it.description)).collect();
    let built_in = "Takes on any task that names no other subagent.";
    assert_eq!(
        found,
        [("a", "given"), ("b", "own"), ("c", "claude"), ("general-purpose", built_in)]
    );
    assert_eq!(registry.get("c").unwrap().source.as_deref(), Some(".claude/agents/deep/er/c.md"));
}

#[test]
fn general_purpose_can_be_replaced_by_a_file() {
    let own = file("general-purpose", "command: [true]");
    let place = Place::new(&[(".loopwright/agents/g.md", &own)]);
    let (registry, _) = place.load(None, None);
    assert_eq!(registry.get("general-purpose").unwrap().runner.driver(), "command");
}

#[test]
fn the_mock_model_serves_models_and_leaves_commands_alone() {
    let place = Place::new(&[
        (".loopwright/agents/m.md", &file("m", "model: sonnet")),
        (".loopwright/agents/p.md", &file("p", "model: acme/large")),
        (".loopwright/agents/c.md", &file("c", "command: [true]")),
    ]);
    let served = |registry: &Registry| -> Vec<(String, String, String)> {
        let all = registry.subagents().into_iter();
        all.map(|it| (it.name, it.driver, it.provider)).collect()
    };
    let rows = |rows: [[&str; 3]; 4]| rows.map(|[a, b, c]| (a.into(), b.into(), c.into())).to_vec();
    let (plain, _) = place.load(None, None);
    let (mocked, _) = place.load(None, Some("mock"));
    assert_eq!(
        served(&plain),
        rows([
            ["c", "command", "command"],
            ["general-purpose", "model", "model"],
            ["m", "model", "model"],
            ["p", "model", "acme"],
        ])
    );
    assert_eq!(
        served(&mocked),
        rows([
            ["c", "command", "command"],
            ["general-purpose", "mock", "mock"],
            ["m", "mock", "mock"],
            ["p", "mock", "mock"],
        ])
    );
}

#[test]
fn broken_files_are_named_and_the_others_still_load() {
    let place = Place::new(&[
        (".loopwright/agents/good.md", &file("good", "driver: mock")),
        (".loopwright/agents/yaml.md", "---\nname: broken-yaml\ncommand: [a, b\n---\n"),
        (".loopwright/agents/nameless.md", "---\ndescription: x\n---\n"),
        (".loopwright/agents/plain.md", "just text\n"),
        (".loopwright/agents/twin1.md", &file("twin", "driver: mock")),
        (".loopwright/agents/twin2.md", &file("twin", "driver: mock")),
        (".loopwright/agents/wrong.md", &file("wrong", "concurrency: many")),
        (".claude/agents/wrong.md", &file("wrong", "model: sonnet")),
    ]);
    place.write(".loopwright/agents/binary.md", b"---\nname: binary\ndescription: \xff\xfe\n---\n");
    place.write(".loopwright/agents/huge.md", &vec![b'x'; FILE_BYTES_MAX as usize + 1]);
    fs::create_dir(place.0.path().join(".loopwright/agents/folder.md")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.0.path().join(".loopwright/agents/link.md"))
        .unwrap();

    let (registry, diagnostics) = place.load(None, None);
    let told: Vec<String> = diagnostics
        .iter()
        .map(|it| {
            assert_eq!(it.code, Code::DEFINITION_INVALID);
            assert!(it.hint.is_some(), "{it}");
            let at = it.location.as_ref().unwrap();
            let name = at.file.rsplit('/').next().unwrap();
            format!("{name}:{}: {}", at.position.line, it.message)
        })
        .collect();
    let expected = expect_test::expect![[r#"
        [
            "binary.md:3: the file is not UTF-8 text",
            "folder.md:1: a definition must be a file, and this is a directory",
            "huge.md:1: the file is 1048577 bytes (limit 1048576)",
            "link.md:1: the file cannot be read: No such file or directory (os error 2)",
            "nameless.md:1: the definition has no `name`",
            "plain.md:1: the file does not begin with front matter",
            "twin2.md:1: `twin` is defined twice, first in `.loopwright/agents/twin1.md`",
            "wrong.md:3: `concurrency` is `many`",
            "yaml.md:4: front matter is not YAML: while parsing a flow sequence, expected ',' or ']'",
        ]
    "#]];
    expected.assert_debug_eq(&told);
    let names: Vec<_> = registry.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["general-purpose", "good"]);
    for name in ["binary", "folder", "huge", "link", "nameless", "twin", "wrong", "broken-yaml"] {
        let refusal = registry.refusal(name);
        assert_eq!((refusal.code, refusal.sent), (Code::DEFINITION_INVALID, false), "{name}");
        assert!(refusal.message.contains(".md:"), "{}", refusal.message);
    }
    let unknown = registry.refusal("nobody");
    assert_eq!(unknown.code, Code::SUBAGENT_UNKNOWN);
    assert!(unknown.hint.unwrap().contains("`good`"));
}

#[test]
fn a_missing_agents_directory_is_an_error_only_when_it_was_asked_for() {
    let place = Place::new(&[]);
    assert_eq!(place.load(None, None).1, []);
    let (registry, diagnostics) = place.load(Some("nowhere"), None);
    assert!(diagnostics[0].message.contains("`nowhere`"), "{}", diagnostics[0]);
    assert!(registry.get("general-purpose").is_some());
}

#[test]
fn the_digest_covers_everything_that_decides_how_a_subagent_works() {
    let digest = |rest: &str| {
        let place = Place::new(&[(".loopwright/agents/a.md", &file("a", rest))]);
        place.load(None, None).0.get("a").unwrap().digest()
    };
    let plain = digest("command: [a]");
    assert_eq!(plain, digest("command: a"));
    for other in [
        "command: [b]",
        "command: [a, b]",
        "command: [a]\nenv: [X]",
        "command: [a]\neffects: none",
        "command: [a]\ntimeout: 1s",
        "command: [a]\nmock:\n  answer: 1",
        "command: [a]\ntools: [x]",
    ] {
        assert_ne!(plain, digest(other), "{other}");
    }
    assert_eq!(Effects::default(), Effects::External);
}
