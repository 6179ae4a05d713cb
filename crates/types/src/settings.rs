//! Every named setting with its default, range and meaning: the one place where limits are defined.
//!
//! Precedence is the caller's: defaults < file < environment < flags. The reference page
//! `docs/reference/settings.md` is generated from [`SETTINGS`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SettingKind {
    /// A whole number within the range, both ends included.
    Integer {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A number from 0 to 1.
    Fraction,
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// For [`SettingKind::Flag`].
    Flag(bool),
    /// For [`SettingKind::Integer`].
    Integer(u64),
    /// For [`SettingKind::Fraction`].
    Fraction(f64),
    /// For [`SettingKind::Text`].
    Text(String),
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Fraction(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// One setting as documented.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Dotted name; the unit comes last.
    pub name: &'static str,
    /// What values it takes.
    pub kind: SettingKind,
    /// The default, as written in a file.
    pub default: &'static str,
    /// What it does, one or two sentences.
    pub doc: &'static str,
    /// The first version that had it.
    pub since: &'static str,
}

const fn integer(min: u64, max: u64) -> SettingKind {
    SettingKind::Integer { min, max }
}

macro_rules! settings {
    ($($name:literal $kind:expr, $default:literal, $doc:literal;)*) => {
        /// All settings in alphabetical order.
        pub const SETTINGS: &[Setting] = &[
            $(Setting { name: $name, kind: $kind, default: $default, doc: $doc, since: "0.1.0" }),*
        ];
    };
}

settings! {
    "acp.message_bytes_max" integer(65_536, 1 << 30), "33554432", "Bytes of one message of an agent that speaks the Agent Client Protocol.";
    "acp.output_bytes_max" integer(65_536, 1 << 40), "1073741824", "Bytes that such an agent may write in one attempt, all messages together.";
    "acp.start_ms" integer(100, 3_600_000), "60000", "Time for such an agent to start, greet and open its session; the task is sent after that.";
    "budget.tokens" integer(0, u64::MAX), "0", "Ceiling on all tokens of a run, set by the operator; 0 is none. At the ceiling the run parks instead of failing.";
    "budget.usd_micros" integer(0, u64::MAX), "0", "Ceiling on a run's money in millionths of a US dollar, set by the operator; 0 is none. At the ceiling the run parks instead of failing.";
    "guest.cpu_ms" integer(1, 600_000), "2000", "Computing allowed between two waits. Counted in deterministic gas, so the same program stops at the same place on every machine.";
    "guest.memory_mb" integer(4, 4000), "64", "Heap of one guest in MiB.";
    "guest.output_bytes_max" integer(1024, 1 << 30), "33554432", "Bytes a guest may write in one turn, calls and log lines together; at most a quarter of `guest.memory_mb`.";
    "guest.rest_after_ms" integer(1, 86_400_000), "30000", "When nothing has happened in a run for this long, it gives up its threads, and its guests are snapshotted to a file and dropped, and brought back for their next turn.";
    "guest.safety_ms" integer(100, 3_600_000), "20000", "Wall-clock time after which a turn that does not answer is stopped from outside. Never an outcome a program can observe.";
    "guest.value_bytes_max" integer(256, 1 << 28), "1000000", "Size of one JSON value that crosses between program and host.";
    "guest.value_depth_max" integer(4, 512), "128", "Nesting depth of one JSON value that crosses between program and host.";
    "guest.value_keys_max" integer(16, 10_000_000), "100000", "Object members and array elements of one JSON value that crosses between program and host.";
    "journal.inline_bytes_max" integer(1024, 1 << 28), "65536", "Size of one recorded value above which it is stored once, by its SHA-256, for all calls and runs that have the same one.";
    "journal.lease_ms" integer(1000, 3_600_000), "30000", "How long a run stays with a process that gives no sign of life before another may take it over; a sign is given every third of it. A process that is known to be gone is not waited for.";
    "mcp.connect_timeout_ms" integer(1, 3_600_000), "30000", "Time for one MCP server to start, say what it speaks and list its tools.";
    "mcp.message_bytes_max" integer(1024, 1 << 30), "16777216", "Size of one message of an MCP server; a larger one fails the call it answers.";
    "mcp.probe_timeout_ms" integer(1, 600_000), "5000", "How long an MCP server may leave the question unanswered which revisions it speaks, before the older handshake is tried.";
    "mcp.result_bytes_max" integer(256, 1 << 28), "900000", "Size of one result of an MCP tool as JSON; a larger one fails the call.";
    "mcp.stderr_bytes_max" integer(0, 1 << 24), "16384", "How much of an MCP server's standard error is kept for error messages, its last bytes.";
    "mcp.timeout_ms" integer(1, 86_400_000), "60000", "How long a call of an MCP tool may give no sign of life; progress starts it anew.";
    "mcp.timeout_total_ms" integer(1, 86_400_000), "600000", "Time for one call of an MCP tool, however much progress it reports.";
    "mcp.tools_max" integer(1, 100_000), "1000", "Tools, resources or prompts one MCP server may list; more tools are left out and reported, a longer list of the others fails.";
    "mock.failure_rate" SettingKind::Fraction, "0", "Share of mock attempts that fail, drawn from `mock.seed`.";
    "mock.hostile_rate" SettingKind::Fraction, "0", "Share of mock answers that are hostile values: `__proto__` members, control characters, very long or wrongly typed text.";
    "mock.invalid_rate" SettingKind::Fraction, "0", "Share of mock answers that do not match their response schema.";
    "mock.latency_ms" integer(0, 86_400_000), "0", "How long a mock attempt takes.";
    "mock.latency_spread_ms" integer(0, 86_400_000), "0", "Adds an evenly drawn extra latency of up to this much to a mock attempt.";
    "mock.null_rate" SettingKind::Fraction, "0", "Share of mock answers that are `null`.";
    "mock.output_tokens" integer(0, 1_000_000_000), "0", "Output tokens a mock attempt reports; 0 counts a quarter of its answer's UTF-8 bytes, rounded up.";
    "mock.seed" integer(0, u64::MAX), "1", "Seed of everything the mock subagent draws.";
    "model.default" SettingKind::Text, "", "Model of subagents that name none, as `provider:model`, an alias or a tier; empty is none.";
    "model.output_tokens_max" integer(0, 10_000_000), "0", "Most output tokens of one reply of a model; 0 is the model's own limit.";
    "provider.attempt_ms" integer(1, 86_400_000), "1800000", "Time for one request to a model, from its start to the last byte of the reply.";
    "provider.breaker_failures" integer(1, 10_000), "8", "Failures in a row, refusals for too many requests excepted, after which a provider counts as down: one request at a time asks whether it is back, everything else waits.";
    "provider.cache_prefix_tokens" integer(0, 10_000_000), "1024", "Size of a shared prompt prefix from which siblings wait until the first response begins, so that the provider writes it to its cache once.";
    "provider.connect_ms" integer(1, 86_400_000), "10000", "Time for a connection to a model provider to be made.";
    "provider.count_untold" SettingKind::Flag, "true", "Asks a provider to count the tokens that it did not tell of a reply that broke off, where it can: a request that costs nothing but counts against a limit of requests. Without it they are estimated.";
    "provider.first_byte_ms" integer(1, 86_400_000), "120000", "Time from the start of a request to a model to the first byte of its reply.";
    "provider.idle_ms" integer(1, 86_400_000), "120000", "Longest silence between two pieces of a model's reply.";
    "provider.probe_max_ms" integer(1, 86_400_000), "30000", "Longest time between two requests to a provider that is down; it starts at one second and doubles.";
    "provider.read_on_ms" integer(0, 86_400_000), "30000", "How long a reply that is spoilt is read on for the tokens that it tells at its end, while its next attempt waits; 0 hangs up at once, and what was not told is counted or estimated.";
    "provider.reply_bytes_max" integer(1024, 1 << 32), "67108864", "Size of one reply of a model as sent by the provider, framing included.";
    "provider.retries" integer(0, 1000), "8", "Retries of one request to a model where the call gives no `retries`; they also come out of one budget for each provider, which its successes fill.";
    "run.calls_max" integer(1, 100_000_000), "1000000", "Calls of any kind one run may make, tools and sleeps included; the next one fails with `limit`.";
    "run.concurrency" integer(1, 100_000), "16", "Attempts of one run under way at once. Does not depend on the number of cores.";
    "run.concurrency_per_provider" integer(1, 100_000), "1000", "Attempts under way at once at one provider (`command`, `mock`, a model's provider).";
    "run.concurrency_per_subagent" integer(1, 100_000), "1000", "Attempts under way at once of one subagent type; a definition's `concurrency` narrows it.";
    "run.items_per_call_max" integer(1, 10_000_000), "4096", "Items one call of `parallel`, `pipeline`, `settle` and the like may be given.";
    "run.seed" integer(0, u64::MAX), "0", "Seed of the program's `Math.random` and of the engine's jitter; 0 draws a new one for each run. The seed used is journalled.";
    "run.tasks_max" integer(1, 10_000_000), "1000", "Tasks one run may start, nested programs included; the next one fails with `limit`.";
    "run.workflow_depth_max" integer(0, 64), "3", "How deeply `workflow()` may nest.";
    "schema.bytes_max" integer(64, 1 << 24), "65536", "Size of one response schema.";
    "schema.depth_max" integer(2, 256), "32", "Nesting depth of one response schema.";
    "task.answer_bytes_max" integer(256, 1 << 28), "1000000", "Size of one answer of a subagent.";
    "task.backoff_max_ms" integer(0, 86_400_000), "30000", "Longest wait before a retry.";
    "task.backoff_ms" integer(0, 86_400_000), "500", "Longest wait before the first retry; doubles with each one. The wait itself is drawn evenly from zero to that (full jitter).";
    "task.lookup_timeout_ms" integer(1, 86_400_000), "60000", "Time for one lookup of what became of a call that was sent by a process that has ended; without an answer by then the call waits for a person.";
    "task.retries" integer(0, 1000), "2", "Retries after a retryable failure, where the subagent's effects are `none` or nothing was sent.";
    "task.schema_retries" integer(0, 100), "2", "How often an answer that does not match its schema goes back to the subagent with the errors.";
    "task.timeout_ms" integer(1, 31_536_000_000), "1800000", "Time for one task from its first dispatch, retries included.";
    "task.turns_max" integer(1, 100_000), "50", "Requests to the model that one subagent may make, where neither the call nor the definition gives `maxTurns`; re-asks are not counted.";
    "tools.allow" SettingKind::Text, "glob,grep,ls,read_file", "Tools that programs may call, separated by commas.";
    "tools.bash_cpu_ms" integer(1000, 31_536_000_000), "600000", "Computing allowed to each process of a `bash` command, in whole seconds, rounded up.";
    "tools.bash_file_mb" integer(1, 1_048_576), "1024", "Size in MiB of a file that a `bash` command writes.";
    "tools.bash_memory_mb" integer(16, 16_777_216), "4096", "Memory in MiB of a `bash` command: for each process, and for all of them together.";
    "tools.bash_network" SettingKind::Flag, "false", "Gives `bash` commands the network, all of it. They then count as effects on others.";
    "tools.bash_open_files_max" integer(16, 1_048_576), "1024", "Files that each process of a `bash` command may have open.";
    "tools.bash_output_bytes_max" integer(256, 1 << 28), "30000", "Bytes kept of each output of a `bash` command, half from its start and half from its end.";
    "tools.bash_paths" SettingKind::Text, "", "Absolute paths outside the workspace that `bash` commands may read and run programs from, separated by commas: `/home/ada/.cargo,/home/ada/.rustup`. Each and its `bin` come first in `PATH`.";
    "tools.bash_processes_max" integer(1, 1_000_000), "1024", "Processes and threads of a `bash` command at once.";
    "tools.bash_timeout_ms" integer(1, 31_536_000_000), "600000", "Longest time for one `bash` command; one that does not ask for a time gets two minutes.";
    "tools.bash_unsandboxed" SettingKind::Flag, "false", "Runs `bash` also where the kernel cannot confine it (no Landlock). Where it can, it does.";
    "tools.fetch_bytes_max" integer(256, 1 << 30), "5000000", "Bytes read of one answer to `fetch`; a longer one is cut and says so.";
    "tools.fetch_hosts" SettingKind::Text, "", "Hosts that `fetch` may ask, separated by commas: `example.org`, `*.example.org`, `localhost:8080`. Empty is none.";
    "tools.fetch_private" SettingKind::Flag, "false", "Lets `fetch` connect to listed hosts on private networks and this machine.";
    "tools.fetch_timeout_ms" integer(1, 3_600_000), "30000", "Time for one `fetch`, redirects and body included.";
    "tools.result_bytes_max" integer(256, 1 << 28), "900000", "Size of one tool result; a longer one is cut at a line and says so.";
    "tools.subagents" SettingKind::Text, "bash,edit_file,fetch,glob,grep,ls,read_file,write_file", "Tools that subagents may call, separated by commas; a definition's `tools` narrows it, never widens.";
    "worktrees.diffstat_files_max" integer(1, 100_000), "100", "Files that the summary of a worktree's changes names; the rest are counted.";
    "worktrees.git_output_bytes_max" integer(65_536, 1 << 32), "268435456", "Bytes that one git command may answer with; a longer answer fails.";
}

/// A name or value that does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// No setting has this name.
    #[error("unknown setting `{name}`")]
    Unknown {
        /// The name given.
        name: String,
        /// The closest known name, if one is close.
        suggestion: Option<&'static str>,
    },
    /// The value is of the wrong type or out of range.
    #[error("`{name}` takes {expected}, not `{value}`")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// The value given.
        value: String,
        /// What it takes, in words.
        expected: String,
    },
}

