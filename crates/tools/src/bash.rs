//! `bash`: a command in a sandbox, and what a model is told of its end.

use crate::argument::{Argument, Arguments, Kind};
use crate::context::Context;
use crate::refusal::{argument, quoted};
use crate::sandbox::{self, End, Ended, Request, Stopped};
use loopwright_types::{Code, Failure, Reason};
use std::time::Duration;

/// The tool's own name.
pub(crate) const NAME: &str = "bash";
/// What it does.
pub(crate) const DOC: &str = "Runs a shell command in the workspace and gives its exit status and output. It may write \
    only in the workspace and, for this one call, in `$TMPDIR`; it reads the workspace and the system's programs, \
    nothing of the home directory; it has no network unless that was granted. Nothing runs on after the call.";
/// What it takes.
pub(crate) const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "command",
        aliases: &["cmd", "script"],
        kind: Kind::Text,
        doc: "the command, as for `bash -c`",
    },
    Argument {
        name: "timeoutMs",
        aliases: &["timeout", "timeoutmilliseconds"],
        kind: Kind::Count(1),
        doc: "how long it may run, in milliseconds; two minutes when absent",
    },
    Argument {
        name: "description",
        aliases: &[],
        kind: Kind::Text,
        doc: "what it is for, for people who read along",
    },
];

/// How long a command may run that does not say.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The kernel takes no longer argument than 128 KiB.
const COMMAND_BYTES_MAX: usize = 120_000;
/// Room kept for the lines around the output.
const NOTICE_BYTES: usize = 1_000;

/// Runs the command.
pub(crate) fn call(context: &Context<'_>, arguments: &Arguments) -> Result<String, Failure> {
    let command = arguments.required("command")?;
    if command.len() > COMMAND_BYTES_MAX || command.contains('\0') {
        let message = format!(
            "`command` of `{NAME}` is longer than {COMMAND_BYTES_MAX} bytes or holds a zero byte"
        );
        return Err(argument(message).hint("write a script with `write_file` and run that"));
    }
    permit(context, command)?;
    if (context.cancelled)() {
        return Err(crate::refusal::cancelled(NAME));
    }
    let mut options = context.options.bash.clone();
    let room = context.bytes_max.saturating_sub(NOTICE_BYTES) / 2;
    options.output_bytes_max = options.output_bytes_max.min(room);
    let asked = arguments.count("timeoutMs").map_or(TIMEOUT, Duration::from_millis);
    let timeout = asked.min(options.timeout);
    let (root, cancelled, options) = (context.root, context.cancelled, &options);
    let ended = sandbox::run(&Request { root, options, command, timeout, cancelled })?;
    if ended.stopped == Some(Stopped::Cancelled) {
        // It ran: what it did is done.
        return Err(Failure::new(
            Reason::Cancelled,
            Code::CANCELLED,
            format!("`{NAME}` was cancelled"),
        ));
    }
    Ok(told(&ended, timeout, options))
}

fn permit(context: &Context<'_>, command: &str) -> Result<(), Failure> {
    let restrictions = context.restrictions;
    if restrictions.is_empty() || restrictions.iter().any(|only| only.permits_command(command)) {
        return Ok(());
    }
    let forms: Vec<String> = restrictions
        .iter()
        .map(|only| crate::Allowed { tool: NAME, only: Some(only.clone()) })
        .map(|allowed| format!("`{allowed}`"))
        .collect();
    let message = format!("this subagent may not run `{}`", quoted(command));
    let hint =
        format!("it may run {}; after a prefix only plain words, no quotes", forms.join(", "));
    Err(Failure::new(Reason::Policy, Code::TOOL_NOT_ALLOWED, message).hint(hint).not_sent())
}

fn told(ended: &Ended, timeout: Duration, options: &crate::options::BashOptions) -> String {
    let mut text = match ended.end {
        End::Exit(status) => format!("exit status: {status}"),
        End::Signal(signal) => format!("ended by signal {signal}{}", named(signal)),
        End::Unknown => "it ended without a status".to_owned(),
    };
    match ended.stopped {
        Some(Stopped::Timeout) => {
            text.push_str(&format!("\nstopped: it ran longer than {} ms", timeout.as_millis()));
        }
        Some(Stopped::Processes) => {
            let most = options.processes_max;
            text.push_str(&format!(
                "\nstopped: more than {most} processes (`tools.bash_processes_max`)"
            ));
        }
        Some(Stopped::Memory) => {
            let most = options.memory_bytes >> 20;
            text.push_str(&format!(
                "\nstopped: more than {most} MiB of memory (`tools.bash_memory_mb`)"
            ));
        }
        Some(Stopped::Cancelled) | None => {}
    }
    if ended.leftovers > 0 && ended.stopped.is_none() {
        let processes = if ended.leftovers == 1 { "process" } else { "processes" };
        text.push_str(&format!(
            "\nended {} {processes} left running in the background",
            ended.leftovers
        ));
    }
    if ended.gave_up {
        text.push_str("\nsome of its processes could not be ended");
    }
    for (name, kept) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        if !kept.is_empty() {
            let output = kept.text();
            text.push_str(&format!(
                "\n--- {name}\n{}",
                output.strip_suffix('\n').unwrap_or(&output)
            ));
        }
    }
    if ended.stdout.is_empty() && ended.stderr.is_empty() {
        text.push_str("\n(no output)");
    }
    text
}

/// What the signals of limits mean.
fn named(signal: i32) -> &'static str {
    match signal {
        9 => " (killed)",
        11 => " (invalid memory access)",
        15 => " (terminated)",
        24 => " (its CPU time is up: `tools.bash_cpu_ms`)",
        25 => " (a file became too large: `tools.bash_file_mb`)",
        31 => " (a system call that the sandbox forbids)",
        _ => "",
    }
}
