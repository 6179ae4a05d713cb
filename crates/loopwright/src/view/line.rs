//! One plain line per event, for pipes, logs and screen readers.

use super::cost::estimated;
use super::lookup::found_words;
use super::resumed::{lost_words, word};
use super::step::StepState;
use super::text::escape;
use super::{CallView, Paint, RunView, duration, figure, money, timestamp, wait};
use loopwright_protocol::{EndEntry, Entry, Outcome, Progress};
use loopwright_types::{Attempt, CallId, Failure, Micros};

/// The line for an entry; `view` has taken the entry already. Nothing where there is nothing to tell.
pub fn line(view: &RunView, entry: &Entry, paint: Paint) -> Option<String> {
    Some(match entry {
        Entry::RunStarted(start) => {
            format!("run {} started: {}", start.run, escape(&start.program.name))
        }
        Entry::Phase { title, .. } => paint.bold(&format!("phase {}", escape(title))),
        Entry::AttemptStarted(start) if start.ahead => return None,
        Entry::AttemptStarted(start) if start.looks_up.is_some() => {
            let call = told(view, start.call)?;
            format!("{} is looked up: {}", name(call), escape(&call.label))
        }
        Entry::AttemptStarted(start) => started(view, start.call, start.attempt)?,
        Entry::Dispatched { attempts, .. } => {
            let lines =
                attempts.iter().filter_map(|(call, attempt)| started(view, *call, *attempt));
            let lines: Vec<String> = lines.collect();
            (!lines.is_empty()).then(|| lines.join("\n"))?
        }
        Entry::Progressed { call, progress: Progress::Message(text), .. } => {
            let call = told(view, *call)?;
            paint.dim(&format!("{}: {}", name(call), escape(&super::preview_text(text, 200))))
        }
        Entry::AttemptEnded(end) if view.is_lookup(end.call, end.attempt) => {
            let call = told(view, end.call)?;
            let words = super::preview_text(&found_words(&end.outcome), 300);
            format!("{} {}: {}", name(call), escape(&words), escape(&call.label))
        }
        Entry::AttemptEnded(end) if view.steps.contains_key(&end.call) => {
            step_retrying(view, end, paint)?
        }
        Entry::AttemptEnded(end) => retrying(view, end.call, paint)?,
        Entry::ProviderDown { now, provider, failure } => {
            down(view, *now, provider, failure, paint)
        }
        Entry::ProviderUp { now, provider } => {
            let took = view.last_outage(provider).map(|outage| duration(outage.took(*now)));
            let took = took.map(|took| format!(" after {took}")).unwrap_or_default();
            paint.green(&format!("provider {} is back{took}", escape(provider)))
        }
        Entry::Settled(settle) => settled(view.call(settle.call)?, paint)?,
        Entry::Logged(log) => {
            let level = if log.level == "log" { "log".into() } else { escape(&log.level) };
            format!("{level}: {}", escape(&super::preview_text(&log.text, 2000)))
        }
        Entry::Dropped { .. } | Entry::Unhandled { .. } => {
            paint.yellow(&escape(view.problems().last()?))
        }
        Entry::CancelRequested { .. } => "cancelling".to_owned(),
        Entry::PauseRequested { .. } => "pausing: what is under way ends first".to_owned(),
        Entry::Resumed(resumed) => {
            let name = view.header().map(|header| header.run.to_string()).unwrap_or_default();
            format!("run {name} goes on: {}", lost_words(view, resumed))
        }
        Entry::Decided(decided) => {
            let call = view.call(decided.call).map_or("call", CallView::word);
            format!("{call} {} decided: {}", decided.call, word(&decided.decision))
        }
        Entry::RunFinished(_) => finished(view, paint),
        _ => return None,
    })
}

fn started(view: &RunView, call: CallId, attempt: Attempt) -> Option<String> {
    let call = told(view, call)?;
    let again = if view.counted(call.call, attempt) > 1 { " again" } else { "" };
    Some(format!("{} started{again}: {}{}", name(call), escape(&call.label), subagent(call)))
}

/// Sleeps are not told; everything else is.
fn told(view: &RunView, call: CallId) -> Option<&CallView> {
    view.call(call).filter(|call| call.word() != "sleep")
}

