use super::*;
use loopwright_protocol::{Completion, CompletionStatus, Json};

fn books() -> Books {
    Books::new(&crate::Simulation::new(crate::program("main"), 1).start)
}

fn dispatch() -> Dispatch {
    let run = loopwright_types::RunId::parse("simulated").unwrap();
    let work = Work::LoadProgram { name: "x".to_owned() };
    Dispatch { run, call: CallId(0), attempt: Attempt(1), key: Attempt(1), timeout: None, work }
}

#[test]
fn a_dispatch_without_a_durable_intent_is_seen_and_so_is_a_second_one() {
    let mut books = books();
    books.dispatch(&dispatch(), Micros(0));
    books.dispatch(&dispatch(), Micros(0));
    let expected = [
        "attempt 1 of call 0 dispatched before its intent was durable",
        "attempt 1 of call 0 dispatched before its intent was durable",
        "attempt 1 of call 0 dispatched twice",
    ];
    assert_eq!(books.violations, expected);
}

#[test]
fn a_result_handed_over_before_it_is_durable_is_seen() {
    let mut books = books();
    books.slots.insert((GuestId(0), Slot(0)), CallId(0));
    books.settled.insert(CallId(0), 5);
    let (slot, status, json) = (Slot(0), CompletionStatus::Done, Json::null());
    let completions = vec![Completion { slot, status, json }];
    let input = TurnInput { now: Micros(0), gas: 0, budget: [0.0; 6], completions };
    books.synced(5);
    books.deliver(GuestId(0), &input);
    assert_eq!(books.violations, ["call 0 delivered before its result was durable"]);
}