/// A validated value for every setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings {
    values: BTreeMap<String, SettingValue>,
}

impl Default for Settings {
    fn default() -> Self {
        let values = SETTINGS.iter().map(|setting| {
            let value = setting.read(setting.default).expect("defaults are checked by a test");
            (setting.name.to_owned(), value)
        });
        Self { values: values.collect() }
    }
}

impl Setting {
    /// The setting of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.binary_search_by_key(&name, |setting| setting.name).ok().map(|at| &SETTINGS[at])
    }

    /// What values it takes, in words.
    pub fn expected(&self) -> String {
        match self.kind {
            SettingKind::Integer { min, max: u64::MAX } => format!("a whole number from {min}"),
            SettingKind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            SettingKind::Fraction => "a number from 0 to 1".to_owned(),
            SettingKind::Text => "text".to_owned(),
            SettingKind::Flag => "`true` or `false`".to_owned(),
        }
    }

    /// The environment variable that sets it: `LOOPWRIGHT_RUN_CONCURRENCY` for `run.concurrency`.
    pub fn variable(&self) -> String {
        format!("LOOPWRIGHT_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    /// Reads a value written as text.
    ///
    /// # Errors
    /// [`SettingError::Invalid`] when the text is of the wrong type or out of range.
    pub fn read(&'static self, text: &str) -> Result<SettingValue, SettingError> {
        let text = text.trim();
        let value = match self.kind {
            SettingKind::Integer { min, max } => {
                let digits = text.replace('_', "");
                let number = digits.parse().ok().filter(|n| (min..=max).contains(n));
                number.map(SettingValue::Integer)
            }
            SettingKind::Fraction => {
                let number = text.parse().ok().filter(|n| (0.0..=1.0).contains(n));
                number.map(SettingValue::Fraction)
            }
            SettingKind::Text => Some(SettingValue::Text(text.to_owned())),
            SettingKind::Flag => text.parse().ok().map(SettingValue::Flag),
        };
        let invalid = || SettingError::Invalid {
            name: self.name,
            value: text.to_owned(),
            expected: self.expected(),
        };
        value.ok_or_else(invalid)
    }
}

impl Settings {
    /// Sets one setting from text.
    ///
    /// # Errors
    /// When the name is unknown or the value does not fit; nothing is changed then.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), SettingError> {
        let setting = Setting::find(name).ok_or_else(|| SettingError::Unknown {
            name: name.to_owned(),
            suggestion: closest(name),
        })?;
        self.values.insert(setting.name.to_owned(), setting.read(text)?);
        Ok(())
    }

    /// The value of a setting.
    ///
    /// # Panics
    /// When no setting has this name: names in our own code are checked by tests.
    pub fn get(&self, name: &str) -> &SettingValue {
        self.values.get(name).unwrap_or_else(|| panic!("no setting is named `{name}`"))
    }

    /// The value of a whole-number setting.
    ///
    /// # Panics
    /// When `name` is no whole-number setting.
    pub fn integer(&self, name: &str) -> u64 {
        match self.get(name) {
            SettingValue::Integer(value) => *value,
            other => panic!("setting `{name}` is not a whole number: {other}"),
        }
    }

    /// The same as `usize`, for counts and sizes in memory.
    ///
    /// # Panics
    /// When `name` is no whole-number setting.
    pub fn count(&self, name: &str) -> usize {
        usize::try_from(self.integer(name)).unwrap_or(usize::MAX)
    }

    /// The value of a setting from 0 to 1.
    ///
    /// # Panics
    /// When `name` is no such setting.
    pub fn fraction(&self, name: &str) -> f64 {
        match self.get(name) {
            SettingValue::Fraction(value) => *value,
            other => panic!("setting `{name}` is not a fraction: {other}"),
        }
    }

    /// The value of a text setting.
    ///
    /// # Panics
    /// When `name` is no text setting.
    pub fn text(&self, name: &str) -> &str {
        match self.get(name) {
            SettingValue::Text(value) => value,
            other => panic!("setting `{name}` is not text: {other}"),
        }
    }

    /// All names and values, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SettingValue)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// The known name with the fewest edits, if at most a third of it differs.
fn closest(name: &str) -> Option<&'static str> {
    let scored = SETTINGS.iter().map(|setting| (edits(name, setting.name), setting.name));
    scored.min().filter(|(distance, known)| *distance * 3 <= known.len()).map(|(_, known)| known)
}

/// Levenshtein distance in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ascend_and_every_default_is_in_its_own_range() {
        assert!(SETTINGS.is_sorted_by(|a, b| a.name < b.name));
        for setting in SETTINGS {
            assert!(setting.read(setting.default).is_ok(), "{}", setting.name);
        }
    }

    #[test]
    fn a_value_out_of_range_or_of_the_wrong_type_is_refused_in_words() {
        let cases = [
            (
                "run.concurrency",
                "0",
                "`run.concurrency` takes a whole number from 1 to 100000, not `0`",
            ),
            ("mock.failure_rate", "2", "`mock.failure_rate` takes a number from 0 to 1, not `2`"),
            ("guest.cpu", "1", "unknown setting `guest.cpu`"),
        ];
        for (name, value, message) in cases {
            let error = Settings::default().set(name, value).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_closest_one() {
        let error = Settings::default().set("run.concurency", "4").unwrap_err();
        let SettingError::Unknown { suggestion, .. } = error else { panic!("{error}") };
        assert_eq!(suggestion, Some("run.concurrency"));
    }
}
