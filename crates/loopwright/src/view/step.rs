//! Steps of subagents' loops. They have no row of their own: they are what is seen of their task while it works.
//! Only steps under way are kept, so memory grows with tasks and not with turns.

use super::call::NOTE_CHARS_MAX;
use super::cost::less;
use super::preview::{Preview, arguments, preview_text};
use super::{CallStatus, CallView, RunView, wait};
use loopwright_protocol::{CallKind, EndEntry, Outcome, Progress, SettleEntry, StepEntry};
use loopwright_types::{Attempt, CallId, Micros, Usage};
use std::borrow::Cow;
use std::sync::Arc;

/// Longest piece of a tool's arguments kept, in characters.
const ARGUMENTS_CHARS_MAX: usize = 60;
/// Longest name of a model or tool kept, in characters.
const NAME_CHARS_MAX: usize = 200;
/// Steps of one task looked at to say what it does.
const STEPS_SEEN_MAX: usize = 100;

/// A step without an outcome, or one whose attempt outlives its outcome.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) task: CallId,
    pub(super) kind: CallKind,
    pub(super) turn: u32,
    pub(super) name: Arc<str>,
    pub(super) state: StepState,
    pub(super) started: Option<Micros>,
    attempts: u32,
    /// A tool's arguments or what it told last, why a request failed.
    detail: Option<Box<str>>,
    counted: Usage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepState {
    Queued,
    Running,
    /// Between two attempts; the next is due then, where that is known.
    Retrying(Option<Micros>),
    /// It has its outcome, but an attempt that was cancelled still owes its end.
    Over,
}

impl RunView {
    /// What a call does at `now`, what it gave, or why it gave nothing; not escaped.
    pub fn note<'a>(&'a self, call: &'a CallView, now: Micros) -> Option<Cow<'a, str>> {
        if !call.status.is_final()
            && let Some(doing) = self.doing(call.call, now)
        {
            return Some(doing.into());
        }
        call.note.as_deref().map(Cow::from)
    }

    /// Whether a call under way waits for its next attempt or for a provider that is down.
    pub fn is_waiting(&self, call: &CallView) -> bool {
        let steps = || self.steps_of(call.call).take(STEPS_SEEN_MAX).map(|(_, step)| step);
        let waits = |step: &Step| match step.state {
            StepState::Retrying(_) => true,
            StepState::Queued => self.needs_down(step),
            StepState::Running | StepState::Over => false,
        };
        call.status == CallStatus::Retrying || (steps().next().is_some() && steps().all(waits))
    }

    /// Open steps of a task, in the order in which they were made.
    pub(super) fn steps_of(
        &self,
        task: CallId,
    ) -> impl DoubleEndedIterator<Item = (CallId, &Step)> {
        let all = (task, CallId(0))..=(task, CallId(u32::MAX));
        self.open_steps.range(all).filter_map(|(_, id)| Some((*id, self.steps.get(id)?)))
    }

    /// Whether the step is a request to a provider that is down.
    pub(super) fn needs_down(&self, step: &Step) -> bool {
        step.kind == CallKind::Model && self.is_down(self.models.provider(&step.name))
    }

    fn doing(&self, task: CallId, now: Micros) -> Option<String> {
        let seen: Vec<&Step> =
            self.steps_of(task).take(STEPS_SEEN_MAX).map(|(_, step)| step).collect();
        let runs = |step: &&&Step| step.state == StepState::Running;
        let step = seen.iter().rfind(runs).or(seen.last())?;
        let mut told = match step.turn {
            0 => String::new(),
            turn => format!("turn {turn}: "),
        };
        match step.kind {
            CallKind::Model => self.asking(&mut told, step, now),
            CallKind::Resolve => told.push_str(&format!("looks up model {}", step.name)),
            CallKind::Worktree if &*step.name == "create" => told.push_str("makes its worktree"),
            CallKind::Worktree => told.push_str("finishes its worktree"),
            _ => {
                told.push_str(&step.name);
                if let Some(detail) = step.detail.as_deref().filter(|detail| !detail.is_empty()) {
                    told.push_str(&format!(" {detail}"));
                }
                if step.state == StepState::Queued {
                    told.push_str(" (queued)");
                }
            }
        }
        if seen.len() > 1 {
            told.push_str(&format!(", {} more", seen.len() - 1));
        }
        Some(told)
    }

    /// How a request to a model stands.
    fn asking(&self, told: &mut String, step: &Step, now: Micros) {
        let provider = self.models.provider(&step.name);
        let (down, why) = (self.is_down(provider), step.detail.as_deref());
        let text = match step.state {
            StepState::Running if down => format!("asks whether {provider} is back"),
            StepState::Running if step.attempts > 1 => {
                format!("asks {} again, attempt {}", step.name, step.attempts)
            }
            StepState::Running | StepState::Over => format!("asks {}", step.name),
            _ if down => format!("waits for {provider} (down)"),
            StepState::Retrying(Some(at)) if at > now => {
                format!("waits for {provider} (retry in {})", wait(at.since(now)))
            }
            StepState::Retrying(_) => format!("waits for {provider}"),
            StepState::Queued => format!("waits to ask {}", step.name),
        };
        told.push_str(&text);
        if let (StepState::Retrying(_), false, Some(why)) = (step.state, down, why) {
            told.push_str(&format!(": {why}"));
        }
    }

