//! The text of `show`: what the run was started with, its phases as a tree of tasks, logs, failures, result.

use super::cost::{usage, usage_short};
use super::text::{Piece, escape, row, width};
use super::{CallStatus, CallView, Paint, RunView, duration, figure, preview_json, timestamp};
use loopwright_protocol::Json;
use loopwright_types::{GuestId, Micros, RunStatus};

/// How the tree is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    /// Colours.
    pub paint: Paint,
    /// Columns that a row may take; nothing where rows are not cut.
    pub columns: Option<usize>,
    /// Log lines shown, the last ones.
    pub logs_max: usize,
    /// Whether the process that ran it is gone, so that it does not run although no entry says so.
    pub interrupted: bool,
}

/// Longest result shown, in characters; `show --json` has all of it.
const RESULT_CHARS_MAX: usize = 2000;
/// Outages shown, the last ones.
const OUTAGES_SHOWN_MAX: usize = 5;
/// Most lines of a result that is text.
const RESULT_LINES_MAX: usize = 100;

/// The run as text; every line ends with a line feed.
pub fn tree(view: &RunView, with: Tree) -> String {
    let mut out = Writer { with, text: String::new() };
    out.header(view);
    let groups = view.guest(GuestId(0)).map(|guest| guest.groups.as_slice()).unwrap_or_default();
    for group in groups {
        out.blank();
        out.group(view, *group, "");
    }
    out.logs(view);
    out.problems(view);
    out.ending(view);
    out.text
}

struct Writer {
    with: Tree,
    text: String,
}

