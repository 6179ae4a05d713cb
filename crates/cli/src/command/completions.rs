//! `completions`: a shell's completion script.

use crate::args::Args;
use crate::failure::Failure;
use crate::terminal::Terminal;
use clap::CommandFactory as _;

/// Prints the script.
///
/// # Errors
/// When stdout cannot be written.
pub fn completions(terminal: &Terminal, shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "loopwright", &mut script);
    terminal.out(&String::from_utf8_lossy(&script)).map(|()| 0)
}
