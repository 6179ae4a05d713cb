//! A definition file becomes a [`Definition`], or a [`Problem`] with a line and a hint.

pub(crate) use super::fields::Problem;
use super::fields::{Fields, wrong};
use super::front_matter::{self, NoParts};
use super::words;
use super::yaml::{Key, Node, Value};
use super::{CommandLine, Definition, MockOptions, MockStep, Runner, Variable};
use loopwright_types::{Effects, Position};

/// Longest name of a subagent, in bytes.
const NAME_BYTES_MAX: usize = 200;
const START: Position = Position { line: 1, column: 1 };

/// Reads a definition file.
pub(crate) fn read(text: &str) -> Result<Definition, Problem> {
    let parts = front_matter::split(text).map_err(|error| match error {
        NoParts::NotBegun => Problem::new(
            START,
            "the file does not begin with front matter",
            "begin with a line `---`, then `name: …` and other fields, then `---` and the system prompt",
        ),
        NoParts::NotEnded => Problem::new(
            START,
            "the front matter is never closed",
            "end it with a line that is just `---`",
        ),
    })?;
    let members = front_matter::read(parts.front).map_err(|error| {
        let hint = "quote text that holds `: `, `#`, quotes or brackets; indent with spaces";
        Problem::new(error.position, format!("front matter is not YAML: {}", error.message), hint)
    })?;
    let fields = Fields::new(&members);
    let runner = runner(&fields)?;
    let absent = match runner {
        Runner::Mock => Effects::None,
        Runner::Model | Runner::Command(_) => Effects::External,
    };
    Ok(Definition {
        name: name(&fields)?,
        description: fields.loose_text("description")?.unwrap_or_default().trim().to_owned(),
        model: model(&fields)?,
        tools: fields.texts("tools")?.filter(|tools| tools != &["*"]),
        disallowed_tools: fields.texts("disallowedTools")?,
        effects: effects(&fields)?.unwrap_or(absent),
        concurrency: fields.whole(&["concurrency"], 1)?.map(saturate),
        timeout: timeout(&fields)?,
        max_turns: fields.whole(&["max_turns", "maxTurns"], 1)?.map(saturate),
        reads_untrusted: fields.flag("reads_untrusted")?,
        reads_private: fields.flag("reads_private")?,
        mock: mock(&fields)?,
        system_prompt: parts.body.to_owned(),
        source: None,
        runner,
    })
}