    pub(super) fn stepped(&mut self, entry: &StepEntry) {
        self.tick(entry.now);
        let name = self.name(&preview_text(&entry.name, NAME_CHARS_MAX));
        let detail = entry.args.as_ref().map(|args| {
            let mut out = Preview::new(ARGUMENTS_CHARS_MAX);
            arguments(&mut out, args);
            out.finish()
        });
        let StepEntry { task, kind, turn, .. } = *entry;
        let (state, started, attempts) = (StepState::Queued, None, 0);
        let counted = Usage::default();
        let step = Step { task, kind, turn, name, state, started, attempts, detail, counted };
        self.steps.insert(entry.call, step);
        self.open_steps.insert((task, entry.call));
        if self.calls.get(&task).is_some_and(|call| call.status == CallStatus::Queued) {
            self.shift(task, CallStatus::Running); // its worktree comes before its first attempt
        }
        if let Some(call) = self.calls.get_mut(&task) {
            call.turns += u32::from(kind == CallKind::Model);
            call.tool_calls += u32::from(kind == CallKind::Tool);
        }
    }

    /// A step is looked up, or was.
    pub(super) fn step_looked_up(&mut self, call: CallId, words: &str) {
        if let Some(step) = self.steps.get_mut(&call) {
            step.detail = Some(words.into());
        }
    }

    /// Whether it was a step's attempt.
    pub(super) fn step_started(&mut self, call: CallId, attempt: Attempt, now: Micros) -> bool {
        let number = self.counted(call, attempt);
        let Some(step) = self.steps.get_mut(&call) else { return false };
        step.state = StepState::Running;
        step.attempts = step.attempts.max(number);
        step.started.get_or_insert(now);
        if step.kind == CallKind::Model {
            step.detail = None;
            let provider = self.models.provider(&step.name);
            let outage = self.down.iter_mut().find(|outage| &*outage.provider == provider);
            outage.into_iter().for_each(|outage| outage.asked += 1);
        }
        true
    }

    pub(super) fn step_progressed(&mut self, call: CallId, progress: &Progress) {
        let Some(step) = self.steps.get_mut(&call) else { return };
        if let (Progress::Message(text), StepState::Running) = (progress, step.state) {
            step.detail = Some(preview_text(text, ARGUMENTS_CHARS_MAX));
        }
    }

    /// Whether it was a step's attempt. The run's usage has it already.
    pub(super) fn step_attempt_ended(&mut self, entry: &EndEntry) -> bool {
        let Some(step) = self.steps.get_mut(&entry.call) else { return false };
        step.counted.add(entry.usage);
        if step.state == StepState::Over {
            self.over = Some(entry.call); // this was the end it owed
        } else {
            step.state = StepState::Retrying(entry.retry_at);
            step.detail = match &entry.outcome {
                Outcome::Failed(failure) => Some(preview_text(&failure.message, NOTE_CHARS_MAX)),
                Outcome::Done(_) => None,
            };
        }
        self.charge_step(entry.call, entry.usage);
        true
    }

    /// Whether it was a step's outcome.
    pub(super) fn step_settled(&mut self, entry: &SettleEntry) -> bool {
        let Some(step) = self.steps.get_mut(&entry.call) else { return false };
        let rest = less(entry.usage, step.counted);
        step.counted.add(rest);
        let (task, kind) = (step.task, step.kind);
        let cancelled = CallStatus::of(&entry.outcome) == CallStatus::Cancelled;
        if cancelled && step.state == StepState::Running {
            step.state = StepState::Over;
        } else {
            self.over = Some(entry.call);
        }
        self.open_steps.remove(&(task, entry.call));
        self.usage.add(rest);
        self.charge_step(entry.call, rest);
        if let (CallKind::Resolve, Outcome::Done(model)) = (kind, &entry.outcome) {
            self.models.resolved(model);
        }
        true
    }

    /// Counts what a step used for its task.
    fn charge_step(&mut self, id: CallId, usage: Usage) {
        let Some(step) = self.steps.get(&id) else { return };
        if let Some(call) = self.calls.get_mut(&step.task) {
            call.usage.add(usage);
        }
        self.cache.count(self.models.price(&step.name), usage);
    }

    /// Steps that a run leaves behind when it ends.
    pub(super) fn drop_steps(&mut self) {
        self.steps.clear();
        self.open_steps.clear();
    }
}
