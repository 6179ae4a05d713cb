//! A question before anything is spent.

use crate::terminal::Terminal;
use std::io::{self, BufRead, IsTerminal, Write};

/// Whether somebody is there to answer.
pub fn can_ask(terminal: &Terminal) -> bool {
    terminal.err_is_terminal() && io::stdin().is_terminal()
}

/// Asks; anything but yes is no.
pub fn ask() -> bool {
    let _ = io::stderr().write_all(b"go on? [y/N] ");
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.is_ok() && ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str())
}
