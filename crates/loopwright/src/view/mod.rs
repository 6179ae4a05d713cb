//! What people see of a run, folded from its journal entries. One reducer serves the live view, `show`,
//! the lines on a pipe and the JSON forms, so they can never disagree.
//! Not here: the terminal itself (`cli`) and storage (`journal`).

mod call; // one call as a row
mod cost; // tokens, money, caches
mod count; // calls by status
mod event; // the JSON form of one entry
mod fold; // the reducer
mod group; // phases and waves
mod json; // the JSON forms of a run
mod line; // the plain line of one entry
mod lookup; // what became of calls in doubt
mod moves; // what becomes of calls
mod outage; // providers that are down
mod preview; // short forms of long texts
mod resumed; // a run that went on in another process
mod reused; // what a fork took over
mod run; // the whole run
mod step; // what subagents do
mod task; // one call in full
mod task_json; // the same as JSON
mod text; // text of programs and models made safe for a terminal
mod time; // times, durations and figures for people
mod transcript; // the steps of one task
mod tree; // the text of `show`

#[cfg(test)]
mod tests;

pub use call::{CallStatus, CallView};
pub use cost::{Cache, Context, money};
pub use count::Counts;
pub use event::event_json;
pub use group::{GroupName, GroupView};
pub use json::{UsageOut, diagnostic_json, finish_json, run_json, to_line};
pub use line::line;
pub use outage::Outage;
pub use preview::{preview_json, preview_text};
pub use run::{FinishView, GuestView, Header, LogView, RunView};
pub use task::{AttemptDetail, TaskDetail, TaskSearch};
pub use text::{Paint, Piece, escape, escape_json, escape_lines, fit, row, width};
pub use time::{duration, figure, timestamp, wait};
pub use transcript::StepDetail;
pub use tree::{Tree, tree};
