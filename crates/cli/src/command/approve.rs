//! `approve` and `reject`: a run's question, answered from any terminal.

use super::ending::kept;
use super::runs::open;
use crate::args;
use crate::clock::now;
use crate::failure::Failure;
use crate::place::data_dir;
use crate::terminal::Terminal;
use loopwright::journal::{Receipt, RunRow, Store};
use loopwright::protocol::Json;
use loopwright::types::{CallId, Code, Diagnostic};
use loopwright::view::timestamp;
use loopwright::{Approval, waiting};
use std::path::Path;

/// Answers yes, or one of the choices.
///
/// # Errors
/// When the run does not ask that, or the answer does not fit.
pub fn approve(terminal: &Terminal, args: &args::Approve) -> Result<u8, Failure> {
    let given = args.data_dir.data_dir.as_deref();
    let (row, approval) = question(terminal, given, &args.run, args.call)?;
    let value = match (&args.choice, &approval.request.choices) {
        (Some(choice), _) => Json::of(choice),
        (None, None) => Json::of(&true),
        (None, Some(choices)) => {
            let message = format!("`{}` has choices", approval.request.question);
            let hint = format!("name one of them with `--choice`: `{}`", choices.join("`, `"));
            return Err(Diagnostic::new(Code::ANSWER_UNFIT, message).hint(hint).into());
        }
    };
    let store = Store::open(&data_dir(given)?).map_err(|error| error.diagnostic())?;
    let receipt = approval.answer(&store, value, None)?;
    tell(terminal, &row, &approval, receipt, given);
    Ok(0)
}

/// Answers no.
///
/// # Errors
/// When the run does not ask that.
pub fn reject(terminal: &Terminal, args: &args::Reject) -> Result<u8, Failure> {
    let given = args.data_dir.data_dir.as_deref();
    let (row, approval) = question(terminal, given, &args.run, args.call)?;
    let store = Store::open(&data_dir(given)?).map_err(|error| error.diagnostic())?;
    let receipt = approval.reject(&store, args.reason.clone())?;
    tell(terminal, &row, &approval, receipt, given);
    Ok(0)
}

fn tell(
    terminal: &Terminal,
    row: &RunRow,
    approval: &Approval,
    receipt: Receipt,
    given: Option<&Path>,
) {
    let (run, call) = (&row.id, approval.call);
    if receipt.live {
        return terminal.tell(&format!("answered call {call} of run {run}: it goes on"));
    }
    kept(terminal, run, call, approval.answer.is_some(), given);
}

/// The question that is meant.
fn question(
    terminal: &Terminal,
    given: Option<&Path>,
    run: &str,
    call: Option<u32>,
) -> Result<(RunRow, Approval), Failure> {
    let store = open(terminal, given)?;
    let row = store.find(run).map_err(|error| error.diagnostic())?;
    let mut all = waiting(&store, &row.id).map_err(|error| error.diagnostic())?.approvals;
    let (run, count) = (&row.id, all.len());
    let unknown = |message: String, hint: &str| {
        Failure::from(Diagnostic::new(Code::QUESTION_UNKNOWN, message).hint(hint))
    };
    let list = "`loopwright approvals` lists what runs wait for";
    let found = match call.map(CallId) {
        Some(call) => all
            .into_iter()
            .find(|approval| approval.call == call)
            .ok_or_else(|| unknown(format!("run `{run}` asks nothing at call `{call}`"), list))?,
        None if count > 1 => {
            let calls: Vec<String> = all.iter().map(|it| format!("`{}`", it.call)).collect();
            let hint =
                "name the call's number behind the run; `loopwright approvals` shows the questions";
            let message = format!("run `{run}` asks {count} questions: calls {}", calls.join(", "));
            return Err(unknown(message, hint));
        }
        None => all.pop().ok_or_else(|| {
            unknown(format!("run `{run}` asks nothing: it is {}", row.status.as_str()), list)
        })?,
    };
    match found.deadline.filter(|deadline| *deadline <= now()) {
        None => Ok((row, found)),
        Some(deadline) => {
            let (call, until) = (found.call, timestamp(deadline));
            let message =
                format!("the question at call `{call}` could be answered until `{until}`");
            let hint = format!("`loopwright resume {run}` goes on, and tells the program so");
            Err(unknown(message, &hint))
        }
    }
}
