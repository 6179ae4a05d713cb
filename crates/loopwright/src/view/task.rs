//! One call in full: its whole request, every attempt, its whole outcome. Collected from a run's entries
//! when somebody asks for it (`show --task`), never kept for all calls.

use super::call::loop_words;
use super::cost::{Models, came_back_tokens, less, usage};
use super::lookup::found_words;
use super::resumed::LOST;
use super::task_json::task_json;
use super::text::{escape, escape_lines};
use super::transcript::transcript;
use super::{Cache, Context, Paint, StepDetail, duration, timestamp};
use loopwright_protocol::{
    CallEntry, CallKind, Entry, Json, Outcome, Progress, SettleEntry, StartEntry, TaskRequest,
    WorktreeReport,
};
use loopwright_types::{Attempt, CallId, Micros, Usage};
use std::collections::BTreeMap;

/// A call with its attempts and steps.
#[derive(Clone, Debug)]
pub struct TaskDetail {
    /// The call as the program made it.
    pub call: CallEntry,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptDetail>,
    /// The steps of its subagent's loop, in order.
    pub steps: BTreeMap<CallId, StepDetail>,
    /// Its outcome, if it has one.
    pub settled: Option<SettleEntry>,
    pub(super) models: Models,
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
    /// When the next one was due.
    pub retry_at: Option<Micros>,
    /// The subagent asked, where it is not the call's own.
    pub subagent: Option<String>,
    /// Whether it took an answer back that did not match the schema.
    pub reask: bool,
    /// The attempt under whose key it went out, where that is not its own.
    pub key: Option<Attempt>,
    /// The attempt that it looked up, where it is a lookup.
    pub looks_up: Option<Attempt>,
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

/// Looks for one task in a run's entries: give it each entry, in order.
#[derive(Clone, Debug)]
pub struct TaskSearch {
    wanted: CallId,
    models: Models,
    found: Option<TaskDetail>,
    step_of: Option<CallId>,
}

impl TaskSearch {
    /// For the call of this number.
    pub fn new(wanted: CallId) -> Self {
        Self { wanted, models: Models::default(), found: None, step_of: None }
    }

    /// Takes the next entry.
    pub fn take(&mut self, entry: &Entry) {
        match (entry, &mut self.found) {
            (Entry::RunStarted(start), _) => self.models.pinned(start),
            (Entry::Called(call), found @ None) if call.call == self.wanted => {
                *found = Some(TaskDetail {
                    call: CallEntry::clone(call),
                    attempts: Vec::new(),
                    steps: BTreeMap::new(),
                    settled: None,
                    models: std::mem::take(&mut self.models),
                });
            }
            (Entry::Stepped(step), None) if step.call == self.wanted => {
                self.step_of = Some(step.task);
            }
            (entry, Some(detail)) => detail.take(entry),
            _ => {}
        }
    }

    /// The task, if it was there.
    pub fn found(self) -> Option<TaskDetail> {
        self.found
    }

