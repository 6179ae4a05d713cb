//! The live view as rows: what runs now first, what is finished in one row each, never more rows than there are.

use loopwright::protocol::CallKind;
use loopwright::types::{Micros, Usage};
use loopwright::view::{
    CallView, GroupView, Paint, Piece, RunView, duration, escape, figure, money, row,
};

/// Rows the view takes at most, however high the terminal is.
const ROWS_MAX: usize = 30;
/// Phases looked at from either end when there are many: the rest is only counted.
const GROUPS_SEEN_MAX: usize = 200;
/// Calls under way looked at for one picture.
const CALLS_SEEN_MAX: usize = 2000;
/// Providers that are down shown, the rest is counted.
const OUTAGES_MAX: usize = 2;
/// Below this many columns the head takes two rows.
const NARROW: usize = 72;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// The rows at `now`; `picture` counts pictures and turns the spinner.
pub fn frame(
    view: &RunView,
    now: Micros,
    paint: Paint,
    columns: usize,
    rows: usize,
    picture: usize,
) -> Vec<String> {
    let room = rows.saturating_sub(2).clamp(3, ROWS_MAX);
    let columns = columns.saturating_sub(1).max(10);
    let spinner = SPINNER[picture % SPINNER.len()];
    let Some(header) = view.header() else {
        return vec![row(paint, columns, &[(spinner, Paint::cyan), (" preparing", Paint::plain)])];
    };
    let mut out = Frame { view, now, paint, columns, spinner, rows: Vec::new(), head_rows: 0 };
    out.head(&header.program);
    out.outages();
    out.head_rows = out.rows.len();
    let log = view.logs().next_back().map(|log| escape(&log.text).into_owned());
    let left = room.saturating_sub(out.rows.len() + usize::from(log.is_some()));
    out.groups(left);
    if let Some(log) = log {
        out.row(&[("› ", Paint::dim), (&log, Paint::plain)]);
    }
    out.rows.truncate(room);
    out.rows
}

struct Frame<'a> {
    view: &'a RunView,
    now: Micros,
    paint: Paint,
    columns: usize,
    spinner: &'static str,
    rows: Vec<String>,
    /// Rows of the head and its banners.
    head_rows: usize,
}

