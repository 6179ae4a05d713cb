//! What is left on the terminal when the live view goes: how it ended, phases, last log lines, failures.

use loopwright::types::RunStatus;
use loopwright::view::{Paint, Piece, RunView, duration, escape, figure, row};

/// Phases shown; the rest is counted.
const GROUPS_MAX: usize = 20;
/// Log lines shown, the last ones.
const LOGS_MAX: usize = 20;
/// Failures shown.
const FAILURES_MAX: usize = 10;

/// The summary, one line feed at the end of each row. Nothing for a run that never began. `at` is the option that names
/// the data directory, where one was typed.
pub fn summary(view: &RunView, paint: Paint, columns: usize, at: &str) -> String {
    let Some(header) = view.header() else { return String::new() };
    let mut out = Summary { paint, columns: columns.saturating_sub(1), text: String::new() };
    out.logs(view);
    out.phases(view);
    out.failures(view);
    let status = view.status();
    let (mark, colour): (&str, fn(Paint, &str) -> String) = match status {
        RunStatus::Complete => ("✓ ", Paint::green),
        RunStatus::Failed => ("✗ ", Paint::red),
        _ => ("! ", Paint::yellow),
    };
    let program = format!("  {}", escape(&header.program));
    let took = format!(" in {}  ", duration(view.took(view.now())));
    let tokens = super::frame::spent(view.usage());
    out.row(&[
        (mark, colour),
        (status.as_str(), colour),
        (&program, Paint::bold),
        (&took, Paint::plain),
        (&view.tasks().words(), Paint::plain),
        (&tokens, Paint::dim),
    ]);
    if let Some(words) = view.context().words() {
        out.row(&[("  context: ", Paint::dim), (&words, Paint::plain)]);
    }
    if let Some(words) = view.cache().words() {
        out.row(&[("  cache: ", Paint::dim), (&words, Paint::plain)]);
    }
    // Not cut at the terminal's edge: it is there to be pasted.
    out.text.push_str(&paint.dim(&format!("  loopwright show {}{at}", header.run)));
    out.text.push('\n');
    out.text
}

struct Summary {
    paint: Paint,
    columns: usize,
    text: String,
}

impl Summary {
    fn row(&mut self, pieces: &[Piece<'_>]) {
        self.text.push_str(&row(self.paint, self.columns, pieces));
        self.text.push('\n');
    }

    fn more(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.row(&[(&format!("  … {} {what}", figure(count)), Paint::dim)]);
        }
    }

    fn logs(&mut self, view: &RunView) {
        let shown = view.logs().len().min(LOGS_MAX);
        self.more(view.log_count() - shown as u64, "earlier log lines");
        for log in view.logs().skip(view.logs().len() - shown) {
            let level =
                if &*log.level == "log" { String::new() } else { format!("{}: ", log.level) };
            self.row(&[
                ("› ", Paint::dim),
                (&escape(&level), Paint::dim),
                (&escape(&log.text), Paint::plain),
            ]);
        }
    }

    fn phases(&mut self, view: &RunView) {
        let used = view.groups().iter().filter(|group| group.tasks.total() > 0);
        for group in used.clone().take(GROUPS_MAX) {
            let (mark, colour): (&str, fn(Paint, &str) -> String) = match group.tasks {
                tasks if tasks.failed > 0 => ("  ✗ ", Paint::red),
                tasks if tasks.cancelled + tasks.unfinished() > 0 => ("  ! ", Paint::yellow),
                _ => ("  ✓ ", Paint::green),
            };
            let title = escape(&group.title()).into_owned();
            let counts = format!("  {}", group.tasks.words());
            self.row(&[(mark, colour), (&title, Paint::plain), (&counts, Paint::dim)]);
        }
        self.more(used.count().saturating_sub(GROUPS_MAX) as u64, "more phases");
    }

    fn failures(&mut self, view: &RunView) {
        let failures = view.finish().map(|finish| finish.failures.as_slice()).unwrap_or_default();
        for failure in failures.iter().take(FAILURES_MAX) {
            self.row(&[("  failed: ", Paint::red), (&escape(failure), Paint::plain)]);
        }
        self.more(failures.len().saturating_sub(FAILURES_MAX) as u64, "more failures");
    }
}
