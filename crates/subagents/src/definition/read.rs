//! A definition file becomes a [`Definition`], or a [`Problem`] with a line and a hint.

pub(crate) use super::fields::Problem;
use super::fields::{Fields, wrong};
use super::front_matter::{self, NoParts};
use super::words;
use super::yaml::{Key, Node, Value};
use super::{AcpOptions, CommandLine, Definition, MockOptions, MockStep, Runner, Variable};
use loopwright_acp::Permissions;
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
        Runner::Model | Runner::Command(_) | Runner::Acp(_) => Effects::External,
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
        lookup: lookup(&fields, &runner)?,
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
            Some((_, node)) => Ok(Runner::Command(command_line(fields, "command", node)?)),
            None if fields.loose_text("model")? == Some("mock") => Ok(Runner::Mock),
            None => Ok(Runner::Model),
        };
    };
    match (fields.loose_text("driver")?, command) {
        (Some("command"), Some((_, node))) => {
            Ok(Runner::Command(command_line(fields, "command", node)?))
        }
        (Some("acp"), Some((_, command))) => Ok(Runner::Acp(acp(fields, command)?)),
        (Some(driver @ ("command" | "acp")), None) => Err(Problem::new(
            node.position,
            format!("`driver: {driver}` needs a `command`"),
            "add a line such as `command: [python3, worker.py]`",
        )),
        (Some("mock"), _) => Ok(Runner::Mock),
        (Some("model"), _) => Ok(Runner::Model),
        (other, _) => {
            let shown = other.unwrap_or_default().escape_debug();
            let message = format!("`driver` is `{shown}`, which does not exist");
            Err(Problem::new(node.position, message, "use `acp`, `command`, `mock` or `model`"))
        }
    }
}

/// The command that looks up what became of an attempt.
fn lookup(fields: &Fields<'_>, runner: &Runner) -> Result<Option<CommandLine>, Problem> {
    match (fields.find(&["lookup"]), runner) {
        (None, _) => Ok(None),
        (Some((_, node)), Runner::Command(_)) => command_line(fields, "lookup", node).map(Some),
        (Some((key, _)), _) => {
            let message = "`lookup` goes with a `command`, and there is none that it could look up";
            Err(Problem::new(
                key.position,
                message,
                "remove it, or serve the subagent by a command",
            ))
        }
    }
}

/// The field of this name as a command line; directory and environment are the same for all of a definition.
fn command_line(fields: &Fields<'_>, name: &str, node: &Node) -> Result<CommandLine, Problem> {
    let expected = "a list such as `[python3, worker.py]`, or one line of text";
    let problem =
        |node: &Node, message: String| Problem::new(node.position, message, hint(name, expected));
    let words = match &node.value {
        Value::Scalar { text, .. } => {
            words::split(text).map_err(|error| problem(node, format!("`{name}` {error}")))?
        }
        Value::List(items) => {
            let words = items.iter().map(|item| match &item.value {
                Value::Scalar { text, .. } => Ok(text.clone()),
                _ => Err(wrong(name, item, &format!("a list with {}", item.kind()), expected)),
            });
            words.collect::<Result<_, _>>()?
        }
        Value::Map(_) => return Err(wrong(name, node, "a map", expected)),
    };
    if words.iter().any(|word| word.contains('\0')) {
        return Err(problem(node, format!("`{name}` holds a NUL character")));
    }
    let mut words = words.into_iter();
    let program = words.next().filter(|program| !program.is_empty());
    let program = program.ok_or_else(|| problem(node, format!("`{name}` is empty")))?;
    let directory = fields.loose_text("cwd")?.map(Into::into);
    let environment = environment(fields)?;
    Ok(CommandLine { program, arguments: words.collect(), environment, directory })
}

fn acp(fields: &Fields<'_>, command: &Node) -> Result<AcpOptions, Problem> {
    let text = |name| fields.loose_text(name).map(|text| text.map(str::to_owned));
    let permissions = match (fields.find(&["permissions"]), fields.loose_text("permissions")?) {
        (Some((_, node)), Some(word)) => Permissions::parse(word).ok_or_else(|| {
            let words: Vec<_> = Permissions::ALL.iter().map(|(it, _)| format!("`{it}`")).collect();
            wrong("permissions", node, "something else", &words.join(", "))
        })?,
        _ => Permissions::default(),
    };
    Ok(AcpOptions {
        command: command_line(fields, "command", command)?,
        permissions,
        mode: text("mode")?,
        authentication: text("authentication")?,
    })
}

fn hint(name: &str, expected: &str) -> String {
    format!("`{name}` takes {expected}; for a shell write `[sh, -c, \"…\"]`")
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
mod tests;