    /// The task that the number is a step of.
    pub fn step_of(&self) -> Option<CallId> {
        self.step_of
    }
}

impl TaskDetail {
    /// Takes the next entry, if it is about this call or one of its steps.
    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Stepped(step) if step.task == self.call.call => {
                let attempt = self.attempts.last().map_or(Attempt(0), |attempt| attempt.attempt);
                self.steps.insert(step.call, StepDetail::new(step, attempt));
            }
            Entry::AttemptStarted(start) => {
                if let Some((attempts, _)) = self.of(start.call) {
                    attempts.push(AttemptDetail::new(start));
                }
            }
            Entry::Dispatched { now, attempts } => {
                for (call, attempt) in attempts {
                    if let Some(attempt) = self.attempt(*call, *attempt) {
                        attempt.started = *now;
                    }
                }
            }
            Entry::Progressed { call, attempt, progress, .. } => {
                if let Some(attempt) = self.attempt(*call, *attempt) {
                    attempt.progressed(progress);
                }
            }
            Entry::AttemptEnded(end) => {
                if let Some(attempt) = self.attempt(end.call, end.attempt) {
                    attempt.ended = Some(end.now);
                    attempt.retry_at = end.retry_at;
                    attempt.outcome = Some(end.outcome.clone());
                    attempt.usage = end.usage;
                }
            }
            Entry::Resumed(resumed) => {
                for (call, attempt) in &resumed.lost {
                    if let Some(attempt) = self.attempt(*call, *attempt) {
                        attempt.ended = Some(resumed.now);
                        attempt.messages.push(LOST.to_owned());
                    }
                }
            }
            Entry::Settled(settle) => {
                if let Some((_, settled)) = self.of(settle.call) {
                    *settled = Some(SettleEntry::clone(settle));
                    self.learn(settle);
                }
            }
            _ => {}
        }
    }

    /// Attempts and outcome of the call or of one of its steps.
    fn of(&mut self, call: CallId) -> Option<(&mut Vec<AttemptDetail>, &mut Option<SettleEntry>)> {
        if call == self.call.call {
            return Some((&mut self.attempts, &mut self.settled));
        }
        self.steps.get_mut(&call).map(|step| (&mut step.attempts, &mut step.settled))
    }

    fn attempt(&mut self, call: CallId, attempt: Attempt) -> Option<&mut AttemptDetail> {
        let (attempts, _) = self.of(call)?;
        attempts.iter_mut().rev().find(|known| known.attempt == attempt)
    }

    /// A step that looked a model up tells its price; one that finished a worktree after the task had settled, what
    /// became of that.
    fn learn(&mut self, settle: &SettleEntry) {
        let kind = self.steps.get(&settle.call).map(|step| step.step.kind);
        if kind == Some(CallKind::Worktree)
            && let Some(report) = self.settled.as_mut().and_then(|it| it.worktree.as_mut())
        {
            match &settle.outcome {
                Outcome::Done(told) => *report = told.read().unwrap_or_else(|_| report.clone()),
                Outcome::Failed(failure) => report.diffstat.clone_from(&failure.message),
            }
        }
        if kind == Some(CallKind::Resolve)
            && let Outcome::Done(model) = &settle.outcome
        {
            self.models.resolved(model);
        }
    }

    /// What it used so far, late attempts of its steps included.
    pub fn usage(&self) -> Usage {
        let mut used = Usage::default();
        self.attempts.iter().for_each(|attempt| used.add(attempt.usage));
        self.steps.values().for_each(|step| used.add(step.usage()));
        // The outcome has what its last attempt used.
        used.add(
            self.settled.as_ref().map_or(Usage::default(), |settled| less(settled.usage, used)),
        );
        used
    }

    /// What of its tokens the program saw; nothing before it has its outcome.
    pub fn context(&self) -> Option<Context> {
        let settled = self.settled.as_ref().filter(|_| self.call.kind.is_task())?;
        Some(Context::of(self.usage(), came_back_tokens(settled)))
    }

    /// Prompt caches of its steps.
    pub fn cache(&self) -> Cache {
        let mut cache = Cache::default();
        for step in self.steps.values() {
            cache.count(self.models.price(&step.step.name), step.usage());
        }
        cache
    }

    /// Requests to models, and tools called.
    pub fn turns_and_tool_calls(&self) -> (u32, u32) {
        let count = |kind| self.steps.values().filter(|step| step.step.kind == kind).count() as u32;
        (count(CallKind::Model), count(CallKind::Tool))
    }

    /// As JSON, in one line.
    pub fn json(&self) -> String {
        task_json(self)
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
            if let Some(reused) = &settled.reused {
                fact("taken over", &super::reused::origin(reused));
            }
        }
        let (turns, tool_calls) = self.turns_and_tool_calls();
        if let Some(words) = loop_words(turns, tool_calls) {
            fact("loop", &words);
        }
        if !self.usage().is_zero() {
            fact("used", &usage(self.usage()));
        }
        if let Some(words) = self.context().and_then(Context::words) {
            fact("context", &words);
        }
        if let Some(words) = self.cache().words() {
            fact("cache", &words);
        }
        if let Some(report) = self.settled.as_ref().and_then(|settled| settled.worktree.as_ref()) {
            fact("worktree", &worktree(report));
        }
        fact("identity", &call.digest.to_string());
        for attempt in &self.attempts {
            let word = if attempt.looks_up.is_some() { "lookup" } else { "attempt" };
            fact(&format!("{word} {}", attempt.attempt), &attempt.line(self.settled.as_ref()));
            for message in &attempt.messages {
                fact("", &format!("  {}", escape(message)));
            }
        }
        out.push_str(&self.blocks(paint));
        out
    }

    /// The long texts: what was asked, what was done, what came of it.
    fn blocks(&self, paint: Paint) -> String {
        let (call, mut out) = (&self.call, String::new());
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
        if !self.steps.is_empty() {
            block(&mut out, paint, "transcript", &transcript(self, paint));
        }
        let settled = self.settled.as_ref();
        match settled.map(|settled| &settled.outcome) {
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
        if let Some(text) = settled.and_then(|settled| settled.salvage.as_ref()) {
            block(&mut out, paint, "salvaged, not an answer", &escape_lines(text));
        }
        let diffstat = settled.and_then(|settled| settled.worktree.as_ref()).map(|it| &it.diffstat);
        if let Some(diffstat) = diffstat.filter(|diffstat| !diffstat.trim().is_empty()) {
            block(&mut out, paint, "changes in the worktree", &escape_lines(diffstat));
        }
        out
    }

    pub(super) fn status(&self) -> &'static str {
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
    fn new(start: &StartEntry) -> Self {
        Self {
            attempt: start.attempt,
            started: start.now,
            ended: None,
            retry_at: None,
            subagent: start.subagent.clone(),
            reask: start.reask,
            key: start.key,
            looks_up: start.looks_up,
            outcome: None,
            usage: Usage::default(),
            pid: None,
            messages: Vec::new(),
        }
    }

    fn progressed(&mut self, progress: &Progress) {
        match progress {
            Progress::Process { pid, .. } => self.pid = Some(*pid),
            Progress::Message(text) => {
                if self.messages.len() == MESSAGES_MAX {
                    self.messages.remove(0);
                }
                self.messages.push(text.clone());
            }
            Progress::Began | Progress::Limits(_) => {}
        }
    }

    /// The last attempt's end is its call's.
    fn line(&self, settled: Option<&SettleEntry>) -> String {
        let mut told = format!("started {}", &timestamp(self.started)[11..]);
        if let Some(ended) = self.ended.or(settled.map(|settled| settled.now)) {
            told.push_str(&format!(", {}", duration(ended.since(self.started))));
        }
        if let Some(subagent) = &self.subagent {
            told.push_str(&format!(", asked {}", escape(subagent)));
        }
        if let Some(of) = self.looks_up {
            told.push_str(&format!(", of attempt {of}"));
        } else if let Some(key) = self.key {
            told.push_str(&format!(", under the key of attempt {key}"));
        }
        if self.reask {
            told.push_str(", with what was wrong with the answer before");
        }
        if let Some(pid) = self.pid {
            told.push_str(&format!(", pid {pid}"));
        }
        match &self.outcome {
            Some(outcome) if self.looks_up.is_some() => {
                told.push_str(&format!(": {}", escape(&found_words(outcome))));
            }
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

/// What became of a worktree, on one line.
fn worktree(report: &WorktreeReport) -> String {
    if !report.changed {
        return "nothing changed, removed".to_owned();
    }
    let branch = escape(report.branch.as_deref().unwrap_or("no branch"));
    let path = escape(report.path.as_deref().unwrap_or("no directory"));
    format!("{branch} in {path}")
}
