//! The JSON forms of a run: public, with stable names. Each function gives one line of text that is also
//! safe to print on a terminal.

use super::reused::ForkOut;
use super::{Cache, CallView, Context, Counts, GroupName, GroupView, LogView, Outage, RunView};
use super::{escape_json, timestamp};
use loopwright_protocol::Json;
use loopwright_types::{Code, Diagnostic, Failure, Micros, RunId, RunStatus, Usage};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A form as one line of JSON that is also safe to print on a terminal.
///
/// # Panics
/// When a map in it has keys that are no text.
pub fn to_line<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value).expect("our forms have text keys only");
    escape_json(&text).into_owned()
}

/// Tokens and money; what no provider counts is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageOut {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_read_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_write_tokens: u64,
    usd_micros: u64,
    #[serde(skip_serializing_if = "is_zero")]
    estimated_tokens: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's calling convention
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's calling convention
fn is_none_yet(n: &u32) -> bool {
    *n == 0
}

impl From<Usage> for UsageOut {
    fn from(usage: Usage) -> Self {
        let Usage {
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            usd_micros,
            estimated_tokens,
        } = usage;
        Self {
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            usd_micros,
            estimated_tokens,
        }
    }
}

/// An error with its place.
#[derive(Serialize)]
pub(super) struct ErrorOut<'a> {
    code: Code,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> From<&'a Diagnostic> for ErrorOut<'a> {
    fn from(error: &'a Diagnostic) -> Self {
        let at = error.location.as_ref();
        Self {
            code: error.code,
            message: &error.message,
            file: at.map(|at| at.file.as_str()),
            line: at.map(|at| at.position.line),
            column: at.map(|at| at.position.column),
            hint: error.hint.as_deref(),
        }
    }
}

/// Why a call gave nothing.
#[derive(Serialize)]
pub(super) struct FailureOut<'a> {
    reason: &'static str,
    code: Code,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    retryable: bool,
}

impl<'a> From<&'a Failure> for FailureOut<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            reason: failure.reason.as_str(),
            code: failure.code,
            message: &failure.message,
            hint: failure.hint.as_deref(),
            retryable: failure.retryable,
        }
    }
}

/// What a model said last where that was no answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Salvage<'a> {
    text: &'a str,
    is_answer: bool,
}

impl<'a> From<&'a str> for Salvage<'a> {
    fn from(text: &'a str) -> Self {
        Self { text, is_answer: false }
    }
}

/// Tokens that the program was spared, and those that it got.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContextOut {
    stayed_out_tokens: u64,
    came_back_tokens: u64,
}

impl From<Context> for ContextOut {
    fn from(context: Context) -> Self {
        let Context { stayed_out_tokens, came_back_tokens } = context;
        Self { stayed_out_tokens, came_back_tokens }
    }
}

/// What prompt caching did; `savedUsdMicros` is there where prices are known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CacheOut {
    read_tokens: u64,
    priced_tokens: u64,
    written_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_usd_micros: Option<u64>,
    extra_usd_micros: u64,
}

impl CacheOut {
    /// Nothing where no cache was used.
    pub(super) fn of(cache: Cache) -> Option<Self> {
        let Cache { read_tokens, priced_tokens, written_tokens, .. } = cache;
        (read_tokens > 0 || written_tokens > 0).then(|| Self {
            read_tokens,
            priced_tokens,
            written_tokens,
            saved_usd_micros: cache.saved_usd_micros(),
            extra_usd_micros: cache.extra_usd_micros(),
        })
    }
}

/// One error or warning.
pub fn diagnostic_json(diagnostic: &Diagnostic) -> String {
    to_line(&ErrorOut::from(diagnostic))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FinishOut<'a> {
    event: &'static str,
    run_id: Option<&'a RunId>,
    status: RunStatus,
    result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorOut<'a>>,
    failures: &'a [String],
    usage: UsageOut,
}

/// The object that ends a stream of events: `runId` is `null` when there never was a run.
pub fn finish_json(
    run: Option<&RunId>,
    status: RunStatus,
    result: Option<&Json>,
    error: Option<&Diagnostic>,
    failures: &[String],
    usage: Usage,
) -> String {
    let (error, usage) = (error.map(ErrorOut::from), usage.into());
    let event = "run.finished";
    to_line(&FinishOut { event, run_id: run, status, result, error, failures, usage })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallOut<'a> {
    task: u32,
    kind: &'static str,
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subagent: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    attempts: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fallback: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    called_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    #[serde(skip_serializing_if = "is_none_yet")]
    turns: u32,
    #[serde(skip_serializing_if = "is_none_yet")]
    tool_calls: u32,
    usage: UsageOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<ContextOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<Cow<'a, str>>,
    /// The groups of the program that a `workflow()` call runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phases: Vec<GroupOut<'a>>,
}

