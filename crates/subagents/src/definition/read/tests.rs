//! What definition files say, and what is wrong with them.

use super::*;
use loopwright_types::Micros;

fn command(text: &str) -> CommandLine {
    match read(&format!("---\nname: a\n{text}\n---\n")).unwrap().runner {
        Runner::Command(line) => line,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_for_claude_code_is_read_as_it_is() {
    let text = "---\nname: code-reviewer\ndescription: Use when reviewing: e.g. pull requests\n\
                tools: Read, Grep, Bash(git log, git diff)\nmodel: inherit\ncolor: blue\n\
                hooks:\n  Stop:\n    - command: x\n---\n\nYou review.\n";
    let definition = read(text).unwrap();
    assert_eq!(definition.name, "code-reviewer");
    assert_eq!(definition.description, "Use when reviewing: e.g. pull requests");
    assert_eq!(definition.tools.unwrap(), ["Read", "Grep", "Bash(git log, git diff)"]);
    assert_eq!((definition.model, definition.runner), (None, Runner::Model));
    assert_eq!(definition.system_prompt, "You review.");
}

#[test]
fn every_field_of_ours_is_read() {
    let text = "---\nname: w\ndriver: command\ncommand: python3 'my worker.py'\ncwd: sub\n\
                effects: local\nconcurrency: 3\ntimeout: 90s\nmax_turns: 5\nreads_untrusted: true\n\
                reads_private: false\ntools: []\nenv:\n  TOKEN:\n  MODE: 1\n---\n";
    let definition = read(text).unwrap();
    assert_eq!(definition.effects, Effects::Local);
    assert_eq!(definition.concurrency, Some(3));
    assert_eq!(definition.timeout, Some(Micros(90_000_000)));
    assert_eq!(definition.max_turns, Some(5));
    let manifest = (definition.reads_untrusted, definition.reads_private);
    assert_eq!(manifest, (Some(true), Some(false)));
    assert_eq!(definition.tools, Some(vec![]));
    let Runner::Command(line) = definition.runner else { panic!() };
    assert_eq!(
        (line.program.as_str(), line.arguments.as_slice()),
        ("python3", &["my worker.py".to_owned()][..])
    );
    assert_eq!(line.directory.unwrap().to_str(), Some("sub"));
    let variable = |name: &str, value: Option<&str>| Variable {
        name: name.into(),
        value: value.map(Into::into),
    };
    assert_eq!(line.environment, [variable("TOKEN", None), variable("MODE", Some("1"))]);
    let listed = command("command: [a]\nenv: [TOKEN, MODE=a=b]").environment;
    assert_eq!(listed, [variable("TOKEN", None), variable("MODE", Some("a=b"))]);
}

#[test]
fn a_lookup_is_a_command_with_the_directory_and_environment_of_the_command_itself() {
    let text = "---\nname: w\ncommand: [send]\nlookup: python3 'was it.py' --sent\ncwd: sub\nenv: [MODE=1]\n---\n";
    let definition = read(text).unwrap();
    let Runner::Command(line) = &definition.runner else { panic!() };
    let lookup = definition.lookup.as_ref().unwrap();
    assert_eq!(lookup.program, "python3");
    assert_eq!(lookup.arguments, ["was it.py", "--sent"]);
    assert_eq!((&lookup.directory, &lookup.environment), (&line.directory, &line.environment));
    assert!(definition.subagent().lookup);
    let without = read("---\nname: w\ncommand: [send]\n---\n").unwrap();
    assert!(!without.subagent().lookup && without.digest() != definition.digest());
    let cases = [
        ("model: sonnet\nlookup: [look]", "`lookup` goes with a `command`"),
        ("driver: acp\ncommand: agent\nlookup: [look]", "`lookup` goes with a `command`"),
        ("command: [a]\nlookup: []", "`lookup` is empty"),
        ("command: [a]\nlookup: {a: b}", "`lookup` is a map"),
    ];
    for (text, message) in cases {
        let problem = read(&format!("---\nname: w\n{text}\n---\n")).unwrap_err();
        assert!(problem.message.contains(message), "{text}: {}", problem.message);
    }
}

#[test]
fn an_agent_over_the_protocol_is_rejected_everything_unless_its_definition_says_otherwise() {
    let acp = |text: &str| {
        let text = format!("---\nname: a\ndriver: acp\ncommand: agent --acp\n{text}\n---\n");
        let definition = read(&text).unwrap();
        assert_eq!(definition.effects, Effects::External);
        match definition.runner {
            Runner::Acp(options) => options,
            other => panic!("{other:?}"),
        }
    };
    let plain = acp("");
    assert_eq!((plain.command.program.as_str(), plain.permissions), ("agent", Permissions::Reject));
    assert_eq!((plain.mode, plain.authentication), (None, None));
    let full = acp("permissions: allow-reads\nmode: plan\nauthentication: key\nenv: KEY");
    assert_eq!(full.permissions, Permissions::AllowReads);
    assert_eq!((full.mode.as_deref(), full.authentication.as_deref()), (Some("plan"), Some("key")));
    assert_eq!(full.command.environment[0].name, "KEY");
    assert_eq!(acp("permissions: allow-once").permissions, Permissions::AllowOnce);
}

#[test]
fn effects_default_to_the_worst_for_what_runs_and_to_none_for_a_mock() {
    let effects = |text: &str| read(&format!("---\nname: a\n{text}\n---\n")).unwrap().effects;
    assert_eq!(effects("command: [a]"), Effects::External);
    assert_eq!(effects("model: sonnet"), Effects::External);
    assert_eq!(effects("driver: mock"), Effects::None);
    assert_eq!(effects("driver: mock\neffects: external"), Effects::External);
}

#[test]
fn mock_options_are_read_with_null_as_an_answer() {
    let text = "---\nname: a\ndriver: mock\nmock:\n  latency_ms: 10\n  failure_rate: 0.5\n  answer: null\n\
                \x20 script:\n    - error: down\n    - error: gone\n      retryable: false\n    - answer: {a: [1]}\n---\n";
    let mock = read(text).unwrap().mock;
    assert_eq!((mock.latency_ms, mock.failure_rate), (Some(10), Some(0.5)));
    assert_eq!(mock.answer.unwrap().text(), "null");
    let steps = [
        MockStep::Error("down".into(), true),
        MockStep::Error("gone".into(), false),
        MockStep::Answer(loopwright_protocol::Json::parse("{\"a\":[1]}".into()).unwrap()),
    ];
    assert_eq!(mock.script, steps);
}

#[test]
fn what_does_not_fit_is_refused_with_its_line_and_a_hint() {
    let cases = [
        ("", 1, "no `name`"),
        ("name:", 1, "no `name`"),
        ("name: 12", 2, "`name` is a number, not text"),
        ("name: [a]", 2, "`name` is a list"),
        ("name: a\ndriver: smtp", 3, "`driver` is `smtp`"),
        ("name: a\ndriver: command", 3, "needs a `command`"),
        ("name: a\ndriver: acp", 3, "`driver: acp` needs a `command`"),
        (
            "name: a\ndriver: acp\ncommand: b\npermissions: allow",
            5,
            "`permissions` is something else",
        ),
        ("name: a\ncommand: []", 3, "`command` is empty"),
        ("name: a\ncommand: a | b", 3, "only a shell"),
        ("name: a\ncommand: {a: b}", 3, "`command` is a map"),
        ("name: a\ncommand: [[a]]", 3, "a list with a list"),
        ("name: a\nconcurrency: 0", 3, "`concurrency` is `0`"),
        ("name: a\ntimeout: soon", 3, "`timeout` is `soon`"),
        ("name: a\neffects: some", 3, "`effects` is something else"),
        ("name: a\nreads_private: maybe", 3, "`reads_private` is text"),
        ("name: a\ncommand: [a]\nenv: [A B]", 4, "`env` names a variable `A B`"),
        ("name: a\nmock:\n  latency: 3", 4, "no field `latency`"),
        ("name: a\nmock:\n  failure_rate: 2", 4, "`failure_rate` is `2`"),
        ("name: a\ntools: {a: b}", 3, "`tools` is a map"),
        ("name: a\nmodel: [x", 4, "not YAML"),
        ("name: a\nname: b", 3, "given twice"),
    ];
    for (front, line, part) in cases {
        let problem = read(&format!("---\n{front}\n---\nbody")).unwrap_err();
        assert!(problem.message.contains(part), "{front}: {}", problem.message);
        assert_eq!(problem.position.line, line, "{front}: {}", problem.message);
        assert!(!problem.hint.is_empty());
    }
}

#[test]
fn no_front_matter_makes_the_reader_panic_or_hang() {
    let pieces = [
        "name: a",
        "description: ",
        "command: ",
        "mock:",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\n  ",
        ": ",
        "\"",
        "'",
        "#",
        "|",
        ">-",
        "*x",
        "&x ",
        "!!str ",
        "? ",
        "---",
        "...",
        "%YAML",
        "\t",
        "\r",
        "\u{0}",
        "\u{feff}",
        "\u{85}",
        "é",
        "😀",
        "\\",
        "@",
        "`",
        "null",
        "1e9",
        "script:",
        "answer: ",
        "env: ",
        "~",
        ",",
    ];
    let mut draw = crate::mock::Draw::new(20_260);
    for round in 0..5_000 {
        let count = draw.below(12);
        let noise: String = (0..count).map(|_| draw.pick(&pieces)).collect();
        // Whatever comes of it is fine, as long as something comes of it.
        if let Ok(definition) = read(&format!("---\nname: n\n{noise}\n---\nbody")) {
            assert!(!definition.name.is_empty(), "round {round}: {noise}");
            definition.digest();
        }
    }
}
