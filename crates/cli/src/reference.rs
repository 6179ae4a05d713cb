//! The pages of `docs/reference/` that are generated: settings, and the command line itself.
//! A test compares the committed pages with these.

use crate::args::{Args, Page};
use clap::CommandFactory as _;
use loopwright::types::{SETTINGS, Setting, SettingKind};
use std::fmt::Write as _;

/// The page as Markdown.
pub fn page(page: Page) -> String {
    match page {
        Page::Settings => settings(),
        Page::Cli => cli(),
    }
}

const GENERATED: &str = "<!-- Generated: `UPDATE_EXPECT=1 cargo test -p loopwright-cli --test usage` writes it anew. -->\n";

fn settings() -> String {
    let mut out = format!("# Settings\n\n{GENERATED}\n");
    out.push_str(
        "Every limit is a setting with a name. Precedence: defaults < file < environment < flags.\n\n\
        - File: `.loopwright/settings.toml` or `loopwright.toml` in the workspace; a table is the part of the \
        name before the dot:\n\n  ```toml\n  [run]\n  concurrency = 32\n  ```\n\
        - Environment: `LOOPWRIGHT_` and the name in capitals with `_` for `.`: `LOOPWRIGHT_RUN_CONCURRENCY=32`\n\
        - Flags: `--set run.concurrency=32`, as often as needed\n\n\
        `loopwright settings` shows the values in force and where each comes from. Every run records all of them.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let of = setting.name.split('.').next().unwrap_or_default();
        if of != section {
            section = of;
            let _ = write!(
                out,
                "\n## {section}\n\n| name | default | values | meaning | since |\n|---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {} | {} | {} |",
            setting.name,
            setting.default,
            values(setting),
            setting.doc,
            setting.since
        );
    }
    out
}

fn values(setting: &Setting) -> String {
    match setting.kind {
        SettingKind::Integer { min, max: u64::MAX } => format!("{min} or more"),
        SettingKind::Integer { min, max } => format!("{min} to {max}"),
        SettingKind::Fraction => "0 to 1".to_owned(),
        SettingKind::Text => "text".to_owned(),
        SettingKind::Flag => "`true`, `false`".to_owned(),
    }
}

const EXIT_CODES: &str = "\n## Exit codes\n\n| code | meaning |\n|---|---|\n\
    | 0 | complete: every piece of work was done |\n\
    | 1 | failed: no result, or the command could not do its work |\n\
    | 2 | usage: the command line, a setting, the arguments or the program's path is wrong |\n\
    | 3 | degraded: there is a result, but some work gave nothing; `failures` says which |\n\
    | 4 | parked or paused: the run waits for something outside (a person, a raised ceiling, a provider), or until it is resumed |\n\
    | 130 | cancelled: Ctrl-C, SIGTERM or SIGHUP |\n";

const STREAMS: &str = "\n## Output\n\n\
    stdout is data: the run's result, as text when it is a string, else as JSON on one line. Everything else is \
    on stderr: a live view on a terminal, plain lines on a pipe, errors with their code and a hint. `NO_COLOR`, \
    `CLICOLOR_FORCE` and `TERM=dumb` are honoured. Text of programs and models never reaches a terminal unescaped.\n\n\
    `run --json` prints one event a line: `run.started`, `phase`, `log`, `task.queued`, `task.started`, \
    `task.progress`, `task.attempt` (an attempt ended and the task goes on), `task.ended` (with `status` `done`, \
    `failed` or `cancelled`), `task.lookup` (`looksUp`, an attempt of which nothing is known) and `task.looked_up` \
    (`found`: `done`, `not_done` or `unknown`), the same for `tool.`, `sleep.`, `approve.` and `workflow.`, `guest.started`, \
    `guest.ended`, `dropped`, `unhandled`, `coverage`, `cancel.requested`. Each step of a subagent's loop (a request \
    to a model, a call of a tool, its worktree) is told by `step.queued`, `step.started`, `step.progress`, \
    `step.attempt`, `step.lookup`, `step.looked_up` and `step.ended` with `task`, `step`, `kind` (`model`, `tool`, `resolve`, `worktree`), `turn` \
    (from 1; 0 outside the conversation), `name`, a tool's `args`, and at the end `status`, `attempts`, `ms` and \
    `usage`; what a step gave is not streamed, `show --task --json` has it. A task's `usage` includes that of its \
    steps. `provider.down` (`provider`, `waiting` tasks, `failure`) and `provider.up` (`provider`, `waiting`, `ms`) \
    tell when work waits for a provider. The last line is always one object with `event` `run.finished`, `runId`, \
    `status`, `result`, `failures`, `usage` and, where there is one, `error`.\n\n\
    `show` says how many tokens stayed out of the program: input and output tokens of all tasks, less those of the \
    values handed on, counted as four bytes of JSON each; and what prompt caches saved: tokens read from them times \
    what they would have cost more uncached, where the prices are known.\n\n\
    Ctrl-C once cancels: attempts are ended, what they used is recorded, the run ends as cancelled. Twice ends at once.\n";

fn cli() -> String {
    let mut out = format!("# Command line\n\n{GENERATED}\n");
    let mut command = Args::command();
    command.build();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(out, "{about}");
    for command in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        if command.get_name() != "help" {
            one_command(&mut out, command, command.get_name());
            for inner in command.get_subcommands().filter(|it| it.get_name() != "help") {
                let name = format!("{} {}", command.get_name(), inner.get_name());
                one_command(&mut out, inner, &name);
            }
        }
    }
    out.push_str(STREAMS);
    out.push_str(EXIT_CODES);
    out
}

fn one_command(out: &mut String, command: &clap::Command, name: &str) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let _ = write!(
        out,
        "\n## {name}\n\n{about}.\n\n```\n{usage}\n```\n\n| argument | meaning |\n|---|---|\n"
    );
    for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
        if argument.get_id() == "help" {
            continue;
        }
        let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if argument.get_action().takes_values() && !values.is_empty() {
            let _ = write!(help, " ({})", values.join(", "));
        }
        let default: Vec<_> =
            argument.get_default_values().iter().map(|it| it.to_string_lossy()).collect();
        if argument.get_action().takes_values() && !default.is_empty() {
            let _ = write!(help, " [default: `{}`]", default.join(" "));
        }
        let _ = writeln!(out, "| `{}` | {} |", typed(argument), help.replace('|', "\\|"));
    }
}

/// An argument as it is typed.
fn typed(argument: &clap::Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let Some(long) = argument.get_long() else { return format!("<{value}>") };
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    if argument.get_action().takes_values() {
        format!("{short}--{long} <{}>", value.replace('|', "\\|"))
    } else {
        format!("{short}--{long}")
    }
}
