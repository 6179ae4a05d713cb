//! One call in full: its whole request, every attempt, its whole outcome. Collected from a run's entries
//! when somebody asks for it (`show --task`), never kept for all calls.

use super::json::{FailureOut, UsageOut, to_line};
use super::text::{escape, escape_lines};
use super::tree::usage;
use super::{Paint, duration, timestamp};
use loopwright_protocol::{CallEntry, Entry, Json, Outcome, Progress, SettleEntry, TaskRequest};
use loopwright_types::{Attempt, CallId, Digest, Micros, Usage};
use serde::Serialize;

/// A call with its attempts.
#[derive(Clone, Debug)]
pub struct TaskDetail {
    /// The call as the program made it.
    pub call: CallEntry,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptDetail>,
    /// Its outcome, if it has one.
    pub settled: Option<SettleEntry>,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct AttemptDetail {
    /// Its number.
    pub attempt: Attempt,
    /// When it was decided.
    pub started: Micros,
    /// When it ended, where the call went on after it.
    pub ended: Option<Micros>,
    /// The subagent asked, where it is not the call's own.
    pub subagent: Option<String>,
    /// Whether it took an answer back that did not match the schema.
    pub reask: bool,
    /// How it ended, where the call went on after it.
    pub outcome: Option<Outcome>,
    /// What it used, where the call went on after it.
    pub usage: Usage,
    /// Process id of the subagent's command.
    pub pid: Option<u32>,
    /// What it told while it ran, the last lines.
    pub messages: Vec<String>,
}

/// Progress messages kept for one attempt.
const MESSAGES_MAX: usize = 50;

impl TaskDetail {
    /// Looks for a call in a run's entries: give each entry in order, and `found` fills up.
    pub fn follow(found: &mut Option<Self>, wanted: CallId, entry: &Entry) {
        match (entry, found) {
            (Entry::Called(call), found @ None) if call.call == wanted => {
                let call = CallEntry::clone(call);
                *found = Some(Self { call, attempts: Vec::new(), settled: None });
            }
            (entry, Some(detail)) => detail.take(entry),
            _ => {}
        }
    }

    /// Takes the next entry, if it is about this call.
    fn take(&mut self, entry: &Entry) {
        let wanted = self.call.call;
        match entry {
            Entry::AttemptStarted(start) if start.call == wanted => {
                self.attempts.push(AttemptDetail {
                    attempt: start.attempt,
                    started: start.now,
                    ended: None,
                    subagent: start.subagent.clone(),
                    reask: start.reask,
                    outcome: None,
                    usage: Usage::default(),
                    pid: None,
                    messages: Vec::new(),
                });
            }
            Entry::Dispatched { now, attempts } => {
                for (_, attempt) in attempts.iter().filter(|(call, _)| *call == wanted) {
                    if let Some(attempt) = self.attempt(*attempt) {
                        attempt.started = *now;
                    }
                }
            }
            Entry::Progressed { call, attempt, progress, .. } if *call == wanted => {
                let Some(attempt) = self.attempt(*attempt) else { return };
                match progress {
                    Progress::Process { pid, .. } => attempt.pid = Some(*pid),
                    Progress::Message(text) => {
                        if attempt.messages.len() == MESSAGES_MAX {
                            attempt.messages.remove(0);
                        }
                        attempt.messages.push(text.clone());
                    }
                    Progress::Began | Progress::Limits(_) => {}
                }
            }
            Entry::AttemptEnded(end) if end.call == wanted => {
                let Some(attempt) = self.attempt(end.attempt) else { return };
                attempt.ended = Some(end.now);
                attempt.outcome = Some(end.outcome.clone());
                attempt.usage = end.usage;
            }
            Entry::Settled(settle) if settle.call == wanted => {
                self.settled = Some(SettleEntry::clone(settle));
            }
            _ => {}
        }
    }

    fn attempt(&mut self, attempt: Attempt) -> Option<&mut AttemptDetail> {
        self.attempts.iter_mut().rev().find(|known| known.attempt == attempt)
    }

    /// As JSON, in one line.
    pub fn json(&self) -> String {
        to_line(&TaskOut::from(self))
    }

