use crate::{count, failure, run, simulation};
use loopwright_protocol::{Dispatch, Entry, Outcome, Work};
use loopwright_simulator::{Plan, Random, Step, subagent};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;

fn asking() -> Step {
    let schema = json!({
        "type": "object",
        "properties": { "n": { "type": "integer", "minimum": 1 } },
        "required": ["n"],
    });
    Step::task("a").with("schema", schema)
}

#[test]
fn an_answer_that_does_not_match_goes_back_with_the_exact_errors() {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = asked.clone();
    let plans = move |dispatch: &Dispatch, _: &mut Random| {
        let Work::Task(task) = &dispatch.work else { unreachable!() };
        seen.borrow_mut().push(task.feedback.clone());
        match dispatch.attempt.0 {
            1 => Plan::done(json!({ "n": 0 })),
            2 => Plan::done(json!({})),
            _ => Plan::done(json!({ "n": 5 })),
        }
    };
    let run = run(simulation().plans(plans), asking());
    assert_eq!(run.result(), json!({ "n": 5 }));
    let asked = asked.borrow();
    assert_eq!(asked[0], None);
    let second = asked[1].as_ref().unwrap();
    assert_eq!(second.answer.text(), r#"{"n":0}"#);
    assert!(second.errors.contains("minimum") || second.errors.contains("less than"), "{second:?}");
    let third = asked[2].as_ref().unwrap();
    assert!(third.errors.contains("required"), "{third:?}");
    let reasks = run.entries.iter().filter(|e| matches!(e, Entry::AttemptStarted(s) if s.reask));
    assert_eq!(reasks.count(), 2);
}

#[test]
fn an_answer_that_never_matches_fails_as_schema_and_every_answer_is_written() {
    for (setting, attempts) in [("0", 1), ("2", 3), ("5", 6)] {
        let plans = |_: &Dispatch, _: &mut Random| Plan::done(json!({ "n": "many" }));
        let simulation = simulation().set("task.schema_retries", setting).plans(plans);
        let run = run(simulation, asking());
        assert_eq!(failure(&run, 0), format!("schema LW0404 after {attempts}"));
        assert_eq!(count(&run, "attempt_ended"), attempts, "each attempt's end is written");
        let last = run.entries.iter().rev().find_map(|entry| match entry {
            Entry::AttemptEnded(end) => Some(&end.outcome),
            _ => None,
        });
        assert!(matches!(last, Some(Outcome::Done(raw)) if raw.text() == r#"{"n":"many"}"#));
    }
}

#[test]
fn re_asks_and_retries_are_counted_apart() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match dispatch.attempt.0 {
        1 | 3 => Plan::retryable(),
        2 | 4 => Plan::done("wrong"),
        _ => Plan::done(json!({ "n": 1 })),
    };
    let run = run(simulation().plans(plans), asking());
    assert_eq!(run.result(), json!({ "n": 1 }));
    assert_eq!(run.settled(0).unwrap().attempts, 5);
}

#[test]
fn an_answer_that_never_matches_goes_to_the_fallback() {
    let plans = |dispatch: &Dispatch, _: &mut Random| match &dispatch.work {
        Work::Task(task) if task.subagent == "careful" => {
            assert_eq!(task.feedback, None, "the other subagent's answers are not its own");
            Plan::done(json!({ "n": 9 }))
        }
        _ => Plan::done("wrong"),
    };
    let simulation = simulation().subagent(subagent("careful")).plans(plans);
    let fallback = json!({ "subagent": "careful" });
    let run = run(simulation, asking().with("fallback", fallback));
    assert_eq!(run.result(), json!({ "n": 9 }));
    assert_eq!(run.settled(0).unwrap().attempts, 4);
}
