//! stdout, stderr and what they can show.

use crate::failure::Failure;
use loopwright::types::{Code, Diagnostic};
use loopwright::view::Paint;
use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What the two streams are, found out once.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    out_is_terminal: bool,
    err_is_terminal: bool,
    is_dumb: bool,
    colour: Option<bool>,
    /// `--data-dir` as it was typed: commands that people are told to type have it too.
    data_dir: Option<&'static Path>,
}

impl Terminal {
    /// Looks at the streams and at `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` and `TERM`.
    pub fn detect() -> Self {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_zero = |name: &str| env::var_os(name).is_some_and(|value| value == "0");
        let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let colour = if is_set("NO_COLOR") {
            Some(false)
        } else if is_set("CLICOLOR_FORCE") && !is_zero("CLICOLOR_FORCE") {
            Some(true)
        } else if is_zero("CLICOLOR") || is_dumb {
            Some(false)
        } else {
            None
        };
        let out_is_terminal = io::stdout().is_terminal();
        let err_is_terminal = io::stderr().is_terminal();
        Self { out_is_terminal, err_is_terminal, is_dumb, colour, data_dir: None }
    }

    /// The same for a command with this `--data-dir`.
    pub fn in_data_dir(self, typed: Option<PathBuf>) -> Self {
        // Once in a process, for as long as it lives.
        let data_dir = typed.map(|typed| &*Box::leak(typed.into_boxed_path()));
        Self { data_dir, ..self }
    }

    /// `--data-dir` as it was typed.
    pub fn data_dir(&self) -> Option<&'static Path> {
        self.data_dir
    }

    /// Whether stdout is a terminal: text that somebody else wrote is escaped there.
    pub fn out_is_terminal(&self) -> bool {
        self.out_is_terminal
    }

    /// Whether stderr is a terminal.
    pub fn err_is_terminal(&self) -> bool {
        self.err_is_terminal
    }

    /// Whether stderr can show a live view.
    pub fn is_live(&self) -> bool {
        self.err_is_terminal && !self.is_dumb
    }

    /// Colours on stdout.
    pub fn paint_out(&self) -> Paint {
        Paint { colour: self.colour.unwrap_or(self.out_is_terminal) }
    }

    /// Colours on stderr.
    pub fn paint_err(&self) -> Paint {
        Paint { colour: self.colour.unwrap_or(self.err_is_terminal) }
    }

    /// Columns of the terminal behind stderr, or stdout; nothing where neither is one.
    pub fn columns(&self) -> Option<usize> {
        self.size().map(|(columns, _)| columns)
    }

    /// Columns that rows on stdout may take; nothing where stdout is no terminal.
    pub fn columns_out(&self) -> Option<usize> {
        let size = terminal_size::terminal_size_of(io::stdout());
        size.filter(|_| self.out_is_terminal).map(|(columns, _)| usize::from(columns.0).max(20))
    }

    /// Columns that rows on stderr may take; nothing where stderr is no terminal.
    pub fn columns_err(&self) -> Option<usize> {
        let size = terminal_size::terminal_size_of(io::stderr());
        size.filter(|_| self.err_is_terminal).map(|(columns, _)| usize::from(columns.0).max(20))
    }

    /// Columns and rows of the terminal behind stderr, or stdout.
    pub fn size(&self) -> Option<(usize, usize)> {
        let size = terminal_size::terminal_size_of(io::stderr())
            .or_else(|| terminal_size::terminal_size_of(io::stdout()))?;
        // A terminal that does not know its size says 0.
        let known = |size: u16, usual: usize| if size == 0 { usual } else { usize::from(size) };
        Some((known(size.0.0, 80), known(size.1.0, 24)))
    }

    /// Writes data to stdout. Nobody reading any more is no error.
    ///
    /// # Errors
    /// When the data cannot be written for another reason, such as a full disk.
    pub fn out(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                let message = format!("standard output cannot be written: {error}");
                let is_full = error.kind() == ErrorKind::StorageFull;
                let code = if is_full { Code::DISK_FULL } else { Code::USAGE };
                let hint = "what is recorded is not lost: `loopwright show latest`";
                Err(Diagnostic::new(code, message).hint(hint).into())
            }
            _ => Ok(()),
        }
    }

    /// Writes a message to stderr, on lines of its own. There is nobody to tell when that fails.
    pub fn tell(&self, text: &str) {
        let text = text.trim_end_matches('\n');
        if !text.is_empty() {
            let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
        }
    }
}
