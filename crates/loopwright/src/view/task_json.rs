//! The JSON form of one call in full: `show --task --json`.

use super::json::{CacheOut, ContextOut, FailureOut, Salvage, UsageOut, to_line};
use super::reused::ReusedOut;
use super::{AttemptDetail, StepDetail, TaskDetail, timestamp};
use loopwright_protocol::{Found, Json, Outcome, WorktreeReport};
use loopwright_types::{Digest, Micros};
use serde::Serialize;

/// As JSON, in one line.
pub(super) fn task_json(detail: &TaskDetail) -> String {
    to_line(&TaskOut::from(detail))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskOut<'a> {
    task: u32,
    kind: &'static str,
    status: &'static str,
    subagent: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    phase: Option<&'a str>,
    identity: Digest,
    request: &'a Json,
    attempts: Vec<AttemptOut<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepOut<'a>>,
    turns: u32,
    tool_calls: u32,
    started_at: Option<String>,
    ended_at: Option<String>,
    ms: Option<u64>,
    usage: Option<UsageOut>,
    context: Option<ContextOut>,
    cache: Option<CacheOut>,
    fallback: bool,
    result: Option<&'a Json>,
    failure: Option<FailureOut<'a>>,
    salvage: Option<Salvage<'a>>,
    worktree: Option<&'a WorktreeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reused: Option<ReusedOut<'a>>,
}

/// A step; `result` is a model's whole reply or what a tool gave.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepOut<'a> {
    step: u32,
    task_attempt: u32,
    kind: &'static str,
    turn: u32,
    name: &'a str,
    args: Option<&'a Json>,
    digest: Digest,
    status: &'static str,
    at: String,
    ended_at: Option<String>,
    ms: Option<u64>,
    attempts: Vec<AttemptOut<'a>>,
    usage: UsageOut,
    result: Option<&'a Json>,
    failure: Option<FailureOut<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptOut<'a> {
    attempt: u32,
    started_at: String,
    ended_at: Option<String>,
    subagent: Option<&'a str>,
    reask: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_up: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'static str>,
    pid: Option<u32>,
    usage: UsageOut,
    answer: Option<&'a Json>,
    failure: Option<FailureOut<'a>>,
    messages: &'a [String],
}

impl<'a> From<&'a TaskDetail> for TaskOut<'a> {
    fn from(detail: &'a TaskDetail) -> Self {
        let (call, settled) = (&detail.call, detail.settled.as_ref());
        let (result, failure) = split(settled.map(|settled| &settled.outcome));
        let (turns, tool_calls) = detail.turns_and_tool_calls();
        let is_untouched = settled.is_none() && detail.attempts.is_empty();
        let started = settled.and_then(|settled| settled.started);
        Self {
            task: call.call.0,
            kind: call.kind.as_str(),
            status: detail.status(),
            subagent: call.subagent.as_deref(),
            line: call.position.map(|at| at.line),
            column: call.position.map(|at| at.column),
            phase: call.phase.as_deref(),
            identity: call.digest,
            request: &call.request,
            attempts: detail.attempts.iter().map(AttemptOut::from).collect(),
            steps: detail.steps.values().map(StepOut::from).collect(),
            turns,
            tool_calls,
            started_at: started.map(timestamp),
            ended_at: settled.map(|settled| timestamp(settled.now)),
            ms: settled.zip(started).map(|(settled, from)| settled.now.since(from).as_millis()),
            usage: (!is_untouched).then(|| detail.usage().into()),
            context: detail.context().map(ContextOut::from),
            cache: CacheOut::of(detail.cache()),
            fallback: settled.is_some_and(|settled| settled.fallback),
            result,
            failure: failure.or(settled.and_then(|s| s.hidden.as_ref()).map(FailureOut::from)),
            salvage: settled.and_then(|settled| settled.salvage.as_deref()).map(Salvage::from),
            worktree: settled.and_then(|settled| settled.worktree.as_ref()),
            reused: settled.and_then(|settled| settled.reused.as_deref()).map(ReusedOut::from),
        }
    }
}

impl<'a> From<&'a StepDetail> for StepOut<'a> {
    fn from(detail: &'a StepDetail) -> Self {
        let (step, settled) = (&detail.step, detail.settled.as_ref());
        let (result, failure) = split(settled.map(|settled| &settled.outcome));
        Self {
            step: step.call.0,
            task_attempt: detail.task_attempt.0,
            kind: step.kind.as_str(),
            turn: step.turn,
            name: &step.name,
            args: step.args.as_ref(),
            digest: step.digest,
            status: detail.status(),
            at: timestamp(step.now),
            ended_at: settled.map(|settled| timestamp(settled.now)),
            ms: detail.took().map(Micros::as_millis),
            attempts: detail.attempts.iter().map(AttemptOut::from).collect(),
            usage: detail.usage().into(),
            result,
            failure,
        }
    }
}

impl<'a> From<&'a AttemptDetail> for AttemptOut<'a> {
    fn from(attempt: &'a AttemptDetail) -> Self {
        let (answer, failure) = split(attempt.outcome.as_ref());
        let ended = attempt.outcome.as_ref().filter(|_| attempt.looks_up.is_some());
        Self {
            key: attempt.key.map(|it| it.0),
            looks_up: attempt.looks_up.map(|it| it.0),
            found: ended.map(|outcome| Found::of(outcome).as_str()),
            attempt: attempt.attempt.0,
            started_at: timestamp(attempt.started),
            ended_at: attempt.ended.map(timestamp),
            subagent: attempt.subagent.as_deref(),
            reask: attempt.reask,
            pid: attempt.pid,
            usage: attempt.usage.into(),
            answer,
            failure,
            messages: &attempt.messages,
        }
    }
}

fn split(outcome: Option<&Outcome>) -> (Option<&Json>, Option<FailureOut<'_>>) {
    match outcome {
        Some(Outcome::Done(value)) => (Some(value), None),
        Some(Outcome::Failed(failure)) => (None, Some(failure.into())),
        None => (None, None),
    }
}