    /// As text; long texts are not cut.
    pub fn text(&self, paint: Paint) -> String {
        let mut out = String::new();
        let mut fact = |name: &str, value: &str| {
            out.push_str(&paint.dim(&format!("{name:<11}")));
            out.push_str(value);
            out.push('\n');
        };
        let call = &self.call;
        let place = call.position.map(|at| format!(" (line {}, column {})", at.line, at.column));
        fact("task", &format!("{}{}", call.call, place.unwrap_or_default()));
        fact("kind", call.kind.as_str());
        if let Some(subagent) = &call.subagent {
            fact("subagent", &escape(subagent));
        }
        fact("status", self.status());
        if let Some(settled) = &self.settled {
            let took = settled.started.map(|started| duration(settled.now.since(started)));
            fact("took", &took.unwrap_or_else(|| "nothing was dispatched".to_owned()));
            if !settled.usage.is_zero() {
                fact("used", &usage(settled.usage));
            }
        }
        fact("identity", &call.digest.to_string());
        for attempt in &self.attempts {
            fact(&format!("attempt {}", attempt.attempt), &attempt.line(self.settled.as_ref()));
            for message in &attempt.messages {
                fact("", &format!("  {}", escape(message)));
            }
        }
        let request = call.request.read::<TaskRequest>().ok().filter(|_| call.kind.is_task());
        match request {
            Some(request) => {
                block(&mut out, paint, "prompt", &escape_lines(&request.prompt));
                if let Some(schema) = &request.schema {
                    block(&mut out, paint, "schema", &json_lines(schema));
                }
            }
            None => block(&mut out, paint, "request", &json_lines(&call.request)),
        }
        match self.settled.as_ref().map(|settled| &settled.outcome) {
            Some(Outcome::Done(value)) => block(&mut out, paint, "result", &json_lines(value)),
            Some(Outcome::Failed(failure)) => {
                let told =
                    format!("{}[{}]: {}", failure.reason.as_str(), failure.code, failure.message);
                let hint = failure.hint.as_ref().map(|hint| format!("\nhint: {hint}"));
                block(
                    &mut out,
                    paint,
                    "failure",
                    &escape_lines(&(told + &hint.unwrap_or_default())),
                );
            }
            None => {}
        }
        out
    }

    fn status(&self) -> &'static str {
        match self.settled.as_ref().map(|settled| &settled.outcome) {
            Some(Outcome::Done(_)) => "done",
            Some(Outcome::Failed(failure)) if failure.reason.as_str() == "cancelled" => "cancelled",
            Some(Outcome::Failed(_)) => "failed",
            None if self.attempts.is_empty() => "queued",
            None => "running",
        }
    }
}

impl AttemptDetail {
    /// The last attempt's end is its call's.
    fn line(&self, settled: Option<&SettleEntry>) -> String {
        let mut told = format!("started {}", &timestamp(self.started)[11..]);
        if let Some(ended) = self.ended.or(settled.map(|settled| settled.now)) {
            told.push_str(&format!(", {}", duration(ended.since(self.started))));
        }
        if let Some(subagent) = &self.subagent {
            told.push_str(&format!(", asked {}", escape(subagent)));
        }
        if self.reask {
            told.push_str(", with what was wrong with the answer before");
        }
        if let Some(pid) = self.pid {
            told.push_str(&format!(", pid {pid}"));
        }
        match &self.outcome {
            Some(Outcome::Failed(failure)) => {
                told.push_str(&format!(
                    ": {}: {} [{}]",
                    failure.reason.as_str(),
                    escape(&failure.message),
                    failure.code
                ));
            }
            Some(Outcome::Done(_)) => told.push_str(": answered"),
            None => {}
        }
        told
    }
}

fn block(out: &mut String, paint: Paint, title: &str, lines: &str) {
    out.push('\n');
    out.push_str(&paint.bold(title));
    out.push('\n');
    out.push_str(lines);
    out.push('\n');
}

/// A string as its text, anything else as indented JSON.
fn json_lines(value: &Json) -> String {
    if let Ok(text) = value.read::<String>() {
        return escape_lines(&text);
    }
    let pretty = value.read::<serde_json::Value>();
    let pretty = pretty.and_then(|value| serde_json::to_string_pretty(&value));
    escape_lines(&pretty.unwrap_or_else(|_| value.text().to_owned()))
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
    started_at: Option<String>,
    ended_at: Option<String>,
    ms: Option<u64>,
    usage: Option<UsageOut>,
    fallback: bool,
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
            started_at: started.map(timestamp),
            ended_at: settled.map(|settled| timestamp(settled.now)),
            ms: settled.zip(started).map(|(settled, from)| settled.now.since(from).as_millis()),
            usage: settled.map(|settled| settled.usage.into()),
            fallback: settled.is_some_and(|settled| settled.fallback),
            result,
            failure: failure.or(settled.and_then(|s| s.hidden.as_ref()).map(FailureOut::from)),
        }
    }
}

impl<'a> From<&'a AttemptDetail> for AttemptOut<'a> {
    fn from(attempt: &'a AttemptDetail) -> Self {
        let (answer, failure) = split(attempt.outcome.as_ref());
        Self {
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
