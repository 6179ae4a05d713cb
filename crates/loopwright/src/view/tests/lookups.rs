//! Lookups as they are seen while a run goes on and afterwards.

use super::script::{Script, json_of, program};
use super::{PLAIN, detail_of, lines, notes, tree};
use crate::view::{Paint, RunView};
use loopwright_protocol::{EndEntry, Entry, Found, Outcome, ResumeEntry, StartEntry};
use loopwright_types::{Attempt, CallId, Code, Failure, GuestId, Reason, Usage};
use serde_json::json;

/// A task that another process finds in doubt and looks up, which ends so.
fn looked_up(outcome: Outcome) -> (Script, CallId) {
    let mut script = Script::new(program("mail.ts", "1\n2\nawait task(1)\n", None));
    script.turn(GuestId(0));
    let call = script.task(3, None, "mail");
    script.start(call, 1);
    let now = script.tick();
    let lost = vec![(call, Attempt(1))];
    script.entries.push(Entry::Resumed(Box::new(ResumeEntry { now, lost, ..Default::default() })));
    let now = script.tick();
    script.entries.push(Entry::AttemptStarted(StartEntry {
        call,
        attempt: Attempt(2),
        now,
        subagent: None,
        effects: None,
        ahead: false,
        reask: false,
        key: None,
        looks_up: Some(Attempt(1)),
    }));
    let now = script.tick();
    script.entries.push(Entry::AttemptEnded(EndEntry {
        call,
        attempt: Attempt(2),
        now,
        outcome,
        usage: Usage::default(),
        retry_at: None,
        answer: None,
    }));
    (script, call)
}

fn found(found: &Found) -> Outcome {
    Outcome::Done(json_of(
        serde_json::from_str(loopwright_protocol::Json::of(found).text()).unwrap(),
    ))
}

#[test]
fn a_row_its_lines_and_the_summary_tell_what_a_lookup_found() {
    let failure = Failure::new(Reason::Timeout, Code::LOOKUP_FAILED, "no answer within `5` ms");
    let cut_off = Failure::new(Reason::Cancelled, Code::CANCELLED, "the task was cancelled");
    let cases = [
        (Outcome::Failed(cut_off), "looked up: cut off", ""),
        (
            found(&Found::Done(json_of(json!("sent")))),
            "looked up: it was done",
            "looked up: 1 done",
        ),
        (found(&Found::NotDone), "looked up: it was not done", "looked up: 1 not done"),
        (
            found(&Found::Unknown("no \u{1b}[1mlog".to_owned())),
            "looked up: unknown: no ",
            "looked up: 1 unknown",
        ),
        (
            Outcome::Failed(failure),
            "looked up: unknown: the lookup failed: no answer within `5` ms",
            "looked up: 1 unknown",
        ),
    ];
    for (outcome, row, summary) in cases {
        let (script, call) = looked_up(outcome);
        let seen = notes(&script, call.0);
        assert_eq!(seen[2], "being looked up: what became of it", "{seen:?}");
        assert!(seen.last().unwrap().starts_with(row), "{seen:?}");
        let lines = lines(&script);
        assert!(lines.contains("task 0 is looked up: mail"), "{lines}");
        assert!(lines.contains(&format!("task 0 {row}")) && !lines.contains('\u{1b}'), "{lines}");
        let mut view = RunView::new();
        script.entries.iter().for_each(|entry| view.apply(entry));
        assert_eq!(view.repeated(), 0, "a lookup repeats nothing");
        let shown = tree(&view, PLAIN);
        let told = if summary.is_empty() { String::new() } else { format!("; {summary}") };
        assert!(shown.contains(&format!("nothing was sent twice{told}\n")), "{shown}");
        let task = detail_of(&script, call.0).unwrap().text(Paint::default());
        assert!(task.contains("lookup 2") && task.contains(", of attempt 1: looked up"), "{task}");
    }
}

#[test]
fn a_repeat_after_a_lookup_is_the_second_attempt() {
    let (mut script, call) = looked_up(found(&Found::NotDone));
    script.start(call, 3);
    let mut view = RunView::new();
    script.entries.iter().for_each(|entry| view.apply(entry));
    assert_eq!((view.call(call).unwrap().attempts, view.repeated()), (2, 1));
    assert!(lines(&script).contains("task 0 started again: mail"));
}