impl<'a> CallOut<'a> {
    fn new(view: &'a RunView, call: &'a CallView) -> Self {
        let nested = view.guest_of(call.call).map(|(_, guest)| &guest.groups);
        Self {
            task: call.call.0,
            kind: call.kind.as_str(),
            label: &call.label,
            subagent: call.subagent.as_deref(),
            status: call.status.as_str(),
            reason: call.failure.map(|(reason, _)| reason.as_str()),
            code: call.failure.map(|(_, code)| code),
            attempts: call.attempts,
            fallback: call.fallback,
            reused: call.reused,
            line: call.position.map(|at| at.line),
            column: call.position.map(|at| at.column),
            called_at: timestamp(call.called),
            started_at: call.started.map(timestamp),
            ended_at: call.ended.map(timestamp),
            ms: call.took(view.now()).map(Micros::as_millis),
            turns: call.turns,
            tool_calls: call.tool_calls,
            usage: call.usage.into(),
            context: call.context().map(ContextOut::from),
            preview: view.note(call, view.now()),
            phases: nested.into_iter().flatten().map(|at| GroupOut::new(view, *at)).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupOut<'a> {
    title: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<u32>,
    counts: Counts,
    other_counts: Counts,
    tasks: Vec<CallOut<'a>>,
}

impl<'a> GroupOut<'a> {
    fn new(view: &'a RunView, index: u32) -> Self {
        let group: &GroupView = &view.groups()[index as usize];
        let (kind, line, wave) = match group.name {
            GroupName::Phase(_) => ("phase", None, None),
            GroupName::Wave { line, wave, .. } => ("wave", Some(line), Some(wave)),
        };
        let calls = group.calls.iter().filter_map(|call| view.call(*call));
        Self {
            title: group.title(),
            kind,
            detail: group.detail.as_deref(),
            line,
            wave,
            counts: group.tasks,
            other_counts: group.others,
            tasks: calls.map(|call| CallOut::new(view, call)).collect(),
        }
    }
}

#[derive(Serialize)]
struct LogOut<'a> {
    at: String,
    level: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

impl<'a> From<&'a LogView> for LogOut<'a> {
    fn from(log: &'a LogView) -> Self {
        let line = log.position.map(|at| at.line);
        Self { at: timestamp(log.at), level: &log.level, text: &log.text, line }
    }
}

/// A time in which a provider did not answer; without `until` it has not answered since.
#[derive(Serialize)]
struct OutageOut<'a> {
    provider: &'a str,
    since: String,
    until: Option<String>,
    code: Code,
    message: &'a str,
}

impl<'a> From<&'a Outage> for OutageOut<'a> {
    fn from(outage: &'a Outage) -> Self {
        Self {
            provider: &outage.provider,
            since: timestamp(outage.since),
            until: outage.until.map(timestamp),
            code: outage.code,
            message: &outage.message,
        }
    }
}

/// What lookups of calls in doubt found out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LookedUpOut {
    done: u32,
    not_done: u32,
    unknown: u32,
}

impl LookedUpOut {
    fn of([done, not_done, unknown]: [u32; 3]) -> Option<Self> {
        (done + not_done + unknown > 0).then_some(Self { done, not_done, unknown })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunOut<'a> {
    id: &'a RunId,
    status: RunStatus,
    interrupted: bool,
    #[serde(skip_serializing_if = "is_none")]
    resumes: u32,
    #[serde(skip_serializing_if = "is_none")]
    repeated: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_up: Option<LookedUpOut>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pause_requested: bool,
    program: &'a str,
    digest: String,
    workspace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork: Option<ForkOut<'a>>,
    version: &'a str,
    started_at: String,
    ended_at: Option<String>,
    ms: u64,
    counts: Counts,
    other_counts: Counts,
    usage: UsageOut,
    context: ContextOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<CacheOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outages: Vec<OutageOut<'a>>,
    seed: u64,
    settings: BTreeMap<&'a str, &'a str>,
    meta: Option<&'a Json>,
    args: Option<&'a Json>,
    phases: Vec<GroupOut<'a>>,
    log_count: u64,
    logs: Vec<LogOut<'a>>,
    problem_count: u64,
    problems: &'a [Box<str>],
    coverage: Option<&'a Json>,
    failures: &'a [String],
    error: Option<ErrorOut<'a>>,
    result: Option<&'a Json>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's calling convention
fn is_none(count: &u32) -> bool {
    *count == 0
}

/// The whole run: `show --json`. Nothing for a run whose first entry is not there; `interrupted` says that
/// the process that ran it is gone.
pub fn run_json(view: &RunView, interrupted: bool) -> Option<String> {
    let (header, finish) = (view.header()?, view.finish());
    let settings = header.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let groups = view.guest(loopwright_types::GuestId(0)).map(|guest| guest.groups.iter());
    Some(to_line(&RunOut {
        id: &header.run,
        status: view.status(),
        interrupted,
        resumes: view.resumes(),
        repeated: view.repeated(),
        looked_up: LookedUpOut::of(view.looked_up()),
        pause_requested: view.pause_requested() && view.finish().is_none(),
        program: &header.program,
        digest: header.digest.to_string(),
        workspace: &header.workspace,
        fork: view.fork_out(),
        version: &header.version,
        started_at: timestamp(header.started),
        ended_at: finish.map(|finish| timestamp(finish.at)),
        ms: view.took(view.now()).as_millis(),
        counts: view.tasks(),
        other_counts: view.others(),
        usage: view.usage().into(),
        context: view.context().into(),
        cache: CacheOut::of(view.cache()),
        outages: view.outages().chain(view.down()).map(OutageOut::from).collect(),
        seed: header.seed,
        settings: settings.collect(),
        meta: header.meta.as_ref(),
        args: header.args.as_ref(),
        phases: groups.into_iter().flatten().map(|at| GroupOut::new(view, *at)).collect(),
        log_count: view.log_count(),
        logs: view.logs().map(LogOut::from).collect(),
        problem_count: view.problem_count(),
        problems: view.problems(),
        coverage: view.coverage(),
        failures: finish.map_or(&[], |finish| &finish.failures),
        error: finish.and_then(|finish| finish.error.as_ref()).map(ErrorOut::from),
        result: finish.and_then(|finish| finish.result.as_ref()),
    }))
}
