//! Commands in hints, fit to be pasted: they look for runs where this command did.

use crate::args::Args;
use clap::CommandFactory as _;
use loopwright::types::Diagnostic;
use std::path::Path;

/// Looks for runs only with `--run`: what hints say of it needs no data directory.
const TEST: &str = "test";

/// The option that names this data directory, to be pasted into a shell; nothing where none was typed.
pub fn typed(data_dir: Option<&Path>) -> String {
    let Some(dir) = data_dir else { return String::new() };
    let text = dir.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%:=".contains(c);
    let quoted =
        if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) };
    format!(" --data-dir {}", loopwright::view::escape_lines(&quoted))
}

/// The diagnostic with the data directory in the commands that its hint names. Whoever wrote the hint, the engine
/// say, knows of no data directory.
pub fn placed(told: &Diagnostic, data_dir: Option<&Path>) -> Diagnostic {
    let mut told = told.clone();
    if let (Some(hint), true) = (&told.hint, data_dir.is_some()) {
        told.hint = Some(in_text(hint, &typed(data_dir)));
    }
    told
}

/// What is between two backticks and begins with `loopwright` is a command.
fn in_text(text: &str, at: &str) -> String {
    let mut placed = String::new();
    for (number, piece) in text.split('`').enumerate() {
        if number > 0 {
            placed.push('`');
        }
        placed.push_str(piece);
        if number % 2 == 1 && looks_for_runs(piece) {
            placed.push_str(at);
        }
    }
    placed
}

fn looks_for_runs(command: &str) -> bool {
    let Some(rest) = command.strip_prefix("loopwright ") else { return false };
    let name = rest.split(' ').next().unwrap_or_default();
    let all = Args::command();
    let takes =
        |it: &clap::Command| it.get_arguments().any(|argument| argument.get_id() == "data_dir");
    name != TEST && !rest.contains("--data-dir") && all.find_subcommand(name).is_some_and(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_look_for_runs_get_the_data_directory_and_nothing_else_does() {
        let cases = [
            ("`loopwright show r` shows it", "`loopwright show r --data-dir d` shows it"),
            (
                "`loopwright pause r` or `loopwright cancel r`",
                "`loopwright pause r --data-dir d` or `loopwright cancel r --data-dir d`",
            ),
            ("raise `budget.tokens`", "raise `budget.tokens`"),
            ("`loopwright check p.ts`", "`loopwright check p.ts`"),
            ("`loopwright test --update`", "`loopwright test --update`"),
            ("`loopwright runs --data-dir x`", "`loopwright runs --data-dir x`"),
            ("as loopwright show does", "as loopwright show does"),
        ];
        for (hint, expected) in cases {
            assert_eq!(in_text(hint, " --data-dir d"), expected);
        }
    }

    #[test]
    fn a_directory_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(typed(None), "");
        assert_eq!(typed(Some(Path::new("/tmp/a"))), " --data-dir /tmp/a");
        assert_eq!(typed(Some(Path::new("it's"))), " --data-dir 'it'\\''s'");
    }
}
