//! The JSON form of one entry, as `run --json` streams it. Names are public and stable.

use super::json::{ErrorOut, FailureOut, Salvage, UsageOut, to_line};
use super::resumed::word;
use super::reused::ReusedOut;
use super::{CallStatus, RunView, preview_text, timestamp};
use loopwright_protocol::{
    CallEntry, Entry, Found, Json, Outcome, Progress, RunStart, SettleEntry, WorktreeReport,
};
use loopwright_types::{CallId, Micros, RunId};
use serde::Serialize;

/// One event. Absent fields do not belong to the kind of event.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Out<'a> {
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_up: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subagent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thrown: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Json>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fallback: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    salvage: Option<Salvage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worktree: Option<&'a WorktreeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reused: Option<ReusedOut<'a>>,
}

/// The event that an entry is to people's tools, one line of JSON; `view` has taken the entry already.
///
/// Nothing for entries that only a replay needs, and for the last one: [`super::finish_json`] ends a stream.
pub fn event_json(view: &RunView, entry: &Entry) -> Option<String> {
    let named = |event: &str| Out { event: event.to_owned(), ..Out::default() };
    let out = match entry {
        Entry::Turn(_) | Entry::ScopeCancelled { .. } | Entry::RunFinished(_) => return None,
        Entry::RunStarted(start) => run_started(start),
        Entry::GuestStarted { guest, call, program, args } => Out {
            task: Some(call.0),
            guest: Some(guest.0),
            program: Some(&program.name),
            args: args.as_ref(),
            ..named("guest.started")
        },
        Entry::GuestEnded { guest, value, error } => Out {
            guest: Some(guest.0),
            result: value.as_ref(),
            error: error.as_ref().map(ErrorOut::from),
            ..named("guest.ended")
        },
        Entry::Phase { guest, title } => {
            Out { guest: Some(guest.0), phase: Some(title.clone()), ..named("phase") }
        }
        Entry::Logged(log) => Out {
            at: Some(timestamp(log.now)),
            guest: Some(log.guest.0),
            level: Some(&log.level),
            text: Some(&log.text),
            line: log.position.map(|at| at.line),
            ..named("log")
        },
        Entry::Dropped { guest, error } => {
            Out { guest: Some(guest.0), thrown: Some(error), ..named("dropped") }
        }
        Entry::Coverage { guest, report } => {
            Out { guest: Some(guest.0), report: Some(report), ..named("coverage") }
        }
        Entry::Unhandled { guest, error } => {
            Out { guest: Some(guest.0), error: Some(error.into()), ..named("unhandled") }
        }
        Entry::CancelRequested { .. }
        | Entry::PauseRequested { .. }
        | Entry::GuestStopped { .. }
        | Entry::Resumed(_)
        | Entry::Decided(_) => control_event(view, entry)?,
        Entry::ProviderDown { now, provider, failure } => {
            Out { failure: Some(failure.into()), ..provider_out(view, provider, "down", *now) }
        }
        Entry::ProviderUp { now, provider } => Out {
            ms: view.last_outage(provider).map(|outage| outage.took(*now).as_millis()),
            ..provider_out(view, provider, "up", *now)
        },
        Entry::AttemptStarted(start) if start.ahead => return None,
        Entry::Dispatched { now, attempts } => {
            let lines = attempts.iter().map(|(call, attempt)| {
                let subagent = view.call(*call).and_then(|call| call.subagent.as_deref());
                let started = call_out(view, *call, "started", Some(*now));
                to_line(&Out { attempt: Some(attempt.0), subagent, ..started })
            });
            return Some(lines.collect::<Vec<_>>().join("\n"));
        }
        Entry::Stepped(_)
        | Entry::Called(_)
        | Entry::AttemptStarted(_)
        | Entry::Progressed { .. }
        | Entry::AttemptEnded(_)
        | Entry::Settled(_) => call_event(view, entry)?,
    };
    Some(to_line(&out))
}

/// What stops a run or goes on with it.
fn control_event<'a>(view: &'a RunView, entry: &'a Entry) -> Option<Out<'a>> {
    let named = |event: &str| Out { event: event.to_owned(), ..Out::default() };
    Some(match entry {
        Entry::CancelRequested { now } => {
            Out { at: Some(timestamp(*now)), ..named("cancel.requested") }
        }
        Entry::PauseRequested { now } => {
            Out { at: Some(timestamp(*now)), ..named("pause.requested") }
        }
        Entry::GuestStopped { guest, now, error } => Out {
            guest: Some(guest.0),
            at: Some(timestamp(*now)),
            error: Some(error.into()),
            ..named("guest.stopped")
        },
        Entry::Resumed(resumed) => Out {
            at: Some(timestamp(resumed.now)),
            version: Some(&resumed.version),
            lost: Some(resumed.lost.len()),
            run_id: view.header().map(|header| &header.run),
            ..named("run.resumed")
        },
        Entry::Decided(decided) => Out {
            decision: Some(word(&decided.decision)),
            ..call_out(view, decided.call, "decided", Some(decided.now))
        },
        _ => return None,
    })
}

fn run_started(start: &RunStart) -> Out<'_> {
    Out {
        event: "run.started".to_owned(),
        run_id: Some(&start.run),
        at: Some(timestamp(start.now)),
        program: Some(&start.program.name),
        version: Some(&start.version),
        workspace: Some(&start.workspace),
        seed: Some(start.seed),
        args: start.args.as_ref(),
        ..Out::default()
    }
}

