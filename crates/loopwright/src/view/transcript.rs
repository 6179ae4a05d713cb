//! What a task's subagent did, step by step: the transcript of `show --task`.

use super::call::NOTE_CHARS_MAX;
use super::cost::{less, usage_short};
use super::lookup::found_words;
use super::text::{escape, escape_lines};
use super::{
    AttemptDetail, CallStatus, Paint, TaskDetail, duration, preview_json, preview_text, wait,
};
use loopwright_protocol::{
    Block, CallKind, Finish, Json, ModelReply, Outcome, SettleEntry, StepEntry, Worktree,
};
use loopwright_types::{Attempt, Micros, Usage};

/// Longest text of a model shown, in characters; `--json` has all of it.
const TEXT_CHARS_MAX: usize = 4000;
/// Longest result of a tool shown, in characters, and most of its lines.
const RESULT_CHARS_MAX: usize = 400;
const RESULT_LINES_MAX: usize = 6;
/// Characters of a digest that are enough to tell it from others.
const DIGEST_CHARS: usize = 12;

/// One step of a subagent's loop.
#[derive(Clone, Debug)]
pub struct StepDetail {
    /// The step as it was decided.
    pub step: StepEntry,
    /// The attempt at its task that it belongs to; 0 for what precedes the first.
    pub task_attempt: Attempt,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptDetail>,
    /// Its outcome, if it has one.
    pub settled: Option<SettleEntry>,
}

impl StepDetail {
    pub(super) fn new(step: &StepEntry, task_attempt: Attempt) -> Self {
        Self { step: step.clone(), task_attempt, attempts: Vec::new(), settled: None }
    }

    /// What all its attempts used, late ones included.
    pub fn usage(&self) -> Usage {
        let mut used = Usage::default();
        self.attempts.iter().for_each(|attempt| used.add(attempt.usage));
        let all = self.settled.as_ref().map_or(used, |settled| settled.usage);
        used.add(less(all, used));
        used
    }

    /// From its first attempt to its outcome.
    pub fn took(&self) -> Option<Micros> {
        let (first, settled) = (self.attempts.first()?, self.settled.as_ref()?);
        Some(settled.now.since(first.started))
    }

    pub(super) fn status(&self) -> &'static str {
        let status = match (&self.settled, self.attempts.last()) {
            (Some(settled), _) => CallStatus::of(&settled.outcome),
            (None, None) => CallStatus::Queued,
            (None, Some(last)) if last.ended.is_some() => CallStatus::Retrying,
            (None, Some(_)) => CallStatus::Running,
        };
        status.as_str()
    }

    fn value(&self) -> Option<&Json> {
        match &self.settled.as_ref()?.outcome {
            Outcome::Done(value) => Some(value),
            Outcome::Failed(_) => None,
        }
    }
}

/// The steps as text, without a line feed at the end.
pub(super) fn transcript(detail: &TaskDetail, paint: Paint) -> String {
    let mut out = Writer { paint, lines: Vec::new() };
    let mut before: Option<&StepDetail> = None;
    for step in detail.steps.values() {
        match step.step.kind {
            CallKind::Model => {
                out.model(detail, step, before);
                before = Some(step);
            }
            CallKind::Tool => out.tool(step),
            _ => out.other(step),
        }
    }
    out.lines.join("\n")
}

struct Writer {
    paint: Paint,
    lines: Vec<String>,
}

impl Writer {
    fn line(&mut self, indent: &str, text: &str) {
        self.lines.push(format!("{indent}{text}").trim_end().to_owned());
    }

    /// A text of several lines, not escaped yet.
    fn text(&mut self, indent: &str, text: &str) {
        for line in escape_lines(text).lines() {
            self.line(indent, line);
        }
    }

    fn head(&mut self, indent: &str, title: &str, step: &StepDetail) {
        let mut facts = Vec::new();
        let tries = step.attempts.iter().filter(|it| it.looks_up.is_none()).count();
        if tries > 1 {
            facts.push(format!("{tries} attempts"));
        }
        facts.extend(step.took().map(duration));
        if step.usage().tokens() > 0 {
            facts.push(usage_short(step.usage()));
        }
        let digest = step.step.digest.to_string();
        facts.push(format!("sha256 {}", &digest[..DIGEST_CHARS]));
        let (status, paint) = (step.status(), self.paint);
        let status = match status {
            "done" => paint.green(status),
            "failed" => paint.red(status),
            _ => paint.yellow(status),
        };
        let facts = paint.dim(&format!(", {}", facts.join(", ")));
        self.line(indent, &format!("{title}  {status}{facts}"));
    }

