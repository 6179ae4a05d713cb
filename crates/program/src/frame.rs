//! A diagnostic with the author's lines around its place.
//!
//! ```text
//! error[LW0101]: `)` is not expected here
//!   --> review.ts:2:18
//!    |
//!  1 | const files = 3;
//!  2 | const x = agent(]);
//!    |                 ^
//! hint: `(` was opened at 2:16
//! ```

use crate::lines::Lines;
use loopwright_types::{Diagnostic, Location};
use std::fmt::Write;
use unicode_width::UnicodeWidthChar;

/// Whether it is fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The program cannot run, or did not end well.
    Error,
    /// The program runs.
    Warning,
}

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Columns of the terminal; longer source lines are cut around the mark. Text is not wrapped.
    pub width: usize,
    /// Whether to use ANSI colours; nothing is said by colour alone.
    pub colour: bool,
    /// What the first word says.
    pub severity: Severity,
}

impl Default for Frame {
    /// An error without colour, 100 columns wide.
    fn default() -> Self {
        Self { width: 100, colour: false, severity: Severity::Error }
    }
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[34m";
const CYAN: &str = "\x1b[36m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// A tab reaches to the next multiple of this.
const TAB: usize = 4;

/// Columns for source text, however narrow the terminal.
const SOURCE_WIDTH_MIN: usize = 16;

impl Frame {
    /// Draws a diagnostic. `source` is the text of the file its location names; without it, or without a location,
    /// there are no source lines. No line break at the end.
    pub fn render(&self, diagnostic: &Diagnostic, source: Option<&str>) -> String {
        let (word, colour) = match self.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
        };
        let mut out = self.paint(colour, &format!("{word}[{}]", diagnostic.code));
        out += &self.paint(BOLD, &format!(": {}", visible(&diagnostic.message)));
        if let Some(at) = &diagnostic.location {
            self.place(&mut out, at, source, colour);
        }
        if let Some(hint) = &diagnostic.hint {
            write!(out, "\n{} {}", self.paint(CYAN, "hint:"), visible(hint)).ok();
        }
        out
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    /// `--> file:line:column` and the lines.
    fn place(&self, out: &mut String, at: &Location, source: Option<&str>, colour: &str) {
        let position = at.position;
        let digits = position.line.saturating_add(1).to_string().len();
        let arrow = self.paint(BLUE, &format!("{:digits$}-->", " "));
        write!(out, "\n {arrow} {}", visible(&at.file)).ok();
        if position.line == 0 {
            return;
        }
        write!(out, ":{}:{}", position.line, position.column).ok();
        let Some(source) = source else { return };
        let lines = Lines::of(source);
        let Some(marked) = lines.line(source, position.line) else { return };
        let room = self.width.saturating_sub(digits + 4).max(SOURCE_WIDTH_MIN);
        let window = Window::around(marked, at, room);
        let bar = self.paint(BLUE, "|");
        write!(out, "\n {:digits$} {bar}", "").ok();
        let first = position.line.saturating_sub(1).max(1);
        for number in first..=position.line.saturating_add(1) {
            let Some(line) = lines.line(source, number) else { continue };
            if number != position.line && line.trim().is_empty() {
                continue;
            }
            let number_text = self.paint(BLUE, &format!("{number:>digits$}"));
            let line = window.cut(line);
            write!(out, "\n {number_text} {bar}").ok();
            if !line.trim_end().is_empty() {
                write!(out, " {}", line.trim_end()).ok();
            }
            if number == position.line {
                let carets = self.paint(colour, &"^".repeat(window.mark_width));
                let pad = " ".repeat(window.mark_start);
                write!(out, "\n {:digits$} {bar} {pad}{carets}", "").ok();
            }
        }
    }
}

/// The part of a line that is shown, in display columns, and the mark in it.
struct Window {
    start: usize,
    width: usize,
    mark_start: usize,
    mark_width: usize,
}

impl Window {
    /// The window of at most `room` columns that shows the mark, or its beginning.
    fn around(line: &str, at: &Location, room: usize) -> Self {
        let from = (at.position.column as usize).saturating_sub(1);
        let columns = columns(line);
        let total = columns.last().copied().unwrap_or(0);
        let column = |index: usize| columns.get(index).copied().unwrap_or(total);
        let mark = column(from);
        let end = column(from.saturating_add(at.length as usize)).max(mark + 1);
        // One column more than the line, for a mark at its end.
        let start = if total < room || mark < room * 2 / 3 {
            0
        } else {
            (mark - room / 3).min((total + 1).saturating_sub(room))
        };
        let mark_start = mark - start;
        let mark_width = (end - mark).min(room.saturating_sub(mark_start)).max(1);
        Self { start, width: room, mark_start, mark_width }
    }

    /// The part of a line in the window, with `…` where it was cut.
    fn cut(&self, line: &str) -> String {
        let (mut shown, mut column) = (String::new(), 0);
        let total = columns(line).last().copied().unwrap_or(0);
        let end = self.start + self.width;
        let cut_left = self.start > 0;
        let cut_right = total > end;
        let first = self.start + usize::from(cut_left);
        let last = end - usize::from(cut_right);
        if cut_left && total > self.start {
            shown.push('…');
        }
        for c in line.chars() {
            let width = width_at(c, column);
            let next = column + width;
            if column >= first && next <= last && (width > 0 || column > first) {
                if c == '\t' {
                    shown.extend(std::iter::repeat_n(' ', width))
                } else {
                    shown.push(shown_as(c))
                }
            } else if next > first && column < last {
                // A wide character that the edge cuts through.
                let part = next.min(last) - column.max(first);
                shown.extend(std::iter::repeat_n(' ', part));
            }
            column = next;
        }
        if cut_right {
            shown.push('…');
        }
        shown
    }
}

/// The display column at which each character starts, and the line's width at the end.
fn columns(line: &str) -> Vec<usize> {
    let mut column = 0;
    let mut starts = Vec::with_capacity(line.len() + 1);
    for c in line.chars() {
        starts.push(column);
        column += width_at(c, column);
    }
    starts.push(column);
    starts
}

fn width_at(c: char, column: usize) -> usize {
    if c == '\t' { TAB - column % TAB } else { shown_as(c).width().unwrap_or(1) }
}

/// A character that would steer the terminal or hide text becomes a visible stand-in.
fn shown_as(c: char) -> char {
    let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if c.is_control() || hides { '\u{fffd}' } else { c }
}

/// Text for one line of a terminal.
fn visible(text: &str) -> String {
    let flat = text.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { shown_as(c) });
    flat.collect()
}