fn provider_out<'a>(view: &RunView, provider: &'a str, what: &str, now: Micros) -> Out<'a> {
    Out {
        event: format!("provider.{what}"),
        at: Some(timestamp(now)),
        provider: Some(provider),
        waiting: Some(view.needing(provider)),
        ..Out::default()
    }
}

/// What every event of a call or a step has: `task.ended`, `step.ended`.
fn call_out<'a>(view: &'a RunView, call: CallId, what: &str, now: Option<Micros>) -> Out<'a> {
    if let Some(step) = view.steps.get(&call) {
        return Out {
            event: format!("step.{what}"),
            at: now.map(timestamp),
            task: Some(step.task.0),
            step: Some(call.0),
            kind: Some(step.kind.as_str()),
            turn: Some(step.turn),
            name: Some(&step.name),
            ..Out::default()
        };
    }
    let word = view.call(call).map_or("call", super::CallView::word);
    let (task, at) = (Some(call.0), now.map(timestamp));
    Out { event: format!("{word}.{what}"), task, at, ..Out::default() }
}

/// Events of one call are named after its kind: `task.started`, `tool.ended`.
fn call_event<'a>(view: &'a RunView, entry: &'a Entry) -> Option<Out<'a>> {
    let event = |call, what: &str, now| call_out(view, call, what, now);
    Some(match entry {
        Entry::Called(call) => called(view, call, event(call.call, "queued", None)),
        Entry::Stepped(step) => {
            Out { args: step.args.as_ref(), ..event(step.call, "queued", Some(step.now)) }
        }
        Entry::AttemptStarted(start) if start.looks_up.is_some() => Out {
            attempt: Some(start.attempt.0),
            looks_up: start.looks_up.map(|it| it.0),
            ..event(start.call, "lookup", Some(start.now))
        },
        Entry::AttemptStarted(start) => Out {
            attempt: Some(start.attempt.0),
            subagent: start.subagent.as_deref(),
            ..event(start.call, "started", Some(start.now))
        },
        Entry::Progressed { call, attempt, now, progress } => {
            let (pid, text) = match progress {
                Progress::Process { pid, .. } => (Some(*pid), None),
                Progress::Message(text) => (None, Some(text.as_str())),
                Progress::Began | Progress::Limits(_) => (None, None),
            };
            Out { attempt: Some(attempt.0), pid, text, ..event(*call, "progress", Some(*now)) }
        }
        Entry::AttemptEnded(end) if view.is_lookup(end.call, end.attempt) => Out {
            attempt: Some(end.attempt.0),
            found: Some(Found::of(&end.outcome).as_str()),
            usage: Some(end.usage.into()),
            failure: failure(&end.outcome),
            ..event(end.call, "looked_up", Some(end.now))
        },
        Entry::AttemptEnded(end) => Out {
            attempt: Some(end.attempt.0),
            retry_at: end.retry_at.map(timestamp),
            usage: Some(end.usage.into()),
            failure: failure(&end.outcome),
            ..event(end.call, "attempt", Some(end.now))
        },
        Entry::Settled(settle) => {
            settled(view, settle, event(settle.call, "ended", Some(settle.now)))
        }
        _ => return None,
    })
}

fn called<'a>(view: &'a RunView, entry: &'a CallEntry, out: Out<'a>) -> Out<'a> {
    let call = view.call(entry.call);
    let group = call.map(|call| &view.groups()[call.group as usize]);
    Out {
        at: call.map(|call| timestamp(call.called)),
        guest: Some(entry.guest.0),
        kind: Some(entry.kind.as_str()),
        label: call.map(|call| &*call.label),
        subagent: entry.subagent.as_deref(),
        phase: group.map(|group| preview_text(&group.title(), usize::MAX).into()),
        line: entry.position.map(|at| at.line),
        column: entry.position.map(|at| at.column),
        ..out
    }
}

/// What a step gave is not in the stream: it is the subagent's, and `show --task` has it.
fn settled<'a>(view: &'a RunView, entry: &'a SettleEntry, out: Out<'a>) -> Out<'a> {
    let (step, call) = (view.steps.get(&entry.call), view.call(entry.call));
    let status = match step {
        Some(_) => Some(CallStatus::of(&entry.outcome)),
        None => call.map(|call| call.status),
    };
    let took = match step {
        Some(step) => step.started.map(|started| entry.now.since(started)),
        None => call.and_then(|call| call.took(entry.now)),
    };
    Out {
        status: status.map(CallStatus::as_str),
        attempts: Some(entry.attempts),
        ms: took.map(Micros::as_millis),
        usage: Some(entry.usage.into()),
        result: match &entry.outcome {
            Outcome::Done(value) if step.is_none() => Some(value),
            _ => None,
        },
        failure: failure(&entry.outcome).or(entry.hidden.as_ref().map(FailureOut::from)),
        fallback: entry.fallback,
        salvage: entry.salvage.as_deref().map(Salvage::from),
        worktree: entry.worktree.as_ref(),
        reused: entry.reused.as_deref().map(ReusedOut::from),
        ..out
    }
}

fn failure(outcome: &Outcome) -> Option<FailureOut<'_>> {
    match outcome {
        Outcome::Done(_) => None,
        Outcome::Failed(failure) => Some(failure.into()),
    }
}
