//! One call of a run as a row: bounded in size whatever its request and result are.

use super::Context;
use super::preview::{Preview, preview_json};
use loopwright_protocol::{CallEntry, CallKind, Json, Outcome};
use loopwright_types::{CallId, Code, GuestId, Micros, Position, Reason, Usage};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// Made, and waiting for a free place.
    Queued,
    /// An attempt is under way.
    Running,
    /// An attempt failed and another one follows.
    Retrying,
    /// The program got a value.
    Done,
    /// The program got nothing.
    Failed,
    /// Ended on request, or left without an outcome when the run ended.
    Cancelled,
}

impl CallStatus {
    /// The word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that an outcome gives.
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done(_) => Self::Done,
            Outcome::Failed(failure) if failure.reason == Reason::Cancelled => Self::Cancelled,
            Outcome::Failed(_) => Self::Failed,
        }
    }

    /// Whether nothing more will happen to the call.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct CallView {
    /// Its number.
    pub call: CallId,
    /// Who made it.
    pub guest: GuestId,
    /// Its kind.
    pub kind: CallKind,
    /// Index of its group in [`super::RunView::groups`].
    pub group: u32,
    /// The label the program gave, else the beginning of what was asked.
    pub label: Box<str>,
    /// The subagent type, where it has one.
    pub subagent: Option<Arc<str>>,
    /// The author's line and column.
    pub position: Option<Position>,
    /// How it stands.
    pub status: CallStatus,
    /// Attempts begun.
    pub attempts: u32,
    /// The run's clock when the program made it.
    pub called: Micros,
    /// When its first attempt was decided.
    pub started: Option<Micros>,
    /// When it got its outcome.
    pub ended: Option<Micros>,
    /// What all its attempts and steps used.
    pub usage: Usage,
    /// Requests to models that its subagent made, corrections of an answer included.
    pub turns: u32,
    /// Tools that its subagent called.
    pub tool_calls: u32,
    /// Tokens that its outcome brought into the program.
    pub came_back_tokens: u64,
    /// The beginning of its value, its failure's message, or the last progress message while it runs;
    /// [`super::RunView::note`] knows its steps, too.
    pub note: Option<Box<str>>,
    /// Why it failed.
    pub failure: Option<(Reason, Code)>,
    /// Whether the value is the program's fallback, standing in for a failure.
    pub fallback: bool,
    /// Whether its outcome was taken over from another run.
    pub reused: bool,
}

/// Longest label kept, in characters.
const LABEL_CHARS_MAX: usize = 100;
/// Longest value, message or failure kept, in characters.
pub(super) const NOTE_CHARS_MAX: usize = 160;

/// The parts of any kind of request that name it; borrowed, so that a long schema costs a scan and no copy.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    label: Option<Cow<'a, str>>,
    #[serde(borrow)]
    prompt: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    args: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    question: Option<Cow<'a, str>>,
    ms: Option<f64>,
}

impl CallView {
    pub(super) fn new(
        entry: &CallEntry,
        group: u32,
        subagent: Option<Arc<str>>,
        called: Micros,
    ) -> Self {
        Self {
            call: entry.call,
            guest: entry.guest,
            kind: entry.kind,
            group,
            label: label(entry.kind, &entry.request),
            subagent,
            position: entry.position,
            status: CallStatus::Queued,
            attempts: 0,
            called,
            started: None,
            ended: None,
            usage: Usage::default(),
            turns: 0,
            tool_calls: 0,
            came_back_tokens: 0,
            note: None,
            failure: None,
            fallback: false,
            reused: false,
        }
    }

    /// How long it took, or has taken at `now`; nothing when it never began.
    pub fn took(&self, now: Micros) -> Option<Micros> {
        self.started.map(|started| self.ended.unwrap_or(now).since(started))
    }

    /// What of its tokens the program saw; nothing before a task has its outcome.
    pub fn context(&self) -> Option<Context> {
        let is_over = self.kind.is_task() && self.status.is_final();
        is_over.then(|| Context::of(self.usage, self.came_back_tokens))
    }

    /// `3 turns, 5 tool calls`, without what there is none of.
    pub fn loop_words(&self) -> Option<String> {
        loop_words(self.turns, self.tool_calls)
    }

    /// Whether its row may go once it has ended well: tool calls and sleeps are counted, not kept.
    pub(super) fn is_brief(&self) -> bool {
        matches!(self.kind, CallKind::Tool | CallKind::Sleep) && self.status != CallStatus::Failed
    }

    /// The kind's word in names of events: both dialects' tasks are tasks.
    pub fn word(&self) -> &'static str {
        if self.kind.is_task() { "task" } else { self.kind.as_str() }
    }
}

/// What names a call for people.
fn label(kind: CallKind, request: &Json) -> Box<str> {
    let named: Named<'_> = request.read().unwrap_or_default();
    let mut out = Preview::new(LABEL_CHARS_MAX);
    match kind {
        CallKind::Task | CallKind::Agent => match (&named.label, named.prompt) {
            (Some(label), _) if !label.trim().is_empty() => out.text(label),
            (_, Some(prompt)) => out.json(prompt.get()),
            _ => {}
        },
        CallKind::Tool => {
            out.text(named.name.as_deref().unwrap_or_default());
            if let Some(args) = named.args {
                out.text(" ");
                out.json(args.get());
            }
        }
        CallKind::Sleep => out.text(&format!("{} ms", named.ms.unwrap_or_default())),
        CallKind::Approve => out.text(named.question.as_deref().unwrap_or_default()),
        CallKind::Workflow => out.text(named.name.as_deref().unwrap_or_default()),
        CallKind::Model | CallKind::Resolve | CallKind::Worktree => {} // steps have no row
    }
    out.finish()
}

/// The note a value leaves.
pub(super) fn value_note(value: &Json) -> Box<str> {
    preview_json(value, NOTE_CHARS_MAX)
}

/// `3 turns, 5 tool calls`.
pub(super) fn loop_words(turns: u32, tool_calls: u32) -> Option<String> {
    let count = |count: u32, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{} {word}s", super::figure(count.into()))),
    };
    let words: Vec<String> =
        [count(turns, "turn"), count(tool_calls, "tool call")].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(", "))
}