impl Frame<'_> {
    fn row(&mut self, pieces: &[Piece<'_>]) {
        self.rows.push(row(self.paint, self.columns, pieces));
    }

    /// Program, elapsed time, counts, tokens.
    fn head(&mut self, program: &str) {
        let tasks = self.view.tasks();
        let elapsed = format!("  {}", duration(self.view.took(self.now)));
        let tokens = spent(self.view.usage());
        let program = escape(program).into_owned();
        let spinner = format!("{} ", self.spinner);
        let cancelling = if self.view.cancel_requested() {
            "  cancelling, Ctrl-C again ends at once"
        } else if self.view.pause_requested() {
            "  pausing, what is under way ends first"
        } else if self.view.is_parked() {
            "  parked"
        } else {
            ""
        };
        let narrow = self.columns < NARROW;
        let between = if narrow { " " } else { " · " };
        let [done, running, queued, failed] = [
            format!("{} done", figure(tasks.done.into())),
            format!("{between}{} running", figure((tasks.running + tasks.retrying).into())),
            format!("{between}{} queued", figure(tasks.queued.into())),
            format!("{between}{} failed", figure((tasks.failed + tasks.cancelled).into())),
        ];
        let failed_colour = if tasks.failed > 0 { Paint::red } else { Paint::dim };
        let (first_tokens, second_tokens) = if narrow { (&*tokens, "") } else { ("", &*tokens) };
        let first: [Piece<'_>; 5] = [
            (&spinner, Paint::cyan),
            (&program, Paint::bold),
            (&elapsed, Paint::plain),
            (cancelling, Paint::yellow),
            (first_tokens, Paint::dim),
        ];
        let gap = if narrow { "" } else { "  " };
        let second: [Piece<'_>; 6] = [
            (gap, Paint::plain),
            (&done, Paint::green),
            (&running, Paint::cyan),
            (&queued, Paint::dim),
            (&failed, failed_colour),
            (second_tokens, Paint::dim),
        ];
        if narrow || self.view.cancel_requested() || self.view.pause_requested() {
            self.row(&first);
            self.row(&second);
        } else {
            self.row(&[&first[..], &second[..]].concat());
        }
    }

    /// A banner for each provider that is down.
    fn outages(&mut self) {
        let down = self.view.down();
        for outage in down.iter().take(OUTAGES_MAX) {
            let provider = escape(&outage.provider);
            let took = duration(outage.took(self.now));
            let needing = self.view.needing(&outage.provider);
            let (is, tasks) = match (self.columns < NARROW, needing) {
                (true, _) => ("down", "wait"),
                (false, 1) => ("is down for", "task waits"),
                (false, _) => ("is down for", "tasks wait"),
            };
            let head = format!("! {provider} {is} {took}");
            let waiting = match needing {
                0 => String::new(),
                needing => format!(": {} {tasks}", figure(needing as u64)),
            };
            let asked = match outage.asked {
                0 => String::new(),
                asked => format!(", asked {} times since", figure(asked.into())),
            };
            let why = format!("  {} [{}]", escape(&outage.message), outage.code);
            self.row(&[
                (&head, Paint::yellow),
                (&waiting, Paint::plain),
                (&asked, Paint::dim),
                (&why, Paint::dim),
            ]);
        }
        if down.len() > OUTAGES_MAX {
            let text = format!("! {} more providers are down", down.len() - OUTAGES_MAX);
            self.row(&[(&text, Paint::yellow)]);
        }
    }

    /// Finished phases, open ones with their calls, announced ones; in that order, as many as fit.
    fn groups(&mut self, room: usize) {
        let groups = self.view.groups();
        let is_empty = |at: &usize| {
            let group = &groups[*at];
            group.tasks.total() + group.others.total() == 0
        };
        let open: Vec<u32> = self.view.open_groups().take(GROUPS_SEEN_MAX).collect();
        let open_count = self.view.open_groups().count();
        let is_open = |at: &usize| open.binary_search(&(*at as u32)).is_ok();
        let waiting: Vec<usize> = (0..groups.len().min(GROUPS_SEEN_MAX)).filter(is_empty).collect();
        let finished_count = groups.len() - open_count - waiting.len();

        let tasks_shown = self.view.under_way().take(CALLS_SEEN_MAX).filter(is_shown).count();
        // Something that runs is worth more than something that is over or has not begun.
        let open_rows = open_count.min(room / 2 + 1);
        let left = room.saturating_sub(open_rows + tasks_shown.min(room / 2));
        let waiting_rows = waiting.len().min(left / 2);
        let finished_rows = finished_count.min(left - waiting_rows);
        self.finished(finished_count, finished_rows, |at| !is_empty(at) && !is_open(at));
        let left = room.saturating_sub(self.used() + waiting_rows);
        self.open(&open, open_count, left);
        for at in waiting.iter().take(waiting_rows) {
            let title = escape(&groups[*at].title()).into_owned();
            self.row(&[("  · ", Paint::dim), (&title, Paint::dim)]);
        }
    }

    /// Rows below the head.
    fn used(&self) -> usize {
        self.rows.len().saturating_sub(self.head_rows)
    }

    fn finished(&mut self, count: usize, rows: usize, is_finished: impl Fn(&usize) -> bool) {
        if rows == 0 {
            return;
        }
        let shown = if count > rows { rows - 1 } else { rows };
        let from = self.view.groups().len().saturating_sub(GROUPS_SEEN_MAX);
        let mut last: Vec<usize> =
            (from..self.view.groups().len()).rev().filter(is_finished).take(shown).collect();
        last.reverse();
        if count > last.len() {
            let text = format!("{} earlier phases", figure((count - last.len()) as u64));
            self.row(&[("  ✓ ", Paint::green), (&text, Paint::dim)]);
        }
        for at in last {
            let group = &self.view.groups()[at];
            let failed = group.tasks.failed + group.others.failed > 0;
            let (mark, colour): (&str, fn(Paint, &str) -> String) =
                if failed { ("  ✗ ", Paint::red) } else { ("  ✓ ", Paint::green) };
            let title = self.title(group);
            let counts = format!("  {}", words(group));
            self.row(&[(mark, colour), (&title, Paint::plain), (&counts, Paint::dim)]);
        }
    }

    /// Open phases, each with the calls that are under way in it.
    fn open(&mut self, open: &[u32], count: usize, room: usize) {
        if room == 0 {
            return;
        }
        let heads = count.min(room / 2 + 1).max(1);
        let hidden = count.saturating_sub(heads);
        let mut calls_left = room.saturating_sub(heads + usize::from(hidden > 0));
        for (nth, at) in open.iter().take(heads).enumerate() {
            let group = &self.view.groups()[*at as usize];
            let title = self.title(group);
            let counts = format!("  {}", words(group));
            self.row(&[("  ▸ ", Paint::cyan), (&title, Paint::bold), (&counts, Paint::plain)]);
            let share = calls_left.div_ceil(heads - nth);
            calls_left -= self.calls(*at, share);
        }
        if hidden > 0 {
            let text = format!("  … {} more phases under way", figure(hidden as u64));
            self.row(&[(&text, Paint::dim)]);
        }
    }

    /// Calls under way in one phase. How many rows they took.
    fn calls(&mut self, group: u32, room: usize) -> usize {
        let of_group = |call: &&CallView| call.group == group && is_shown(call);
        let seen = self.view.under_way().take(CALLS_SEEN_MAX).filter(of_group);
        let calls: Vec<&CallView> = seen.collect();
        if room == 0 || calls.is_empty() {
            return 0;
        }
        let fits = calls.len() <= room;
        // A row that only says how many there are is worth less than the one call it would hide.
        let shown = if fits || room == 1 { calls.len().min(room) } else { room - 1 };
        for call in &calls[..shown] {
            self.call(call);
        }
        if !fits && room > 1 {
            let text = format!("      … {} more", figure((calls.len() - shown) as u64));
            self.row(&[(&text, Paint::dim)]);
            return shown + 1;
        }
        shown
    }

    fn call(&mut self, call: &CallView) {
        let (mark, colour): (&str, fn(Paint, &str) -> String) = match self.view.is_waiting(call) {
            true => ("↻", Paint::yellow),
            false => (self.spinner, Paint::cyan),
        };
        // Where there is little room, how long it takes says more than who does it.
        let narrow = self.columns < NARROW;
        let mark = format!("{}{mark} ", if narrow { "    " } else { "      " });
        let kind = if call.kind.is_task() { "" } else { call.word() };
        let kind = if kind.is_empty() { String::new() } else { format!("{kind} ") };
        let label = escape(&call.label).into_owned();
        let subagent = call.subagent.as_deref().filter(|_| !narrow);
        let subagent = subagent.map(|name| format!(" ({})", escape(name)));
        let took = call.took(self.now).map(|took| format!("  {}", duration(took)));
        let attempt = (call.attempts > 1).then(|| format!(", attempt {}", call.attempts));
        let note = self.view.note(call, self.now);
        let note = note.map(|note| format!("  {}", escape(&note)));
        self.row(&[
            (&mark, colour),
            (&kind, Paint::dim),
            (&label, Paint::plain),
            (&subagent.unwrap_or_default(), Paint::dim),
            (&took.unwrap_or_default(), Paint::plain),
            (&attempt.unwrap_or_default(), Paint::yellow),
            (&note.unwrap_or_default(), Paint::dim),
        ]);
    }

    /// A phase of a nested program carries that program's name.
    fn title(&self, group: &GroupView) -> String {
        let guest = self.view.guest(group.guest).filter(|guest| guest.call.is_some());
        let program = guest.map(|guest| format!("{} › ", guest.program)).unwrap_or_default();
        escape(&format!("{program}{}", group.title())).into_owned()
    }
}

/// Tokens and money, those that there are.
pub fn spent(usage: Usage) -> String {
    let (tokens, usd) = (usage.tokens(), usage.usd_micros);
    let mut told = if tokens > 0 { format!("  {} tokens", figure(tokens)) } else { String::new() };
    if usd > 0 {
        told.push_str(&format!("  {}", money(usd)));
    }
    told
}

/// A sleep is not worth a row, and a nested program is shown by its own phases.
fn is_shown(call: &&CallView) -> bool {
    !matches!(call.kind, CallKind::Sleep | CallKind::Workflow)
}

fn words(group: &GroupView) -> String {
    match (group.tasks.total(), group.others.total()) {
        (0, 1..) => format!("other: {}", group.others.words()),
        _ => group.tasks.words(),
    }
}

#[cfg(test)]
mod tests;