impl Writer {
    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Writes pieces as one row, cut to the columns there are.
    fn row(&mut self, pieces: &[Piece<'_>]) {
        let columns = self.with.columns.unwrap_or(usize::MAX);
        self.text.push_str(&row(self.with.paint, columns, pieces));
        self.text.push('\n');
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.row(&[(&format!("{name:<11}"), Paint::dim), (value, Paint::plain)]);
    }

    /// A fact in words, on as many rows as it takes; escaped already.
    fn words(&mut self, name: &str, words: &str, colour: fn(Paint, &str) -> String) {
        let columns = self.with.columns.map_or(usize::MAX, |columns| columns.saturating_sub(11));
        let (mut name, mut line) = (name, String::new());
        for word in words.split(' ') {
            if !line.is_empty() && width(&line) + 1 + width(word) > columns {
                self.row(&[(&format!("{name:<11}"), Paint::dim), (&line, colour)]);
                (name, line) = ("", String::new());
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.row(&[(&format!("{name:<11}"), Paint::dim), (&line, colour)]);
    }

    fn header(&mut self, view: &RunView) {
        let Some(header) = view.header() else { return };
        let status = view.status();
        let took = duration(view.took(view.now()));
        let took = if status == RunStatus::Running {
            format!(", last entry after {took}")
        } else {
            format!(" in {took}")
        };
        let (word, colour) = if self.with.interrupted {
            ("interrupted", Paint::yellow as fn(Paint, &str) -> String)
        } else {
            (status.as_str(), status_colour(status))
        };
        let program = format!("{}  ", escape(&header.program));
        self.row(&[(&program, Paint::bold), (word, colour), (&took, Paint::plain)]);
        self.fact("run", header.run.as_str());
        let started = timestamp(header.started);
        let (day, time) = (&started[..10], &started[11..19]);
        self.fact("started", &format!("{day} {time} UTC, loopwright {}", escape(&header.version)));
        self.fact("workspace", &escape(&header.workspace));
        if let Some(args) = &header.args {
            self.fact("args", &escape(&preview_json(args, 400)));
        }
        let changed: Vec<String> =
            header.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !changed.is_empty() {
            self.fact("settings", &escape(&changed.join(" ")));
        }
        if let Some(words) = view.fork_words() {
            self.words("fork", &escape(&words), Paint::plain);
        }
        self.fact("tasks", &view.tasks().words());
        if view.others().total() > 0 {
            self.fact("other", &view.others().words());
        }
        if !view.usage().is_zero() {
            self.words("used", &usage(view.usage()), Paint::plain);
        }
        if let Some(words) = view.context().words() {
            self.words("context", &words, Paint::plain);
        }
        if let Some(words) = view.cache().words() {
            self.words("cache", &words, Paint::plain);
        }
        if let Some(words) = view.resumed_words() {
            self.words("resumed", &words, Paint::plain);
        }
        self.outages(view);
    }

    fn outages(&mut self, view: &RunView) {
        let earlier = view.outages().len().saturating_sub(OUTAGES_SHOWN_MAX);
        if earlier > 0 {
            self.fact("outages", &format!("… {earlier} earlier"));
        }
        for outage in view.outages().skip(earlier) {
            let provider = escape(&outage.provider);
            let took = duration(outage.took(outage.since));
            let told = format!("{provider} was down for {took} from {}", clock(outage.since));
            self.words("outage", &told, Paint::plain);
        }
        for outage in view.down() {
            let (provider, since) = (escape(&outage.provider), clock(outage.since));
            let (message, code) = (escape(&outage.message), outage.code);
            let told = format!("{provider} is down since {since}: {message} [{code}]");
            self.words("outage", &told, Paint::yellow);
        }
    }

    fn group(&mut self, view: &RunView, index: u32, indent: &str) {
        let group = &view.groups()[index as usize];
        let (title, detail) = (escape(&group.title()).into_owned(), group.detail.as_deref());
        let mut counts = String::new();
        if group.tasks.total() > 0 || group.others.total() == 0 {
            counts = format!("  {}", group.tasks.words());
        }
        if group.others.total() > 0 {
            counts.push_str(&format!("  other: {}", group.others.words()));
        }
        let detail = detail.map(|detail| format!("  {}", escape(detail))).unwrap_or_default();
        self.row(&[
            (indent, Paint::dim),
            (&title, Paint::bold),
            (&counts, Paint::plain),
            (&detail, Paint::dim),
        ]);
        let calls: Vec<&CallView> =
            group.calls.iter().filter_map(|call| view.call(*call)).collect();
        for (at, call) in calls.iter().enumerate() {
            let last = at + 1 == calls.len();
            self.call(view, call, indent, last);
        }
    }

    fn call(&mut self, view: &RunView, call: &CallView, indent: &str, last: bool) {
        let branch = format!("{indent}{}", if last { "└─ " } else { "├─ " });
        let status = format!("{:<9} ", call.status.as_str());
        let kind = if call.kind.is_task() { "" } else { call.kind.as_str() };
        let number = format!("{:>3}  ", call.call.0);
        let label = format!("{kind}{}{}", if kind.is_empty() { "" } else { " " }, call.label);
        let subagent = call.subagent.as_deref().map(|name| format!(" ({})", escape(name)));
        let (effort, spent) = (effort(call, view.now()), spent(call));
        let note = note(view, call);
        let note: Piece<'_> = (&note, call_colour_of_note(call.status));
        // While it works, what it does says more than what it cost.
        let spent: Piece<'_> = (&spent, Paint::dim);
        let (first, second) = if call.status.is_final() { (spent, note) } else { (note, spent) };
        self.row(&[
            (&branch, Paint::dim),
            (&status, call_colour(call.status)),
            (&number, Paint::dim),
            (&escape(&label), Paint::plain),
            (&subagent.unwrap_or_default(), Paint::dim),
            (&effort, Paint::dim),
            first,
            second,
        ]);
        if let Some((_, guest)) = view.guest_of(call.call) {
            let indent = format!("{indent}{}", if last { "   " } else { "│  " });
            for group in &guest.groups {
                self.group(view, *group, &indent);
            }
        }
    }

    fn logs(&mut self, view: &RunView) {
        if view.log_count() == 0 {
            return;
        }
        self.blank();
        self.row(&[("log", Paint::bold)]);
        let shown = view.logs().len().min(self.with.logs_max);
        let earlier = view.log_count() - shown as u64;
        if earlier > 0 {
            self.row(&[(&format!("… {} earlier lines", figure(earlier)), Paint::dim)]);
        }
        for log in view.logs().skip(view.logs().len() - shown) {
            let time = timestamp(log.at)[11..19].to_owned() + " ";
            let level =
                if &*log.level == "log" { String::new() } else { format!("{}: ", log.level) };
            self.row(&[
                (&time, Paint::dim),
                (&escape(&level), Paint::plain),
                (&escape(&log.text), Paint::plain),
            ]);
        }
    }

    fn problems(&mut self, view: &RunView) {
        let failures = view.finish().map(|finish| finish.failures.as_slice()).unwrap_or_default();
        if failures.is_empty() && view.problem_count() == 0 {
            return;
        }
        self.blank();
        self.row(&[("failures", Paint::bold)]);
        for failure in failures {
            self.row(&[("- ", Paint::dim), (&escape(failure), Paint::plain)]);
        }
        for problem in view.problems() {
            self.row(&[("- ", Paint::dim), (&escape(problem), Paint::plain)]);
        }
        let later = view.problem_count() - view.problems().len() as u64;
        if later > 0 {
            self.row(&[(&format!("… {} more", figure(later)), Paint::dim)]);
        }
    }

    fn ending(&mut self, view: &RunView) {
        let Some(finish) = view.finish() else { return };
        if let Some(error) = &finish.error {
            self.blank();
            let head = if finish.status.waits() { "waits" } else { "error" };
            let place = error.location.as_ref().map_or(String::new(), |at| {
                format!(" at {}:{}:{}", at.file, at.position.line, at.position.column)
            });
            self.row(&[
                (&format!("{head}[{}]: ", error.code), Paint::red),
                (&escape(&error.message), Paint::plain),
                (&escape(&place), Paint::dim),
            ]);
            if let Some(hint) = &error.hint {
                self.row(&[("hint: ", Paint::cyan), (&escape(hint), Paint::plain)]);
            }
        }
        if let Some(result) = &finish.result {
            self.blank();
            self.row(&[("result", Paint::bold)]);
            for line in result_lines(result) {
                self.row(&[(&escape(&line), Paint::plain)]);
            }
        }
    }
}

/// A string as its own lines, anything else as one line; the beginning of it when it is long.
fn result_lines(result: &Json) -> Vec<String> {
    let Ok(text) = result.read::<String>() else {
        return vec![preview_json(result, RESULT_CHARS_MAX).into()];
    };
    let mut lines: Vec<String> = text.lines().take(RESULT_LINES_MAX).map(str::to_owned).collect();
    let later = text.lines().count() - lines.len();
    if later > 0 {
        lines.push(format!("… {} more lines", figure(later as u64)));
    }
    lines
}

/// Time of day, to the second.
fn clock(at: Micros) -> String {
    timestamp(at)[11..19].to_owned()
}

/// Attempts and time of a call.
fn effort(call: &CallView, now: Micros) -> String {
    if call.reused {
        return joined(&["taken over".to_owned()]);
    }
    let attempts = (call.attempts > 1).then(|| format!("{} attempts", call.attempts));
    let facts: Vec<String> = attempts.into_iter().chain(call.took(now).map(duration)).collect();
    joined(&facts)
}

/// Turns, tools, tokens and money of a call.
fn spent(call: &CallView) -> String {
    let used = (call.usage.tokens() > 0).then(|| usage_short(call.usage));
    let facts: Vec<String> = call.loop_words().into_iter().chain(used).collect();
    joined(&facts)
}

/// Facts of a row, set off from what is before them.
fn joined(facts: &[String]) -> String {
    if facts.is_empty() { String::new() } else { format!("  {}", facts.join(", ")) }
}

/// What a call gave, or why not.
fn note(view: &RunView, call: &CallView) -> String {
    let Some(note) = view.note(call, view.now()) else { return String::new() };
    let note = escape(&note);
    match (call.failure, call.fallback) {
        (Some((reason, code)), false) => format!("  {}: {note} [{code}]", reason.as_str()),
        (Some((reason, _)), true) => format!("  → {note} (fallback after {})", reason.as_str()),
        (None, _) => format!("  → {note}"),
    }
}

fn call_colour(status: CallStatus) -> fn(Paint, &str) -> String {
    match status {
        CallStatus::Done => Paint::green,
        CallStatus::Failed => Paint::red,
        CallStatus::Running => Paint::cyan,
        CallStatus::Retrying | CallStatus::Cancelled => Paint::yellow,
        CallStatus::Queued => Paint::dim,
    }
}

fn call_colour_of_note(status: CallStatus) -> fn(Paint, &str) -> String {
    if status == CallStatus::Failed { Paint::red } else { Paint::plain }
}

fn status_colour(status: RunStatus) -> fn(Paint, &str) -> String {
    match status {
        RunStatus::Complete => Paint::green,
        RunStatus::Failed => Paint::red,
        RunStatus::Running => Paint::cyan,
        RunStatus::Degraded | RunStatus::Parked | RunStatus::Paused | RunStatus::Cancelled => {
            Paint::yellow
        }
    }
}