    /// Attempts that another one followed, and why there is no value.
    fn failures(&mut self, indent: &str, step: &StepDetail) {
        for attempt in &step.attempts {
            if let (Some(_), Some(outcome)) = (attempt.looks_up, &attempt.outcome) {
                let told = self.paint.yellow(&escape(&found_words(outcome)));
                self.line(indent, &told);
                continue;
            }
            let Some(Outcome::Failed(failure)) = &attempt.outcome else { continue };
            let mut told = format!("attempt {}: ", attempt.attempt);
            told.push_str(&format!(
                "{}: {} [{}]",
                failure.reason.as_str(),
                escape(&failure.message),
                failure.code
            ));
            if let Some((at, ended)) = attempt.retry_at.zip(attempt.ended) {
                told.push_str(&format!(", again after {}", wait(at.since(ended))));
            }
            let told = self.paint.yellow(&told);
            self.line(indent, &told);
        }
        if let Some(Outcome::Failed(failure)) = step.settled.as_ref().map(|it| &it.outcome) {
            let (reason, code) = (failure.reason.as_str(), failure.code);
            let told = format!("{reason}: {} [{code}]", escape(&failure.message));
            let told = self.paint.red(&told);
            self.line(indent, &told);
        }
    }

    fn model(&mut self, detail: &TaskDetail, step: &StepDetail, before: Option<&StepDetail>) {
        let is_same = |before: &StepDetail| {
            (before.step.turn, before.task_attempt) == (step.step.turn, step.task_attempt)
        };
        let again = if before.is_some_and(is_same) { " again" } else { "" };
        let title = self.paint.bold(&format!("turn {}{again}", step.step.turn));
        self.head("", &format!("{title}  {}", escape(&step.step.name)), step);
        if !again.is_empty() {
            let told = self.paint.yellow("told what was wrong with the answer before");
            self.line("  ", &told);
        }
        self.failures("  ", step);
        let Some(reply) = step.value().and_then(|value| value.read::<ModelReply>().ok()) else {
            return;
        };
        for block in &reply.blocks {
            match block {
                Block::Text { text } => self.long_text(text),
                Block::Native { text, .. } if !text.trim().is_empty() => {
                    let thought = escape(&preview_text(text, NOTE_CHARS_MAX)).into_owned();
                    let thought = self.paint.dim(&format!("(thinking) {thought}"));
                    self.line("  ", &thought);
                }
                Block::Native { .. } | Block::ToolUse { .. } => {}
            }
        }
        self.not_called(detail, step, &reply);
        let stopped = match reply.finish {
            Finish::End | Finish::Tools => return,
            Finish::Length => "cut off by the output limit",
            Finish::Refusal => "refused",
            Finish::Pause => "paused by the provider",
        };
        let stopped = self.paint.yellow(stopped);
        self.line("  ", &stopped);
    }

    fn long_text(&mut self, text: &str) {
        let end = text.char_indices().nth(TEXT_CHARS_MAX).map_or(text.len(), |(at, _)| at);
        self.text("  ", &text[..end]);
        if end < text.len() {
            let more = format!("… {} more bytes", super::figure((text.len() - end) as u64));
            let more = self.paint.dim(&more);
            self.line("  ", &more);
        }
    }

    /// Wishes to call a tool that there is not, or with arguments that cannot be read: they are no steps.
    fn not_called(&mut self, detail: &TaskDetail, step: &StepDetail, reply: &ModelReply) {
        let later = detail.steps.range(step.step.call..).skip(1).map(|(_, later)| later);
        let mut called: Vec<String> = later
            .take_while(|later| later.step.kind == CallKind::Tool)
            .map(|later| later.step.name.replace('.', "__"))
            .collect();
        for block in &reply.blocks {
            let Block::ToolUse { name, arguments, .. } = block else { continue };
            if let Some(at) = called.iter().position(|called| called == name) {
                called.remove(at);
                continue;
            }
            let wish = format!("{} {}", name, preview_text(arguments, NOTE_CHARS_MAX));
            let why = self.paint.yellow("not called: no such tool, or unreadable arguments");
            self.line("  ", &format!("→ {}  {why}", escape(&wish)));
        }
    }

    fn tool(&mut self, step: &StepDetail) {
        let args = step.step.args.as_ref();
        let args = args.map(|args| preview_json(args, NOTE_CHARS_MAX)).unwrap_or_default();
        let title = format!("→ {} {}", step.step.name, args);
        self.head("  ", &escape(&title), step);
        self.failures("      ", step);
        let Some(value) = step.value() else { return };
        let text = value.read::<String>().unwrap_or_else(|_| value.text().to_owned());
        let shown: String = text.chars().take(RESULT_CHARS_MAX).collect();
        let lines: Vec<&str> = shown.lines().take(RESULT_LINES_MAX).collect();
        let shown_bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        self.text("      ", &lines.join("\n"));
        if shown_bytes < text.len() {
            let more = super::figure((text.len() - shown_bytes) as u64);
            let more = self.paint.dim(&format!("… {more} more bytes"));
            self.line("      ", &more);
        }
    }

    /// A model that is looked up, a worktree that is made or finished.
    fn other(&mut self, step: &StepDetail) {
        let title = format!("{} {}", step.step.kind.as_str(), escape(&step.step.name));
        self.head("", &title, step);
        self.failures("  ", step);
        let made = step.value().and_then(|value| value.read::<Worktree>().ok());
        if let Some(Worktree { path, branch, base }) = made {
            self.text("  ", &format!("{branch} in {path} from {base}").replace('\n', " "));
        }
    }
}
