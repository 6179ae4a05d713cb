//! `replay`: a recorded run again, without anything being dispatched.

use super::runs::open;
use crate::args::Replay;
use crate::command::ending::Sources;
use crate::failure::Failure;
use crate::place::cache_dir;
use crate::terminal::Terminal;
use loopwright::program::frame::Severity;
use loopwright::protocol::Entry;
use loopwright::types::{Code, Diagnostic, RunId};
use loopwright::view::{escape, figure, fit, to_line};
use loopwright::{Mismatch, ReplayError, Replayed, replay_run, start_of};
use serde::Serialize;

/// What `replay --json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayOut<'a> {
    run_id: &'a RunId,
    same: bool,
    turns: Option<u64>,
    calls: Option<u64>,
    call: Option<u32>,
    line: Option<u32>,
    column: Option<u32>,
    recorded: Option<&'a str>,
    replayed: Option<&'a str>,
}

/// Replays a run and says whether it is the same.
///
/// # Errors
/// When there is no such run, or its record cannot be replayed.
pub fn replay(terminal: &Terminal, args: &Replay) -> Result<u8, Failure> {
    let store = open(terminal, args.data_dir.data_dir.as_deref())?;
    let run = store.find(&args.run).map_err(|error| error.diagnostic())?.id;
    let sources = Sources::default();
    sources.take(&Entry::RunStarted(Box::new(start_of(&store, &run)?)));
    let (replayed, mismatch) = match replay_run(&store, &run, cache_dir()) {
        Ok(replayed) => (Some(replayed), None),
        Err(ReplayError::Mismatch(mismatch)) => (None, Some(mismatch)),
        Err(ReplayError::Refused(diagnostic)) => return Err(diagnostic.into()),
    };
    let code = u8::from(mismatch.is_some());
    if args.json {
        let place = mismatch.as_ref().and_then(|it| it.place);
        let out = ReplayOut {
            run_id: &run,
            same: mismatch.is_none(),
            turns: replayed.as_ref().map(|it| it.turns),
            calls: replayed.as_ref().map(|it| it.calls),
            call: mismatch.as_ref().and_then(|it| it.call).map(|call| call.0),
            line: place.map(|at| at.line),
            column: place.map(|at| at.column),
            recorded: mismatch.as_ref().map(|it| it.recorded.as_str()),
            replayed: mismatch.as_ref().map(|it| it.replayed.as_str()),
        };
        return terminal.out(&(to_line(&out) + "\n")).map(|()| code);
    }
    if let Some(replayed) = replayed {
        return terminal.out(&format!("{run}: {}\n", same(&replayed))).map(|()| 0);
    }
    if let Some(mismatch) = &mismatch {
        let program = start_of(&store, &run)?.program.name;
        terminal.tell(&differs(terminal, &sources, &program, mismatch));
    }
    Ok(code)
}

/// `12 turns, 30 calls, same`.
pub fn same(replayed: &Replayed) -> String {
    let count =
        |n: u64, word: &str| format!("{} {word}{}", figure(n), if n == 1 { "" } else { "s" });
    format!("{}, {}, same", count(replayed.turns, "turn"), count(replayed.calls, "call"))
}

/// A difference with both sides one above the other, from where they part.
pub fn differs(
    terminal: &Terminal,
    sources: &Sources,
    program: &str,
    mismatch: &Mismatch,
) -> String {
    let call = mismatch.call.map_or_else(String::new, |call| format!(" at call `{call}`"));
    let mut told = Diagnostic::new(
        Code::JOURNAL_MISMATCH,
        format!("the program does not do what its record says{call}"),
    );
    if let Some(place) = mismatch.place {
        told = told.at(program, place, 1);
    }
    let mut text = sources.draw(terminal, &told, Severity::Error).trim_end().to_owned();
    let columns = terminal.columns().unwrap_or(100).saturating_sub(12).max(20);
    let (recorded, now) = parted(&mismatch.recorded, &mismatch.replayed, columns);
    text.push_str(&format!("\n  recorded  {recorded}\n  now       {now}\n"));
    text.push_str(
        "hint: the program, a library or a saved program was changed, or the record is another run's; bring the text \
         back, or accept the change: `loopwright test --update` records anew, a new `loopwright run` starts over",
    );
    text
}

/// Both texts from a little before the place where they part, cut to these columns.
fn parted(one: &str, other: &str, columns: usize) -> (String, String) {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(columns / 3);
    let cut = |text: &str| {
        let rest: String = text.chars().skip(from).take(columns * 2).collect();
        let shown = format!("{}{}", if from > 0 { "…" } else { "" }, escape(&rest));
        fit(&shown, columns).into_owned()
    };
    (cut(one), cut(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_from_where_they_part() {
        let (one, other) = parted("{\"a\":1}", "{\"a\":2}", 40);
        assert_eq!((one.as_str(), other.as_str()), ("{\"a\":1}", "{\"a\":2}"));
        let long = "x".repeat(1000);
        let (one, other) = parted(&format!("{long}1"), &format!("{long}2"), 30);
        assert!(
            one.ends_with('1') && other.ends_with('2') && one.starts_with('…'),
            "{one} {other}"
        );
    }
}