fn name(call: &CallView) -> String {
    format!("{} {}", call.word(), call.call)
}

fn subagent(call: &CallView) -> String {
    call.subagent.as_ref().map(|name| format!(" ({})", escape(name))).unwrap_or_default()
}

fn retrying(view: &RunView, call: CallId, paint: Paint) -> Option<String> {
    let call = told(view, call)?;
    // What a cancelled run cuts off is not tried again by it; its end is told with the run's.
    if call.status.is_final() || view.cancel_requested() {
        return None;
    }
    let why = call.note.as_deref().map(|note| format!(": {}", escape(note))).unwrap_or_default();
    Some(paint.yellow(&format!("{} tries again: {}{why}", name(call), escape(&call.label))))
}

/// A request that is made again by itself; those that wait for a provider are told with its outage.
fn step_retrying(view: &RunView, end: &EndEntry, paint: Paint) -> Option<String> {
    let step = view.steps.get(&end.call)?;
    let call = view.call(step.task).filter(|call| !call.status.is_final())?;
    let Outcome::Failed(failure) = &end.outcome else { return None };
    if step.state == StepState::Over || view.needs_down(step) {
        return None;
    }
    let when = match end.retry_at {
        Some(at) => format!("asks again in {}", wait(at.since(end.now))),
        None => "waits".to_owned(),
    };
    let (model, label) = (escape(&step.name), escape(&call.label));
    let why = escape(&super::preview_text(&failure.message, 200)).into_owned();
    let turn = step.turn;
    Some(paint.yellow(&format!(
        "{} {when}: {label}: turn {turn}: {model}: {why} [{}]",
        name(call),
        failure.code
    )))
}

fn down(view: &RunView, now: Micros, provider: &str, failure: &Failure, paint: Paint) -> String {
    let (since, waiting) = (&timestamp(now)[11..19], view.needing(provider));
    let waiting = match waiting {
        1 => "1 task waits".to_owned(),
        _ => format!("{} tasks wait", figure(waiting as u64)),
    };
    let why = escape(&super::preview_text(&failure.message, 200)).into_owned();
    let often = view.probe_max().map(|most| format!(" every {} at the latest", wait(most)));
    paint.yellow(&format!(
        "provider {} is down since {since} UTC: {why} [{}]: {waiting}; asking again{}",
        escape(provider),
        failure.code,
        often.unwrap_or_default()
    ))
}

fn settled(call: &CallView, paint: Paint) -> Option<String> {
    if call.word() == "sleep" {
        return None;
    }
    let mut facts = Vec::new();
    if call.attempts > 1 {
        facts.push(format!("{} attempts", call.attempts));
    }
    facts.extend(call.reused.then(|| "taken over".to_owned()));
    facts.extend(call.took(call.ended.unwrap_or_default()).map(duration));
    facts.extend(call.loop_words());
    if call.usage.tokens() > 0 {
        facts.push(format!("{} tokens{}", figure(call.usage.tokens()), estimated(call.usage)));
    }
    if call.fallback {
        facts.push("fallback value".to_owned());
    }
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let told = format!("{} {}: {}{facts}", name(call), call.status.as_str(), escape(&call.label));
    let Some((reason, code)) = call.failure.filter(|_| !call.fallback) else {
        return Some(paint.green(&told));
    };
    let note = call.note.as_deref().unwrap_or_default();
    Some(paint.red(&format!("{told}: {}: {} [{code}]", reason.as_str(), escape(note))))
}

/// How the run ended, in one line.
fn finished(view: &RunView, paint: Paint) -> String {
    let status = view.status().as_str();
    let mut told = format!("run {status}: {}", view.tasks().words());
    told.push_str(&format!(", {}", duration(view.took(view.now()))));
    if view.usage().tokens() > 0 {
        let usage = view.usage();
        told.push_str(&format!(", {} tokens{}", figure(usage.tokens()), estimated(usage)));
    }
    if view.usage().usd_micros > 0 {
        told.push_str(&format!(", {}", money(view.usage().usd_micros)));
    }
    match status {
        "complete" => paint.green(&told),
        "failed" => paint.red(&told),
        _ => paint.yellow(&told),
    }
}
