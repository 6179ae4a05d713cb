//! Rows on the terminal, redrawn in place: only rows that changed are written, all in one write.

use loopwright::view::width;
use std::fmt::Write as _;
use std::io::Write as _;

/// What is on the terminal.
#[derive(Debug, Default)]
pub struct Screen {
    rows: Vec<String>,
    columns: usize,
    paused: bool,
}

/// Begins a picture: shown at once where the terminal can (2026), rows that are too long are cut, not wrapped.
const BEGIN: &str = "\x1b[?2026h\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?2026l";

impl Screen {
    /// Puts rows in place of the last ones.
    pub fn draw(&mut self, rows: Vec<String>, columns: usize) {
        if !self.paused {
            write(&self.change(rows, columns));
        }
    }

    /// Takes the rows away and draws no more.
    pub fn pause(&mut self) {
        let gone = self.change(Vec::new(), self.columns);
        write(&gone);
        self.paused = true;
    }

    /// Draws again, below what has been written meanwhile.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// The rows are not where they were.
    pub fn forget(&mut self) {
        self.rows.clear();
    }

    /// What to write so that the terminal shows these rows; nothing when it does already.
    fn change(&mut self, rows: Vec<String>, columns: usize) -> String {
        if rows == self.rows && columns == self.columns {
            return String::new();
        }
        let mut out = BEGIN.to_owned();
        let up = self.height(columns);
        if up > 0 {
            let _ = write!(out, "\x1b[{up}A");
        }
        out.push('\r');
        if columns != self.columns {
            clear(&mut out, up); // the terminal has moved rows about: start afresh
            self.rows.clear();
        }
        for (at, row) in rows.iter().enumerate() {
            if self.rows.get(at) != Some(row) {
                out.push_str("\x1b[2K");
                out.push_str(row);
            }
            out.push_str("\r\n");
        }
        clear(&mut out, self.rows.len().saturating_sub(rows.len()));
        out.push_str(END);
        (self.rows, self.columns) = (rows, columns);
        out
    }

    /// Rows that the last picture takes now: a terminal that became narrower has wrapped them.
    fn height(&self, columns: usize) -> usize {
        let columns = columns.max(1);
        self.rows.iter().map(|row| width(&plain(row)).div_ceil(columns).max(1)).sum()
    }
}

/// Clears so many rows from here and comes back. Row by row: clearing the whole screen at once would push the old
/// picture into the terminal's history.
fn clear(out: &mut String, rows: usize) {
    if rows > 0 {
        out.push_str(&"\x1b[2K\r\n".repeat(rows));
        let _ = write!(out, "\x1b[{rows}A");
    }
}

/// The row without colours.
fn plain(row: &str) -> String {
    let mut parts = row.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

fn write(text: &str) {
    if !text.is_empty() {
        let mut err = std::io::stderr().lock();
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&str]) -> Vec<String> {
        rows.iter().map(|row| (*row).to_owned()).collect()
    }

    #[test]
    fn only_rows_that_changed_are_written() {
        let mut screen = Screen::default();
        let first = screen.change(rows(&["a", "b", "c"]), 80);
        assert!(first.contains("\x1b[2Ka\r\n\x1b[2Kb\r\n\x1b[2Kc\r\n"), "{first:?}");
        let second = screen.change(rows(&["a", "x", "c"]), 80);
        assert_eq!(second, format!("{BEGIN}\x1b[3A\r\r\n\x1b[2Kx\r\n\r\n{END}"));
        assert_eq!(screen.change(rows(&["a", "x", "c"]), 80), "");
        let gone = screen.change(Vec::new(), 80);
        let cleared = "\x1b[2K\r\n".repeat(3);
        assert_eq!(gone, format!("{BEGIN}\x1b[3A\r{cleared}\x1b[3A{END}"));
    }

    #[test]
    fn rows_that_a_narrower_terminal_wrapped_are_taken_away_too() {
        let mut screen = Screen::default();
        screen.change(rows(&[&"a".repeat(70), "\x1b[32mshort\x1b[0m", ""]), 80);
        let narrow = screen.change(rows(&["b"]), 30);
        let cleared = "\x1b[2K\r\n".repeat(5);
        assert_eq!(narrow, format!("{BEGIN}\x1b[5A\r{cleared}\x1b[5A\x1b[2Kb\r\n{END}"));
    }
}