fn saturate(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn name(fields: &Fields<'_>) -> Result<String, Problem> {
    let Some(name) = fields.text("name")? else {
        return Err(Problem::new(
            START,
            "the definition has no `name`",
            "add a line `name: …` to the front matter",
        ));
    };
    let name = name.trim();
    let fits =
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    let at = fields.find(&["name"]).map_or(START, |(_, node)| node.position);
    let problem = || {
        let message = "`name` is empty, too long or holds control characters";
        Problem::new(at, message, format!("use one line of at most {NAME_BYTES_MAX} bytes"))
    };
    if fits { Ok(name.to_owned()) } else { Err(problem()) }
}

fn model(fields: &Fields<'_>) -> Result<Option<String>, Problem> {
    let model = fields.loose_text("model")?.map(str::trim);
    Ok(model.filter(|model| !model.is_empty() && *model != "inherit").map(str::to_owned))
}

fn effects(fields: &Fields<'_>) -> Result<Option<Effects>, Problem> {
    let Some((key, node)) = fields.find(&["effects", "effect"]) else { return Ok(None) };
    let effects = match &node.value {
        Value::Scalar { text, .. } => match text.as_str() {
            "none" => Some(Effects::None),
            "local" => Some(Effects::Local),
            "external" => Some(Effects::External),
            _ => None,
        },
        _ => None,
    };
    let expected = "`none`, `local` or `external`";
    effects.map(Some).ok_or_else(|| wrong(&key.text, node, "something else", expected))
}

fn timeout(fields: &Fields<'_>) -> Result<Option<loopwright_types::Micros>, Problem> {
    let millis = fields.whole(&["timeout_ms", "timeoutMs"], 1)?;
    match millis {
        Some(millis) => Ok(Some(loopwright_types::Micros::from_millis(millis))),
        None => fields.duration("timeout"),
    }
}

/// Which driver serves it. A command needs no `driver`; `model: mock` is the mock driver.
fn runner(fields: &Fields<'_>) -> Result<Runner, Problem> {
    let command = fields.find(&["command"]);
    let Some((_, node)) = fields.find(&["driver"]) else {
        return match command {
            Some((_, node)) => Ok(Runner::Command(command_line(fields, node)?)),
            None if fields.loose_text("model")? == Some("mock") => Ok(Runner::Mock),
            None => Ok(Runner::Model),
        };
    };
    match (fields.loose_text("driver")?, command) {
        (Some("command"), Some((_, node))) => Ok(Runner::Command(command_line(fields, node)?)),
        (Some("command"), None) => Err(Problem::new(
            node.position,
            "`driver: command` needs a `command`",
            "add a line such as `command: [python3, worker.py]`",
        )),
        (Some("mock"), _) => Ok(Runner::Mock),
        (Some("model"), _) => Ok(Runner::Model),
        (other, _) => {
            let shown = other.unwrap_or_default().escape_debug();
            let message = format!("`driver` is `{shown}`, which does not exist");
            Err(Problem::new(node.position, message, "use `command`, `mock` or `model`"))
        }
    }
}

fn command_line(fields: &Fields<'_>, node: &Node) -> Result<CommandLine, Problem> {
    let expected = "a list such as `[python3, worker.py]`, or one line of text";
    let problem =
        |node: &Node, message: String| Problem::new(node.position, message, hint(expected));
    let words = match &node.value {
        Value::Scalar { text, .. } => {
            words::split(text).map_err(|error| problem(node, format!("`command` {error}")))?
        }
        Value::List(items) => {
            let words = items.iter().map(|item| match &item.value {
                Value::Scalar { text, .. } => Ok(text.clone()),
                _ => Err(wrong("command", item, &format!("a list with {}", item.kind()), expected)),
            });
            words.collect::<Result<_, _>>()?
        }
        Value::Map(_) => return Err(wrong("command", node, "a map", expected)),
    };
    if words.iter().any(|word| word.contains('\0')) {
        return Err(problem(node, "`command` holds a NUL character".to_owned()));
    }
    let mut words = words.into_iter();
    let program = words.next().filter(|program| !program.is_empty());
    let program = program.ok_or_else(|| problem(node, "`command` is empty".to_owned()))?;
    let directory = fields.loose_text("cwd")?.map(Into::into);
    let environment = environment(fields)?;
    Ok(CommandLine { program, arguments: words.collect(), environment, directory })
}

fn hint(expected: &str) -> String {
    format!("`command` takes {expected}; for a shell write `[sh, -c, \"…\"]`")
}

/// `env` as a list (`[TOKEN, MODE=fast]`), as text with commas, or as a map (`TOKEN:` passes ours through).
fn environment(fields: &Fields<'_>) -> Result<Vec<Variable>, Problem> {
    let Some((_, node)) = fields.find(&["env"]) else { return Ok(Vec::new()) };
    let variables = match &node.value {
        Value::Map(members) => members.iter().map(member).collect::<Result<Vec<_>, _>>()?,
        _ => {
            let texts = fields.texts("env")?.unwrap_or_default().into_iter();
            let read = |text: String| match text.split_once('=') {
                Some((name, value)) => Variable { name: name.into(), value: Some(value.into()) },
                None => Variable { name: text, value: None },
            };
            texts.map(read).collect()
        }
    };
    let named = |name: &str| !name.is_empty() && !name.contains(['=', '\0', ' ', '\n']);
    let fits = |it: &Variable| {
        named(&it.name) && !it.value.as_ref().is_some_and(|value| value.contains('\0'))
    };
    match variables.iter().find(|variable| !fits(variable)) {
        None => Ok(variables),
        Some(bad) => Err(Problem::new(
            node.position,
            format!("`env` names a variable `{}`", bad.name.escape_debug()),
            "write `env: [NAME, OTHER=value]` or `NAME: value` lines",
        )),
    }
}

fn member((key, node): &(Key, Node)) -> Result<Variable, Problem> {
    let name = key.text.clone();
    match &node.value {
        _ if node.is_null() => Ok(Variable { name, value: None }),
        Value::Scalar { text, .. } => Ok(Variable { name, value: Some(text.clone()) }),
        _ => Err(wrong("env", node, &format!("a map with {}", node.kind()), "names and texts")),
    }
}

fn mock(fields: &Fields<'_>) -> Result<MockOptions, Problem> {
    let Some((_, node)) = fields.find(&["mock"]) else { return Ok(MockOptions::default()) };
    let Value::Map(members) = &node.value else {
        return Err(wrong("mock", node, node.kind(), "fields such as `latency_ms: 100`"));
    };
    let known = [
        "latency_ms",
        "latency_spread_ms",
        "failure_rate",
        "null_rate",
        "invalid_rate",
        "hostile_rate",
        "output_tokens",
        "answer",
        "script",
    ];
    if let Some((key, _)) = members.iter().find(|(key, _)| !known.contains(&&*key.text)) {
        let message = format!("`mock` has no field `{}`", key.text.escape_debug());
        let hint = format!("it takes {}", known.join(", "));
        return Err(Problem::new(key.position, message, hint));
    }
    let own = Fields::new(members);
    // An answer of `null` is an answer, so it is looked up without skipping nothing.
    let answer = members.iter().find(|(key, _)| key.text == "answer").map(|(_, node)| node.json());
    Ok(MockOptions {
        latency_ms: own.whole(&["latency_ms"], 0)?,
        latency_spread_ms: own.whole(&["latency_spread_ms"], 0)?,
        failure_rate: own.fraction("failure_rate")?,
        null_rate: own.fraction("null_rate")?,
        invalid_rate: own.fraction("invalid_rate")?,
        hostile_rate: own.fraction("hostile_rate")?,
        output_tokens: own.whole(&["output_tokens"], 0)?,
        answer,
        script: script(&own)?,
    })
}

/// Steps are `{answer: …}` or `{error: text, retryable: true}`.
fn script(own: &Fields<'_>) -> Result<Vec<MockStep>, Problem> {
    let Some((_, node)) = own.find(&["script"]) else { return Ok(Vec::new()) };
    let expected = "a list of `{answer: …}` and `{error: text, retryable: true}`";
    let Value::List(items) = &node.value else {
        return Err(wrong("script", node, node.kind(), expected));
    };
    let step = |item: &Node| {
        let Value::Map(members) = &item.value else {
            return Err(wrong("script", item, &format!("a list with {}", item.kind()), expected));
        };
        let own = Fields::new(members);
        if let Some((_, answer)) = members.iter().find(|(key, _)| key.text == "answer") {
            return Ok(MockStep::Answer(answer.json()));
        }
        let Some(error) = own.loose_text("error")? else {
            return Err(wrong("script", item, "a list with another step", expected));
        };
        Ok(MockStep::Error(error.to_owned(), own.flag("retryable")?.unwrap_or(true)))
    };
    items.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
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
            ("name: a\ndriver: acp", 3, "`driver` is `acp`"),
            ("name: a\ndriver: command", 3, "needs a `command`"),
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
}
