//! `decide`: what is to become of a call that was sent and of whose result nothing is known.

use super::ending::kept;
use super::runs::open;
use crate::args::Decide;
use crate::failure::Failure;
use crate::place::{cache_dir, data_dir};
use crate::terminal::Terminal;
use loopwright::journal::{Control, Store};
use loopwright::protocol::{Decision, Json, PersonAnswer};
use loopwright::types::{CallId, Code, Diagnostic};
use loopwright::{Doubt, doubts, waiting};

/// Keeps the decision for the run, which takes it when it goes on.
///
/// # Errors
/// When the run has no such call in doubt, or the value is not JSON.
pub fn decide(terminal: &Terminal, args: &Decide) -> Result<u8, Failure> {
    let given = args.data_dir.data_dir.as_deref();
    let looked = open(terminal, given)?;
    let row = looked.find(&args.run).map_err(|error| error.diagnostic())?;
    let (run, call) = (&row.id, CallId(args.call));
    let decision = match &args.value {
        _ if args.repeat => Decision::Repeat,
        Some(value) => Decision::Done(Json::parse(value.clone()).map_err(|error| {
            Diagnostic::new(Code::ARGS_INVALID, format!("`--value` is not JSON: {error}")).hint(
                "quote it for the shell: `--value '\"text\"'` or `--value '{\"name\": \"value\"}'`",
            )
        })?),
        None => Decision::Fail,
    };
    let found = doubts(&looked, run, cache_dir())?;
    if !found.iter().any(|doubt| doubt.call == call) {
        let hint = match found.as_slice() {
            [] => "nothing in it is in doubt".to_owned(),
            some => {
                format!("in doubt are {}", some.iter().map(named).collect::<Vec<_>>().join(", "))
            }
        };
        let message = format!("call `{call}` of run `{run}` is not in doubt");
        return Err(Diagnostic::new(Code::QUESTION_UNKNOWN, message).hint(hint).into());
    }
    let before = waiting(&looked, run).map_err(|error| error.diagnostic())?.doubts;
    let again = before.iter().any(|doubt| doubt.call == call && doubt.decision.is_some());
    let store = Store::open(&data_dir(given)?).map_err(|error| error.diagnostic())?;
    let answer = Json::of(&PersonAnswer::Decided { call, decision });
    let receipt =
        store.request(run, Control::Answer(answer)).map_err(|error| error.diagnostic())?;
    if receipt.live {
        terminal.tell(&format!("decided call {call} of run {run}"));
    } else {
        kept(terminal, run, call, again, given);
    }
    Ok(0)
}

fn named(doubt: &Doubt) -> String {
    let of = doubt.task.map(|task| format!(" of task {task}")).unwrap_or_default();
    format!("call `{}` ({}{of})", doubt.call, loopwright::view::escape(&doubt.name))
}
